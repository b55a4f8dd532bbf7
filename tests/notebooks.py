"""Notebooks, run in a kernel of this interpreter, in a folder of their own."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

SECONDS = 300  # for one cell: a guard against a hanging kernel, not a measure of speed
# huggingface_hub (through timm) imports tqdm.auto, which asks every notebook without ipywidgets to install it.
THIRD_PARTY = re.compile(
    r"\S*tqdm/auto\.py:\d+: TqdmWarning: IProgress not found\..*\n.*import tqdm as notebook_tqdm\n"
)


@contextlib.contextmanager
def shared_kernel() -> Iterator[Any]:
    """Yield a kernel for several notebooks, one after the other: torch and the like are imported once."""
    from jupyter_client.manager import AsyncKernelManager
    from jupyter_core.utils import run_sync

    kernel = AsyncKernelManager(kernel_name="python3")
    yield kernel
    if kernel.has_kernel:
        run_sync(kernel.shutdown_kernel)(now=True)


def execute(
    file: Path, home: Path, *, parameters: str = "", environment: dict[str, str] | None = None, kernel: Any = None
) -> Any:
    """Return a notebook with its outputs; it ran in ``home / "work"``.

    Args:
        file: the notebook.
        home: an empty folder.
        parameters: code that runs after the cell that is tagged ``parameters``.
        environment: further variables of the kernel.
        kernel: of ``shared_kernel``; the notebook finds no name of those before it. None: one of its own.
    """
    from ipykernel.kernelspec import write_kernel_spec
    from nbclient import NotebookClient

    work = home / "work"
    work.mkdir(exist_ok=True)
    write_kernel_spec(home / "jupyter" / "kernels" / "python3")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(home / "jupyter"))
        patch.setenv("SIGHTLINE_CACHE", str(home / "cache"))
        for name, value in (environment or {}).items():
            patch.setenv(name, value)
        for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
            patch.setenv(name, str(home / name.lower()))
        patch.delenv("MPLBACKEND", raising=False)  # the kernel chooses the one that draws into cells
        notebook = nbformat.read(file, as_version=4)
        if parameters:
            (place,) = (k for k, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", []))
            notebook.cells.insert(place + 1, nbformat.v4.new_code_cell(parameters))
        if kernel is not None:
            cache = str(home / "cache")
            begin = f"import os\nos.chdir({str(work)!r})\nos.environ['SIGHTLINE_CACHE'] = {cache!r}\n%reset -f"
            notebook.cells.insert(0, nbformat.v4.new_code_cell(begin))
        where = {"metadata": {"path": str(work)}}
        client = NotebookClient(notebook, km=kernel, timeout=SECONDS, kernel_name="python3", resources=where)
        try:
            client.execute()
        finally:
            if client.kc is not None:  # of a kernel that goes on
                client.kc.stop_channels()
    return notebook


def outputs_of(notebook: Any, cell_id: str) -> list[Any]:
    """Return what a cell put out."""
    (cell,) = (cell for cell in notebook.cells if cell.id == cell_id)
    return list(cell.outputs)


def shown_in(notebook: Any, cell_id: str, kind: str) -> str:
    """Return what a cell shows as ``kind``, for example ``image/png``."""
    return "".join(str(output.get("data", {}).get(kind, "")) for output in outputs_of(notebook, cell_id))


def printed_in(notebook: Any, cell_id: str) -> str:
    """Return what a cell printed: a kernel that is slow for a moment sends it in several parts."""
    return "".join(output.text for output in outputs_of(notebook, cell_id) if output.get("name") == "stdout")


def faults_of(notebook: Any) -> list[Any]:
    """Return errors, and what was written to stderr that is not a package's known remark."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    errors = [output for output in outputs if output.output_type == "error"]
    complaints = [output.text for output in outputs if output.get("name") == "stderr"]
    return errors + [text for text in complaints if not THIRD_PARTY.fullmatch(text)]
