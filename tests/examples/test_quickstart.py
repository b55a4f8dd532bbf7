"""The notebook runs from the first cell to the last, in a kernel of this interpreter, and shows what it says."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from notebooks import execute, faults_of, printed_in, shown_in

pytestmark = pytest.mark.e2e

NOTEBOOK = Path(__file__).parents[2] / "examples" / "quickstart.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """Return (the notebook with its outputs, the folder in which it ran)."""
    home = tmp_path_factory.mktemp("quickstart")
    return execute(NOTEBOOK, home, environment={"SIGHTLINE_NOTEBOOK_EPOCHS": "3"}), home / "work"


def test_no_cell_fails_or_complains(executed: tuple[Any, Path]) -> None:
    notebook, _ = executed
    assert faults_of(notebook) == []


def test_training_shows_a_table_with_a_row_for_each_epoch(executed: tuple[Any, Path]) -> None:
    notebook, _ = executed
    shown = shown_in(notebook, "train", "text/html")
    assert "<th>epoch</th>" in shown
    assert "<td>1</td>" in shown
    assert "<td>2</td>" in shown


def test_run_and_tables_show_themselves(executed: tuple[Any, Path]) -> None:
    notebook, _ = executed
    assert "finished" in shown_in(notebook, "run", "text/html")
    assert shown_in(notebook, "classes", "text/markdown").count("\n| ") == 10
    assert shown_in(notebook, "predict", "text/html").count("<td>") == 3 * 3
    assert "accuracy" in shown_in(notebook, "evaluate", "text/html")
    for cell_id in ("curves", "look"):
        assert shown_in(notebook, cell_id, "image/png")


def test_accuracy_is_far_above_chance(executed: tuple[Any, Path]) -> None:
    notebook, _ = executed
    accuracy = ast.literal_eval(shown_in(notebook, "metrics", "text/plain"))
    assert accuracy["value"] > 0.8
    assert accuracy["low"] < accuracy["value"] <= accuracy["high"]


def test_it_writes_into_its_own_folder_only(executed: tuple[Any, Path]) -> None:
    notebook, work = executed
    assert [path.name for path in work.iterdir()] == ["sightline-quickstart"]
    assert (work / printed_in(notebook, "report").strip()).is_file()
