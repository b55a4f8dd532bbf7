"""What is released: the wheel, not the checkout, in an empty environment, predicts."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e
SOURCE = Path(__file__).parents[2] / "src"


def test_the_wheel_holds_every_file_of_the_package_and_the_licence(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    files = [path for path in SOURCE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert {path.relative_to(SOURCE).as_posix() for path in files if ".egg-info" not in str(path)} <= names
    assert {"sightline/py.typed", "sightline/planning/recipes/cnn-dropout.toml"} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if not name.startswith(("sightline/", "sightline-"))]


def test_the_wheel_predicts_in_an_empty_environment(without_torch):
    said = json.loads((without_torch / "base.json").read_text())  # before [light] was added
    assert said["code"] == 0, said["stderr"]
    assert json.loads(said["stdout"])["predictions"][0]["label"] == "red"
    where, *others = said["found"]
    assert where.startswith(str(without_torch / "venv")) and others == ["None", "None"]
