"""The whole way, in order: inspect, split, plan, decode, train, export, evaluate, report.

Comes in: a :class:`~sightline.pipeline.look.Job`. Goes out: events, and a run folder. It knows every room
below it and no terminal; what each step does stands in the room that does it.
"""
