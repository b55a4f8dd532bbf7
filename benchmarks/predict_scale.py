"""Prediction at scale: speed beside a bare script, memory, kills, shards. One table for each.

    python benchmarks/predict_scale.py speed MODEL FOLDER [COUNT]
    python benchmarks/predict_scale.py memory MODEL FOLDER
    python benchmarks/predict_scale.py kills MODEL FOLDER [COUNT KILLS]
    python benchmarks/predict_scale.py shards MODEL FOLDER [COUNT]
    python benchmarks/predict_scale.py cold MODEL IMAGE

The bare script is what somebody writes by hand: Pillow in as many threads as there are processors, then onnxruntime
with its defaults on ready arrays; its time is that of both.
"""

from __future__ import annotations

import csv
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

SIGHTLINE = [sys.executable, "-m", "sightline", "predict"]
ROUNDS = 2


def files_of(folder: Path, count: int) -> list[str]:
    """Return so many images below a folder, drawn evenly, in the order of their names."""
    found = sorted(str(path) for path in folder.rglob("*") if path.suffix.lower() in (".png", ".jpg", ".jpeg"))
    step = max(1, len(found) // count) if count else 1
    return found[::step][: count or None]


def bare_seconds(model: Path, files: list[str]) -> tuple[float, float]:
    """Return the seconds of Pillow and of onnxruntime in a script that somebody writes by hand."""
    import onnxruntime
    from PIL import Image

    import sightline

    rule = sightline.load(model).preprocess

    def square(path: str) -> np.ndarray:
        with Image.open(path) as image:
            least = rule.draft * rule.resize
            if least:
                image.draft("RGB", (least, least))
            rgb = image.convert("RGB")
        scale = rule.resize / min(rgb.size)
        if rgb.size != (rule.size, rule.size):
            rgb = rgb.resize((max(rule.size, round(rgb.width * scale)), max(rule.size, round(rgb.height * scale))))
            left, top = (rgb.width - rule.size) // 2, (rgb.height - rule.size) // 2
            rgb = rgb.crop((left, top, left + rule.size, top + rule.size))
        return np.asarray(rgb)

    start = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        squares = np.stack(list(pool.map(square, files, chunksize=16)))
    decoded = time.perf_counter()
    session = onnxruntime.InferenceSession(sightline.load(model).path)
    opened = time.perf_counter()
    size = max(1, 8 * 224 * 224 // rule.size**2)
    for first in range(0, len(squares), size):
        session.run(["probabilities"], {"pixels": squares[first : first + size]})
    return decoded - start, time.perf_counter() - opened


def own_seconds(model: Path, files: list[str]) -> float:
    """Return the seconds of a prediction into a CSV, without the start of the process."""
    import sightline
    from sightline.data.choices import FindingChoices
    from sightline.predicting.output import open_output
    from sightline.predicting.request import Request
    from sightline.predicting.rows import Render
    from sightline.predicting.write import write_predictions

    classifier = sightline.load(model)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "list.txt").write_text("\n".join(os.path.abspath(path) for path in files))  # noqa: PTH100
        request = Request((f"{folder}/list.txt",), "csv", choices=FindingChoices())
        render = Render(classifier.classes)
        start = time.perf_counter()
        output = open_output(Path(folder) / "said.csv", request.record(classifier.digest), render, resume=False)
        list(write_predictions(classifier, request, output))
        assert output.rows == len(files)
        return time.perf_counter() - start


def speed(model: Path, folder: Path, count: int = 0) -> None:
    """Print images a second, of both, and the share."""
    files = files_of(folder, count)
    print(f"{len(files):,} images of {folder}; bare: Pillow and onnxruntime one after the other; {ROUNDS} rounds")
    print(f"{'round':>5} {'Pillow/s':>9} {'ort/s':>9} {'bare/s':>9} {'predict/s':>10} {'share':>7}")
    for number in range(ROUNDS):
        pillow, ort = bare_seconds(model, files)
        own = own_seconds(model, files)
        rates = [len(files) / seconds for seconds in (pillow, ort, pillow + ort, own)]
        cells = f"{rates[0]:>9.1f} {rates[1]:>9.1f} {rates[2]:>9.1f} {rates[3]:>10.1f}"
        print(f"{number:>5} {cells} {100 * (pillow + ort) / own:>6.0f} %", flush=True)


def memory(model: Path, folder: Path) -> None:
    """Print the peak of resident memory of 6,000 and of 60,000 files."""
    every = files_of(folder, 0)
    print(f"{'images':>8} {'form':>8} {'peak MiB':>9} {'seconds':>8}")
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        for count in (len(every) // 10, len(every)):
            place = Path(scratch) / str(count)
            for path in every[:: len(every) // count][:count]:
                target = place / Path(path).relative_to(folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.link(path, target)
            for form in ("csv", "json"):
                out = ["--json"] if form == "json" else ["--out", f"{scratch}/{count}.{form}"]
                start = time.perf_counter()
                child = subprocess.Popen([*SIGHTLINE, model, place, *out], stdout=subprocess.DEVNULL)
                _, status, usage = os.wait4(child.pid, 0)
                assert status in (0, 3 << 8), status
                print(
                    f"{count:>8,} {form:>8} {usage.ru_maxrss / 1024:>9.0f} {time.perf_counter() - start:>8.0f}",
                    flush=True,
                )


def rows_of(file: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV."""
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def kills(model: Path, folder: Path, count: int = 20_000, times: int = 20) -> None:
    """Kill a prediction so often, at random moments, and compare what comes out in the end with a straight run."""
    chance = random.Random(0)
    with tempfile.TemporaryDirectory() as scratch:
        names = Path(scratch) / "list.txt"
        names.write_text("\n".join(os.path.abspath(path) for path in files_of(folder, count)))  # noqa: PTH100
        for form in ("csv", "jsonl", "parquet"):
            straight, out = Path(scratch) / f"straight.{form}", Path(scratch) / f"killed.{form}"
            start = time.perf_counter()
            subprocess.run([*SIGHTLINE, model, names, "--out", straight], check=True, stdout=subprocess.DEVNULL)
            whole = time.perf_counter() - start
            done, left = 0, [0]
            while done < times and not out.exists():
                child = subprocess.Popen(
                    [*SIGHTLINE, model, names, "--out", out, "--resume"],
                    **{"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL},
                )
                try:
                    child.wait(chance.uniform(0.5, max(6.0, whole / 3)))
                except subprocess.TimeoutExpired:
                    child.send_signal(signal.SIGKILL)
                    child.wait()
                    done += 1
                    record = out.with_name(f"{out.name}.partial") / "job.json"
                    left.append(json.loads(record.read_text())["rows"] if record.exists() else 0)
            subprocess.run([*SIGHTLINE, model, names, "--out", out, "--resume"], check=True, stdout=subprocess.DEVNULL)
            if form == "parquet":
                import pyarrow.parquet

                same = pyarrow.parquet.read_table(out).equals(pyarrow.parquet.read_table(straight))
            else:
                same = out.read_bytes() == straight.read_bytes()
            print(f"{form:>8}: {done} kills -9 of a run of {whole:.0f} s; the same rows: {same}")
            print(f"{'':>8}  rows after each: {left[1:]}", flush=True)


def shards(model: Path, folder: Path, count: int = 6000) -> None:
    """Predict 8 shards in a random order, and compare them with one run."""
    order = list(range(8))
    random.Random(1).shuffle(order)
    with tempfile.TemporaryDirectory() as scratch:
        names, out = Path(scratch) / "list.txt", Path(scratch) / "said.csv"
        names.write_text("\n".join(os.path.abspath(path) for path in files_of(folder, count)))  # noqa: PTH100
        subprocess.run([*SIGHTLINE, model, names, "--out", out], check=True, stdout=subprocess.DEVNULL)
        found: dict[str, dict[str, str]] = {}
        sizes = []
        for number in order:
            subprocess.run(
                [*SIGHTLINE, model, names, "--out", out, "--shard", f"{number}/8"],
                check=True,
                stdout=subprocess.DEVNULL,
            )
            rows = rows_of(out.with_name(f"said-{number:05d}-of-00008.csv"))
            sizes.append(len(rows))
            found |= {row["path"]: row for row in rows}
        whole = rows_of(out)
        assert sum(sizes) == len(whole) == len(found)
        texts = [name for name in whole[0] if not name.startswith(("prob", "conf", "nov"))]
        same = sum(all(row[name] == found[row["path"]][name] for name in texts) for row in whole)
        exact = sum(row == found[row["path"]] for row in whole)
        numbers = [name for name in whole[0] if name not in texts]
        largest = max(
            abs(float(row[name]) - float(found[row["path"]][name])) for row in whole for name in numbers if row[name]
        )
        print(f"8 shards in the order {order}, of {sizes} rows; {len(whole):,} rows, {exact:,} equal in every letter,")
        print(f"{same:,} with the same path, label and answer; largest difference of a number: {largest:.1g}")


COLD = """
import sys, time
start = time.perf_counter()
import numpy as np
from PIL import Image
imaged = time.perf_counter()
import onnxruntime
imported = time.perf_counter()
session = onnxruntime.InferenceSession(sys.argv[1])
opened = time.perf_counter()
side = int(sys.argv[3])
square = np.asarray(Image.open(sys.argv[2]).convert("RGB").resize((side, side)))[None]
decoded = time.perf_counter()
session.run(["probabilities"], {"pixels": square})
print(imaged - start, imported - imaged, opened - imported, decoded - opened, time.perf_counter() - decoded)
"""


def cold(model: Path, image: Path) -> None:
    """Print the seconds of a fresh process beside a bare script, in turns, and what the script's are made of."""
    import sightline

    classifier = sightline.load(model)
    script = [sys.executable, "-c", COLD, str(classifier.path), str(image), str(classifier.preprocess.size)]
    own, bare, parts = [], [], []
    for _ in range(7):
        start = time.perf_counter()
        subprocess.run([*SIGHTLINE, model, image], check=True, stdout=subprocess.DEVNULL)
        own.append(time.perf_counter() - start)
        start = time.perf_counter()
        said = subprocess.run(script, check=True, capture_output=True, text=True)
        bare.append(time.perf_counter() - start)
        parts.append([float(word) for word in said.stdout.split()])
    names = ("numpy and Pillow", "onnxruntime", "open the model", "decode", "compute")
    made = ", ".join(f"{name} {value:.3f}" for name, value in zip(names, np.median(parts, axis=0), strict=True))
    print(
        f"sightline predict {np.median(own):.3f} s (least {min(own):.3f}); bare {np.median(bare):.3f} ({min(bare):.3f})"
    )
    print(f"ratio of the medians {np.median(own) / np.median(bare):.2f}; the script: {made}")


if __name__ == "__main__":
    what, first, second, *rest = sys.argv[1:]
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}; ", end="")
    print(f"memory of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
    acts = {"speed": speed, "memory": memory, "kills": kills, "shards": shards, "cold": cold}
    acts[what](Path(first), Path(second), *map(int, rest))
