"""Where pretrained weights come from: a local file, this package, or the Hugging Face hub through its cache.

Only safetensors are read. A pickle can run any code while it is read, so it is refused, with the lines that convert
it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sightline.caches import expand_home
from sightline.errors import WeightsError
from sightline.networks.carried import carried_file
from sightline.networks.published import PATIENT, WEIGHTS_FILE, ask_hub, find_in_cache, unavailable
from sightline.networks.timm_names import read_timm_names
from sightline.planning.carried_network import CARRIED, is_carried
from sightline.planning.facts import NetworkFacts
from sightline.planning.own_networks import OWN_NETWORKS
from sightline.text import one_line

__all__ = [
    "StartWeights",
    "WeightsFile",
    "check_weights",
    "download_weights",
    "find_cached",
    "find_file",
    "find_weights",
    "read_inherited",
    "refuse_unavailable",
]


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
    """Find the weights: the given file, or the network's published ones (in this package, in the hub's cache or on it).

    Args:
        network: facts about the network.
        file: path of a local safetensors file, or an empty string.

    Raises:
        WeightsError: if the file is missing, is a pickle or not safetensors, or the hub can't be reached.
    """
    if file:
        path = find_file(file)
        return WeightsFile(path, f"local file {path.name}", "as stated by the author of the file", path.stat().st_size)
    if not network.has_weights:
        raise WeightsError(
            "weights.none",
            f"{network.name} has no published weights",
            "choose another --model, give --weights FILE (safetensors), or train from scratch with --no-pretrained",
        )
    cached = find_cached(network)
    if cached and is_carried(network.name):
        return WeightsFile(cached, f"{CARRIED.name}, carried by Sightline", network.licence, cached.stat().st_size)
    repository = _repository(network.name)
    source = f"{network.name} from the Hugging Face hub ({repository})"
    if cached:
        return WeightsFile(cached, f"{source}, cached", network.licence, cached.stat().st_size, repository)
    from huggingface_hub import constants

    published = ask_hub(network.name, repository, PATIENT)
    licence = published.licence or network.licence
    return WeightsFile(None, source, licence, published.size, repository, str(constants.HF_HUB_CACHE))


def find_file(file: str) -> Path:
    """Return the path of a local safetensors file whose header was checked.

    Raises:
        WeightsError: if it is missing, a pickle, not safetensors, or damaged.
    """
    path = _checked_file(expand_home(file))
    check_weights(path)
    return path


def refuse_unavailable(name: str) -> None:
    """Raise ``WeightsError`` where a network's published weights are neither here nor to be had; timm is not imported.

    A network whose repository timm's source files don't state is not refused: ``find_weights`` will know.

    Args:
        name: of a network, with or without a tag.

    Example:
        >>> refuse_unavailable("tf_efficientnet_lite0.in1k")
    """
    if name in OWN_NETWORKS or is_carried(name):
        return
    names = read_timm_names()
    repository = names.repository_of(name) if names else None
    if repository and find_in_cache(repository) is None:
        ask_hub(name, repository)


def download_weights(network: NetworkFacts, weights: WeightsFile) -> Path:
    """Return the local path of found weights, downloading them into the hub's cache if needed.

    Raises:
        WeightsError: if the download fails.
    """
    if weights.path is not None:
        return weights.path
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(weights.repository, WEIGHTS_FILE))
    except Exception as error:  # offline, a proxy, a full disk: many types, one cure
        raise unavailable(network.name, weights.repository, error) from error


def read_inherited(file: Path) -> dict[str, str | tuple[float, ...]]:
    """Return the settings that a run's ``model.safetensors`` shows: ``mean``, ``std`` and ``features``.

    Raises:
        WeightsError: if it is damaged, or not from a run.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as tensors:
            features = "stages" if "feature_scale" in tensors.keys() else "last"  # noqa: SIM118
            spread = {name: tuple(tensors.get_tensor(name).ravel().round(6).tolist()) for name in ("mean", "std")}
            return {**spread, "features": features}
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
    """Return a network's published weights if they are in this package or the hub's cache; no connection is made."""
    if is_carried(network.name):
        return carried_file()
    return find_in_cache(_repository(network.name)) if network.has_weights else None


def _repository(name: str) -> str:
    import timm

    repository = str(timm.get_pretrained_cfg(name).hf_hub_id)
    return f"{repository}{name}" if repository.endswith("/") else repository


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
