"""Folds batch norms into the convolutions before them: the same outputs with half the passes over memory."""

from __future__ import annotations

import copy

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from sightline.networks.network import Network

__all__ = ["fold_batch_norms"]


class _Tracer(fx.Tracer):
    """Traces what a network's features come from, down to its norms and convolutions, but not into them: timm's own
    norms include an activation, and its own convolutions pad by the size of the image."""

    traced_func_name = "features"

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, nn.BatchNorm2d | nn.Conv2d) or super().is_leaf_module(m, module_qualified_name)


def fold_batch_norms(network: Network) -> Network:
    """Return a copy of a network for inference, with its batch norms folded where possible.

    A norm is folded if it follows a plain convolution whose output is not used elsewhere, and if both are called once.
    In evaluation it is a fixed scale and shift (as in B. Jacob et al., arXiv 1712.05877, section 3.2); the arithmetic
    is torch's own. For a network that can't be traced, a copy with its norms is returned.

    Example:
        ``fold_batch_norms(network).features(images)`` equals ``network.eval().features(images)`` within rounding.
    """
    network = copy.deepcopy(network).eval()
    try:
        nodes = list(_Tracer().trace(network).nodes)
    except Exception:  # tracing does not support everything that a network may do
        return network
    modules = dict(network.named_modules(remove_duplicate=False))
    called = [node.target for node in nodes if node.op == "call_module"]
    for node in nodes:
        before = node.args[0] if node.op == "call_module" and node.args else None
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) > 1:
            continue
        conv, norm = modules[str(before.target)], modules[str(node.target)]
        rest = _rest_of(norm)
        is_once = all(_calls(modules, called, layer) == 1 for layer in (conv, norm))
        if _is_plain(conv) and isinstance(norm, nn.BatchNorm2d) and rest is not None and is_once:
            network.set_submodule(str(before.target), fuse_conv_bn_eval(conv, norm))
            network.set_submodule(str(node.target), rest)
    return network


def _is_plain(layer: nn.Module) -> bool:
    """Whether a layer is torch's convolution, or that of timm which only pads otherwise: as TensorFlow does."""
    return type(layer) is nn.Conv2d or type(layer).__name__ == "Conv2dSame"


def _rest_of(norm: nn.Module) -> nn.Module | None:
    """Return what a norm module does besides normalising: nothing, or timm's activation; None if unknown."""
    if type(norm) is nn.BatchNorm2d:
        return nn.Identity() if norm.running_mean is not None else None
    if type(norm).__name__ == "BatchNormAct2d":
        return nn.Sequential(norm.drop, norm.act)  # type: ignore[arg-type]
    return None


def _calls(modules: dict[str, nn.Module], called: list[object], layer: nn.Module) -> int:
    return sum(modules[str(name)] is layer for name in called)
