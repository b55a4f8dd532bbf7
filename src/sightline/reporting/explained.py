"""Which places of one image moved the score of a class: arrays, and a figure of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sightline.installation import require_extra
from sightline.reporting.canvas import INK, empty_figure, in_cells
from sightline.reporting.letters import drawable_text
from sightline.reporting.preview import name_of
from sightline.text import printable, share

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["CAVEAT", "MAP_NAMES", "Explained", "overlay"]

CAVEAT = (
    "Bright areas moved the score of this class. It is not a reason: these maps can't prove that the "
    "classifier uses the right evidence, nor that it doesn't."
)
MAP_NAMES = {"gradcam": "Grad-CAM", "occlusion": "occlusion"}
_COLOURS = "inferno"  # rises in lightness all the way: it is read without seeing colours, and in grey
_DARKEST = 0.35  # of these colours: darker ones would make a bright image darker where the map rises
_SMALL = 100  # px: fewer are shown as the squares that they are
_LETTERS = 40


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Explained:
    """Which places of one image moved the score of one class.

    Attributes:
        path: the image's name as it was given.
        label: the class that is explained: the most probable one, or the one that was asked for.
        confidence: its probability, 0 to 1; NaN when the image could not be read.
        predicted: the most probable class, or None.
        image: ``[S, S, 3] uint8``, the square that the network sees; empty when the image could not be read.
        gradcam: ``[S, S] float32``, 0 to 1, or None: not made.
        occlusion: ``[S, S] float32``, by how much the probability falls when a place is covered, -1 to 1, or None.
        layer: the module whose output Grad-CAM looked at; empty without it.
        agreement: rank correlation of the two maps, -1 to 1; None unless there are two that vary.
        error: why the image could not be read, or None.
    """

    path: str
    label: str | None = None
    confidence: float = float("nan")
    predicted: str | None = None
    image: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0, 3), np.uint8))
    gradcam: npt.NDArray[np.float32] | None = None
    occlusion: npt.NDArray[np.float32] | None = None
    layer: str = ""
    agreement: float | None = None
    error: str | None = None

    @property
    def maps(self) -> dict[str, npt.NDArray[np.float32]]:
        """The maps that were made, each from 0 to 1, 1 being the place that speaks most for the class."""
        made = {} if self.gradcam is None else {"gradcam": self.gradcam}
        if self.occlusion is not None:
            made["occlusion"] = scaled(self.occlusion)
        return made

    def figure(self) -> Figure:
        """Return the image beside each map laid over it, as a matplotlib figure.

        Raises:
            MissingExtra: without the ``[light]`` extra.

        Example:
            ``sightline.explain("latest", "photo.jpg")[0].figure().savefig("why.png")``
        """
        require_extra("light", "a figure")
        return in_cells(draw_explained(self))

    def to_dict(self) -> dict[str, Any]:
        """Return what was found, without the arrays, as JSON-able values."""
        return {
            "path": self.path,
            "label": self.label,
            "confidence": None if self.error else round(self.confidence, 6),
            "predicted": self.predicted,
            "methods": list(self.maps),
            "layer": self.layer,
            "largest_fall": None if self.occlusion is None else round(float(self.occlusion.max()), 6),
            "agreement": None if self.agreement is None else round(self.agreement, 4),
            "error": self.error,
        }

    def __repr__(self) -> str:
        said = self.error or f"{self.label} {share(self.confidence)}, {' and '.join(self.maps)}"
        return f"Explained({self.path!r}: {said})"


def scaled(fall: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the falls of a probability from 0 to 1, 1 being the largest; where covering helped the class, 0."""
    above = fall.clip(0, None)
    shares: npt.NDArray[np.float32] = (above / max(float(above.max()), 1e-30)).astype(np.float32)
    return shares


def overlay(image: npt.NDArray[np.uint8], strength: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Return an image in dark grey, with a map laid over it in colours that rise in lightness.

    Args:
        image: ``[H, W, 3] uint8``.
        strength: ``[H, W]``, 0 to 1.

    Returns:
        ``[H, W, 3] uint8``.
    """
    import matplotlib

    grey = image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32) / 255
    colours = np.asarray(matplotlib.colormaps[_COLOURS](_DARKEST + (1 - _DARKEST) * strength))[..., :3]
    share = 0.75 * strength[..., None]  # the image is seen through the brightest place too
    mixed = (1 - share) * grey[..., None] * 0.5 + share * colours
    laid: npt.NDArray[np.uint8] = (255 * mixed.clip(0, 1)).round().astype(np.uint8)
    return laid


def draw_explained(explained: Explained, theme: str = "light") -> Figure:
    """Return the image beside each map laid over it; an image that could not be read is named."""
    maps = explained.maps
    tiles = [("the image", explained.image)]
    tiles += [(MAP_NAMES[name], overlay(explained.image, values)) for name, values in maps.items()]
    side, edge, head, foot = 3.0, 0.1, 0.6, 0.8  # inches
    width, height = max(2, len(tiles)) * (side + edge) + edge, head + side + foot
    figure = empty_figure((width, height))

    def write(left: float, top: float, words: str, size: float = 9, align: str = "left") -> None:
        place = left / width, 1 - top / height
        figure.text(*place, words, color=INK[theme], fontsize=size, va="center", ha=align, parse_math=False)

    if explained.error:
        write(edge, height / 2, f"{printable(explained.path)}: {printable(explained.error)}"[: 2 * _LETTERS])
        return figure
    title = f"{name_of(drawable_text(explained.label or ''), _LETTERS)} {share(explained.confidence)}"
    if explained.predicted != explained.label:
        title += f" (predicted: {name_of(drawable_text(explained.predicted or ''), _LETTERS)})"
    write(edge, 0.18, title, 11)
    for place, (name, pixels) in enumerate(tiles):
        left = edge + place * (side + edge)
        axes = figure.add_axes((left / width, foot / height, side / width, side / height))
        axes.imshow(pixels, interpolation="nearest" if len(pixels) < _SMALL else "antialiased")
        axes.set_axis_off()
        write(left, head - 0.14, name)
    write(edge, height - 0.14, "What moved the score is not a reason: such maps prove nothing by themselves.", 8)
    if maps:
        _draw_scale(figure, theme, (edge / width, 0.58 / height, side / width, 0.1 / height))
        write(edge, height - 0.42, "moved the score: not at all", 8)
        write(edge + side, height - 0.42, "most", 8, "right")
    if explained.agreement is not None:
        write(edge + side + 2 * edge, height - 0.63, f"rank correlation of the two maps: {explained.agreement:.2f}", 8)
    if explained.occlusion is not None:
        fall = 100 * max(0.0, float(explained.occlusion.max()))
        first, second = "covering the brightest place lowers", f"the probability by {fall:.1f} points on average"
        lines = [f"{first} {second}"] if len(tiles) > 2 else [second, first]  # two tiles are too narrow for one line
        for place, words in enumerate(lines):
            write(edge + side + 2 * edge, height - 0.42 - 0.21 * place, words, 8)
    return figure


def _draw_scale(figure: Figure, theme: str, place: tuple[float, float, float, float]) -> None:
    axes = figure.add_axes(place)
    ramp = np.broadcast_to(np.linspace(0, 1, 128, dtype=np.float32), (4, 128))
    axes.imshow(overlay(np.full((4, 128, 3), 128, np.uint8), ramp), aspect="auto")
    axes.set_axis_off()
