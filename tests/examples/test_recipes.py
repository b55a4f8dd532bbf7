"""The notebooks of the packaged recipes run from the first cell to the last, on few small images."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from finished import write_colours
from notebooks import execute, faults_of, printed_in, shared_kernel, shown_in
from sightline.planning.recipe import list_recipes

EXAMPLES = Path(__file__).parents[2] / "examples"
ALL = sorted(EXAMPLES.glob("*.ipynb"))
LIGHT = {"epochs": 1, "batch_size": 16}
# What makes each small: another network of its kind with random weights, where the recipe's own takes minutes.
NOTEBOOKS: dict[str, dict[str, Any]] = {
    "convnext_tiny_finetune": {**LIGHT, "model": "test_convnext", "pretrained": False, "size": 32, "resize": 32},
    "resnet_transfer_flowers": {
        **LIGHT,
        "model": "test_resnet",
        "pretrained": False,
        "size": 32,
        "resize": 32,
        "head_first": False,
        "freeze_body": False,
    },
    "intel_scenes_small_resnet": LIGHT,
    "convnext_small_images": LIGHT,
    "cifar10_cnn": LIGHT,
}
IMAGES = ("samples", "curves", "mistakes")


@pytest.mark.parametrize("file", ALL, ids=lambda file: file.stem)
def test_it_is_committed_without_outputs(file: Path) -> None:
    notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.outputs for cell in code] == [[]] * len(code)
    assert {cell.execution_count for cell in code} == {None}


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_names_a_packaged_recipe(name: str) -> None:
    values: dict[str, Any] = {}
    exec(parameters_of(name), values)
    assert values["RECIPE"] in [recipe.name for recipe in list_recipes()]


def parameters_of(name: str) -> str:
    notebook = nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)
    (cell,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    return str(cell.source)


@pytest.fixture(scope="module")
def kernel() -> Iterator[Any]:
    with shared_kernel() as one:
        yield one


@pytest.mark.e2e
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_cell_shows_what_it_should(name: str, tmp_path: Path, kernel: Any) -> None:
    data = write_colours(tmp_path / "work" / "images", 14, side=32)
    shutil.copytree(data / "red", tmp_path / "work" / "unlabelled")
    chosen = f"DATA, OPTIONS, UNLABELLED = 'images', {NOTEBOOKS[name]!r}, 'unlabelled'"
    notebook = execute(EXAMPLES / f"{name}.ipynb", tmp_path, parameters=chosen, kernel=kernel)
    assert faults_of(notebook) == []
    ids = {cell.id for cell in notebook.cells}
    for cell in (*IMAGES, *({"shares", "matrix", "steps", "unlabelled", "baseline-curves"} & ids)):
        assert shown_in(notebook, cell, "image/png"), cell
    assert "finished" in shown_in(notebook, "train", "text/html")
    table = shown_in(notebook, "classes", "text/markdown")
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == ["blue", "green", "red"]
    shares = [float(line.split()[-1].rstrip("%")) for line in printed_in(notebook, "predict").splitlines()[1:]]
    assert len(shares) == 3 and sum(shares) == pytest.approx(100, abs=0.1)
    runs = sorted((tmp_path / "work" / "runs").iterdir())
    assert len(runs) == (2 if name == "cifar10_cnn" else 1)
    assert all(json.loads((run / "run.json").read_text())["status"] == "finished" for run in runs)
