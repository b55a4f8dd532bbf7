"""How the folders of a source are meant: classes, splits, splits inside classes, or images that a table names.

Names decide where one reading is possible. Where two are, nothing is guessed: the error names both, and ``--layout``
chooses. Folders of Parquet files and of CIFAR are recognised before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sightline.data.choices import LAYOUTS, FindingChoices
from sightline.data.folders import DiskNode, Node, Visit, children_of, is_image, read_class_folders, visible, walk
from sightline.data.found import SPLIT_NAMES, Found, Row, class_name
from sightline.data.inner_tables import InnerTable, find_tables, read_inner_tables
from sightline.data.own_output import is_own_output
from sightline.errors import DataError
from sightline.text import listed

__all__ = ["read_folder", "read_tree"]

_TABLE_ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".xlsx")
_SHOWN = 4


@dataclass(frozen=True, slots=True)
class _Outline:
    """What a folder directly holds, without what is never data.

    Attributes:
        node: the folder.
        part: of the split that its name stands for; empty: none.
        folders: in it.
        files: in it.
    """

    node: Node
    part: str
    folders: tuple[Node, ...]
    files: tuple[Node, ...]

    @property
    def names(self) -> set[str]:
        """Names of the folders, as classes."""
        return {class_name(node.name) for node in self.folders}

    @property
    def has_images(self) -> bool:
        """Whether an image lies directly in it."""
        return any(map(is_image, self.files))


@dataclass(frozen=True, slots=True)
class _Tree:
    """The two upper levels of a source.

    Attributes:
        top: the folder whose folders are classes or splits.
        splits: folders with the name of a split.
        others: the other folders.
        tables: of usual form, in the top folder or in split folders.
    """

    top: _Outline
    splits: tuple[_Outline, ...]
    others: tuple[_Outline, ...]
    tables: tuple[InnerTable, ...]

    @property
    def is_nested(self) -> bool:
        """Whether a training folder holds folders."""
        return any(outline.part == "train" and outline.folders for outline in self.splits)

    @property
    def has_top_table(self) -> bool:
        """Whether a table lies in the top folder."""
        return any(table.folder is self.top.node for table in self.tables)


def read_folder(root: Path, choices: FindingChoices) -> Found:
    """Find the images of class folders or split folders on the disk.

    Raises:
        DataError: if it is an object detection data set, or can be read in two ways.
    """
    return read_tree(DiskNode.top(root), str(root), root, choices)


def read_tree(top: Node, source: str, root: Path, choices: FindingChoices) -> Found:
    """Return the images of folders below a node, and everything else.

    Args:
        top: where to begin; where it contains a single folder with split folders in it, that one is read.
        source: what to call it in an error.
        root: what its paths are relative to.
        choices: of the person.

    Raises:
        DataError: if it is an object detection data set, can be read in two ways, or not in the way that is asked for.
    """
    visit = Visit(choices)
    tree = _tree_of(top, choices) if choices.layout == "classes" else _inside_wrapper(top, visit)
    visit.visited |= {top.identity, tree.top.node.identity}
    if choices.layout != "classes":
        _refuse_detection_layout(tree, source)
    layout = _decide(tree, source, choices)
    found = Found(root, source, [], visit.skipped)
    if layout == "tables":
        return read_inner_tables(tree.tables, tree.top.node, found, visit)
    if layout == "classes":
        rows = read_class_folders(tree.top.node, "", visit)
    elif layout == "splits":
        rows = _read_splits(tree, visit)
    else:
        rows = _read_inner_splits(tree, visit)
    return Found(root, source, rows, visit.skipped)


def _decide(tree: _Tree, source: str, choices: FindingChoices) -> str:
    """Return the one way in which the folders can be read, or the way that was chosen."""
    if choices.layout:
        if not _is_possible(tree, choices.layout):
            message = f"--layout {choices.layout} means: {LAYOUTS[choices.layout]}; {source!r} has no such folders"
            if choices.layout == "tables":
                message = f"{source!r} has no metadata.csv, metadata.jsonl or _classes.csv that gives classes"
            raise DataError("data.layout", message, _name_table(tree, source) or "leave out --layout")
        return choices.layout
    ways = _ways(tree)
    if len(ways) > 1 or (tree.splits and ways == ["classes"]):
        raise _ambiguous(tree, source, ways)
    return ways[0]


def _is_possible(tree: _Tree, layout: str) -> bool:
    if layout == "tables":
        return bool(tree.tables)
    if layout == "splits":
        return tree.is_nested
    return layout == "classes" or bool(_with_inner_splits(tree))


def _ways(tree: _Tree) -> list[str]:
    """Return every way in which the folders can be meant, the likeliest first."""
    if tree.is_nested:
        ways = ["splits"]
        if not _share_classes(tree.splits) and any(outline.has_images for outline in tree.others):
            ways.append("classes")
        return [*ways, "tables"] if tree.has_top_table else ways
    folders = [outline for outline in tree.others if outline.folders or outline.has_images]
    if tree.tables and (tree.splits or len(folders) < 2):
        return ["tables", "classes"] if folders and tree.splits else ["tables"]
    ways = ["inner-splits", "classes"] if _with_inner_splits(tree) else ["classes"]
    return [*ways, "tables"] if tree.has_top_table else ways


def _share_classes(splits: Sequence[_Outline]) -> bool:
    """Tell whether training folders hold a folder of the same name as others do: then they are classes."""
    trained = {name for outline in splits if outline.part == "train" for name in outline.names}
    return any(trained & outline.names for outline in splits if outline.part != "train")


def _with_inner_splits(tree: _Tree) -> list[_Outline]:
    """Return the class folders in which folders of two parts of a split lie, one of them for training."""

    def parts(outline: _Outline) -> set[str]:
        return {SPLIT_NAMES[node.name.lower()] for node in outline.folders if node.name.lower() in SPLIT_NAMES}

    return [outline for outline in tree.others if len(parts(outline)) > 1 and "train" in parts(outline)]


def _ambiguous(tree: _Tree, source: str, ways: Sequence[str]) -> DataError:
    """Return the error that names each way to read the folders, and the table that lies beside them."""
    if ways == ["classes"]:
        return _unclear(tree, source)
    names = listed([outline.node.name for outline in tree.splits], _SHOWN)
    what = []
    if ways[0] == "inner-splits":
        what.append(
            f"the class folder {_with_inner_splits(tree)[0].node.name!r} holds folders with the names of splits"
        )
    elif tree.splits:
        what.append(
            f"folders with the names of splits ({names}) lie beside others with images ({_names_of(tree.others)})"
        )
    if "tables" in ways:
        what.append(f"{tree.tables[0].name} gives each image a class")
    cure = f"add {'; or '.join(f'--layout {way} if {LAYOUTS[way]}' for way in ways)}"
    return DataError("data.layout", f"{source!r} can be read in {len(ways)} ways: {'; '.join(what)}", cure)


def _unclear(tree: _Tree, source: str) -> DataError:
    """Return the error for folders with the names of splits that hold no class folders for training."""
    names = listed([outline.node.name for outline in tree.splits], _SHOWN)
    beside = [node.text for node in _tables_beside(tree)]
    lies = f"; beside the images lies {listed(beside, 3)}" if beside else ""
    what = f"folders with the names of splits ({names}), but no folders of classes in a training part"
    message = f"{source!r} has {what}{lies}"
    ways = [f"add --layout classes if {LAYOUTS['classes']}"]
    nested = next((outline for outline in tree.splits if outline.folders), None)
    if nested:
        ways.insert(0, f"name the folder that holds the classes: {source.rstrip('/')}/{nested.node.name}")
    elif not _name_table(tree, source):
        ways.append(f"give the folder above, if {source!r} is one of its classes")
        ways.append("give a table with the columns path and label; or sort the images into one folder per class")
    return DataError("data.layout", message, "; or ".join(filter(None, [_name_table(tree, source), *ways])))


def _names_of(outlines: Sequence[_Outline]) -> str:
    return listed([outline.node.name for outline in outlines if outline.has_images or outline.folders], _SHOWN)


def _tables_beside(tree: _Tree) -> list[Node]:
    """Return files that may be tables: in the top folder, and in split folders."""
    files = [*tree.top.files, *(node for outline in tree.splits for node in outline.files)]
    return [node for node in files if node.name.lower().endswith(_TABLE_ENDINGS)]


def _name_table(tree: _Tree, source: str) -> str:
    found = [node.name for node in tree.top.files if node in _tables_beside(tree)]
    if not found:
        return ""
    name = next((name for name in found if "train" in name.lower() or "label" in name.lower()), found[0])
    return f"name the table, with the columns path and label: {source.rstrip('/')}/{name}"


def _read_splits(tree: _Tree, visit: Visit) -> list[Row]:
    rows: list[Row] = []
    visit.visited |= {outline.node.identity for outline in tree.splits}
    for outline in tree.splits:
        inner = _inside_twin(outline, visit)
        visit.visited.add(inner.node.identity)
        if inner.folders:
            rows += read_class_folders(inner.node, outline.part, visit)
        else:
            tables = [node.name for node in inner.files if node.name.lower().endswith(_TABLE_ENDINGS)]
            more = f"; its {tables[0]} is not read" if tables else ""
            visit.skipped.append((outline.node.text, f"unlabelled: in a split folder without class folders{more}"))
    taken = {outline.node.name for outline in tree.splits}
    for node in visit.children(tree.top.node):
        if node.name not in taken and not visit.leaves_out(node):
            visit.skipped.append((node.text, _reason_beside(node, visit.choices)))
    if {row.part for row in rows} == {"train"}:  # a "train" folder alone is not a split
        rows = [row._replace(part="") for row in rows]
    return rows


def _read_inner_splits(tree: _Tree, visit: Visit) -> list[Row]:
    """Read ``cat/train/1.jpg``; what lies in a class folder beside its split folders is skipped."""
    rows: list[Row] = []
    for outline in (*tree.others, *tree.splits):
        inner = _tree_of(outline.node, visit.choices)
        name = class_name(outline.node.name)
        for split in inner.splits:
            images = sorted(node.text for node in walk(split.node, visit))
            rows += [Row(text, name, split.part, spelling=outline.node.name) for text in images]
        kept = {split.node.name for split in inner.splits}
        for node in visit.children(outline.node):
            if node.name not in kept and not visit.leaves_out(node):
                visit.skipped.append((node.text, "beside the split folders of its class"))
    visit.skipped += [(node.text, "outside the class folders") for node in tree.top.files]
    return rows


def _outline_of(node: Node, choices: FindingChoices, held: Sequence[Node] | None = None) -> _Outline:
    """Return what a folder holds; ``held``: where it was listed already, which takes long for many files."""
    children = visible(children_of(node) if held is None else held, choices)
    folders = tuple(child for child in children if child.is_folder)
    files = tuple(child for child in children if not child.is_folder)
    return _Outline(node, SPLIT_NAMES.get(node.name.lower(), ""), folders, files)


def _tree_of(top: Node, choices: FindingChoices) -> _Tree:
    outline = _outline_of(top, choices)
    listings = ((node, children_of(node)) for node in outline.folders)
    inner = [_outline_of(node, choices, held) for node, held in listings if not _is_own(held)]
    splits = tuple(one for one in inner if one.part)
    tables = find_tables(top, outline.files, [(one.node, one.part, one.files) for one in splits if not one.folders])
    return _Tree(outline, splits, tuple(one for one in inner if not one.part), tables)


def _is_own(held: Sequence[Node]) -> bool:
    """Tell by what a folder holds whether Sightline wrote it, or all folders in it, as in a folder of runs."""
    if is_own_output([child.name for child in held]):
        return True
    if not held or not all(child.is_folder for child in held):
        return False
    return all(is_own_output([inner.name for inner in children_of(child)]) for child in held)


def _inside_wrapper(top: Node, visit: Visit) -> _Tree:
    """Go down through folders that contain a single folder, if they lead to split folders or to tables."""
    first = tree = _tree_of(top, visit.choices)
    passed: list[tuple[str, str]] = []
    while not tree.is_nested and not tree.tables:
        inner = [*tree.splits, *tree.others]
        if len(inner) != 1:
            return first
        passed += _others(tree.top.node, inner[0].node, visit.choices)
        tree = _tree_of(inner[0].node, visit.choices)
    visit.skipped += passed
    return tree


def _inside_twin(outline: _Outline, visit: Visit) -> _Outline:
    """Go down where a split folder contains only another one of the same part: ``seg_train/seg_train``."""
    folders = outline.folders
    if len(folders) != 1 or SPLIT_NAMES.get(folders[0].name.lower()) != outline.part:
        return outline
    inner = _outline_of(folders[0], visit.choices)
    if not inner.folders:  # a class of that name
        return outline
    visit.skipped += _others(outline.node, inner.node, visit.choices)
    return inner


def _others(folder: Node, taken: Node, choices: FindingChoices) -> list[tuple[str, str]]:
    visit = Visit(choices)
    rest = [node for node in visit.children(folder) if node.name != taken.name and not visit.leaves_out(node)]
    return [*visit.skipped, *((node.text, "outside the class folders") for node in rest)]


def _reason_beside(node: Node, choices: FindingChoices) -> str:
    if node.is_folder and _is_own(children_of(node)):
        return "written by Sightline"
    inner = _outline_of(node, choices) if node.is_folder else None
    while inner is not None and len(inner.folders) == 1:
        inner = _outline_of(inner.folders[0], choices)
    if inner is not None and not inner.folders:
        return "unlabelled: beside the split folders"
    return "beside the split folders"


def _refuse_detection_layout(tree: _Tree, source: str) -> None:
    outlines = [*tree.splits, *tree.others]
    names = {outline.node.name.lower() for outline in outlines}
    inner = {node.name.lower() for outline in outlines for node in outline.folders}
    files = {node.name.lower() for outline in (tree.top, *tree.splits) for node in outline.files}
    boxes = sorted(name for name in files if name.startswith("_annotations."))
    has_folders = {"images", "labels"} <= names or {"images", "labels"} <= inner or {"images", "annotations"} <= names
    if has_folders or boxes:
        sign = "images/ beside labels/" if has_folders else boxes[0]
        raise DataError(
            "data.detection-layout",
            f"{source!r} looks like an object detection data set ({sign}): it has boxes, not classes",
            "Sightline classifies whole images; crop the objects into one folder per class, "
            "or write a CSV with the columns path and label",
        )
