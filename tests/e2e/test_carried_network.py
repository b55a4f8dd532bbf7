"""Photos with nothing but the package: training, evaluation, embedding in a process that dies at its first socket."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import no_network
from sightline.runs.folder import Run

SCRIPT = f"""
import sys; sys.path.append({str(Path(no_network.__file__).parent)!r})
import no_network; no_network.forbid_network()
from sightline.cli import main
train = ["train", "photos", "--set", "size=96", "--epochs", "0", "--name", "first"]
for words in (train, ["evaluate", "latest", "photos"], ["check", "photos", "--embeddings", "tf_efficientnet_lite0"]):
    sys.argv = ["sightline", *words]
    try: main()
    except SystemExit as end: print("END", words[0], end.code)
"""


@pytest.mark.e2e
@pytest.mark.skipif(not no_network.IS_POSSIBLE, reason="the guard is a filter of the Linux kernel")
def test_photos_are_trained_on_evaluated_and_embedded_without_a_network(tmp_path, write_image):
    for name, colour in (("dark", (40, 40, 60)), ("light", (190, 200, 180))):
        for k in range(12):
            write_image(tmp_path / "photos" / name / f"{k:02d}.png", colour, seed=k, size=(90, 80))
    environment = {**os.environ, "HF_HOME": str(tmp_path / "hub"), "CUDA_VISIBLE_DEVICES": ""}
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    for verb in ("train", "evaluate", "check"):
        assert f"END {verb} 0" in result.stdout, result.stdout + result.stderr
    run = Run(tmp_path / "runs" / "first")
    assert run.facts["model"] == "tf_efficientnet_lite0.in1k" and run.facts["licence"] == "apache-2.0"
    assert run.facts["weights"] == "tf_efficientnet_lite0.in1k, carried by Sightline"
    assert run.metrics["accuracy"]["value"] == 1.0  # light and dark
    assert result.stderr.count("Weights: tf_efficientnet_lite0.in1k, carried by Sightline") == 2
