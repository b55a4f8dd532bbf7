"""EfficientNet-Lite without torch, against timm's own network: its graph, and its definition in numpy."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import timm
import torch
from safetensors.numpy import load_file
from torch.nn.functional import pad

from sightline.networks.carried import carried_file
from sightline.networks.lite import build_body, count_channels, list_blocks, same_padding
from sightline.networks.lite_reference import compute_features
from sightline.planning.carried_network import CARRIED
from sightline.runtime.onnx_session import INPUT, open_session

TENSORS = load_file(carried_file())


def squares(count: int, size: int) -> np.ndarray:
    """Return smooth random images, as photos are."""
    random = np.random.default_rng(size)
    small = torch.from_numpy(random.integers(0, 256, (count, 3, 9, 9)).astype(np.float32))
    large = torch.nn.functional.interpolate(small, size=(size, size), mode="bicubic").clamp(0, 255)
    return large.permute(0, 2, 3, 1).round().byte().numpy()


def timms(tensors, images: np.ndarray, name: str = CARRIED.name) -> np.ndarray:
    network = timm.create_model(name.split(".")[0], num_classes=0).eval()
    network.load_state_dict({name: torch.from_numpy(value) for name, value in tensors.items()})
    with torch.inference_mode():
        return network((torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5).numpy()


@pytest.mark.parametrize("size", [224, 160, 97])
def test_graph_and_definition_compute_what_timm_computes(size):
    images = squares(2, size)
    wanted = timms(TENSORS, images)
    model = build_body(TENSORS, size, CARRIED.mean, CARRIED.std)
    onnx.checker.check_model(model, full_check=True)
    found = open_session(model.SerializeToString(), threads=1).run(["features"], {INPUT: images})[0]
    assert np.abs(found - wanted).max() < 1e-4 * np.abs(wanted).max()
    defined = compute_features(TENSORS, images, CARRIED.mean, CARRIED.std)
    assert np.abs(defined - wanted).max() < 1e-4 * np.abs(wanted).max()


def test_another_lite_of_other_depths_is_read_from_its_names():
    network = timm.create_model("tf_efficientnet_lite2", num_classes=0)
    tensors = {name: value.numpy() for name, value in network.state_dict().items()}
    images = squares(1, 64)
    found = build_body(tensors, 64, CARRIED.mean, CARRIED.std).SerializeToString()
    wanted = timms(tensors, images, "tf_efficientnet_lite2")
    seen = open_session(found, threads=1).run(["features"], {INPUT: images})[0]
    assert np.abs(seen - wanted).max() < 1e-4 * np.abs(wanted).max()
    assert len(list_blocks(tensors)) > len(list_blocks(TENSORS)) == 18


def test_graph_and_definition_compute_the_means_of_timms_stages():
    images = squares(2, 97)
    network = timm.create_model("tf_efficientnet_lite0", num_classes=0).eval()
    network.load_state_dict({name: torch.from_numpy(value) for name, value in TENSORS.items()})
    seen = []
    for name in ("blocks.2", "blocks.4", "blocks.6"):  # at 1/8, 1/16 and 1/32 of the image
        network.get_submodule(name).register_forward_hook(lambda _, __, out: seen.append(out.mean((2, 3))))
    with torch.inference_mode():
        last = network((torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5)
    wanted = [part.numpy() for part in (*seen, last)]
    model = build_body(TENSORS, 97, CARRIED.mean, CARRIED.std, has_stages=True)
    onnx.checker.check_model(model, full_check=True)
    found = open_session(model.SerializeToString(), threads=1).run(["features"], {INPUT: images})[0]
    defined = compute_features(TENSORS, images, CARRIED.mean, CARRIED.std, has_stages=True)
    sizes = count_channels(TENSORS, has_stages=True)
    assert sizes == tuple(part.shape[1] for part in wanted) and sum(sizes) == found.shape[1]
    for features in (found, defined):
        for part, given in zip(np.split(features, np.cumsum(sizes)[:-1], axis=1), wanted, strict=True):
            assert np.abs(part - given).max() < 1e-4 * np.abs(given).max()


def test_features_do_not_depend_on_batch_or_threads():
    """So those of the cache are, bit for bit, those that would be computed now."""
    images, model = squares(5, 224), build_body(TENSORS, 224, CARRIED.mean, CARRIED.std).SerializeToString()
    whole = open_session(model, threads=2).run(["features"], {INPUT: images})[0]
    session = open_session(model, threads=1)
    single = [session.run(["features"], {INPUT: images[place : place + 1]})[0] for place in range(5)]
    assert np.array_equal(np.concatenate(single), whole)


@pytest.mark.parametrize(("side", "kernel", "stride"), [(224, 3, 2), (112, 3, 1), (15, 5, 2), (14, 5, 2), (7, 5, 1)])
def test_sides_are_padded_as_by_timm(side, kernel, stride):
    from timm.layers import pad_same

    ours = pad(torch.ones(1, 1, side, side), (*same_padding(side, kernel, stride),) * 2)
    assert torch.equal(pad_same(torch.ones(1, 1, side, side), [kernel] * 2, [stride] * 2), ours)


def test_mean_and_std_are_in_the_graph():
    images = squares(1, 96)
    models = [
        build_body(TENSORS, 96, mean, std) for mean, std in (((0.5,) * 3, (0.5,) * 3), ((0.2, 0.3, 0.4), (0.3,) * 3))
    ]
    plain, other = (open_session(m.SerializeToString(), threads=1).run(None, {INPUT: images})[0] for m in models)
    defined = compute_features(TENSORS, images, (0.2, 0.3, 0.4), (0.3,) * 3)
    assert np.abs(other - defined).max() < 1e-4 * np.abs(defined).max() and np.abs(other - plain).max() > 0.1
