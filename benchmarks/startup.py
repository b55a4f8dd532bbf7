"""Wall time of fresh processes above a bare Python, and whether torch was imported in any of them.

    python benchmarks/startup.py [MODEL IMAGE]

Without a model and an image only ``--help`` and ``import sightline`` are measured. Medians of 5, taken in turns
with ``python -c pass``. The last column says which heavy packages the process had imported at its end.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

HEAVY = ("torch", "timm", "torchvision", "sklearn", "scipy", "matplotlib", "pandas", "pydantic", "onnxruntime")
REPORT = (
    f"import sys, atexit; atexit.register(lambda: print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr))"
)
CLI = "from sightline.cli import main; main()"


def seconds(code: str, *arguments: str) -> float:
    """Return the wall time of one fresh process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)
    return time.perf_counter() - start


def imported(code: str, *arguments: str) -> str:
    """Return the heavy packages that a process has imported when it ends."""
    result = subprocess.run([sys.executable, "-c", f"{REPORT}; {code}", *arguments], capture_output=True, text=True)
    return result.stderr.strip().splitlines()[-1]


def main(model_and_image: list[str]) -> None:
    """Print one table."""
    cases = {
        "import sightline": ("import sightline", ()),
        "sightline --help": (CLI, ("--help",)),
    }
    if model_and_image:
        cases["sightline predict MODEL IMAGE"] = (CLI, ("predict", *model_and_image))
    print(f"{'fresh process':<32} {'median s':>9} {'above bare':>11}  heavy imports")
    for name, (code, arguments) in cases.items():
        pairs = [(seconds("pass"), seconds(code, *arguments)) for _ in range(5)]
        bare, own = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(f"{name:<32} {own:>9.3f} {own - bare:>11.3f}  {imported(code, *arguments)}")
    print(f"{'python -c pass':<32} {bare:>9.3f}")


if __name__ == "__main__":
    main(sys.argv[1:3])
