"""The docs: their commands run, their code runs, and what is made from the code is up to date."""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from finished import write_colours
from sightline.cli.app import VERBS, main
from sightline.cli.help_page import examples_of
from sightline.evaluation.metrics import METRICS
from sightline.planning.repeats import REPEATS

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
TOUR = ROOT / "tests" / "e2e" / "tour.py"
SOURCES = sorted((ROOT / "src").rglob("*.py"))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.S)


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """A reader's folder: ``photos/``, ``photo.jpg``, and ``cameras.csv`` that names the photos."""
    from PIL import Image

    photos = write_colours(tmp_path / "photos", 24)
    names = [path.relative_to(photos).as_posix() for path in sorted(photos.rglob("*.png"))]
    (tmp_path / "cameras.csv").write_text("path,camera\n" + "".join(f"{name},old\n" for name in names))
    Image.new("RGB", (20, 20), (200, 50, 40)).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


WITH_COMMANDS = [page for page in [*PAGES, ROOT / "README.md"] if "sightline" in "".join(blocks(page, "console"))]


def run_clients(folder):
    """The clients of another page, on what this page exported: they need no Sightline, and all say the same."""
    page = ROOT / "docs" / "clients.md"
    (python,) = blocks(page, "python")
    how = {"capture_output": True, "text": True, "check": True, "cwd": folder}
    said = [subprocess.run([sys.executable, "-c", python], **how).stdout]
    node = shutil.which("node")
    packages = "require('onnxruntime-node'); require('sharp')"  # where NODE_PATH names a folder that has them
    if node and not subprocess.run([node, "-e", packages], capture_output=True, check=False).returncode:
        (folder / "client.cjs").write_text(blocks(page, "javascript")[0], encoding="utf-8")
        said.append(subprocess.run([node, "client.cjs"], **how).stdout)
    answers = [line.split() for line in said]
    assert len({answer for answer, _ in answers}) == 1 and "sightline" not in python
    assert max(float(share) for _, share in answers) - min(float(share) for _, share in answers) < 0.01


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: page.name)
def test_the_commands_of_a_page_run(page, reader, monkeypatch, capsys):
    lines = "".join(blocks(page, "console")).splitlines()
    commands = [shlex.split(line, comments=True) for line in lines if line.startswith("sightline ")]
    assert commands
    for command in commands:
        if command[1] == "selftest":  # the tour of all commands runs the same line: a quarter of a minute
            assert " ".join(command[1:]) in TOUR.read_text(encoding="utf-8").splitlines()
            continue
        # A page may leave the number of epochs out; for a test of its words, one is enough.
        has_epochs = command[1] == "train" and "engine=onnxruntime" not in command
        quick = ["--epochs", "1"] if has_epochs and "--epochs" not in command else []
        monkeypatch.setattr(sys, "argv", [*command, *quick])
        with pytest.raises(SystemExit) as caught:
            main()
        assert not caught.value.code, (command, capsys.readouterr().err)
    if page.name == "export.md":
        run_clients(reader)
    if page.name in ("export.md", "predict.md"):  # their code is for the run that its commands made
        for code in blocks(page, "python"):
            exec(compile(code, page.name, "exec"), {})


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("name", ["python.md", "compare.md"])
def test_the_python_of_the_page_runs(reader, name):
    for code in blocks(ROOT / "docs" / name, "python"):
        exec(compile(code, name, "exec"), {})


def test_the_recipe_of_the_page_is_one(tmp_path):
    import sightline

    for number, text in enumerate(blocks(ROOT / "docs" / "train.md", "toml")):
        path = tmp_path / f"{number}.toml"
        path.write_text(text)
        sightline.Recipe.from_toml(path)


ELSEWHERE = ("demo", "export", "selftest", "shrink", "tune")  # tests of their own run these commands
EXAMPLES = [line for verb in VERBS if verb.__name__ not in ELSEWHERE for line in examples_of(verb)]


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("line", EXAMPLES)
def test_the_examples_of_help_run(line, reader, finished_run, monkeypatch, capsys):
    command = shlex.split(line)
    if command[1] != "train":
        for name in ("first", "second"):
            shutil.copytree(finished_run.folder, reader / "runs" / name)
    elif "--epochs" not in command:
        command += ["--epochs", "1"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as caught:
        main()
    assert not caught.value.code, (line, capsys.readouterr().err)


def test_every_verb_is_on_the_page_of_commands():
    text = (ROOT / "docs" / "commands.md").read_text()
    assert all(f"## sightline {verb.__name__}\n" in text for verb in VERBS)


def test_what_is_made_from_the_code_is_up_to_date():
    specification = importlib.util.spec_from_file_location("make_reference", ROOT / "docs" / "make_reference.py")
    reference = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(reference)
    assert (ROOT / "docs" / "code.md").read_text(encoding="utf-8") == reference.code(), "type: make docs"
    assert (ROOT / "docs" / "commands.md").read_text(encoding="utf-8") == reference.commands(), "type: make docs"


def codes_in_the_code() -> set[str]:
    raised = set()
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                name, code = ast.unparse(node.func), node.args[0].value
                is_error = name.endswith(("Error", "Mismatch", "Met", "Extra", "Warned", "_print_error", "__init__"))
                if is_error and isinstance(code, str) and re.fullmatch(r"[a-z]+\.[a-z-]+", code):
                    raised.add(code)
    return raised


def test_every_error_is_documented_and_no_other():
    text = (ROOT / "docs" / "errors.md").read_text()
    documented = set(re.findall(r"^\| `([a-z]+\.[a-z-]+)` \|", text, re.M))
    assert documented == codes_in_the_code() | {repeats.code for repeats in REPEATS.values()}


def test_every_metric_is_documented():
    text = (ROOT / "docs" / "evaluate.md").read_text()
    assert all(f"`{name}`" in text for name in METRICS)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    targets = re.findall(r"\]\((?!https?://)([^)#]+)\)", text)
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_finding_is_documented_and_no_other():
    from sightline.checks.finding import CODES

    table = (ROOT / "docs" / "check.md").read_text().partition("## Findings")[2].partition("##")[0]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    assert sorted(code for row in rows for code in re.findall(r"`([a-z-]+)`", row)) == sorted(CODES)
    assert f"{len(CODES)} kinds of findings" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_code_that_a_check_says_is_listed():
    from sightline.checks.finding import CODES

    checks = [file for file in SOURCES if file.parent.name in ("checks", "reading")]
    said, written = set(), set()
    for file in checks:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Finding", "Finding.of_paths"):
                said |= {first.value for first in node.args[:1] if isinstance(first, ast.Constant)}
            if isinstance(node, ast.Constant) and file.name != "finding.py":
                written.add(node.value)
    assert said <= set(CODES)
    assert set(CODES) <= written
