"""The self-test: every defect is said by name, and what is not said would be noticed."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest

from sightline.checks.finding import Case, Finding, Findings
from sightline.data.defects import Defect
from sightline.data.samples import Samples
from sightline.events import StageStarted
from sightline.pipeline import selftest
from sightline.pipeline.selftest import Verdict, hash_tree, judge, run_selftest
from unrendered import leave_figures_unrendered
from workers import make_once


def verdicts_of(folder: Path, **options: bool) -> list[Verdict]:
    return [event for event in run_selftest(folder, **options) if isinstance(event, Verdict)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], list[Verdict]]:
    """Return (the stages, the verdicts) of the whole self-test."""

    def run(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SIGHTLINE_CACHE", str(tmp_path_factory.mktemp("cache")))
            leave_figures_unrendered(patch)
            events = list(run_selftest(folder))
        stages = [event.name for event in events if isinstance(event, StageStarted)]
        verdicts = [asdict(event) for event in events if isinstance(event, Verdict)]
        (folder / "said.json").write_text(json.dumps([stages, verdicts]), encoding="utf-8")

    said = make_once(tmp_path_factory, "selftest", run) / "said.json"
    stages, verdicts = json.loads(said.read_text(encoding="utf-8"))
    return stages, [Verdict(**verdict) for verdict in verdicts]


@pytest.mark.e2e
def test_every_defect_is_said_by_name(whole: tuple[list[str], list[Verdict]]) -> None:
    _, verdicts = whole
    assert len(verdicts) >= 46
    assert [verdict for verdict in verdicts if not verdict.ok] == []


@pytest.mark.e2e
def test_a_training_passes_over_the_defects(whole: tuple[list[str], list[Verdict]]) -> None:
    stages, verdicts = whole
    assert stages == ["Making", "Checking", "Training"]
    assert [verdict.name for verdict in verdicts if verdict.ok][-5:] == [
        "a training passes over the defects",
        "what can't be read is left out of it, and nothing else",
        "each file has a prediction, or an error",
        "the classifier refuses what can't be read, and nothing else",
        "no file is changed, made or removed",
    ]


FOUND = Findings(
    [
        Finding(
            "unreadable", "error", "2 image(s)", (Case(("a.jpg",), "the file is empty"), Case(("b.jpg",), "a PDF")), ""
        ),
        Finding("tiny-class", "warning", "class 'comet' has 3", (), ""),
    ]
)


@pytest.mark.parametrize(
    ("code", "path", "says", "said"),
    [
        ("unreadable", "a.jpg", "empty", ""),
        ("unreadable", "a.jpg", "PDF", "2 image(s) the file is empty"),
        ("unreadable", "c.jpg", "", "nothing"),
        ("flat", "b.jpg", "", "unreadable"),
        ("tiny-class", "", "'comet'", ""),
        ("tiny-class", "", "'ring'", "class 'comet' has 3 "),
        ("leak", "", "", "nothing"),
    ],
)
def test_a_defect_that_is_not_said_fails_and_what_was_said_stands_there(
    table, code: str, path: str, says: str, said: str
) -> None:
    verdict = judge(Defect("it", Path("set"), code, path, says), table([0, 1]), FOUND)
    assert verdict.ok is (not said)
    assert verdict.reported == (said or code)


@pytest.mark.parametrize(
    ("path", "ok", "said"), [("00000.png", True, "read"), ("00001.png", False, "a PDF"), ("x", False, "no sample")]
)
def test_a_file_that_must_be_read_is_a_sample(table, path: str, ok: bool, said: str) -> None:
    samples: Samples = table([0, 1], errors={1: "a PDF"})
    assert judge(Defect("it", Path("set"), "read", path), samples, Findings()) == Verdict("it", "read", said, ok)


def test_a_file_that_changes_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(source: Path, defects: list[Defect]):
        for path in (source / "train" / "disc").glob("000.png") if source.is_dir() else ():
            path.write_bytes(path.read_bytes() + b"\0")
        yield from ()

    monkeypatch.setattr(selftest, "_check", spoil)
    (verdict,) = verdicts_of(tmp_path, quick=True)
    assert not verdict.ok
    assert "000.png" in verdict.reported


def test_a_new_a_lost_and_a_touched_file_change_the_tree(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("a")
    before = hash_tree(tmp_path)
    os.utime(file, (1, 1))
    touched = hash_tree(tmp_path)
    (tmp_path / "b").mkdir()
    grown = hash_tree(tmp_path)
    file.unlink()
    assert len({str(tree) for tree in (before, touched, grown, hash_tree(tmp_path))}) == 4


@pytest.mark.skipif(os.name != "posix", reason="Windows lets not everybody make links")
def test_a_link_counts_by_where_it_leads_and_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(".")
    assert list(hash_tree(tmp_path)) == ["loop"]
