"""``sightline robustness``: the table, JSON, exit codes, and where things are."""

from __future__ import annotations

import json
import sys

import pytest

from sightline.cli.app import main


@pytest.fixture
def robustness(monkeypatch, capsys, tmp_path):
    """Return a function that runs ``sightline robustness`` in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sightline", "robustness", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    return run


def test_the_table_has_a_line_a_change_and_says_where_things_are(robustness, copied_run):
    status, out, err = robustness(copied_run.folder, "--images", 6)
    assert status == 0, err
    lines = out.splitlines()
    assert lines[0].startswith("as they are") and "n=6" in lines[0]
    assert sum("points" in line for line in lines) == 24
    assert str(copied_run.robustness_file) in out and str(copied_run.report_file) in out
    assert "drawn evenly from 18" in err


def test_json_and_a_file_that_can_not_be_read(robustness, tiny_model, tmp_path, write_image):
    for number in range(4):
        write_image(tmp_path / "new" / "red" / f"{number}.png", (200, 40, 40), seed=number)
        write_image(tmp_path / "new" / "blue" / f"{number}.png", (40, 40, 200), seed=9 + number)
    (tmp_path / "new" / "red" / "bad.png").write_bytes(b"no image")
    status, out, _ = robustness(tiny_model, "new", "--json")
    assert status == 3
    found = json.loads(out)
    assert found["count"] == 8 and found["bad"] == ["red/bad.png"] and len(found["rows"]) == 24


def test_before_any_training(robustness):
    status, out, err = robustness()
    assert (status, out) == (2, "") and "error[run.no-latest]" in err
