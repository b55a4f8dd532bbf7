"""Grad-CAM: by hand on a tiny network, on every family of timm's, and where what decides was planted."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
from torch import nn

from sightline.errors import ModelError
from sightline.evaluation.agreement import rank_correlation
from sightline.networks.gradcam import _centres, _layout_of, _Output, _recorded, grad_cam
from sightline.networks.network import Network
from sightline.networks.small_cnn import SmallCnn
from sightline.networks.small_convnext import SmallConvnext
from sightline.networks.small_fast import SmallFast
from sightline.networks.small_resnet import SmallResnet

HALF, QUARTER = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)


def network_of(body: nn.Module, classes: int = 3, side: tuple[int, int] = (64, 64)) -> Network:
    with torch.no_grad():
        size = body.eval()(torch.zeros(1, 3, *side)).shape[1]
    return Network(body, size, classes, HALF, QUARTER)


def make_images(count: int, height: int, width: int | None = None, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width or height, 3), dtype=np.uint8)


# name, what makes it small, side of the image, the layer that must be found, the grid there.
SWIN = {"img_size": 64, "embed_dim": 24, "depths": (1, 1, 1, 1), "num_heads": (1, 2, 4, 8), "window_size": 2}
TIMM = [
    ("test_resnet", {}, 64, "layer4", 2),
    ("test_efficientnet", {}, 64, "bn2", 2),
    ("test_convnext", {}, 64, "stages", 2),
    ("test_byobnet", {}, 64, "stages", 2),
    ("test_nfnet", {}, 64, "final_act", 2),
    ("test_mambaout", {}, 64, "stages", 2),  # NHWC
    ("test_vit", {"img_size": 64}, 64, "blocks.5.norm1", 4),  # a class token alone is read
    ("test_vit2", {"img_size": 64}, 64, "blocks", 4),
    ("test_vit3", {"img_size": 64}, 64, "norm", 4),
    ("test_vit4", {"img_size": 64}, 64, "blocks", 4),
    ("vit_tiny_patch16_224", {"img_size": 48, "depth": 2}, 48, "blocks.1.norm1", 3),
    (
        "vit_small_patch14_reg4_dinov2",
        {"img_size": 56, "depth": 2, "embed_dim": 64, "num_heads": 1},
        56,
        "blocks.1.norm1",
        4,
    ),
    ("deit_tiny_distilled_patch16_224", {"img_size": 48, "depth": 2}, 48, "blocks.1.norm1", 3),
    ("cait_xxs24_224", {"img_size": 48, "depth": 1}, 48, "blocks_token_only.1.norm1", 3),
    ("beit_base_patch16_224", {"img_size": 48, "depth": 1, "embed_dim": 64, "num_heads": 2}, 48, None, 3),
    ("eva02_tiny_patch14_224", {"img_size": 56, "depth": 1}, 56, None, 4),
    ("mixer_s32_224", {"img_size": 64}, 64, "norm", 2),
    ("swin_tiny_patch4_window7_224", SWIN, 64, "norm", 2),  # NHWC
    ("swinv2_tiny_window8_256", SWIN, 64, "norm", 2),
    ("levit_128s", {"img_size": 64}, 64, "stages.1", 2),
    ("poolformer_s12", {}, 64, "stages", 2),
    ("resnet18", {}, 64, "layer4", 2),
    ("tf_efficientnet_lite0", {}, 64, "bn2", 2),
    ("mobilenetv2_100", {}, 64, "bn2", 2),
    ("mobilenetv3_small_100", {}, 64, "blocks", 2),
    ("regnety_002", {}, 64, "s4", 2),
    ("convnext_atto", {"depths": (1, 1, 1, 1)}, 64, "stages", 2),
    ("densenet121", {"block_config": (1, 1, 1, 1)}, 64, "features", 2),
    ("maxvit_rmlp_pico_rw_256", {"img_size": 64}, 64, None, 2),
]


@pytest.mark.parametrize(("name", "smaller", "side", "layer", "grid"), TIMM, ids=[row[0] for row in TIMM])
def test_the_last_map_of_every_family_is_found(name, smaller, side, layer, grid):
    torch.manual_seed(0)
    network = network_of(timm.create_model(name, pretrained=False, num_classes=0, **smaller), side=(side, side))
    for weights in network.parameters():  # some branches start at 0
        if weights.ndim > 1 and not weights.any():
            nn.init.normal_(weights, std=0.1)
    seen = make_images(3, side)
    cams = [grad_cam(network, seen, np.full(3, label)) for label in range(3)]
    maps = np.stack([cam.maps for cam in cams])
    assert maps.shape == (3, 3, side, side) and maps.dtype == np.float32
    assert np.isfinite(maps).all() and maps.min() >= 0 and maps.max() == 1
    assert (maps.reshape(9, -1).std(1) > 0.01).sum() >= 3  # with weights by chance many a class is raised nowhere
    assert layer in (None, cams[0].layer)
    assert grid is None or cams[0].grid == (grid, grid)
    assert np.array_equal(grad_cam(network, seen, np.full(3, 0)).maps, maps[0])


@pytest.mark.parametrize(
    "body", [SmallFast(32, 8, 2), SmallResnet(32, 8, 1), SmallConvnext(32, 8, 1), SmallCnn(32, 8, 1)]
)
def test_our_own_networks_have_one_too(body):
    torch.manual_seed(0)
    cam = grad_cam(network_of(body, side=(32, 32)), make_images(2, 32), np.array([0, 1]))
    assert cam.maps.shape == (2, 32, 32) and min(cam.grid) >= 2


def test_a_map_of_one_place_is_passed_over():
    torch.manual_seed(0)
    network = network_of(timm.create_model("mobilenetv2_100", pretrained=False, num_classes=0), side=(32, 32))
    cam = grad_cam(network, make_images(1, 32), np.array([0]))
    assert cam.grid == (2, 2) and cam.layer.startswith("blocks")


@pytest.mark.parametrize(
    ("name", "more", "grid"),
    [
        ("test_vit", {"img_size": (32, 80)}, (2, 5)),
        ("test_resnet", {}, (2, 3)),
        ("test_vit4", {"img_size": (32, 80)}, (2, 5)),
    ],
)
def test_images_need_not_be_square(name, more, grid):
    torch.manual_seed(0)
    width = 80 if more else 96
    height = 32 if more else 64
    body = timm.create_model(name, pretrained=False, num_classes=0, **more)
    cam = grad_cam(network_of(body, side=(height, width)), make_images(1, height, width), np.array([1]))
    assert cam.grid == grid and cam.maps.shape == (1, height, width)


class ByHand(nn.Module):
    """A pointwise convolution, ReLU and the mean over places."""

    def __init__(self, weights: np.ndarray, order: str = "NCHW") -> None:
        super().__init__()
        self.output_fmt = "NHWC" if order == "NHWC" else "NCHW"
        self.mix, self.act, self.order = nn.Conv2d(3, len(weights), 1, bias=False), nn.ReLU(), order
        self.norm = nn.Hardtanh(0, 1e9)  # changes nothing here
        self.mix.weight.data = torch.tensor(weights, dtype=torch.float32)[..., None, None]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.act(self.mix(x))
        if self.order == "NHWC":
            return self.norm(x.permute(0, 2, 3, 1)).mean((1, 2))
        if self.order == "tokens":
            return self.norm(x.flatten(2).transpose(1, 2)).mean(1)
        return x.mean((2, 3))


@pytest.mark.parametrize("channels", [5, 8])  # as many as rows and columns: what is what, only timm's name tells
@pytest.mark.parametrize("order", ["NCHW", "NHWC", "tokens"])
def test_it_is_what_the_paper_says_by_hand(order, channels):
    random = np.random.default_rng(1)
    filters, head = random.normal(size=(channels, 3)), random.normal(size=(4, channels))
    network = Network(ByHand(filters, order), channels, 4, HALF, QUARTER)
    network.head.weight.data = torch.tensor(head, dtype=torch.float32)
    seen = make_images(6, 8)
    labels = np.array([0, 1, 2, 3, 0, 1])
    places = np.maximum(((seen / 255 - 0.5) / 0.25) @ filters.T, 0)  # [N, H, W, channels]
    weights = head[labels] / 64  # the mean gradient of a channel that is averaged over 64 places
    wanted = np.maximum((places * weights[:, None, None]).sum(-1), 0)
    wanted /= wanted.max((1, 2), keepdims=True)
    np.testing.assert_allclose(grad_cam(network, seen, labels).maps, wanted, atol=1e-5)


class Striding(nn.Module):
    """Passes the brightness of every eighth pixel on, by three convolutions of stride 2."""

    def __init__(self, kernel: int, padding: int) -> None:
        super().__init__()
        self.steps = nn.Sequential(*(nn.Conv2d(3, 3, kernel, 2, padding, bias=False) for _ in range(3)))
        for step in self.steps:
            nn.init.zeros_(step.weight)
            for channel in range(3):
                step.weight.data[channel, channel] = 1 / kernel**2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.steps(x).mean((2, 3))


@pytest.mark.parametrize(("kernel", "padding", "first"), [(3, 1, 0), (2, 0, 3.5), (3, 0, 7), (4, 1, 3.5)])
def test_a_place_lies_where_the_network_looked(kernel, padding, first):
    network = Network(Striding(kernel, padding), 3, 2, (0.0,) * 3, (1.0,) * 3)
    network.head.weight.data = torch.ones(2, 3)
    centre = round(first + 3 * 8)  # of the fourth place
    seen = np.zeros((1, 64, 64, 3), np.uint8)
    seen[0, centre - 1 : centre + 2, centre - 1 : centre + 2] = 255
    cam = grad_cam(network, seen, np.array([0])).maps[0].astype(float)
    weights = cam / cam.sum()
    assert (weights.sum(1) @ np.arange(64), weights.sum(0) @ np.arange(64)) == pytest.approx((centre, centre), abs=1)


def seen_by(network: Network, side: int) -> tuple[list[_Output], torch.Tensor, int]:
    """The outputs of a network whose weights are all positive and without norms, and the one with the last map."""
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.ReLU6):  # has no gradient above 6
            network.set_submodule(name, nn.ReLU())
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
    images = (0.6 + 0.1 * torch.rand(1, 3, side, side)).requires_grad_()  # bright: nothing falls below 0
    with _recorded(network.body.eval()) as outputs:
        network(images)
    place = max(k for k, output in enumerate(outputs) if _layout_of(network.body, output.tensor, images.shape))
    return outputs[: place + 1], images, place


@pytest.mark.parametrize(
    ("name", "near"),
    # in the last two a shortcut is pooled evenly, and the way beside it is not: the truth lies between
    [("resnet18", 3), ("mobilenetv2_100", 3), ("tf_mobilenetv3_small_100", 5), ("test_resnet", 9), ("resnet18d", 9)],
)
def test_centres_are_those_of_the_gradient_of_each_place(name, near):
    torch.manual_seed(0)
    network = network_of(timm.create_model(name, pretrained=False, num_classes=0), side=(224, 224))
    outputs, images, place = seen_by(network, 224)
    last = outputs[place].tensor
    first, step = _centres(outputs, 224, last.shape[2], 0)
    middle = last.shape[2] // 2
    (gradient,) = torch.autograd.grad(last[0, :, middle, middle].sum(), images)
    rows = gradient.abs().sum((0, 1, 3))
    rows = (rows / rows.max()).double() ** 4
    rows /= rows.sum()  # the field's far ends are cut off at one side of the image, not at its heart
    assert float(rows @ torch.arange(224.0).double()) == pytest.approx(first + middle * step, abs=near)
    assert step == 32


@pytest.mark.parametrize("name", ["test_convnext", "swin_tiny_patch4_window7_224", "test_vit4"])
def test_patches_lie_evenly(name):
    torch.manual_seed(0)
    smaller = SWIN if name.startswith("swin") else {"img_size": 64} if "vit" in name else {}
    network = network_of(timm.create_model(name, pretrained=False, num_classes=0, **smaller))
    outputs, _, place = seen_by(network, 64)
    count = _layout_of(network.body, outputs[place].tensor, torch.Size([1, 3, 64, 64])).rows
    assert _centres(outputs, 64, count, 0) == pytest.approx(((64 / count - 1) / 2, 64 / count))


def test_where_nothing_raises_the_score_the_map_is_zero():
    network = Network(ByHand(np.abs(np.eye(3))), 3, 2, HALF, QUARTER)
    network.head.weight.data = torch.full((2, 3), -1.0)
    assert not grad_cam(network, make_images(1, 8), np.array([1])).maps.any()


def test_images_do_not_change_each_others_maps(monkeypatch):
    torch.manual_seed(0)
    network = network_of(SmallResnet(16, 8, 1), side=(16, 16))
    network.train()(torch.rand(8, 3, 16, 16))  # norms with statistics of their own
    seen, labels = make_images(5, 16), np.array([0, 1, 2, 0, 1])
    whole = grad_cam(network, seen, labels).maps
    alone = np.concatenate([grad_cam(network, seen[k : k + 1], labels[k : k + 1]).maps for k in range(5)])
    np.testing.assert_allclose(whole, alone, atol=1e-5)
    monkeypatch.setattr("sightline.networks.gradcam.squares_at_once", lambda size: 2)
    np.testing.assert_allclose(grad_cam(network, seen, labels).maps, whole, atol=1e-5)


def test_the_network_is_left_as_it_was():
    torch.manual_seed(0)
    network = network_of(SmallResnet(16, 8, 1), side=(16, 16)).train()
    network.body.stem.eval()  # a part that is frozen
    for weights in network.parameters():
        weights.requires_grad_(False)
    modes = [module.training for module in network.modules()]
    state = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        assert grad_cam(network, make_images(3, 16), np.arange(3)).maps.any()
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in state.items())
    assert all(weights.grad is None and not weights.requires_grad for weights in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())


def test_a_mirrored_network_is_explained_by_its_look_at_the_image_itself():
    network = network_of(SmallFast(32, 8), side=(32, 32)).eval()
    images, classes = make_images(3, 32), np.array([0, 1, 2])
    maps = grad_cam(network, images, classes).maps
    network.mirrored = True
    np.testing.assert_array_equal(grad_cam(network, images, classes).maps, maps)
    assert network.mirrored


def test_a_network_without_a_map_is_named():
    body = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 5), nn.ReLU())
    with pytest.raises(ModelError) as caught:
        grad_cam(Network(body, 5, 2, HALF, QUARTER), make_images(1, 8), np.array([0]))
    assert caught.value.code == "explain.no-map" and "occlusion" in caught.value.cure


# -- what decides was planted ------------------------------------------------------------------------------------


def planted(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noise with a square of red or green in one quadrant: (images, which colour, which quadrant)."""
    random = np.random.default_rng(seed)
    seen = random.integers(60, 200, (count, 32, 32, 3), dtype=np.uint8)
    labels, quadrants = np.arange(count) % 2, random.integers(0, 4, count)
    for image, label, quadrant in zip(seen, labels, quadrants, strict=True):
        top, left = 16 * (quadrant // 2) + 4, 16 * (quadrant % 2) + 4
        image[top : top + 8, left : left + 8] = (230, 30, 30) if label == 0 else (30, 230, 30)
    return seen, labels, quadrants


def mass_in(maps: np.ndarray, quadrants: np.ndarray) -> np.ndarray:
    """The share of each map that lies in its quadrant; none of an empty map."""
    shares = []
    for values, quadrant in zip(maps, quadrants, strict=True):
        top, left = 16 * (quadrant // 2), 16 * (quadrant % 2)
        shares.append(values[top : top + 16, left : left + 16].sum() / max(values.sum(), 1e-9))
    return np.array(shares)


@pytest.fixture(scope="module")
def trained() -> Network:
    """A small network that learned to tell the two colours apart, wherever they are."""
    torch.manual_seed(0)
    network = network_of(SmallResnet(32, 8, 1), 2, (32, 32))
    seen, labels, _ = planted(512, seed=1)
    images, wanted = torch.from_numpy(seen).permute(0, 3, 1, 2) / 255, torch.from_numpy(labels)
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    network.train()
    for step in range(48):
        rows = torch.arange(64) + 64 * (step % 8)
        loss = nn.functional.cross_entropy(network(images[rows]), wanted[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()


def test_the_map_lies_where_the_class_was_planted(trained):
    seen, labels, quadrants = planted(40, seed=2)
    images = torch.from_numpy(seen).permute(0, 3, 1, 2) / 255
    assert (trained(images).argmax(1).numpy() == labels).mean() == 1
    maps = grad_cam(trained, seen, labels).maps
    assert np.median(mass_in(maps, quadrants)) > 0.5  # twice what an even map has; a place is a quarter of a quadrant
    assert (maps.reshape(40, 2, 16, 2, 16).sum((2, 4)).reshape(40, 4).argmax(1) == quadrants).mean() > 0.9


def test_random_weights_give_another_map_than_trained_ones(trained):
    """The sanity check of Adebayo et al. 2018 (arXiv 1810.03292): a map must be of the network, not of the edges."""
    seen, labels, quadrants = planted(40, seed=3)
    maps, like, inside = grad_cam(trained, seen, labels).maps, [], []
    for seed in range(4):
        torch.manual_seed(seed)
        others = grad_cam(network_of(SmallResnet(32, 8, 1), 2, (32, 32)), seen, labels).maps
        like += [rank_correlation(one[::8, ::8], two[::8, ::8]) for one, two in zip(maps, others, strict=True)]
        inside.append(np.median(mass_in(others, quadrants)))
    known = [value for value in like if value is not None]
    assert len(known) > 100 and np.mean(known) < 0.4
    assert np.mean(inside) < np.median(mass_in(maps, quadrants)) - 0.15
