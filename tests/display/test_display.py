"""Events as text: a line for a log, a terminal that may be gone, a notebook's table."""

from __future__ import annotations

import errno
import io
import sys
from dataclasses import replace

import numpy as np
import pytest

from sightline.display.lines import decision_lines, expected_line, line_of, plan_lines
from sightline.display.notebook import Notebook
from sightline.display.terminal import Terminal, outlived
from sightline.events import (
    CheckpointSaved,
    EpochEnded,
    InputsSeen,
    MistakesSeen,
    Noted,
    Planned,
    Progressed,
    RunEnded,
    RunStarted,
    StageEnded,
    StageStarted,
    TrainingStopped,
    ValidationMeasured,
    Warned,
)

NUMBERS = np.zeros(1, np.int64)
EPOCH = EpochEnded(2, 5, 0.5, 0.8, 0.4, 0.875, 0.001, 61.0, 1234.5, True)
HEAD = EpochEnded(0, 0, 0.5, 0.8, 0.4, 0.875, 0.0, 6.0, 50.0, True)
EVENTS = [
    RunStarted("runs/x"),
    StageStarted("Reading", "photos"),
    Progressed(3, 10, "images"),
    StageEnded("Reading", "10 images", 1.25),
    Noted("Split: 7 train."),
    Warned("data.leak", "2 leaked", "remove them"),
    Planned((("epochs", "5", "option", "chosen by you"),), 75.0),
    EPOCH,
    CheckpointSaved("best", 2, 0.4),
    TrainingStopped("all epochs done", 2, 70.0),
    RunEnded("runs/x", "Test accuracy 90 %"),
    InputsSeen(0, np.zeros((1, 2, 2, 3), np.uint8)),
    ValidationMeasured(1, NUMBERS, NUMBERS, NUMBERS),
    MistakesSeen(1, np.zeros((1, 2, 2, 3), np.uint8), NUMBERS, NUMBERS, NUMBERS),
]
SILENT = Progressed | CheckpointSaved | InputsSeen | ValidationMeasured | MistakesSeen


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_event_has_a_line_or_is_silent_on_purpose(event):
    line = line_of(event)
    assert (line is None) == isinstance(event, SILENT)


def test_an_epochs_line_says_what_matters():
    line = line_of(EPOCH)
    for part in ("2/5", "0.5000", "0.4000", "87.50 %", "1,234 images/s", "1 min 1 s", "best"):
        assert part in line


def test_the_line_of_a_head_alone_has_no_epochs_to_be_the_best_of():
    line = line_of(HEAD)
    assert line.startswith("head  loss 0.5000") and "best" not in line and "epoch" not in line


def test_a_warning_says_code_and_cure():
    assert line_of(Warned("a.b", "wrong", "type this")) == "warning[a.b]: wrong\n  cure: type this"


ROWS = (
    ("model", "small-fast", "data", "images are small"),
    ("width", "64", "network", "usual for this network"),
    ("epochs", "7", "data", "few images"),
    ("warmup", "0", "default", "none"),
    ("rotate", "20", "option", "chosen by you"),
    ("threads", "2", "hardware", "two"),
)


def test_a_training_prints_what_data_machine_and_person_decided():
    shown = [line.split()[0] for line in decision_lines(ROWS)[1:-1]]
    assert shown == ["rotate", "model", "epochs", "threads"]
    assert "2 more settings: sightline train DATA --plan" in decision_lines(ROWS)[-1]
    assert [line.split()[0] for line in plan_lines(ROWS)[1:]] == [row[0] for row in ROWS]


def test_settings_that_a_training_does_not_use_are_one_line_of_its_plan():
    unused = tuple((name, "0", "unused", "no epochs") for name in ("momentum", "flip"))
    *lines, last = plan_lines((*unused, *ROWS))
    assert lines == plan_lines(ROWS) and last == "  not used by this training: momentum, flip"


def test_a_long_recipe_is_cut_and_options_never_are():
    recipe = tuple((f"r{n}", "1", "recipe", "from the recipe") for n in range(30))
    assert decision_lines((*recipe, *ROWS))[1:5] == decision_lines(ROWS)[1:5]
    assert "24 more settings" in decision_lines((*recipe, *ROWS))[-1]
    options = tuple((f"o{n}", "1", "option", "chosen by you") for n in range(20))
    assert len(decision_lines((*options, *recipe))) == 22


@pytest.mark.parametrize(
    ("seconds", "said"), [(75.0, "The training will take about 1 min 15 s on this machine.\n"), (None, "")]
)
def test_without_the_plan_a_terminal_says_how_long_it_takes(capsys, seconds, said):
    Terminal(show_plan=False).show(Planned(ROWS, seconds))
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("least", "most", "said"),
    [
        (70.0, 80.0, "The training will take about 1 min 15 s on this machine."),
        (20.0, 300.0, "about 1 min 15 s on this machine (20 s to 5 min: it was not equally fast"),
        (0.0, 0.0, "The training will take about 1 min 15 s on this machine."),
    ],
)
def test_how_sure_the_expected_time_is(least, most, said):
    assert said in expected_line(Planned(ROWS, 75.0, least, most))


def test_the_expected_time_says_that_other_programs_ran_while_it_was_measured():
    said = expected_line(Planned(ROWS, 13_080.0, 240.0, 14_000.0, waited=0.71))
    assert "about 3 h 38 min on this machine (4 min to 4 h: while this was measured, 71 % of the time" in said
    assert "estimated again while it runs" in said


def test_the_expected_time_says_what_comes_around_the_training():
    said = expected_line(Planned(ROWS, 75.0, 70.0, 80.0, 20.0))
    assert said == f"{expected_line(Planned(ROWS, 75.0))} With reading, evaluation and report: about 1 min 35 s in all."
    assert expected_line(Planned(ROWS, 75.0, 20.0, 300.0, 20.0)).endswith("about 1 min 35 s in all.")


def test_an_epoch_says_what_is_left_at_its_pace():
    assert line_of(replace(EPOCH, left=(490.0, 700.0))).endswith("1 min 1 s  best  8 to 12 min left")
    assert line_of(replace(EPOCH, left=(0.0, 700.0))).endswith("1 min 1 s  best  at most 12 min left")


def test_with_a_time_limit_the_number_of_epochs_is_an_estimate():
    assert line_of(replace(EPOCH, is_about=True)).startswith(f"epoch {EPOCH.epoch} of about {EPOCH.epochs}  ")
    assert "left" not in line_of(EPOCH)


def test_strangers_names_cannot_steer_the_terminal():
    assert "\x1b" not in line_of(Noted("file \x1b[31mred\x07.jpg"))


def test_a_log_gets_lines_and_no_bar(capsys):
    terminal = Terminal()
    for event in EVENTS:
        terminal.show(event)
    terminal.close()
    out, err = capsys.readouterr()
    assert out == "" and "\r" not in err and "\x1b" not in err
    assert "Split: 7 train." in err and "2/5" in err
    assert terminal.folder == "runs/x"


def test_quiet_shows_warnings_only(capsys):
    terminal = Terminal(quiet=True)
    for event in EVENTS:
        terminal.show(event)
    assert capsys.readouterr().err == "warning[data.leak]: 2 leaked\n  cure: remove them\n"


def test_a_terminal_that_is_gone_stops_nothing(monkeypatch):
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Gone())
    terminal = Terminal()
    for event in EVENTS:
        terminal.show(event)
    terminal.close()
    assert terminal.folder == "runs/x"


def test_a_full_disk_is_tried_again_and_a_terminal_that_is_gone_is_not(monkeypatch):
    class Full(io.StringIO):
        error: OSError | None = None

        def write(self, text):
            if self.error:
                raise self.error
            return super().write(text)

    for number, goes_on in ((errno.ENOSPC, True), (errno.EPIPE, False)):
        stream = Full()
        monkeypatch.setattr(sys, "stderr", stream)
        terminal = Terminal()
        stream.error = OSError(number, "refused")
        terminal.show(EVENTS[4])
        stream.error = None
        terminal.show(EVENTS[4])
        assert ("Split" in stream.getvalue()) == goes_on


def test_results_that_a_disk_has_no_room_for_are_an_error():
    with pytest.raises(OSError, match="No space"), outlived(sys.stdout):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="broken"), outlived(sys.stdout):  # of a disk, not of a terminal
        raise OSError(errno.EIO, "broken")


def test_a_terminal_gets_a_bar(monkeypatch):
    class Screen(io.StringIO):
        def isatty(self):
            return True

    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    for event in EVENTS:
        terminal.show(event)
    terminal.close()
    assert "Reading" in screen.getvalue() and "2/5" in screen.getvalue()


def test_a_notebook_gets_one_table_with_escaped_text():
    notebook = Notebook()
    notebook._draw = lambda: None
    for event in [*EVENTS, Noted("<script>")]:
        notebook.show(event)
    page = notebook.to_html()
    assert page.count("<table>") == 1 and "87.50 %" in page and "chosen by you" in page
    assert "<script>" not in page


@pytest.mark.parametrize(
    ("epoch", "share", "words"),
    [
        (4, 1.0, "the network of epoch 4 is kept"),
        (4, 0.25, "the network 25 % of the way to epoch 4 is kept"),
        (0, 0.0, "the fitted head is kept"),
    ],
)
def test_the_end_of_a_training_names_the_network_that_is_kept(epoch, share, words):
    assert words in line_of(TrainingStopped("all epochs done", epoch, 1.0, share))
