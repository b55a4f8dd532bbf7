"""Run folders made to harm, or by hand: each file in turn; every reader answers, or has a cure."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.errors import RunError, SightlineError
from sightline.reporting.page import render_report
from sightline.reviewing.compare import compare_runs
from sightline.reviewing.verify import verify_run
from sightline.runs.array_files import read_array, read_arrays
from sightline.runs.dataset import read_dataset
from sightline.runs.folder import Run, list_runs
from sightline.runs.json_forms import Each, Maybe, refuse_form
from sightline.runs.lookup import find_run
from sightline.runs.measured import read_measured
from sightline.runs.table import read_rows
from sightline.steps import result_of

pytestmark = pytest.mark.usefixtures("no_figures")

JSON = ["run.json", "data/findings.json", "evaluation/metrics.json", "learning_curve.json"]
WRONG: list[Any] = [{}, [], "x", -1, 1e308, None, True, {"a": {"b": []}}, [[]]]
DEEP = "[" * 100_000
RENDERED = 20  # of the harms: rendering takes a while


def read_all(run: Run) -> None:
    """Read what a command could."""
    facts = run.facts
    for name in ("status", "classes", "data_root", "data", "model"):
        _ = facts[name]
    read_dataset(run)
    _ = run.plan, run.history, run.steps, run.metrics, run.findings, run.learning_curve, run.validation, run.views
    measured = read_measured(run)
    _ = measured.probabilities, measured.features


READERS: dict[str, Callable[[Run], object]] = {
    "read": read_all,
    "list_runs": lambda run: list_runs(run.folder.parent),
    "runs": lambda run: read_rows(run.folder.parent),
    "latest": lambda run: find_run("latest", folder=run.folder.parent),
    "verify": lambda run: result_of(verify_run(run, with_data=False)),
}


def assert_answered(run: Run, reader: Callable[[Run], object], harm: str) -> None:
    """Call a reader: an error must be ours, name the run and have a cure."""
    try:
        reader(run)
    except SightlineError as error:
        assert error.cure and len(str(error)) < 2_000, harm
        assert run.folder.name in str(error) or error.code == "run.no-latest", f"{harm}: {error}"
    except Exception as error:
        pytest.fail(f"{harm}: {type(error).__name__}: {error}")


def places(value: Any, depth: int) -> Iterator[tuple[Any, ...]]:
    """Yield the places in a document, of lists the first entry alone."""
    if depth and isinstance(value, dict):
        for name, inner in value.items():
            yield (name,)
            yield from ((name, *rest) for rest in places(inner, depth - 1))
    elif depth and isinstance(value, list) and value:
        yield (0,)
        yield from ((0, *rest) for rest in places(value[0], depth - 1))


def harmed(text: str) -> list[tuple[str, str]]:
    """Return (name, document): each field missing, or of each wrong type, in an order drawn with a fixed seed."""
    found = [(name, name) for name in ("", "{}", "[]", "null", "1", '"x"', "NaN", "{", "\x00", "\ufeff{}")]
    for place in places(json.loads(text), 3):
        for wrong in ("missing", *WRONG):
            document = json.loads(text)
            inner = document
            for step in place[:-1]:
                inner = inner[step]
            if wrong == "missing":
                del inner[place[-1]]
            else:
                inner[place[-1]] = wrong
            found.append((f"{place} = {wrong!r}", json.dumps(document)))
    random.Random(0).shuffle(found)
    return [("deep", DEEP), ("deep inside", '{"status": ' + DEEP), *found]


@pytest.mark.parametrize("file", JSON)
def test_no_document_is_a_fault_of_ours(copied_run: Run, file: str) -> None:
    path = copied_run.folder / file
    if not path.is_file():
        path.write_text("{}")
    harms = harmed(path.read_text())
    for number, (name, document) in enumerate(harms[:90]):
        path.write_text(document)
        for kind, reader in READERS.items():
            if kind != "verify" or number % 15 == 0:
                assert_answered(copied_run, reader, f"{kind}, {file}: {name}")


@pytest.mark.parametrize("file", JSON)
def test_no_document_breaks_the_page(copied_run: Run, file: str) -> None:
    path = copied_run.folder / file
    if not path.is_file():
        path.write_text("{}")
    for name, document in harmed(path.read_text())[: RENDERED // len(JSON)]:
        path.write_text(document)
        assert_answered(copied_run, render_report, f"report, {file}: {name}")
        if file in ("run.json", "evaluation/metrics.json"):
            assert_answered(copied_run, lambda run: result_of(compare_runs([run, run])), f"compare, {file}: {name}")


def header(shape: str, kind: str = "<f4") -> bytes:
    text = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


FORGED = {
    "terabytes": header("(1000000000, 3000)") + b"\x00" * 64,
    "more rows": header("(18, 3)") + b"\x00" * 12,
    "negative": header("(-4, -4)") + b"\x00" * 64,
    "objects": header("(1,)", "|O") + b"cos\nsystem\n(S'true'\ntR.",
    "brackets": header("(" * 9_000),
    "overflow": header("(4611686018427387904, 4611686018427387904)"),
    "no magic": b"PK\x03\x04",
    "empty": b"",
    "text": header("(1,)", "<U1000000000"),
    "other": header("'x'"),
}


@pytest.mark.parametrize("name", FORGED)
@pytest.mark.parametrize("file", ["evaluation/probabilities.npy", "evaluation/features.npy"])
def test_a_forged_array_is_named_and_nothing_is_allocated(copied_run: Run, file: str, name: str) -> None:
    (copied_run.folder / file).write_bytes(FORGED[name])
    with pytest.raises(RunError) as caught:
        read_all(copied_run)
    assert caught.value.code == "run.damaged" and Path(file).name in caught.value.message
    assert_answered(copied_run, READERS["verify"], name)


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_array_in_an_archive_is_named(copied_run: Run, name: str) -> None:
    for file in (copied_run.views_file, copied_run.validation_file):
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("labels.npy", FORGED[name])
        with pytest.raises(RunError, match=file.name) as caught:
            _ = copied_run.views, copied_run.validation
        assert caught.value.code == "run.damaged"
        file.unlink()


def test_an_archive_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "views.npz"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.npy", header("(3,)"))
    data = file.read_bytes()
    size = len(header("(3,)")).to_bytes(4, "little")
    file.write_bytes(
        data.replace(size + (10).to_bytes(2, "little"), (2**32 - 2).to_bytes(4, "little") + (10).to_bytes(2, "little"))
    )
    with pytest.raises(ValueError, match=r"claim 4,294,967,294 bytes"):
        read_arrays(file)


@pytest.mark.parametrize(
    "array", [np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros((0, 4)), np.array(["a", "bc"])]
)
def test_what_was_written_is_read(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "one.npy", array)
    assert (read_array(tmp_path / "one.npy") == array).all() and read_array(tmp_path / "one.npy").dtype == array.dtype
    out = io.BytesIO()
    np.savez_compressed(out, one=np.asfortranarray(array), two=np.float32(3))
    (tmp_path / "both.npz").write_bytes(out.getvalue())
    both = read_arrays(tmp_path / "both.npz")
    assert both is not None and (both["one"] == array).all() and both["two"] == 3
    assert read_arrays(tmp_path / "none.npz") is None


@pytest.mark.parametrize(
    ("value", "form", "said"),
    [
        ({"a": [{"b": 1}]}, {"a": [{"b": str}]}, r"a\[0\]\.b is a number, not a text"),
        ({"a": {}}, {"a": {"b": str}}, "no a.b"),
        ([], {"a": str}, "it is a list, not an object"),
        ({"a": True}, {"a": int}, "a is true or false, not a number"),
        ({"x": 1}, Each(str), "x is a number"),
        ({"a": None}, {"a": str}, "a is nothing, not a text"),
    ],
)
def test_the_place_of_a_wrong_type_is_named(value: Any, form: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        refuse_form(value, form)


def test_fields_beyond_the_form_and_absent_ones_that_may_be_are_fine() -> None:
    refuse_form({"a": 1, "more": []}, {"a": (int, float), "b": Maybe(str), "c": Maybe(Each(int))})
    refuse_form({"a": 1, "b": None}, {"a": int, "b": Maybe(str)})
