"""A run beside the plainest thing that works: frozen features and logistic regression, on the run's own split.

    python benchmarks/frozen_probe.py RUN WEIGHTS.safetensors

Nothing of Sightline is used for the reference but the run's split: timm's own transform, scikit-learn's
defaults, a plain loop. Prints one table.
"""

from __future__ import annotations

import csv
import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression


def features(network: torch.nn.Module, transform: object, files: list[Path]) -> np.ndarray:
    """Return ``[N, D]`` features in batches of 32."""
    found = []
    for start in range(0, len(files), 32):
        images = torch.stack([transform(Image.open(file).convert("RGB")) for file in files[start : start + 32]])
        with torch.inference_mode():
            found.append(network(images).numpy())
    return np.concatenate(found)


def main(run: Path, weights: Path) -> None:
    """Print the reference's accuracy and seconds beside the run's."""
    start = time.perf_counter()
    facts = json.loads((run / "run.json").read_text())
    name = facts["model"].split(".")[0]
    network = timm.create_model(name, pretrained=True, pretrained_cfg_overlay={"file": str(weights)})
    network.reset_classifier(0)
    network.eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(network))
    rows = list(csv.DictReader((run / "data" / "split.csv").open()))
    root = Path(facts["data_root"])
    parts = {part: [row for row in rows if row["split"] == part] for part in ("train", "val", "test")}
    seen = {part: features(network, transform, [root / row["path"] for row in parts[part]]) for part in parts}
    label = {part: [row["label"] for row in parts[part]] for part in parts}
    print(f"{'what':<52} {'test accuracy':>13} {'n':>6} {'s':>6}")
    fits = {"train": ["train"], "train and val": ["train", "val"]}
    for trained, used in fits.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            x = np.concatenate([seen[part] for part in used])
            model = LogisticRegression(max_iter=1000).fit(x, [name for part in used for name in label[part]])
        accuracy = model.score(seen["test"], label["test"])
        what = f"frozen {name}, logistic regression on {trained}"
        print(f"{what:<52} {accuracy:>13.4f} {len(label['test']):>6} {time.perf_counter() - start:>6.0f}")
    accuracy = json.loads((run / "evaluation" / "metrics.json").read_text())["accuracy"]
    print(f"{'sightline ' + run.name:<52} {accuracy['value']:>13.4f} {accuracy['n']:>6} {facts['seconds']:>6.0f}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
