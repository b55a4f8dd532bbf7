"""Search over plans with Optuna: many trainings, judged on validation; the best one beside the plain recipe.

Comes in: a job, a space of settings, and a budget. Goes out: events, a study in ``runs/searches/NAME``, and a run like
any other. It knows nothing about the test split, except where the winner and the plain recipe are measured in the end.
"""
