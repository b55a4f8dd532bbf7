"""Whole commands in processes of their own: the demo, and trainings that are stopped from outside."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import no_network
import sightline
from sightline.cli.app import main

pytestmark = pytest.mark.e2e
SIGHTLINE = [sys.executable, "-m", "sightline"]


def test_the_demo_goes_the_whole_way(tmp_path: Path) -> None:
    guard = f"import sys; sys.path.append({str(Path(__file__).parents[1])!r}); import no_network\n"
    guard += "no_network.forbid_network()\n" * no_network.IS_POSSIBLE
    code = f"{guard}from sightline.cli.app import main; main()"
    command = [sys.executable, "-c", code, "demo", "--epochs", "1"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert len(list((tmp_path / "sightline-demo" / "digits").rglob("*.png"))) == 1797
    assert result.stdout.count("Predicted: ") == 3
    for promised in (
        "1,797 images in 10 classes",
        "Test accuracy",
        "report.html",
        "model.onnx",
        "Next: sightline predict",
    ):
        assert promised in result.stdout
    (run,) = (tmp_path / "sightline-demo" / "runs").glob("*/run.json")
    assert json.loads(run.read_text())["status"] == "finished"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_training_that_is_stopped_leaves_a_run_that_can_be_exported(
    colours, tmp_path, monkeypatch, capsys, number, status
) -> None:
    command = [*SIGHTLINE, "train", str(colours), "--name", "stopped", "--epochs", "5000", "--patience", "0"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        said = next(line for line in process.stderr if line.startswith("epoch 2/"))
        process.send_signal(number)
        rest = process.communicate(timeout=60)[1]
    assert process.returncode == status, said + rest
    assert "Traceback" not in rest and "sightline export" in rest
    run = tmp_path / "runs" / "stopped"
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
    monkeypatch.setattr(sys, "argv", ["sightline", "export", str(run)])
    with pytest.raises(SystemExit) as caught:
        main()
    exported = capsys.readouterr()
    assert not caught.value.code, exported.err
    assert "Test accuracy" in exported.out
    assert {path.name for path in (run / "classifier").iterdir()} >= {"model.onnx", "model.safetensors"}


# Makes its terminal the one that rules the process, as a shell's window does, and becomes the command.
ON_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


# One training with torch, whose epochs are shown; the others need no seconds to import it.
NETWORK = ("--model", "small-cnn", "--epochs", "5")
HEAD = ("--set", "engine=onnxruntime", "--size", "64")
# What such a training shows in its middle, and what its log has when it is finished.
SHOWN = {NETWORK: ("epoch 1/", "epoch 5/5"), HEAD: ("Training", "Training: ")}


def finished(run: Path) -> str:
    """Return the log of a run that must be finished."""
    assert json.loads((run / "run.json").read_text())["status"] == "finished"
    return (run / "log.txt").read_text()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such terminals")
@pytest.mark.parametrize(("term", "chosen"), [("xterm", NETWORK), ("dumb", HEAD)])
def test_a_terminal_that_is_closed_does_not_end_a_training(colours, tmp_path, term, chosen) -> None:
    import pty

    shown, logged = SHOWN[chosen]
    master, slave = pty.openpty()
    train = [*SIGHTLINE, "train", str(colours), "--name", "alone", *chosen]
    with subprocess.Popen(
        [sys.executable, "-c", ON_TERMINAL, *train, "--require", "accuracy>=0.01"],
        cwd=tmp_path,
        env={**os.environ, "TERM": term},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    ) as process:
        os.close(slave)
        said = b""
        while shown.encode() not in said:
            assert select.select([master], [], [], 120)[0], said
            said += os.read(master, 4096)
        os.close(master)  # hangs up: SIGHUP to the process, and nothing can be written any more
        assert process.wait(timeout=300) == 0
    log = finished(tmp_path / "runs" / "alone")
    assert logged in log and "Evaluating" in log


@pytest.mark.parametrize(("more", "status"), [([], 0), (["--json"], 0), (["--require", "accuracy>=0.9999"], 5)])
def test_closed_pipes_do_not_end_a_training_and_its_exit_code_is_kept(colours, tmp_path, more, status) -> None:
    shown, logged = SHOWN[HEAD]
    command = [*SIGHTLINE, "train", str(colours), "--name", "alone", *HEAD, *more]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert any(line.startswith(shown) for line in process.stderr)
        process.stderr.close()
        process.stdout.close()
        assert process.wait(timeout=300) == status
    log = finished(tmp_path / "runs" / "alone")
    assert logged in log and "Evaluating" in log


@pytest.mark.usefixtures("no_figures")
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_a_training_that_is_killed_and_taken_up_again_ends_with_the_same_weights(colours, tmp_path) -> None:
    chosen = {"epochs": 12, "batch_size": 8, "width": 4, "threads": 1, "patience": 0, "ema": 0.9}
    sightline.train(colours, out=tmp_path / "runs", name="whole", quiet=True, **chosen)
    command = [*SIGHTLINE, "train", str(colours)]
    for name, value in chosen.items():
        command += ["--set", f"{name}={value}"]
    for epoch, number in ((3, signal.SIGTERM), (5, signal.SIGKILL)):
        with subprocess.Popen([*command, "--name", "cut", "--resume"], cwd=tmp_path, stderr=subprocess.PIPE) as process:
            next(line for line in process.stderr if line.startswith(f"epoch {epoch}/".encode()))
            process.send_signal(number)
            process.communicate(timeout=60)
    last = subprocess.run([*command, "--name", "cut", "--resume"], cwd=tmp_path, capture_output=True, text=True)
    assert last.returncode == 0, last.stderr
    assert "it continues bit for bit" in last.stderr
    files = [tmp_path / "runs" / name / "classifier" / "model.safetensors" for name in ("whole", "cut")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert len((tmp_path / "runs" / "cut" / "history.csv").read_text().splitlines()) == 14
