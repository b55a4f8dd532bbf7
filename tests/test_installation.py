"""What is installed, and what to type when it is not."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest

from sightline import installation
from sightline.errors import MissingExtra
from sightline.installation import EXTRAS, diagnose, install_command, require_extra
from sightline.process_settings import set_up_process

WELL = {"torch": "2.10.0", "torchvision": "0.25.0", "cuda": False, "cuda_build": None, "warnings": []}


class Distribution:
    """A distribution that was installed from somewhere."""

    def __init__(self, direct_url: str | None) -> None:
        self.direct_url = direct_url

    def read_text(self, name: str) -> str | None:
        return self.direct_url if name == "direct_url.json" else None


@pytest.fixture
def installed_from(monkeypatch: pytest.MonkeyPatch) -> object:
    def pretend(url: str | None) -> None:
        text = None if url is None else json.dumps({"url": url, "dir_info": {"editable": True}})
        monkeypatch.setattr(importlib.metadata, "distribution", lambda name: Distribution(text))

    return pretend


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> object:
    """Return a function that hides modules, as if they were not installed."""

    def hide(*names: str) -> None:
        for name in names:
            monkeypatch.setitem(sys.modules, name, None)

    return hide


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> object:
    """Return a function: facts about torch and a driver -> rows of the doctor by subject."""

    def look(facts: dict[str, object], driver: str | None = None) -> dict[str, installation.Diagnosis]:
        monkeypatch.setattr(installation, "_probe_torch", lambda: facts)
        monkeypatch.setattr(installation, "gpu_driver", lambda: driver)
        monkeypatch.setattr(installation.importlib.util, "find_spec", lambda name: object())
        return {row.subject: row for row in diagnose()}

    return look


# -- extras -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_that_is_there_is_not_complained_about(extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation.importlib.util, "find_spec", lambda name: object())
    require_extra(extra, "this")


@pytest.mark.parametrize(("extra", "module"), [("light", "sklearn"), ("light", "psutil")])
def test_a_missing_module_names_itself_the_purpose_and_the_line_to_type(without, extra: str, module: str) -> None:
    without(module)
    with pytest.raises(MissingExtra) as caught:
        require_extra(extra, "the report")
    assert caught.value.message == f"the report needs the [{extra}] extra; not installed: {module}"
    assert caught.value.cure == install_command(extra)


def test_the_train_extra_needs_the_light_extra_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def only_train(name: str) -> object | None:
        return None if name == "scipy" else object()

    monkeypatch.setattr(installation.importlib.util, "find_spec", only_train)
    with pytest.raises(MissingExtra, match="scipy"):
        require_extra("train", "training")


def test_looking_for_modules_imports_none() -> None:
    code = (
        "import sys; from sightline.installation import EXTRAS, missing_modules\n"
        "[missing_modules(extra) for extra in EXTRAS]\n"
        "print([n for names in EXTRAS.values() for n in names if n in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert result.stdout.strip() == "[]"


# -- the line to type -------------------------------------------------------------------------------------------


def test_from_a_checkout_the_line_installs_the_checkout(installed_from, tmp_path: Path) -> None:
    folder = tmp_path / "my checkout"
    folder.mkdir()
    (folder / "pyproject.toml").touch()
    installed_from(folder.as_uri())
    line = install_command("train")
    assert f'-e "{folder}[train]"' in line
    assert f'-c "{folder / "constraints.txt"}"' in line
    assert line.startswith(sys.executable)


@pytest.mark.parametrize("url", [None, "https://example.org/sightline.whl", "file:///no/such/folder"])
def test_from_a_registry_the_line_names_the_package(installed_from, url: str | None) -> None:
    installed_from(url)
    assert install_command("light") == f'{sys.executable} -m pip install "sightline[light]"'


def test_an_address_on_the_web_is_no_checkout_even_if_its_path_is_a_folder(installed_from, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    installed_from(f"https://example.org{tmp_path.as_posix()}")
    assert "-e" not in install_command("light").split()


def test_without_metadata_the_line_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    assert '"sightline[train]"' in install_command("train")


# -- the doctor -------------------------------------------------------------------------------------------------


def test_a_sound_machine_has_nothing_wrong(rows) -> None:
    found = rows(WELL)
    assert all(row.ok for row in found.values())
    assert {"python", "[light]", "[train]", "torch", "torchvision", "cuda", "cache"} <= set(found)


def test_a_missing_extra_has_the_line_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation.importlib.util, "find_spec", lambda name: None)
    found = {row.subject: row for row in diagnose()}
    assert not found["[light]"].ok
    assert found["[light]"].cure == install_command("light")
    assert "sklearn" in found["[light]"].detail
    assert found["[train]"].ok and "fine-tuning" in found["[train]"].detail
    assert install_command("train") in found["[train]"].detail
    assert "torch" not in found


def test_an_extra_that_is_half_installed_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation.importlib.util, "find_spec", lambda name: None if name == "timm" else True)
    monkeypatch.setattr(installation, "_probe_torch", lambda: WELL)
    found = {row.subject: row for row in diagnose()}
    assert not found["[train]"].ok and "timm" in found["[train]"].detail
    assert found["[train]"].cure == install_command("train")


@pytest.mark.parametrize(
    ("facts", "driver", "ok", "said"),
    [
        ({}, None, True, "no NVIDIA driver"),
        ({}, "/usr/bin/nvidia-smi", False, "CPU build"),
        ({"cuda": True, "cuda_build": "13.0"}, "/proc", True, "CUDA 13.0"),
        ({"cuda_build": "13.0", "warnings": ["the driver is too old"]}, "/proc", False, "the driver is too old"),
        ({"cuda_build": "13.0"}, "/proc", False, "no usable device"),
        ({"cuda": True, "cuda_build": "13.0", "torch_error": "RuntimeError: no kernel"}, "/proc", False, "no kernel"),
    ],
    ids=["no-gpu", "cpu-build", "works", "old-driver", "no-device", "no-kernel"],
)
def test_the_state_of_cuda_is_told(rows, facts: dict[str, object], driver: str | None, ok: bool, said: str) -> None:
    row = rows({**WELL, **facts}, driver)["cuda"]
    assert row.ok is ok
    assert said in row.detail
    assert ok or row.cure


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("RuntimeError: operator torchvision::nms does not exist", "were not built for each other"),
        ("ImportError: x.so: undefined symbol: _ZN", "were not built for each other"),
        ("ModuleNotFoundError: No module named 'torchvision'", "No module named"),
    ],
)
def test_a_torchvision_that_does_not_fit_is_found(rows, error: str, said: str) -> None:
    row = rows({**{k: v for k, v in WELL.items() if k != "torchvision"}, "torchvision_error": error})["torchvision"]
    assert not row.ok
    assert said in row.detail
    assert "pip uninstall" in row.cure


def test_a_torch_that_does_not_import_is_found(rows) -> None:
    found = rows({"torch_error": "OSError: libcudart.so"})
    assert not found["torch"].ok
    assert "libcudart" in found["torch"].detail
    assert found["torch"].cure


def test_a_cache_that_can_not_be_written_is_found(rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "file" / "cache"))
    row = rows(WELL)["cache"]
    assert not row.ok
    assert "SIGHTLINE_CACHE" in row.cure


def test_the_doctor_leaves_nothing_in_the_cache(rows, cache: Path) -> None:
    assert rows(WELL)["cache"].ok
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(("module", "call"), [("torch", "installation"), ("timm", "networks")])
def test_a_library_that_does_not_import_is_named_and_leads_to_the_doctor(monkeypatch, module: str, call: str) -> None:
    """As a torchvision that was not built for the installed torch: timm then fails in the middle of its import."""
    from sightline.networks.describe import describe_network

    class Broken:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == module:
                raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setattr(installation, "require_extra", lambda *_: None)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(MissingExtra) as caught:
        installation.import_library("torch") if call == "installation" else describe_network("resnet18")
    assert caught.value.code == "install.broken"
    assert "torchvision::nms" in caught.value.message and "sightline doctor" in caught.value.cure


def test_the_doctor_tells_how_threads_wait_and_memory_is_kept(rows) -> None:
    row = rows(WELL)["process"]
    assert row.ok and row.detail == set_up_process().describe() and row.detail


@pytest.mark.parametrize(
    ("driver", "device", "platform", "may_be"),
    [
        (None, "", "linux", False),
        ("/usr/bin/nvidia-smi", "", "linux", True),
        (None, "kfd", "linux", True),
        (None, "dxg", "linux", True),
        (None, "", "darwin", True),
    ],
)
def test_a_gpu_may_be_there_where_its_driver_or_device_is_or_on_a_mac(
    monkeypatch, tmp_path: Path, driver, device: str, platform: str, may_be: bool
) -> None:
    if device:
        (tmp_path / device).touch()
    monkeypatch.setattr(installation, "gpu_driver", lambda: driver)
    monkeypatch.setattr(installation, "_GPU_DEVICES", tuple(tmp_path / one.name for one in installation._GPU_DEVICES))
    monkeypatch.setattr(installation.sys, "platform", platform)
    assert installation.may_have_gpu() is may_be
