"""``sightline selftest``: a line each, and exit code 1 when one is wrong."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from sightline.cli.app import main
from sightline.events import StageStarted
from sightline.pipeline import selftest
from sightline.pipeline.selftest import Verdict


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Return a function: verdicts, arguments -> (exit code, stdout, stderr)."""

    def go(verdicts: list[Verdict], *arguments: str) -> tuple[object, str, str]:
        def said(folder: Path, *, quick: bool):
            assert quick is ("--quick" in arguments)
            assert Path(os.environ["SIGHTLINE_CACHE"]).name == "cache"
            yield StageStarted("Checking", f"{len(verdicts)} defects")
            (folder / "data").mkdir(parents=True)
            yield from verdicts

        monkeypatch.setattr(selftest, "run_selftest", said)
        monkeypatch.setattr(sys, "argv", ["sightline", "selftest", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        return (caught.value.code, *capsys.readouterr())

    return go


GOOD = Verdict("an empty file", "unreadable: empty", "unreadable", True)
BAD = Verdict("a film", "animation", "nothing", False)


def test_all_well_is_0_and_a_line_each(run) -> None:
    code, out, err = run([GOOD, GOOD], "--quick")
    assert code == 0
    assert out.splitlines()[0].split(maxsplit=1) == ["ok", f"{GOOD.name:<58}  unreadable: empty"]
    assert out.splitlines()[-1] == "2 of 2 as expected"
    assert "Checking 2 defects ..." in err


def test_one_that_is_not_said_is_a_fault_of_ours(run) -> None:
    code, out, err = run([GOOD, BAD])
    assert code == 1
    assert "FAIL  a film" in out
    assert "found: nothing" in out
    assert "1 of these are faults in Sightline" in err


def test_the_set_can_be_kept(run, tmp_path: Path) -> None:
    code, out, _ = run([GOOD], "--keep", str(tmp_path / "kept"))
    assert code == 0
    assert (tmp_path / "kept" / "data").is_dir()
    assert str(tmp_path / "kept" / "data") in out


def test_a_folder_with_something_in_it_is_left_alone(run, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    code, _, err = run([GOOD], "--keep", str(tmp_path))
    assert code == 2
    assert "error[selftest.exists]" in err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
