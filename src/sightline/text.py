"""Formats names, counts, times and sizes for people."""

from __future__ import annotations

import csv
import html
import io
import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

__all__ = [
    "as_html",
    "between",
    "count_of",
    "csv_text",
    "did_you_mean",
    "duration",
    "guarded",
    "listed",
    "nearest",
    "one_line",
    "p_value",
    "part_of",
    "printable",
    "readable_bytes",
    "share",
    "signed",
    "unguarded",
    "visible",
]


def nearest(word: str, words: Iterable[str], *, most: int = 1, cutoff: float = 0.4) -> list[str]:
    """Return the words that are most like one, the most alike first.

    Args:
        word: as somebody wrote it.
        words: the right ones.
        most: how many at most.
        cutoff: least likeness, 0 to 1, as ``difflib`` measures it.

    Example:
        >>> nearest("modle", ["model", "epochs"])
        ['model']
    """
    import difflib

    return difflib.get_close_matches(word, list(words), most, cutoff)


def one_line(error: object, most: int = 200) -> str:
    """Return what another library says of an error, on one line, cut to so many letters.

    Example:
        >>> one_line(ValueError("no such\\n    node"), 9)
        'no such n'
    """
    return " ".join(str(error).split())[:most]


def printable(text: str) -> str:
    """Return ``text`` with control characters and lone surrogates shown as escapes, safe for a terminal.

    Example:
        >>> printable("a\\x1b[31m.jpg")
        'a\\\\x1b[31m.jpg'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


# Letters that turn or hide the text around them, and control characters but for line feed and tab.
_HIDDEN = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ud800-\\udfff\\ufff9-\\ufffb]"
)


def visible(text: str) -> str:
    """Return ``text`` with characters shown as escapes that would turn, hide or move the text around them on a page.

    Lines stay lines, and joiners of letters and emoji are kept, as names in Persian or Hindi need them.

    Example:
        >>> visible("cat\\u202egpj.exe"), visible("two\\nlines")
        ('cat\\\\u202egpj.exe', 'two\\nlines')
    """
    return _HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def as_html(value: object) -> str:
    """Return a value's text for HTML: nothing in it is read as HTML, and nothing turns or hides what stands around it.

    Example:
        >>> as_html("<b>\\u202e")
        '&lt;b&gt;\\\\u202e'
    """
    return html.escape(visible(str(value)))


def count_of(count: int, noun: str) -> str:
    """Return a count with its noun.

    Example:
        >>> count_of(1, "image"), count_of(1200, "image"), count_of(2, "class")
        ('1 image', '1,200 images', '2 classes')
    """
    ending = "" if count == 1 else "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{ending}"


def share(value: float, digits: int = 1) -> str:
    """Return a share in percent; one that is neither 0 nor 1 is never written as 0 or 100 %.

    Args:
        value: 0 to 1.
        digits: after the point.

    Example:
        >>> share(0.9969), share(0.99996), share(0.0001, 0), share(1.0, 0)
        ('99.7 %', '>99.9 %', '<1 %', '100 %')
    """
    rounded, step = round(100 * value, digits), 10.0**-digits
    if rounded == 0 and value > 0:
        return f"<{step:.{digits}f} %"
    if rounded == 100 and value < 1:
        return f">{100 - step:.{digits}f} %"
    return f"{100 * value:.{digits}f} %"


def part_of(part: int, whole: int, noun: str) -> str:
    """Return how many of a whole, with the share; of nothing there is none.

    Example:
        >>> part_of(322, 323, "step"), part_of(1, 1, "image"), part_of(0, 0, "step")
        ('322 of 323 steps (99.7 %)', '1 of 1 image (100 %)', 'none of 0 steps')
    """
    if not whole:
        return f"none of {count_of(whole, noun)}"
    return f"{part:,} of {count_of(whole, noun)} ({share(part / whole, 0 if part in (0, whole) else 1)})"


def signed(value: float, digits: int = 1) -> str:
    """Return a difference with its sign; one that rounds to zero has none.

    Example:
        >>> signed(2.54), signed(-0.04), signed(-3, 0)
        ('+2.5', '0.0', '-3')
    """
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text


def p_value(p: float) -> str:
    """Return a p value with as many digits as matter; a small one is never written as 0, nor one below 1 as 1.

    Example:
        >>> p_value(0.21), p_value(0.0312), p_value(0.00002), p_value(0.999)
        ('p = 0.21', 'p = 0.031', 'p < 0.0001', 'p > 0.99')
    """
    if p < 0.0001:
        return "p < 0.0001"
    if 0.99 < p < 1:
        return "p > 0.99"
    if p == 1:
        return "p = 1"
    digits = 2 if p >= 0.0995 else 3 if p >= 0.000995 else 4
    # Where rounding would put it on the level of 5 %, which decides, more digits tell on which side it is.
    while digits < 6 and p != 0.05 and round(p, digits) == 0.05:
        digits += 1
    return f"p = {p:.{digits}f}"


# What a spreadsheet takes for a formula; with apostrophes before it, so that reading takes away what writing added.
_FORMULA = re.compile("'*[=+\\-@\\t\\r]")


def guarded(cell: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula: a text that begins like one begins with an apostrophe.

    Numbers are kept, written as text too.

    Example:
        >>> guarded("=1+2"), guarded("-0.5"), guarded("cat"), guarded(-3)
        ("'=1+2", '-0.5', 'cat', -3)
    """
    if not isinstance(cell, str) or not _FORMULA.match(cell) or _is_number(cell):
        return cell
    return f"'{cell}"


def unguarded(cell: str) -> str:
    """Return what :func:`guarded` was given.

    Example:
        >>> unguarded("'=1+2"), unguarded("-0.5"), unguarded("'cat'")
        ('=1+2', '-0.5', "'cat'")
    """
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?", text) is not None


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """Return rows as CSV, each ending with a line feed; reading it returns every string unchanged.

    Example:
        >>> csv_text([["a,b", 1], ["c", 2]])
        '"a,b",1\\nc,2\\n'
    """
    rows = list(rows)
    # The csv module does not quote a carriage return, and then reads it as the end of a line.
    has_return = any("\r" in str(cell) for row in rows for cell in row)
    out = io.StringIO()
    csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL if has_return else csv.QUOTE_MINIMAL).writerows(rows)
    return out.getvalue()


def did_you_mean(word: str, words: Iterable[str], rest: str = "", *, most: int = 1, cutoff: float = 0.4) -> str:
    """Return the question for the nearest of the right words and then ``rest``; without a near one ``rest`` alone.

    Args:
        word, words, most, cutoff: as for :func:`nearest`.
        rest: what else there is to say.

    Example:
        >>> did_you_mean("epoch", ["epochs", "model"], "--plan lists them"), did_you_mean("x", ["epochs"])
        ("did you mean 'epochs'? --plan lists them", '')
    """
    near = " or ".join(map(repr, nearest(word, words, most=most, cutoff=cutoff)))
    return " ".join(filter(None, [near and f"did you mean {near}?", rest]))


def duration(seconds: float) -> str:
    """Return seconds in a readable form.

    Example:
        >>> duration(0.4), duration(75), duration(7300)
        ('0.4 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


_EVEN = 1.1  # ratio up to which two durations are one estimate


def between(least: float, most: float) -> str:
    """Return two durations in seconds as one estimate, with as few digits as an estimate needs.

    Example:
        >>> between(490, 700), between(240, 245), between(0, 48)
        ('8 to 12 min', 'about 4 min', 'at most 50 s')
    """
    if least and most <= _EVEN * least:
        return f"about {_rough((least + most) / 2, round)}"
    low, high = _rough(least, math.floor), _rough(most, math.ceil)
    if not least:
        return f"at most {high}"
    (number, *unit), (_, *other) = low.split(), high.split()
    return f"{number} to {high}" if unit == other else f"{low} to {high}"


def _rough(seconds: float, whole: Callable[[float], int]) -> str:
    if seconds < 90:
        return f"{max(1, whole(seconds)) if seconds < 20 else 5 * whole(seconds / 5)} s"
    if seconds < 5400:
        return f"{whole(seconds / 60)} min"
    tens = whole(seconds / 600)
    return f"{tens // 6} h" + (f" {tens % 6 * 10} min" if tens % 6 else "")


def listed(names: Sequence[str], most: int) -> str:
    """Return the first names, and the number of the others.

    Example:
        >>> listed(["a", "b", "c", "d"], 3)
        'a, b, c and 1 more'
    """
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def readable_bytes(count: int) -> str:
    """Return a number of bytes in a readable form.

    Example:
        >>> readable_bytes(812), readable_bytes(5_000_000), readable_bytes(20 * 2**30)
        ('812 bytes', '4.8 MiB', '20.0 GiB')
    """
    if count < 1024:
        return f"{count} bytes"
    for unit, size in (("KiB", 2**10), ("MiB", 2**20)):
        if count < 1000 * size:
            return f"{count / size:,.1f} {unit}"
    return f"{count / 2**30:,.1f} GiB"
