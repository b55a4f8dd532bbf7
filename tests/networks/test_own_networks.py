"""Our own networks: any size, width and depth, the dropouts where they belong, and an export that decides alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from timm.models.convnext import ConvNeXtBlock

from sightline.errors import InputError
from sightline.exporting.export import export_classifier
from sightline.networks.build import BODIES, build_network
from sightline.networks.describe import describe_network
from sightline.networks.layers import rising, skip_at_random
from sightline.networks.onnx_graph import Graph
from sightline.networks.small_cnn import SmallCnn
from sightline.networks.small_convnext import SmallConvnext, _Block
from sightline.networks.small_resnet import SmallResnet
from sightline.pixels.preprocess import Preprocess
from sightline.planning.facts import DataFacts, Hardware
from sightline.planning.own_networks import OWN_NETWORKS
from sightline.planning.plan import make_plan
from sightline.planning.recipe import Recipe
from sightline.planning.settings import Settings
from sightline.runtime.bundle import Bundle

NEW = ["small-resnet", "small-convnext", "small-cnn"]


def settings_for(model: str, **chosen: object) -> Settings:
    data = DataFacts(("ant", "bee"), {"train": 100, "val": 20, "test": 20}, 32, 1.0)
    options = Recipe(model=model, **chosen)
    return make_plan(Recipe(), options, data, Hardware("cpu", "x", 1, "x"), describe_network(model)).settings


def count(network: torch.nn.Module) -> int:
    return sum(weights.numel() for weights in network.parameters())


def test_every_network_of_ours_can_be_built():
    assert list(BODIES) == list(OWN_NETWORKS)


@pytest.mark.parametrize("model", NEW)
@pytest.mark.parametrize("size", [16, 28, 33, 64])
def test_they_take_any_size_and_class_count(model, size):
    network = build_network(settings_for(model, size=size, width=8), 5, None).eval()
    images = torch.rand(3, 3, size, size)
    assert network(images).shape == (3, 5)
    assert network.features(images).shape == (3, network.feature_size)


@pytest.mark.parametrize("model", NEW)
def test_width_and_depth_are_those_of_the_plan(model):
    small, wide, deep = (
        build_network(settings_for(model, width=w, depth=d), 2, None) for w, d in ((8, 1), (16, 1), (8, 2))
    )
    assert wide.feature_size == 2 * small.feature_size
    assert count(wide) > 2 * count(small)
    assert count(deep) > count(small) and deep.feature_size == small.feature_size


@pytest.mark.parametrize("model", BODIES)
def test_the_side_of_the_stages_filters_is_that_of_the_plan(model):
    usual, wide = (build_network(settings_for(model, width=8, **more), 2, None) for more in ({}, {"kernel_size": 5}))
    sides = [[layer.kernel_size[0] for layer in network.body.stages.modules() if isinstance(layer, torch.nn.Conv2d)
              and layer.stride == (1, 1)] for network in (usual, wide)]  # fmt: skip
    assert (
        set(sides[0]) == {OWN_NETWORKS[model].kernel_size} and set(sides[1]) == {5} and len(sides[0]) == len(sides[1])
    )
    assert wide.eval()(torch.rand(2, 3, 32, 32)).shape == (2, 2) and wide.feature_size == usual.feature_size


@pytest.mark.parametrize("model", BODIES)
def test_a_plan_from_before_there_were_filters_and_units_gives_the_same_network(model):
    now = settings_for(model, width=8)
    before = Settings(**now.model_dump(exclude={"kernel_size", "dense_units"}))
    assert (before.kernel_size, before.dense_units) == (0, 0) != (now.kernel_size, now.dense_units)
    states = [build_network(settings, 3, None).state_dict() for settings in (now, before)]
    assert all(torch.equal(states[0][name], states[1].pop(name)) for name in states[0]) and not states[1]


def test_the_dense_layer_follows_the_width_unless_chosen():
    assert settings_for("small-cnn").dense_units == 128 and settings_for("small-cnn", width=8).dense_units == 32
    assert build_network(settings_for("small-cnn", width=8, dense_units=50), 2, None).feature_size == 50


@pytest.mark.parametrize("model", NEW)
def test_the_same_seed_gives_the_same_network_and_another_does_not(model):
    first, again, other = (build_network(settings_for(model, seed=s, width=8), 2, None) for s in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True))
    assert not torch.equal(first.head.weight, other.head.weight)


def test_a_convnext_block_computes_what_timms_does():
    torch.manual_seed(0)
    theirs = ConvNeXtBlock(24, ls_init_value=0.3).eval()
    ours = _Block(24, 0.0).eval()
    names = {"depthwise": "conv_dw", "norm": "norm", "widen": "mlp.fc1", "narrow": "mlp.fc2"}
    with torch.no_grad():
        for layer in theirs.parameters():
            layer.normal_(0, 0.3)
        for mine, their in names.items():
            ours.get_submodule(mine).load_state_dict(theirs.get_submodule(their).state_dict())
        ours.scale.copy_(theirs.gamma)
        images = torch.randn(2, 24, 9, 9)
        for memory in (torch.contiguous_format, torch.channels_last):
            assert torch.allclose(ours(images.contiguous(memory_format=memory)), theirs(images), atol=1e-5)


@pytest.mark.parametrize("chosen", [{}, {"kernel_size": 5, "dense_units": 200}])
def test_the_cnn_is_the_published_one(chosen):
    kernel, units = chosen.get("kernel_size", 3), chosen.get("dense_units", 128)
    layers: list[torch.nn.Module] = []
    for inputs, outputs in ((3, 32), (32, 64), (64, 128)):
        layers += [torch.nn.Conv2d(inputs, outputs, kernel, padding="same"), torch.nn.ReLU()]
        layers += [torch.nn.MaxPool2d(2), torch.nn.Dropout(0.3)]
    layers += [torch.nn.Flatten(), torch.nn.Linear(2048, units), torch.nn.ReLU()]
    keras = torch.nn.Sequential(*layers, torch.nn.Dropout(0.5), torch.nn.Linear(units, 10))
    network = build_network(settings_for("small-cnn", **chosen), 10, None)
    assert (network.body.stages[3].p, network.dropout.p) == (0.3, 0.5)
    for theirs, ours in zip(keras.parameters(), network.parameters(), strict=True):
        theirs.data.copy_(ours.data)
    images = torch.rand(2, 3, 32, 32)
    assert torch.allclose(network.eval()(images), keras.eval()((images - 0.5) / 0.25), atol=1e-5)


def test_a_residual_network_whose_branches_are_zero_passes_its_stages_on():
    network = SmallResnet(32, 4, 2).eval()
    images = torch.rand(2, 3, 32, 32)
    for stage in network.stages:
        for block in (stage[2], stage[3]):
            torch.nn.init.zeros_(block.convolutions[1].norm.weight)
    x = network.stem(images)
    for stage in network.stages:
        x = stage[1](stage[0](x))  # the convolution and the pooling alone
    assert torch.equal(network(images), x.amax((2, 3)))


@pytest.mark.parametrize("body", [SmallResnet(32, 4, 2, 0, 0.5), SmallConvnext(32, 4, 2, 0, 0.5)])
def test_blocks_are_skipped_at_a_rate_that_rises_to_the_plans(body):
    rates = [getattr(layer, "p", 0.0) for name, layer in body.named_modules() if name.endswith("skip")]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5])


def test_a_skipped_branch_is_zero_for_some_images_and_larger_for_the_others():
    torch.manual_seed(0)
    layer, branch = skip_at_random(0.25), torch.ones(2000, 3, 2, 2)
    seen = layer.train()(branch)
    kept = seen[:, 0, 0, 0] != 0
    assert kept.float().mean() == pytest.approx(0.75, abs=0.04)
    assert torch.allclose(seen[kept], torch.tensor(1 / 0.75)) and not seen[~kept].any()
    assert torch.equal(layer.eval()(branch), branch)
    assert rising(0.3, 1) == [0.0]


@pytest.mark.parametrize("body", [SmallResnet(32, 4, 1, 0.4), SmallConvnext(32, 4, 1, 0.4), SmallCnn(32, 4, 1, 0.4)])
def test_each_of_three_stages_ends_in_the_plans_dropout(body):
    assert [layer.p for layer in body.modules() if isinstance(layer, torch.nn.Dropout)] == [0.4] * 3


@pytest.mark.parametrize("model", [*NEW, "test_resnet"])
def test_dropout_stands_before_the_head_and_only_in_training(model):
    network = build_network(settings_for(model, dropout=0.9, pretrained=False), 2, None)
    assert network.dropout.p == 0.9
    images = torch.rand(2, 3, 64 if model == "test_resnet" else 32, 64 if model == "test_resnet" else 32)
    network.eval()
    assert torch.equal(network(images), network.head(network.features(images)))
    network.dropout.train()
    torch.manual_seed(1)
    assert not torch.equal(network(images), network.head(network.features(images)))


def test_timms_blocks_are_skipped_too():
    network = build_network(settings_for("test_convnext", stochastic_depth=0.4, pretrained=False), 2, None)
    rates = [layer.drop_prob for layer in network.body.modules() if type(layer).__name__ == "DropPath"]
    assert max(rates) == pytest.approx(0.4)


@pytest.mark.parametrize("model", ["vgg11", "small-cnn"])
def test_a_network_without_blocks_refuses_to_skip_them(model):
    with pytest.raises(InputError) as caught:
        build_network(settings_for(model, stochastic_depth=0.1, pretrained=False), 2, None)
    assert caught.value.code == "plan.conflict" and "stochastic_depth=0" in caught.value.cure


@pytest.mark.parametrize(
    "chosen", [{"width": 32}, {"depth": 2}, {"kernel_size": 3}, {"dense_units": 64}, {"stage_dropout": 0.1}]
)
def test_the_shape_of_timms_networks_is_theirs(chosen):
    with pytest.raises(InputError) as caught:
        settings_for("resnet18", **chosen)
    assert caught.value.code == "plan.conflict" and f"{next(iter(chosen))}=0" in caught.value.cure


@pytest.mark.parametrize("model", ["small-fast", "small-resnet", "small-convnext"])
def test_a_network_without_a_dense_layer_refuses_its_units(model):
    with pytest.raises(InputError, match="does not support dense_units") as caught:
        settings_for(model, dense_units=64)
    assert caught.value.cure == "give --set dense_units=0, or --model small-cnn"


@pytest.mark.parametrize("name", ["width", "depth"])
def test_a_network_of_ours_without_layers_is_refused(name):
    with pytest.raises(InputError, match="without layers"):
        settings_for("small-resnet", **{name: 0})


@pytest.mark.parametrize("model", NEW)
def test_the_exported_file_decides_as_the_network(model, tmp_path):
    more = {"dense_units": 24} if model == "small-cnn" else {"stochastic_depth": 0.2}
    settings = settings_for(model, width=8, size=20, kernel_size=5, **more)
    network = build_network(settings, 3, None)
    network.train()(torch.rand(16, 3, 20, 20))  # batch norms with statistics other than 0 and 1
    rules = Preprocess(size=20, resize=20)
    bundle = Bundle(("a", "b", "c"), rules, model, network.feature_size, "", "", "0" * 64, "0", "")
    images, random = [], np.random.default_rng(0)
    for number in range(4):
        images.append(tmp_path / f"{number}.png")
        Image.fromarray(random.integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(images[-1])
    proof = export_classifier(Graph(network), bundle, tmp_path / "classifier", images)["onnx"]
    assert proof.images == 4 and proof.max_difference < 1e-4


@pytest.mark.parametrize("model", BODIES)
def test_a_size_that_a_network_of_ours_can_not_halve_so_often_is_named(model):
    settings = settings_for(model, size=8)
    try:
        network = build_network(settings, 2, None).eval()
    except InputError as error:
        assert error.code == "model.size" and "8 px" in error.message
    else:
        assert network(torch.zeros(1, 3, 8, 8)).shape == (1, 2)
