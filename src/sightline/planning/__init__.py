"""From what a person chose to every number of a training, each with its origin and reason.

Comes in: a :class:`~sightline.planning.recipe.Recipe`, facts about data, hardware and network as plain values.
Goes out: a :class:`~sightline.planning.plan.Plan`. Knows no torch: whoever knows it brings the facts along.
"""
