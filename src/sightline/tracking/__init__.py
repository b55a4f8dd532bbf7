"""Events to TensorBoard, MLflow, Weights & Biases or plain tables, for those who compare runs there.

Comes in: events, and the run folder that they name. Goes out: what each tracker keeps, in its own form. Knows
nothing about how a training works, and never stops one.
"""
