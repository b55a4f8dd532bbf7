"""Causes come before consequences, and a cure is tested by following it."""

from __future__ import annotations

import ast
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sightline.checks.checkup import check_subject
from sightline.checks.subject import Subject
from sightline.data.inspect import inspect_samples, refuse_bad
from sightline.data.samples import Samples
from sightline.data.sources import read_samples
from sightline.data.split import make_split_of_nothing
from sightline.errors import DataError
from sightline.reading.check import check_source
from sightline.reading.source import DataChoices
from sightline.steps import result_of


def inspected(table: Path, paths: list[str]) -> Samples:
    table.write_text(
        "path,label\n" + "".join(f'"{path}",{"cat" if k % 2 else "dog"}\n' for k, path in enumerate(paths))
    )
    return result_of(inspect_samples(read_samples(table)))


def unreadable(samples: Samples) -> tuple[str, str]:
    subject = Subject(samples, make_split_of_nothing(samples), None, None)
    (finding,) = [finding for finding in check_subject(subject) if finding.code == "unreadable"]
    return finding.message, finding.cure


NAMES = ["k/a 1.JPG", "k/b 2.JPG", "k/c 3.JPG", "k/d 4.JPG"]
# How a table's paths differ from the files -> (words of the cause, what a person makes of the cure).
CAUSES: dict[str, tuple[Callable[[str], str], str, Callable[[str], str]]] = {
    "no ending": (lambda p: p[:-4], "lack the ending", lambda p: f"{p}.JPG"),
    "another ending": (lambda p: p[:-4] + ".png", "another ending", lambda p: p.replace(".png", ".JPG")),
    "other capitals": (lambda p: p.lower(), "other capitals", lambda p: p[:-3] + "JPG"),
    "web": (lambda p: p.replace(" ", "%20"), "web addresses", lambda p: p.replace("%20", " ")),
    "underscores": (lambda p: p.replace(" ", "_"), "other blanks", lambda p: p.replace("_", " ")),
    "home of another": (
        lambda p: f"/home/other/set/{p}",
        "'/home/other/set/'",
        lambda p: p.removeprefix("/home/other/set/"),
    ),
    "drive of Windows": (
        lambda p: "C:\\Users\\x\\" + p.replace("/", "\\"),
        "'C:/Users/x/'",
        lambda p: p.removeprefix("C:\\Users\\x\\"),
    ),
    "own folder": (lambda p: f"set/{p}", "'set/'", lambda p: p.removeprefix("set/")),
}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "set" / "k").mkdir(parents=True)
    for number, name in enumerate(NAMES):
        Image.new("RGB", (8, 8), (40 * number, 90, 20)).save(tmp_path / "set" / name, "JPEG")
    return tmp_path / "set"


@pytest.mark.parametrize("kind", CAUSES)
@pytest.mark.parametrize("all_missing", [True, False])
def test_missing_files_have_the_cause_and_the_cure_of_their_kind(images: Path, kind: str, all_missing: bool) -> None:
    write, words, follow = CAUSES[kind]
    written = [write(name) for name in NAMES]
    right = [] if all_missing else NAMES[:1]
    samples = inspected(images / "t.csv", [*right, *written[len(right) :]])
    message, cure = unreadable(samples)
    assert words in message and "move the table" not in cure
    with pytest.raises(DataError) as caught:
        refuse_bad(samples, "skip")
    assert caught.value.message.index(words) < caught.value.message.index("can't be read")
    assert not inspected(images / "t.csv", [follow(path) for path in written]).errors


def test_a_cause_stands_before_what_follows_from_it(images: Path) -> None:
    (images / "t.csv").write_text("path,label\n" + "".join(f"{name[:-4]},cat\n{name[:-6]},dog\n" for name in NAMES))
    codes = [finding.code for finding in result_of(check_source(str(images / "t.csv"), DataChoices())).findings]
    assert codes.index("unreadable") < codes.index("no-split")


def test_paths_below_another_folder_name_that_folder(images: Path) -> None:
    elsewhere = images.parent / "t.csv"
    _, cure = unreadable(inspected(elsewhere, NAMES))
    assert cure == f"move the table to {images}"
    assert not inspected(Path(cure.removeprefix("move the table to ")) / "t.csv", NAMES).errors


def test_the_other_unicode_form_of_a_name_is_the_same_file(tmp_path: Path) -> None:
    for number, form in enumerate(("NFC", "NFD")):
        folder = tmp_path / form
        folder.mkdir()
        Image.new("RGB", (8, 8), (200 * number, 90, 20)).save(folder / unicodedata.normalize(form, "Käfer.png"))
        for other in ("NFC", "NFD"):
            text = f"path,label\n{unicodedata.normalize(other, 'Käfer.png')},cat\nx.png,dog\n"
            (folder / "t.csv").write_text(text, encoding="utf-8")
            samples = read_samples(folder / "t.csv")
            assert samples.file(0).is_file()  # type: ignore[union-attr]


def test_files_that_are_lost_for_no_such_reason_are_named(images: Path) -> None:
    message, cure = unreadable(inspected(images / "t.csv", [*NAMES, "lost.jpg"]))
    assert "lost.jpg: no such file" in message and cure.startswith("replace or remove them")
    _, cure = unreadable(inspected(images / "t.csv", ["one.jpg", "two.jpg"]))
    assert str(images) in cure


# -- arrays -----------------------------------------------------------------------------------------------------

SQUARES = np.random.default_rng(0).integers(0, 256, (4, 5, 7, 3)).astype(np.uint8)
SQUARES[0, 0, 0], SQUARES[0, 0, 1] = 0, 255
ALPHA = np.concatenate([SQUARES, np.full((4, 5, 7, 1), 255, np.uint8)], 3)
ARRAYS: dict[str, Any] = {
    "0..255 as float": SQUARES.astype(np.float32),
    "0..1": SQUARES / 255,
    "0..1 of 32 bits": (SQUARES / 255).astype(np.float32),
    "int64": SQUARES.astype(np.int64),
    "16 bits": SQUARES.astype(np.uint16) * 257,
    "-1..1": SQUARES / 127.5 - 1,
    "channels first": SQUARES.transpose(0, 3, 1, 2),
    "channels first, 0..1": SQUARES.transpose(0, 3, 1, 2) / 255,
    "channels first, 0..255 as float": SQUARES.transpose(0, 3, 1, 2).astype(np.float64),
    "with alpha": np.concatenate([SQUARES, np.full((4, 5, 7, 1), 255, np.uint8)], 3),
    "with alpha, first, 0..1": np.concatenate([SQUARES, np.full((4, 5, 7, 1), 255, np.uint8)], 3).transpose(0, 3, 1, 2)
    / 255,
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_the_cure_for_arrays_gives_the_pixels_that_were_meant(kind: str) -> None:
    """``(images * 255).astype("uint8")`` was proposed for all of them, and turns 0..255 over."""
    images, labels = ARRAYS[kind], ["a", "b", "a", "b"]
    with pytest.raises(DataError) as caught:
        read_samples((images, labels))
    name, _, expression = caught.value.cure.partition(" = ")
    assert name == "images" and ast.parse(expression, mode="eval")
    cured = eval(expression, {"images": images})  # noqa: S307  (it is what a person would type)
    assert np.array_equal(cured, SQUARES)
    assert len(read_samples((cured, labels))) == 4


def test_masks_and_deep_values_have_their_own_cure() -> None:
    mask = SQUARES[..., 0] > 99
    deep = np.array([[[0, 4095]], [[100, 4095]]], np.int32)
    for images, meant in ((mask, np.where(mask, 255, 0)), (deep, (deep / 4095 * 255).round())):
        with pytest.raises(DataError) as caught:
            read_samples((images, ["a", "b", "a", "b"][: len(images)]))
        cured = eval(caught.value.cure.partition(" = ")[2], {"images": images})  # noqa: S307
        assert np.array_equal(cured, meant)


@pytest.mark.parametrize(("most", "bits"), [(1_000, 10), (1_023, 10), (3_950, 12), (4_095, 12), (16_383, 14)])
@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_values_of_10_to_14_bits_are_not_made_black(most: int, bits: int, kind: type) -> None:
    images = np.array([[[0, most]], [[most // 2, most // 3]]], kind)
    with pytest.raises(DataError, match=f"to {most}") as caught:
        read_samples((images, ["a", "b"]))
    assert f"for {bits} bits" in caught.value.cure
    cured = eval(caught.value.cure.partition(" = ")[2], {"images": images})  # noqa: S307
    assert np.array_equal(cured, (images.astype(float) / (2**bits - 1) * 255).round())


@pytest.mark.parametrize(
    "images", [np.zeros((4, 9)), np.full((2, 5, 5), np.nan), np.array([["a"]]), np.zeros((2, 5, 5, 7))]
)
def test_arrays_without_a_sure_cure_get_none_that_is_wrong(images: Any) -> None:
    with pytest.raises(DataError) as caught:
        read_samples((images, ["a", "b", "a", "b"][: len(images)]))
    assert " = " not in caught.value.cure
