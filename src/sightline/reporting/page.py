"""``report.html``: one offline page, a pure function of the run folder.

No script or image comes from elsewhere, and a content security policy forbids it: styles and script are
allowed by their sha256, images as data. Class and file names are strangers' strings: autoescape is on.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
import shlex
import time
from collections.abc import Generator
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.events import Event, Noted, StageEnded, StageStarted, Warned
from sightline.installation import require_extra
from sightline.reporting.card import write_model_card
from sightline.reporting.figures import write_figures
from sightline.reporting.letters import key_of_numbers
from sightline.reporting.plots import write_mistakes
from sightline.reporting.sections import OF_EVALUATION, OF_FOLDS, OF_SEEDS, SECTIONS
from sightline.runs.damage import named_damage
from sightline.runs.folder import Run
from sightline.runs.kept import KeptEvaluation
from sightline.runs.moved import gone_images
from sightline.runs.recorded import Recorded
from sightline.runs.safe_files import write_text
from sightline.text import count_of, p_value, printable, share, visible

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["keep_together", "render_page", "render_report", "write_evaluation_page", "write_report"]


def write_report(run: Run) -> None:
    """Write ``report.html``, ``figures/`` and the model card of an evaluated run.

    Raises:
        MissingExtra: without the ``[light]`` extra.
        RunError: if the run was not evaluated, its files are damaged, or the disk is full.
    """
    require_extra("light", "the report")
    recorded = Recorded(run)
    _refuse_unfit(recorded)
    with named_damage(run.folder, run.folder):
        write_figures(recorded)
        if run.predictions_file.is_file():
            write_mistakes(recorded)
        if not recorded.is_repeated:
            write_model_card(recorded)
    write_text(run.report_file, keep_together(_render(recorded)))


def write_page(run: Run) -> Generator[Event, None, None]:
    """Write the report, with events."""
    yield StageStarted("Reporting", "")
    start = time.monotonic()
    gone, count = gone_images(run)
    if gone:
        message = (
            f"{gone:,} of {count:,} measured images are no longer in {run.facts['data_root']}: the page lacks them"
        )
        cure = f"if they moved: sightline report {shlex.quote(str(run.folder))} --data FOLDER"
        yield Warned("run.images-gone", message, cure)
    write_report(run)
    if key := key_of_numbers(run.facts["classes"]):
        yield Noted(f"{key}.")
    yield StageEnded("Reporting", str(run.report_file), time.monotonic() - start)


def write_evaluation_page(kept: KeptEvaluation) -> Path:
    """Write ``report.html`` of images that a classifier was measured on after its training; returns its path.

    Raises:
        MissingExtra: without the ``[light]`` extra.
        RunError: if the disk is full.
    """
    require_extra("light", "the page")
    write_text(kept.report_file, keep_together(render_report(kept)))
    return kept.report_file


def _refuse_unfit(run: Recorded) -> None:
    """Raise ``RunError`` where what the files of a run say does not fit together, as far as reading them shows."""
    facts, metrics = run.facts, run.metrics
    with named_damage(run.run.facts_file, run.folder):
        for name in ("classes", "data_root"):
            facts[name]
    if not run.is_repeated:
        with named_damage(run.run.predictions_file, run.folder):
            count, recorded = len(run.measured), metrics["count"]
            if count != recorded:
                raise ValueError(f"{count:,} rows, and {run.run.metrics_file.name} has {recorded:,} images")


def render_report(run: Run) -> str:
    """Return the page as HTML text.

    Raises:
        RunError: if the run was not evaluated, or its files are damaged.
    """
    recorded = Recorded(run)
    _refuse_unfit(recorded)
    return _render(recorded)


def _render(run: Recorded) -> str:
    kinds = {"folds": OF_FOLDS, "seeds": OF_SEEDS, "evaluation": OF_EVALUATION}
    shown = kinds.get(run.facts.get("kind", ""), SECTIONS)
    sections: list[dict[str, Any]] = []
    for section in shown:
        with named_damage(f"what {run.folder} keeps for {section.title!r}", run.folder):
            values = section.collect(run)
        if values is not None:
            sections.append({"id": section.id, "title": section.title, "values": values})
    from jinja2 import UndefinedError

    with named_damage(f"what {run.folder} keeps", run.folder):
        try:
            return render_page("report.html.jinja", name=run.folder.name, facts=run.facts, sections=sections)
        except UndefinedError as error:  # a template asks for what is not there
            raise ValueError(str(error)) from error


def keep_together(page: str) -> str:
    """Return a page in which no number is parted from its percent sign at the end of a line; styles and scripts stay.

    Example:
        >>> keep_together("<style>p { width: 50 %; }</style><p>99.4 %</p>")
        '<style>p { width: 50 %; }</style><p>99.4\xa0%</p>'
    """
    parts = re.split(r"(<(?:style|script)\b.*?</(?:style|script)>)", page, flags=re.DOTALL)
    return "".join(part if number % 2 else re.sub(r"(?<=\d) %", "\u00a0%", part) for number, part in enumerate(parts))


def render_page(template: str, **values: Any) -> str:
    """Return one offline page of a template and its values, with style, script and policy."""
    folder = files("sightline.reporting") / "templates"
    style, script = ((folder / name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    policy = (
        f"default-src 'none'; img-src data:; style-src {_allowed(style)}; script-src {_allowed(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    return _environment().get_template(template).render(style=style, script=script, policy=policy, **values)


@functools.cache
def _environment() -> Environment:
    """Return what makes pages of templates; it keeps them compiled, which takes longer than filling them in."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("sightline.reporting", "templates"),
        autoescape=True,
        finalize=lambda value: visible(value) if type(value) is str else value,  # not what is HTML already
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = lambda value: printable(str(value))
    environment.filters["quoted"] = lambda value: shlex.quote(str(value))
    environment.filters["percent"] = lambda value: "–" if value is None else share(value)
    environment.filters["rounded"] = lambda value, digits=0: "–" if value is None else share(value, digits)
    environment.filters["p_value"] = p_value
    environment.filters["count_of"] = count_of
    environment.filters["count"] = lambda value: f"{value:,}"
    environment.filters["json"] = _as_json
    return environment


def _as_json(value: Any) -> Any:
    """Return JSON for a script element or an attribute in single quotes: no letter of it ends either."""
    from markupsafe import Markup

    text = json.dumps(_visible_in(value), ensure_ascii=True, separators=(",", ":"))
    for letter in "<>&'":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)


def _visible_in(value: Any) -> Any:
    """Return a JSON-able value whose texts have nothing that turns or hides others."""
    if isinstance(value, dict):
        return {_visible_in(key): _visible_in(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_visible_in(one) for one in value]
    return visible(value) if isinstance(value, str) else value


def _allowed(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"
