"""Metrics and statistics: pure functions of arrays.

Comes in: labels, probabilities. Goes out: numbers with their intervals and counts. Knows numpy; knows nothing
about files, runs or networks.
"""
