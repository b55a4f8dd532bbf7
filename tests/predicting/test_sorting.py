"""Sorting: every image in one folder, none twice, none replaced, the originals as they were."""

from __future__ import annotations

import itertools
import os
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from predicting_steps import opened, request_of
from sightline.errors import InputError
from sightline.predicting.named_images import list_images
from sightline.predicting.sorting import Sorter, folder_names, refuse_sort_target
from sightline.predicting.text_rows import CsvRows
from sightline.predicting.write import write_predictions

BAD = set('<>:"/\\|?*')


@given(st.lists(st.text(), unique=True))
@example(["unknown", "Unknown", "con", "CON.txt", "a.", "a ", "a", ".hidden", "", "..", "LPT1", "\x00", "x" * 400])
def test_folders_have_names_that_windows_takes_and_are_apart(classes):
    names = folder_names(classes)
    assert list(names) == classes
    assert len({name.casefold() for name in names.values()} | {"unknown"}) == len(classes) + 1
    for name in names.values():
        assert name and not BAD & set(name) and not any(ord(letter) < 32 for letter in name)
        assert name[-1] not in ". " and not name.startswith(".") and len(name.encode()) < 200
        assert name.partition(".")[0].casefold() not in ("con", "prn", "aux", "nul", "com1", "lpt1")
    assert folder_names(["ant", "bee fly"]) == {"ant": "ant", "bee fly": "bee fly"}


@pytest.fixture
def photos(tmp_path):
    """Images of clear colours, two of one name and content, one that is unreadable, one in an archive."""
    for name, colour in (("a/x.png", (250, 9, 9)), ("b/x.png", (250, 9, 9)), ("c/x.png", (9, 9, 250)), ("d.png", 0)):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9), colour).save(path)
    (tmp_path / "photos" / "bad.png").write_bytes(b"no image")
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.write(tmp_path / "photos/c/x.png", "deep/x.png")
    return tmp_path / "photos"


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def sort(classifier, request, out: Path, *, resume: bool = False, parts: int | None = None) -> Sorter:
    output = opened(out, classifier, request, resume=resume)
    sorter = Sorter(Path(request.sort), classifier.classes, link=request.link, journal=output.journal)
    steps = write_predictions(classifier, request, output, None, sorter)
    list(itertools.islice(steps, parts))
    steps.close()
    output.close()
    return sorter


@pytest.mark.parametrize(
    "link", [False, pytest.param(True, marks=pytest.mark.skipif(sys.platform == "win32", reason="a privilege"))]
)
def test_images_are_placed_by_answer(photos, classifier, tmp_path, link):
    before = files_in(photos)
    target = tmp_path / "sorted"
    request = request_of(
        photos, tmp_path / "more.zip", sort=str(target), link=link, max_novelty=float("inf"), min_confidence=0.6
    )
    sorter = sort(classifier, request, tmp_path / "said.csv")
    red, blue = before["a/x.png"], before["c/x.png"]
    wanted = {"red/x.png": red, "red/x-2.png": red, "blue/x.png": blue, "blue/x-2.png": blue}
    assert files_in(target) == {**wanted, "unknown/d.png": before["d.png"]}
    assert sorter.counts == {"red": 2, "blue": 2, "unknown": 1, "": 1} and sorter.copied == link
    assert files_in(photos) == before
    assert (target / "red/x.png").is_symlink() == link and not (target / "blue/x-2.png").is_symlink()


@pytest.mark.parametrize("is_recorded", [False, True])
def test_after_a_kill_nothing_is_placed_twice(photos, classifier, tmp_path, monkeypatch, is_recorded):
    target = tmp_path / "sorted"
    request = request_of(photos, sort=str(target), max_novelty=float("inf"))
    sort(
        classifier,
        request_of(photos, sort=str(tmp_path / "straight"), max_novelty=float("inf")),
        tmp_path / "straight.csv",
    )
    monkeypatch.setattr("sightline.predicting.output.Output.save", lambda output: None)
    for parts in (1, 0, 1, None):
        monkeypatch.setattr(CsvRows, "seconds", -1.0 if is_recorded and parts != 0 else 1e9)
        sort(classifier, request, tmp_path / "said.csv", resume=True, parts=parts)
    assert files_in(target) == files_in(tmp_path / "straight")


def test_a_name_that_is_taken_meanwhile_is_not_replaced(photos, classifier, tmp_path, monkeypatch):
    target = tmp_path / "sorted" / "blue"
    real = os.path.lexists
    monkeypatch.setattr(os.path, "lexists", lambda path: Path(path).name != "x.png" and real(path))  # the moment before
    target.mkdir(parents=True)
    (target / "x.png").write_bytes(b"mine")
    (named,) = list_images([str(photos / "c")], request_of().choices)
    placed = Sorter(target.parent, classifier.classes).place(classifier.predict([named]), [named])
    monkeypatch.undo()
    assert (target / "x.png").read_bytes() == b"mine" and files_in(target).keys() == {"x.png", "x-2.png"}
    assert placed == [(named, target / "x-2.png")]


def test_a_dry_run_says_the_same_places_and_writes_nothing(photos, classifier, tmp_path):
    named = list(list_images([str(photos)], request_of().choices))
    said = classifier.predict(named, max_novelty=float("inf"))
    dry = Sorter(tmp_path / "sorted", classifier.classes, is_dry=True)
    shown = dry.place(said, named)
    assert not (tmp_path / "sorted").exists()
    assert shown == Sorter(tmp_path / "sorted", classifier.classes).place(said, named)


def test_where_nothing_can_be_sorted_is_refused(photos, tmp_path):
    for folder, words in ((photos / "new", "which is read"), (photos / "a", "not empty"), (photos / "d.png", "a file")):
        with pytest.raises(InputError, match=words) as caught:
            refuse_sort_target(folder, [str(photos)], resume=False)
        assert caught.value.code == "predict.sort"
    refuse_sort_target(tmp_path / "new", [str(photos)], resume=False)
