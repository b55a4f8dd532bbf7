"""Which pretrained networks a search may try: those whose weights are here, and that cost about as much."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sightline.planning.settings import Settings

__all__ = ["comparable_networks"]

_LARGER = 4.0  # times the plain recipe's weights: a trial of a larger network takes the time of many others
_MOST = 6


def comparable_networks(plain: Settings, begun: Mapping[str, Any] | None = None) -> tuple[str, ...]:
    """Return the networks of a search by name, the plain recipe's among them; fewer than two are none.

    Args:
        plain: settings of the plain recipe.
        begun: the space of a search that goes on, which keeps the networks that it has.

    Example:
        ``comparable_networks(plan.settings)``
    """
    if not plain.pretrained or plain.weights or plain.engine != "torch":
        return ()  # a file of weights fits one network, and without torch there is one
    if begun is not None:
        return tuple(begun.get("model", {}).get("choices", ()))
    from sightline.networks.listing import measure_cached

    here = measure_cached()
    own = here.get(plain.model)
    if own is None:
        return ()
    near = sorted(here, key=lambda name: (name != plain.model, abs(math.log(max(1, here[name]) / max(1, own)))))
    kept = [name for name in near if here[name] <= _LARGER * own][:_MOST]
    return tuple(sorted(kept)) if len(kept) > 1 else ()
