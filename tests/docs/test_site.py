"""The website of the docs, and the files for those who carry on: every page is found, every link leads somewhere."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
ROOT_PAGES = sorted(ROOT.glob("*.md"))


def made_pages() -> dict[str, str]:
    """Return the pages that ``docs/make_site.py`` makes of files of the root; MkDocs itself need not be installed."""
    tree = ast.parse((ROOT / "docs" / "make_site.py").read_text(encoding="utf-8"))
    values = {ast.unparse(node.targets[0]): node.value for node in tree.body if isinstance(node, ast.Assign)}
    return ast.literal_eval(values["PAGES"])


def leaves(part: object) -> list[str]:
    if isinstance(part, str):
        return [part]
    return [leaf for below in (part.values() if isinstance(part, dict) else part) for leaf in leaves(below)]


def settings() -> dict[str, object]:
    return yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def test_every_page_is_in_the_navigation_once_and_no_other():
    assert sorted(leaves(settings()["nav"])) == sorted([*(page.name for page in PAGES), *made_pages(), "reference.md"])
    assert all((ROOT / source).is_file() for source in made_pages().values())


@pytest.mark.e2e
def test_the_site_is_built_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path):
    pytest.importorskip("mkdocs", reason="the [docs] extra is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    pages = {page.name: page.read_text(encoding="utf-8") for page in tmp_path.glob("*.html")}
    assert {Path(leaf).stem for leaf in leaves(settings()["nav"])} <= {name.removesuffix(".html") for name in pages}
    for name, text in pages.items():
        tags = re.findall(r"<(?:script|link|img|iframe)\b[^>]*>", text)
        assert tags and not [tag for tag in tags if re.search(r"(?:src|href)=[\"']?(?:https?:)?//", tag)], name
        assert "mermaid" not in text  # which the theme would load from a CDN
    styles = "".join(file.read_text(encoding="utf-8") for file in tmp_path.rglob("*.css"))
    assert styles and not re.search(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", styles)
    public = importlib.import_module("sightline").__all__
    assert [name for name in public if not re.search(rf'id="sightline[\w.]*\.{name}"', pages["reference.html"])] == []


def anchors(page: Path) -> set[str]:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in re.findall(r"^#+ (.*)$", text, re.M)}


@pytest.mark.parametrize("page", [*PAGES, *ROOT_PAGES], ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"\]\((?!https?://)([^)]+)\)", text):
        name, _, heading = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), target
        assert not heading or heading in anchors(file), target


def test_the_tables_that_newcomers_are_sent_to_are_there():
    rows = re.findall(r"`([A-Z_]+)` in `([\w/.]+)`", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert len(rows) > 8
    for name, file in rows:
        tree = ast.parse((ROOT / "src" / "sightline" / file).read_text(encoding="utf-8"))
        targets = [
            ast.unparse(target)
            for node in tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        ]
        assert name in targets, (name, file)


def test_the_rooms_on_the_page_are_the_rooms_of_the_house():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    house = text.partition("```text\n")[2].partition("```")[0]
    named = set(re.findall(r"[a-z]+", " ".join(re.split(r"  +", line)[0] for line in house.splitlines())))
    rooms = {path.parent.name for path in (ROOT / "src" / "sightline").glob("*/__init__.py")}
    assert named == rooms


def test_the_hooks_do_what_make_check_does():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = makefile.partition("\ncheck: ")[2].partition("\n\n")[0]
    wanted = re.findall(r"\$\(BIN\)/(.*)", recipe)
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    assert [hook["entry"] for hook in hooks] == [f".venv/bin/{command.removesuffix(' .')}" for command in wanted]


def test_the_workflows_run_the_makes_and_the_pip_lines_of_the_readme():
    text = (ROOT / ".github" / "workflows" / "check.yml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    assert {"make check", "make test"} <= {step.get("run") for step in jobs["linux"]["steps"]}
    matrix = jobs["everywhere"]["strategy"]["matrix"]
    assert {"macos-latest", "windows-latest"} <= set(matrix["os"])
    classifiers = re.findall(r'"Programming Language :: Python :: ([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    assert matrix["python"] == classifiers
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for step in jobs["everywhere"]["steps"]:
        if "pip install" in step.get("run", ""):
            line = step["run"].removeprefix("python -m ")
            assert line in readme or line.replace(",dev", "") in readme, line
    assert "not run yet" in text
