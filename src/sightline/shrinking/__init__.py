"""Smaller and faster versions of a run's classifier: made, measured against it, chosen, written.

Comes in: a finished run. Goes out: its table of versions, and a run folder of the version that was chosen. Knows how
versions are compared and when one may replace the classifier; how a graph is rewritten is in ``exporting``.
"""
