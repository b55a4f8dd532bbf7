"""Features of several stages: their definition, and all that is made of such a network."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file, save_file

from sightline.errors import InputError, RunError, WeightsError
from sightline.networks.build import build_network
from sightline.networks.folding import fold_batch_norms
from sightline.networks.gradcam import grad_cam
from sightline.networks.network import Network
from sightline.networks.onnx_graph import Graph, trace_graph
from sightline.networks.weights import StartWeights, read_inherited
from sightline.runtime.onnx_session import INPUT, open_session
from sightline.training.averaging import Average
from sightline.training.layer_groups import layer_groups
from sightline.training.setup import load_shipped

SIZE = 64
SQUARES = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3), np.uint8)
MODEL = "test_efficientnet"
SETTINGS = {
    **{"size": SIZE, "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4), "seed": 0, "dropout": 0.0},
    **{"stochastic_depth": 0.0, "features": "stages", "width": 0, "depth": 0, "mirrored": False},
    **{"kernel_size": 0, "dense_units": 0},
}


def settings_of(model: str = MODEL, **more: object) -> SimpleNamespace:
    return SimpleNamespace(model=model, **{**SETTINGS, **more})


def with_stages(model: str = MODEL) -> Network:
    """Return a network whose batch norms, biases and scales are not those that a network begins with."""
    network = build_network(settings_of(model), 4, None)
    generator = torch.Generator().manual_seed(1)
    for name, value in network.state_dict().items():
        if name.endswith(("running_mean", "running_var", "bias")) or name == "feature_scale":
            value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
    return network.eval()


def images_of(squares: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(squares).permute(0, 3, 1, 2).float() / 255


def features_of(network: Network) -> np.ndarray:
    with torch.inference_mode():
        return network.features(images_of(SQUARES)).numpy()


@pytest.mark.parametrize(
    ("model", "modules", "channels"),
    [
        (MODEL, ("blocks.2", "blocks.3", "blocks.4"), (32, 48, 64)),  # a convolution follows the last stage
        ("test_resnet", ("layer2", "layer3"), (48, 192)),  # what the last stage gives is what is pooled
        ("test_convnext", ("stages.1", "stages.2"), (32, 48)),
    ],
)
def test_the_features_are_the_means_of_what_each_stage_gives(model, modules, channels):
    network, seen = with_stages(model), {}
    for name in modules:
        network.body.get_submodule(name).register_forward_hook(lambda _, __, out, name=name: seen.update({name: out}))
    with torch.inference_mode():
        last = network.body((images_of(SQUARES) - network.mean) / network.std)
        wanted = torch.cat([*(seen[name].mean((2, 3)) for name in modules), last], 1) * network.feature_scale
    assert network.feature_groups == (*channels, last.shape[1]) and network.feature_size == wanted.shape[1]
    assert np.allclose(features_of(network), wanted, atol=1e-4)


@pytest.mark.parametrize("model", ["test_vit", "mixer_s32_224"])
def test_a_network_without_stages_is_refused_with_the_cure(model):
    with pytest.raises(InputError, match="has no stages") as caught:
        build_network(settings_of(model, size=224 if model == "mixer_s32_224" else 160), 4, None)
    assert caught.value.code == "plan.conflict" and "features=last" in caught.value.cure


@pytest.mark.parametrize("model", [MODEL, "test_resnet", "tf_efficientnet_lite0"])
def test_folding_changes_no_feature_of_any_stage(model):
    network = with_stages(model)
    folded = fold_batch_norms(network)
    wanted = features_of(network)
    assert np.linalg.norm(features_of(folded) - wanted) < 1e-4 * np.linalg.norm(wanted)
    norms = [sum(isinstance(layer, torch.nn.BatchNorm2d) for layer in each.modules()) for each in (network, folded)]
    assert norms[1] <= norms[0] / 5


def test_its_graph_computes_what_the_network_computes():
    network = with_stages()
    data = trace_graph(Graph(network, 1.5), SIZE)
    onnx.checker.check_model(onnx.load_model_from_string(data), full_check=True)
    found = open_session(data, threads=1).run(["probabilities", "features"], {INPUT: SQUARES})
    wanted = Graph(network, 1.5).answer(SQUARES)
    assert np.allclose(found[0], wanted[0], atol=1e-5) and np.allclose(found[1], wanted[1], rtol=1e-3, atol=1e-4)


def test_grad_cam_explains_what_the_last_layer_sees_of_the_score():
    """The map is that of a network whose head sees the last layer alone, with the same weights."""
    network = with_stages()
    size = network.feature_groups[-1]
    alone = Network(network.body, size, 4, SETTINGS["mean"], SETTINGS["std"]).eval()
    with torch.no_grad():
        alone.head.weight.copy_((network.head.weight * network.feature_scale)[:, -size:])
    classes = np.array([0, 1, 3])
    found, wanted = grad_cam(network, SQUARES, classes), grad_cam(alone, SQUARES, classes)
    assert found.layer == wanted.layer == "bn2" and found.grid == (2, 2)
    assert np.allclose(found.maps, wanted.maps, atol=1e-4) and found.maps.max() == 1


def test_all_layers_learn_but_the_scale_does_not():
    network = with_stages()
    grouped = [name for names in layer_groups(network, coarse=False) for name in names]
    assert sorted(grouped) == sorted(name for name, _ in network.named_parameters())
    network.train()(images_of(SQUARES)).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in network.parameters())
    average = Average(network, 0.9)
    for _ in range(2):
        average.update()
    assert torch.equal(average.network.feature_scale, network.feature_scale)


def test_what_ships_is_opened_with_its_scale_and_not_as_another_network(tmp_path):
    network, file = with_stages(), tmp_path / "model.safetensors"
    save_file(network.state_dict(), file)
    assert np.array_equal(features_of(load_shipped(settings_of(), 4, file)), features_of(network))
    assert read_inherited(file)["features"] == "stages" and "feature_scale" in load_file(file)
    with pytest.raises(RunError, match="don't fit its plan"):
        load_shipped(settings_of(features="last"), 4, file)
    plain = build_network(settings_of(features="last"), 4, None)
    assert "feature_scale" not in plain.state_dict()  # so that runs of older versions are opened
    save_file(plain.state_dict(), file)
    assert read_inherited(file)["features"] == "last"


def test_a_training_goes_on_from_a_run_with_its_scale_and_the_rows_of_its_head(tmp_path):
    network, file = with_stages(), tmp_path / "model.safetensors"
    save_file(network.state_dict(), file)
    started = build_network(settings_of(), 2, StartWeights(file, {1: 3})).eval()
    assert np.array_equal(features_of(started), features_of(network))
    assert torch.equal(started.head.weight[1], network.head.weight[3])
    with pytest.raises(WeightsError, match="does not fit"):
        build_network(settings_of(features="last"), 2, StartWeights(file, {1: 3}))
