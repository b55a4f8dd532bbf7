"""``sightline evaluate``: measure a classifier on labelled images. Needs no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from sightline.cli.data_options import FollowLinks, Layout, Skip

__all__ = ["evaluate"]


def evaluate(
    model: Annotated[str, typer.Argument(help="A run, a classifier folder, a model.onnx, or latest.")],
    data: Annotated[str, typer.Argument(help="Labelled images in any form that train takes.")],
    require: Annotated[
        list[str] | None,
        typer.Option(
            help='Exit with 5 unless the safe end of the interval meets it, e.g. "accuracy>=0.9", "log_loss<=0.3".'
        ),
    ] = None,
    unknown_dir: Annotated[
        str, typer.Option("--unknown-dir", help="Images of other things: how many of them are answered with unknown?")
    ] = "",
    out: Annotated[
        str, typer.Option(help="New folder for metrics, predictions and report; by default in the run's evaluations/.")
    ] = "",
    columns: Annotated[
        str, typer.Option(help="CSV with path and further columns (site, camera, date): in which groups is it worse?")
    ] = "",
    group: Annotated[
        str | None,
        typer.Option(
            help="Images that belong together: a column, or a regular expression on paths; by default as in training."
        ),
    ] = None,
    layout: Layout = None,
    skip: Skip = None,
    follow_links: FollowLinks = False,
    runs: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Evaluate a classifier on labelled images.

    Uses their test part, or all of them if there is none.

    Examples:
        sightline evaluate latest photos/
        sightline evaluate latest photos/ --require "accuracy>=0.2"
    """
    from sightline.api import measuring
    from sightline.cli.gates import check_requirements, parse_requirements, requirement_fields
    from sightline.cli.latest import resolve_latest
    from sightline.evaluation.intervals import Interval
    from sightline.evaluation.macro import macro_words
    from sightline.evaluation.metrics import intervals_in
    from sightline.text import printable

    parse_requirements(require)
    model = resolve_latest(model, runs)
    evaluation = measuring.evaluate(
        model,
        data,
        unknown=unknown_dir,
        out=out,
        columns=columns,
        group=group,
        runs=runs,
        layout=layout or "",
        skip=skip or (),
        follow_links=follow_links,
    )
    metrics = evaluation.metrics
    if as_json:
        print(json.dumps({**metrics, **requirement_fields(metrics, require)}))
    else:
        lines = [(metric.words, metric.shown(interval)) for metric, interval in intervals_in(metrics).items()]
        _print_lines([*lines, ("called new", _called_new(metrics["unknown"], metrics["unknown"]["new"]))])
        if "accuracy_with_leaks" in metrics:
            with_leaks = Interval(**metrics["accuracy_with_leaks"])
            print(f"\nwithout {metrics['count_leaked']:,} images that training saw; accuracy with them {with_leaks}")
        if macro := macro_words(metrics):
            print(f"\n{printable(macro)}")
        _print_foreign(metrics["unknown"])
        _print_classes(metrics["classes"])
        _print_slices(metrics["slices"])
    check_requirements(metrics, require, as_json=as_json)
    if metrics["count_bad"]:
        raise typer.Exit(3)


def _print_classes(rows: list[dict[str, Any]]) -> None:
    """Print the metrics of each class; where images are not independent, how many independent ones they are worth."""
    from sightline.text import printable

    width = max(len(printable(row["class"])) for row in rows)
    has_units = "n_effective" in rows[0]
    print(f"\n{'class':<{width}}  images{'  effective n' if has_units else ''}  precision  recall      F1")
    for row in rows:
        cells = (f"{row[key]:.3f}" if row[key] is not None else "-" for key in ("precision", "recall", "f1"))
        few = "  too few to tell" if row["too_few"] else ""
        worth = f"  {row['n_effective']:>11}" if has_units else ""
        precision, recall, f1 = cells
        start = f"{printable(row['class']):<{width}}  {row['support']:>6}{worth}"
        print(f"{start}  {precision:>9}  {recall:>6}  {f1:>6}{few}")


def _print_slices(found: dict[str, Any]) -> None:
    """Print the groups of images that are clearly worse than all others, or that none is."""
    from sightline.text import count_of, printable, share

    print()
    if not found["found"]:
        searched = found["searched"]
        told = f"{count_of(searched, 'group')} of images {'was' if searched == 1 else 'were'} searched"
        print(f"{told}; none is clearly worse" if searched else "no group of images is large enough to be searched")
    for one in found["found"]:
        words = printable(f"{one['column']} = {one['value']}")
        worth = f", effective n={one['n_effective']:,}" if one["n_effective"] else ""
        gap = f"{share(one['accuracy'], 0)} right (n={one['n']:,}{worth}), all others {share(one['rest'], 0)}"
        print(f"worse where {words}: {gap}")


def _print_lines(lines: list[tuple[str, str]]) -> None:
    """Print names and values in two columns."""
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        print(f"{name:<{width}}  {value}")


def _called_new(found: dict[str, Any], share: dict[str, Any]) -> str:
    """Return the share of images that are called new; without a limit it would be 0 whatever they show."""
    from sightline.evaluation.intervals import Interval

    if found.get("max_novelty", 1.0) is None:
        return "none: validation was too small for a limit of novelty"
    return str(Interval(**share))


def _print_foreign(found: dict[str, Any]) -> None:
    """Print how many images that show something else are noticed, where there were any."""
    from sightline.evaluation.intervals import Interval

    foreign = found.get("foreign")
    if not foreign:
        return
    print(f"\nof {foreign['count']:,} images that show none of the classes")
    lines = [("called new", _called_new(found, foreign["new"]))]
    if foreign["unsure"]:
        below = f"(confidence below {found['min_confidence']:.2f})"
        lines.append(("unsure", f"{Interval(**foreign['unsure'])}  {below}"))
    areas = foreign["auroc_novelty"], foreign["auroc_confidence"]
    _print_lines([*lines, ("ROC AUC", f"{areas[0]:.3f} by novelty, {areas[1]:.3f} by confidence")])
