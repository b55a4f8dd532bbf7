"""The command line: one file a verb; each parses, calls the API and prints.

Nothing heavy is imported before a verb runs, so that ``--help`` answers at once. stdout is for results, stderr
for progress and errors.
"""

from sightline.cli.app import main

__all__ = ["main"]
