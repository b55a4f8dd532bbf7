"""A frozen network and the graph that ships of it, against torch's network with the same weights."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load

from sightline.errors import ExportMismatch, ModelError, WeightsError
from sightline.evaluation.abstain import fit_novelty
from sightline.exporting.onnx_format import write_onnx
from sightline.exporting.parity import prove_parity
from sightline.networks.build import build_network
from sightline.networks.carried import carried_file
from sightline.networks.frozen import FrozenNetwork, build_frozen, cut_body
from sightline.networks.frozen_graph import FrozenGraph
from sightline.networks.onnx_graph import Graph, trace_graph
from sightline.pixels.preprocess import Preprocess
from sightline.planning.carried_network import CARRIED
from sightline.runtime.bundle import Bundle
from sightline.runtime.classifier import Classifier

SIZE = 96
SETTINGS = SimpleNamespace(
    model=CARRIED.name,
    features="last",
    size=SIZE,
    mean=CARRIED.mean,
    std=CARRIED.std,
    seed=0,
    dropout=0.0,
    stochastic_depth=0.0,
    kernel_size=0,
    dense_units=0,
    mirrored=False,
)
BUNDLE = Bundle(
    classes=("ant", "bee", "wasp"),
    preprocess=Preprocess(size=SIZE, resize=SIZE),
    model=CARRIED.name,
    feature_size=1280,
    weights="carried",
    licence="apache-2.0",
    data_fingerprint="0" * 64,
    sightline="0",
    created="2026-11-22T00:00:00+00:00",
)
SQUARES = np.random.default_rng(0).integers(0, 256, (34, SIZE, SIZE, 3), np.uint8)


@pytest.fixture(scope="module")
def network() -> FrozenNetwork:
    random = np.random.default_rng(1)
    plain = build_frozen(SETTINGS, 3, carried_file(), is_run=False)
    return plain.with_head(
        random.normal(0, 0.1, (3, 1280)).astype(np.float32), random.normal(0, 0.1, 3).astype(np.float32)
    )


@pytest.fixture(scope="module")
def torchs(network):
    """torch's network with the weights that ship."""
    built = build_network(SETTINGS, 3, None)
    built.load_state_dict(load(network.weights()))
    return built.eval()


@pytest.fixture(scope="module")
def novelty(torchs):
    with torch.inference_mode():
        features = torchs.features(torch.from_numpy(SQUARES).permute(0, 3, 1, 2).float() / 255).numpy()
    return fit_novelty(features[:20], np.arange(20) % 2, 3, features[20:])  # one class is absent


def test_the_weights_that_ship_are_those_of_torchs_network(network, torchs):
    with torch.inference_mode():
        images = torch.from_numpy(SQUARES[:3]).permute(0, 3, 1, 2).float() / 255
        wanted, logits = torchs.features(images).numpy(), torchs(images).numpy()
    assert np.abs(network.reference_features(SQUARES[:3]) - wanted).max() < 1e-4 * np.abs(wanted).max()
    assert np.allclose(network.logits(wanted), logits, atol=1e-4)


@pytest.mark.parametrize("is_calibrated", [False, True])
def test_the_composed_graph_computes_what_torchs_graph_computes(network, torchs, novelty, tmp_path, is_calibrated):
    more = (2.5, novelty) if is_calibrated else ()
    write_onnx(FrozenGraph(network, *more), BUNDLE, tmp_path / "model.onnx", "compose")
    onnx.checker.check_model(onnx.load(tmp_path / "model.onnx"), full_check=True)
    wanted = Graph(torchs, *more).answer(SQUARES)
    classifier = Classifier.open(tmp_path / "model.onnx")
    for count in (1, 34):
        for found, column in zip(classifier.run(SQUARES[:count]), wanted, strict=True):
            assert found.dtype == np.float32 and found.shape == column[:count].shape
            assert np.abs(found - column[:count]).max() < 2e-3 * max(1, np.abs(column).max())
    if is_calibrated:
        assert wanted[2].max() > 0


def test_a_network_of_several_stages_ships_with_its_scale(tmp_path):
    settings, random = SimpleNamespace(**{**vars(SETTINGS), "features": "stages"}), np.random.default_rng(2)
    plain = build_frozen(settings, 3, carried_file(), is_run=False)
    assert plain.feature_groups == (40, 112, 320, 1280) and plain.feature_size == 1752
    weight, scale = random.normal(0, 0.1, (3, 1752)), random.uniform(0, 2, 1752)
    network = plain.with_head(weight.astype(np.float32), np.zeros(3, np.float32), scale.astype(np.float32))
    assert network.body == plain.body  # so that features of the cache serve any head
    again = FrozenNetwork.read(network.weights(), settings, tmp_path / "none")
    trained = build_network(settings, 3, None)
    trained.load_state_dict(load(network.weights()))
    trained.eval()
    with torch.inference_mode():
        few = trained.features(torch.from_numpy(SQUARES[:2]).permute(0, 3, 1, 2).float() / 255).numpy()
    assert np.abs(again.reference_features(SQUARES[:2]) - few).max() < 1e-4 * np.abs(few).max()
    novelty = fit_novelty(np.repeat(few, 5, 0), np.arange(10) % 2, 3, few)
    graph = FrozenGraph(again, 2.5, novelty)
    write_onnx(graph, replace(BUNDLE, feature_size=1752), tmp_path / "model.onnx", "compose")
    classifier = Classifier.open(tmp_path / "model.onnx")
    assert prove_parity(graph, classifier, SQUARES[:4]).max_difference < 1e-4
    for found, column in zip(
        classifier.run(SQUARES[:4]), Graph(trained, 2.5, novelty).answer(SQUARES[:4]), strict=True
    ):
        assert np.abs(found - column).max() < 2e-3 * max(1, np.abs(column).max())


def test_the_proof_passes_and_finds_another_head(network, novelty, tmp_path):
    graph = FrozenGraph(network, 1.5, novelty)
    write_onnx(graph, BUNDLE, tmp_path / "model.onnx", "compose")
    classifier = Classifier.open(tmp_path / "model.onnx")
    assert prove_parity(graph, classifier, SQUARES).max_difference < 1e-4
    other = network.with_head(network.tensors["head.weight"][::-1].copy(), network.tensors["head.bias"])
    with pytest.raises(ExportMismatch):
        prove_parity(FrozenGraph(other, 1.5, novelty), classifier, SQUARES)
    with pytest.raises(ExportMismatch):
        prove_parity(FrozenGraph(network, 1.0, novelty), classifier, SQUARES)


def test_a_body_that_is_not_that_of_the_weights_is_found(network):
    """As where the file of weights and the graph are of two networks, or onnxruntime computes something else."""
    tensors = {**network.tensors, "body.conv_head.weight": network.tensors["body.conv_head.weight"] * 1.01}
    with pytest.raises(ExportMismatch, match="features that differ"):
        FrozenGraph(FrozenNetwork(tensors, network.body, is_lite=True)).answer(SQUARES[:2])


@pytest.mark.parametrize("features", ["last", "stages"])
def test_the_body_of_any_run_is_cut_from_its_file_and_proved_by_the_definition_of_its_operators(tmp_path, features):
    torch.manual_seed(0)
    settings = SimpleNamespace(**{**vars(SETTINGS), "model": "resnet18", "size": 64, "features": features})
    trained = build_network(settings, 5, None).eval()
    if features == "stages":
        trained.feature_scale.uniform_(0, 2)
    (tmp_path / "model.onnx").write_bytes(trace_graph(Graph(trained), 64))
    from safetensors.torch import save_file

    save_file(trained.state_dict(), tmp_path / "model.safetensors")
    frozen = build_frozen(settings, 3, tmp_path / "model.safetensors", is_run=True)
    squares = SQUARES[:2, :64, :64].copy()
    with torch.inference_mode():
        wanted = trained.features(torch.from_numpy(squares).permute(0, 3, 1, 2).float() / 255).numpy()
    assert np.allclose(frozen.reference_features(squares[:1]), wanted[:1], atol=1e-3 * np.abs(wanted).max())
    bundle = replace(Bundle.from_json(BUNDLE.to_json(), source="test"), feature_size=trained.feature_size)
    write_onnx(FrozenGraph(frozen), bundle, tmp_path / "new.onnx", "compose")
    probabilities, features, _ = FrozenGraph(frozen).answer(squares)
    assert np.allclose(features, wanted, atol=1e-3 * np.abs(wanted).max()) and np.allclose(probabilities, 1 / 3)
    assert frozen.tensors.keys() == trained.state_dict().keys()  # so that torch takes them


def test_files_that_are_damaged_or_of_another_network_are_refused(network, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelError, match="can't be opened"):
        cut_body(tmp_path / "model.onnx", SIZE)
    loop = onnx.load_model_from_string(network.body)
    loop.graph.node[0].op_type = "Loop"
    (tmp_path / "body.onnx").write_bytes(loop.SerializeToString())
    with pytest.raises(ModelError, match="never writes: Loop"):
        cut_body(tmp_path / "body.onnx", SIZE)
    (tmp_path / "other.safetensors").write_bytes(carried_file().read_bytes()[:100])
    with pytest.raises(WeightsError, match="does not fit"):
        build_frozen(SETTINGS, 3, tmp_path / "other.safetensors", is_run=False)
    with pytest.raises(WeightsError, match="damaged"):
        FrozenNetwork.read(b"nothing", SETTINGS, tmp_path / "model.onnx")
