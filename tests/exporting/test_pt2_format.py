"""``model.pt2``: what is in the file, beside what the tests over all formats ask of it."""

from __future__ import annotations

import json
import zipfile

import pytest
import torch
from torch import nn

from sightline.errors import ExportMismatch
from sightline.exporting.pt2_format import write_pt2
from sightline.networks.network import Network
from sightline.networks.onnx_graph import Graph
from sightline.pixels.preprocess import Preprocess
from sightline.runtime.bundle import Bundle

BUNDLE = Bundle(
    ("ant", "naïve <bee>"), Preprocess(size=8, resize=8), "tiny", 3, *["none"] * 4, "2026-11-22T10:00:00+00:00"
)


class Mean(nn.Module):
    def __init__(self, branches: bool = False):
        super().__init__()
        self.branches = branches

    def forward(self, images):
        if self.branches and images.sum() > 0:  # a program has no branches that depend on what it sees
            return images.amax((2, 3))
        return images.mean((2, 3))


def network(**how: bool) -> Graph:
    return Graph(Network(Mean(**how), 3, 2, (0.5,) * 3, (0.5,) * 3))


def test_the_bundle_is_inside_and_no_pickle_is(tmp_path):
    write_pt2(network(), BUNDLE, tmp_path / "model.pt2")
    held = {"sightline": ""}
    torch.export.load(tmp_path / "model.pt2", extra_files=held)
    assert Bundle.from_json(held["sightline"], source="test") == BUNDLE
    with zipfile.ZipFile(tmp_path / "model.pt2") as archive:
        contents = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    assert contents.pop("data/sample_inputs/model.pt") == b""  # what torch pickles
    weights = {name: data for name, data in contents.items() if name.startswith("data/weights/weight_")}
    assert sorted(map(len, weights.values())) == [8, 12, 12, 24]  # float32: bias, mean, std and weight of the head
    for name in contents.keys() - weights.keys():
        contents[name].decode("utf-8")  # JSON and single words
        assert not name.endswith(".json") or json.loads(contents[name])


def test_a_network_that_can_not_be_exported_is_an_error_with_a_cure(tmp_path):
    with pytest.raises(ExportMismatch, match=r"tiny can't be exported by torch\.export") as caught:
        write_pt2(network(branches=True), BUNDLE, tmp_path / "model.pt2")
    assert "model.onnx" in caught.value.cure and not list(tmp_path.iterdir())
