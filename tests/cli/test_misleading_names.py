"""What check prints and writes of names that are made to mislead."""

from __future__ import annotations

import re

TURNED = "cat\u202egpj\u2066"


def test_letters_that_turn_text_are_shown_as_escapes_everywhere(sightline, tmp_path, write_image) -> None:
    """A class and a file whose names hold bidirectional controls: terminal, page and notebook show what is there."""
    from sightline.api.data import check
    from sightline.data.sources import read_samples

    for name in (TURNED, "dog"):
        for number in range(3):
            write_image(tmp_path / "photos" / name / f"{number}\u202e.png", (90, 90, 90))
    (tmp_path / "photos" / TURNED / "n\u202e.jp2").write_bytes(b"\xff\x4f\xff\x51" + bytes(40))
    page = tmp_path / "check.html"
    _, out, err = sightline("check", tmp_path / "photos", "--html", page)
    found = check(tmp_path / "photos", quiet=True)
    shown = [out, err, page.read_text(encoding="utf-8"), found._repr_html_()]
    shown.append(read_samples(tmp_path / "photos")._repr_html_())
    for text in shown:
        assert not re.search("[\u202a-\u202e\u2066-\u2069]", text)
    assert all("\\u202e" in text for text in (out, *shown[2:]))
