"""The notebook runs from the first cell to the last, in a kernel of this interpreter, and shows what it says."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

pytestmark = pytest.mark.e2e

NOTEBOOK = Path(__file__).parents[2] / "examples" / "quickstart.ipynb"
# huggingface_hub (through timm) imports tqdm.auto, which asks every notebook without ipywidgets to install it.
THIRD_PARTY = re.compile(
    r"\S*tqdm/auto\.py:\d+: TqdmWarning: IProgress not found\..*\n.*import tqdm as notebook_tqdm\n"
)
SECONDS = 300  # for one cell: a guard against a hanging kernel, not a measure of speed


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """Return (the notebook with its outputs, the folder in which it ran)."""
    pytest.importorskip("torch")
    from ipykernel.kernelspec import write_kernel_spec
    from nbclient import NotebookClient

    home = tmp_path_factory.mktemp("quickstart")
    work = home / "work"
    work.mkdir()
    write_kernel_spec(home / "jupyter" / "kernels" / "python3")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(home / "jupyter"))
        patch.setenv("SIGHTLINE_CACHE", str(home / "cache"))
        patch.setenv("SIGHTLINE_NOTEBOOK_EPOCHS", "2")
        for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
            patch.setenv(name, str(home / name.lower()))
        patch.delenv("MPLBACKEND", raising=False)  # the kernel chooses the one that draws into cells
        notebook = nbformat.read(NOTEBOOK, as_version=4)
        where = {"metadata": {"path": str(work)}}
        NotebookClient(notebook, timeout=SECONDS, kernel_name="python3", resources=where).execute()
    return notebook, work


def outputs_of(notebook: Any, cell_id: str) -> list[Any]:
    (cell,) = (cell for cell in notebook.cells if cell.id == cell_id)
    return list(cell.outputs)


def shown_in(notebook: Any, cell_id: str, kind: str) -> str:
    return "".join(str(output.get("data", {}).get(kind, "")) for output in outputs_of(notebook, cell_id))


def test_it_is_committed_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


def test_no_cell_fails_or_complains(executed: tuple[Any, Path]) -> None:
    notebook, _ = executed
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert [output for output in outputs if output.output_type == "error"] == []
    complaints = [output.text for output in outputs if output.get("name") == "stderr"]
    assert [text for text in complaints if not THIRD_PARTY.fullmatch(text)] == []


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
    (printed,) = outputs_of(notebook, "report")
    assert (work / printed.text.strip()).is_file()
