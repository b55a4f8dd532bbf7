"""Tables in every dress give the same samples; what can't be used is named."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
import pandas
import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from sightline.data.groups import assign_groups
from sightline.data.samples import Samples
from sightline.data.sources import describe_source, read_samples
from sightline.errors import DataError, InputError
from sightline.pixels.file_bytes import read_bytes
from sightline.pixels.parquet import image_column

Rows = list[dict[str, Any]]
ROWS: Rows = [
    {"path": "a.jpg", "label": "cat", "split": "train", "group": "p1", "Camera": "x"},
    {"path": "b.jpg", "label": "dog", "split": "train", "group": "p1", "Camera": "y"},
    {"path": "sub/c.jpg", "label": "cat", "split": "test", "group": "", "Camera": ""},
]


def write_csv(path: Path, rows: Rows, delimiter: str = ",") -> Path:
    out = io.StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    table = csv.DictWriter(out, columns, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    table.writeheader()
    table.writerows(rows)
    path.write_bytes(out.getvalue().encode())
    return path


def write_jsonl(path: Path, rows: Rows) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_parquet(path: Path, rows: Rows) -> Path:
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def read_frame(folder: Path, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> Samples:
    monkeypatch.chdir(folder)
    return read_samples(pandas.DataFrame(rows))


DRESSES: dict[str, Callable[[Path, Rows, Any], Samples]] = {
    "csv": lambda folder, rows, _: read_samples(write_csv(folder / "t.csv", rows)),
    "tsv": lambda folder, rows, _: read_samples(write_csv(folder / "t.tsv", rows, "\t")),
    "jsonl": lambda folder, rows, _: read_samples(write_jsonl(folder / "t.jsonl", rows)),
    "parquet": lambda folder, rows, _: read_samples(write_parquet(folder / "t.parquet", rows)),
    "frame": read_frame,
}


def columns(samples: Samples) -> list[tuple[str, ...]]:
    names = [samples.classes[label] for label in samples.labels]
    return list(zip(samples.paths, names, samples.given, samples.groups, *samples.extra.values(), strict=True))


@pytest.mark.parametrize("dress", DRESSES)
def test_a_table_in_any_form_gives_the_same_samples(tmp_path: Path, dress: str, monkeypatch) -> None:
    samples = DRESSES[dress](tmp_path, ROWS, monkeypatch)
    assert columns(samples) == [tuple(row.values()) for row in ROWS]
    assert list(samples.extra) == ["Camera"]
    assert samples.file(2) == tmp_path / "sub" / "c.jpg"


@pytest.mark.parametrize("dress", DRESSES)
def test_any_column_can_be_the_group(tmp_path: Path, dress: str, monkeypatch) -> None:
    samples = assign_groups(DRESSES[dress](tmp_path, ROWS, monkeypatch), "Camera")
    assert list(samples.groups) == ["x", "y", ""]


CELL = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=6).filter(str.strip)
LABELS = st.lists(CELL, min_size=2, max_size=6, unique_by=lambda text: normalize("NFC", text.strip()))


@given(LABELS, st.sampled_from(sorted(DRESSES)))
def test_labels_come_back_from_every_form(tmp_path: Path, labels: list[str], dress: str) -> None:
    rows = [{"path": f"{k}.jpg", "label": label, "note": label} for k, label in enumerate(labels)]
    with pytest.MonkeyPatch.context() as patch:
        samples = DRESSES[dress](tmp_path, rows, patch)
    names = [samples.classes[label] for label in samples.labels]
    assert names == [normalize("NFC", label).strip() for label in labels]
    assert list(samples.extra["note"]) == [label.strip() for label in labels]


@pytest.mark.parametrize("dress", ["jsonl", "parquet", "frame"])
@pytest.mark.parametrize("labels", [(3, 10), (True, False), (0.5, 1.5)], ids=["numbers", "yes-no", "floats"])
def test_labels_that_are_no_text_become_text(tmp_path: Path, dress: str, labels: tuple[Any, ...], monkeypatch) -> None:
    rows = [{"path": f"{k}.jpg", "label": label} for k, label in enumerate(labels)]
    assert set(DRESSES[dress](tmp_path, rows, monkeypatch).classes) == set(map(str, labels))


@pytest.mark.parametrize("dress", ["jsonl", "parquet", "frame"])
def test_a_label_that_is_a_list_is_refused_as_several_labels(tmp_path: Path, dress: str, monkeypatch) -> None:
    rows = [{"path": "a.jpg", "label": ["cat", "dog"]}, {"path": "b.jpg", "label": ["dog"]}]
    with pytest.raises(DataError, match="several labels") as caught:
        DRESSES[dress](tmp_path, rows, monkeypatch)
    assert caught.value.code == "data.multi-label"


@pytest.mark.parametrize("dress", DRESSES)
@pytest.mark.parametrize("empty", [None, "", "  "])
def test_an_empty_label_is_named_with_its_row(tmp_path: Path, dress: str, empty: str | None, monkeypatch) -> None:
    rows = [*ROWS, {**ROWS[0], "path": "d.jpg", "label": empty}]
    with pytest.raises(DataError, match=r"(line|row) \d+: path or label is empty") as caught:
        DRESSES[dress](tmp_path, rows, monkeypatch)
    assert caught.value.code == "data.table-rows"


@pytest.mark.parametrize("dress", DRESSES)
def test_missing_values_in_other_columns_are_empty(tmp_path: Path, dress: str, monkeypatch) -> None:
    rows = [{**row, "split": None, "group": None, "Camera": None} for row in ROWS]
    assert [row[2:] for row in columns(DRESSES[dress](tmp_path, rows, monkeypatch))] == [("", "", "")] * 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"path": "a.jpg", "label": "cat"}\nnot json\n', "line 2: not valid JSON"),
        ('{"path": "a.jpg", "label": "cat"}\n["b.jpg", "dog"]\n', "line 2: not a JSON object"),
        ("[" * 100_000, "not valid JSON"),
    ],
)
def test_a_line_that_is_no_object_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "t.jsonl").write_text(text)
    with pytest.raises(DataError, match=said) as caught:
        read_samples(tmp_path / "t.jsonl")
    assert caught.value.code == "data.table-rows"


@pytest.mark.parametrize("dress", ["csv", "jsonl", "frame"])
def test_a_table_without_the_columns_says_what_it_has(tmp_path: Path, dress: str, monkeypatch) -> None:
    with pytest.raises(DataError, match="no column label; beside the paths it has kind") as caught:
        DRESSES[dress](tmp_path, [{"path": "a.jpg", "kind": "cat"}], monkeypatch)
    assert caught.value.code == "data.table-columns"


def test_a_table_may_name_images_in_an_archive(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as file:
        file.writestr("x/1.jpg", b"one")
        file.writestr("x/2.jpg", b"two")
    rows = [{"path": "photos.zip::x/1.jpg", "label": "a"}, {"path": "photos.zip::x/2.jpg", "label": "b"}]
    samples = read_samples(write_csv(tmp_path / "t.csv", rows))
    assert [read_bytes(file) for file in samples.files] == [b"one", b"two"]


# -- pairs ------------------------------------------------------------------------------------------------------


def test_pairs_are_relative_to_the_current_folder(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos)
    pairs = [(Path("red/0.png"), "warm"), ("blue/0.png", "cold"), (photos / "green" / "1.png", "cold")]
    samples = read_samples(pairs)
    assert samples.counts() == {"cold": 2, "warm": 1}
    assert all(file.is_file() for file in samples.files)
    assert samples.source == describe_source(pairs) == "a list of 3 images"


@pytest.mark.parametrize(
    ("pairs", "code"),
    [
        ([], "data.no-images"),
        ([("a.jpg", "cat"), "b.jpg"], "data.table-rows"),
        ([("a.jpg", "cat"), ("b.jpg", ["cat", "dog"])], "data.multi-label"),
        ([("a.jpg", "cat"), ("a.jpg", "dog")], "data.contradiction"),
        ([("a.jpg", "cat"), ("b.jpg", None)], "data.table-rows"),
    ],
)
def test_pairs_that_can_not_be_used_are_refused(pairs: list[Any], code: str) -> None:
    with pytest.raises(DataError) as caught:
        read_samples(pairs)
    assert caught.value.code == code


@pytest.mark.parametrize("source", [{"a.jpg": "cat"}, 7, (["a.jpg"], ["cat"]), None])
def test_what_is_no_source_is_refused(source: Any) -> None:
    with pytest.raises(InputError) as caught:
        read_samples(source)
    assert caught.value.code == "data.not-a-source"


# -- Parquet with images ----------------------------------------------------------------------------------------


def write_images(
    path: Path, images: list[bytes], labels: list[Any], *, label: str = "label", names: Any = None
) -> Path:
    """Write a file as the hub's library does."""
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    cells = pyarrow.array([{"bytes": data, "path": None} for data in images], kind)
    table = pyarrow.table({"image": cells, label: labels})
    if names:
        feature = {"names": names, "_type": "ClassLabel"}
        features = {"image": {"_type": "Image"}, label: feature}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    parquet.write_table(table, path)
    return path


def test_the_same_images_in_every_form_have_the_same_digests(photos: Path, tmp_path: Path, monkeypatch) -> None:
    folder = read_samples(photos)
    names = [folder.classes[label] for label in folder.labels]
    data = [read_bytes(file) for file in folder.files]
    rows = [{"path": f"photos/{path}", "label": name} for path, name in zip(folder.paths, names, strict=True)]
    forms = [DRESSES[dress](tmp_path, rows, monkeypatch) for dress in DRESSES]
    forms.append(read_samples(write_images(tmp_path / "i.parquet", data, names)))
    numbers = [folder.classes.index(name) for name in names]
    forms.append(read_samples(write_images(tmp_path / "n.parquet", data, numbers, names=list(folder.classes))))
    for samples in forms:
        assert samples.classes == folder.classes
        assert list(samples.labels) == list(folder.labels)
        assert [sha256(read_bytes(file)).digest() for file in samples.files] == [sha256(d).digest() for d in data]


def test_class_names_come_from_the_hubs_notes(tmp_path: Path) -> None:
    path = write_images(
        tmp_path / "a.parquet", [b"1", b"2", b"3"], [1, 0, -1], label="fine_label", names=["eel", "cat"]
    )
    samples = read_samples(path)
    assert columns(samples) == [("a.parquet::0", "cat", "", ""), ("a.parquet::1", "eel", "", "")]
    assert samples.skipped == (("a.parquet::2", "unlabelled"),)


def test_a_label_beyond_the_names_is_named(tmp_path: Path) -> None:
    path = write_images(tmp_path / "a.parquet", [b"1", b"2"], [0, 2], names=["eel", "cat"])
    with pytest.raises(DataError, match="row 1: label 2 is out of range: there are 2 classes"):
        read_samples(path)


def test_the_only_column_of_class_names_is_the_label(tmp_path: Path) -> None:
    path = write_images(tmp_path / "a.parquet", [b"1", b"2"], [0, 1], label="scene", names=["eel", "cat"])
    assert read_samples(path).classes == ("cat", "eel")


def test_without_a_label_column_those_there_are_are_named(tmp_path: Path) -> None:
    path = write_images(tmp_path / "a.parquet", [b"1", b"2"], [0, 1], label="scene")
    with pytest.raises(DataError, match="no column label; it has image, scene"):
        read_samples(path)


def test_the_files_of_a_folder_are_one_table(tmp_path: Path) -> None:
    """As the hub's tools leave a set."""
    (tmp_path / "data").mkdir()
    (tmp_path / ".cache").mkdir()
    for part, k in (("train", 0), ("train", 1), ("validation", 0), ("test", 0)):
        name = f"{part}-0000{k}-of-00002.parquet"
        write_images(tmp_path / "data" / name, [b"1", b"2"], [0, 1], names=["eel", "cat"])
    write_images(tmp_path / ".cache" / "train-3.parquet", [b"1"], [0], names=["eel", "cat"])
    samples = read_samples(tmp_path)
    assert samples.classes == ("cat", "eel")
    assert samples.given.tolist() == ["test"] * 2 + ["train"] * 4 + ["val"] * 2
    assert [read_bytes(file) for file in samples.files] == [b"1", b"2"] * 4
    assert samples.paths[0] == "data/test-00000-of-00002.parquet::0"


def test_files_with_different_columns_are_several_sets(tmp_path: Path) -> None:
    write_images(tmp_path / "train.parquet", [b"1", b"2"], [0, 1])
    write_parquet(tmp_path / "test.parquet", [{"path": "a", "label": 0, "note": "x"}])
    with pytest.raises(DataError) as caught:
        read_samples(tmp_path)
    assert caught.value.code == "data.hub-layout"


def test_a_damaged_parquet_file_is_an_error_of_the_data(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError) as caught:
        read_samples(tmp_path / "a.parquet")
    assert caught.value.code == "data.archive"


# -- arrays -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(6, 5, 4, 3), (6, 5, 4)])
@pytest.mark.parametrize(
    "labels", [list("abcabc"), np.array([0, 1, 2, 0, 1, 2]), np.array([[0], [1], [2], [0], [1], [2]])]
)
def test_arrays_are_places_as_all_others(shape: tuple[int, ...], labels: Any, cache: Path) -> None:
    from sightline.pixels.decode import decode_image

    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    samples = read_samples((pixels, labels))
    assert [samples.classes[label] for label in samples.labels] == [str(label) for label in np.ravel(labels)]
    for row, file in enumerate(samples.files):
        assert (decode_image(file) == np.broadcast_to(pixels[row].reshape(5, 4, -1), (5, 4, 3))).all()
    assert samples.source == "an array of 6 images"
    again = read_samples((pixels.copy(), labels))
    assert list(again.paths) == list(samples.paths)
    assert len(list((cache / "arrays").iterdir())) == 1


def test_arrays_of_other_pixels_or_another_shape_are_other_files(cache: Path) -> None:
    pixels = np.zeros((2, 4, 6), np.uint8)
    for other in (pixels, pixels.reshape(2, 6, 4), pixels + 1):
        read_samples((other, [0, 1]))
    assert len(list((cache / "arrays").iterdir())) == 3


@pytest.mark.parametrize(
    ("images", "labels", "code"),
    [
        (np.zeros((2, 4, 4)), [0, 1], "data.array"),
        (np.zeros((2, 3, 4, 4), np.uint8), [0, 1], "data.array"),
        (np.zeros((2, 4), np.uint8), [0, 1], "data.array"),
        (np.zeros((2, 4, 4), np.uint8), [0], "data.array"),
        (np.zeros((2, 4, 4), np.uint8), np.eye(2, dtype=int), "data.multi-label"),
        (np.zeros((2, 4, 4), np.uint8), [["a", "b"], ["a"]], "data.multi-label"),
        (np.zeros((0, 4, 4), np.uint8), [], "data.no-images"),
    ],
)
def test_arrays_of_another_form_are_refused(images: Any, labels: Any, code: str) -> None:
    with pytest.raises(DataError) as caught:
        read_samples((images, labels))
    assert caught.value.code == code


@pytest.mark.parametrize("name", ["image", "img", "bytes", "picture", "photo", "content"])
def test_a_column_with_a_usual_name_is_the_image_before_other_columns_of_bytes(name: str) -> None:
    schema = pyarrow.schema([("thumbnail", pyarrow.binary()), (name, pyarrow.binary())])
    assert image_column(schema) == name
