"""Networks by name, their facts, and weights that are read safely or not at all."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import timm
import torch
from safetensors.torch import save_file

from sightline.errors import InputError, WeightsError
from sightline.networks.build import build_network
from sightline.networks.describe import describe_network
from sightline.networks.onnx_graph import Graph, trace_graph
from sightline.networks.weights import StartWeights, download_weights, find_weights
from sightline.planning.facts import DataFacts, Hardware
from sightline.planning.plan import make_plan
from sightline.planning.recipe import Recipe
from sightline.planning.settings import Settings

TIMM = "test_resnet"  # timm's own, made for tests: a third of a million weights


def settings_for(model: str, **chosen: object) -> Settings:
    data = DataFacts(("ant", "bee"), {"train": 100, "val": 20, "test": 20}, 32, 1.0)
    options = Recipe(model=model, **chosen)
    return make_plan(Recipe(), options, data, Hardware("cpu", "x", 2, "x"), describe_network(model)).settings


@pytest.fixture(scope="module")
def own_weights(tmp_path_factory):
    """Weights in timm's names, with a classifier of 1,000 classes, as they are published."""
    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_file(timm.create_model(TIMM).state_dict(), path)
    return path


def test_facts_are_those_that_timm_states():
    facts, config = describe_network("resnet18"), timm.get_pretrained_cfg("resnet18")
    assert facts.name == f"resnet18.{config.tag}"
    assert (facts.mean, facts.std, facts.size) == (tuple(config.mean), tuple(config.std), config.input_size[-1])
    assert facts.resize == round(facts.size / config.crop_pct)
    assert facts.licence == config.license


@pytest.mark.parametrize(("name", "near"), [("resnet81", "resnet18"), ("convnext_tinny", "convnext_tiny")])
def test_an_unknown_network_is_answered_with_the_nearest_names(name, near):
    with pytest.raises(InputError) as caught:
        describe_network(name)
    assert name in caught.value.message and near in caught.value.cure


def test_an_unknown_tag_is_answered_with_the_known_ones():
    with pytest.raises(InputError) as caught:
        describe_network("resnet18.nobody")
    assert "resnet18.tv_in1k" in caught.value.cure


@pytest.mark.parametrize("size", [16, 24, 32, 40, 64])
def test_the_small_network_takes_its_sizes_and_any_batch(size):
    network = build_network(settings_for("small-fast", size=size), 7, None).eval()
    images = torch.rand(3, 3, size, size)
    assert network(images).shape == (3, 7)
    assert network.features(images).shape == (3, network.feature_size)


@pytest.mark.parametrize("model", ["small-fast", TIMM, "test_convnext", "test_vit"])
def test_the_same_seed_gives_the_same_network_and_another_does_not(model):
    first, again, other = (build_network(settings_for(model, seed=s, pretrained=False), 2, None) for s in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True))
    assert not torch.equal(first.head.weight, other.head.weight)


def test_normalisation_is_inside():
    network = build_network(settings_for("small-fast", mirrored=False), 2, None).eval()
    images = torch.rand(2, 3, 32, 32)
    assert torch.allclose(network.features(images), network.body((images - 0.5) / 0.25))


def test_given_weights_make_the_features_that_timm_makes(own_weights):
    network = build_network(settings_for(TIMM, weights=str(own_weights)), 2, StartWeights(own_weights)).eval()
    reference = timm.create_model(TIMM, pretrained=True, pretrained_cfg_overlay={"file": str(own_weights)}).eval()
    images = torch.rand(2, 3, 160, 160)
    wanted = reference.forward_head(reference.forward_features(images), pre_logits=True)
    assert torch.allclose(network.body(images), wanted, atol=1e-6)


def test_weights_of_another_class_count_are_taken_without_their_classifier(tmp_path):
    path = tmp_path / "seven.safetensors"
    mine = timm.create_model(TIMM, num_classes=7)
    save_file(mine.state_dict(), path)
    network = build_network(settings_for(TIMM, weights=str(path)), 2, StartWeights(path))
    theirs = mine.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in network.body.state_dict().items())


def test_weights_that_lack_a_tensor_are_refused_and_never_filled_in_at_random(own_weights, tmp_path):
    from safetensors.torch import load_file

    state = load_file(own_weights)
    del state["layer1.0.conv1.weight"]
    path = tmp_path / "holes.safetensors"
    save_file(state, path)
    with pytest.raises(WeightsError, match=r"layer1\.0\.conv1\.weight"):
        build_network(settings_for(TIMM, weights=str(path)), 2, StartWeights(path))


@pytest.mark.parametrize("model", [TIMM, "test_vit", "tf_mobilenetv3_small_minimal_100"])
def test_a_body_alone_is_loaded_whole_or_refused(tmp_path, model):
    torch.manual_seed(7)
    path, reference = tmp_path / "body.safetensors", timm.create_model(model, num_classes=0).eval()
    state = reference.state_dict()
    save_file(state, path)
    body = build_network(settings_for(model, weights=str(path)), 2, StartWeights(path)).body
    assert all(torch.equal(tensor, state[name]) for name, tensor in body.state_dict().items())
    missing = next(name for name in state if name.endswith("weight"))
    del state[missing]
    save_file(state, path)
    with pytest.raises(WeightsError, match=missing.replace(".", r"\.")):
        build_network(settings_for(model, weights=str(path)), 2, StartWeights(path))


def test_weights_of_another_network_are_refused(own_weights):
    with pytest.raises(WeightsError, match="does not fit"):
        build_network(settings_for("test_convnext", weights=str(own_weights)), 2, StartWeights(own_weights))


@pytest.mark.parametrize("name", ["model.pth", "model.safetensors"])
def test_a_pickle_is_refused_whatever_its_name_with_the_lines_that_convert_it(tmp_path, name):
    path = tmp_path / name
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(WeightsError) as caught:
        find_weights(describe_network(TIMM), str(path))
    assert caught.value.code == "weights.pickle"
    assert "save_file" in caught.value.cure


def test_the_lines_that_convert_a_pickle_work(tmp_path):
    path = tmp_path / "model.pth"
    torch.save(timm.create_model(TIMM).state_dict(), path)
    with pytest.raises(WeightsError) as caught:
        find_weights(describe_network(TIMM), str(path))
    code = caught.value.cure.partition("in Python: ")[2]
    exec(code)  # what a user would paste
    assert find_weights(describe_network(TIMM), str(path.with_suffix(".safetensors"))).path is not None


@pytest.mark.parametrize(("content", "code"), [(None, "weights.missing"), (b"hello", "weights.not-safetensors")])
def test_a_file_that_is_no_weights_is_refused(tmp_path, content, code):
    path = tmp_path / "model.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeightsError) as caught:
        find_weights(describe_network(TIMM), str(path))
    assert caught.value.code == code


def test_published_weights_come_from_the_hubs_cache_when_they_are_there(cache_weights, own_weights):
    facts = describe_network(TIMM)
    file = cache_weights(facts.name, own_weights)
    found = find_weights(facts, "")
    assert found.path == file
    assert found.licence == facts.licence
    assert download_weights(facts, found) == file


def test_the_hubs_cache_gives_what_timms_own_loader_gives(cache_weights, own_weights):
    facts = describe_network(TIMM)
    cache_weights(facts.name, own_weights)
    path = find_weights(facts, "").path
    assert path is not None
    network = build_network(settings_for(TIMM), 2, StartWeights(path)).eval()
    reference = timm.create_model(facts.name, pretrained=True, num_classes=0).eval()  # reads the same cache
    images = torch.rand(2, 3, 160, 160)
    assert torch.equal(network.body(images), reference(images))


def test_without_network_the_error_names_the_ways_on(hub):
    with pytest.raises(WeightsError) as caught:
        find_weights(describe_network("resnet18"), "")
    assert caught.value.code == "weights.unavailable"
    for way in ("--weights", "--no-pretrained", "--model tf_efficientnet_lite0.in1k"):
        assert way in caught.value.cure


def test_a_mirrored_network_answers_an_image_and_its_mirror_image_alike():
    """In training each look counts alone; after it the mean of the features is what the head sees."""
    plain = build_network(settings_for("small-fast", mirrored=False, width=8), 3, None).eval()
    both = build_network(settings_for("small-fast", mirrored=True, width=8), 3, None).eval()
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = (plain.features(images) + plain.features(images.flip(3))) / 2
        torch.testing.assert_close(both.features(images), expected)
        torch.testing.assert_close(both(images), both(images.flip(3)))
        assert not plain(images).allclose(plain(images.flip(3)))
        both.train()
        plain.train()
        torch.testing.assert_close(both(images), plain(images))


def test_what_is_exported_of_a_mirrored_network_is_mirrored_too():
    network = build_network(settings_for("small-fast", mirrored=True, width=8), 3, None).eval()
    session = onnxruntime.InferenceSession(trace_graph(Graph(network), 32))
    pixels = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    probabilities, mirrored = (session.run(None, {"pixels": some})[0] for some in (pixels, pixels[:, :, ::-1].copy()))
    np.testing.assert_allclose(probabilities, mirrored, atol=1e-6)
    np.testing.assert_allclose(probabilities, Graph(network).answer(pixels)[0], atol=1e-5)


@pytest.mark.parametrize(("chosen", "is_mirrored"), [({}, True), ({"flip": 0}, False), ({"model": "small-cnn"}, False)])
def test_small_fast_is_mirrored_where_a_mirror_changes_no_class(chosen, is_mirrored):
    assert settings_for(**{"model": "small-fast", **chosen}).mirrored is is_mirrored
