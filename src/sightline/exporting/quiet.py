"""Silence for converters, which write bars and remarks for their own developers."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

__all__ = ["quietly"]


@contextlib.contextmanager
def quietly(logger: str) -> Iterator[None]:
    """Silence warnings, what Python code prints, and a logger below errors.

    Args:
        logger: its name.

    Example:
        >>> with quietly("coremltools"):
        ...     print("nobody sees this")
    """
    named = logging.getLogger(logger)
    level = named.level
    named.setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stderr(io.StringIO()),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        named.setLevel(level)
