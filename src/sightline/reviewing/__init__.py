"""Finished runs looked at again: which is better, and whether each is as it was recorded.

Comes in: run folders. Goes out: comparisons and verifications. Trains nothing, changes nothing, needs no torch.
"""
