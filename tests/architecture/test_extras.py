"""Each extra declares what its commands import: by the source, the declarations and what packages bring along."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from sightline.installation import EXTRAS

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "sightline"
FILES = sorted(SOURCE.rglob("*.py"))
TREES = {file: ast.parse(file.read_text(encoding="utf-8")) for file in FILES}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DECLARED = {"": PROJECT["dependencies"], **PROJECT["optional-dependencies"]}
DISTRIBUTIONS = packages_distributions()

# What each room may import. All others do with [light].
ROOMS = {
    **dict.fromkeys(("pixels", "runtime", "display", "cli"), ""),  # whoever only predicts
    **dict.fromkeys(("networks", "training", "exporting"), "train"),
    "tuning": "tune",
}
# Files that read a format or serve a tracker, which has an extra of its own.
OWN = {
    "pixels/parquet.py": "parquet",
    "data/parquet.py": "parquet",
    "data/hub.py": "hub",
    "predicting/named_images.py": "parquet",
    "predicting/parquet_rows.py": "parquet",
    "pixels/opening.py": "heic",
    "exporting/openvino_format.py": "openvino",
    "exporting/coreml_format.py": "coreml",
    "exporting/tflite_format.py": "tflite",
    "tracking/tensorboard.py": "tensorboard",
    "tracking/mlflow.py": "mlflow",
    "tracking/wandb.py": "wandb",
}
BROUGHT = {"pandas": "with a DataFrame", "IPython": "with a notebook"}  # by who uses Sightline there


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def brought_by(requirement: str) -> frozenset[str]:
    """A distribution and all that it requires here, as plain names; ours by their declarations."""
    found = Requirement(requirement)
    if found.name == "sightline":
        return frozenset().union(*(distributions_of(extra) for extra in found.extras))
    names = {plain(found.name)}
    try:
        below = [Requirement(line) for line in requires(found.name) or []]
    except PackageNotFoundError:  # an extra that is not installed here
        return frozenset(names)
    for one in below:
        extras = ["", *found.extras]
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras):
            names |= brought_by(f"{one.name}[{','.join(one.extras)}]" if one.extras else one.name)
    return frozenset(names)


def distributions_of(extra: str) -> frozenset[str]:
    return frozenset().union(*map(brought_by, DECLARED[extra]), *([distributions_of("")] if extra else []))


def distribution_of(module: str) -> str:
    return plain(DISTRIBUTIONS.get(module, [module])[0])


def imports_of(file: Path) -> set[str]:
    """The packages of others that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(TREES[file]):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add((node.module or "").partition(".")[0])
    return names - {*sys.stdlib_module_names, "sightline", *BROUGHT}


def test_what_a_file_imports_is_declared_for_those_who_use_it():
    undeclared = []
    for file in FILES:
        name = file.relative_to(SOURCE).as_posix()
        extra = ROOMS.get(name.partition("/")[0], "light" if "/" in name else "")
        allowed = distributions_of(extra) | (distributions_of(OWN[name]) if name in OWN else set())
        undeclared += [(name, module) for module in imports_of(file) if distribution_of(module) not in allowed]
    assert undeclared == []


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_table_of_extras_is_that_of_the_package(extra):
    """What is asked for before a command begins is what the extra declares, no less."""
    declared = {plain(Requirement(line).name) for line in DECLARED[extra]} - {"sightline"}
    asked = {distribution_of(module) for module in EXTRAS[extra]}
    assert asked <= distributions_of(extra) and declared <= asked


def test_every_extra_is_known_to_the_doctor():
    assert set(DECLARED) - {"", "dev", "docs", "report"} == set(EXTRAS)


def test_the_older_name_brings_the_same():
    assert distributions_of("report") == distributions_of("light")


def test_every_extra_that_is_asked_for_is_in_the_table():
    asking = ("require_extra", "missing_modules", "install_command")
    calls = (node for file in FILES for node in ast.walk(TREES[file]) if isinstance(node, ast.Call))
    first = (call.args[0] for call in calls if ast.unparse(call.func).rpartition(".")[2] in asking)
    words = (word.value for node in first for word in ast.walk(node) if isinstance(word, ast.Constant))
    assert {word for word in words if isinstance(word, str)} <= set(EXTRAS)
