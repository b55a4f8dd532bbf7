"""Whether two images are versions of one original: turned, shifted, zoomed, sheared, mirrored, recoloured.

Keypoints that look alike propose an affine change. The images, laid over each other by it, decide: where both show
something, the edges of one must be those of the other, place by place. Things that are round, or shots of one kind,
share an outline and no details.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt
from PIL import Image

from sightline.data.keypoints import Keypoints, find_keypoints
from sightline.errors import UnreadableImage
from sightline.pixels.containers import Place
from sightline.pixels.decode import decode_image
from sightline.pixels.modes import Range

__all__ = ["LEAST_AGREEMENT", "LEAST_PLACES", "LEAST_SIDE", "OverlaidImage", "agreement", "open_overlaid"]

Floats = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]  # [2, 3]: an affine change of points (x, y)

LEAST_AGREEMENT = 0.7  # correlation of the edges of two images laid over each other: below, they are no versions
LEAST_PLACES = 12  # places of 16 pixels that must agree
LEAST_SIDE = 32  # pixels: smaller images have too little detail to be known again when they are turned

_SIDE = 128  # short side at which images are matched
_DECODED = 192  # short side that pixels are decoded at, at least
_LONGEST = 4  # times the short side
_ALIKE = 0.8  # cosine of two descriptors from which on they are a match
_LEAST_MATCHES = 4  # that agree on a change
_BLOCK = 16  # pixels of a place that is compared
_LEAST_SHARE = 0.75  # of the places in which both images show something
_SAME_PLACE = 0.6  # correlation from which on a place agrees
_FAINT = 2.0  # mean square of edges, on a scale of 0 to 255, below which a place shows nothing
_STRONG = 12.0  # edges count no more than this: an outline is one thing, however sharp


class OverlaidImage:
    """One image at the size at which images are matched; keypoints and edges are computed when first needed.

    Args:
        pixels: ``[H, W, 3] uint8``.
    """

    def __init__(self, pixels: npt.NDArray[np.uint8]) -> None:
        grey = Image.fromarray(pixels).convert("L")
        scale, most = _SIDE / min(grey.size), _LONGEST * _SIDE
        size = (min(most, round(grey.width * scale)), min(most, round(grey.height * scale)))
        self.grey = grey.resize(size, Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.LANCZOS)

    @cached_property
    def keypoints(self) -> Keypoints:
        """Of the image as it is."""
        return find_keypoints(np.asarray(self.grey, np.float32) / np.float32(255))

    @cached_property
    def edges(self) -> Floats:
        """``[H, W]``: details between 1 and 4 pixels, without light and colour."""
        return _edges(np.asarray(self.grey, np.float32))

    @cached_property
    def shown(self) -> int:
        """How many places of 16 pixels show anything; 64 are in a square image."""
        return int((_means(self.edges**2) > _FAINT).sum())


def open_overlaid(place: Place, value_range: Range | None = None) -> OverlaidImage | None:
    """Return the image of a file; None where it can't be read.

    Args:
        place: of the file.
        value_range: (low, high) of 16-bit, 32-bit and float images.
    """
    try:
        return OverlaidImage(decode_image(place, value_range=value_range, least_side=_DECODED))
    except UnreadableImage:
        return None


def agreement(one: OverlaidImage, other: OverlaidImage, least_places: int = LEAST_PLACES) -> float:
    """Return the correlation of the edges of two images laid over each other, -1 to 1; 0 where nothing fits.

    Args:
        one, other: the images.
        least_places: of 16 pixels that must agree.

    Example:
        >>> pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        >>> image = np.asarray(Image.fromarray(pixels).resize((96, 96), Image.Resampling.BICUBIC))
        >>> agreement(OverlaidImage(image), OverlaidImage(np.rot90(image))) > 0.9
        True
    """
    proposals = [
        (count, matrix, is_mirrored)
        for theirs, is_mirrored in ((other.keypoints, False), (other.keypoints.mirrored, True))
        for count, matrix in _propose(one.keypoints, theirs)
    ]
    proposals.sort(key=lambda proposal: -proposal[0])
    likeliest = proposals[:2]
    return max(
        (_lay_over(one, other, change, mirrored, least_places) for _, change, mirrored in likeliest), default=0.0
    )


def _propose(ours: Keypoints, theirs: Keypoints) -> list[tuple[int, Matrix]]:
    """Return (matches that agree, change from their points to ours), most first, at most two."""
    a, b = _match(ours, theirs)
    if len(a) < _LEAST_MATCHES:
        return []
    to, source = ours.points[a].astype(np.float64), theirs.points[b].astype(np.float64)
    fits = _agreeing(ours, theirs, a, b)
    found, is_left = [], np.ones(len(a), bool)
    for _ in range(2):
        counts = (fits & is_left).sum(1) * is_left
        inliers = fits[int(counts.argmax())] & is_left
        if counts.max() < _LEAST_MATCHES:
            break
        is_left &= ~inliers
        matrix = _fit(source[inliers], to[inliers])
        for tolerance in (6.0, 3.0):  # pixels
            if matrix is not None:
                inliers = np.linalg.norm(source @ matrix[:, :2].T + matrix[:, 2] - to, axis=1) < tolerance
                matrix = _fit(source[inliers], to[inliers])
        if matrix is not None and inliers.sum() >= _LEAST_MATCHES:
            found.append((int(inliers.sum()), matrix))
    return found


def _match(ours: Keypoints, theirs: Keypoints) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return positions of keypoints that are each other's most alike."""
    if not len(ours) or not len(theirs):
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    likeness = ours.descriptors @ theirs.descriptors.T
    best = likeness.argmax(1)
    rows = np.arange(len(best))
    mutual = np.flatnonzero((likeness.argmax(0)[best] == rows) & (likeness[rows, best] > _ALIKE))
    return mutual, best[mutual]


def _agreeing(
    ours: Keypoints, theirs: Keypoints, a: npt.NDArray[np.intp], b: npt.NDArray[np.intp]
) -> npt.NDArray[np.bool_]:
    """Return ``[M, M]``: whether the turn, zoom and shift of one match fit another, as far as a shear lets them."""
    scale = ours.sizes[a] / theirs.sizes[b]
    turn = ours.angles[a] - theirs.angles[b]
    to, source = ours.points[a] @ [1, 1j], theirs.points[b] @ [1, 1j]
    apart = source[None] - source[:, None]
    error = np.abs(to[:, None] + (scale * np.exp(1j * turn))[:, None] * apart - to[None])
    is_near = error < 5 + 0.15 * scale[:, None] * np.abs(apart)
    is_turned = np.abs(np.angle(np.exp(1j * (turn[None] - turn[:, None])))) < 0.6
    is_zoomed = np.abs(np.log(scale[None] / scale[:, None])) < 0.7
    return np.asarray(is_near & is_turned & is_zoomed)


def _fit(source: Matrix, target: Matrix) -> Matrix | None:
    """Return the affine change of these points, by least squares; None where no version is changed so."""
    if len(source) < _LEAST_MATCHES:
        return None
    design = np.column_stack([source, np.ones(len(source))])
    matrix = np.linalg.lstsq(design, target, rcond=None)[0].T
    most, least = np.linalg.svd(matrix[:, :2], compute_uv=False)
    is_plausible = least > 0.35 and most < min(2.8, 2 * least) and np.linalg.det(matrix[:, :2]) > 0
    return np.asarray(matrix) if is_plausible else None


def _lay_over(one: OverlaidImage, other: OverlaidImage, matrix: Matrix, is_mirrored: bool, least_places: int) -> float:
    """Return the correlation of edges where both images are; 0 unless they agree in enough places."""
    from scipy.ndimage import minimum_filter

    inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
    if is_mirrored:
        inverse = np.diag([-1.0, 1.0]) @ inverse + [[0, 0, other.grey.width - 1], [0, 0, 0]]
    inverse[:, 2] += 0.5 - inverse[:, :2] @ [0.5, 0.5]  # Pillow's pixels have their centres at halves
    size, change = one.grey.size, inverse.ravel().tolist()
    laid = other.grey.transform(size, Image.Transform.AFFINE, change, Image.Resampling.BILINEAR)
    whole = Image.new("L", other.grey.size, 255)
    inside = np.asarray(whole.transform(size, Image.Transform.AFFINE, change)) > 0
    if not inside.any():
        return 0.0
    pixels = np.asarray(laid, np.float32)
    theirs = _edges(np.where(inside, pixels, pixels[inside].mean()))
    core = minimum_filter(inside, 9).astype(np.float32)  # without the edge that the end of the image makes
    power, their_power = _means(one.edges**2 * core), _means(theirs**2 * core)
    shown = (_means(core) > 0.6) & (power > _FAINT) & (their_power > _FAINT)
    agrees = _means(one.edges * theirs * core)[shown] > _SAME_PLACE * np.sqrt(power * their_power)[shown]
    if agrees.sum() < least_places or agrees.mean() < _LEAST_SHARE:
        return 0.0
    ours, theirs = (edges.clip(-_STRONG, _STRONG) * core for edges in (one.edges, theirs))
    return float((ours * theirs).sum() / np.sqrt((ours**2).sum() * (theirs**2).sum()))


def _edges(grey: Floats) -> Floats:
    from scipy.ndimage import gaussian_filter

    fine, coarse = (gaussian_filter(grey, sigma, mode="nearest", truncate=3) for sigma in (1.2, 4))
    return np.asarray(fine - coarse, np.float32)


def _means(values: Floats) -> Floats:
    """Return the mean of each place."""
    height, width = (side // _BLOCK * _BLOCK for side in values.shape)
    places = values[:height, :width].reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK)
    return np.asarray(places.mean((1, 3)), np.float32)
