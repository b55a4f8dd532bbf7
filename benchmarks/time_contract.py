"""The best model for the time given: what `--time` reaches, and whether it keeps to it.

    python benchmarks/time_contract.py clothing10/ --weights mobilenetv2_100.safetensors --times 60s 2m 5m 10m

Each training is a fresh process. ``--baseline`` measures beside it what many people do by hand: the frozen network of
timm, features of every image in batches of 32, and scikit-learn's logistic regression, also as a whole process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BASELINE = """
import sys
from pathlib import Path
import numpy as np, timm, torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from safetensors.torch import load_file

root, weights = Path(sys.argv[1]), sys.argv[2]
network = timm.create_model("mobilenetv2_100", pretrained=False)
network.load_state_dict(load_file(weights))
network.eval()
see = timm.data.create_transform(**timm.data.resolve_data_config({}, model=network))
classes = sorted(folder.name for folder in (root / "train").iterdir())

def look(part):
    features, labels, batch = [], [], []
    with torch.inference_mode():
        for number, name in enumerate(classes):
            for path in sorted((root / part / name).iterdir()):
                try:
                    batch.append(see(Image.open(path).convert("RGB")))
                except OSError:
                    continue
                labels.append(number)
                if len(batch) == 32:
                    features.append(network.forward_head(network.forward_features(torch.stack(batch)), pre_logits=True))
                    batch = []
        if batch:
            features.append(network.forward_head(network.forward_features(torch.stack(batch)), pre_logits=True))
    return torch.cat(features).numpy(), np.array(labels)

train, test = look("train"), look("test" if (root / "test").is_dir() else "val")
model = LogisticRegression(max_iter=1000).fit(*train)
print(model.score(*test), len(test[1]))
"""


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--weights", default="", help="safetensors file, for photos")
    parser.add_argument("--times", nargs="+", default=["60s", "2m", "5m", "10m"])
    parser.add_argument("--baseline", action="store_true", help="measure the frozen network by hand, first")
    arguments = parser.parse_args()
    print("| limit | seconds used | accuracy | start | training | choices |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.baseline:
            print(run_baseline(arguments.data, arguments.weights), flush=True)
        for limit in arguments.times:
            print(run_training(arguments.data, arguments.weights, limit, Path(folder)), flush=True)


def run_baseline(data: str, weights: str) -> str:
    """Return the row of the frozen network by hand."""
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", BASELINE, data, weights], capture_output=True, text=True, check=True)
    accuracy, count = done.stdout.split()
    return (
        f"| by hand | {time.monotonic() - start:.0f} | {100 * float(accuracy):.1f} % (n={count}) | | | frozen, 224 px |"
    )


def run_training(data: str, weights: str, limit: str, folder: Path) -> str:
    """Return the row of one training."""
    command = [sys.executable, "-m", "sightline", "train", data, "--time", limit, "--out", str(folder), "--name", limit]
    command += ["--weights", weights] if weights else []
    start = time.monotonic()
    done = subprocess.run([*command, "--quiet", "--json"], capture_output=True, text=True, check=False)
    used = time.monotonic() - start
    if done.returncode:
        said = json.loads(done.stdout)["error"]["message"] if done.stdout else done.stderr[-300:]
        return f"| {limit} | {used:.0f} | exit {done.returncode}: {said} | | | |"
    run = folder / limit
    metrics, facts = (
        json.loads((run / "evaluation" / "metrics.json").read_text()),
        json.loads((run / "run.json").read_text()),
    )
    figure = metrics["accuracy"]
    low, high = 100 * figure["low"], 100 * figure["high"]
    accuracy = f"{100 * figure['value']:.1f} % ({low:.1f} to {high:.1f}, n={figure['n']:,})"
    stages = {stage["name"]: stage for stage in facts["stages"]}
    spent = sum(stage["seconds"] for name, stage in stages.items() if name != "Training")
    settings = {
        name: next(line for line in (run / "plan.toml").read_text().split(f"[{name}]\nvalue = ")[1].splitlines())
        for name in ("size", "width", "epochs")
    }
    chosen = ", ".join(f"{name} {value}" for name, value in settings.items() if value != "0")
    training = stages["Training"]
    told = f"{training['seconds']:.0f} s: {training['detail']}; {facts['stopped']}"
    return f"| {limit} | {used:.1f} | {accuracy} | {spent:.0f} s beside it | {told} | {chosen} |"


if __name__ == "__main__":
    main()
