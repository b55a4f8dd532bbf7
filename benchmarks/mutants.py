"""Whether the tests see small faults: each mutant below is put into a copy of the code, and its nearest tests run.

    python benchmarks/mutants.py [--root FOLDER] [--list] [--only WORD] [--processes N]

A mutant is killed if those tests fail, and survives if they pass; the tests must pass without any of them first. One
whose line is not there any more, or there twice, is named: it is to be written anew. ``--root`` is another checkout,
an older one for example: files and tests are found by their names, several names for one mean that it was renamed.
Nothing in the checkout itself is changed.
"""

from __future__ import annotations

import argparse
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIMIT = 240  # seconds: a mutant that never ends is killed too


@dataclass(frozen=True)
class Mutant:
    """A fault, and who must see it.

    Attributes:
        files: names of the file that holds the line, today's and those before.
        edits: (line, what stands in its place); the first that is found counts, for code that was written anew.
        tests: names of the file of tests, ``folder/name``, today's and those before.
        only: pytest's ``-k``, to keep it quick; empty: all tests of the file.
    """

    files: str
    edits: tuple[tuple[str, str], ...]
    tests: str
    only: str = ""


def mutant(files: str, old: str, new: str, tests: str, only: str = "", *others: tuple[str, str]) -> Mutant:
    return Mutant(files, ((old, new), *others), tests, only)


SOURCE, DATA_CHECK = "reading/source pipeline/prepare", "reading/test_check pipeline/test_check"
MEASURE, MEASURE_TESTS = "measuring/evaluate pipeline/measure", "measuring/test_evaluate pipeline/test_measure"
CALIBRATE, WHOLE = "pipeline/test_calibrate", "pipeline/test_train pipeline/test_run"
VIEWS, VIEWS_TESTS = "measuring/averaged_views pipeline/views", "measuring/test_averaged_views pipeline/test_views"
COLUMNS, COLUMNS_TESTS = "measuring/columns pipeline/slices", "measuring/test_columns pipeline/test_slices"
GROUPS, GROUPS_TESTS = "measuring/grouping pipeline/groups", "measuring/test_grouping pipeline/test_groups"
HARM, HARM_TESTS = "measuring/robustness pipeline/robustness", "measuring/test_robustness pipeline/test_robustness"
COMPARE, COMPARE_TESTS = "reviewing/compare pipeline/compare", "reviewing/test_compare pipeline/test_compare"
VERIFY_DATA, VERIFY_TESTS = "reviewing/verify_data pipeline/verify_data", "reviewing/test_verify pipeline/test_verify"
VERIFY_METRICS = "reviewing/verify_metrics pipeline/verify_figures"
SAFE, SAFE_TESTS = "runs/safe_files runs/files", "runs/test_safe_files runs/test_files"
DATASET = "runs/dataset pipeline/finish"
PROCESSES, PROCESSES_TESTS = "pipeline/processes pipeline/company", "pipeline/test_processes pipeline/test_company"
LAUNCH = "launch pipeline/company"
CACHES, INSTALLATION_TESTS = "caches installation", "test_caches test_installation"
DRIVING, DRIVING_TESTS = "api/driving driving", "api/test_driving test_driving"

MUTANTS = (
    # -- reading
    mutant(SOURCE, "low < high and math.isfinite(high - low)", "low < high", "cli/test_cli", "range_that_is_none"),
    mutant(
        SOURCE,
        "for name in chosen if name not in names), None)",
        "for name in chosen if False), None)",
        DATA_CHECK,
        "settings",
    ),
    mutant(
        SOURCE,
        'fix.action == "group" and fix.path not in excluded]',
        'fix.action == "group"]',
        DATA_CHECK,
        "list_of_fixes",
    ),
    mutant(
        SOURCE,
        "apply_fixes(assign_groups(samples, choices.group), groups)",
        "assign_groups(apply_fixes(samples, groups), choices.group)",
        DATA_CHECK,
        "list_of_fixes",
    ),
    mutant(
        SOURCE,
        'alone = int((samples.groups == "").sum())',
        'alone = int((samples.groups != "").sum())',
        DATA_CHECK,
        "leaves_images_alone",
    ),
    mutant(
        SOURCE,
        '" --group {shlex.quote(self.group)}"',
        '" --group {self.group}"',
        "cli/test_cli",
        "keeps_what_was_typed",
    ),
    mutant(
        "reading/decode pipeline/decode",
        "if store.is_too_large:",
        "if not store.is_too_large:",
        WHOLE,
        "streamed or can_not_be_written",
    ),
    mutant(
        "reading/embed pipeline/embed",
        'is_path = "/" in model or Path(model).exists()',
        "is_path = Path(model).exists()",
        DATA_CHECK,
        "can_not_embed",
    ),
    # -- measuring
    mutant(
        MEASURE,
        "is_same = hashlib.sha256(data).hexdigest() == samples.digests[row]",
        "is_same = True",
        WHOLE,
        "changes_while",
    ),
    mutant(
        MEASURE,
        "leaked = np.array([samples.digests[row] in trained for row in rows], bool)",
        "leaked = np.zeros(len(rows), bool)",
        WHOLE,
        "leaves_out_what",
    ),
    mutant(
        MEASURE,
        "np.array([classifier.classes.index(name) for name in samples.classes], np.int64)",
        "np.arange(len(samples.classes))",
        WHOLE,
        "matches_classes",
    ),
    mutant(
        MEASURE,
        'rows = np.flatnonzero(samples.given == "test")',
        'rows = np.flatnonzero(samples.given == "val")',
        "measuring/test_evaluate pipeline/test_measure cli/test_cli",
        "evaluate or given or part",
    ),
    mutant(
        MEASURE,
        "looks >= MANY_LOOKS",
        "looks > MANY_LOOKS + 9",
        CALIBRATE,
        "tenth",
        ("count >= MANY", "count > MANY + 9 + "),
    ),
    mutant(
        MEASURE, "proportion(foreign.novelty[ok] > 1)", "proportion(foreign.novelty[ok] < 1)", CALIBRATE, "other_images"
    ),
    mutant(
        MEASURE,
        "separation(known.novelty[evaluation.used], foreign.novelty[ok])",
        "separation(foreign.novelty[ok], foreign.novelty[ok] + 1)",
        CALIBRATE,
        "other_images",
    ),
    mutant(MEASURE, "np.argsort(-measured.confidence[wrong]", "np.argsort(measured.confidence[wrong]", MEASURE_TESTS),
    mutant(VIEWS, "[shifted, shifted[:, ::-1]] if has_mirror", "[shifted, shifted[::-1]] if has_mirror", VIEWS_TESTS),
    mutant(
        VIEWS,
        "said.mean(0).argmax()",
        "said[-1].argmax()",
        VIEWS_TESTS,
        "",
        ("probabilities.mean(0).argmax()", "probabilities[-1].argmax()"),
    ),
    mutant(COLUMNS, "_MOST_NUMBERS = 50", "_MOST_NUMBERS = 5", COLUMNS_TESTS),
    mutant(COLUMNS, "if len(of_class) == len({label", "if len(of_class) != len({label", COLUMNS_TESTS),
    mutant(COLUMNS, "if not named.any():", "if not named.all():", COLUMNS_TESTS),
    mutant(COLUMNS, "height > 1.2 * width", "height > 12 * width", COLUMNS_TESTS),
    mutant(
        GROUPS, "run is not None and not any(samples.groups)", "run is not None and any(samples.groups)", GROUPS_TESTS
    ),
    mutant(GROUPS, "if rule in samples.extra or not is_column:", "if not is_column:", GROUPS_TESTS),
    mutant(
        HARM, "np.linspace(0, total - 1, min(most, total))", "np.linspace(0, total // 2, min(most, total))", HARM_TESTS
    ),
    mutant(HARM, "rows = rows[~split.leaked[rows]]", "rows = rows[split.leaked[rows] | True]", HARM_TESTS),
    mutant(HARM, "rows = rows[~leaked]", "rows = rows[leaked | True]", HARM_TESTS),
    # -- reviewing
    mutant(COMPARE, "size = np.abs(change[1] - change[0])", "size = change[1] - change[0]", COMPARE_TESTS),
    mutant(
        COMPARE, "np.logical_or.reduce([one.leaked[order]", "np.logical_and.reduce([one.leaked[order]", COMPARE_TESTS
    ),
    mutant(
        COMPARE,
        "orders.append(_same_images(runs[0], first, run, other))",
        "orders.append(np.arange(len(other)))",
        COMPARE_TESTS,
    ),
    mutant(VERIFY_DATA, "if label != then[0] and path not in relabelled:", "if label != then[0]:", VERIFY_TESTS),
    mutant(VERIFY_DATA, "if given != then[1]:", "if given < then[1]:", VERIFY_TESTS),
    mutant(VERIFY_DATA, "_APART = 1e-3", "_APART = 1.0", VERIFY_TESTS),
    mutant(VERIFY_METRICS, "if found.get(name) != digest", "if name not in found", VERIFY_TESTS),
    mutant(VERIFY_METRICS, "if row[name] != value", "if not row[name] and value", VERIFY_TESTS),
    mutant(VERIFY_METRICS, "if len(found) != len(set(found)):", "if len(found) < len(set(found)):", VERIFY_TESTS),
    # -- runs
    mutant(
        SAFE,
        "                os.fsync(file.fileno())\n            scratch.replace(path)",
        "            scratch.replace(path)",
        SAFE_TESTS,
    ),
    mutant(SAFE, "                scratch.unlink()", "                scratch.exists()", SAFE_TESTS),
    mutant("runs/lock", "            self._lock.release()", "            pass", "runs/test_lock"),
    mutant(
        "runs/lookup runs/finding",
        'if run.status == "finished" and run.model_file',
        "if run.model_file",
        "runs/test_folder",
    ),
    mutant(
        "runs/ledger",
        "if classifier not in seen:",
        "if True:",
        "runs/test_ledger",
        "",
        ("if classifier not in known:", "if True:"),
    ),
    mutant("runs/ledger", "repr(sorted(rows))", "repr(list(rows))", "runs/test_ledger"),
    mutant(
        "runs/table",
        "reverse=numeric != reverse)",
        "reverse=numeric)",
        "runs/test_table",
        "",
        ("reverse=is_falling != reverse)", "reverse=is_falling)"),
    ),
    mutant("runs/writer", "+ timedelta(microseconds=1))", "- timedelta(days=9999))", "runs/test_writer"),
    mutant("runs/writer", '"", ".", "..", "latest"', '"", ".", ".."', "runs/test_writer"),
    mutant(
        "runs/writer",
        "seconds = self._before + time.monotonic() - self._start",
        "seconds = self._before",
        "runs/test_writer",
    ),
    mutant(
        DATASET,
        'row["leaked"] == "1" for row in rows',
        'row["leaked"] == "0" for row in rows',
        VERIFY_TESTS,
        "not_touched",
    ),
    # -- pipeline
    mutant(
        "pipeline/resume",
        "path in before and tuple(now[path]) != before[path]",
        "path in before and tuple(now[path]) == ()",
        "pipeline/test_resume",
        "other_data",
    ),
    mutant(
        "pipeline/calibrate", "if 1 - hits.mean() <= target:", "if 1 - hits.mean() >= target:", CALIBRATE, "promise"
    ),
    mutant(
        PROCESSES,
        "devices.isdecimal() and int(devices) > 0",
        "devices.isdecimal() and int(devices) >= 0",
        PROCESSES_TESTS,
        "not killed and not torchrun",
    ),
    # -- launch, caches, api
    mutant(
        LAUNCH,
        'int(os.environ.get("WORLD_SIZE", "1")) > 1',
        'int(os.environ.get("WORLD_SIZE", "1")) > 0',
        f"{PROCESSES_TESTS} {DRIVING_TESTS}",
        "not killed",
    ),
    mutant(CACHES, "* 1024 **", "* 1000 **", INSTALLATION_TESTS),
    mutant(CACHES, "re.IGNORECASE | re.ASCII", "re.ASCII", INSTALLATION_TESTS),
    mutant(DRIVING, "raise SystemExit(128 + stop.signal)", "raise SystemExit(127 + stop.signal)", DRIVING_TESTS),
    mutant(DRIVING, "self.can_wait and self.signal and is_launched()", "self.can_wait and self.signal", DRIVING_TESTS),
    # -- evaluation
    mutant(
        "evaluation/metrics",
        "out=np.zeros_like(numerator)",
        "out=np.ones_like(numerator)",
        "evaluation/test_metrics",
        "",
        ("if spread > 0 else 0.0", "if spread > 0 else 1.0"),
    ),
    mutant(
        "evaluation/metrics",
        "values.mean(-1, where=support > 0)",
        "values.mean(-1)",
        "evaluation/test_metrics",
        "",
        ("values[counts[1] > 0].mean()", "values.mean()"),
    ),
    mutant(
        "evaluation/metrics",
        "bool(support[k] < MIN_SUPPORT)",
        "bool(support[k] <= MIN_SUPPORT)",
        "evaluation/test_metrics",
    ),
    mutant(
        "evaluation/gate",
        'if figure["low"] >= least:',
        'if figure["value"] >= least:',
        "evaluation/test_gate",
        "",
        ("return measured.low >= self.value", "return measured.value >= self.value"),
    ),
    mutant(
        "evaluation/gate",
        "100 if match[3] else 1",
        "10 if match[3] else 1",
        "evaluation/test_gate",
        "",
        ("100 if percent else 1", "10 if percent else 1"),
    ),
)


def find(names: str, folder: Path, ending: str = ".py") -> list[Path]:
    """Return the files under a folder that have one of these names, each ``name`` or ``folder/name``."""
    wanted = [(*name.split("/")[:-1], name.split("/")[-1] + ending) for name in names.split()]
    return [
        path for path in sorted(folder.rglob(f"*{ending}")) if any(path.parts[-len(one) :] == one for one in wanted)
    ]


def place(one: Mutant, root: Path) -> tuple[Path, str, str] | str:
    """Return (file, line, what stands in its place), or why that can't be told."""
    files = find(one.files, root / "src")
    for old, new in one.edits:
        holding = [file for file in files if old in file.read_text(encoding="utf-8")]
        if len(holding) > 1:
            return f"in {len(holding)} files"
        if holding:
            count = holding[0].read_text(encoding="utf-8").count(old)
            return (holding[0], old, new) if count == 1 else f"{count} times in {holding[0].name}"
    return "the line is not there" if files else "the file is not there"


def run_tests(root: Path, tests: str, only: str, cores: Sequence[int]) -> int | str:
    """Return pytest's exit code, or why it could not begin."""
    files = find(tests, root / "tests")
    if not files:
        return "no such tests"
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *map(str, files)]
    environment = {
        **os.environ, "PYTHONPATH": str(root / "src"), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1",
        "SIGHTLINE_NO_SKIPS": "",
    }  # fmt: skip
    if hasattr(os, "sched_setaffinity"):  # one core for each, as in tests/workers.py
        os.sched_setaffinity(0, cores)  # of this thread, and of what it starts
    try:
        done = subprocess.run(
            [*command, *(["-k", only] if only else [])], cwd=root, env=environment, capture_output=True, timeout=LIMIT
        )
    except subprocess.TimeoutExpired:
        return 1
    return done.returncode


def judge(one: Mutant, root: Path, passing: dict[tuple[str, str], int | str], cores: Sequence[int]) -> str:
    """Return ``killed``, ``survived``, or why neither is known."""
    found = place(one, root)
    if isinstance(found, str):
        return f"not applied: {found}"
    key = (one.tests, one.only)
    if key not in passing:
        passing[key] = run_tests(root, *key, cores)
    if passing[key] != 0:
        return f"not applied: its tests end with {passing[key]} without it"
    file, old, new = found
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace(old, new), encoding="utf-8")
    try:
        code = run_tests(root, *key, cores)
    finally:
        file.write_text(text, encoding="utf-8")
    return (
        {0: "survived", 1: "killed"}.get(code, "killed: the tests can't even begin") if isinstance(code, int) else code
    )


def main() -> None:
    """Print a line for each mutant, and how many were killed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=ROOT, help="checkout to be judged")
    parser.add_argument("--list", action="store_true", help="only tell which lines are there")
    parser.add_argument("--only", default="", help="mutants whose file or line holds this word")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="how many run side by side")
    chosen = parser.parse_args()
    mutants = [one for one in MUTANTS if chosen.only in f"{one.files} {one.edits}"]
    if chosen.list:
        found = [place(one, chosen.root) for one in mutants]
        for one, where in zip(mutants, found, strict=True):
            tests = [str(path.relative_to(chosen.root)) for path in find(one.tests, chosen.root / "tests")]
            told = where if isinstance(where, str) else where[0].relative_to(chosen.root)
            print(f"{told}: {one.edits[0][0].strip()!r} <- {', '.join(tests) or 'NO TESTS'}")
        print(f"{sum(not isinstance(one, str) for one in found)} of {len(mutants)} can be applied")
        return
    waiting: queue.SimpleQueue[tuple[int, Mutant]] = queue.SimpleQueue()
    for pair in enumerate(mutants):
        waiting.put(pair)
    said: dict[int, str] = {}
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]

    def work(number: int, copy: Path) -> None:
        passing: dict[tuple[str, str], int | str] = {}
        while True:
            try:
                number_in_list, one = waiting.get_nowait()
            except queue.Empty:
                return
            start = time.monotonic()
            said[number_in_list] = judge(one, copy, passing, [cores[number % len(cores)]])
            line = " ".join(one.edits[0][0].split())
            seconds = time.monotonic() - start
            print(f"{said[number_in_list]:9} {seconds:4.0f} s  {one.files.split()[0]}: {line}", flush=True)

    with tempfile.TemporaryDirectory() as scratch:
        threads = []
        for number in range(chosen.processes):
            copy = Path(scratch) / str(number) / "checkout"
            for name in ("src", "tests", "pyproject.toml", "docs", "examples", "README.md"):
                path = chosen.root / name
                if path.is_dir():
                    shutil.copytree(path, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
                elif path.is_file():
                    shutil.copy(path, copy / name)
            threads.append(threading.Thread(target=work, args=(number, copy)))
            threads[-1].start()
        for thread in threads:
            thread.join()
    killed = sum(one.startswith("killed") for one in said.values())
    survived = sum(one == "survived" for one in said.values())
    print(f"{killed} killed, {survived} survived, {len(said) - killed - survived} not applied, of {len(mutants)}")


if __name__ == "__main__":
    main()
