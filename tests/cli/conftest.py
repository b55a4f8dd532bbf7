"""Fixtures of the command line: a function that runs one, and a folder to be in."""

from __future__ import annotations

import sys

import pytest

from sightline.cli.app import main


@pytest.fixture
def sightline(monkeypatch, capsys):
    """Return a function that runs a command line in this process: (exit code, stdout, stderr)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sightline", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    return run


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
