"""The report: every section, no stranger's code, nothing from elsewhere, and what a browser says of it."""

from __future__ import annotations

import ast
import base64
import csv
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics as sk

from sightline.evaluation.intervals import Interval
from sightline.evaluation.metrics import METRICS
from sightline.planning.decisions import Decision
from sightline.reporting.behind import COLOURS
from sightline.reporting.card import render_model_card
from sightline.reporting.figures import FIGURES, draw_curves
from sightline.reporting.page import keep_together, render_report, write_report
from sightline.reporting.ranking import draw_ranking
from sightline.reporting.sections import SECTIONS
from sightline.runs.folder import Run
from sightline.runs.recorded import Recorded
from sightline.runs.safe_files import read_rows, write_columns

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


def test_every_section_is_there_and_linked(page, finished_run):
    elements = Elements(page)
    ids = {attributes.get("id") for attributes in elements.named("section")}
    links = {attributes["href"] for attributes in elements.named("a")}
    shown = {section.id for section in SECTIONS if section.collect(Recorded(finished_run)) is not None}
    assert ids == shown >= {"verdict", "mistakes", "confusion", "confidence", "unknown", "map", "metrics"}
    assert {f"#{name}" for name in shown} <= links


def test_the_headline_is_the_measured_accuracy(page, finished_run):
    accuracy = finished_run.metrics["accuracy"]
    text = " ".join(Elements(page).text.split())
    assert f"{accuracy['n']} test images, which were never used to make a choice" in text
    assert re.search(rf"between {100 * accuracy['low']:.0f}[.\d]* and {100 * accuracy['high']:.0f}[.\d]* %", text)


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
    names = run.facts["classes"]
    with run.predictions_file.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows[:3]:
        row |= {"correct": "0", "predicted": next(name for name in names if name != row["label"])}
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


@pytest.mark.usefixtures("no_figures")
def test_mistakes_are_shown_with_their_images_surest_first(copied_run):
    make_mistakes(copied_run)
    gallery = render_report(copied_run).partition('id="mistakes"')[2].partition("</section>")[0]
    wrong = [row for row in copied_run.predictions if row["correct"] == "0"]
    images = [one for one in Elements(gallery.partition("<details>")[0]).named("img") if one["alt"]]
    assert len(images) == len(wrong)
    order = [image["alt"].partition(":")[0] for image in images]
    assert order == [row["path"] for row in sorted(wrong, key=lambda row: -float(row["confidence"]))]


@pytest.mark.usefixtures("no_figures")
def test_images_that_are_gone_are_said_to_be_gone(copied_run):
    make_mistakes(copied_run)
    facts = copied_run.facts
    copied_run.facts_file.write_text(json.dumps({**facts, "data_root": "/nowhere"}))
    assert "image not found" in render_report(copied_run)


@pytest.mark.usefixtures("no_figures")
def test_an_unreadable_image_is_listed(copied_run):
    with copied_run.predictions_file.open("a") as file:
        file.write("gone.png,blue,,,,,0,,,,the file is empty\n")
    for path in (copied_run.samples_file, copied_run.split_file):
        rows = read_rows(path)
        rows.append({**rows[0], "path": "gone.png", "label": "blue"})
        write_columns(path, {name: [row[name] for row in rows] for name in rows[0]})
    said = np.load(copied_run.probabilities_file)
    np.save(copied_run.probabilities_file, np.concatenate([said, np.full_like(said[:1], np.nan)]))
    features = np.load(copied_run.features_file)
    np.save(copied_run.features_file, np.concatenate([features, np.full_like(features[:1], np.nan)]))
    metrics = copied_run.metrics
    copied_run.metrics_file.write_text(json.dumps({**metrics, "count": metrics["count"] + 1}))
    assert "the file is empty" in Elements(render_report(copied_run)).text


@pytest.mark.parametrize("classes", [2, 26, 300])
def test_any_number_of_classes_is_shown(copied_run, classes):
    from sightline.evaluation.metrics import evaluate_predictions

    random = np.random.default_rng(0)
    labels = random.integers(0, classes, 500)
    names = tuple(f"class {k}" for k in range(classes))
    said = random.dirichlet(np.ones(classes), 500).astype(np.float32)
    metrics = {**copied_run.metrics, **evaluate_predictions(labels, said, names)}
    del metrics["unknown"], metrics["calibration"]  # of the run's own three classes
    np.save(copied_run.probabilities_file, said[: len(copied_run.predictions)])
    copied_run.metrics_file.write_text(json.dumps(metrics))
    for old, new in zip(copied_run.facts["classes"], ("class 0", "class 1", "class 1"), strict=True):
        rename_class(copied_run, old, new)
    copied_run.facts_file.write_text(json.dumps({**copied_run.facts, "classes": list(names)}))
    for file in (copied_run.views_file, copied_run.explanations_file, copied_run.validation_file):
        file.unlink()  # of three classes
    write_report(copied_run)
    assert copied_run.report_file.stat().st_size < 3_000_000
    page = Elements(copied_run.report_file.read_text())
    assert (("table", {"class": "matrix"}) in page.elements) == (classes <= 25)
    assert (copied_run.figures_folder / "curves.png").is_file()


# The learning curve is of a pretrained network alone; others are drawn in test_search and in tests/shrinking.
@pytest.mark.parametrize(
    "name", sorted(name for name in FIGURES if not name.startswith(("learning_curve", "search", "versions")))
)
def test_figures_are_drawn_in_both_themes(finished_run, name):
    for theme in ("light", "dark"):
        assert FIGURES[name](Recorded(finished_run), theme) is not None


@pytest.mark.usefixtures("no_figures")
def test_the_training_shows_its_steps_its_clipping_and_how_the_rate_was_found(copied_run):
    assert "found before the training" in render_report(copied_run)
    assert "was clipped" not in render_report(copied_run)
    plan = copied_run.plan.replace(Decision("clip_norm", 1.0, "option", "x"))
    copied_run.plan_file.write_text(plan.to_toml())
    rows = [line.split(",") for line in copied_run.steps_file.read_text().splitlines()]
    half = len(rows) // 2
    for number, row in enumerate(rows[1:]):
        row[-1] = str(int(number < half))
    copied_run.steps_file.write_text("".join(",".join(row) + "\n" for row in rows))
    text = " ".join(Elements(render_report(copied_run)).text.split())
    assert f"clipped in {half} of {len(rows) - 1} steps ({100 * half / (len(rows) - 1):.1f} %)" in text
    for file in (copied_run.steps_file, copied_run.rates_file):  # an older run has neither
        file.unlink()
    assert "found before the training" not in render_report(copied_run)


@pytest.mark.usefixtures("no_figures")
def test_a_head_alone_has_no_epochs_in_report_and_card(copied_run):
    assert "Best epoch" in render_report(copied_run) and "the head alone" not in render_model_card(Recorded(copied_run))
    plan = copied_run.plan.replace(Decision("epochs", 0, "default", "x"))
    plan = plan.replace(Decision("engine", "onnxruntime", "hardware", "x"))
    copied_run.plan_file.write_text(plan.to_toml())
    names, *rows = copied_run.history_file.read_text().splitlines(keepends=True)
    copied_run.history_file.write_text(names + "0" + rows[0][rows[0].index(",") :])
    for file in (copied_run.steps_file, copied_run.rates_file):
        file.unlink()
    assert draw_curves(Recorded(copied_run)) is None
    text = " ".join(Elements(render_report(copied_run)).text.split())
    assert "Best epoch" not in text and "chose the epoch" not in text and "Epoch 0" not in text
    assert "Validation accuracy of the head" in text
    assert "What would torch add? For images of 16 px it trains a better network from scratch" in text
    assert "- Trained: the head alone" in render_model_card(Recorded(copied_run))


def test_the_model_card_says_figures_limits_and_licence(finished_run):
    card = render_model_card(Recorded(finished_run))
    assert card.startswith("---\npipeline_tag: image-classification")
    assert finished_run.facts["licence"] in card and finished_run.facts["data_fingerprint"] in card


@pytest.mark.usefixtures("no_figures")
def test_a_shortcut_is_in_the_verdict_and_in_the_card(copied_run):
    from markdown_it import MarkdownIt

    sentence = "width and height alone predicts class 'blue' (100 %): a network may learn this instead of the content"
    copied_run.findings_file.write_text("[]")
    assert "alone predicts" not in render_model_card(Recorded(copied_run)) + render_report(copied_run)
    found = [{"code": "shortcut", "severity": "warning", "message": sentence, "cases": [], "cure": "c", "fixes": []}]
    copied_run.findings_file.write_text(json.dumps(found))
    verdict = Elements(render_report(copied_run)).text.partition("Baseline")[0]
    assert f"! check {sentence}" in " ".join(verdict.split())
    tokens = MarkdownIt("commonmark").parse(render_model_card(Recorded(copied_run)).partition("## Limits")[2])
    assert sentence in [
        child.content for token in tokens for child in token.children or () if child.type == "code_inline"
    ]


@pytest.mark.usefixtures("no_figures")
def test_without_a_limit_of_novelty_card_and_report_promise_none(copied_run):
    metrics = copied_run.metrics
    share = metrics["unknown"]["new"]
    foreign = {"count": 6, "count_bad": 0, "new": share, "unsure": None, "auroc_novelty": 0.5, "auroc_confidence": 0.5}
    metrics["unknown"] |= {"max_novelty": 1.25, "foreign": foreign}
    copied_run.metrics_file.write_text(json.dumps(metrics))
    assert "a novelty above 1.25 means" in render_model_card(Recorded(copied_run))
    text = " ".join(Elements(render_report(copied_run)).text.split())
    assert f"Of 6 such images {Interval(**share)} are called new" in text
    metrics["unknown"]["max_novelty"] = None
    copied_run.metrics_file.write_text(json.dumps(metrics))
    card, text = render_model_card(Recorded(copied_run)), Elements(render_report(copied_run)).text
    assert "a novelty above" not in card and "no image is called new" in card
    assert "Of 6 such images none can be called new, without a limit of novelty" in " ".join(text.split())


@pytest.mark.usefixtures("no_figures")
def test_card_and_report_say_how_many_independent_images_there_are(copied_run):
    metrics = copied_run.metrics
    metrics["accuracy"]["n_effective"] = 12
    metrics["count_groups"] = 9
    copied_run.metrics_file.write_text(json.dumps(metrics))
    card, report = render_model_card(Recorded(copied_run)), Elements(render_report(copied_run)).text
    assert "n=18, effective n=12" in card and "the effective n is how many independent images" in card
    assert "18 images, worth 12 independent ones (effective n)" in report and "which makes 9 units" in report


@pytest.mark.parametrize(
    "name",
    ["a`b", "``", "`x` y", "<img src=x onerror=alert(1)>", "&amp; *b* [l](u) # h", " cat ", "_a_\n# b", "é <!--"],
)
def test_names_in_the_model_card_are_shown_as_they_are(copied_run, tmp_path, name):
    from markdown_it import MarkdownIt

    run = Run(shutil.copytree(copied_run.folder, tmp_path / "inner" / name.replace("/", "")))
    rename_class(run, "red", name)
    tokens = MarkdownIt("commonmark").parse(render_model_card(Recorded(run)).partition("---\n\n")[2])
    inside = [child for token in tokens for child in token.children or ()]
    codes = [child.content for child in inside if child.type == "code_inline"]
    assert codes[0] == run.folder.name.replace("\n", "\\n")  # the title
    assert codes[1:4] == ["blue", "green", name.replace("\n", "\\n")]
    assert not [token for token in [*tokens, *inside] if token.type.startswith(("html", "image", "link"))]
    assert [token.tag for token in tokens if token.type == "heading_open"] == ["h1", "h2", "h2", "h2"]


@pytest.mark.parametrize("name", ["my run", 'it\'s "it"', "$HOME;x", "back\\slash é"])
def test_the_commands_of_the_report_can_be_typed(copied_run, tmp_path, name):
    folder = shutil.copytree(copied_run.folder, tmp_path / name)
    shown = render_report(Run(folder)).partition('aria-label="Commands"><code>sightline predict')[2]
    one, many, python = unescape(shown.partition("</code>")[0]).splitlines()
    assert shlex.split(one) == [str(folder), "photo.jpg"]
    assert shlex.split(many)[2:] == [str(folder), "photos/", "--format", "csv"]
    program, option, code = shlex.split(python)
    assert (program, option) == ("python", "-c")
    constants = {node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)}
    assert constants == {str(folder), "photo.jpg", 0}


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
    shown = {section.id for section in SECTIONS if section.collect(Recorded(copied_run)) is not None}
    assert {a.get("id") for a in elements.named("section")} == shown
    assert not [line for line in result.stderr.splitlines() if "CONSOLE" in line]


def test_the_images_of_random_changes_are_in_the_page_and_the_figures(page, finished_run):
    views = finished_run.views
    strips = [a for a in Elements(page).named("div") if a.get("class") == "strip"]
    assert len(strips) == len(views.labels) == 4
    assert "What it sees in training" in page
    assert {"augmented.png", "augmented.svg"} <= {path.name for path in finished_run.figures_folder.iterdir()}


@pytest.mark.usefixtures("no_figures")
def test_a_run_without_such_images_has_its_report_all_the_same(copied_run):
    copied_run.views_file.unlink()
    assert "What it sees while learning" not in render_report(copied_run)


@pytest.mark.usefixtures("no_figures")
def test_a_figure_over_views_stands_beside_the_headline(copied_run):
    metrics = copied_run.metrics
    metrics |= {
        "accuracy_with_views": {**metrics["accuracy"], "value": 0.123, "low": 0.1, "high": 0.2},
        "count_views": 6,
    }
    copied_run.metrics_file.write_text(json.dumps(metrics))
    text = " ".join(Elements(render_report(copied_run)).text.split())
    assert "Averaged over 6 views" in text and "12 % (10 to 20" in text


@pytest.mark.usefixtures("no_figures")
def test_a_temperature_that_makes_the_test_loss_worse_is_said_to(copied_run):
    metrics = copied_run.metrics
    after = metrics["calibration"]["after"]
    for loss, is_worse in ((after["log_loss"] - 0.01, True), (after["log_loss"] + 0.01, False)):
        metrics["calibration"] |= {"temperature": 1.5, "before": {**after, "log_loss": loss}}
        copied_run.metrics_file.write_text(json.dumps(metrics))
        text = " ".join(Elements(render_report(copied_run)).text.split())
        words = f"log-loss is higher with the temperature ({after['log_loss']:.3f}) than without ({loss:.3f})"
        assert (words in text) == is_worse


@pytest.mark.usefixtures("no_figures")
def test_images_without_the_cross_check_are_counted_with_the_reason(copied_run):
    kept = copied_run.explanations
    assert kept is not None
    with np.load(copied_run.explanations_file) as arrays:
        without = {name: array for name, array in arrays.items() if name != "occlusion"}
    np.savez(copied_run.explanations_file, **without)
    text = " ".join(Elements(render_report(copied_run)).text.split())
    count = len(kept.images)
    assert f"left out for {count} of these {count} images: it may take no more predictions than" in text


def test_a_class_has_one_colour_in_curves_and_map(finished_run):
    drawn = draw_ranking(Recorded(finished_run))
    colours = {line.get_label().split()[0]: line.get_color() for line in drawn.axes[0].get_lines()}
    for place, name in enumerate(finished_run.facts["classes"]):
        assert colours[name] == COLOURS[place]


@pytest.mark.e2e
@pytest.mark.parametrize("width", [390, 1280])
def test_a_table_that_is_wider_than_the_screen_says_so(finished_run, tmp_path, width):
    script = """
    const boxes = [...document.querySelectorAll(".scroll")];
    boxes.forEach((box) => { box.dispatchEvent(new Event("scroll")); });
    const says = (box) => box.classList.contains("wider");
    told.wrong = boxes.filter((box) => says(box) !== (box.scrollWidth > box.clientWidth + 1)).length;
    told.wide = boxes.filter(says).length;
    told.over = document.documentElement.scrollWidth - window.innerWidth;
    """
    told = drive(keep_together(render_report(finished_run)), script, tmp_path, width)
    assert told["wrong"] == 0 and told["over"] <= 0
    assert width > 390 or told["wide"] > 0


def test_a_number_stays_with_its_percent_sign(page):
    kept = keep_together(page)
    assert kept.replace("\u00a0", " ") == page.replace("\u00a0", " ")
    policy = re.search(r"style-src '(sha256-[^']+)'", unescape(kept))
    style = re.search(r"<style>(.*?)</style>", kept, re.DOTALL)
    assert policy and style
    assert policy[1] == "sha256-" + base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    outside = re.sub(r"<(style|script)\b.*?</\1>", "", kept, flags=re.DOTALL)
    assert "\u00a0%" in outside and not re.search(r"\d %", outside)


def drive(page: str, script: str, folder, width: int = 1280) -> dict:
    """Return what a script finds in a copy of the page without its policy, which forbids such scripts."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        assert os.environ.get("SIGHTLINE_NO_SKIPS") != "1", "Chromium must be here"
        pytest.skip("no Chromium on this machine")
    told = "<script>window.onerror = (message) => { document.title = JSON.stringify({error: message}); };"
    told += f"{{ const told = {{}}; {script}; document.title = JSON.stringify(told); }}</script></body>"
    copy = folder / "driven.html"
    copy.write_text(re.sub("<meta http-equiv=[^>]*>", "", page).replace("</body>", told), encoding="utf-8")
    flags = "--headless --no-sandbox --disable-gpu --no-first-run --virtual-time-budget=3000 --dump-dom"
    command = [
        chromium,
        *flags.split(),
        f"--window-size={width},900",
        f"--user-data-dir={folder / 'profile'}",
        copy.as_uri(),
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    said = json.loads(unescape(re.search("<title>(.*?)</title>", result.stdout, re.DOTALL)[1]))
    assert "error" not in said, said
    return said


@pytest.mark.e2e
def test_slider_sorting_and_cells_do_what_they_say(copied_run, tmp_path):
    with copied_run.predictions_file.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        row["confidence"] = f"{0.5 + 0.4 * (number % 2):.6f}"
    rows[0] |= {"predicted": "red", "correct": "0"}
    with copied_run.predictions_file.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    metrics = copied_run.metrics
    names = [row["class"] for row in metrics["classes"]]
    said = [(names.index(row["label"]), names.index(row["predicted"])) for row in rows]
    metrics["confusion"] = [[said.count((i, j)) for j in range(len(names))] for i in range(len(names))]
    copied_run.metrics_file.write_text(json.dumps(metrics))
    script = """
    const slider = document.getElementById("threshold");
    slider.value = 80; slider.dispatchEvent(new Event("input"));
    told.slider = document.getElementById("threshold-says").textContent;
    told.threshold = document.getElementById("threshold-value").textContent;
    const heading = document.querySelector("#classes th button"); heading.click();
    const column = () => [...document.querySelectorAll("#classes tbody th")].map((cell) => cell.textContent);
    told.sorted = column(); heading.click(); told.turned = column();
    document.querySelector('button.cell[data-cell="CELL"]').click();
    told.title = document.getElementById("cells-title").textContent;
    told.images = document.querySelectorAll("#cells img").length;
    told.open = document.getElementById("cells").open
    """.replace("CELL", f"{names.index(rows[0]['label'])}-{names.index('red')}")
    told = drive(render_report(copied_run), script, tmp_path)
    sure = sum(float(row["confidence"]) >= 0.8 for row in rows)
    assert told["threshold"] == "0.80" and told["slider"].startswith(f"{sure} images are answered")
    assert told["sorted"] == sorted(names, reverse=True) and told["turned"] == sorted(names)
    assert told["open"] and told["title"] == f"{rows[0]['label']} taken for red" and told["images"] == 1


@pytest.mark.usefixtures("no_figures")
def test_every_number_of_the_tables_follows_from_the_answers(copied_run):
    """Recomputed by scikit-learn from predictions.csv and probabilities.npy, and from history.csv."""
    page = render_report(copied_run)
    rows, said = copied_run.predictions, np.load(copied_run.probabilities_file)
    names = copied_run.facts["classes"]
    labels = np.array([names.index(row["label"]) for row in rows])
    predicted = np.array([names.index(row["predicted"]) for row in rows])
    accuracy = sk.accuracy_score(labels, predicted)
    macro = sk.precision_recall_fscore_support(labels, predicted, average="macro", zero_division=0)[:3]
    weighted = sk.precision_recall_fscore_support(labels, predicted, average="weighted", zero_division=0)[:3]
    truth = np.eye(len(names))[labels]
    wanted = {
        "accuracy": accuracy,
        "macro_precision": macro[0],
        "balanced_accuracy": macro[1],
        "macro_f1": macro[2],
        "weighted_precision": weighted[0],
        "weighted_f1": weighted[2],
        "matthews": sk.matthews_corrcoef(labels, predicted),
        "log_loss": -np.log(np.clip(said[np.arange(len(labels)), labels].astype(float), 1e-7, 1)).mean(),
        "brier": ((said - truth) ** 2).sum(1).mean(),
        "roc_auc": np.mean([sk.roc_auc_score(labels == k, said[:, k]) for k in range(len(names))]),
        "average_precision": np.mean([sk.average_precision_score(labels == k, said[:, k]) for k in range(len(names))]),
    }
    shown = {a["data-metric"]: float(a["data-value"]) for a in Elements(page).named("tr") if "data-metric" in a}
    assert shown.keys() == METRICS.keys() - {"top_3", "top_5"}  # the oracles of all: tests/evaluation/test_metrics.py
    assert {name: shown[name] for name in wanted} == pytest.approx(wanted, abs=1e-6)
    cells = re.findall(r'data-cell="(\d+)-(\d+)">(\d+)<small>', page)
    matrix = sk.confusion_matrix(labels, predicted)
    assert {(int(i), int(j)): int(n) for i, j, n in cells} == {(i, j): n for (i, j), n in np.ndenumerate(matrix) if n}
    of_class = page.partition('id="classes"')[2].partition("</table>")[0]
    values = [float(value) for value in re.findall(r'data-value="([-0-9.e]+)"', of_class)]
    precision, recall, f1, support = sk.precision_recall_fscore_support(labels, predicted, zero_division=0)
    for k, row in enumerate(np.array(values).reshape(len(names), -1)):
        assert row[[0, 1, 2, 5]] == pytest.approx([support[k], precision[k], recall[k], f1[k]], abs=1e-9)
    confidence, hits = np.array([float(row["confidence"]) for row in rows]), predicted == labels
    for threshold, coverage, n, right, *_ in json.loads(re.search(r"data-curve='(.*?)'", page)[1]):
        answered = confidence >= threshold
        assert (n, coverage) == (answered.sum(), pytest.approx(answered.mean()))
        assert right is None if not n else right == pytest.approx(hits[answered].mean())
    assert f"{100 * accuracy:.0f} %" in page.partition('class="big"')[2].partition("</strong>")[0]
    best = copied_run.facts["best_epoch"]
    history = copied_run.history
    val = history["val_accuracy"][history["epoch"].index(best)]
    assert f"{100 * val:.1f} %" in Elements(page.partition('id="training"')[2].partition("</section>")[0]).text


def test_images_hold_nothing_but_pixels(copied_run, tmp_path):
    """A camera's place and maker stay in the user's file."""
    row = copied_run.predictions[0]
    source = Path(copied_run.facts["data_root"]) / row["path"]
    root = tmp_path / "data"
    shutil.copytree(copied_run.facts["data_root"], root)
    exif = Image.Exif()
    exif[0x010F] = "SecretCamera"
    Image.open(source).save(root / row["path"], "PNG", exif=exif)
    facts = copied_run.facts
    copied_run.facts_file.write_text(json.dumps({**facts, "data_root": str(root)}))
    page = render_report(copied_run)
    images = re.findall(r"data:image/(?:png|jpeg);base64,([A-Za-z0-9+/=]+)", page)
    assert len(images) > 20
    assert not any(b"SecretCamera" in base64.b64decode(image) for image in images)
