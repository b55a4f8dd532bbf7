"""A classifier and labelled images to an evaluation: metrics, groups, explanations, robustness.

Comes in: an exported ``Classifier`` and ``Samples``. Goes out: an ``Evaluation`` and what a run keeps of it. Knows
nothing about how the classifier was trained.
"""
