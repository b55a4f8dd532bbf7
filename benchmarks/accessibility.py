"""What axe-core finds in a report, in headless Chromium, light and dark, wide and narrow.

    npm pack axe-core && tar xzf axe-core-*.tgz
    python benchmarks/accessibility.py runs/NAME/report.html package/axe.min.js

axe-core is a development tool from npm, and no part of Sightline. The page's policy forbids foreign scripts, so a copy
without it is looked at.
"""

from __future__ import annotations

import argparse
import html
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

_RUN = """
document.querySelectorAll("details").forEach((one) => { one.open = true; });
axe.run(document, {resultTypes: ["violations"]}).then((found) => {
  document.documentElement.innerHTML = "<body><pre id=found></pre></body>";
  document.getElementById("found").textContent = JSON.stringify(found.violations.map(
    ({id, impact, help, nodes}) => ({id, impact, help, nodes: nodes.slice(0, 3).map((node) => node.html)})));
});
"""


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path)
    parser.add_argument("axe", type=Path, help="axe.min.js")
    arguments = parser.parse_args()
    page = re.sub(r"<meta http-equiv=[^>]*>", "", arguments.report.read_text(encoding="utf-8"))
    script = f"<script>{arguments.axe.read_text(encoding='utf-8')}</script><script>{_RUN}</script></body>"
    page = page.replace("</body>", script)
    print("| width | theme | impact | rule | where |\n| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "report.html"
        copy.write_text(page, encoding="utf-8")
        for width in (1200, 390):
            for theme in ("light", "dark"):
                for one in look(copy, width, theme, Path(folder) / "profile"):
                    where = " ".join(one["nodes"])[:160].replace("|", "/").replace("\n", " ")
                    print(
                        f"| {width} | {theme} | {one['impact']} | {one['id']}: {one['help']} | `{where}` |", flush=True
                    )


def look(page: Path, width: int, theme: str, profile: Path) -> list[dict[str, Any]]:
    """Return the violations."""
    chromium = shutil.which("chromium") or "google-chrome"
    flags = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        f"--window-size={width},1000",
        f"--user-data-dir={profile}",
    ]
    if theme == "dark":
        flags.append("--blink-settings=preferredColorScheme=0")
    command = [chromium, *flags, "--virtual-time-budget=60000", "--dump-dom", page.as_uri()]
    said = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout
    match = re.search(r'<pre id="found">(.*?)</pre>', said, re.DOTALL)
    if match is None:
        raise SystemExit(f"axe did not answer: {said[-300:]}")
    found: list[dict[str, Any]] = json.loads(html.unescape(match[1]))
    return found


if __name__ == "__main__":
    main()
