"""``sightline compare``: whether one run is really better than another. Needs no torch."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sightline.evaluation.compare import Comparison

__all__ = ["compare"]


def compare(
    names: Annotated[
        list[str], typer.Argument(metavar="RUN RUN...", help="Two or more runs; the first is the reference.")
    ],
    html: Annotated[Path | None, typer.Option(help="Write a page with the images whose prediction changed.")] = None,
    runs: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Test which of two or more runs is better.

    Compares them image by image on the same test images, and reports which differences are more than chance.

    Examples:
        sightline compare first second
        sightline compare first second --html compare.html
    """
    from sightline.api import reviewing
    from sightline.cli.check import refuse_overwriting
    from sightline.cli.latest import resolve_latest
    from sightline.runs.lookup import find_run

    opened = [find_run(resolve_latest(name, runs), folder=runs) for name in names]
    refuse_overwriting(str(opened[0].facts.get("data_root", "")), html, _is_our_page)
    compared = reviewing.compare(*opened)
    if html:
        from sightline.reporting.compare_page import render_comparison
        from sightline.reporting.page import keep_together
        from sightline.runs.safe_files import write_text

        images = [compared.rows(place) for place in range(len(compared.pairs))]
        about = [f"{compared.images()}.", *compared.notes]
        page = render_comparison(compared.runs, compared.names, about, compared.pairs, images)
        write_text(html, keep_together(page))
    if as_json:
        print(json.dumps(compared.to_dict()))
    else:
        again = " ".join(map(shlex.quote, names)) + (
            "" if runs == Path("runs") else f" --runs {shlex.quote(str(runs))}"
        )
        _print_compared(compared, again, html)


def _is_our_page(path: Path) -> bool:
    """Tell whether a file is an earlier page of this command, which a new one may replace."""
    with path.open("rb") as file:
        return b"Sightline compare</title>" in file.read(4_096)


def _print_compared(compared: Any, again: str, html: Path | None) -> None:
    from sightline.text import printable

    print(f"{compared.images()}.")
    for note in compared.notes:
        print(printable(note))
    for name, pair, verdict in zip(compared.names[1:], compared.pairs, compared.verdicts(), strict=True):
        print(f"\n{printable(verdict)}\n")
        _print_metrics(compared.names[0], name, pair)
        _print_classes(pair)
    from sightline.installation import missing_modules

    by_data = "with the data: sightline train DATA --folds 3"
    is_head = any(run.plan_file.is_file() and run.plan.settings.engine == "onnxruntime" for run in compared.runs)
    by_seed = "" if is_head or missing_modules("train") else "; with the seed alone: sightline train DATA --seeds 3"
    print(f"\nThis is about these classifiers; how much metrics vary {by_data}{by_seed}")
    if html:
        print(f"Page        {html}")
    elif any(pair.corrected + pair.newly_wrong for pair in compared.pairs):
        print(f"Images      sightline compare {again} --html compare.html")


def _print_metrics(first: str, second: str, pair: Comparison) -> None:
    from sightline.evaluation.metrics import METRICS
    from sightline.text import printable

    rows = [("", printable(first), printable(second), "difference (95 %)")]
    rows += [(METRICS[name].words, *change.cells(name)) for name, change in pair.metrics.items()]
    width = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        print(f"{row[0]:<{width[0]}}  {row[1]:>{width[1]}}  {row[2]:>{width[2]}}  {row[3]}")


def _print_classes(pair: Comparison) -> None:
    from sightline.text import p_value, printable, share

    changed = [row for row in pair.classes if row.is_significant]
    if not changed:
        print(f"\nNo class by itself changed by more than chance ({len(pair.classes)} tested, Holm's correction).")
        return
    width = max(len("class"), *(len(printable(row.name)) for row in changed))
    print(f"\n{'class':<{width}}  images  corrected  newly wrong  recall before    after  p (Holm)")
    for row in sorted(changed, key=lambda row: row.p_adjusted):
        counts = f"{row.n:>6}  {row.corrected:>9}  {row.newly_wrong:>11}"
        recalls = f"{share(row.first):>13}  {share(row.second):>7}"
        print(f"{printable(row.name):<{width}}  {counts}  {recalls}  {p_value(row.p_adjusted).removeprefix('p = ')}")
