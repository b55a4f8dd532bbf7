"""timm's names of networks and weights, read from its source files: importing it takes seconds, this a fifth of one."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

__all__ = ["TimmNames", "read_timm_names"]

_COMMENT = re.compile(r"#[^\n]*")
_NETWORK = re.compile(r"^@register_model\s+def (\w+)", re.MULTILINE)
_QUOTED = re.compile(r"""(["'])(\w+)\1""")
# A table of weights, and an entry: 'resnet18.a1_in1k': _cfg(hf_hub_id='timm/', ...). A star marks the default tag.
_TABLE = re.compile(r"^default_cfgs\b[^\n]*\{\s*$(.*?)^\}", re.MULTILINE | re.DOTALL)
_ENTRY = re.compile(r"""^\s*(["'])(\w+)(?:\.([\w.\-]+))?(\*?)\1\s*:""", re.MULTILINE)
_SOURCE = re.compile(r"""\b(hf_hub_id|url|file)=(["'])([^"'\n]+)\2""")


@dataclass(frozen=True, slots=True)
class TimmNames:
    """What timm's source files state. What is made by their code is not among it.

    Attributes:
        networks: names of networks, without tags.
        mentioned: whatever else stands in quotes, and may be a name too, as those of old versions are.
        tags: network -> the tags of its weights, the default first, for those that are listed one by one.
        repositories: name with tag -> its repository on the hub.
    """

    networks: frozenset[str]
    mentioned: frozenset[str]
    tags: dict[str, tuple[str, ...]]
    repositories: dict[str, str]

    def repository_of(self, name: str) -> str | None:
        """Return the hub's repository of a network's weights; None where the sources don't tell.

        Args:
            name: with a tag, or without: that of the default weights.
        """
        network, _, tag = name.partition(".")
        tags = self.tags.get(network)
        return self.repositories.get(f"{network}.{tag or tags[0]}") if tags else None


@lru_cache(maxsize=1)
def read_timm_names() -> TimmNames | None:
    """Return the names in the source files of the installed timm, or None if there are none.

    Example:
        >>> read_timm_names().repository_of("resnet18.tv_in1k")
        'timm/resnet18.tv_in1k'
    """
    spec = importlib.util.find_spec("timm")
    if spec is None or not spec.origin:
        return None
    files = sorted((Path(spec.origin).parent / "models").glob("*.py"))
    texts = [_COMMENT.sub("", file.read_text("utf-8", "replace")) for file in files]
    networks = frozenset(name for text in texts for name in _NETWORK.findall(text))
    mentioned = frozenset(name for text in texts for _, name in _QUOTED.findall(text))
    if not networks:
        return None
    entries: dict[str, list[_Entry]] = {}
    for table in (table for text in texts for table in _TABLE.findall(text)):
        for entry in _entries(table):
            entries.setdefault(entry.network, []).append(entry)
    tags = {network: _in_order(own) for network, own in entries.items() if network in networks}
    every = (entry for own in entries.values() for entry in own)
    repositories = {f"{entry.network}.{entry.tag}": entry.repository for entry in every if entry.repository}
    return TimmNames(networks, mentioned, tags, repositories)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of a table of weights."""

    network: str
    tag: str
    is_default: bool
    has_weights: bool
    repository: str


def _entries(table: str) -> Iterable[_Entry]:
    """Return the entries of a table of weights, in their order."""
    found = list(_ENTRY.finditer(table))
    ends = [entry.start() for entry in found[1:]] + [len(table)] * bool(found)
    for entry, end in zip(found, ends, strict=True):
        network, tag, star = entry[2], entry[3] or "", entry[4]
        sources = {name: value for name, _, value in _SOURCE.findall(table[entry.end() : end])}
        repository = sources.get("hf_hub_id", "")
        repository = f"{repository}{network}.{tag}" if repository.endswith("/") else repository
        yield _Entry(network, tag, bool(star), bool(sources), repository)


def _in_order(entries: list[_Entry]) -> tuple[str, ...]:
    """Return the tags of one network, the default first: one with a star, or else the first that has weights."""
    default = next((entry for entry in entries if entry.is_default), None)
    default = default or next((entry for entry in entries if entry.has_weights), entries[0])
    return default.tag, *(entry.tag for entry in entries if entry is not default)
