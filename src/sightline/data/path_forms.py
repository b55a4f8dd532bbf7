"""The forms in which one path is written: by another system, another keyboard, a web address."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

__all__ = ["forms_of"]


def forms_of(text: str) -> Iterator[str]:
    """Yield a path as it is, and then as other systems write the same one.

    Example:
        >>> list(forms_of("cat/1.jpg")), list(forms_of(r"cat\\1.jpg"))
        (['cat/1.jpg'], ['cat\\\\1.jpg', 'cat/1.jpg'])
    """
    yield text
    plain = text.replace("\\", "/")
    while plain.startswith("./"):
        plain = plain[2:]
    seen = {text}
    for form in (plain, plain.strip(), *(unicodedata.normalize(name, plain) for name in ("NFC", "NFD"))):
        if form not in seen:
            seen.add(form)
            yield form
