"""Libraries that Sightline uses report nothing to their makers: turned off before any of them is imported.

``import sightline`` does it, for this process and those that it starts. Some of these libraries read the variables when
they are imported, and onnxruntime's ``disable_telemetry_events`` comes too late by then: some builds write a device id
and a queue of events below the user's cache folder, and look up the maker's server. So whoever imports onnxruntime
before Sightline sets its variable themselves.
"""

from __future__ import annotations

import os
import sys

__all__ = ["turn_off_telemetry"]

_OFF = {
    "ORT_DISABLE_TELEMETRY": "1",  # onnxruntime
    "HF_HUB_DISABLE_TELEMETRY": "1",  # huggingface_hub: what is installed, and which program calls it
    "MLFLOW_DISABLE_TELEMETRY": "true",  # takes no other word
    "WANDB_ERROR_REPORTING": "false",  # crash reports; what --track wandb logs is not touched
}
# openvino sends an event at each import, and has no variable against it; without this package it takes a stub.
_LEFT_OUT = "openvino_telemetry"
_NO_TRACKING = "DO_NOT_TRACK"  # what any other library may look at: https://consoledonottrack.com
_FALSE = ("", "0", "false", "no", "off")


def turn_off_telemetry() -> None:
    """Set the variables that turn telemetry off, also where they allow it now; a stricter one of the user's stays."""
    os.environ.update(_OFF)
    sys.modules.setdefault(_LEFT_OUT, None)  # type: ignore[arg-type]  # an import of it fails, as if it were not there
    if os.environ.get(_NO_TRACKING, "").strip().lower() in _FALSE:
        os.environ[_NO_TRACKING] = "1"
    imported = sys.modules.get("huggingface_hub.constants")  # it read its variable already, and looks at this since
    if imported is not None:
        vars(imported)["HF_HUB_DISABLE_TELEMETRY"] = True
