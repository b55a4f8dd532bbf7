"""Each way to look at images says what the plain network says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sightline.networks.folding import fold_batch_norms
from sightline.networks.network import Network
from sightline.networks.onnx_graph import Graph, trace_graph
from sightline.networks.small_resnet import SmallResnet
from sightline.training import engines
from sightline.training.engines import ENGINES, batch_at, choose_engine

SIZE = 32
# Names from timm's families: with padding by the size of the image, norms with their activation inside, without, in
# blocks with skips, and other norms.
FOLDABLE = ("tf_efficientnet_lite0", "mobilenetv2_100", "resnet18", "efficientnet_b0", "regnety_002")
MODELS = (*FOLDABLE, "convnext_atto", "tf_mixnet_s")  # without batch norms; with several convolutions before a norm


def settle(body: torch.nn.Module) -> torch.nn.Module:
    """Give batch norms statistics and weights other than 0 and 1."""
    generator = torch.Generator().manual_seed(1)
    for norm in body.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            for value, low, high in ((norm.running_mean, -0.2, 0.2), (norm.running_var, 0.5, 1.5)):
                value.copy_(torch.rand(value.shape, generator=generator) * (high - low) + low)
            norm.weight.data.copy_(torch.rand(norm.weight.shape, generator=generator) + 0.5)
            norm.bias.data.copy_(torch.rand(norm.bias.shape, generator=generator) - 0.5)
    return body


def small_network() -> Network:
    torch.manual_seed(0)
    return Network(settle(SmallResnet(SIZE, 8, 1)), 64, 3, (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)).eval()


def make_images(count: int, size: int = SIZE) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8))


def plain(network: Network, squares: torch.Tensor) -> np.ndarray:
    with torch.inference_mode():
        return network.features(squares.permute(0, 3, 1, 2).float() / 255).numpy()


@pytest.mark.parametrize("name", ENGINES)
def test_each_engine_sees_what_the_network_sees(name):
    network = small_network()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    wanted = plain(network, make_images(9))
    found = ENGINES[name](network, SIZE)(make_images(9))
    assert found.dtype == np.float32 and found.shape == wanted.shape
    error = np.linalg.norm(found - wanted) / np.linalg.norm(wanted)
    assert error < (0.02 if "bf16" in name else 1e-5)
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


@pytest.mark.parametrize("model", MODELS)
def test_folding_changes_no_answer_of_timms_networks(model):
    import timm

    torch.manual_seed(0)
    body = settle(timm.create_model(model, num_classes=0)).eval()
    with torch.inference_mode():
        size = body(torch.zeros(1, 3, 64, 64)).shape[1]
    network = Network(body, size, 2, (0.5,) * 3, (0.2,) * 3).eval()
    folded = fold_batch_norms(network)
    wanted, found = plain(network, make_images(3, 64)), plain(folded, make_images(3, 64))
    assert np.linalg.norm(found - wanted) / np.linalg.norm(wanted) < 1e-4
    norms = [sum(isinstance(layer, torch.nn.BatchNorm2d) for layer in each.modules()) for each in (network, folded)]
    assert norms[1] <= norms[0] / 5 if model in FOLDABLE else norms[1] < norms[0] or norms[0] == 0


class Shared(torch.nn.Module):
    """Where a convolution's output is used twice, a layer is called twice, or the way depends on the values."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.conv = torch.nn.Conv2d(3, 3, 3, padding=1)
        self.norm = settle(torch.nn.BatchNorm2d(3))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found = self.conv(images)
        if self.kind == "output twice":
            found = self.norm(found) + found
        elif self.kind == "norm twice":
            found = self.norm(self.norm(found))
        elif self.kind == "conv twice":
            found = self.norm(self.conv(found))
        elif found.sum() > 0:
            found = self.norm(found)
        return found.mean((2, 3))


@pytest.mark.parametrize("kind", ["output twice", "norm twice", "conv twice", "by value"])
def test_what_can_not_be_folded_stays(kind):
    torch.manual_seed(0)
    network = Network(settle(Shared(kind)), 3, 2, (0.5,) * 3, (0.2,) * 3).eval()
    assert np.allclose(plain(fold_batch_norms(network), make_images(3)), plain(network, make_images(3)), atol=1e-5)


def test_the_rule_looks_at_precision_and_count():
    network = small_network().train()
    assert choose_engine(network, 20, SIZE).name == "torch, folded"
    assert choose_engine(network, 2_000, SIZE).name == "onnxruntime"
    assert choose_engine(network, 2_000, SIZE, "bf16").name == "torch bf16, folded"
    assert not network.training


def test_a_network_that_can_not_be_traced_is_looked_at_by_torch(monkeypatch):
    def refuse(*arguments):
        raise RuntimeError("unsupported operator")

    monkeypatch.setattr(engines, "trace_graph", refuse)
    network = small_network()
    engine = choose_engine(network, 2_000, SIZE)
    assert engine.name == "torch, folded"
    assert np.allclose(engine.infer(make_images(3)), plain(network, make_images(3)), atol=1e-4)


def test_a_traced_graph_takes_any_number_of_images():
    look = ENGINES["onnxruntime"](small_network(), SIZE)
    assert [look(make_images(count)).shape for count in (1, 2, 5)] == [(1, 64), (2, 64), (5, 64)]
    assert trace_graph(Graph(small_network()), SIZE) == trace_graph(Graph(small_network()), SIZE)


def test_batches_hold_about_as_many_pixels():
    assert [batch_at(size) for size in (16, 224, 2_000)] == [256, 8, 4]
