"""The rules that hold the house together; none of them has a list of exceptions."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

import sightline
from sightline.cli.app import VERBS

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "sightline"
FILES = sorted(SOURCE.rglob("*.py"))
TREES = {file: ast.parse(file.read_text(encoding="utf-8")) for file in FILES}
Function = ast.FunctionDef | ast.AsyncFunctionDef

PUBLIC = [
    "Classifier",
    "Predictions",
    "Recipe",
    "Run",
    "SightlineError",
    "check",
    "compare",
    "cross_validate",
    "evaluate",
    "explain",
    "export",
    "list_runs",
    "load",
    "plot_confusion",
    "plot_curves",
    "plot_mistakes",
    "plot_predictions",
    "plot_samples",
    "plot_search",
    "plot_steps",
    "preview",
    "repeat",
    "shrink",
    "train",
    "tune",
]


def functions() -> Iterator[tuple[Path, Function]]:
    for file, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, Function):
                yield file, node


def running(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a tree without what stands there for type checkers alone."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield child
            yield from running(child)


def module_name(file: Path) -> str:
    parts = file.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_imports_point_down_and_torch_stays_on_its_side():
    linter = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-3000:]


def ask_about(lines: dict[str, int], ask: int, refuse: int) -> None:
    """Warn of what is long enough to hold two thoughts; fail where it surely does."""
    warnings.simplefilter("always", UserWarning)  # a question, where all other warnings are errors
    for name in sorted(name for name, count in lines.items() if ask < count <= refuse):
        warnings.warn(f"{name} has {lines[name]} lines, more than {ask}: are there two jobs in it?", stacklevel=2)
    assert not {name: count for name, count in lines.items() if count > refuse}


def name_of(file: Path) -> str:
    return file.relative_to(SOURCE).as_posix()


def test_files_hold_one_job():
    ask_about({name_of(file): len(file.read_text(encoding="utf-8").splitlines()) for file in FILES}, 400, 600)


def test_functions_hold_one_thought():
    """Counted without signature and docstring: they say what it is for, and a verb's signature has its help."""
    lines = {}
    for file, node in functions():
        body = node.body[1:] if ast.get_docstring(node) is not None and len(node.body) > 1 else node.body
        lines[f"{name_of(file)}:{node.lineno} {node.name}"] = (node.end_lineno or 0) - body[0].lineno + 1
    ask_about(lines, 60, 100)


def what_a_person_types() -> set[tuple[Path, str]]:
    """Return file and name of each verb, and of each public function."""
    typed = [*VERBS, *(value for name in PUBLIC if inspect.isfunction(value := getattr(sightline, name)))]
    return {(Path(inspect.getsourcefile(function) or ""), function.__name__) for function in typed}


def test_functions_have_at_most_8_parameters():
    """But for what a person types, whose parameters are what they can choose."""
    many = {}
    typed = what_a_person_types()
    for file, node in functions():
        arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
        count = len([argument for argument in arguments if argument.arg not in ("self", "cls")])
        if count > 8 and (file, node.name) not in typed:
            many[f"{name_of(file)}:{node.lineno} {node.name}"] = count
    assert not many


def test_nothing_that_runs_code_from_a_file_is_called():
    forbidden_imports = {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal", "yaml"}
    forbidden_calls = {"eval", "exec", "torch.load", "extractall", "__import__"}
    found = []
    for file, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found += [(file.name, alias.name) for alias in node.names if alias.name in forbidden_imports]
            elif isinstance(node, ast.ImportFrom):
                found += [(file.name, node.module)] if node.module in forbidden_imports else []
            elif isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                is_method = isinstance(node.func, ast.Attribute) and node.func.attr == "extractall"
                pickles = any(k.arg == "allow_pickle" and ast.unparse(k.value) != "False" for k in node.keywords)
                if name in forbidden_calls or is_method or pickles:
                    found.append((file.name, name))
    assert not found


def test_the_public_names_are_pinned():
    assert sorted(sightline.__all__) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_are_documented_with_an_example(name):
    assert "Example" in (getattr(sightline, name).__doc__ or "")


def test_no_package_has_the_name_of_a_public_function():
    packages = {path.name for path in SOURCE.iterdir()} | {path.stem for path in SOURCE.iterdir()}
    assert not packages & set(PUBLIC)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_every_exported_name_exists_and_is_documented(file):
    module = importlib.import_module(module_name(file))
    assert (module.__doc__ or "").strip(), "a file says what it is for"
    undocumented = []
    for name in getattr(module, "__all__", []):
        value = getattr(module, name)
        if callable(value) and type(value).__module__ not in ("typing", "types") and not (value.__doc__ or "").strip():
            undocumented.append(name)
    assert not undocumented


def test_public_methods_are_documented():
    undocumented = []
    for file, tree in TREES.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                undocumented += [
                    f"{file.name}:{node.name}.{method.name}"
                    for method in node.body
                    if isinstance(method, Function)
                    and not method.name.startswith("_")
                    and not ast.get_docstring(method)
                    and not any(ast.unparse(decorator) == "overload" for decorator in method.decorator_list)
                ]
    assert [name for name in undocumented if not name.endswith(".forward")] == []


def test_only_cli_and_display_print():
    printing = []
    for file, tree in TREES.items():
        calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
        if any(ast.unparse(node.func) == "print" for node in calls):
            printing.append(file.relative_to(SOURCE).parts[0])
    assert set(printing) <= {"cli", "display"}


def test_onnxruntime_is_imported_through_one_door():
    """There it is kept from reporting to its maker, which must be done before it is first imported."""
    importing = []
    for file, tree in TREES.items():
        for node in running(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "import_module":
                names += [str(value.value) for value in node.args if isinstance(value, ast.Constant)]
            if any(name.partition(".")[0] == "onnxruntime" for name in names):
                importing.append(module_name(file))
    assert set(importing) == {"sightline.runtime.onnx_session"}


def test_the_page_of_the_code_shows_every_file_of_the_tree():
    page = (ROOT / "docs" / "code.md").read_text(encoding="utf-8")
    missing = [str(file.relative_to(SOURCE)) for file in FILES if file.name not in page]
    assert not missing
