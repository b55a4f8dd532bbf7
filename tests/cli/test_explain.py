"""``sightline explain``: images under free names, error rows, JSON."""

from __future__ import annotations

import json
import sys

import pytest
from PIL import Image

from sightline.cli.app import main
from sightline.data.sources import find_images
from sightline.reporting.explained import CAVEAT


@pytest.fixture
def explain(monkeypatch, capsys, tmp_path):
    """Return a function that runs ``sightline explain`` in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sightline", "explain", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    return run


def test_it_writes_a_image_and_says_what_it_can_not_prove(explain, tiny_model, colours, tmp_path):
    status, out, _ = explain(tiny_model, colours / "red" / "000.png")
    assert status == 0
    assert "red" in out and "rank correlation" in out and CAVEAT in out
    image = tmp_path / "explanations" / "000.png"
    assert str(image.relative_to(tmp_path)) in out
    with Image.open(image) as drawn:
        assert drawn.width > 2 * drawn.height  # the image and two maps


def test_no_drawing_is_ever_replaced(explain, tiny_model, colours, tmp_path):
    files = [colours / name / "000.png" for name in ("red", "blue")]
    assert explain(tiny_model, files[0], "--out", "why", "--method", "occlusion")[0] == 0
    first = (tmp_path / "why" / "000.png").read_bytes()
    status, out, _ = explain(tiny_model, *files, "--out", "why", "--method", "occlusion")
    assert status == 0
    assert (tmp_path / "why" / "000.png").read_bytes() == first
    assert {path.name for path in (tmp_path / "why").glob("*.png")} == {"000.png", "000-2.png", "000-3.png"}
    assert "000-2.png" in out and "000-3.png" in out


def test_drawings_do_not_join_a_persons_own_images_and_are_never_data(explain, tiny_model, colours, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "000.png").write_bytes(b"an image of mine")
    image = colours / "red" / "000.png"
    status, _, err = explain(tiny_model, image, "--out", "mine", "--method", "occlusion")
    assert status == 2 and "explain.output" in err
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["000.png"]
    assert explain(tiny_model, image, "--method", "occlusion")[0] == 0
    assert find_images(tmp_path)[0] == [tmp_path / "mine" / "000.png"]


def test_json_has_a_row_an_image_and_unreadable_ones_exit_with_3(explain, tiny_model, colours, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    status, out, _ = explain(tiny_model, "bad.jpg", colours / "green" / "001.png", "--class", "red", "--json")
    assert status == 3
    bad, good = json.loads(out)["explanations"]
    assert bad["error"] and bad["image"] is None and bad["confidence"] is None
    assert (good["label"], good["predicted"], good["methods"]) == ("red", "green", ["gradcam", "occlusion"])
    assert (tmp_path / good["image"]).is_file() and good["layer"]


def test_a_folder_is_looked_into(explain, tiny_model, tmp_path, write_image):
    for number in range(3):
        write_image(tmp_path / "few" / f"{number}.png", (200, 30, 30), seed=number)
    status, out, _ = explain(tiny_model, "few", "--method", "gradcam")
    assert status == 0 and out.count(" %") == 3
    assert len(list((tmp_path / "explanations").glob("*.png"))) == 3


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (["--class", "rde"], "explain.class"),
        (["--cells", "99"], "explain.cells"),
        (["--out", "photo.png"], "explain.output"),
        (["--method", "lime"], "usage"),
    ],
)
def test_wrong_options_are_named(explain, tiny_model, tmp_path, write_image, more, code):
    write_image(tmp_path / "photo.png")
    status, out, err = explain(tiny_model, "photo.png", *more)
    assert (status, out) == (2, "") and f"error[{code}]" in err and "cure: " in err
    assert not (tmp_path / "explanations").exists()


def test_an_empty_folder_has_nothing_to_explain(explain, tiny_model, tmp_path):
    (tmp_path / "empty").mkdir()
    status, _, err = explain(tiny_model, "empty")
    assert status == 2 and "error[predict.nothing]" in err
