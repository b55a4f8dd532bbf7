"""The verbs in one table, and what happens when one fails: exit codes, errors with a cure, no traceback."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import NoReturn

import typer

from sightline.cli.check import check
from sightline.cli.compare import compare
from sightline.cli.demo import demo
from sightline.cli.doctor import doctor
from sightline.cli.evaluate import evaluate
from sightline.cli.explain import explain
from sightline.cli.export import export
from sightline.cli.help_page import HELP_SETTINGS, Verb, examples_of, words_of
from sightline.cli.models import models
from sightline.cli.predict import predict
from sightline.cli.preview import preview
from sightline.cli.recipes import recipes
from sightline.cli.report import report
from sightline.cli.robustness import robustness
from sightline.cli.runs import runs
from sightline.cli.selftest import selftest
from sightline.cli.shrink import shrink
from sightline.cli.train import train
from sightline.cli.tune import tune
from sightline.cli.verify import verify
from sightline.errors import SightlineError
from sightline.process_settings import set_up_process

__all__ = ["VERBS", "app", "main"]

VERBS = (
    demo,
    check,
    preview,
    train,
    tune,
    predict,
    evaluate,
    explain,
    robustness,
    compare,
    runs,
    verify,
    report,
    export,
    shrink,
    recipes,
    models,
    doctor,
    selftest,
)

app = typer.Typer(
    name="sightline",
    help="From a folder of images to a classifier that can be trusted and shipped.",
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=HELP_SETTINGS,
)
for verb in VERBS:
    app.command(cls=Verb, help=words_of(verb), epilog="\n".join(examples_of(verb)))(verb)
_NAMES = [[verb.__name__] for verb in VERBS]


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(version("sightline"))
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    """From a folder of images to a classifier that can be trusted and shipped."""
    if context.invoked_subcommand is None:
        print(context.get_help())
        print("\nStart with: sightline demo, or sightline check FOLDER (one folder of images per class)")
        raise typer.Exit(2)


def main() -> NoReturn:
    """Run the command line and exit: 0 done, 1 a bug of ours, 2 for the user to change, 3 bad inputs, 4 the export
    differs, 5 gate not met, 130 Ctrl-C, 143 SIGTERM."""
    set_up_process()  # before a verb loads what reads it
    is_debug = "--debug" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--debug"]
    as_json = "--json" in sys.argv
    signal.signal(signal.SIGTERM, _terminate)
    _prepare_streams()
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except SystemExit:
        if type(sys.stdout).__name__ == "PacifyFlushWrapper":  # typer saw the broken pipe before us, and calls it 1
            _exit(0)
        raise
    except SightlineError as error:
        if is_debug:
            traceback.print_exc()
        _print_error(error.code, error.message, error.cure, as_json)
        _exit(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        _exit(130)
    except BrokenPipeError:
        # Whoever read our output has seen enough, as "head" does; nothing is left to be flushed at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _exit(0)
    except MemoryError:
        cure = "close other programs, or use fewer or smaller images; a training: sightline train DATA --batch-size 8"
        _print_error("machine.memory", "there is not enough memory", cure, as_json)
        _exit(2)
    except OSError as error:
        if is_debug:
            traceback.print_exc()
        _print_error("machine.io", str(error), "check the path, its permissions and the free space", as_json)
        _exit(2)
    except Exception as error:
        if hasattr(error, "format_message"):  # typer's family for a wrong command line
            usage = f"sightline {' '.join(sys.argv[1:2])} --help" if sys.argv[1:2] in _NAMES else "sightline --help"
            _print_error("usage", error.format_message(), usage, as_json)
            _exit(2)
        if is_debug:
            traceback.print_exc()
        what = f"{type(error).__name__}: {error}"
        _print_error("bug", f"this is a fault in Sightline: {what}", "report it with the output of --debug", as_json)
        _exit(1)
    if code == 130:  # typer takes Ctrl-C, and says nothing
        print("interrupted", file=sys.stderr)
    _exit(code if isinstance(code, int) else 0)


def _prepare_streams() -> None:
    """Let no closed stream and no letter that an encoding lacks end a command."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115  (until the end)
    streams = ((sys.stdin, "surrogateescape"), (sys.stdout, "backslashreplace"), (sys.stderr, "backslashreplace"))
    for stream, errors in streams:
        is_utf8 = (getattr(stream, "encoding", "") or "").lower().replace("-", "") == "utf8"
        if isinstance(stream, io.TextIOWrapper):  # a file name that is not UTF-8 goes out as it came in
            stream.reconfigure(errors="surrogateescape" if is_utf8 and stream is sys.stdout else errors)


def _exit(code: int) -> NoReturn:
    sys.exit(code)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _print_error(code: str, message: str, cure: str, as_json: bool) -> None:
    from sightline.display.terminal import outlived
    from sightline.text import printable

    with outlived(sys.stdout if as_json else sys.stderr):  # the exit code is left
        if as_json:
            print(json.dumps({"error": {"code": code, "message": message, "cure": cure}}))
        else:
            print(f"error[{code}]: {printable(message)}\n  cure: {printable(cure)}", file=sys.stderr)
