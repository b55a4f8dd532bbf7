"""One environment for all tests of what is released: the wheel in an empty one, then with ``[light]``, never torch."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from installed import program, run_program, sightline
from workers import make_once

ROOT = Path(__file__).parents[2]
_PIP = ("-m", "pip", "--disable-pip-version-check")
_FOUND = (
    "import importlib.util as u, sightline; print(sightline.__file__, *(u.find_spec(n) for n in ('torch', 'sklearn')))"
)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""

    def build(folder: Path) -> None:
        run_program(sys.executable, *_PIP, "wheel", "--quiet", "--no-deps", "-w", folder, ROOT)

    (wheel,) = make_once(tmp_path_factory, "wheel", build).glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def without_torch(tmp_path_factory: pytest.TempPathFactory, wheel: Path, tiny_model: Path, colours: Path) -> Path:
    """A folder with an environment ``venv``: the wheel with ``[light]``, from constraints.

    Before ``[light]`` was added, the wheel alone predicted: ``base.json`` has the command's return code, stdout and
    stderr, and what was found of Sightline, torch and scikit-learn then.
    """

    def install(folder: Path) -> None:
        venv = folder / "venv"
        run_program(sys.executable, "-m", "venv", "--without-pip", venv)
        # This environment's pip fills the empty one, and leaves it to Python to compile what is imported.
        pip = [sys.executable, *_PIP, "--python", venv, "install", "--quiet", "--no-compile"]
        pip += ["-c", ROOT / "constraints.txt"]
        run_program(*pip, wheel)
        (folder / "base.json").write_text(json.dumps(_predict(folder, tiny_model, next((colours / "red").iterdir()))))
        run_program(*pip, f"sightline[light] @ {wheel.as_uri()}")

    return make_once(tmp_path_factory, "without-torch", install)


def _predict(folder: Path, model: Path, image: Path) -> dict[str, object]:
    shutil.copy(model, folder / "model.onnx")
    shutil.copy(image, folder / "red.png")
    said = sightline(folder, *["predict", "model.onnx", "red.png", "--max-novelty", "9999", "--json"], cwd=folder)
    found = run_program(program(folder, "python"), "-c", _FOUND, cwd=folder)
    return {"code": said.code, "stdout": said.out, "stderr": said.err, "found": found.split()}
