"""The command line: what newcomers type wrongly, what they get, and the exit codes."""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from finished import write_colours
from sightline.cli.app import VERBS
from sightline.evaluation.confusion import confusion_from
from sightline.evaluation.intervals import Interval


def assert_error(result: tuple[int, str, str], code: str, *words: str) -> None:
    status, out, err = result
    assert status == 2, err
    assert out == ""
    assert f"error[{code}]: " in err and "\n  cure: " in err
    assert "Traceback" not in err
    for word in words:
        assert word in err


# -- a newcomer's wrong inputs --------------------------------------------------------------------------------


def test_predicting_before_any_training(sightline, here):
    assert_error(sightline("predict", "latest", "photo.jpg"), "run.no-latest", "sightline train")


def test_weights_that_are_a_pickle(sightline, here, colours):
    torch.save({"a": torch.zeros(1)}, here / "net.pth")
    result = sightline("train", colours, "--model", "test_resnet", "--weights", "net.pth", "--size", "32")
    assert_error(result, "weights.pickle", "net.pth", "save_file")
    assert not (here / "runs").exists()


@pytest.mark.e2e
@pytest.mark.usefixtures("no_figures")
def test_a_broken_cuda_is_named_and_the_run_goes_on_on_the_cpu(sightline, here, colours, monkeypatch):
    said = ["CUDA initialization: CUDA driver initialization failed"]

    def unavailable() -> bool:  # as torch does it: a warning at the first call, and False
        if said:
            warnings.warn(said.pop(), stacklevel=1)
        return False

    monkeypatch.setattr(torch.cuda, "is_available", unavailable)
    monkeypatch.setattr("sightline.training.hardware.gpu_driver", lambda: "/usr/bin/nvidia-smi")
    status, out, err = sightline("train", colours, "--epochs", "1", "--device", "cuda")
    assert status == 0, err
    assert "warning[device.broken-cuda]" in err and "driver initialization failed" in err
    assert "Test accuracy" in out


def test_a_missing_path(sightline, here):
    assert_error(sightline("train", "photso"), "data.missing", "photso")


def test_a_file_instead_of_a_folder(sightline, here):
    Image.new("RGB", (8, 8)).save("photo.jpg")
    assert_error(sightline("train", "photo.jpg"), "data.not-a-source", "photo.jpg")


def test_an_empty_folder(sightline, here):
    (here / "photos").mkdir()
    assert_error(sightline("train", "photos"), "data.no-images", "photos")


def test_a_detection_layout(sightline, here, write_image):
    write_image(here / "boxes" / "images" / "a.png")
    (here / "boxes" / "labels").mkdir()
    (here / "boxes" / "labels" / "a.txt").write_text("0 .5 .5 .2 .2")
    assert_error(sightline("train", "boxes"), "data.detection-layout", "boxes")


def test_one_class_only(sightline, here, write_image):
    for number in range(6):
        write_image(here / "photos" / "cat" / f"{number}.png", seed=number)
    assert_error(sightline("train", "photos"), "data.one-class", "'cat'")


@pytest.mark.e2e
@pytest.mark.usefixtures("no_figures")
def test_a_class_with_one_image_is_said_and_used_for_training(sightline, here, write_image):
    for name, count in (("ant", 20), ("bee", 20), ("cat", 1)):
        for number in range(count):
            write_image(here / "photos" / name / f"{number}.png", seed=hash((name, number)) % 2**31)
    status, _, err = sightline("train", "photos", "--epochs", "1")
    assert status == 0
    assert "warning[data.tiny-class]" in err and "'cat' has 1" in err
    assert "too small to be evaluated, used for training only: cat" in err


def test_an_unknown_model_name(sightline, here, colours):
    assert_error(sightline("train", colours, "--model", "resnet81"), "model.unknown-name", "resnet81", "resnet18")


def test_a_test_folder_with_an_extra_class(sightline, here, write_image):
    for part, names in (("train", "ab"), ("test", "abc")):
        for name in names:
            for number in range(6):
                write_image(here / "photos" / part / name / f"{number}.png", seed=number)
    assert_error(sightline("train", "photos"), "data.unknown-class", "'c'", "test")


@pytest.mark.parametrize(
    ("text", "code", "word"),
    [
        ("file,class\na.png,x\n", "data.table-columns", "path"),
        ("path,label\na.png,\n", "data.table-rows", "line 2"),
        ("path,label,split\na.png,x,training set\n", "data.table-rows", "training set"),
        ("", "data.table-columns", "nothing"),
    ],
)
def test_a_broken_csv(sightline, here, text, code, word):
    Path("labels.csv").write_text(text)
    assert_error(sightline("train", "labels.csv"), code, word)


def test_a_run_folder_that_exists(sightline, here, colours):
    (here / "runs" / "mine").mkdir(parents=True)
    assert_error(sightline("train", colours, "--name", "mine", "--epochs", "1"), "run.exists", "mine")


# -- other wrong command lines --------------------------------------------------------------------------------

WRONG = [
    (["trian", "photos"], "usage"),
    (["train"], "usage"),
    (["train", "photos", "--epochs", "many"], "usage"),
    (["train", "photos", "--set", "flip"], "plan.assignment"),
    (["train", "photos", "--set", "flipp=1"], "plan.unknown-setting"),
    (["train", "photos", "--require", "acuracy>0.9"], "gate.form"),
    (["train", "photos", "--recipe", "none.toml"], "recipe.missing"),
    (["predict", "nowhere", "a.jpg"], "model.missing"),
    (["evaluate", "latest", "photos"], "run.no-latest"),
    (["report", "nowhere"], "run.missing"),
    (["export", "nowhere"], "run.missing"),
    (["check", "photos"], "data.missing"),
]


@pytest.mark.parametrize(("arguments", "code"), WRONG, ids=[" ".join(arguments) for arguments, _ in WRONG])
def test_wrong_command_lines_are_errors_with_a_cure(sightline, here, arguments, code):
    assert_error(sightline(*arguments), code)


def test_with_json_an_error_is_one_document(sightline, here):
    status, out, _ = sightline("train", "nowhere", "--json")
    assert status == 2
    assert set(json.loads(out)["error"]) == {"code", "message", "cure"}


def test_with_debug_the_traceback_is_shown(sightline, here):
    _, _, err = sightline("train", "nowhere", "--debug")
    assert "Traceback" in err and "error[data.missing]" in err


def test_a_fault_of_ours_exits_with_1_and_asks_for_a_report(sightline, here, monkeypatch):
    monkeypatch.setattr("sightline.installation.diagnose", lambda: 1 / 0)
    status, _, err = sightline("doctor")
    assert status == 1 and "error[bug]" in err and "Traceback" not in err


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt(), 130), (SystemExit(143), 143)])
def test_signals_have_their_exit_codes(sightline, monkeypatch, error, status):
    def stop():
        raise error

    monkeypatch.setattr("sightline.installation.diagnose", stop)
    assert sightline("doctor")[0] == status


# -- what the verbs say ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
def test_every_verb_has_help(sightline, verb):
    status, out, _ = sightline(verb.__name__, "--help")
    assert status == 0 and (verb.__doc__ or "").split()[0] in out


def test_one_image_is_answered_in_words(sightline, finished_run, tmp_path):
    Image.new("RGB", (16, 16), (200, 50, 40)).save(tmp_path / "x.png")
    status, out, _ = sightline("predict", finished_run.folder, tmp_path / "x.png", "--max-novelty", "9999")
    lines = out.splitlines()
    assert status == 0
    assert lines[0].startswith("Predicted: red (") and lines[0].endswith(" %)")
    shares = [float(line.split()[-2]) for line in lines[1:]]
    assert len(shares) == 3 and shares == sorted(shares, reverse=True)


def test_an_image_that_is_new_is_answered_with_unknown(sightline, finished_run, tmp_path):
    Image.new("RGB", (16, 16), (200, 50, 40)).save(tmp_path / "x.png")
    status, out, _ = sightline("predict", finished_run.folder, tmp_path / "x.png", "--max-novelty", "0")
    assert status == 0 and out.startswith("Predicted: unknown, unlike the training images; most like red (")
    status, out, _ = sightline(
        "predict", finished_run.folder, tmp_path, "--min-confidence", "1", "--max-novelty", "9999"
    )
    assert status == 0 and out.startswith("Predicted: unknown, less confident than required; most like red (")
    status, _, said = sightline("predict", finished_run.folder, tmp_path / "x.png", "--min-confidence", "high")
    assert status == 2 and "error[predict.confidence]" in said


def test_sets_are_told_where_the_classifier_can_promise_them(sightline, finished_run, tmp_path, monkeypatch):
    Image.new("RGB", (16, 16), (200, 50, 40)).save(tmp_path / "x.png")
    status, _, said = sightline("predict", finished_run.folder, tmp_path / "x.png", "--sets")
    assert status == 2 and "too few validation images" in said
    monkeypatch.setattr("sightline.cli.predict._mass_of", lambda *asked: 2.0)  # above all: every class
    status, out, _ = sightline("predict", finished_run.folder, tmp_path / "x.png", "--sets")
    assert status == 0 and out.splitlines()[-1].startswith("Set: red, ")
    status, out, _ = sightline("predict", finished_run.folder, tmp_path / "x.png", "--sets", "--format", "jsonl")
    assert sorted(json.loads(out)["set"]) == ["blue", "green", "red"]


def test_sets_do_not_fit_into_csv(sightline, finished_run, tmp_path):
    Image.new("RGB", (16, 16), (200, 50, 40)).save(tmp_path / "x.png")
    status, _, said = sightline("predict", finished_run.folder, tmp_path / "x.png", "--sets", "--format", "csv")
    assert status == 2 and "error[predict.sets]" in said


def test_latest_is_named(sightline, finished_run, tmp_path, colours):
    image = next(colours.rglob("*.png"))
    status, _, err = sightline("predict", "latest", image, "--runs", finished_run.folder.parent)
    assert status == 0 and str(finished_run.folder) in err


def test_many_images_are_rows_in_order_and_a_bad_one_is_an_error_row(sightline, finished_run, tmp_path, colours):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"nothing")
    good = sorted((colours / "red").iterdir())[:3]
    status, out, err = sightline("predict", finished_run.folder, good[0], bad, *good[1:], "--format", "jsonl")
    rows = [json.loads(line) for line in out.splitlines()]
    assert status == 3 and "1 of 4" in err
    assert [row["path"] for row in rows] == [str(path) for path in (good[0], bad, *good[1:])]
    assert [row["error"] is not None for row in rows] == [False, True, False, False]
    assert rows[1]["label"] is None


@pytest.mark.parametrize("form", ["table", "csv", "jsonl"])
def test_each_form_has_a_row_for_each_image(sightline, finished_run, colours, form):
    status, out, _ = sightline("predict", finished_run.folder, colours / "red", "--format", form, "--top-k", "2")
    assert status == 0
    assert len(out.splitlines()) == 40 + (form == "csv")


def test_folders_patterns_and_a_list_on_stdin_are_sources(sightline, finished_run, colours, monkeypatch):
    import io

    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{colours / 'red' / '000.png'}\n\n"))
    pattern = str(colours / "**" / "00[12].png")
    _, out, _ = sightline("predict", finished_run.folder, "-", pattern, colours / "blue", "--json")
    said = json.loads(out)["predictions"]
    assert len(said) == 1 + 6 + 40
    assert said[0]["path"].endswith("red/000.png")


def test_a_file_that_is_not_there_is_an_error_row(sightline, finished_run):
    status, out, _ = sightline("predict", finished_run.folder, "nowhere.jpg")
    assert status == 3 and "no such file" in out


@pytest.mark.e2e
@pytest.mark.usefixtures("no_figures")
def test_training_prints_result_places_and_the_next_command(sightline, here, colours):
    status, out, err = sightline("train", colours, "--epochs", "1", "--name", "mine", "--require", "accuracy>=0.01")
    assert status == 0
    assert "Test accuracy" in out and "n=18" in out
    for place in ("report.html", "model.onnx", "Next: sightline predict"):
        assert place in out
    assert "met" in err
    assert (here / "runs" / "mine" / "log.txt").read_text().count("epoch 1/1") == 1


@pytest.mark.e2e
@pytest.mark.usefixtures("no_figures")
def test_a_gate_that_is_not_met_exits_with_5(sightline, here, colours):
    status, _, err = sightline("train", colours, "--epochs", "1", "--require", "accuracy>=0.999", "--quiet")
    assert status == 5 and "error[gate.not-met]" in err


@pytest.mark.e2e
@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("verb", ["train", "evaluate"])
def test_with_json_a_gate_that_is_not_met_is_in_the_one_document(sightline, here, colours, copied_run, verb):
    first = [colours, "--epochs", "1"] if verb == "train" else [copied_run.folder, colours]
    status, out, _ = sightline(verb, *first, "--json", "--require", "accuracy>=0.999", "--require", "accuracy>=0")
    document = json.loads(out)
    assert status == 5
    assert [row["met"] for row in document["requirements"]] == [False, True]
    assert document["requirements"][0]["code"] == "gate.not-met"


def test_the_plan_is_printed_with_reasons_and_nothing_is_written(sightline, here, colours):
    status, out, err = sightline("train", colours, "--plan", "--set", "flip=0.25")
    assert status == 0
    assert "chosen by you" in out and "training will take about" in err and "s in all." in err
    assert list(here.iterdir()) == []


def test_the_plan_as_json(sightline, here, colours):
    _, out, _ = sightline("train", colours, "--plan", "--json", "--epochs", "7")
    assert json.loads(out)["settings"]["epochs"] == 7


def test_check_lists_findings_and_fails_on_request(sightline, here, photos, write_image):
    (photos / "red" / "broken.png").write_bytes(b"nothing")
    status, out, _ = sightline("check", photos)
    assert status == 3 and "error[unreadable]" in out and "broken.png" in out
    assert sightline("check", photos, "--fail-on", "error")[0] == 3
    assert_error(sightline("check", photos, "--fail-on", "bad"), "check.fail-on")


def test_check_as_json_has_every_path(sightline, photos):
    (photos / "red" / "broken.png").write_bytes(b"nothing")
    document = json.loads(sightline("check", photos, "--json")[1])
    assert document["images"] == 10 and document["unreadable"] == 1
    assert document["readable"] == 9
    (bad,) = [finding for finding in document["findings"] if finding["code"] == "unreadable"]
    assert bad["cases"][0]["paths"] == ["red/broken.png"] and bad["fixes"][0]["action"] == "exclude"
    assert document["not_run"][0]["how"].startswith("--embeddings")


@pytest.mark.parametrize(("wanted", "status"), [("wrong-extension", 3), ("leak", 0), ("checksum", 0), ("note", 3)])
def test_check_fails_on_a_severity_or_a_code(sightline, photos, wanted, status):
    (photos / "red" / "0.png").rename(photos / "red" / "0.jpg")
    assert sightline("check", photos, "--fail-on", wanted)[0] == status


def test_check_writes_a_page_and_a_list_of_fixes_that_train_takes(sightline, here, photos, colours, tmp_path):
    import shutil

    data = shutil.copytree(colours, tmp_path / "data")
    (data / "red" / "broken.png").write_bytes(b"nothing")
    shutil.copy(data / "red" / "000.png", data / "blue" / "wrong.png")
    status, out, _ = sightline("check", data, "--html", "page.html", "--fix-list", "fixes.csv")
    assert status == 3 and "--fixes fixes.csv" in out
    page = (here / "page.html").read_text()
    assert "broken.png" in page and "data:image/" in page
    lines = (here / "fixes.csv").read_text().splitlines()
    assert lines[0] == "path,action,value,reason" and len(lines) == 4
    document = json.loads(sightline("check", data, "--fixes", "fixes.csv", "--json")[1])
    assert document["unreadable"] == 0 and document["images"] == 119
    assert not {"unreadable", "label-conflict"} & {finding["code"] for finding in document["findings"]}
    assert (data / "red" / "broken.png").read_bytes() == b"nothing"
    status, _, err = sightline("train", data, "--fixes", "fixes.csv", "--plan")
    assert status == 0 and "3 exclude" in err


def test_outputs_of_check_replace_nothing_and_join_no_images(sightline, here, photos):
    (here / "mine.csv").write_text("mine")
    image = photos / "red" / "0.png"
    before = image.read_bytes()
    for option, path in (
        ("--fix-list", "mine.csv"),
        ("--html", "mine.csv"),
        ("--html", image),
        ("--html", photos / "page.html"),
        ("--html", here),
        ("--html", here / "none" / "page.html"),
        ("--html", "/"),
    ):
        assert_error(sightline("check", photos, option, path), "check.output")
    assert (here / "mine.csv").read_text() == "mine" and image.read_bytes() == before
    assert sightline("check", photos, "--html", "page.html")[0] == 0
    assert sightline("check", photos, "--html", "page.html")[0] == 0  # its own page may be replaced


def test_what_to_type_next_keeps_what_was_typed(sightline, here, colours):
    out = sightline("check", colours, "--range", "0,255", "--group", r"(\d\d)\d.png")[1]
    assert r"--range 0,255 --group '(\d\d)\d.png'" in out.partition("Next:")[2]


@pytest.mark.parametrize("text", ["5", "a,b", "9,1", "1,2,3", "nan,1", "0,inf", "-inf,inf", "0,1e400"])
def test_a_range_that_is_none_is_refused(sightline, photos, text):
    assert_error(sightline("check", photos, "--range", text), "plan.range")


def test_a_range_makes_floats_readable(sightline, photos):
    Image.fromarray(np.linspace(0, 1, 100, dtype=np.float32).reshape(10, 10)).save(photos / "red" / "depth.tif")
    assert json.loads(sightline("check", photos, "--json")[1])["unreadable"] == 1
    assert json.loads(sightline("check", photos, "--json", "--range", "0,1")[1])["unreadable"] == 0


def test_groups_and_bad_files_are_settings_of_train(sightline, colours):
    out = sightline("train", colours, "--plan", "--group", r"(\d)\d.png", "--on-bad", "fail", "--range", "0,255")[1]
    rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert "chosen by you" in rows["group"] and "fail" in rows["on_bad"] and "0, 255" in rows["value_range"]


def test_evaluate_prints_figures_with_intervals(sightline, copied_run, colours):
    status, out, err = sightline("evaluate", copied_run.folder, colours)
    assert status == 0
    assert "accuracy" in out and "n=18" in out and "too few to tell" in out
    assert "warning[evaluation.leak]" in err
    assert "no group of images is large enough to be searched" in out  # of 18
    assert "The data to measure on: all images, 120." in err  # before those that training saw are left out
    (kept,) = copied_run.evaluations_folder.glob("*/metrics.json")
    metrics = json.loads(kept.read_text())
    with_them = Interval(**metrics["accuracy_with_leaks"])
    assert with_them.n == 120 and f"without {metrics['count_leaked']} images that training saw" in out
    assert f"accuracy with them {with_them}" in out


def test_evaluate_says_that_groups_were_searched_where_none_is_worse(sightline, finished_run, tmp_path):
    data = write_colours(tmp_path / "more", 30, seed=5)
    options = ("--out", tmp_path / "kept", "--group", r"(\d\d)\.png")
    status, out, err = sightline("evaluate", finished_run.folder, data, *options)
    assert "30 groups of 90 images" in err
    metrics = json.loads((tmp_path / "kept" / "metrics.json").read_text())
    assert status == 0 and metrics["count_groups"] == 30
    assert metrics["slices"]["searched"] > 1 and not metrics["slices"]["found"]
    assert f"{metrics['slices']['searched']} groups of images were searched; none is clearly worse" in out


def test_one_class_is_enough_to_measure_a_classifier(sightline, copied_run, tmp_path):
    data = write_colours(tmp_path / "more", 25, seed=6)
    for name in ("blue", "green"):
        shutil.rmtree(data / name)
    status, out, err = sightline("evaluate", copied_run.folder, data, "--json")
    assert status == 0, err
    metrics = json.loads(out)
    rows = {row["class"]: row for row in metrics["classes"]}
    assert rows["red"]["support"] == 25 and rows["red"]["recall"] == metrics["accuracy"]["value"]
    assert metrics["balanced_accuracy"]["value"] == metrics["accuracy"]["value"]  # of the one class
    assert rows["blue"]["support"] == 0 and rows["blue"]["recall"] is None and "roc_auc" not in metrics
    assert confusion_from(metrics["confusion"], 3).sum(1).tolist() == [0, 0, 25]
    (page,) = copied_run.evaluations_folder.glob("*/report.html")
    assert "classes without images: blue, green" in page.read_text(encoding="utf-8")
    status, out, err = sightline("evaluate", copied_run.folder, data)
    assert status == 0 and "balanced accuracy" in out and "ROC AUC" not in out, err
    status, out, err = sightline("robustness", copied_run.folder, data, "--images", 5, "--json")
    assert status == 0 and json.loads(out)["count"] == 5, err
    for verb in ("train", "check", "preview"):
        assert_error(sightline(verb, data), "data.one-class", "'red'")


@pytest.mark.usefixtures("no_figures")
def test_report_is_written_again(sightline, copied_run):
    copied_run.report_file.unlink()
    status, out, _ = sightline("report", copied_run.folder)
    assert status == 0 and Path(out.strip()) == copied_run.report_file
    assert copied_run.report_file.is_file()


@pytest.mark.e2e
@pytest.mark.skipif(sys.platform == "win32", reason="the shell that closes streams is a POSIX one")
@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("{s} predict {run} {data} --format csv | true; exit ${{PIPESTATUS[0]}}", 0),
        ("{s} --help | true; exit ${{PIPESTATUS[0]}}", 0),
        ("{s} predict {run} - <&-", 2),
        ("{s} check {data} 2>&-", 0),
        ("{s} evaluate {run} {data} >/dev/null 2>&-", 0),
        ("PYTHONIOENCODING=ascii {s} check {odd}", 0),
        ("PYTHONIOENCODING=ascii {s} predict {run} {odd}", 0),
        ("PYTHONIOENCODING=utf-8:strict {s} predict {run} {odd} --format csv", 0),
        ("ls {odd}/*/* | PYTHONIOENCODING=utf-8:strict {s} predict {run} - --format csv", 0),
    ],
)
def test_closed_streams_and_poor_encodings_end_no_command(copied_run, colours, tmp_path, command, status):
    for name in ("蜂", os.fsdecode(b"caf\xe9")):
        shutil.copytree(colours / "red", tmp_path / "odd" / name)
        (tmp_path / "odd" / name / "000.png").rename(tmp_path / "odd" / name / f"{name}.png")
    words = {
        "s": f"{sys.executable} -m sightline",
        "run": copied_run.folder,
        "data": colours,
        "odd": tmp_path / "odd",
    }
    result = subprocess.run(["bash", "-c", command.format(**words)], capture_output=True)
    assert result.returncode == status, result.stderr
    assert b"Traceback" not in result.stderr and b"error[bug]" not in result.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        ["--seed", "-1"],
        ["--set", "seed=abc"],
        ["--set", "val_share=abc"],
        ["--set", "device=5"],
        ["--set", "epochs=abc"],
        ["--set", "std=[0, 0, 0]"],
    ],
)
def test_values_out_of_range_are_refused_before_anything_is_read(sightline, here, wrong):
    assert_error(sightline("train", "nowhere", *wrong), "plan.bad-value")


@pytest.mark.e2e
def test_a_reader_that_stops_early_is_no_error(finished_run, colours):
    command = f"{sys.executable} -m sightline predict {finished_run.folder} {colours} --format csv"
    result = subprocess.run(
        ["bash", "-c", f"{command} | head -n 1; exit ${{PIPESTATUS[0]}}"], capture_output=True, text=True
    )
    assert result.returncode == 0
    assert result.stdout.startswith("path,label") and "Traceback" not in result.stderr


# -- previews -------------------------------------------------------------------------------------------------


def test_a_preview_is_a_image_and_may_be_made_again(sightline, here, colours):
    for angle in (0, 20):
        status, out, err = sightline("preview", colours, "--set", f"rotate={angle}", "--count", 4)
        assert status == 0 and out == "preview.png\n", err
    with Image.open("preview.png") as image:
        assert image.size[0] > 600 and np.asarray(image.convert("L")).std() > 10
    assert "Training" not in err and "will take" not in err and not Path("runs").exists()


def test_a_preview_replaces_no_image_of_the_users(sightline, here, colours):
    Image.new("RGB", (9, 9)).save("mine.png")
    before = Path("mine.png").read_bytes()
    assert_error(sightline("preview", colours, "--out", "mine.png"), "check.output", "exists already")
    assert Path("mine.png").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["--out", "a.bmp"], "preview.format"), (["--count", "0"], "preview.count"), (["--count", "65"], "preview.count")],
)
def test_what_a_preview_cannot_do_is_said_first(sightline, here, colours, arguments, code):
    assert_error(sightline("preview", colours, *arguments, "-q"), code)


def test_models_are_rows_or_json_and_a_wrong_name_has_a_cure(sightline, hub):
    status, out, _ = sightline("models", "resnet18")
    row = next(line for line in out.splitlines() if line.startswith("resnet18.tv_in1k"))
    assert status == 0 and "11.2 M" in row and "224 px" in row and "bsd-3-clause" in row
    status, out, _ = sightline("models", "--json")
    found = {network["name"]: network for network in json.loads(out)["models"]}
    assert found.keys() >= {"small-cnn", "small-resnet"}
    assert found["tf_efficientnet_lite0.in1k"]["is_carried"]
    status, out, _ = sightline("models", "tf_efficientnet_lite*")
    where = {line.split()[0]: line.split()[5] for line in out.splitlines() if line.startswith("tf_")}
    assert where.pop("tf_efficientnet_lite0.in1k") == "here" and set(where.values()) == {"hub"}
    status, _, err = sightline("models", "resnet81")
    assert status == 2 and "error[model.no-match]" in err and "resnet18" in err


# -- folds and seeds ------------------------------------------------------------------------------------------


@pytest.mark.e2e
@pytest.mark.usefixtures("no_figures")
def test_a_gate_on_folds_looks_at_the_pooled_lower_end(sightline, here, colours):
    """120 images tested once each: no fold alone could reach 0.9 on its lower end, all together can."""
    quick = ("--set", "engine=onnxruntime", "--size", 64)
    asked = ("--folds", 2, "--json", "--require", "accuracy>=0.95", "--require", "accuracy>=0.995")
    status, out, err = sightline("train", colours, *quick, *asked)
    said = json.loads(out)
    assert status == 5, err
    assert said["metrics"]["accuracy"]["n"] == 120 and said["metrics"]["done"] == 2
    assert said["metrics"]["accuracy"]["value"] == 1.0
    assert [row["met"] for row in said["requirements"]] == [True, False]
    assert_error(sightline("predict", said["run"], "photo.jpg"), "run.repeated", "--recipe")


def test_the_plan_of_folds_writes_nothing(sightline, here, colours):
    status, out, err = sightline("train", colours, "--folds", 4, "--plan")
    assert status == 0 and "fold 1 of 4" in err and "epochs" in out
    assert not (here / "runs").exists()


def test_folds_and_seeds_together_are_refused(sightline, here, colours):
    assert_error(sightline("train", colours, "--folds", 2, "--seeds", 2), "plan.conflict", "one of them")


def test_an_interrupted_repeat_says_how_many_are_done(tmp_path):
    from sightline.cli.train import interrupted_words
    from sightline.runs.writer import RunWriter

    top = RunWriter.create(tmp_path, "cv", "", {"kind": "folds", "times": 5, "done": 2})
    inner = RunWriter.create(top.run.folder, "fold-3", "", {})
    for folder in (top.run.folder, inner.run.folder):
        assert "2 of 5 folds are done" in interrupted_words(str(folder))


@pytest.mark.e2e
@pytest.mark.skipif(sys.platform == "win32", reason="a terminal of another encoding, as a POSIX shell sets it")
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_tables_on_stdout_are_utf_8_whatever_the_encoding(copied_run, colours, tmp_path, form):
    image = tmp_path / "猫 é.png"
    shutil.copy(colours / "red" / "000.png", image)
    command = [sys.executable, "-m", "sightline", "predict", str(copied_run.folder), str(image), "--format", form]
    said = subprocess.run(command, env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, check=True)
    text = said.stdout.decode("utf-8")
    row = next(csv.DictReader(io.StringIO(text))) if form == "csv" else json.loads(text)
    assert row["path"] == str(image)


def test_what_check_proposes_inside_the_folder_of_images_can_be_typed_there(sightline, here, colours, monkeypatch):
    shutil.copytree(colours, "photos")
    (Path("photos") / "red" / "000.png").write_bytes(b"no image")
    monkeypatch.chdir("photos")
    _, out, _ = sightline("check", ".", "--versions", "off")
    proposed = [line[line.index("sightline check") :] for line in out.splitlines() if "sightline check" in line]
    assert len(proposed) == 2
    for line in proposed:
        _, _, err = sightline(*shlex.split(line.partition(" (")[0])[1:])
        assert "error" not in err
    assert {path.name for path in here.iterdir()} >= {"check.html", "fixes.csv"}


def test_what_the_list_of_fixes_leaves_out_does_not_stop_the_training(sightline, here, colours):
    shutil.copytree(colours, "photos")
    for number in range(3):
        (Path("photos") / "red" / f"00{number}.png").write_bytes(b"no image")
    _, out, _ = sightline("check", "photos", "--versions", "off")
    assert "leave the images out with that list of fixes; training stops" in out
    _, out, _ = sightline("check", "photos", "--versions", "off", "--fix-list", "fixes.csv")
    assert out.splitlines()[-1] == "Next: sightline train photos --versions off --fixes fixes.csv"
    status, _, err = sightline("train", *shlex.split(out.splitlines()[-1])[3:], "--plan")
    assert status == 0, err
