"""Every file of a folder of odd and broken images gets its verdict: how long it takes, and whether it is the right one.

    python benchmarks/bad_images.py bad_images.zip

The archive holds image files and a ``manifest.csv`` with the columns ``path`` and ``expected`` (decodes, refused,
``decodes with a flag``, or empty). Verdicts are given in a process of their own, which is started anew should it die,
and killed should a file take longer than 30 s (the limit is 5). Prints one table, and each disagreement with its
reason.
"""

from __future__ import annotations

import csv
import hashlib
import json
import resource
import select
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

MOST_SECONDS, MOST_MEGABYTES, MOST_TOTAL, HANGS_AFTER = 5, 500, 60, 30
ROTATED = {"exif-orientation/Portrait_": 3, "pillow/hopper_orientation_": 3, "pillow/g4_orientation_": 3}  # levels


def give_verdicts() -> None:
    """Read names of files from stdin; answer each with one JSON line: what ``check``, ``train`` and ``predict`` see."""
    import numpy as np
    from PIL import Image

    from sightline.errors import UnreadableImage
    from sightline.pixels.decode import decode_image, read_header
    from sightline.pixels.image_facts import measure_image

    for line in sys.stdin:
        path = Path(json.loads(line))
        start = time.perf_counter()
        answer: dict[str, object] = {"verdict": "decodes", "reason": "", "remark": "", "small": []}
        try:
            pixels = decode_image(path)
            data = path.read_bytes()
            measure_image(data)
            answer["remark"] = read_header(data).remark
            small = Image.fromarray(pixels).resize((16, 16), Image.Resampling.BOX)
            answer |= {"size": pixels.shape[:2], "small": np.asarray(small).ravel().tolist()}
        except UnreadableImage as error:
            answer |= {"verdict": "refused", "reason": error.reason}
        except Exception as error:
            answer |= {"verdict": "CRASH", "reason": f"{type(error).__name__}: {error}"}
        answer |= {"seconds": time.perf_counter() - start}
        answer["megabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(answer), flush=True)


class Child:
    """A process that gives verdicts; one that dies or hangs is replaced, and the file's verdict says so."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.noise = tempfile.TemporaryFile("w+")  # noqa: SIM115  (what C libraries say on stderr)

    def ask(self, path: Path) -> dict[str, object]:
        """Return the verdict on one file."""
        if self.process is None:
            command = [sys.executable, __file__, "--child"]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.noise}
            self.process = subprocess.Popen(command, text=True, **pipes)
        self.process.stdin.write(json.dumps(str(path)) + "\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], HANGS_AFTER)
        line = self.process.stdout.readline() if ready else ""
        if line:
            return json.loads(line)
        verdict = "CRASH" if ready else "HANG"
        self.close()
        return {
            "verdict": verdict,
            "reason": "",
            "remark": "",
            "small": [],
            "seconds": float(HANGS_AFTER),
            "megabytes": 0.0,
        }

    def close(self) -> None:
        """End the process."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


def hashes(root: Path) -> dict[str, str]:
    """Return path -> sha256 of every file below a folder."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def furthest(verdicts: dict[str, dict[str, object]], start: str) -> tuple[int, float]:
    """Return (files, largest mean difference from the first) of images whose names start alike."""
    seen = [row["small"] for name, row in verdicts.items() if name.startswith(start) and row["small"]]
    seen = [row for row in seen if len(row) == len(seen[0])]
    apart = [sum(abs(a - b) for a, b in zip(seen[0], other, strict=True)) / len(other) for other in seen]
    return len(seen), max(apart, default=0.0)


def agrees(expected: str, row: dict[str, object]) -> bool:
    """Tell whether a verdict is what the manifest expects; where that is open, any typed verdict is."""
    if row["verdict"] in ("CRASH", "HANG"):
        return False
    return {"decodes": row["verdict"] == "decodes", "refused": row["verdict"] == "refused"}.get(expected, True)


def main(archive: Path) -> int:
    """Print the table; returns 1 if a limit is passed."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with zipfile.ZipFile(archive) as zipped:
            zipped.extractall(root)
        with (root / "manifest.csv").open(encoding="utf-8") as file:
            manifest = {row["path"]: row["expected"] for row in csv.DictReader(file)}
        before = hashes(root)
        child, start = Child(), time.perf_counter()
        verdicts = {name: child.ask(root / name) for name in manifest}
        total = time.perf_counter() - start
        child.close()
        return report(manifest, verdicts, total, hashes(root) == before)


def report(manifest: dict[str, str], verdicts: dict[str, dict[str, object]], total: float, unchanged: bool) -> int:
    """Print one table of limits and figures, then the disagreements."""
    rows = list(verdicts.values())
    slowest = max(verdicts, key=lambda name: verdicts[name]["seconds"])
    peak = max(row["megabytes"] for row in rows)
    untyped = [name for name, row in verdicts.items() if row["verdict"] in ("CRASH", "HANG")]
    valid = [name for name in manifest if name.startswith("pngsuite/valid")]
    corrupt = [name for name in manifest if name.startswith("pngsuite/corrupt")]
    good = [name for name in valid if verdicts[name]["verdict"] == "decodes"]
    caught = [n for n in corrupt if verdicts[n]["verdict"] == "refused" or verdicts[n]["remark"] == "checksum"]
    settled = [name for name, expected in manifest.items() if expected in ("decodes", "refused")]
    agreed = [name for name in settled if agrees(manifest[name], verdicts[name])]
    turned = {start: furthest(verdicts, start) for start in ROTATED}
    seconds = verdicts[slowest]["seconds"]
    table = [
        ("files with a typed verdict", f"{len(rows) - len(untyped)} of {len(rows)}", "all", not untyped),
        ("decoded", str(sum(row["verdict"] == "decodes" for row in rows)), "", True),
        ("refused, with a reason", str(sum(row["verdict"] == "refused" for row in rows)), "", True),
        ("flagged", str(sum(bool(row["remark"]) for row in rows)), "", True),
        ("all files, s", f"{total:.1f}", f"< {MOST_TOTAL}", total < MOST_TOTAL),
        (f"slowest file, s ({slowest})", f"{seconds:.2f}", f"< {MOST_SECONDS}", seconds < MOST_SECONDS),
        ("peak memory, MB", f"{peak:.0f}", f"< {MOST_MEGABYTES}", peak < MOST_MEGABYTES),
        ("files unchanged (sha256)", "yes" if unchanged else "NO", "yes", unchanged),
        ("PngSuite, valid: decoded", f"{len(good)} of {len(valid)}", "all", good == valid),
        ("PngSuite, corrupt: refused or flagged", f"{len(caught)} of {len(corrupt)}", "all", caught == corrupt),
        ("agree with the manifest where it is settled", f"{len(agreed)} of {len(settled)}", "", True),
    ]
    table += [
        (f"one image: {start}* ({count} files), mean levels apart", f"{apart:.1f}", f"< {most}", apart < most)
        for (start, (count, apart)), most in zip(turned.items(), ROTATED.values(), strict=True)
    ]
    width = max(len(row[0]) for row in table)
    print(f"{'what':<{width}} {'measured':>12} {'limit':>7}")
    for what, measured, limit, ok in table:
        print(f"{what:<{width}} {measured:>12} {limit:>7}  {'' if ok else 'FAIL'}".rstrip())
    print(f"\n{'disagrees with the manifest':<62} {'expected':<10} verdict")
    for name in [name for name in settled if name not in agreed] + untyped:
        row = verdicts[name]
        print(f"{name:<62} {manifest[name]:<10} {row['verdict']}: {row['reason'] or row['remark']}")
    return 0 if all(ok for *_, ok in table) else 1


if __name__ == "__main__":
    if sys.argv[1:] == ["--child"]:
        give_verdicts()
    elif len(sys.argv) == 2:
        sys.exit(main(Path(sys.argv[1])))
    else:
        sys.exit(__doc__)
