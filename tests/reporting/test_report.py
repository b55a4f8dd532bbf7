"""The report: every section, no stranger's code, nothing from elsewhere, and what a browser says of it."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from sightline.planning.decisions import Decision
from sightline.reporting.card import render_model_card
from sightline.reporting.figures import FIGURES
from sightline.reporting.page import render_report, write_report
from sightline.reporting.sections import SECTIONS
from sightline.runs.folder import Run

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{ 7*7 }}"


class Elements(HTMLParser):
    """Collects elements, their attributes and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, {name: value or "" for name, value in attributes}))

    def handle_data(self, data):
        self.text += data

    def named(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def page(finished_run):
    return render_report(finished_run)


def test_every_section_is_there_and_linked(page):
    elements = Elements(page)
    ids = {attributes.get("id") for attributes in elements.named("section")}
    links = {attributes["href"] for attributes in elements.named("a")}
    assert ids == {section.id for section in SECTIONS}
    assert {f"#{section.id}" for section in SECTIONS} <= links


def test_the_headline_is_the_measured_accuracy(page, finished_run):
    accuracy = finished_run.metrics["accuracy"]
    text = " ".join(Elements(page).text.split())
    assert f"{accuracy['n']} test images that served no choice" in text
    assert re.search(rf"expect {100 * accuracy['low']:.0f}[.\d]* to {100 * accuracy['high']:.0f}[.\d]* %", text)


def test_the_per_class_table_shows_the_metrics(page, finished_run):
    table = page.partition('id="classes"')[2].partition("</section>")[0]
    for row in finished_run.metrics["classes"]:
        assert f'<th scope="row">{row["class"]}</th>' in table
        assert f'data-value="{row["f1"]}"' in table


def test_nothing_is_loaded_from_elsewhere(page):
    for tag, attributes in Elements(page).elements:
        for name in ("src", "href", "srcset", "action", "data"):
            value = attributes.get(name, "")
            assert not value or value.startswith(("data:image/", "#")), (tag, value[:80])
    assert "url(" not in page and "@import" not in page


def test_styles_and_scripts_are_those_that_the_policy_allows(page):
    policy = next(
        a["content"] for a in Elements(page).named("meta") if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert "default-src 'none'" in policy
    for tag in ("style", "script"):
        blocks = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.S)
        assert len(blocks) == 1
        digest = base64.b64encode(hashlib.sha256(blocks[0].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert " style=" not in page and not re.search(r"<[^>]+\son\w+=", page)


def rename_class(run: Run, old: str, new: str) -> None:
    """Give a class another name everywhere in a run folder."""
    for path in (run.facts_file, run.metrics_file):
        path.write_text(json.dumps(json.loads(path.read_text().replace(json.dumps(old), json.dumps(new)))))
    for path in (run.samples_file, run.split_file, run.predictions_file):
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows({key: new if value == old else value for key, value in row.items()} for row in rows)


def make_mistakes(run: Run) -> None:
    """Turn the first right predictions into wrong ones."""
    with run.predictions_file.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows[:3]:
        row["correct"] = "0"
    with run.predictions_file.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize("name", [HOSTILE, "ü" * 150 + "🐜" * 150, "$x^2$ \\frac", "line\nbreak\x1b[31m"])
def test_class_names_are_strangers_strings(copied_run, page, name):
    make_mistakes(copied_run)
    plain = Elements(render_report(copied_run))
    rename_class(copied_run, "blue", name)
    write_report(copied_run)
    elements = Elements(copied_run.report_file.read_text(encoding="utf-8"))
    assert [tag for tag, _ in elements.elements] == [tag for tag, _ in plain.elements]  # no element was added
    assert "{{ 7*7 }}" in elements.text or "{{" not in name


def test_mistakes_are_shown_with_their_pictures_surest_first(copied_run):
    make_mistakes(copied_run)
    gallery = render_report(copied_run).partition('id="mistakes"')[2].partition("</section>")[0]
    wrong = [row for row in copied_run.predictions if row["correct"] == "0"]
    pictures = Elements(gallery).named("img")
    assert len(pictures) == len(wrong)
    order = [picture["alt"].partition(":")[0] for picture in pictures]
    assert order == [row["path"] for row in sorted(wrong, key=lambda row: -float(row["confidence"]))]


def test_pictures_that_are_gone_are_said_to_be_gone(copied_run):
    make_mistakes(copied_run)
    facts = copied_run.facts
    copied_run.facts_file.write_text(json.dumps({**facts, "data_root": "/nowhere"}))
    assert "picture not found" in render_report(copied_run)


def test_an_unreadable_image_is_listed(copied_run):
    with copied_run.predictions_file.open("a") as file:
        file.write("gone.png,blue,,,,,0,the file is empty\n")
    assert "the file is empty" in Elements(render_report(copied_run)).text


@pytest.mark.parametrize("classes", [2, 26, 300])
def test_any_number_of_classes_is_shown(copied_run, classes):
    import numpy as np

    from sightline.evaluation.metrics import evaluate_predictions

    random = np.random.default_rng(0)
    labels = random.integers(0, classes, 500)
    names = tuple(f"class {k}" for k in range(classes))
    said = random.dirichlet(np.ones(classes), 500).astype(np.float32)
    metrics = {**copied_run.metrics, **evaluate_predictions(labels, said, names)}
    copied_run.metrics_file.write_text(json.dumps(metrics))
    write_report(copied_run)
    size = copied_run.report_file.stat().st_size
    assert size < 3_000_000
    assert ("matrix" in Elements(copied_run.report_file.read_text()).text) or size > 0
    assert (copied_run.figures_folder / "curves.png").is_file()


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_drawn_in_both_themes(finished_run, name):
    for theme in ("light", "dark"):
        assert FIGURES[name](finished_run, theme) is not None


def test_the_training_shows_its_steps_its_clipping_and_how_the_rate_was_found(copied_run):
    assert "found before the training" in render_report(copied_run)
    assert "was clipped" not in render_report(copied_run)
    plan = copied_run.plan.replace(Decision("clip_norm", 1.0, "option", "x"))
    copied_run.plan_file.write_text(plan.to_toml())
    rows = list(csv.reader(copied_run.steps_file.open()))
    half = len(rows) // 2
    for number, row in enumerate(rows[1:]):
        row[-1] = str(int(number < half))
    copied_run.steps_file.write_text("".join(",".join(row) + "\n" for row in rows))
    text = " ".join(Elements(render_report(copied_run)).text.split())
    assert f"clipped in {100 * half / (len(rows) - 1):.1f} % of {len(rows) - 1} steps" in text
    for file in (copied_run.steps_file, copied_run.rates_file):  # an older run has neither
        file.unlink()
    assert "found before the training" not in render_report(copied_run)


def test_the_model_card_says_figures_limits_and_licence(finished_run):
    card = render_model_card(finished_run)
    assert card.startswith("---\npipeline_tag: image-classification")
    assert finished_run.facts["licence"] in card and finished_run.facts["data_fingerprint"] in card


@pytest.mark.e2e
def test_a_browser_finds_every_section_and_complains_about_nothing(copied_run, tmp_path):
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        assert os.environ.get("SIGHTLINE_NO_SKIPS") != "1", "Chromium must be here"
        pytest.skip("no Chromium on this machine")
    make_mistakes(copied_run)
    write_report(copied_run)
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    flags += " --disable-component-update --disable-sync --enable-logging=stderr --virtual-time-budget=2000 --dump-dom"
    command = [chromium, *flags.split(), f"--user-data-dir={tmp_path / 'profile'}", copied_run.report_file.as_uri()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    elements = Elements(result.stdout)
    assert {a.get("id") for a in elements.named("section")} == {section.id for section in SECTIONS}
    assert not [line for line in result.stderr.splitlines() if "CONSOLE" in line]


def test_the_pictures_of_random_changes_are_in_the_page_and_the_figures(page, finished_run):
    views = finished_run.views
    strips = [a for a in Elements(page).named("div") if a.get("class") == "strip"]
    assert len(strips) == len(views["labels"]) == 4
    assert "What it sees while learning" in page
    assert {"augmented.png", "augmented.svg"} <= {path.name for path in finished_run.figures_folder.iterdir()}


def test_a_run_without_such_pictures_has_its_report_all_the_same(copied_run):
    copied_run.views_file.unlink()
    assert "What it sees while learning" not in render_report(copied_run)


def test_a_figure_over_views_stands_beside_the_headline(copied_run):
    metrics = copied_run.metrics
    metrics |= {
        "accuracy_with_views": {**metrics["accuracy"], "value": 0.123, "low": 0.1, "high": 0.2},
        "count_views": 6,
    }
    copied_run.metrics_file.write_text(json.dumps(metrics))
    text = " ".join(Elements(render_report(copied_run)).text.split())
    assert "Averaged over 6 views" in text and "12 % (10 to 20" in text
