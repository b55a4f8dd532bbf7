"""Figures for notebooks: what they draw is what the run says, and a cell can show them."""

from __future__ import annotations

import io
import json
import logging

import numpy as np
import pytest
from PIL import Image

import sightline
from sightline.errors import RunError
from sightline.text import share


def texts(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_curves_are_the_history(finished_run):
    figure = sightline.plot_curves(finished_run)
    lines = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    assert list(lines["validation"]) == finished_run.history["val_loss"]


def test_steps_are_the_learning_rate_and_the_norm_of_the_gradient_of_each(finished_run):
    rate, norm = (axes.lines[0] for axes in sightline.plot_steps(finished_run).axes)
    assert list(rate.get_ydata()) == finished_run.steps["learning_rate"]
    assert list(norm.get_ydata()) == finished_run.steps["gradient_norm"]
    assert list(rate.get_xdata()) == [float(k) for k in range(len(finished_run.steps["step"]))]


def test_no_axis_shows_the_source_of_a_formula(finished_run):
    figure = sightline.plot_steps(finished_run)
    figure.savefig(io.BytesIO())
    shown = [tick.get_text() for axes in figure.axes for tick in axes.get_yticklabels(which="both")]
    assert any(shown) and not any("$" in text for text in shown)


def test_the_confusion_matrix_has_counts_or_percent(copied_run):
    metrics = copied_run.metrics
    metrics["confusion"] = [[3, 1, 0], [0, 4, 0], [2, 0, 2]]
    copied_run.metrics_file.write_text(json.dumps(metrics))
    assert texts(sightline.plot_confusion(copied_run)) == ["3", "1", "4", "2", "2"]
    assert texts(sightline.plot_confusion(copied_run, normalize=True)) == ["75", "25", "100", "50", "50"]


def test_mistakes_are_the_surest_first_with_said_and_true(copied_run):
    rows = copied_run.predictions
    lines = copied_run.predictions_file.read_text().splitlines()
    header, predicted = lines[0].split(","), []
    for place, sure in ((1, "0.700000"), (2, "0.900000")):
        cells = dict(zip(header, lines[place].split(","), strict=True))
        wrong = next(name for name in copied_run.facts["classes"] if name != cells["label"])
        cells |= {"predicted": wrong, "confidence": sure, "correct": "0"}
        predicted.append(wrong)
        lines[place] = ",".join(cells[name] for name in header)
    copied_run.predictions_file.write_text("\n".join(lines) + "\n")
    figure = sightline.plot_mistakes(copied_run)
    wanted = [f"{predicted[1]} 90 %\nis {rows[1]['label']}", f"{predicted[0]} 70 %\nis {rows[0]['label']}"]
    assert texts(figure)[:2] == wanted
    shown = np.asarray(figure.axes[0].images[0].get_array())
    assert np.array_equal(shown, np.asarray(Image.open(copied_run.files("test")[1])))
    assert len(sightline.plot_mistakes(copied_run, count=1).axes[0].images) == 1


def test_no_mistake_is_said(copied_run):
    lines = copied_run.predictions_file.read_text().splitlines()
    copied_run.predictions_file.write_text(lines[0] + "\n")
    assert "no mistakes" in [text.get_text() for text in sightline.plot_mistakes(copied_run).texts]


def test_samples_are_of_the_part_and_of_all_classes(finished_run):
    figure = sightline.plot_samples(finished_run, "test", count=6)
    assert len(figure.axes[0].images) == 6
    assert set(texts(figure)) == {"blue", "green", "red"}


def test_predictions_are_shown_with_their_class_and_a_image_that_is_gone_is_left_out(finished_run, tmp_path):
    said = finished_run.classifier().predict([*finished_run.files("test")[:2], tmp_path / "gone.png"])
    figure = sightline.plot_predictions(said)
    assert texts(figure) == [f"{row.label} {share(row.confidence, 0)}" for row in list(said)[:2]]


@pytest.mark.parametrize("plot", [sightline.plot_curves, sightline.plot_mistakes, sightline.plot_samples])
def test_a_cell_shows_a_image(finished_run, plot):
    assert Image.open(io.BytesIO(plot(finished_run)._repr_png_())).format == "PNG"


def test_a_run_without_epochs_has_no_curves(copied_run):
    copied_run.history_file.unlink()
    with pytest.raises(RunError) as caught:
        sightline.plot_curves(copied_run)
    assert caught.value.code == "run.no-figure"


def test_what_matplotlib_remarks_on_its_own_folder_is_left_out(caplog):
    log = logging.getLogger("matplotlib")
    log.warning("mkdir -p failed for path %s: %s", "/nonexistent/.config/matplotlib", "Permission denied")
    log.warning("%s is not a writable directory", "/nonexistent")
    assert not caplog.records
    log.warning("another thing")
    assert [record.getMessage() for record in caplog.records] == ["another thing"]
