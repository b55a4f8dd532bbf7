"""How alike two images are: the numbers are those of whole inverse transforms, whatever computes them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from scenes import scene
from sightline.data.similarity import COMPARISONS, ComparedImage, Comparison, compare, correlations


def opened(folder, *images: Image.Image) -> list[ComparedImage]:
    for place, image in enumerate(images):
        image.save(folder / f"{place}.png")
    return [ComparedImage(folder / f"{place}.png") for place in range(len(images))]


def plain_spectra(comparison: Comparison, image: Image.Image) -> np.ndarray:
    """As the definition says it, with numpy's transforms of whole images."""
    grey, side, views = image.convert("L"), comparison.side, []
    for scale in comparison.scales:
        x, y = grey.width * (1 - scale) / 2, grey.height * (1 - scale) / 2
        box = (x, y, grey.width - x, grey.height - y)
        views.append(np.asarray(grey.resize((side, side), Image.Resampling.BILINEAR, box=box), np.float64) / 255)
    spectra = []
    for view in (*views, views[0][:, ::-1]):
        edges = np.fft.irfft2(np.fft.rfft2(view) * comparison.mask, (side, side))
        most = np.abs(edges).mean()
        spectrum = np.fft.rfft2(np.clip(edges, -most, most) * comparison.window) * (comparison.mask > 0)
        spectra.append(spectrum / np.sqrt(2 * (np.abs(spectrum) ** 2).sum()))
    return np.stack(spectra)


def plain_correlation(comparison: Comparison, one: np.ndarray, other: np.ndarray) -> float:
    most = comparison.side // 10
    near = np.r_[0 : most + 1, -most:0]
    pairs = [(first, second) for first in (one[0], one[-1]) for second in other[:-1]]
    pairs += [(first, second) for first in one[1:-1] for second in (other[0], other[-1])]
    fits = [np.fft.irfft2(a.conj() * b, (comparison.side,) * 2) * comparison.side**2 for a, b in pairs]
    return max(float(fit[np.ix_(near, near)].max()) for fit in fits)


@pytest.mark.parametrize("level", range(len(COMPARISONS)))
def test_correlations_are_those_of_whole_inverse_transforms(tmp_path, level):
    comparison, side = COMPARISONS[level], 96
    images = [scene(k, side) for k in range(3)]
    images += [images[0].crop((4, 4, side - 4, side - 4)), images[1].transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    files = opened(tmp_path, *images)
    places = [(one, other) for one in range(5) for other in range(5)] * 2  # more than are compared at once
    with ThreadPoolExecutor(2) as pool:
        found = correlations([(files[one], files[other]) for one, other in places], comparison, pool)
    spectra = [plain_spectra(comparison, image) for image in images]
    wanted = [plain_correlation(comparison, spectra[one], spectra[other]) for one, other in places]
    np.testing.assert_allclose(found, wanted, atol=2e-6)
    assert found[places.index((0, 3))] > 0.9  # a crop
    assert found[places.index((1, 4))] > 0.9  # a mirror
    assert found[places.index((0, 2))] < 0.5


def test_each_pair_is_judged_by_itself_in_the_last_comparison_that_it_is_large_enough_for(tmp_path):
    large, small = scene(0, 96), scene(1, 40)
    images = (large, large.resize((80, 80)), scene(2, 96), small, small, scene(3, 12), scene(3, 12))
    files = [*opened(tmp_path, *images), ComparedImage(tmp_path / "gone.png")]
    pairs = [(files[one], files[other]) for one, other in ((0, 1), (0, 2), (3, 4), (5, 6), (0, 7))]
    with ThreadPoolExecutor(1) as pool:
        together = compare(pairs, pool)
        alone = np.concatenate([compare([pair], pool) for pair in pairs])
        assert len(compare([], pool)) == 0
        fine = correlations(pairs[:1], COMPARISONS[1], pool)
        coarse = correlations(pairs[2:3], COMPARISONS[0], pool)
    np.testing.assert_allclose(together, alone, atol=1e-6)
    np.testing.assert_allclose(together, [fine[0], 0, coarse[0], 0, 0], atol=1e-6)
