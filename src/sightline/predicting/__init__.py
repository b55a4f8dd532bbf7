"""Many images through a classifier into one file that is whole or not there.

Comes in: a classifier, and what a person named: files, folders, patterns, archives, tables, a list on stdin. Goes out:
a table of predictions (CSV, JSON lines, Parquet), and events. Knows nothing about labels, metrics, runs' results or
the terminal.
"""
