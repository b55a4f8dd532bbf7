"""The way of one training, in four steps: look at the data, decide every setting, fit the network, finish.

Comes in: a :class:`~sightline.pipeline.job.Job`. Goes out: events, and a run folder. ``decide`` and ``fit`` can't find
a test image; ``finish`` alone is given the whole split. Each step calls the rooms below.
"""
