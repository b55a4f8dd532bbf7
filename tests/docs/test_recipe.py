"""The recipe for other programs in docs/predict.md is followed, and gives the pixels of the one door."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from corpus import oriented
from sightline.pixels.preprocess import Preprocess
from sightline.runs.folder import Run

PAGE = Path(__file__).parents[2] / "docs" / "predict.md"
RULE = Preprocess(size=64, resize=72, interpolation="bicubic", draft=2, background=(9, 200, 30))
SEED = np.random.default_rng(0)


def photo(width: int, height: int) -> Image.Image:
    """Return an image with structure at all scales."""
    small = Image.fromarray(SEED.integers(0, 256, (9, 9, 3)).astype(np.uint8)).resize((width, height))
    noise = SEED.integers(-30, 30, (height, width, 3))
    return Image.fromarray((np.asarray(small).astype(int) + noise).clip(0, 255).astype(np.uint8))


def stored(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


FILES = {
    "large": stored(photo(801, 603), "JPEG"),
    "odd": stored(photo(607, 1203), "JPEG", quality=60),
    "rotated": stored(photo(801, 603), "JPEG", exif=oriented(6)),
    "mirrored": stored(photo(701, 503), "JPEG", exif=oriented(5)),
    "long": stored(photo(1500, 90), "JPEG"),
    "tall": stored(photo(40, 700), "PNG"),
    "small": stored(photo(31, 45), "PNG"),
    "exact": stored(photo(72, 72), "PNG"),
    "grey": stored(photo(333, 222).convert("L"), "JPEG"),
    "cmyk": stored(photo(333, 222).convert("CMYK"), "JPEG"),
    "palette": stored(photo(200, 150).quantize(32), "PNG"),
    "transparent": stored(photo(200, 150).convert("RGBA").rotate(20), "PNG"),
    "turned": stored(photo(200, 150).convert("RGBA").rotate(20), "PNG", exif=oriented(8)),
    "key": stored(photo(200, 150).quantize(32), "GIF", transparency=3),
    "webp": stored(photo(200, 150), "WEBP"),
}


@pytest.fixture(scope="module")
def recipe(finished_run: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the names that the page's code defines, run as it stands there."""
    text = PAGE.read_text(encoding="utf-8")
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", text, re.S) if "def square_of" in block]
    folder = tmp_path_factory.mktemp("recipe")
    (folder / "photo.jpg").write_bytes(FILES["large"])
    assert finished_run.model_file.is_file()
    code = code.replace('sightline.load("latest").path', repr(str(finished_run.model_file)))
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(compile(code, str(PAGE), "exec"), names)
    return names


@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
@pytest.mark.parametrize("draft", [0, 2])
@pytest.mark.parametrize("name", FILES)
def test_its_pixels_are_those_of_the_one_door(
    recipe: dict[str, Any], name: str, draft: int, fit: Any, tmp_path: Path
) -> None:
    rule = replace(RULE, fit=fit, draft=draft)
    path = tmp_path / name
    path.write_bytes(FILES[name])
    recipe["rule"] = rule.to_dict()
    np.testing.assert_array_equal(recipe["square_of"](path), rule.apply(rule.decode(path)))


def test_its_answer_is_the_classifiers(recipe: dict[str, Any], finished_run: Run, tmp_path: Path) -> None:
    import sightline

    path = tmp_path / "photo.jpg"
    path.write_bytes(FILES["large"])
    said = sightline.load(finished_run.folder).predict([path])
    np.testing.assert_allclose(recipe["probabilities"], said.probabilities, atol=1e-6)
