"""What libraries would report to their makers is turned off by ``import sightline``, whatever allows it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from answering_hub import FILE, REPOSITORY, answering_hub
from sightline.telemetry import turn_off_telemetry

NAMES = (
    *("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY", "MLFLOW_DISABLE_TELEMETRY", "WANDB_ERROR_REPORTING"),
    "DO_NOT_TRACK",
)


@pytest.mark.parametrize("allowed", [None, "", "0", "false"])
def test_it_is_off_in_this_process_and_those_that_it_starts(allowed: str | None) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in NAMES}
    if allowed is not None:
        environment |= dict.fromkeys(NAMES, allowed) | {"WANDB_ERROR_REPORTING": "true"}
    show = f"import json, os; print(json.dumps([os.environ[n] for n in {NAMES!r}]))"
    code = f"import sightline, subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {show!r}]))"
    shown = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(shown.stdout) == ["1", "1", "true", "false", "1"]


def test_a_stricter_word_of_the_users_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("DO_NOT_TRACK", "true")
    turn_off_telemetry()
    assert os.environ["DO_NOT_TRACK"] == "true"


def test_the_libraries_that_are_installed_take_it_as_off() -> None:
    code = (
        "import sys; sys.path.insert(0, '.'); import sightline\n"
        "from huggingface_hub import constants; assert constants.HF_HUB_DISABLE_TELEMETRY\n"
        "from mlflow.environment_variables import MLFLOW_DISABLE_TELEMETRY as off; assert off.get() is True\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_openvino_sends_nothing_when_it_is_imported(tmp_path: Path) -> None:
    """It would make up an id of the user in their home folder for it; its telemetry is installed, and not found."""
    code = (
        "import sightline, openvino; from openvino.tools.ovc import telemetry_utils; print(telemetry_utils.tm.__name__)"
    )
    environment = {name: value for name, value in os.environ.items() if name not in (*NAMES, "CI")}
    environment |= {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    shown = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert metadata.version("openvino-telemetry")
    assert shown.stdout.strip() == "openvino.tools.ovc.telemetry_stub" and not list(tmp_path.iterdir())


@pytest.mark.parametrize("first", ["sightline", "huggingface_hub.constants"])
def test_the_hub_is_asked_for_the_weights_and_for_nothing_else(tmp_path: Path, first: str) -> None:
    """Its library asks for a list of programs that may call it, and tells which one does, unless telemetry is off."""
    code = (
        f"import {first}, sightline\nfrom sightline.networks import published\n"
        f"published.ask_hub('test', {REPOSITORY!r}, 30)\n"
        f"from huggingface_hub import hf_hub_download\nhf_hub_download({REPOSITORY!r}, {FILE!r})\n"
    )
    environment = {name: value for name, value in os.environ.items() if name not in NAMES}
    with answering_hub("good", b"some bytes") as hub:
        environment |= {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0", "AGENT": "me"}
        subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)
    assert hub.asked and all(REPOSITORY in request for request in hub.asked), hub.asked
    assert hub.agents and not any("agent/" in agent or "torch/" in agent for agent in hub.agents), hub.agents
