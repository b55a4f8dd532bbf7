"""Whoever only predicts never pays for torch; whoever only asks for help pays for nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "sightline"
TORCH_SIDE = ("networks", "training", "exporting")
HEAVY = [
    "torch",
    "torchvision",
    "timm",
    "onnx",
    "onnxscript",
    "safetensors",
    "sklearn",
    "scipy",
    "matplotlib",
    "pandas",
]
BLOCKED = f"import sys\nfor name in {HEAVY!r}: sys.modules[name] = None\n"


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)


def test_every_other_room_imports_without_the_heavy_packages():
    modules = [
        "sightline." + ".".join(file.relative_to(SOURCE).with_suffix("").parts)
        for file in sorted(SOURCE.rglob("*.py"))
        if file.relative_to(SOURCE).parts[0] not in (*TORCH_SIDE, "__main__.py", "__init__.py")
        and file.stem != "__init__"
    ]
    assert len(modules) > 40
    result = run(BLOCKED + "\n".join(f"import {module}" for module in modules))
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("what", ["import sightline", "import sys; sys.argv = ['sightline', '--help']; M"])
def test_starting_imports_nothing_that_costs_a_second(what):
    code = what.replace("M", "from sightline.cli import main\ntry: main()\nexcept SystemExit: pass")
    result = run(
        code + "\nimport sys; print('HEAVY', sorted(set(sys.modules) & " + repr({*HEAVY, "onnxruntime"}) + "))"
    )
    assert "HEAVY []" in result.stdout, result.stdout + result.stderr


def test_prediction_works_without_the_heavy_packages(tiny_model, tmp_path):
    from PIL import Image

    image = tmp_path / "red.png"
    Image.new("RGB", (20, 20), (200, 0, 0)).save(image)
    code = BLOCKED + "from sightline.cli import main; main()"
    result = run(code, "predict", str(tiny_model), str(image))
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("Predicted: ")


@pytest.mark.parametrize(
    "command",
    [
        ["explain", "MODEL", "IMAGE", "--method", "occlusion"],
        ["robustness", "MODEL", "DATA", "--images", "3"],
    ],
)
def test_covering_and_harming_images_never_load_torch(tiny_model, colours, tmp_path, command):
    names = {"MODEL": str(tiny_model), "IMAGE": str(colours / "red" / "000.png"), "DATA": str(colours)}
    code = (
        f"import os, sys; os.chdir({str(tmp_path)!r})\nfrom sightline.cli import main\n"
        f"try: main()\nexcept SystemExit as end: print('END', end.code, sorted(set(sys.modules) & {set(HEAVY[:6])}))"
    )
    result = run(code, *(names.get(word, word) for word in command))
    assert "END 0 []" in result.stdout, result.stdout + result.stderr


# Rooms that a prediction has no use for; pydantic is imported by typer, and by nothing of ours.
NOT_TO_PREDICT = {
    *("planning", "data", "evaluation", "checks", "networks", "training", "reading", "exporting", "reporting"),
    *("measuring", "predicting", "reviewing", "pipeline", "display", "tracking", "tuning", "shrinking"),
}


@pytest.mark.parametrize("way", ["the command line", "python"])
def test_a_cold_prediction_imports_nothing_that_it_does_not_use(tiny_model, colours, way):
    if way == "python":
        code = "import sightline; print(sightline.load(sys.argv[2]).predict(sys.argv[3])[0].label)"
    else:
        code = "from sightline.cli import main\ntry: main()\nexcept SystemExit: pass"
    result = run(
        f"import sys\n{code}\nprint('IMPORTED', *sys.modules)", "predict", str(tiny_model), str(colours / "red/000.png")
    )
    said, _, imported = result.stdout.partition("IMPORTED")
    modules = imported.split()
    rooms = {name.split(".")[1] for name in modules if name.startswith("sightline.")}
    assert said and rooms & NOT_TO_PREDICT == set(), result.stderr
    assert {name for name in modules if name.startswith("sightline.api.")} == {"sightline.api.loading"}
    assert set(modules) & {*HEAVY, "psutil", "urllib.request"} == set()
    assert way == "the command line" or set(modules) & {"pydantic", "typer", "rich", "difflib"} == set()


def test_all_rooms_are_looked_for():
    rooms = {path.name for path in SOURCE.iterdir() if (path / "__init__.py").is_file()}
    assert rooms - NOT_TO_PREDICT == {"api", "cli", "pixels", "runs", "runtime"}
