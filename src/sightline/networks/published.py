"""What the Hugging Face hub has of a network: its file in the hub's cache, or the hub's answer within a short time."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.errors import WeightsError
from sightline.planning.carried_network import CARRIED

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo

__all__ = ["PATIENT", "WEIGHTS_FILE", "Published", "ask_hub", "find_in_cache", "unavailable"]

WEIGHTS_FILE = "model.safetensors"
_SECONDS = 0.8  # for the hub's answer: what can't be had must be said within two seconds of the start
PATIENT = 10.0  # seconds for it where nothing was asked for by name, or the rest is decided already


@dataclass(frozen=True, slots=True)
class Published:
    """The hub's answer about the weights of a network.

    Attributes:
        size: bytes, 0 if unknown.
        licence: in words, or an empty string.
    """

    size: int
    licence: str


_ANSWERS: dict[tuple[str, str], Published] = {}  # of this process: the early look and the download ask the same


def find_in_cache(repository: str) -> Path | None:
    """Return the weights of a repository if they are in the hub's cache, without a network connection."""
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(repository, WEIGHTS_FILE)
    return Path(cached) if isinstance(cached, str) else None


def ask_hub(name: str, repository: str, seconds: float = _SECONDS) -> Published:
    """Return what the hub says of a network's weights; asked once for each repository.

    Args:
        name: of the network.
        repository: of its weights.
        seconds: to wait for the answer; ``HF_HUB_ETAG_TIMEOUT``, where it is set, counts instead.

    Raises:
        WeightsError: if there is no answer in time, no such repository, or no safetensors file in it.
    """
    from huggingface_hub import constants

    if not Path(constants.HF_HUB_CACHE).is_absolute():  # its library would make a folder called ~
        words = "no home folder is known to keep them in; HF_HOME can name a folder"
        raise unavailable(name, repository, FileNotFoundError(words))
    own = os.environ.get("HF_HUB_ETAG_TIMEOUT")
    seconds = float(constants.HF_HUB_ETAG_TIMEOUT) if own else seconds
    try:
        return _ask(repository, constants.ENDPOINT, seconds)
    except WeightsError:
        raise
    except json.JSONDecodeError as error:
        words = f"{constants.ENDPOINT} answered, but not as the hub does: an error page, or a page to log in"
        raise unavailable(name, repository, ConnectionError(words)) from error
    except Exception as error:  # offline, no such repository, a proxy: many types, one cure
        raise unavailable(name, repository, error) from error


def _ask(repository: str, endpoint: str, seconds: float) -> Published:
    if (repository, endpoint) in _ANSWERS:
        return _ANSWERS[repository, endpoint]
    info = _within(seconds, repository, endpoint)
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
    if WEIGHTS_FILE not in sizes:
        raise WeightsError(
            "weights.not-safetensors",
            f"{repository} has no {WEIGHTS_FILE}, only {', '.join(sizes) or 'nothing'}",
            "choose another --model, or convert its weights to safetensors and give --weights FILE",
        )
    _ANSWERS[repository, endpoint] = Published(sizes[WEIGHTS_FILE], str(getattr(info.card_data, "license", None) or ""))
    return _ANSWERS[repository, endpoint]


def _within(seconds: float, repository: str, endpoint: str) -> ModelInfo:
    """Return the hub's answer, asked in a thread: a request's own timeout bounds neither the look-up of the host's
    address nor an answer that comes byte by byte."""
    from huggingface_hub import HfApi

    answers: list[ModelInfo | Exception] = []

    def ask() -> None:
        try:
            answers.append(HfApi(endpoint).model_info(repository, files_metadata=True, timeout=2 * seconds))
        except Exception as error:
            answers.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    answer = answers[0] if answers else TimeoutError(f"no answer from {endpoint} within {seconds:g} s")
    if isinstance(answer, Exception):
        raise answer
    return answer


def unavailable(name: str, repository: str, error: Exception) -> WeightsError:
    """Return the error that says why a network's weights can't be had, and the ways on."""
    from huggingface_hub import constants

    address = f"{constants.ENDPOINT}/{repository}/resolve/main/{WEIGHTS_FILE}"
    text = str(error).strip().splitlines()
    return WeightsError(
        "weights.unavailable",
        f"the weights of {name} are not on this machine and can't be downloaded "
        f"({type(error).__name__}: {text[0][:160] if text else 'no details'})",
        f"--model {CARRIED.name} needs no download; or connect to the network once (where it is slow, set "
        f"HF_HUB_ETAG_TIMEOUT=10, in seconds); or bring {address} from elsewhere and give --weights FILE "
        "(safetensors); or train from scratch with --no-pretrained",
    )
