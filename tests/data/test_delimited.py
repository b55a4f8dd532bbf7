"""The one reader of delimited text: whatever was written comes back, or is refused with its line."""

from __future__ import annotations

import csv
import io
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.checks.checkup import check_subject
from sightline.checks.subject import Subject
from sightline.data.delimited import Lines, find_known, read_delimited
from sightline.data.fixes import read_fixes
from sightline.data.samples import Samples
from sightline.data.sources import read_samples
from sightline.data.split import make_split_of_nothing
from sightline.errors import DataError, InputError
from sightline.measuring.columns import read_columns

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16"]


@given(
    st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=8),
    st.sampled_from(",;\t"),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(ENCODINGS),
    st.booleans(),
)
def test_what_the_csv_module_writes_comes_back(
    cells: list[list[str]], delimiter: str, end: str, encoding: str, excel: bool
) -> None:
    out = io.StringIO(newline="")
    out.write(f"sep={delimiter}{end}" if excel else "")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([["path", "note", "more"], *cells])
    read = read_delimited(out.getvalue().encode(encoding), "t.csv", is_exact=True)
    assert read.columns == ("path", "note", "more")
    assert [list(row.cells) for row in read.rows] == [row for row in cells if any(row)]


def table_of_40(note: str, at: int, closing: str = "", closed_at: int = 0) -> str:
    """Return 40 rows with notes, one with a stray quotation mark, and perhaps another that closes it."""
    notes = {at: note, **({closed_at: closing} if closed_at else {})}
    rows = "".join(f"{k}.jpg,{'cat' if k % 2 else 'dog'},{notes.get(k, 'fine')}\n" for k in range(40))
    return f"path,label,note\n{rows}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (table_of_40('"tall', 5, 'wide"', 15), "lines 7 to 17"),
        (table_of_40('"tall', 5, '"wide"', 15), "line 7"),
        (table_of_40('"tall', 5), "line 7"),
        (table_of_40('"tall', 5, 'wide"', 6), "lines 7 to 8"),
        (table_of_40('"tall" oak', 5), "line 7"),
        ("path,label\n" + 'a.jpg,"cat\nb.jpg,dog\nc.jpg,cow"\nd.jpg,cat\n', "lines 2 to 4"),
        ('note,label,path\n"tall,cat,a.jpg\nwide",dog,b.jpg\nx,cat,c.jpg\n', "lines 2 to 3"),
    ],
)
def test_a_stray_quotation_mark_loses_no_row(tmp_path: Path, text: str, line: str) -> None:
    """It took ten of 40 rows into one note, and nothing was said."""
    file = tmp_path / "labels.csv"
    file.write_text(text)
    with pytest.raises(DataError) as caught:
        read_samples(file)
    assert caught.value.code == "data.table-rows"
    assert f"{line}: " in caught.value.message
    assert "quotation mark" in caught.value.cure


def test_a_note_of_several_lines_is_a_note_and_is_counted(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text('path,label,note\na.jpg,cat,"seen at dusk,\nnear the river, wet"\nb.jpg,dog,12" tall\n')
    samples = read_samples(file)
    assert list(samples.extra["note"]) == ["seen at dusk,\nnear the river, wet", '12" tall']
    assert "2 rows, of which 1 go on over several lines" in samples.notes[0]


@pytest.mark.parametrize(
    "note",
    [
        "seen at dusk,\nfound again on pets, flickr.com",  # another column holds flickr.com
        "seen at dusk,\nas in b.jpg, c.jpg",
        "as in a.jpg, b.jpg, c.jpg\nand more, at dusk",
        "cat,dog,cow,hen\nseen at dusk",
    ],
)
def test_a_note_that_names_files_and_sites_is_a_note(note: str) -> None:
    text = f'path,label,source,note\na.jpg,cat,flickr.com,fine\nb.jpg,dog,flickr.com,"{note}"\n'
    assert read_delimited(text.encode(), "t.csv").rows[1].cells[3] == note


def test_long_notes_are_looked_at_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row was compared with each long one: a table of 32,000 rows took 8 s."""
    compared = 0

    def count(one: Lines, other: object) -> bool:
        nonlocal compared
        compared += 1
        return tuple.__eq__(one, other)

    monkeypatch.setattr(Lines, "__eq__", count)
    rows = "".join(f'a{k}.jpg,cat,"a longer note\nof two lines"\nb{k}.jpg,dog,short\n' for k in range(200))
    assert len(read_delimited(f"path,label,note\n{rows}".encode(), "t.csv").rows) == 400
    assert compared <= 400


def findings_of(samples: Samples, code: str) -> list[str]:
    subject = Subject(samples, make_split_of_nothing(samples), None, None)
    return [finding.message for finding in check_subject(subject) if finding.code == code]


def test_repeated_rows_are_counted_and_reported(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("path,label,site\n" + "a.jpg,cat,x\n" * 11 + "b.jpg,dog,y\nb.jpg,dog,z\n")
    samples = read_samples(file)
    assert (len(samples), sorted(samples.skipped_counts().values())) == (2, [1, 10])
    words = findings_of(samples, "skipped")
    assert any("10 skipped: listed once more" in word for word in words)
    assert any("1 skipped: listed once more with other cells" in word for word in words)


def test_class_names_that_count_as_one_are_reported(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "Käfer") for form in ("NFC", "NFD"))
    for name in ("cat", "cat ", composed, decomposed):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").write_bytes(b"x")
    (message,) = findings_of(read_samples(tmp_path), "merged-names")
    assert "'cat' (1 image) and 'cat ' (1 image)" in message
    assert "decomposed letters" in message
    pairs = [("a.jpg", "cat"), ("b.jpg", "cat "), ("c.jpg", "dog")]
    assert findings_of(read_samples(pairs), "merged-names")


# -- two columns of one name ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "path,label,Label\na.jpg,cat,dog\nb.jpg,dog,cat\n"),
        ("t.csv", "path,label,label\na.jpg,cat,dog\nb.jpg,dog,cat\n"),
        ("t.csv", "path,Path,label\na.jpg,b.jpg,cat\n"),
        ("t.tsv", "path\tlabel\tsite\tsite\na.jpg\tcat\tx\ty\n"),
        ("t.jsonl", '{"path": "a.jpg", "label": "cat", "label": "dog"}\n{"path": "b.jpg", "label": "dog"}\n'),
        ("t.jsonl", '{"path": "b.jpg", "label": "dog"}\n{"path": "a.jpg", "label": "cat", "LABEL": "dog"}\n'),
    ],
)
def test_two_columns_of_one_name_are_refused_and_both_named(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(DataError) as caught:
        read_samples(file)
    assert caught.value.code == "data.table-columns"
    assert "two columns" in caught.value.message and caught.value.message.count("(column ") == 2


@pytest.mark.parametrize("names", [["path", "label", "Label"], ["path", "label", "label"], ["path", "label", "x", "x"]])
def test_two_columns_of_one_name_are_refused_in_frames_and_parquet(tmp_path: Path, names: list[str]) -> None:
    import pandas
    import pyarrow
    from pyarrow import parquet

    frame = pandas.DataFrame([["a.jpg", *"bcd"[: len(names) - 1]]], columns=names)
    parquet.write_table(
        pyarrow.Table.from_arrays([pyarrow.array(["a.jpg"])] * len(names), names), tmp_path / "t.parquet"
    )
    for source in (frame, tmp_path / "t.parquet"):
        with pytest.raises(DataError, match="two columns"):
            read_samples(source)


def test_two_columns_of_one_name_are_refused_in_fixes_and_columns(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("path,action,value,value\na.jpg,relabel,cat,dog\n")
    with pytest.raises(InputError, match="two columns"):
        read_fixes(file)
    file.write_text("path,site,site\na.jpg,x,y\n")
    with pytest.raises(DataError, match="two columns"):
        read_columns(Samples(tmp_path, "t", ("cat",), np.array(["a.jpg"], object), np.array([0])), file)


# -- one reader ---------------------------------------------------------------------------------------------------

DRESSES = {
    "commas": lambda text: text.encode(),
    "semicolons": lambda text: text.replace(",", ";").encode(),
    "tabs": lambda text: text.replace(",", "\t").encode(),
    "mark": lambda text: text.encode("utf-8-sig"),
    "crlf": lambda text: text.replace("\n", "\r\n").encode(),
    "excel": lambda text: ("sep=;\n" + text.replace(",", ";")).encode(),
    "unicode text": lambda text: text.replace(",", "\t").encode("utf-16"),
    "backslashes": lambda text: text.replace("/", "\\").encode(),
    "decomposed": lambda text: unicodedata.normalize("NFD", text).encode(),
    "dot": lambda text: text.replace("k/", "./k/").encode(),
}


@pytest.mark.parametrize("dress", DRESSES)
def test_tables_fixes_and_columns_are_read_in_every_dress(tmp_path: Path, dress: str) -> None:
    image = "k/Käfer 1.jpg"
    samples = Samples(tmp_path, "t", ("cat", "dog"), np.array([image, "x.jpg"], object), np.array([0, 1]))
    file = tmp_path / "t.csv"
    file.write_bytes(DRESSES[dress](f"path,action,value,reason\n{image},relabel,dog,\n"))
    from sightline.data.fixes import apply_fixes

    assert apply_fixes(samples, read_fixes(file)).labels.tolist() == [1, 1]
    file.write_bytes(DRESSES[dress](f"path,site\n{image},north\n"))
    more, named = read_columns(samples, file)
    assert list(more.extra["site"]) == ["north", ""] and named.tolist() == [True, False]
    file.write_bytes(DRESSES[dress](f"path,label\n{image},cat\nx.jpg,dog\n"))
    assert find_known(str(read_samples(file).paths[0]), {image: 0}) == image


@pytest.mark.parametrize("read", ["table", "fixes", "columns"])
def test_another_encoding_is_named_by_every_reader(tmp_path: Path, read: str) -> None:
    file = tmp_path / "t.csv"
    header = {"table": "path,label", "fixes": "path,action,value", "columns": "path,site"}[read]
    file.write_bytes(f"{header}\nx.jpg,Bär,größer\n".encode("cp1252"))
    samples = Samples(tmp_path, "t", ("cat",), np.array(["x.jpg"], object), np.array([0]))
    if read == "fixes":  # names of files may be any bytes there
        with pytest.raises(InputError, match="not a valid fix"):
            read_fixes(file)
        return
    with pytest.raises(DataError) as caught:
        read_samples(file) if read == "table" else read_columns(samples, file)
    assert "CP1252" in caught.value.cure and "Bär" in caught.value.message


def test_two_rows_of_columns_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    samples = Samples(tmp_path, "t", ("cat",), np.array(["x.jpg"], object), np.array([0]))
    file.write_text("path,site\nx.jpg,north\nx.jpg,north\n")
    assert list(read_columns(samples, file)[0].extra["site"]) == ["north"]
    file.write_text("path,site\nx.jpg,north\nx.jpg,south\n")
    with pytest.raises(DataError, match="line 3"):
        read_columns(samples, file)
