"""Facts about one image file, as a row of numbers: the columns that checks and splits use.

A row is measured once for each file and kept in the user's cache folder as long as the file does not change.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image

from sightline.pixels.decode import read_both

__all__ = ["FACTS", "MIRROR", "SIGNATURE", "measure_image"]

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
        ("sharpness", "<f4"),  # of edges at a short side of 256 px or less: see measure_image
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
    header, image = read_both(data, name=name, value_range=value_range, least_side=_SHARPNESS_SIDE)
    row: np.void = np.zeros(1, FACTS)[0]
    row["width"], row["height"], row["bytes"] = header.width, header.height, len(data)
    row["format"], row["mode"], row["remark"] = header.format, header.mode, header.remark
    row["orientation"], row["frames"], row["has_profile"] = header.orientation, header.frames, header.has_profile
    # The image is needed at 32 x 32 pixels twice: for a large one, going through 128 x 128 costs half.
    medium = image.resize((4 * _SIDE, 4 * _SIDE), Image.Resampling.BOX) if min(image.size) > 8 * _SIDE else image
    small = np.asarray(medium.resize((_SIDE, _SIDE), Image.Resampling.BOX)).reshape(-1, 3)
    layers = np.empty((4, _SIDE * _SIDE), np.float32)  # red, green, blue and luma: each in one piece of memory
    colours = np.divide(small.T, np.float32(255), out=layers[:3])
    np.matmul(_LUMA, colours, out=layers[3])
    mean, deviation = _moments(layers)
    row["brightness"], row["contrast"] = mean[3], deviation[3]
    row["colour"], row["spread"] = mean[:3], deviation[:3]
    row["saturation"] = np.add.reduce(colours.max(0) - colours.min(0)) / (_SIDE * _SIDE)
    mean, deviation = _moments(layers.take(_BORDER, 1))
    row["border"], row["border_spread"] = mean[:3], deviation[3]
    row["sharpness"] = _sharpness(image)
    row["signature"] = _signature(layers[3].reshape(_SIDE, _SIDE))
    edge = (medium.width * _CUT, medium.height * _CUT)
    box = (*edge, medium.width - edge[0], medium.height - edge[1])
    inner = np.asarray(medium.resize((_SIDE, _SIDE), Image.Resampling.BOX, box=box), np.float32).reshape(-1, 3)
    row["inner"] = _signature((inner @ (_LUMA / np.float32(255))).reshape(_SIDE, _SIDE))
    return row


def _moments(layers: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return (mean, standard deviation) of each row: like numpy's functions, at a fraction of their overhead."""
    count = np.float32(layers.shape[1])
    mean = np.add.reduce(layers, 1) / count
    difference = layers - mean[:, None]
    return mean, np.sqrt(np.add.reduce(difference * difference, 1) / count)


def _sharpness(image: Image.Image) -> float:
    """Standard deviation of the luma's Laplacian, 0 to about 1: low for images without sharp edges.

    Source: J. L. Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, ICPR 2000.
    """
    width, height = image.size
    longest = _LONGEST * min(width, height)
    if max(width, height) > longest:  # of a very long image, the middle
        left, top = max(0, (width - longest) // 2), max(0, (height - longest) // 2)
        image = image.crop((left, top, left + min(width, longest), top + min(height, longest)))
    grey = image.convert("L")
    scale = _SHARPNESS_SIDE / min(grey.size)
    if scale < 1:
        grey = grey.resize((max(1, round(grey.width * scale)), max(1, round(grey.height * scale))))
    if min(grey.size) < 3:
        return 0.0
    levels = np.asarray(grey, np.int16)
    edges = levels[:-2, 1:-1] + levels[2:, 1:-1]
    edges += levels[1:-1, :-2]
    edges += levels[1:-1, 2:]
    edges -= levels[1:-1, 1:-1] * np.int16(4)
    np.maximum(edges, -128, out=edges)
    values = np.minimum(edges, 127, out=edges).astype(np.float32).ravel()
    mean = float(np.add.reduce(values)) / len(values)
    return math.sqrt(max(0.0, float(values @ values) / len(values) - mean * mean)) / 255


def _signature(luma: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """64 numbers that copies of one image share: low frequencies of its luma, of unit length.

    The cosine transform of a 32 x 32 image and its lowest 8 x 8 frequencies, as a perceptual hash takes them
    (C. Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010), but kept as numbers;
    each is weighted by its frequency, since photos contain less of higher frequencies.
    """
    frequencies = (_COSINES @ luma @ _COSINES.T) * _WEIGHTS
    length = float(np.sqrt((frequencies**2).sum()))
    # A flat image has no structure to compare, so it is never a copy.
    unit: npt.NDArray[np.float32] = (frequencies / (length if length > 0.05 else np.inf)).astype(np.float32)
    return unit.ravel()


_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_IS_BORDER = np.ones((_SIDE, _SIDE), bool)
_IS_BORDER[_BAND:-_BAND, _BAND:-_BAND] = False
_BORDER = np.flatnonzero(_IS_BORDER)
_PLACES = (np.arange(_SIDE) + 0.5) * np.pi / _SIDE
_COSINES = np.cos(np.arange(8)[:, None] * _PLACES).astype(np.float32) * np.float32(np.sqrt(2 / _SIDE))
_WEIGHTS = np.hypot(np.arange(8)[:, None], np.arange(8)[None]).astype(np.float32)  # 0 for the mean brightness
