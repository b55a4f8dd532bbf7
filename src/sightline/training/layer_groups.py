"""Groups of a network's layers from the stem to the head: for rates by depth, and for gradual unfreezing."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from torch import nn

from sightline.networks.network import Network
from sightline.planning.settings import Settings

__all__ = ["freeze_below", "freeze_for_good", "layer_groups", "norm_layers", "set_training", "unfrozen_at"]


def layer_groups(network: Network, *, coarse: bool) -> list[list[str]]:
    """Return the names of all parameters in groups, from the stem to the head; the head is the last one.

    Args:
        network: with any body.
        coarse: one group per stage instead of one per block, where the body is timm's.

    Returns:
        Names as in ``network.named_parameters()``, each once; no group is empty.

    References:
        A timm body is grouped by its own ``group_matcher``, as ``timm.optim.param_groups_layer_decay`` does; any
        other by its children in order, where each block of a sequence is a group.

    Example:
        >>> network = Network(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)), 8, 2, (0.5,) * 3, (0.5,) * 3)
        >>> [names[0] for names in layer_groups(network, coarse=True)]
        ['body.0.weight', 'body.1.weight', 'head.weight']
    """
    body: Any = network.body
    if hasattr(body, "group_matcher"):
        import timm

        found = timm.models.group_parameters(body, body.group_matcher(coarse=coarse))
        groups = [list(names) for _, names in sorted(found.items())]
    else:
        groups = [[name for name, _ in module.named_parameters(prefix=prefix)] for prefix, module in _blocks(body, "")]
        inside = {name for names in groups for name in names}
        groups.insert(0, [name for name, _ in body.named_parameters() if name not in inside])
    named = [[f"body.{name}" for name in names] for names in groups]
    return [names for names in [*named, ["head.weight", "head.bias"]] if names]


def _blocks(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    """Yield a body's children by name, and the blocks of a sequence one by one."""
    for name, child in module.named_children():
        path = f"{prefix}{name}"
        is_sequence = isinstance(child, nn.Sequential | nn.ModuleList)
        if is_sequence and all(any(True for _ in block.children()) for block in child.children()):
            yield from _blocks(child, f"{path}.")
        else:
            yield path, child


def unfrozen_at(step: int, steps_each: float) -> int:
    """Return how many groups train at a step (from 0): the head, and one more every ``steps_each`` steps.

    Example:
        >>> [unfrozen_at(step, 2) for step in range(5)]
        [1, 1, 2, 2, 3]
    """
    return 1 + int(step / steps_each + 1e-9)


def freeze_below(network: Network, unfrozen: int, trainable: Collection[str]) -> None:
    """Train the last ``unfrozen`` groups of layers and freeze all others.

    Args:
        network: the network.
        unfrozen: number of groups, counted from the head.
        trainable: names of the weights that may be trained; a network may keep others fixed by design.

    References:
        J. Howard, S. Ruder, "Universal language model fine-tuning for text classification", arXiv 1801.06146.
    """
    groups = layer_groups(network, coarse=True)
    free = {name for names in groups[max(0, len(groups) - unfrozen) :] for name in names}.intersection(trainable)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name in free)
        if name not in free:
            parameter.grad = None


def freeze_for_good(network: Network, settings: Settings) -> None:
    """Freeze what does not learn in the whole training: the body, or all but the last ``thaw`` groups."""
    if settings.freeze_body:
        network.body.requires_grad_(False)
    elif settings.thaw:
        learning = [name for name, weight in network.named_parameters() if weight.requires_grad]
        freeze_below(network, settings.thaw, learning)


def set_training(network: Network, settings: Settings) -> None:
    """Set the network to training mode, except for frozen layers, whose batch norms stay as they are."""
    network.train()
    if settings.freeze_body:
        network.body.eval()
    is_partly = settings.unfreeze_every or settings.thaw
    for layer in norm_layers(network):
        is_frozen = is_partly and not any(weight.requires_grad for weight in layer.parameters())
        if settings.freeze_norm or is_frozen:
            layer.eval()


def norm_layers(network: nn.Module) -> Iterator[nn.Module]:
    """Yield the layers that keep running statistics of batches."""
    for layer in network.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            yield layer
