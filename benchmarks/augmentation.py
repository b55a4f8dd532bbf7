"""Time of random changes on whole batches, beside torchvision's (image by image, which is how it is used) and kornia's.

    python benchmarks/augmentation.py [--device cuda] [--threads 1]

Each row is one change, or a usual set of them, on the same batch of channels-last floats. The ratio is their time over
ours: above 1 we are faster. torchvision gets what its data loaders give it, one ``uint8`` image at a time, and its
result is made a float; on a whole batch it would change all images in the same way.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable

import numpy as np
import torch
from torchvision.transforms import InterpolationMode, v2

from sightline.networks.describe import describe_network
from sightline.planning.facts import DataFacts, Hardware
from sightline.planning.plan import make_plan
from sightline.planning.recipe import Recipe
from sightline.training.augment import augment_batch

NOTHING = dict.fromkeys(("flip", "translate", "zoom", "brightness", "contrast", "saturation"), 0.0)
BILINEAR = InterpolationMode.BILINEAR
JITTER = {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2}
BATCHES = ((256, 32), (16, 224))


def rows(side: int) -> dict[str, tuple[dict[str, object], list[torch.nn.Module]]]:
    """Return name -> (our settings, torchvision's transforms that do the same)."""
    pad = round(0.125 * side)
    crop = [v2.RandomCrop(side, padding=pad, padding_mode="reflect")]
    flip = [v2.RandomHorizontalFlip()]
    affine = v2.RandomAffine(15, (0.1, 0.1), (0.9, 1.1), 10, interpolation=BILINEAR)
    resized = v2.RandomResizedCrop(side, (0.49, 1), (1, 1), antialias=False)
    kernel = 2 * max(1, round(3 * 2 * side / 224)) + 1
    sigma = 2 * side / 224
    return {
        "flip": ({"flip": 0.5}, flip),
        "flip_vertical": ({"flip_vertical": 0.5}, [v2.RandomVerticalFlip()]),
        "translate": ({"translate": 0.125}, crop),
        "zoom": ({"zoom": 0.3}, [resized]),
        "rotate": ({"rotate": 15.0}, [v2.RandomRotation(15, interpolation=BILINEAR)]),
        "rotate, shear, shift, zoom": (
            {"rotate": 15.0, "shear": 10.0, "translate": 0.1, "zoom": 0.1, "zoom_out": 0.1},
            [affine],
        ),
        "brightness": ({"brightness": 0.2}, [v2.ColorJitter(0.2)]),
        "four colours": ({**JITTER, "hue": 0.1}, [v2.ColorJitter(0.2, 0.2, 0.2, 0.1)]),
        "blur": ({"blur": 0.5}, [v2.RandomApply([v2.GaussianBlur(kernel, (0.1, sigma))], 0.5)]),
        "erasing": ({"erasing": 0.5}, [v2.RandomErasing(0.5)]),
        "randaugment": ({"policy": "randaugment"}, [v2.RandAugment(interpolation=BILINEAR)]),
        "set: small images": ({"flip": 0.5, "translate": 0.125}, [*crop, *flip]),
        "set: photos": ({"flip": 0.5, "zoom": 0.3, **JITTER}, [resized, *flip, v2.ColorJitter(0.2, 0.2, 0.2)]),
        "set: strong": (
            {"flip": 0.5, "rotate": 15.0, "zoom": 0.3, **JITTER, "hue": 0.1, "blur": 0.2, "erasing": 0.25},
            [
                resized,
                v2.RandomRotation(15, interpolation=BILINEAR),
                *flip,
                v2.ColorJitter(0.2, 0.2, 0.2, 0.1),
                v2.RandomApply([v2.GaussianBlur(kernel, (0.1, sigma))], 0.2),
                v2.RandomErasing(0.25),
            ],
        ),
    }


def settings_of(side: int, chosen: dict[str, object]) -> object:
    """Return a plan's settings with these changes alone."""
    data = DataFacts(("ant", "bee"), {"train": 64, "val": 16, "test": 16}, side, 1.0)
    options = Recipe(model="small-fast", size=side, **{**NOTHING, **chosen})
    return make_plan(Recipe(), options, data, Hardware("cpu", "x", 1, "x"), describe_network("small-fast")).settings


def seconds(call: Callable[[], object], device: str) -> float:
    """Return the fastest of seven calls after a first one: what else runs on the machine only adds to it."""
    taken = []
    for _ in range(8):
        start = time.perf_counter()
        call()
        if device != "cpu":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - start)
    return min(taken[1:])


def kornia_of(name: str, side: int) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """Return kornia's version of a row, where it is installed and has one."""
    if importlib.util.find_spec("kornia") is None:
        return None
    from kornia import augmentation as k

    return {
        "flip": k.RandomHorizontalFlip(),
        "rotate": k.RandomRotation(15.0, p=1.0),
        "four colours": k.ColorJiggle(0.2, 0.2, 0.2, 0.1, p=1.0),
        "set: photos": k.AugmentationSequential(
            k.RandomResizedCrop((side, side), (0.49, 1.0), (1.0, 1.0)),
            k.RandomHorizontalFlip(),
            k.ColorJiggle(0.2, 0.2, 0.2, p=1.0),
        ),
    }.get(name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"{'batch':<10}{'change':<28}{'ours ms':>9}{'torchvision ms':>16}{'ratio':>8}{'kornia':>8}")
    for count, side in BATCHES:
        pixels = torch.randint(0, 256, (count, side, side, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
        batch = (pixels.to(arguments.device).float() / 255).contiguous(memory_format=torch.channels_last)
        for name, (chosen, transforms) in rows(side).items():
            settings, change = settings_of(side, chosen), v2.Compose(transforms)

            def ours(batch=batch, settings=settings, count=count) -> object:
                return augment_batch(batch, settings, 3, 1, np.arange(count))

            def theirs(pixels=pixels, change=change) -> object:
                changed = torch.stack([change(image) for image in pixels])
                return changed.to(arguments.device).float().div_(255)

            own, other = seconds(ours, arguments.device), seconds(theirs, arguments.device)
            kornia = kornia_of(name, side)
            last = "" if kornia is None else f"{seconds(lambda k=kornia, b=batch: k(b), arguments.device) / own:.1f}"
            print(f"{f'{count}x{side}':<10}{name:<28}{own * 1e3:>9.2f}{other * 1e3:>16.2f}{other / own:>8.1f}{last:>8}")


if __name__ == "__main__":
    main()
