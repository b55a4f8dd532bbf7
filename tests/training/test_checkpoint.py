"""Checkpoints: old or new, never neither, never something else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from sightline.errors import RunError
from sightline.runs import checkpoint_files
from sightline.training.checkpoint import load_checkpoint, save_checkpoint


def network(value: float) -> dict[str, dict[str, torch.Tensor]]:
    made = nn.Linear(3, 2)
    nn.init.constant_(made.weight, value)
    return {"model": made.state_dict()}


def test_what_was_saved_is_loaded(tmp_path):
    save_checkpoint(tmp_path / "best", network(0.5), {"epoch": 3})
    weights, facts = load_checkpoint(tmp_path / "best")
    assert torch.equal(weights["model"]["weight"], torch.full((2, 3), 0.5))
    assert facts == {"epoch": 3}


def test_a_newer_one_takes_the_place_of_the_older_and_leaves_nothing_else(tmp_path):
    save_checkpoint(tmp_path / "best", network(1), {"epoch": 1})
    save_checkpoint(tmp_path / "best", network(2), {"epoch": 2})
    assert load_checkpoint(tmp_path / "best")[1] == {"epoch": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


def test_a_full_disk_leaves_the_older_one(tmp_path, monkeypatch):
    save_checkpoint(tmp_path / "best", network(1), {"epoch": 1})
    for failing in range(1, 4):  # each of the three files
        calls = iter(range(1, 10))
        real = checkpoint_files.write_bytes

        def write(path: Path, data: bytes, calls=calls, failing=failing, real=real) -> None:
            if next(calls) == failing:
                raise RunError("run.write", "No space left on device", "free some space")
            real(path, data)

        monkeypatch.setattr(checkpoint_files, "write_bytes", write)
        monkeypatch.setattr(checkpoint_files, "write_json", lambda path, value, write=write: write(path, b"{}"))
        with pytest.raises(RunError, match="No space"):
            save_checkpoint(tmp_path / "best", network(2), {"epoch": 2})
        monkeypatch.undo()
        assert load_checkpoint(tmp_path / "best")[1] == {"epoch": 1}
        assert [path.name for path in tmp_path.iterdir()] == ["best"]


def test_a_crash_between_the_two_renames_leaves_the_older_one(tmp_path):
    save_checkpoint(tmp_path / "best", network(1), {"epoch": 1})
    (tmp_path / "best").rename(tmp_path / "best.previous")
    assert load_checkpoint(tmp_path / "best")[1] == {"epoch": 1}


@pytest.mark.parametrize("name", ["model.safetensors", "facts.json"])
def test_a_flipped_byte_is_never_loaded(tmp_path, name):
    save_checkpoint(tmp_path / "best", network(1), {"epoch": 1})
    path = tmp_path / "best" / name
    data = path.read_bytes()
    for position in range(len(data)):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        with pytest.raises(RunError, match="damaged"):
            load_checkpoint(tmp_path / "best")


def test_a_missing_one_is_named(tmp_path):
    with pytest.raises(RunError, match="no checkpoint"):
        load_checkpoint(tmp_path / "best")
