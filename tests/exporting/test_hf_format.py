"""``hf/``: timm loads what it can, the card says which, and both are proved."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from PIL import Image

import sightline
from sightline.api.exporting import convert
from sightline.exporting.export import export_classifier
from sightline.exporting.hf_card import write_card
from sightline.networks.network import Network
from sightline.networks.onnx_graph import Graph
from sightline.pixels.preprocess import Preprocess
from sightline.runtime.bundle import Bundle
from sightline.runtime.classifier import Classifier

NAME = "test_resnet.r160_in1k"  # timm's own for tests: 0.5 million weights
BUNDLE = Bundle(
    classes=("ant", "bee", "naïve <wasp>"),
    preprocess=Preprocess(size=32, resize=40, interpolation="bicubic"),
    model=NAME,
    feature_size=96,
    weights="none",
    licence="apache-2.0",
    data_fingerprint="0" * 64,
    sightline="0",
    created="2026-11-22T00:00:00+00:00",
    temperature=2.5,
)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """The classifier folder of a timm network, and its images; the hf folder is written with it."""
    folder = tmp_path_factory.mktemp("run")
    random = np.random.default_rng(0)
    files = []
    for number in range(8):
        files.append(folder / f"{number}.png")
        Image.fromarray(random.integers(0, 256, (50, 41 + number, 3), dtype=np.uint8)).save(files[-1])
    torch.manual_seed(0)
    body = timm.create_model(NAME.split(".")[0], num_classes=0)
    network = Network(body, 96, 3, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)).eval()
    proofs = export_classifier(Graph(network, 2.5), BUNDLE, folder / "classifier", files, ["onnx", "hf"])
    return folder / "classifier", files, proofs["hf"]


def test_timm_loads_the_folder_and_says_what_the_classifier_says(shipped):
    folder, _, proof = shipped
    assert proof.exporter == "timm" and proof.max_difference < 1e-5
    said = json.loads((folder / "hf" / "config.json").read_text(encoding="utf-8"))
    assert said["label_names"] == list(BUNDLE.classes) and said["architecture"] == "test_resnet"
    rule = said["pretrained_cfg"]
    assert (
        rule["input_size"] == [3, 32, 32] and rule["crop_pct"] == 0.8 and rule["mean"] == pytest.approx([0.4, 0.5, 0.6])
    )
    assert Classifier.open(folder / "hf").classes == BUNDLE.classes


def test_the_code_of_the_card_runs(shipped, tmp_path, monkeypatch, capsys):
    """Each block by itself, as a reader pastes it: one with Sightline, one with timm."""
    folder, files, _ = shipped
    Image.open(files[0]).convert("RGB").save(tmp_path / "photo.jpg", quality=95)
    monkeypatch.chdir(tmp_path)
    card = (folder / "hf" / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert len(blocks) == 2 and card.startswith("---\nlicense: apache-2.0\nlibrary_name: timm\n")
    for block in blocks:
        exec(compile(block.replace("FOLDER", str(folder / "hf")), "card", "exec"), {})
    answer, label = capsys.readouterr().out.splitlines()
    assert answer in (*BUNDLE.classes, "unknown")
    assert label == sightline.load(folder).predict("photo.jpg")[0].label


def test_a_network_that_timm_can_not_load_has_model_onnx_alone(tiny_model, tmp_path):
    made = convert(tiny_model, "hf", out=tmp_path / "hf", quiet=True)
    assert made.proof.exporter == "onnx" and made.proof.max_difference == 0
    assert sorted(path.name for path in made.path.iterdir()) == ["README.md", "classifier.json", "model.onnx"]
    card = (made.path / "README.md").read_text(encoding="utf-8")
    assert "timm can't load this classifier" in card and "library_name: onnx" in card


def test_weights_that_decide_otherwise_are_not_shipped(shipped, tmp_path):
    """A head that belongs to other features: the proof finds it, and model.onnx alone is left."""
    import shutil

    from safetensors.numpy import load_file, save_file

    folder = shutil.copytree(shipped[0], tmp_path / "classifier")
    tensors = load_file(folder / "model.safetensors")
    tensors["head.weight"] = tensors["head.weight"][::-1].copy()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    made = convert(folder, "hf", quiet=True)
    assert made.proof.exporter == "onnx" and not (made.path / "config.json").exists()


@pytest.mark.parametrize(
    ("licence", "wanted"),
    [("apache-2.0", "license: apache-2.0"), ("none: trained from scratch", 'license: other\nlicense_name: "none: t')],
)
def test_the_cards_head_names_the_licence(licence, wanted):
    card = write_card("---\ntags:\n- old\n---\n\n# `mine`\n", replace(BUNDLE, licence=licence), has_timm=False)
    assert (
        card.startswith(f"---\n{wanted}") and card.count("\n---\n") == 1 and "# `mine`" in card and "- old" not in card
    )
