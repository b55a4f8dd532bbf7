"""The probe decides right on sets whose answer is known: digits, arrows, letters, flowers, colours, houses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw

from sightline.evaluation.survival import CHANGES, SIDE, probe_survival

Draw = Callable[[ImageDraw.ImageDraw, int, int, int, int, tuple[int, ...]], None]


def arrow(draw, kind, x, y, size, colour):
    """Left or right."""
    shape = [(-4, -1), (0, -1), (0, -2.7), (4, 0), (0, 2.7), (0, 1), (-4, 1)]
    draw.polygon([(x + (a if kind else -a) * size / 4, y + b * size / 4) for a, b in shape], fill=colour)


def triangle(draw, kind, x, y, size, colour):
    """Upright or upside down."""
    draw.polygon(
        [(x + a * size, y + (b if kind else -b) * size) for a, b in ((-1, 0.5), (1, 0.5), (0, -1))], fill=colour
    )


def letter(draw, kind, x, y, size, colour):
    """b or d."""
    stem = x - size // 2 if kind else x + size // 2
    draw.line((stem, y - size, stem, y + size), fill=colour, width=size // 5)
    draw.ellipse((x - size // 2, y, x + size // 2, y + size), outline=colour, width=size // 5)


def flower(draw, kind, x, y, size, colour):
    """Five petals or eight, turned in any way."""
    count, start = (5 if kind else 8), (x * 7 + y) % 6
    for number in range(count):
        angle = start + 2 * np.pi * number / count
        middle = x + size * np.cos(angle), y + size * np.sin(angle)
        draw.ellipse([c + s * 0.3 * size for s in (-1, 1) for c in middle], fill=colour)


def disc(draw, kind, x, y, size, colour):
    """Reddish or bluish."""
    shade = (200, 60 + x - 64, 50) if kind else (60, 80 + y - 64, 200)
    draw.ellipse((x - size, y - size, x + size, y + size), fill=shade)


def make_images(thing, count: int = 400, seed: int = 0):
    """Return noisy images of two kinds of a thing and their labels: three quarters to learn, a quarter to ask."""
    random = np.random.default_rng(seed)
    made = []
    for number in range(count):
        background, colour = (tuple(random.integers(low, low + 100, 3).tolist()) for low in (0, 150))
        image = Image.new("RGB", (128, 128), background)
        place = random.integers(50, 78, 2).tolist()
        thing(ImageDraw.Draw(image), number % 2, *place, int(random.integers(25, 40)), colour)
        small = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX))
        made.append((small + random.normal(0, 12, small.shape)).clip(0, 255).astype(np.uint8))
    everything, labels = np.stack(made), np.arange(count) % 2
    edge = 3 * count // 4
    return everything[:edge], labels[:edge], everything[edge:], labels[edge:]


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    ("thing", "harmful", "harmless"),
    [
        (arrow, {"mirror"}, {"upside-down"}),
        (letter, {"mirror"}, set()),
        (triangle, {"upside-down"}, {"mirror"}),
        (flower, set(), {"mirror", "upside-down"}),
        (disc, set(), {"mirror", "upside-down"}),
    ],
)
def test_it_tells_which_changes_the_classes_survive(thing, harmful, harmless, seed):
    found = probe_survival(*make_images(thing, seed=seed), ("mirror", "upside-down", "turn"))
    assert {name for name, survival in found.items() if survival.verdict == "harmful"} == harmful
    assert harmless <= {name for name, survival in found.items() if survival.verdict == "harmless"}
    assert all(survival.n == 100 and survival.plain > 0.9 for survival in found.values())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_digits_are_other_digits_in_a_mirror_and_survive_a_little_turn(seed):
    from sklearn.datasets import load_digits

    digits = load_digits()
    grey = (digits.images * (255 / 16)).astype(np.uint8)
    large = np.stack([np.asarray(Image.fromarray(image).convert("RGB").resize((SIDE, SIDE), 2)) for image in grey])
    order = np.random.default_rng(seed).permutation(len(large))
    learn, ask = order[:900], order[900:1150]
    found = probe_survival(
        large[learn], digits.target[learn], large[ask], digits.target[ask], ("mirror", "upside-down", "turn")
    )
    assert [survival.verdict for survival in found.values()] == ["harmful", "harmful", "harmless"]


@pytest.mark.parametrize("seed", range(4))
def test_where_nothing_can_be_told_it_says_so(seed):
    random = np.random.default_rng(seed)
    noise, labels = random.integers(0, 255, (200, SIDE, SIDE, 3), dtype=np.uint8), random.integers(0, 2, 200)
    found = probe_survival(noise[:150], labels[:150], noise[150:], labels[150:])["mirror"]
    assert found.verdict == "unclear" and not found.can_tell


def test_a_class_that_training_lacks_is_no_error():
    learn, labels, ask, true = make_images(flower, 200)
    found = probe_survival(learn, labels, ask, np.where(np.arange(len(true)) == 0, 2, true))
    assert found["mirror"].n == len(true)


@pytest.mark.parametrize("name", CHANGES)
def test_changes_are_what_they_are_called(name):
    before = make_images(arrow, 8)[0]
    after = CHANGES[name](before)
    assert after.shape == before.shape and after.dtype == np.uint8
    image = Image.fromarray(before[0])
    exact = {
        "mirror": Image.Transpose.FLIP_LEFT_RIGHT,
        "upside-down": Image.Transpose.FLIP_TOP_BOTTOM,
        "quarter-turn": Image.Transpose.ROTATE_90,
    }
    if name in exact:
        assert np.array_equal(after[0], np.asarray(image.transpose(exact[name])))
    else:
        middle = np.s_[:, 8:24, 8:24]
        assert 1 < np.abs(after[middle].astype(int) - before[middle]).mean() < 60
