"""The fast small network: shapes at every size, its start, whitening of any images, and ONNX."""

from __future__ import annotations

import warnings

import numpy as np
import onnxruntime
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from sightline.networks.small_fast import SmallFast, scale_head, whiten_first_layer, whitening_filters


def make_images(count: int, size: int, seed: int = 0) -> torch.Tensor:
    """Return smooth coloured noise: neighbouring pixels and channels are correlated, as in photos."""
    random = torch.Generator().manual_seed(seed)
    small = torch.randn(count, 3, size // 4, size // 4, generator=random)
    grey = torch.randn(count, 1, size // 4, size // 4, generator=random)
    large = nn.functional.interpolate(small + 2 * grey, size=(size, size), mode="bilinear")
    return large + 0.1 * torch.randn(count, 3, size, size, generator=random)


def patches(images: torch.Tensor, kernel: int) -> torch.Tensor:
    return nn.functional.unfold(images, kernel).transpose(1, 2).flatten(0, 1)


@pytest.mark.parametrize("size", [16, 28, 32, 40, 41, 48, 64])
def test_it_takes_every_size_and_smaller_copies(size):
    body = SmallFast(size, width=8).eval()
    smallest = 12 if size <= 40 else 24
    for height, width in ((size, size), (smallest, smallest), (size, smallest)):
        features = body(torch.zeros(2, 3, height, width).contiguous(memory_format=torch.channels_last))
        assert features.shape == (2, body.feature_size) == (2, 16)


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_the_first_layer_and_the_scales_of_norms_never_learn(depth):
    body = SmallFast(32, width=8, depth=depth)
    fixed = {name for name, weight in body.named_parameters() if not weight.requires_grad}
    norms = {f"{name}.weight" for name, layer in body.named_modules() if isinstance(layer, torch.nn.BatchNorm2d)}
    assert fixed == {"stem.weight", *norms} and len(norms) == 3 * depth


def test_a_stage_starts_as_the_identity():
    body = SmallFast(32, width=30)
    convolution = body.stages[0].widen
    images = torch.randn(2, 24, 9, 9)
    torch.testing.assert_close(convolution(images)[:, :24], images)
    assert convolution(images)[:, 24:].abs().mean() > 0


@pytest.mark.parametrize(("size", "kernel"), [(32, 2), (64, 4)])
def test_whitened_patches_are_uncorrelated_and_of_unit_variance(size, kernel):
    images = make_images(200, size)
    filters = whitening_filters(images, kernel, 12).flatten(1)
    whitened = patches(images, kernel) @ filters.T
    moments = whitened.T @ whitened / len(whitened)
    torch.testing.assert_close(moments, moments.diagonal().diag(), atol=1e-3, rtol=0)
    # The floor under the variances takes a little from the weakest directions.
    assert (moments.diagonal() > 0.9).all() and (moments.diagonal() < 1.001).all()


def test_the_strongest_directions_are_those_of_numpy():
    images = make_images(50, 32)
    variances = np.linalg.eigvalsh(patches(images, 2).double().T @ patches(images, 2).double() / (50 * 31 * 31))
    norms = whitening_filters(images, 2, 12).flatten(1).norm(dim=1)
    np.testing.assert_allclose(norms, (variances[::-1] + 5e-4) ** -0.5, rtol=1e-4)


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(10, 3, 16, 16),
        torch.full((3, 3, 16, 16), 1.7),
        make_images(1, 16),
        torch.randn(5, 1, 16, 16).expand(-1, 3, -1, -1),
        torch.zeros(0, 3, 16, 16),
    ],
    ids=["black", "one color", "one image", "grey", "none"],
)
def test_images_without_variation_give_bounded_filters(images):
    filters = whitening_filters(images, 2, 12)
    assert filters.isfinite().all()
    assert filters.flatten(1).norm(dim=1).max() <= 5e-4**-0.5 * 1.001
    assert torch.equal(filters, whitening_filters(images, 2, 12))


def test_the_first_layer_sees_both_signs_and_does_not_learn():
    body = SmallFast(32, width=8)
    whiten_first_layer(body, make_images(20, 32))
    assert torch.equal(body.stem.weight[:12], -body.stem.weight[12:])
    assert not body.stem.weight.requires_grad


@pytest.mark.parametrize("classes", [2, 1000])
def test_the_head_starts_small(classes):
    head = nn.Linear(128, classes)
    torch.manual_seed(0)
    scale_head(head)
    assert head.weight.std().item() == pytest.approx(1 / (16 * 128**0.5), rel=0.1)
    assert not head.bias.any()


@pytest.mark.parametrize(("size", "depth"), [(32, 2), (48, 3)])
def test_it_exports_to_onnx_with_any_batch(tmp_path, size, depth):
    torch.manual_seed(0)
    body = SmallFast(size, width=8, depth=depth)
    images = make_images(6, size)
    whiten_first_layer(body, images)
    body.train()(images)  # batch norm statistics of its own
    body.eval()
    path = tmp_path / "body.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's notes to its own developers
        program = torch.onnx.export(
            body, (images[:2],), dynamo=True, verbose=False, dynamic_shapes={"images": {0: torch.export.Dim.DYNAMIC}}
        )
    program.save(str(path), external_data=False)
    session = onnxruntime.InferenceSession(str(path))
    for count in (1, 6):
        (found,) = session.run(None, {session.get_inputs()[0].name: images[:count].numpy()})
        np.testing.assert_allclose(found, body(images[:count]).detach(), atol=1e-4)


def test_grey_images_have_the_same_features_in_half_precision() -> None:
    """Large weights cancel each other in full precision alone: digits were hardly learned, with three of five seeds."""
    grey = torch.tensor(load_digits().images[:150, None], dtype=torch.float32) / 16
    images = (nn.functional.interpolate(grey, size=16, mode="bilinear").repeat(1, 3, 1, 1) - 0.3) / 0.37
    torch.manual_seed(0)
    body = SmallFast(16, 16).eval()
    whiten_first_layer(body, images)
    with torch.no_grad():
        wanted = body(images)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = body(images).float()
    assert (rounded - wanted).norm() < 0.012 * wanted.norm()
