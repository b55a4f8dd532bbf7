"""The window, on a virtual screen and in a process of its own: what it says about good and broken files."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from PIL import Image

from sightline.pixels.preprocess import Preprocess
from sightline.runtime.bundle import METADATA_KEY, Bundle

pytestmark = pytest.mark.e2e

GUI = Path(__file__).parents[2] / "examples" / "gui.py"
CLASSES = ("red", "green", "blue")

# Imports the example as a module, shows each file, and prints what the window's widgets say.
DRIVER = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("gui", sys.argv[1])
gui = importlib.util.module_from_spec(spec)
spec.loader.exec_module(gui)

window = gui.Window(sys.argv[2])
states = []

def note():
    window.update()
    drawn = [window.frame.itemcget(item, "image") for item in window.frame.find_all()]
    states.append({
        "title": window.label["text"],
        "detail": window.detail["text"],
        "name": window.name["text"],
        "bars": [child["text"] for child in window.bars.winfo_children() if child.winfo_class() == "TLabel"],
        "widths": [child.winfo_children()[0].winfo_width() / child.winfo_width()
                   for child in window.bars.winfo_children() if child.winfo_class() == "Frame"],
        "image": [[window.photo.width(), window.photo.height()] for _ in drawn],
        "can_open": window.open_button.instate(["!disabled"]),
    })

note()
if len(sys.argv) > 3:
    window.show_all(sys.argv[3:])
    note()
for _ in sys.argv[4:]:
    window.step(1)
    note()
window.destroy()
assert "torch" not in sys.modules
print(json.dumps(states))
"""


def lack(reason: str) -> NoReturn:
    """Skip; where every skip could have been run (``SIGHTLINE_NO_SKIPS=1``), fail."""
    if os.environ.get("SIGHTLINE_NO_SKIPS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def screen() -> Iterator[str]:
    """Start Xvfb on a free display and return its name."""
    if importlib.util.find_spec("tkinter") is None or importlib.util.find_spec("_tkinter") is None:
        lack("this Python has no tkinter (Debian and Ubuntu: apt install python3-tk)")
    binary = shutil.which("Xvfb")
    if binary is None:
        lack("Xvfb is not installed (Debian and Ubuntu: apt install xvfb)")
    reader, writer = os.pipe()
    command = [binary, "-displayfd", str(writer), "-screen", "0", "1280x1024x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[writer], stderr=subprocess.DEVNULL) as server:
        os.close(writer)
        with os.fdopen(reader) as answers:
            number = answers.readline().strip()
        try:
            assert number, f"Xvfb ended with exit code {server.wait()}"
            yield f":{number}"
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ``model.onnx`` that knows three colours: the softmax of an image's mean red, green and blue."""
    onnx = pytest.importorskip("onnx")
    helper, kinds = onnx.helper, onnx.TensorProto
    constants = [
        helper.make_tensor("sides", kinds.INT64, [2], [1, 2]),
        helper.make_tensor("scale", kinds.FLOAT, [], [10 / 255]),
        helper.make_tensor("last", kinds.INT64, [1], [1]),
    ]
    nodes = [
        helper.make_node("Cast", ["pixels"], ["numbers"], to=kinds.FLOAT),
        helper.make_node("ReduceMean", ["numbers", "sides"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "scale"], ["features"]),
        helper.make_node("Softmax", ["features"], ["probabilities"], axis=1),
        helper.make_node("ReduceMean", ["probabilities", "last"], ["novelty"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("pixels", kinds.UINT8, ["N", 8, 8, 3])],
        [
            *(helper.make_tensor_value_info(name, kinds.FLOAT, ["N", 3]) for name in ("probabilities", "features")),
            helper.make_tensor_value_info("novelty", kinds.FLOAT, ["N"]),
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    words = {"weights": "none", "licence": "none", "data_fingerprint": "", "sightline": "test", "created": ""}
    bundle = Bundle(CLASSES, Preprocess(size=8, resize=8), "colours", 3, **words)
    helper.set_model_props(model, {METADATA_KEY: bundle.to_json()})
    path = tmp_path_factory.mktemp("classifier") / "model.onnx"
    onnx.save(model, path)
    return path


def drive(screen: str, folder: Path, model: str | Path, *files: Path) -> list[dict[str, Any]]:
    """Return what the window says at its start and about each file."""
    command = [sys.executable, "-W", "error", "-c", DRIVER, str(GUI), str(model), *map(str, files)]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "DISPLAY": screen}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    states: list[dict[str, Any]] = json.loads(done.stdout)
    return states


def test_it_shows_image_class_and_bars(screen: str, classifier: Path, tmp_path: Path) -> None:
    green, blue = tmp_path / "green.png", tmp_path / "blue.jpg"
    Image.new("RGB", (40, 20), (60, 255, 0)).save(green)
    Image.new("RGB", (40, 20), (0, 0, 255)).save(blue)
    start, first, second = drive(screen, tmp_path, classifier, green, blue)

    assert "3 classes" in start["detail"]
    # The oracle: the graph's formula on the one colour of the image.
    raised = np.exp(np.array([60, 255, 0]) * 10 / 255)
    shares = sorted(raised / raised.sum(), reverse=True)
    assert first["title"] == "green"
    assert first["detail"] == f"{shares[0]:.1%}"
    assert first["bars"][0::2] == ["green", "red", "blue"]
    assert first["bars"][1::2] == [f"{share:.1%}" for share in shares]
    assert first["widths"] == pytest.approx(shares, abs=0.02)
    assert first["image"] == [[400, 200]]
    assert first["name"].startswith("green.png")
    assert second["title"] == "blue"
    assert len(second["bars"]) == 2 * 3


def test_a_turned_photo_stands_upright(screen: str, classifier: Path, tmp_path: Path) -> None:
    photo = tmp_path / "turned.jpg"
    image = Image.new("RGB", (40, 20), (255, 0, 0))
    exif = image.getexif()
    exif[0x0112] = 6  # orientation: the camera was held on its side
    image.save(photo, exif=exif)
    assert drive(screen, tmp_path, classifier, photo)[-1]["image"] == [[200, 400]]


def test_a_broken_file_shows_the_reason_and_no_old_image(screen: str, classifier: Path, tmp_path: Path) -> None:
    good, broken = tmp_path / "good.png", tmp_path / "broken.jpg"
    Image.new("RGB", (8, 8), (255, 0, 0)).save(good)
    broken.write_text("<html>404 Not Found</html>")
    _, before, after = drive(screen, tmp_path, classifier, good, broken)
    assert before["title"] == "red"
    assert after["title"] == "Can't be read"
    assert "a web page, not an image" in after["detail"]
    assert after["bars"] == after["image"] == []
    assert after["name"].startswith("broken.jpg")


def test_without_a_model_it_says_which_command_to_type(screen: str, tmp_path: Path) -> None:
    image = tmp_path / "any.png"
    Image.new("RGB", (8, 8)).save(image)
    start, later = drive(screen, tmp_path, "latest", image)
    assert "sightline train" in start["detail"]
    assert not start["can_open"]
    assert later["detail"] == start["detail"]


def test_the_command_line_answers_help(tmp_path: Path) -> None:
    if importlib.util.find_spec("_tkinter") is None:
        lack("this Python has no tkinter")
    done = subprocess.run([sys.executable, GUI, "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "--runs" in done.stdout
