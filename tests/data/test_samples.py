"""The table of images: its columns, and where its images lie."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sightline.data.samples import Samples
from sightline.pixels.containers import Member
from sightline.runs.safe_files import read_rows, write_columns


def test_the_files_of_a_table_are_a_sequence_of_places(table: Callable[..., Samples]) -> None:
    samples = table([0, 0, 0], paths=["a.png", "sub/b.png", "photos.zip::c.png"])
    root = samples.root
    whole = [root / "a.png", root / "sub" / "b.png", Member(root / "photos.zip", "c.png")]
    assert list(samples.files) == whole
    assert len(samples.files) == 3
    assert samples.files[1:] == whole[1:] and samples.files[::-1] == whole[::-1]
    assert samples.files[2] == samples.files[-1] == whole[2]
    assert Path("nowhere") not in samples.files
    with pytest.raises(IndexError):
        samples.files[3]


OURS = ["path", "label", "group", "width", "error", "sha256", "extra:site"]
NAMES = st.sampled_from(OURS) | st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=6)


@given(st.dictionaries(NAMES, st.text(st.characters(exclude_categories=["Cs"])), max_size=4))
@example({"error": "none", "label": "x", "extra:site": "y", "site": "z"})
def test_a_persons_columns_keep_their_names_and_cells_beside_ours(tmp_path: Path, cells: dict[str, str]) -> None:
    extra = {name: np.array([cell], object) for name, cell in cells.items()}
    samples = Samples(tmp_path, "t", ("cat",), np.array(["a.png"], object), np.array([0]), extra=extra)
    columns = samples.columns()
    assert columns["error"] == [""] and columns["label"] == ["cat"]
    write_columns(tmp_path / "samples.csv", columns)
    (row,) = read_rows(tmp_path / "samples.csv")
    assert {name.removeprefix("extra:"): cell for name, cell in row.items() if name.startswith("extra:")} == cells
    assert (row["path"], row["label"], row["error"]) == ("a.png", "cat", "")
