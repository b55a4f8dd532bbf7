"""onnxruntime-web for the exported page: the wasm-only build of one pinned version, from npm, kept in the cache folder.

It is fetched once, when a page is first exported. What comes is used only if it has the sha512 that npm published for
this version; what lies in the cache only if each file has its sha256.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import tarfile
from pathlib import Path

from sightline.caches import cache_folder
from sightline.errors import ExportMismatch, RunError
from sightline.runs.safe_files import write_bytes
from sightline.text import one_line

__all__ = ["FILES", "REGISTRY", "VERSION", "find_runtime", "runtime_folder"]

VERSION = "1.30.0"
REGISTRY = "https://registry.npmjs.org"
_INTEGRITY = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="  # sha512
_MOST_BYTES = 64 * 2**20  # of the package: it has 33 million
_SECONDS = 60  # without a byte

# Name in the page's folder -> (name in the package, sha256).
FILES = {
    "ort.js": (
        "package/dist/ort.wasm.bundle.min.mjs",
        "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    ),
    "ort.wasm": (
        "package/dist/ort-wasm-simd-threaded.wasm",
        "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
    ),
}


def runtime_folder() -> Path:
    """Return where the files are kept."""
    return cache_folder() / "onnxruntime-web" / VERSION


def find_runtime() -> dict[str, bytes]:
    """Return name -> content of ``ort.js`` and ``ort.wasm``, from the cache or else from npm.

    ``SIGHTLINE_NPM_REGISTRY`` names another registry than npm's own, a mirror in a closed network for example.

    Raises:
        ExportMismatch: if they can't be had, or are not those that npm published.
    """
    found = {name: _read_kept(name) for name in FILES}
    if None in found.values():
        found = {**_unpack(_fetch())}
        for name, data in found.items():
            try:
                write_bytes(runtime_folder() / name, data or b"")
            except RunError:  # it is fetched again next time
                break
    return {name: data for name, data in found.items() if data is not None}


def _read_kept(name: str) -> bytes | None:
    try:
        data = (runtime_folder() / name).read_bytes()
    except OSError:
        return None
    return data if hashlib.sha256(data).hexdigest() == FILES[name][1] else None


def _address() -> str:
    registry = os.environ.get("SIGHTLINE_NPM_REGISTRY", "").strip() or REGISTRY
    return f"{registry.rstrip('/')}/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz"


def _fetch() -> bytes:
    from urllib.request import urlopen

    address = _address()
    if not address.startswith(("https://", "http://")):
        raise _refused(f"{address} is no web address", "SIGHTLINE_NPM_REGISTRY is the https:// address of a registry")
    try:
        with urlopen(address, timeout=_SECONDS) as answer:
            data: bytes = answer.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # no network, a proxy, another answer than 200
        cure = (
            "connect once, or set SIGHTLINE_NPM_REGISTRY to a registry that can be reached; or copy the folder "
            f"{runtime_folder()} from a machine that has it"
        )
        raise _refused(f"onnxruntime-web {VERSION} can't be fetched from {address}: {one_line(error)}", cure) from error
    if base64.b64encode(hashlib.sha512(data).digest()).decode() != _INTEGRITY:
        cure = "a registry or a proxy answers with something else: try another connection, or SIGHTLINE_NPM_REGISTRY"
        raise _refused(f"what {address} sends is not onnxruntime-web {VERSION}, by its sha512", cure)
    return data


def _unpack(package: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(package), mode="r:gz") as archive:
        files = {}
        for name, (member, _) in FILES.items():
            content = archive.extractfile(member)
            assert content is not None, f"{member} is a file of this version"
            files[name] = content.read()
    return files


def _refused(message: str, cure: str) -> ExportMismatch:
    return ExportMismatch("export.no-runtime", f"the page needs onnxruntime-web: {message}", cure)
