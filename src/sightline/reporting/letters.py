"""Class names that figures can show: by an installed font that has their letters, else by their numbers, with a key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

from sightline.text import count_of, printable

__all__ = ["drawable", "drawable_text", "key_of_numbers"]

_SHOWN = 20  # classes in a key
_BOXES = ("Last Resort", "LastResort")  # matplotlib's own, which has a box for every letter


def drawable(names: Sequence[str]) -> list[str]:
    """Return the names of classes as a figure can show them; ``class 3`` where no installed font has all letters.

    A font that has letters which matplotlib's own lacks is added to the fonts that matplotlib falls back to.

    Args:
        names: of all classes, in order: numbers count from 1, as the lines of ``classes.txt`` do.

    Example:
        >>> drawable(["ant", "K\\u00e4fer"])
        ['ant', 'K\\xe4fer']
    """
    absent = absent_letters(names)
    return [f"class {number}" if absent & {*printable(name)} else name for number, name in enumerate(names, 1)]


def drawable_text(text: str) -> str:
    """Return a text as a figure can show it; letters that no installed font has become escapes.

    Example:
        >>> drawable_text("b\\u00e4r")
        'b\\xe4r'
    """
    absent = absent_letters([text])
    return "".join(letter.encode("unicode_escape").decode() if letter in absent else letter for letter in text)


def key_of_numbers(names: Sequence[str]) -> str:
    """Return in words which numbers stand for which classes in figures; empty where all names can be drawn."""
    shown = drawable(names)
    keys = [f"{number} = {name}" for number, (name, own) in enumerate(zip(names, shown, strict=True), 1) if own != name]
    if not keys:
        return ""
    more = f" and {len(keys) - _SHOWN:,} more, by the lines of classes.txt" if len(keys) > _SHOWN else ""
    return (
        f"No installed font has the letters of {count_of(len(keys), 'class name')}: figures show numbers. "
        f"{', '.join(keys[:_SHOWN])}{more}"
    )


def absent_letters(names: Iterable[str]) -> frozenset[str]:
    """Return the letters that no installed font has, of those that are printed as they are."""
    return _absent(frozenset(letter for name in names for letter in printable(name) if not letter.isascii()))


@cache
def _absent(letters: frozenset[str]) -> frozenset[str]:
    if not letters:
        return letters
    import matplotlib
    from matplotlib import font_manager

    families = list(matplotlib.rcParams["font.family"])
    codes = {ord(letter) for letter in letters}
    for family in families:
        codes -= _codes(font_manager.findfont(font_manager.FontProperties(family=[family])))
    fonts = {
        font.name: font.fname
        for font in font_manager.fontManager.ttflist
        if font.style == "normal" and not font.name.startswith(_BOXES)
    }
    for name, file in sorted(fonts.items()):
        if not codes:
            break
        found = codes & _codes(file)
        if found:
            families.append(name)
            codes -= found
    matplotlib.rcParams["font.family"] = families
    return frozenset(map(chr, codes))


def _codes(file: str) -> set[int]:
    """Return the code points of the glyphs of a font; none where it can't be drawn with."""
    from matplotlib import font_manager

    try:
        font = font_manager.get_font(file)
    except (OSError, RuntimeError):  # no font that FreeType opens
        return set()
    return {*font.get_charmap()} if font.scalable else set()
