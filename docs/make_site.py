"""What the website adds to the pages of docs/: pages of the root, the examples, the reference of the Python functions.

MkDocs calls these functions (``hooks`` in mkdocs.yml). Nothing is written into docs/.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
# Files of the root as pages of the site.
PAGES = {
    "index.md": "README.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "security.md": "SECURITY.md",
}


def on_files(files: Any, config: Any) -> Any:
    """Add the pages and files that lie outside docs/."""
    for page, source in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    files.append(File.generated(config, "reference.md", content=reference()))
    for example in sorted((ROOT / "examples").iterdir()):
        if example.suffix in (".py", ".ipynb"):
            files.append(File.generated(config, f"examples/{example.name}", abs_src_path=str(example)))
    return files


def on_page_markdown(markdown: str, **others: Any) -> str:
    """Lead links to where their targets lie in the site."""
    return re.sub(r"\]\((?:\.\./|docs/)?([^):#]+)", lambda match: f"]({names().get(match[1], match[1])}", markdown)


def on_page_content(html: str, **others: Any) -> str:
    """Show a role of a docstring (``:func:`~room.file.name```) as the name alone."""
    return re.sub(r":(?:func|class|meth|attr|mod):\s*<code>~?(?:[\w.]*\.)?(\w+)</code>", r"<code>\1</code>", html)


def names() -> dict[str, str]:
    """Return the page of each file that has another name in the site."""
    return {source: page for page, source in PAGES.items()} | {"LICENSE": "index.md"}


def reference() -> str:
    """Return the page of the public names, in the order of ``sightline.__all__``, read without importing it."""
    tree = ast.parse((ROOT / "src" / "sightline" / "__init__.py").read_text(encoding="utf-8"))
    values = {ast.unparse(node.targets[0]): node.value for node in tree.body if isinstance(node, ast.Assign)}
    homes = ast.literal_eval(values["_HOME"])
    public = ast.literal_eval(values["__all__"])
    lines = [
        "# Python functions",
        "",
        "All of these are names of `sightline`; `import sightline` loads nothing heavy.",
        "",
    ]
    for name in sorted(public, key=lambda name: (name[0].isupper(), name)):  # functions first, then classes
        lines += [f"::: {homes[name]}.{name}", ""]
    return "\n".join(lines)
