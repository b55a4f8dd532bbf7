"""The card of a folder for the Hugging Face hub: the classifier's model card, with the lines that load it."""

from __future__ import annotations

import re

from sightline.runtime.bundle import Bundle
from sightline.text import listed, printable

__all__ = ["write_card"]

# Words in a licence -> the hub's name of it. What is not here is "other", with its words.
_LICENCES = ("apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc0-1.0", "openrail")

_SIGHTLINE = """With [Sightline](https://pypi.org/project/sightline/), which decides as it did in its tests:

```python
import sightline

classifier = sightline.load("FOLDER")  # this folder; from the hub: huggingface_hub.snapshot_download("you/name")
print(classifier.predict("photo.jpg")[0].answer)
```
"""
_TIMM = """With timm (transformers' `pipeline("image-classification")` loads it too). timm decodes and resizes a little
differently, and knows nothing of `unknown`:

```python
import timm
import torch
from PIL import Image

model = timm.create_model("local-dir:FOLDER", pretrained=True).eval()  # from the hub: "hf-hub:you/name"
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
with torch.inference_mode():
    probabilities = model(transform(Image.open("photo.jpg").convert("RGB"))[None]).softmax(1)[0]
print(model.pretrained_cfg["label_names"][probabilities.argmax()])
```
"""
_ONNX_ALONE = """timm can't load this classifier: its weights are in `model.onnx`, which onnxruntime runs.
"""


def write_card(card: str, bundle: Bundle, *, has_timm: bool) -> str:
    """Return the card.

    Args:
        card: the classifier's model card; empty where there is none.
        bundle: of the classifier.
        has_timm: whether timm loads the folder.

    Example:
        ``write_card("", classifier.bundle, has_timm=False).splitlines()[0]``
    """
    body = re.sub(r"\A---\n.*?\n---\n", "", card, flags=re.DOTALL).strip()
    classes = listed([printable(name) for name in bundle.classes], 20)
    body = body or f"# Image classifier\n\n{len(bundle.classes)} classes: {classes}."
    licence = next((name for name in _LICENCES if bundle.licence.lower().startswith(name)), "other")
    words = f"\nlicense_name: {_quoted(bundle.licence)}" if licence == "other" else ""
    names = ["image-classification", "onnx", "sightline", *(["timm"] if has_timm else [])]
    tags = "".join(f"\n- {name}" for name in names)
    head = f"---\nlicense: {licence}{words}\nlibrary_name: {'timm' if has_timm else 'onnx'}"
    head += f"\npipeline_tag: image-classification\ntags:{tags}\n---"
    load = f"## Load it\n\n{_SIGHTLINE}\n{_TIMM if has_timm else _ONNX_ALONE}"
    note = "The licence is that of the weights which the training started from.\n"
    return f"{head}\n\n{body}\n\n{load}\n{note}"


def _quoted(text: str) -> str:
    return '"' + re.sub(r'[\\"\x00-\x1f]', " ", printable(text)) + '"'
