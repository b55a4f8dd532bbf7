"""The public functions, a file for each act; what ``sightline`` offers, and what the command line calls.

Comes in: what a notebook, a program or the command line asks for. Goes out: runs, classifiers, evaluations, findings.
Each drives a generator of a lower room and shows its events; nothing is computed here.
"""
