"""The house in numbers: rooms and lines, imports that run up, circles, the longest files and functions, loose types.

    python benchmarks/house.py [CHECKOUT] [--layers]

Reads the code as text, so that two checkouts can be compared. ``--layers`` lists the layers of ``pyproject.toml`` that
the arrows are compared with.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections import Counter, defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path


def main(root: Path, *, show_layers: bool = False) -> None:
    """Print the table."""
    source = root / "src" / "sightline"
    trees = {file: ast.parse(file.read_text(encoding="utf-8")) for file in sorted(source.rglob("*.py"))}
    contract = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ][0]
    height = {
        name.strip(): -row
        for row, layer in enumerate(contract["layers"])
        for name in layer.replace(":", "|").split("|")
    }
    if show_layers:
        print("\n".join(contract["layers"]))
    lines, files, arrows = Counter[str](), Counter[str](), defaultdict(set)
    for file, tree in trees.items():
        room = room_of(file.relative_to(source))
        lines[room] += len(file.read_text(encoding="utf-8").splitlines())
        files[room] += 1
        for target in imported(tree):
            if target != room and target in height:
                arrows[room].add(target)
    print(f"rooms {len(lines)}, files {len(trees)}, lines {sum(lines.values()):,}")
    print(
        "  " + ", ".join(f"{room} {files[room]}/{lines[room]:,}" for room in sorted(lines, key=lines.__getitem__)[::-1])
    )
    up = [(a, b) for a, targets in arrows.items() for b in targets if height.get(a, 0) <= height[b] and a in height]
    print(f"arrows between rooms {sum(map(len, arrows.values()))}, up or sideways {len(up)} {up or ''}")
    try:
        TopologicalSorter(arrows).prepare()
        print("circles of rooms 0")
    except CycleError as error:
        print(f"a circle: {error.args[1]}")
    sizes = sorted((len(f.read_text(encoding="utf-8").splitlines()), str(f.relative_to(source))) for f in trees)[::-1]
    print("longest files      " + ", ".join(f"{name} {count}" for count, name in sizes[:6]))
    print("longest functions  " + ", ".join(f"{name} {count}" for count, name in sorted(lengths(trees))[::-1][:6]))
    loose = Counter(word for tree in trees.values() for word in loose_types(tree))
    print("public signatures  " + ", ".join(f"{word} {loose[word]}" for word in ("dict[str, Any]", "-> Any")))


def room_of(path: Path) -> str:
    """Return the room of a file below ``src/sightline``: its package, or its own name."""
    return path.parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> set[str]:
    """Return the rooms that a file imports, inside functions too."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sightline"):
            parts = (node.module or "").split(".")
            names |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
    return names


def lengths(trees: dict[Path, ast.Module]) -> list[tuple[int, str]]:
    """Return (lines without the docstring, name) of each function without those of ``cli``."""
    found = []
    for file, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and file.parent.name != "cli":
                first = node.body[1] if ast.get_docstring(node) is not None and len(node.body) > 1 else node.body[0]
                head = node.body[0].lineno - node.lineno
                found.append((head + (node.end_lineno or 0) - first.lineno + 1, f"{file.stem}.{node.name}"))
    return found


def loose_types(tree: ast.Module) -> list[str]:
    """Return ``dict[str, Any]`` and ``-> Any`` for each place in the signature of a public function or field."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            notes = [a.annotation for a in arguments if a.annotation] + ([node.returns] if node.returns else [])
            found += ["dict[str, Any]"] * sum("dict[str, Any]" in ast.unparse(note) for note in notes)
            found += ["-> Any"] * bool(node.returns and ast.unparse(node.returns) == "Any")
    return found


if __name__ == "__main__":
    given = [word for word in sys.argv[1:] if not word.startswith("-")]
    main(Path(given[0]) if given else Path(__file__).parents[1], show_layers="--layers" in sys.argv)
