"""What is released: the wheel, not the checkout, in an empty environment, predicts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from workers import make_once

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""

    def build(folder: Path) -> None:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
        made = subprocess.run(
            [*pip, "wheel", "--no-deps", "-w", str(folder), str(ROOT)], capture_output=True, text=True
        )
        assert made.returncode == 0, made.stderr

    (wheel,) = make_once(tmp_path_factory, "wheel", build).glob("*.whl")
    return wheel


def test_the_wheel_holds_every_file_of_the_package_and_the_licence(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    files = [path for path in SOURCE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert {path.relative_to(SOURCE).as_posix() for path in files if ".egg-info" not in str(path)} <= names
    assert {"sightline/py.typed", "sightline/planning/recipes/cnn-dropout.toml"} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if not name.startswith(("sightline/", "sightline-"))]


def test_the_wheel_predicts_in_an_empty_environment(wheel, tmp_path, tiny_model, colours):
    environment = tmp_path / "empty"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    scripts = environment / ("Scripts" if os.name == "nt" else "bin")
    # This environment's pip fills the empty one, and leaves it to Python to compile what is imported.
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(environment)]
    install = [*pip, "install", "--quiet", "--no-compile", "-c", ROOT / "constraints.txt", wheel]
    done = subprocess.run(install, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shutil.copy(tiny_model, tmp_path / "model.onnx")
    image = shutil.copy(next((colours / "red").iterdir()), tmp_path / "red.png")
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [scripts / "sightline", "predict", "model.onnx", image, "--max-novelty", "9999", "--json"]
    said = subprocess.run(command, cwd=tmp_path, env=own, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["predictions"][0]["label"] == "red"
    code = (
        "import importlib.util as u, sightline; print(sightline.__file__, u.find_spec('torch'), u.find_spec('sklearn'))"
    )
    where = subprocess.run([scripts / "python", "-c", code], cwd=tmp_path, env=own, capture_output=True, text=True)
    assert str(environment) in where.stdout and where.stdout.split()[1:] == ["None", "None"]
