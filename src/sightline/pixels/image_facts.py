"""Facts about one image file, as a row of numbers: the columns that checks and splits use.

A row is measured once for each file and kept in the user's cache folder as long as the file does not change.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from sightline.pixels.decode import RGB, Header, read_both

__all__ = ["FACTS", "MIRROR", "SIGNATURE", "Reduced", "measure_image", "measure_reduced", "reduce_image"]

SIGNATURE = 64  # numbers of a perceptual signature

# The effect of a left-right flip on a signature: odd horizontal frequencies change their sign.
MIRROR = np.tile(np.array([1, -1] * 4, np.float32), 8)

# Colours and brightness are 0 to 1, of the image at 32 x 32 pixels on the background; an unreadable file is
# all zeros.
FACTS = np.dtype(
    [
        ("width", "<i4"),  # as shown, upright
        ("height", "<i4"),
        ("bytes", "<i8"),  # size of the file
        ("format", "S8"),  # by content: JPEG, PNG, ...
        ("mode", "S8"),  # Pillow's mode as stored: L, RGB, RGBA, I;16, CMYK, ...
        ("orientation", "u1"),  # EXIF: 1 to 8; 1 where there is none
        ("frames", "<i4"),  # images in the file: 1, or more for animations and pages
        ("has_profile", "u1"),  # an ICC colour profile
        ("remark", "S16"),  # of the decoder: see decode.REMARKS; empty for most
        ("brightness", "<f4"),  # mean luma
        ("contrast", "<f4"),  # standard deviation of luma
        ("sharpness", "<f4"),  # of edges at a short side of 256 px or less: see _sharpness
        ("saturation", "<f4"),  # mean of (max - min) over the channels
        ("colour", "<f4", (3,)),  # mean of red, green, blue
        ("spread", "<f4", (3,)),  # standard deviation of red, green, blue
        ("border", "<f4", (3,)),  # mean colour of the outermost 1/16 on each side
        ("border_spread", "<f4"),  # standard deviation of luma there: 0 is a frame of one colour
        ("signature", "<f2", (SIGNATURE,)),  # see data.duplicates
        ("inner", "<f2", (SIGNATURE,)),  # the signature of the image without 1/22 on each side, as of a crop
    ]
)

_SIDE = 32
_SHARPNESS_SIDE = 256  # short side at which sharpness is measured; JPEGs are decoded no larger than needed for it
_LONGEST = 16  # times the short side
_SMALL = 96 * 96  # pixels
_BAND = _SIDE // 16
_CUT = 1 / 22


def measure_image(data: bytes, *, name: str = "<bytes>", value_range: tuple[float, float] | None = None) -> np.void:
    """Return the row of :data:`FACTS` of an image file.

    The whole file is decoded, a large JPEG at reduced scale; that reads all of its data too, so truncated files
    are detected.

    Raises:
        UnreadableImage: as ``decode_image`` does.

    Example:
        >>> import io
        >>> from PIL import Image
        >>> file = io.BytesIO()
        >>> Image.new("RGB", (40, 20), "white").save(file, "PNG")
        >>> row = measure_image(file.getvalue())
        >>> int(row["width"]), float(row["brightness"])
        (40, 1.0)
    """
    row: np.void = measure_reduced([reduce_image(data, name=name, value_range=value_range)])[0]
    return row


@dataclass(frozen=True, slots=True, eq=False)
class Reduced:
    """What is measured of one image file: its header, and its pixels at the sizes that are needed.

    Attributes:
        header: of the file.
        size: of the file, in bytes.
        small: ``[32, 32, 3] uint8``, the whole image.
        inner: ``[32, 32, 3] uint8``, the image without 1/22 on each side.
        grey: ``[h, w] uint8``, its luma at a short side of 256 px or less, of a very long image the middle.
    """

    header: Header
    size: int
    small: RGB
    inner: RGB
    grey: npt.NDArray[np.uint8]


def reduce_image(data: bytes, *, name: str = "<bytes>", value_range: tuple[float, float] | None = None) -> Reduced:
    """Decode an image file to what ``measure_reduced`` needs of it: at most 1.1 MB of a photo of any size.

    Raises:
        UnreadableImage: as ``decode_image`` does.
    """
    header, image = read_both(data, name=name, value_range=value_range, least_side=_SHARPNESS_SIDE)
    # The image is needed at 32 x 32 pixels twice: for a large one, going through 128 x 128 costs half.
    medium = image.resize((4 * _SIDE, 4 * _SIDE), Image.Resampling.BOX) if min(image.size) > 8 * _SIDE else image
    small = medium if medium.size == (_SIDE, _SIDE) else medium.resize((_SIDE, _SIDE), Image.Resampling.BOX)
    edge = (medium.width * _CUT, medium.height * _CUT)
    box = (*edge, medium.width - edge[0], medium.height - edge[1])
    inner = medium.resize((_SIDE, _SIDE), Image.Resampling.BOX, box=box)
    return Reduced(header, len(data), np.asarray(small), np.asarray(inner), np.asarray(_grey_of(image)))


def measure_reduced(images: Sequence[Reduced]) -> npt.NDArray[np.void]:
    """Return ``[N]`` rows of :data:`FACTS`, one an image.

    Many at once cost a fraction of one after the other where images are small.
    """
    rows = np.zeros(len(images), FACTS)
    if not images:
        return rows
    for row, image in zip(rows, images, strict=True):
        header = image.header
        row["width"], row["height"], row["bytes"] = header.width, header.height, image.size
        row["format"], row["mode"], row["remark"] = header.format, header.mode, header.remark
        row["orientation"], row["frames"], row["has_profile"] = header.orientation, header.frames, header.has_profile
    small = np.stack([image.small for image in images]).reshape(len(images), -1, 3)
    layers = np.empty((len(images), 4, _SIDE * _SIDE), np.float32)  # red, green, blue and luma: each in one piece
    colours = np.divide(small.transpose(0, 2, 1), np.float32(255), out=layers[:, :3])
    np.matmul(_LUMA, colours, out=layers[:, 3])
    mean, deviation = _moments(layers)
    rows["brightness"], rows["contrast"] = mean[:, 3], deviation[:, 3]
    rows["colour"], rows["spread"] = mean[:, :3], deviation[:, :3]
    rows["saturation"] = (colours.max(1) - colours.min(1)).mean(1)
    mean, deviation = _moments(layers.take(_BORDER, -1))
    rows["border"], rows["border_spread"] = mean[:, :3], deviation[:, 3]
    rows["signature"] = _signatures(layers[:, 3])
    inner = np.stack([image.inner for image in images]).reshape(len(images), -1, 3)
    rows["inner"] = _signatures(inner.astype(np.float32) @ (_LUMA / np.float32(255)))
    rows["sharpness"] = _sharpness([image.grey for image in images])
    return rows


def _moments(layers: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return (mean, standard deviation) of each row: like numpy's functions, at a fraction of their overhead."""
    count = np.float32(layers.shape[-1])
    mean = np.add.reduce(layers, -1) / count
    difference = layers - mean[..., None]
    return mean, np.sqrt(np.add.reduce(difference * difference, -1) / count)


def _grey_of(image: Image.Image) -> Image.Image:
    """Return the luma of an image, in which sharpness is measured."""
    width, height = image.size
    longest = _LONGEST * min(width, height)
    if max(width, height) > longest:  # of a very long image, the middle
        left, top = max(0, (width - longest) // 2), max(0, (height - longest) // 2)
        image = image.crop((left, top, left + min(width, longest), top + min(height, longest)))
    grey = image.convert("L")
    scale = _SHARPNESS_SIDE / min(grey.size)
    if scale < 1:
        grey = grey.resize((max(1, round(grey.width * scale)), max(1, round(grey.height * scale))))
    return grey


def _sharpness(greys: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float64]:
    """Return ``[N]``, the standard deviation of the luma's Laplacian, 0 to about 1: low without sharp edges.

    Source: J. L. Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, ICPR 2000.
    """
    values, alike = np.zeros(len(greys)), defaultdict(list)
    for place, grey in enumerate(greys):
        if min(grey.shape) >= 3:
            # Small images of one size are measured together; of a large one, the arithmetic is what takes time.
            alike[grey.shape if grey.size <= _SMALL else place].append(place)
    for places in alike.values():
        values[places] = _edge_spread(np.stack([greys[place] for place in places]))
    return values


def _edge_spread(greys: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Return ``[N]``: the spread of the Laplacian of each of ``[N, h, w]`` images, 0 to about 1."""
    levels = greys.astype(np.int16)
    edges = levels[:, :-2, 1:-1] + levels[:, 2:, 1:-1]
    edges += levels[:, 1:-1, :-2]
    edges += levels[:, 1:-1, 2:]
    edges -= levels[:, 1:-1, 1:-1] * np.int16(4)
    np.maximum(edges, -128, out=edges)
    flat = np.minimum(edges, 127, out=edges).astype(np.float32).reshape(len(greys), -1)
    mean = np.add.reduce(flat, 1, np.float64) / flat.shape[1]
    square = np.array([row @ row for row in flat], np.float64) / flat.shape[1]
    spread: npt.NDArray[np.float64] = np.sqrt(np.maximum(0.0, square - mean * mean)) / 255
    return spread


def _signatures(luma: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return ``[N, 64]`` numbers that copies of one image share: low frequencies of its luma, of unit length.

    The cosine transform of a 32 x 32 image and its lowest 8 x 8 frequencies, as a perceptual hash takes them
    (C. Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010), but kept as numbers;
    each is weighted by its frequency, since photos contain less of higher frequencies.

    Args:
        luma: ``[N, 32 * 32]``, 0 to 1.
    """
    frequencies = ((_COSINES @ luma.reshape(-1, _SIDE, _SIDE) @ _COSINES.T) * _WEIGHTS).reshape(-1, SIGNATURE)
    length = np.sqrt((frequencies**2).sum(1, keepdims=True))
    # A flat image has no structure to compare, so it is never a copy.
    unit: npt.NDArray[np.float32] = (frequencies / np.where(length > 0.05, length, np.inf)).astype(np.float32)
    return unit


_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_IS_BORDER = np.ones((_SIDE, _SIDE), bool)
_IS_BORDER[_BAND:-_BAND, _BAND:-_BAND] = False
_BORDER = np.flatnonzero(_IS_BORDER)
_PLACES = (np.arange(_SIDE) + 0.5) * np.pi / _SIDE
_COSINES = np.cos(np.arange(8)[:, None] * _PLACES).astype(np.float32) * np.float32(np.sqrt(2 / _SIDE))
_WEIGHTS = np.hypot(np.arange(8)[:, None], np.arange(8)[None]).astype(np.float32)  # 0 for the mean brightness
