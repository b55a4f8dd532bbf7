"""How many classifiers were evaluated on a test set: a set that helps to choose one is not a test of it any more.

One small file in the user's state folder (``SIGHTLINE_STATE`` overrides it) holds for each set, by a fingerprint of its
images and labels, which classifiers were evaluated on it. The same classifier counts once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from sightline.caches import state_folder
from sightline.errors import RunError
from sightline.runs.safe_files import read_json, write_json

__all__ = ["MANY_EVALUATIONS", "count_evaluation", "fingerprint_of", "ledger_file"]

MANY_EVALUATIONS = 10  # from so many classifiers on, the best value among them is too good
_PATIENCE = 5.0  # seconds that another process may take to write


def ledger_file() -> Path:
    """Return where evaluations are counted."""
    return state_folder() / "evaluations.json"


def fingerprint_of(rows: Iterable[tuple[str, str]]) -> str:
    """Return one sha256 over (sha256 of the content, class name) of each image, whatever their order.

    Example:
        >>> fingerprint_of([("a", "ant"), ("b", "bee")]) == fingerprint_of([("b", "bee"), ("a", "ant")])
        True
    """
    return hashlib.sha256(repr(sorted(rows)).encode("utf-8", "surrogatepass")).hexdigest()


def count_evaluation(test_set: str, classifier: str | None) -> int | None:
    """Note that a classifier was evaluated on a set; returns how many were so far, this one included.

    Args:
        test_set: of ``fingerprint_of``.
        classifier: a digest of its answers to them; None: this evaluation chooses nothing, and does not count.

    Returns:
        None where the file can't be written: counting must not stop an evaluation.
    """
    path = ledger_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock"), timeout=_PATIENCE):
            evaluations = _read(path)
            known = evaluations.setdefault(test_set, [])
            if classifier is not None and classifier not in known:
                known.append(classifier)
                write_json(path, {"schema_version": 2, "evaluations": evaluations})
            return len(known)
    except (OSError, Timeout, RunError):
        return None


def _read(path: Path) -> dict[str, list[str]]:
    """Return the evaluations of each set; a file that is damaged is begun again."""
    try:
        content = read_json(path)
        found: dict[str, Any] = content["looks" if content["schema_version"] == 1 else "evaluations"]
        return {str(key): [str(one) for one in value] for key, value in found.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
