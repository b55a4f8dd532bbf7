"""``web/``: what is in the folder, where onnxruntime-web comes from, and the page in a browser."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import tarfile
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from chromium import CHROMIUM, open_browser, serve
from sightline.api.exporting import convert
from sightline.errors import ExportMismatch, InputError
from sightline.exporting import browser_runtime
from sightline.exporting.browser_runtime import FILES, VERSION, find_runtime, runtime_folder
from sightline.exporting.web_format import WebRunner
from sightline.runtime.bundle import Bundle
from sightline.runtime.classifier import Classifier

CONTENTS = {"ort.js": b"export const env = {};", "ort.wasm": b"\0asm"}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def package(monkeypatch):
    """A package of npm in the place of the real one, pinned as that is; returns its bytes."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as archive:
        for name, data in CONTENTS.items():
            entry = tarfile.TarInfo(FILES[name][0])
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    pinned = {name: (FILES[name][0], sha256(data)) for name, data in CONTENTS.items()}
    monkeypatch.setattr(browser_runtime, "FILES", pinned)
    digest = base64.b64encode(hashlib.sha512(written.getvalue()).digest()).decode()
    monkeypatch.setattr(browser_runtime, "_INTEGRITY", digest)
    return written.getvalue()


@pytest.fixture
def registry(package, tmp_path, monkeypatch):
    """A registry that has the package, as ``SIGHTLINE_NPM_REGISTRY``; returns its folder."""
    folder = tmp_path / "registry"
    file = folder / "onnxruntime-web" / "-" / f"onnxruntime-web-{VERSION}.tgz"
    file.parent.mkdir(parents=True)
    file.write_bytes(package)
    with serve(folder) as address:
        monkeypatch.setenv("SIGHTLINE_NPM_REGISTRY", f"{address}/")
        yield file


def test_the_runtime_is_fetched_once(registry):
    assert find_runtime() == CONTENTS
    registry.unlink()
    assert find_runtime() == CONTENTS and {path.name for path in runtime_folder().iterdir()} == set(CONTENTS)


def test_a_file_of_the_cache_that_was_changed_is_fetched_again(registry):
    find_runtime()
    (runtime_folder() / "ort.js").write_bytes(b"something else")
    assert find_runtime() == CONTENTS


def test_another_package_is_refused(registry):
    registry.write_bytes(registry.read_bytes() + b" ")
    with pytest.raises(ExportMismatch, match="by its sha512") as caught:
        find_runtime()
    assert caught.value.code == "export.no-runtime" and not runtime_folder().exists()


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "file:///etc"])
@pytest.mark.usefixtures("package")
def test_a_runtime_that_can_not_be_had_is_an_error_with_a_cure(address, monkeypatch):
    monkeypatch.setenv("SIGHTLINE_NPM_REGISTRY", address)
    with pytest.raises(ExportMismatch, match="the page needs onnxruntime-web") as caught:
        find_runtime()
    assert "SIGHTLINE_NPM_REGISTRY" in caught.value.cure


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


@pytest.fixture
def page(registry, tiny_model, tmp_path):
    return convert(tiny_model, "web", out=tmp_path / "page", quiet=True)


def test_the_folder_is_whole_and_what_it_says(page, tiny_model):
    """Files and their hashes, the policy, and the model: one test, since writing the folder takes a second."""
    folder, bundle = page.path, Classifier.open(tiny_model).bundle
    names = {path.name for path in folder.iterdir()}
    files = {"index.html", "app.js", "style.css", "ort.js", "ort.wasm", "model.onnx"}
    assert names == files | {"classifier.json", "files.json", "LICENSES.txt"}
    assert Bundle.read(folder / "classifier.json") == bundle
    for name, facts in json.loads((folder / "files.json").read_text()).items():
        data = (folder / name).read_bytes()
        assert facts == {"bytes": len(data), "sha256": sha256(data)}

    html = (folder / "index.html").read_text(encoding="utf-8")
    tags = Tags(html).found
    policy = next(tag["content"] for _, tag in tags if tag.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self';")
    assert "unsafe-inline" not in policy and "http" not in policy and "*" not in policy
    assert not re.search(r"<style|<script>| style=| on\w+=", html) and not re.search(r"[{}]", html)
    for _, tag in tags:
        address = tag.get("src") or tag.get("href") or ""
        if address and not address.startswith(("#", "data:")):
            assert (folder / address).is_file()
            kind, _, digest = tag.get("integrity", "").partition("-") if address != "LICENSES.txt" else ("", "", "")
            if kind:
                wanted = hashlib.new(kind, (folder / address).read_bytes()).digest()
                assert base64.b64decode(digest) == wanted, address
    checked = {tag.get("src") or tag["href"] for _, tag in tags if "integrity" in tag}
    assert checked == {"app.js", "style.css", "ort.js"}

    assert page.proof.door.equal == page.proof.door.images
    photo = np.random.default_rng(0).integers(60, 190, (50, 40, 3), dtype=np.uint8)
    said, wanted = WebRunner(folder).run(photo)[0], Classifier.open(tiny_model).predict(photo).probabilities
    assert np.allclose(said, wanted, atol=0.02)


def test_no_folder_of_the_users_is_replaced(page, tiny_model):
    """An older export is; what holds anything else is left as it is."""
    again = convert(tiny_model, "web", out=page.path, quiet=True)
    assert again.path == page.path
    (page.path / "about-me.html").write_text("mine")
    with pytest.raises(InputError, match=r"holds other files, such as about-me\.html"):
        convert(tiny_model, "web", out=page.path, quiet=True)
    assert (page.path / "about-me.html").read_text() == "mine" and (page.path / "index.html").is_file()
    assert not list(page.path.parent.glob("*.tmp"))


@pytest.mark.e2e
def test_the_page_says_in_a_browser_what_predict_says(tiny_model, tmp_path, monkeypatch):
    """From the moment on at which it is loaded there is no server any more."""
    monkeypatch.delenv("SIGHTLINE_CACHE")  # the user's, which is only read
    if not all((runtime_folder() / name).is_file() for name in FILES):
        pytest.skip("onnxruntime-web is not in the cache: sightline export MODEL --format web fetches it")
    if CHROMIUM is None:
        assert os.environ.get("SIGHTLINE_NO_SKIPS") != "1", "Chromium must be here"
        pytest.skip("no Chromium on this machine")
    folder = convert(tiny_model, "web", out=tmp_path / "page", quiet=True).path
    random = np.random.default_rng(1)
    files = []
    for number in range(6):
        files.append(tmp_path / f"{number}.{'jpg' if number % 2 else 'png'}")
        colour = random.integers(0, 256, 3)
        pixels = (colour + random.integers(-20, 20, (31 + number, 40, 3))).clip(0, 255).astype(np.uint8)
        turned = Image.Exif()
        turned[0x0112] = 6
        Image.fromarray(pixels).save(files[-1], exif=turned)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"nothing")
    with open_browser(tmp_path / "profile") as browser:
        with serve(folder) as address:
            browser.send("Page.navigate", url=f"{address}/index.html")
            assert browser.wait_for("document.documentElement.dataset.ready") == "yes", browser.problems()
        browser.choose("#files", [*files, broken])
        browser.wait_for("document.documentElement.dataset.done == 7")
        cards = "[...document.querySelectorAll('#list > li')].map((card) => ({...card.dataset, text: card.innerText}))"
        said = {card["name"]: card for card in browser.evaluate(cards)}
        shown = browser.evaluate("[...document.querySelectorAll('#classes li')].map((item) => item.textContent)")
        assert not browser.problems()
    classifier = Classifier.open(tiny_model)
    for file, row in zip(files, classifier.predict(files), strict=True):
        assert (said[file.name]["label"], said[file.name]["answer"]) == (row.label, row.answer)
        assert float(said[file.name]["confidence"]) == pytest.approx(row.confidence, abs=0.03)
    assert "can’t be read" in said["broken.png"]["text"] and shown == list(classifier.classes)
