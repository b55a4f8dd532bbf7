"""Training without torch beside the same by hand: accuracy, seconds of a first and of a second run, and their ratios.

By hand: every image decoded with Pillow and squashed to 224 px, features by onnxruntime in batches of eight, and
scikit-learn's logistic regression (C = 0.003, standardised features) on all that is not the test. Nothing is checked,
split, calibrated, exported, evaluated with intervals or reported there. Run it on a quiet machine:

    python benchmarks/without_torch.py photos/ [--repeats 3]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BY_HAND = """
import sys, numpy as np
from pathlib import Path
from PIL import Image
from safetensors.numpy import load_file
from sightline.networks.carried import carried_file
from sightline.networks.lite import build_body
from sightline.runtime.onnx_session import open_session
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

def square(path):
    image = Image.open(path)
    image.draft("RGB", (448, 448))
    return np.asarray(image.convert("RGB").resize((224, 224), Image.Resampling.BICUBIC))

session = open_session(build_body(load_file(carried_file()), 224, (0.5,) * 3, (0.5,) * 3).SerializeToString())
def features(paths):
    parts = [np.stack([square(path) for path in paths[i : i + 8]]) for i in range(0, len(paths), 8)]
    return np.concatenate([session.run(["features"], {"pixels": part})[0] for part in parts])

train, test = ([line.split("\\t") for line in Path(name).read_text().splitlines()] for name in sys.argv[1:])
scaler = StandardScaler()
x = scaler.fit_transform(features([path for path, _ in train]))
head = LogisticRegression(C=0.003, max_iter=200).fit(x, [label for _, label in train])
print(head.score(scaler.transform(features([path for path, _ in test])), [label for _, label in test]))
"""


def run(command: list[str | Path], cache: Path) -> tuple[float, str]:
    """Return (seconds, what was printed) of a process with a cache of its own."""
    start = time.monotonic()
    environment = {**os.environ, "SIGHTLINE_CACHE": str(cache)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return time.monotonic() - start, done.stdout


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args()
    rows: dict[str, list[tuple[float, str]]] = {"first run": [], "second run": [], "by hand": []}
    for _ in range(options.repeats):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            train = [sys.executable, "-m", "sightline", "train", options.data, "--set", "engine=onnxruntime", "--json"]
            for name in ("first run", "second run"):
                seconds, said = run([*train, "-q", "--out", folder / "runs"], folder / "cache")
                found = json.loads(said)
                low, high = (100 * found["metrics"]["accuracy"][end] for end in ("low", "high"))
                accuracy = 100 * found["metrics"]["accuracy"]["value"]
                rows[name].append((seconds, f"{accuracy:.1f} % ({low:.1f} to {high:.1f})"))
            for part, parts in (("train", {"train", "val"}), ("test", {"test"})):
                lines = [f"{path}\t{label}" for path, label in images(Path(found["run"]), parts)]
                (folder / part).write_text("\n".join(lines))
            command = [sys.executable, "-c", BY_HAND, folder / "train", folder / "test"]
            seconds, said = run(command, folder / "other")
            rows["by hand"].append((seconds, f"{100 * float(said):.1f} %"))
    by_hand = statistics.median(seconds for seconds, _ in rows["by hand"])
    print(f"{'':<12} {'seconds':>8} {'ratio':>6}  accuracy")
    for name, found in rows.items():
        seconds = statistics.median(seconds for seconds, _ in found)
        print(
            f"{name:<12} {seconds:>8.1f} {seconds / by_hand:>6.2f}  {', '.join(sorted({words for _, words in found}))}"
        )


def images(run: Path, parts: set[str]) -> list[tuple[Path, str]]:
    """Return (file, class) of the images of some parts of a run's split."""
    from sightline.runs.dataset import read_dataset
    from sightline.runs.folder import Run

    samples, split = read_dataset(Run(run))
    rows = [row for part in sorted(parts) for row in split.rows(part) if samples.is_ok[row]]
    return [(samples.file(int(row)), samples.classes[samples.labels[row]]) for row in rows]


if __name__ == "__main__":
    main()
