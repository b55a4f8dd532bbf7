"""Batch norms folded into the convolutions before them: the same answers from half the passes over memory."""

from __future__ import annotations

import copy

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from sightline.networks.network import Network

__all__ = ["fold_batch_norms"]


class _Tracer(fx.Tracer):
    """Follows a network down to its norms, and not into them: timm's own ones hold an activation."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, nn.BatchNorm2d) or super().is_leaf_module(m, module_qualified_name)


def fold_batch_norms(network: Network) -> Network:
    """Return a copy of a network for looking, not for training, whose batch norms are folded where they can be.

    A norm is folded if it follows a plain convolution whose output nobody else uses, and if both are called once. In
    evaluation it is a fixed scale and shift (as in B. Jacob et al., arXiv 1712.05877, section 3.2); the arithmetic is
    torch's own. A network that can't be followed comes back as a copy, with its norms.

    Example:
        ``fold_batch_norms(network).features(images)`` equals ``network.eval().features(images)`` within rounding.
    """
    network = copy.deepcopy(network).eval()
    try:
        nodes = list(_Tracer().trace(network.body).nodes)
    except Exception:  # a network may do anything with its input that tracing does not know
        return network
    modules = dict(network.body.named_modules(remove_duplicate=False))
    called = [node.target for node in nodes if node.op == "call_module"]
    for node in nodes:
        before = node.args[0] if node.op == "call_module" and node.args else None
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) > 1:
            continue
        conv, norm = modules[str(before.target)], modules[str(node.target)]
        rest = _rest_of(norm)
        is_once = all(_calls(modules, called, layer) == 1 for layer in (conv, norm))
        if type(conv) is nn.Conv2d and isinstance(norm, nn.BatchNorm2d) and rest is not None and is_once:
            network.body.set_submodule(str(before.target), fuse_conv_bn_eval(conv, norm))
            network.body.set_submodule(str(node.target), rest)
    return network


def _rest_of(norm: nn.Module) -> nn.Module | None:
    """Return what a norm does beside norming: nothing, or timm's activation; None where that is not known."""
    if type(norm) is nn.BatchNorm2d:
        return nn.Identity() if norm.running_mean is not None else None
    if type(norm).__name__ == "BatchNormAct2d":
        return nn.Sequential(norm.drop, norm.act)  # type: ignore[arg-type]
    return None


def _calls(modules: dict[str, nn.Module], called: list[object], layer: nn.Module) -> int:
    return sum(modules[str(name)] is layer for name in called)
