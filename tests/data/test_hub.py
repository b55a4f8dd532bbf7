"""Sets of the hub, from a server of the test's own that plays the hub on this machine."""

from __future__ import annotations

import hashlib
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from sightline.data.hub import NAMED_SETS, download_set, is_set
from sightline.data.sources import fetch_source, read_samples
from sightline.errors import DataError, InputError, MissingExtra
from sightline.pixels.decode import decode_image

REVISION = "0123456789abcdef0123456789abcdef01234567"
COLOURS = [(250, 0, 0), (0, 250, 0), (0, 0, 250)]


class Hub:
    """What the server holds: repository -> revision -> file name -> content; and what was asked of it."""

    def __init__(self) -> None:
        self.sets: dict[str, dict[str, dict[str, bytes]]] = {}
        self.asked: list[str] = []
        self.stated: dict[str, str] = {}  # a sha256 to state instead of the right one
        self.url = ""

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        parts = unquote(urlparse(path).path).strip("/").split("/")
        if parts[:2] == ["api", "datasets"]:
            revisions = self.sets.get("/".join(parts[2:4]), None)
            if revisions is None:
                return 404, {"X-Error-Code": "RepoNotFound"}, b""
            revision = "/".join(parts[5:]) or "main"
            if revision not in revisions:
                return 404, {"X-Error-Code": "RevisionNotFound"}, b""
            files = [self.fact(name, data) for name, data in revisions[revision].items()]
            facts = {"id": "/".join(parts[2:4]), "sha": REVISION, "siblings": files, "tags": [], "private": False}
            return 200, {"Content-Type": "application/json"}, json.dumps(facts).encode()
        repository, name = "/".join(parts[1:3]), "/".join(parts[5:])
        for files in self.sets.get(repository, {}).values():
            if parts[3] == "resolve" and parts[4] == REVISION and name in files:
                digest = self.fact(name, files[name])["lfs"]["sha256"]
                head = {"X-Repo-Commit": REVISION, "ETag": f'"{digest}"', "X-Linked-ETag": f'"{digest}"'}
                return 200, {**head, "X-Linked-Size": str(len(files[name]))}, files[name]
        return 404, {"X-Error-Code": "EntryNotFound"}, b""

    def fact(self, name: str, data: bytes) -> dict[str, Any]:
        digest = self.stated.get(name, hashlib.sha256(data).hexdigest())
        lfs = {"size": len(data), "sha256": digest, "pointerSize": 130}
        return {"rfilename": name, "size": len(data), "blobId": "0" * 40, "lfs": lfs}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub on 127.0.0.1, and a cache of the hub's library of the test's own."""
    state = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            state.asked.append(f"{self.command} {self.path}")
            status, headers, body = state.answer(self.path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    state.url = f"http://127.0.0.1:{http.server_port}"
    monkeypatch.setenv("HF_ENDPOINT", state.url)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    yield state
    http.shutdown()
    http.server_close()
    thread.join()


def make_image(colour: tuple[int, int, int]) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (6, 4), colour).save(out, "PNG")
    return out.getvalue()


def file_of(labels: list[int], names: list[str], *, image: str = "image", label: str = "label") -> bytes:
    """Return a Parquet file as the hub's library writes it: the image of a label has its colour."""
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    cells = pyarrow.array([{"bytes": make_image(COLOURS[k]), "path": "x.png"} for k in labels], kind)
    features = {image: {"_type": "Image"}, label: {"names": names, "_type": "ClassLabel"}}
    table = pyarrow.table({image: cells, label: pyarrow.array(labels, pyarrow.int64())})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    out = io.BytesIO()
    parquet.write_table(table, out)
    return out.getvalue()


NAMES = ["rose", "grass", "sea"]
TWO = {
    "data/train-00000-of-00002.parquet": file_of([0, 1], NAMES),
    "data/train-00001-of-00002.parquet": file_of([2], NAMES),
}
WHOLE = {**TWO, "data/test-00000-of-00001.parquet": file_of([1, 2], NAMES), "README.md": b"# set"}


def fetched(source: str) -> list[tuple[int, int]]:
    return list(fetch_source(source))


def refused(source: str, code: str) -> DataError:
    with pytest.raises(DataError) as caught:
        fetched(source)
    assert caught.value.code == code
    assert caught.value.cure
    return caught.value


def test_a_set_is_downloaded_and_read_and_then_needs_no_network(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    server.sets["me/flowers"] = {"main": WHOLE}
    with pytest.raises(DataError) as caught:
        read_samples("hf:me/flowers")
    assert caught.value.code == "data.not-downloaded"
    steps = fetched("hf:me/flowers")
    total = sum(len(data) for name, data in WHOLE.items() if name.endswith("parquet"))
    assert steps[-1] == (total, total)
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    asked = len(server.asked)
    assert fetched("hf:me/flowers") == []
    samples = read_samples("hf:me/flowers")
    assert len(server.asked) == asked
    assert samples.classes == ("grass", "rose", "sea")
    assert samples.counts() == {"grass": 2, "rose": 1, "sea": 2}
    assert samples.given.tolist() == ["test"] * 2 + ["train"] * 3
    for file, label in zip(samples.files, samples.labels, strict=True):
        assert tuple(decode_image(file)[0, 0]) == COLOURS[NAMES.index(samples.classes[label])]


@pytest.mark.parametrize("name", sorted(NAMED_SETS))
def test_a_named_set_is_found_in_its_folder(server: Hub, name: str) -> None:
    known = NAMED_SETS[name]
    image, label = ("img", "fine_label") if name == "cifar100" else ("image", "label")
    data = file_of([0, 1, 2], NAMES, image=image, label=label)
    files = {f"{known.folder}/train-00000-of-00001.parquet": data, "elsewhere/train-0.parquet": b"never asked for"}
    server.sets[known.repository] = {"main": files}
    fetched(name)
    assert read_samples(name).classes == ("grass", "rose", "sea")
    assert not any("elsewhere" in path for path in server.asked)
    assert known.licence


def test_a_train_file_alone_is_no_split(server: Hub) -> None:
    server.sets["me/flowers"] = {"main": TWO}
    fetched("hf:me/flowers")
    assert set(read_samples("hf:me/flowers").given) == {""}


def test_a_set_in_another_form_is_taken_from_the_hubs_conversion(server: Hub) -> None:
    converted = {
        "default/train/0000.parquet": file_of([0, 1], NAMES),
        "default/validation/0000.parquet": file_of([1], NAMES),
    }
    server.sets["me/zipped"] = {"main": {"images.zip": b"PK"}, "refs/convert/parquet": converted}
    fetched("hf:me/zipped")
    assert read_samples("hf:me/zipped").given.tolist() == ["train", "train", "val"]


def test_of_several_sets_one_must_be_chosen(server: Hub) -> None:
    files = {f"{size}/train-0.parquet": file_of([0, 1], NAMES) for size in ("160px", "320px")}
    server.sets["me/sizes"] = {"main": files}
    error = refused("hf:me/sizes", "data.hub-layout")
    assert "160px, 320px" in error.message
    fetched("hf:me/sizes/320px")
    assert len(read_samples("hf:me/sizes/320px")) == 2


def test_a_set_without_parquet_is_refused(server: Hub) -> None:
    server.sets["me/zipped"] = {"main": {"images.zip": b"PK"}}
    assert "no Parquet files" in refused("hf:me/zipped", "data.hub-layout").message


@pytest.mark.parametrize("name", ["hf:", "hf:flowers", "hf:../..", "hf:a b/c"])
def test_a_name_of_another_form_is_refused(server: Hub, name: str) -> None:
    refused(name, "data.hub-layout")
    assert server.asked == []


def test_a_file_that_is_not_what_the_hub_states_is_removed(server: Hub, tmp_path: Path) -> None:
    name = "data/train-00000-of-00001.parquet"
    server.sets["me/flowers"] = {"main": {name: file_of([0, 1], NAMES)}}
    server.stated[name] = "f" * 64
    assert name in refused("hf:me/flowers", "data.checksum").message
    assert not list((tmp_path / "hub").rglob("*.parquet"))
    server.stated.clear()
    fetched("hf:me/flowers")
    assert len(read_samples("hf:me/flowers")) == 2


def test_a_file_that_is_gone_is_downloaded_again(server: Hub, tmp_path: Path) -> None:
    server.sets["me/flowers"] = {"main": TWO}
    fetched("hf:me/flowers")
    for path in (tmp_path / "hub").rglob("*.parquet"):
        path.resolve().unlink()
        path.unlink()
    with pytest.raises(DataError, match="not on this machine"):
        read_samples("hf:me/flowers")
    fetched("hf:me/flowers")
    assert len(read_samples("hf:me/flowers")) == 3


def test_without_a_network_the_error_says_so(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "can't be downloaded" in refused("cifar10", "data.download").message


def test_a_set_that_is_not_there_is_not_downloaded(server: Hub) -> None:
    refused("hf:me/nothing", "data.download")


def test_without_the_extra_the_error_installs_it(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightline.installation.missing_modules", lambda extra: ["pyarrow"])
    with pytest.raises(MissingExtra, match="hub"):
        fetched("mnist")


def test_a_folder_of_that_name_wins(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos.rename(photos.parent / "mnist")
    monkeypatch.chdir(photos.parent)
    assert fetched("mnist") == []
    assert read_samples("mnist").classes == ("blue", "green", "red")


def test_digits_are_always_at_hand(cache: Path) -> None:
    samples = read_samples("digits")
    assert (len(samples), len(samples.classes)) == (1797, 10)
    assert samples.root == cache / "digits"


def test_a_mistyped_name_is_answered_with_the_right_one() -> None:
    with pytest.raises(InputError) as caught:
        read_samples("fashionmnist")
    assert "fashion-mnist" in caught.value.cure
    assert is_set("fashion-mnist")


def test_without_a_place_nothing_is_downloaded(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a home folder, or with a cache that can't be written, that is told before the hub is asked."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "~/.cache/huggingface/hub")
    with pytest.raises(DataError, match="no home folder") as caught:
        list(download_set("hf:a/b"))
    assert "HF_HOME" in caught.value.cure
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DataError, match="can't be written") as caught:
        list(download_set("hf:a/b"))
    assert "SIGHTLINE_CACHE" in caught.value.cure
    assert server.asked == []
