"""Events to a terminal's bar, lines of a log, or a notebook's table.

Comes in: events. Goes out: text on stderr, in a file, or a cell. Knows nothing about what the events mean for
the run.
"""
