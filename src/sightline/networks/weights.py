"""Where pretrained weights come from: a local safetensors file, or the Hugging Face hub through its cache.

Only safetensors are read. A pickle can run any code while it is read, so it is refused, with the lines that convert
it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sightline.errors import WeightsError
from sightline.planning.facts import NetworkFacts
from sightline.text import one_line

__all__ = [
    "StartWeights",
    "WeightsFile",
    "check_weights",
    "download_weights",
    "find_cached",
    "find_weights",
    "read_normalisation",
]

_FILE = "model.safetensors"


@dataclass(frozen=True, slots=True)
class StartWeights:
    """The initial weights of a network.

    Attributes:
        path: a safetensors file.
        rows: for a file of an earlier run, the row of its head for each known class, by the class's
            position here; None for a file with timm's names.
    """

    path: Path
    rows: dict[int, int] | None = None


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """The weights of a network, local or on the hub.

    Attributes:
        path: the file; None when it must be downloaded first.
        source: where it comes from, in words.
        licence: its licence, in words.
        size: bytes, 0 if unknown.
        repository: its name on the hub, or an empty string for a local file.
        target: folder of a download.
    """

    path: Path | None
    source: str
    licence: str
    size: int = 0
    repository: str = ""
    target: str = ""


def find_weights(network: NetworkFacts, file: str) -> WeightsFile:
    """Find the weights: the given file, or the network's published ones (in the hub's cache or on the hub).

    Args:
        network: facts about the network.
        file: path of a local safetensors file, or an empty string.

    Raises:
        WeightsError: if the file is missing, is a pickle or not safetensors, or the hub can't be reached.
    """
    if file:
        path = _checked_file(Path(file).expanduser())
        check_weights(path)
        return WeightsFile(path, f"local file {path.name}", "as stated by the author of the file", path.stat().st_size)
    if not network.has_weights:
        raise WeightsError(
            "weights.none",
            f"{network.name} has no published weights",
            "choose another --model, give --weights FILE (safetensors), or train from scratch with --no-pretrained",
        )
    from huggingface_hub import HfApi, constants

    repository = _repository(network.name)
    source = f"{network.name} from the Hugging Face hub ({repository})"
    cached = find_cached(network)
    if cached:
        return WeightsFile(cached, f"{source}, cached", network.licence, cached.stat().st_size, repository)
    try:
        info = HfApi().model_info(repository, files_metadata=True, timeout=15)
    except Exception as error:  # offline, no such repository, a proxy: many types, one cure
        raise _unavailable(network, error) from error
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
    if _FILE not in sizes:
        raise WeightsError(
            "weights.not-safetensors",
            f"{repository} has no {_FILE}, only {', '.join(sizes) or 'nothing'}",
            "choose another --model, or convert its weights to safetensors and give --weights FILE",
        )
    licence = str(getattr(info.card_data, "license", None) or network.licence)
    return WeightsFile(None, source, licence, sizes[_FILE], repository, str(constants.HF_HUB_CACHE))


def download_weights(network: NetworkFacts, weights: WeightsFile) -> Path:
    """Return the local path of found weights, downloading them into the hub's cache if needed.

    Raises:
        WeightsError: if the download fails.
    """
    if weights.path is not None:
        return weights.path
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(weights.repository, _FILE))
    except Exception as error:  # as above
        raise _unavailable(network, error) from error


def read_normalisation(file: Path) -> dict[str, tuple[float, ...]]:
    """Return the ``mean`` and ``std`` in a run's ``model.safetensors``.

    Raises:
        WeightsError: if it is damaged, or not from a run.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as tensors:
            return {name: tuple(tensors.get_tensor(name).ravel().round(6).tolist()) for name in ("mean", "std")}
    except SafetensorError as error:
        raise WeightsError("weights.mismatch", f"{file} is not from a run: {error}", "give the run itself") from error


def check_weights(file: Path) -> None:
    """Check a file's header and its length.

    Raises:
        WeightsError: if it is truncated, or not in safetensors format.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy"):
            pass
    except (SafetensorError, OSError) as error:
        message = f"{file} is damaged, or not in safetensors format: {one_line(error)}"
        cure = "copy it again, or recreate it: sightline export RUN (while the run has its checkpoint), or train again"
        raise WeightsError("weights.damaged", message, cure) from error


def find_cached(network: NetworkFacts) -> Path | None:
    """Return the network's published weights if they are in the hub's cache, without a network connection."""
    from huggingface_hub import try_to_load_from_cache

    if not network.has_weights:
        return None
    cached = try_to_load_from_cache(_repository(network.name), _FILE)
    return Path(cached) if isinstance(cached, str) else None


def _repository(name: str) -> str:
    import timm

    repository = str(timm.get_pretrained_cfg(name).hf_hub_id)
    return f"{repository}{name}" if repository.endswith("/") else repository


def _unavailable(network: NetworkFacts, error: Exception) -> WeightsError:
    text = str(error).strip().splitlines()
    return WeightsError(
        "weights.unavailable",
        f"the weights of {network.name} are not on this machine and can't be downloaded "
        f"({type(error).__name__}: {text[0][:160] if text else 'no details'})",
        "connect to the network once; or give --weights FILE (safetensors); or train from scratch with "
        "--no-pretrained; or use --model small-fast, which needs no weights",
    )


def _checked_file(path: Path) -> Path:
    if not path.is_file():
        raise WeightsError("weights.missing", f"there is no file {str(path)!r}", "check the path after --weights")
    with path.open("rb") as file:
        start = file.read(9)
    if start[:2] in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05") or path.suffix.lower() in (
        ".pt",
        ".pth",
        ".bin",
        ".ckpt",
        ".pkl",
    ):
        raise WeightsError(
            "weights.pickle",
            f"{path} is a pickle, which can run any code when opened; Sightline reads only safetensors",
            "if you trust it, convert it in Python: import torch as t; from safetensors.torch import save_file; "
            f"save_file(t.load({str(path)!r}, weights_only=True), {str(path.with_suffix('.safetensors'))!r})",
        )
    if path.suffix.lower() != ".safetensors" or start[8:9] != b"{":
        raise WeightsError("weights.not-safetensors", f"{path} is not a safetensors file", "give a .safetensors file")
    return path
