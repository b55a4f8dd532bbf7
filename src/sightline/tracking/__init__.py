"""Trackers: log the events of a run to TensorBoard, MLflow, Weights & Biases or plain tables.

Comes in: events, and the run folder that they name. Goes out: the logs of each tracker, in its own format. Knows
nothing about how a training works, and never stops one.
"""
