"""``web/``: a folder for any static server; its page classifies images in the browser, and sends none anywhere."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

from sightline.exporting.any_size_format import AnySizeRunner, write_any_size
from sightline.exporting.browser_runtime import find_runtime
from sightline.exporting.parity import Exportable
from sightline.runs.safe_files import write_bytes
from sightline.runtime.bundle import Bundle

__all__ = ["WEB_FOLDER", "WebRunner", "write_web"]

WEB_FOLDER = "web"
_MODEL = "model.onnx"  # the page's, which takes images of any size
_ASSETS = Path(__file__).with_name("web")
_CHECKED = ("style.css", "ort.js", "app.js")  # by the browser, which refuses another content


def write_web(graph: Exportable, bundle: Bundle, path: Path, exporter: str) -> None:
    """Write the page's folder: model, onnxruntime-web, script, style and the classes.

    No name of a class stands in ``index.html``: the script reads ``classifier.json`` and shows names as text.

    Args:
        graph: the network, or a classifier that ships.
        bundle: becomes ``classifier.json``.
        path: the folder; its files are whole or not there.
        exporter: one of the graph's.

    Raises:
        ExportMismatch: if the network can't take images of any size, or onnxruntime-web can't be had.
    """
    files = find_runtime()
    files |= {name: (_ASSETS / name).read_bytes() for name in ("app.js", "style.css", "LICENSES.txt")}
    page = (_ASSETS / "index.html").read_text(encoding="utf-8")
    for name in _CHECKED:
        page = page.replace(f"{{{name}}}", _integrity(files[name]))
    files["index.html"] = page.encode()
    files["classifier.json"] = bundle.to_json(ascii_only=True).encode()
    for name, data in files.items():
        write_bytes(path / name, data)
    write_any_size(graph, bundle, path / _MODEL, exporter)
    loaded = {name: (path / name).read_bytes() for name in ("ort.wasm", _MODEL)}
    facts = {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in loaded.items()}
    write_bytes(path / "files.json", json.dumps(facts, indent=2).encode())


class WebRunner(AnySizeRunner):
    """The model of a ``web`` folder, opened by onnxruntime as the page opens it in a browser."""

    def __init__(self, path: Path) -> None:
        super().__init__(path / _MODEL)


def _integrity(data: bytes) -> str:
    """Return what HTML's ``integrity`` takes."""
    return f"sha384-{base64.b64encode(hashlib.sha384(data).digest()).decode()}"
