"""The public functions that open and measure a finished classifier: how good it is, and why it answers as it does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.api.driving import Display, drive
from sightline.api.loading import load
from sightline.data.choices import FindingChoices
from sightline.data.sources import Source
from sightline.evaluation.result import Evaluation
from sightline.installation import require_extra
from sightline.pixels.containers import Place
from sightline.runs.folder import RUNS_FOLDER
from sightline.runtime.classifier import Classifier

if TYPE_CHECKING:
    from sightline.evaluation.corruption_drops import Robustness
    from sightline.reporting.explained import Explained

__all__ = ["evaluate", "explain", "measure_robustness"]


def evaluate(
    model: str | Path | Classifier,
    data: Source,
    *,
    unknown: str | Path = "",
    out: str | Path = "",
    columns: str | Path = "",
    group: str | None = None,
    layout: str = "",
    skip: Sequence[str] = (),
    follow_links: bool = False,
    runs: str | Path = RUNS_FOLDER,
    display: Display | None = None,
    quiet: bool = False,
) -> Evaluation:
    """Measure a classifier on labelled images: those of a given test set, or all where there is none.

    Images that the classifier was trained on are left out if its run is known, with a warning.

    Args:
        model: what :func:`sightline.load` takes, or an open classifier.
        data: as for :func:`train`; its classes are matched by name, and one is enough.
        unknown: folder of images that show none of the classes: how many are noticed.
        out: new folder for metrics, predictions and a page; empty: ``evaluations`` in the classifier's run.
        columns: CSV of ``path`` and further columns: groups that share a value are compared with all others.
        group: a column or an expression, as for training: images of one group are not independent, which widens the
            intervals. None: the rule of the classifier's run, where that is known; empty: no rule.
        layout, skip, follow_links: how folders are read, and what is left out, as for :func:`train`.
        runs, display, quiet: as for :func:`sightline.load` and :func:`train`.

    Raises:
        DataError: if the data have a class that the classifier does not know, or nothing new to measure.

    Example:
        ``sightline.evaluate("latest", "more-photos/").accuracy.low``
    """
    require_extra("light", "evaluating")
    from sightline.measuring.evaluate import evaluate_source

    finding = FindingChoices(layout, tuple(skip), follow_links=follow_links)
    visit = evaluate_source(_opened(model, runs), data, unknown, out, columns, group, finding)
    return drive(visit, display, quiet)


def explain(
    model: str | Path | Classifier,
    images: Iterable[Any] | str | Place | bytes,
    *,
    method: str = "auto",
    class_name: str = "",
    cells: int = 7,
    runs: str | Path = RUNS_FOLDER,
    display: Display | None = None,
    quiet: bool = False,
) -> tuple[Explained, ...]:
    """Return which places of each image moved the score of a class, by Grad-CAM and by covering places.

    Args:
        model: what :func:`sightline.load` takes, or an open classifier.
        images: paths, bytes of image files, Pillow images or ``[H, W, 3] uint8`` arrays; or one of them.
        method: ``gradcam`` needs torch and a classifier in its run; ``occlusion`` needs neither; ``auto`` is
            both where that is possible.
        class_name: explain this class; empty: the most probable one of each image.
        cells: of the occlusion, 3 to 32 a side: ``(cells + 1)**2 + 1`` predictions an image.
        runs, display, quiet: as for :func:`sightline.evaluate`.

    Returns:
        One explanation an image, in order: ``.gradcam`` and ``.occlusion`` are ``[S, S] float32``, ``.figure()`` draws
        them over the image. An image that can't be read has its reason as ``.error``.

    Raises:
        SightlineError: for whatever the caller can correct; message and cure say how.

    Example:
        ``sightline.explain("latest", "photo.jpg")[0].figure().savefig("why.png")``
    """
    require_extra("light", "explaining")
    from sightline.measuring.explain import Wish, explain_images

    is_image = hasattr(images, "convert") or getattr(images, "ndim", 4) < 4
    many = [images] if isinstance(images, str | Place | bytes) or is_image else list(images)
    classifier = _opened(model, runs)
    wish = Wish(method, class_name, cells)
    return drive(explain_images(classifier, many, wish), display, quiet)


def measure_robustness(
    model: str | Path | Classifier,
    data: Source | None = None,
    *,
    images: int = 500,
    moved_to: str | Path = "",
    runs: str | Path = RUNS_FOLDER,
    display: Display | None = None,
    quiet: bool = False,
    **reading: Any,
) -> Robustness:
    """Return the accuracy under blur, noise, JPEG, light, rotation and few pixels, and what each costs.

    Args:
        model, runs, display, quiet: as for :func:`explain`.
        data: labelled images; None for those that the run measured the classifier on, and then its report shows it.
        images: how many, at most, drawn evenly.
        moved_to: folder where the images of the classifier's run are now, if they moved.
        **reading: how ``data`` is read: ``layout``, ``skip``, ``follow_links`` and ``group``, as for
            :func:`sightline.evaluate`.

    Raises:
        SightlineError: if no images are known, or none can be measured.

    Example:
        ``measure_robustness("latest").rows[0].drop.points``
    """
    require_extra("light", "measuring robustness")
    from sightline.measuring.robustness import measure_robustness as measure

    finding, group = _reading(**reading)
    return drive(measure(_opened(model, runs), data, images, moved_to, finding, group), display, quiet)


def _reading(
    layout: str = "", skip: Sequence[str] = (), group: str | None = None, *, follow_links: bool = False
) -> tuple[FindingChoices, str | None]:
    return FindingChoices(layout, tuple(skip), follow_links=follow_links), group


def _opened(model: str | Path | Classifier, runs: str | Path) -> Classifier:
    return model if isinstance(model, Classifier) else load(model, runs=runs)
