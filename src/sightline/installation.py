"""What is installed: the extras, and what is wrong with them (``sightline doctor``).

Comes in: nothing but the machine. Goes out: :class:`Diagnosis` rows and ``MissingExtra`` errors. Torch is
looked at in a process of its own, since a broken installation can end the process that imports it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from sightline.caches import NOWHERE, cache_folder, keep_torch_files
from sightline.errors import MissingExtra
from sightline.process_settings import set_up_process
from sightline.text import one_line

__all__ = ["EXTRAS", "Diagnosis", "diagnose", "import_library", "install_command", "missing_modules", "require_extra"]


# What each extra brings, by import name. The first missing one is named in the error.
EXTRAS: dict[str, tuple[str, ...]] = {
    "light": ("jinja2", "matplotlib", "onnx", "psutil", "pydantic", "safetensors", "sklearn", "scipy", "tomli_w"),
    "parquet": ("pyarrow",),
    "hub": ("huggingface_hub", "pyarrow"),
    "train": ("torch", "torchvision", "timm", "onnxscript", "huggingface_hub"),
    "heic": ("pi_heif",),
    "tensorboard": ("tensorboard",),
    "mlflow": ("mlflow",),
    "wandb": ("wandb",),
    "tune": ("optuna",),
    "openvino": ("openvino",),
    "coreml": ("coremltools",),
    "tflite": ("litert_torch", "ai_edge_litert"),
}

# Extras that nobody needs who has no such data, and what they add.
_ADDED = {
    "train": "fine-tuning of whole networks, any timm network, augmentation and GPUs",
    "heic": "HEIC photos of iPhones",
    "parquet": "Parquet tables",
    "hub": "the sets of the Hugging Face hub",
    "tensorboard": "--track tensorboard",
    "mlflow": "--track mlflow",
    "wandb": "--track wandb",
    "tune": "sightline tune, the search for better settings",
    "openvino": "sightline export --format openvino",
    "coreml": "sightline export --format coreml",
    "tflite": "sightline export --format tflite",
}

_TORCH_PROBE = """
import json, warnings
facts = {}
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    try:
        import torch
        facts["torch"] = torch.__version__
        facts["cuda_build"] = torch.version.cuda
        facts["cuda"] = torch.cuda.is_available()
        if facts["cuda"]:
            torch.zeros(8, device="cuda").sum().item()
    except Exception as error:
        facts["torch_error"] = f"{type(error).__name__}: {error}"
    facts["warnings"] = [str(w.message).splitlines()[0] for w in caught]
try:
    import torchvision
    facts["torchvision"] = torchvision.__version__
except Exception as error:
    facts["torchvision_error"] = f"{type(error).__name__}: {error}"
print(json.dumps(facts))
"""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One row of ``sightline doctor``: what was looked at, whether it is well, and the cure if not."""

    subject: str
    ok: bool
    detail: str
    cure: str = ""


def checkout_folder() -> Path | None:
    """Return the folder that Sightline was installed from, or None when it came from a registry."""
    from urllib.parse import unquote, urlparse
    from urllib.request import url2pathname  # it imports all that opens URLs, which a prediction must not wait for

    try:
        text = importlib.metadata.distribution("sightline").read_text("direct_url.json")
    except importlib.metadata.PackageNotFoundError:
        return None
    url = urlparse(json.loads(text)["url"]) if text else None
    if url is None or url.scheme != "file":
        return None
    folder = Path(url2pathname(unquote(url.path)))
    return folder if (folder / "pyproject.toml").is_file() else None


def install_command(extra: str) -> str:
    """Return the line that installs an extra, from the checkout where Sightline came from one.

    Example:
        >>> "[train]" in install_command("train")
        True
    """
    folder = checkout_folder()
    if folder is None:
        return f'{sys.executable} -m pip install "sightline[{extra}]"'
    return f'{sys.executable} -m pip install -c "{folder / "constraints.txt"}" -e "{folder}[{extra}]"'


def missing_modules(extra: str) -> list[str]:
    """Return the modules of an extra that can't be found, without importing any."""
    return [name for name in EXTRAS[extra] if importlib.util.find_spec(name) is None]


def require_extra(extra: str, purpose: str) -> None:
    """Raise ``MissingExtra`` with the line to type unless all modules of ``extra`` can be found.

    Args:
        extra: a key of ``EXTRAS``.
        purpose: what the user wanted, as the start of a sentence: ``"training"``.
    """
    missing = missing_modules(extra) + (missing_modules("light") if extra == "train" else [])
    if missing:
        raise MissingExtra(
            "install.missing-extra",
            f"{purpose} needs the [{extra}] extra; not installed: {', '.join(missing)}",
            install_command(extra),
        )


def import_library(name: str) -> ModuleType:
    """Import ``torch`` or ``timm`` and return it, or raise ``MissingExtra`` that says why it can't be.

    timm fails to import where torchvision was not built for the installed torch.

    Raises:
        MissingExtra: if it is not installed, or its libraries don't load.
    """
    require_extra("train", "training")
    try:
        return importlib.import_module(name)
    except Exception as error:  # a broken installation raises anything
        text = one_line(error)
        raise MissingExtra(
            "install.broken",
            f"{name} can't be imported: {type(error).__name__}: {text}",
            "sightline doctor shows what does not fit, and the command that fixes it",
        ) from error


_GPU_DEVICES = Path("/dev/kfd"), Path("/dev/dxg")  # of AMD's driver; of Linux inside Windows


def gpu_driver() -> str | None:
    """Return how an NVIDIA driver shows itself on this machine, or None; torch is not asked."""
    if Path("/proc/driver/nvidia/version").exists():
        return "/proc/driver/nvidia/version"
    from shutil import which

    return which("nvidia-smi")


def may_have_gpu() -> bool:
    """Whether torch may find a GPU on this machine; torch is not asked, and where it is not sure, the answer is yes."""
    return gpu_driver() is not None or any(device.exists() for device in _GPU_DEVICES) or sys.platform == "darwin"


def diagnose() -> list[Diagnosis]:
    """Look at Python, the extras, torch with torchvision, CUDA and the cache; nothing is changed.

    Example:
        >>> any(row.subject == "python" for row in diagnose())
        True
    """
    rows = [Diagnosis("python", True, f"{sys.version.split()[0]} at {sys.executable}")]
    for extra in EXTRAS:
        missing = missing_modules(extra)
        if extra in _ADDED and EXTRAS[extra][0] in missing:  # where others alone are missing, it is half installed
            detail = f"not installed; it adds {_ADDED[extra]}: {install_command(extra)}"
            rows.append(Diagnosis(f"[{extra}]", True, detail))
        elif missing:
            rows.append(Diagnosis(f"[{extra}]", False, f"missing {', '.join(missing)}", install_command(extra)))
        else:
            rows.append(Diagnosis(f"[{extra}]", True, "complete"))
    if importlib.util.find_spec("torch") is not None:
        rows += _diagnose_torch(_probe_torch())
    rows.append(Diagnosis("process", True, set_up_process().describe()))
    rows.append(_diagnose_cache(cache_folder()))
    return rows


def _probe_torch() -> dict[str, object]:
    keep_torch_files()
    try:
        result = subprocess.run(
            [sys.executable, "-c", _TORCH_PROBE], capture_output=True, text=True, timeout=180, check=False
        )
        facts: dict[str, object] = json.loads(result.stdout.strip().splitlines()[-1])
    except (subprocess.TimeoutExpired, json.JSONDecodeError, IndexError) as error:
        return {"torch_error": f"importing torch ended the process ({type(error).__name__})"}
    return facts


def _diagnose_torch(facts: dict[str, object]) -> list[Diagnosis]:
    reinstall = (
        f"{sys.executable} -m pip uninstall -y torch torchvision, then {install_command('train')} "
        "(for the small CPU build: uv pip install --torch-backend=cpu torch torchvision)"
    )
    if "torch" not in facts:
        return [Diagnosis("torch", False, str(facts.get("torch_error", "does not import")), reinstall)]
    rows = [Diagnosis("torch", True, str(facts["torch"]))]
    error = str(facts.get("torchvision_error", ""))
    if "torchvision::nms" in error or "undefined symbol" in error:
        detail = f"torch {facts['torch']} and torchvision were not built for each other ({error[:120]})"
        rows.append(Diagnosis("torchvision", False, detail, reinstall))
    elif error:
        rows.append(Diagnosis("torchvision", False, error[:200], reinstall))
    else:
        rows.append(Diagnosis("torchvision", True, str(facts.get("torchvision"))))
    rows.append(_diagnose_cuda(facts))
    return rows


def _diagnose_cuda(facts: dict[str, object]) -> Diagnosis:
    driver = gpu_driver()
    said = facts.get("torch_error") or next(iter(facts.get("warnings") or []), "")  # type: ignore[call-overload]
    if facts.get("cuda") and not facts.get("torch_error"):
        return Diagnosis("cuda", True, f"works (torch was built for CUDA {facts.get('cuda_build')})")
    if driver is None:
        return Diagnosis("cuda", True, "no NVIDIA driver on this machine; training runs on the CPU")
    if facts.get("cuda_build") is None:
        return Diagnosis(
            "cuda",
            False,
            f"an NVIDIA driver is here ({driver}), but this torch is a CPU build",
            install_command("train"),
        )
    return Diagnosis(
        "cuda",
        False,
        f"an NVIDIA driver is here ({driver}), but torch can't use it: {said or 'no usable device'}",
        "update the NVIDIA driver, or use sightline train DATA --device cpu",
    )


def _diagnose_cache(folder: Path) -> Diagnosis:
    if folder == NOWHERE:
        cure = "set HOME, or SIGHTLINE_CACHE, to a folder that can be written"
        return Diagnosis("cache", False, "no home folder is known: nothing is kept between runs", cure)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".write-test-{os.getpid()}"
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        return Diagnosis(
            "cache",
            False,
            f"{folder} can't be written: {error.strerror}",
            "set SIGHTLINE_CACHE to a folder that can",
        )
    return Diagnosis("cache", True, str(folder))
