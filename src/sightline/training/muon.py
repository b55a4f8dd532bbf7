"""Muon: orthogonalised momentum for filters, Nesterov SGD for everything else, in one optimiser.

Source: K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024
(https://kellerjordan.github.io/posts/muon/), and the CIFAR-10 speed records from which it came.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor

__all__ = ["Muon", "orthogonalize"]

# A quintic whose slope at 0 is steep: few steps bring small singular values near 1, to about 0.7 to 1.2, which
# is accurate enough for training (Jordan et al.).
_A, _B, _C = 3.4445, -4.7750, 2.0315
_EPS = 1e-7


def orthogonalize(matrix: Tensor, steps: int = 3) -> Tensor:
    """Return nearly ``U V^T`` of a matrix ``U S V^T``, by the Newton-Schulz iteration.

    Args:
        matrix: ``[M, N]``, of any scale.
        steps: iterations; 3 are enough for small convolutions, 5 also lift singular values of 1/1000.

    Returns:
        ``[M, N]``, the dtype of ``matrix``; zeros stay zeros.

    Example:
        >>> orthogonalize(torch.diag(torch.tensor([4.0, 2.0])), steps=5).round(decimals=0)
        tensor([[1., 0.],
                [0., 1.]])
    """
    # bfloat16 halves the time on a GPU; many CPUs only emulate it.
    work = matrix.bfloat16() if matrix.is_cuda else matrix.float()
    work = work / (work.norm() + _EPS)
    tall = work.shape[0] > work.shape[1]
    if tall:  # so that the products have the smaller side
        work = work.T
    for _ in range(steps):
        gram = work @ work.T
        work = torch.addmm(work, torch.addmm(gram, gram, gram, beta=_B, alpha=_C), work, beta=_A)
    return (work.T if tall else work).to(matrix.dtype)


class Muon(torch.optim.Optimizer):
    """Muon for groups of kind ``"muon"``, SGD with Nesterov momentum for groups of kind ``"sgd"``.

    A Muon weight of more than two dimensions is treated as ``[first, all others]``. Each step changes it by about
    ``lr`` times an orthogonal matrix, whatever the size of its gradient.

    Args:
        params: weights, or groups, each with any of the settings below.
        lr: learning rate.
        momentum: of the running sum of gradients.
        weight_decay: a step shrinks weights by ``lr * weight_decay`` of themselves, apart from the gradient.
        kind: ``"muon"`` or ``"sgd"``.
        steps: Newton-Schulz iterations.
        normalize: before each step, scale a Muon weight to the norm of an orthogonal matrix of its shape; for
            layers before a batch norm, which undoes any scale. ``lr`` is then the share of the weight that changes.
        limit: largest change of one value in one step by its gradient, in groups of kind ``"sgd"``; it keeps a
            very high rate safe where gradients are large or only rounding errors.

    Raises:
        ValueError: for another kind, or Muon for a weight of one dimension.

    Example:
        >>> layer = torch.nn.Conv2d(3, 8, 3)
        >>> groups = [{"params": [layer.weight]}, {"params": [layer.bias], "kind": "sgd", "lr": 0.1}]
        >>> [group["lr"] for group in Muon(groups, lr=0.02).param_groups]
        [0.02, 0.1]
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 0.02,
        momentum: float = 0.85,
        weight_decay: float = 0.0,
        *,
        kind: str = "muon",
        steps: int = 3,
        normalize: bool = False,
        limit: float = math.inf,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "kind": kind,
            "steps": steps,
            "normalize": normalize,
            "limit": limit,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            if group["kind"] not in ("muon", "sgd"):
                raise ValueError(f"kind must be 'muon' or 'sgd', not {group['kind']!r}")
            if group["kind"] == "muon" and any(weight.ndim < 2 for weight in group["params"]):
                raise ValueError("Muon is for matrices and filters; put biases into a group of kind 'sgd'")

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Make one update of every weight that has a gradient; returns the closure's loss, if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._update(weight, weight.grad, group)
        return loss

    def _update(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        buffer = state["momentum_buffer"].mul_(group["momentum"]).add_(gradient)
        direction = gradient.add(buffer, alpha=group["momentum"])
        if group["kind"] == "muon":
            if group["normalize"]:
                weight.mul_(_orthogonal_norm(weight) / (weight.norm() + _EPS))
            direction = orthogonalize(direction.flatten(1), group["steps"]).view_as(direction)
        elif math.isfinite(group["limit"]):
            reach = group["limit"] / max(group["lr"], _EPS)
            direction = direction.clamp(-reach, reach)
        weight.mul_(1 - group["lr"] * group["weight_decay"])
        weight.add_(direction, alpha=-group["lr"])


def _orthogonal_norm(weight: Tensor) -> float:
    """Return the Frobenius norm of a matrix of this shape whose singular values are all 1."""
    return float(min(len(weight), weight[0].numel()) ** 0.5)
