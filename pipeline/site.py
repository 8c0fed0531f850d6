"""What the site holds (mkdocs.yml; ``make site``): README, docs, what they lead to, and the library's public names.

mkdocs calls the ``on_`` functions. Every page keeps its place in the repository, so a link works there and on the site.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from himoe import PUBLIC

START = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/*.md", "docs/examples/*.md")
LINK = re.compile(r"(?<!!)\[([^\[\]]+)\]\(([^)\s]+)\)")
TARGET = re.compile(r"\]\(([^)\s#]+)(?:#[^)\s]*)?\)")
ROLE = re.compile(r":(?:func|meth|class|mod|attr|data|exc):<code>([\w.]+)</code>")
# A page read from disk may start no worker of a file, but one of a text.
SEARCH = "assets/search-from-disk.js"
SEARCH_FROM_DISK = """if (location.protocol === "file:") {
  const text = URL.createObjectURL(new Blob([%s], {type: "text/javascript"}));
  const Plain = Worker;
  window.Worker = class extends Plain { constructor() { super(text); } };
}
"""
# A page of the library by the module that its names come from: file, title, what its names share.
PAGES = {
    "prepare.loading": ("data", "Data", ""),
    "prepare.windowset": ("windows", "Windows and folds", ""),
    "prepare.asynchrony": ("asynchrony", "Sensors out of step", ""),
    "training.estimators": ("methods", "Methods", "himoe.training.estimators.Estimator"),
    "training.fitted": ("fitted", "Fitted models", ""),
    "training.every": ("every", "Predictions on a grid of one's own", ""),
    "live.engine": ("live", "Live predictions", ""),
    "scoring.frames": ("scores", "Scores", ""),
    "core.errors": ("errors", "Errors", ""),
}


def on_files(files: Any, config: Any) -> Any:
    """The site's files: those of the theme, then the project's own in place of the folder of docs."""
    from mkdocs.structure.files import File, Files

    root = Path(config.config_file_path).parent
    theme = [file for file in files if not str(file.abs_src_path).startswith(f"{config.docs_dir}{os.sep}")]
    pages = [File.generated(config, name, abs_src_path=str(root / name)) for name in reached(root)]
    [worker] = [file for file in theme if re.search(r"workers/search\.\w+\.min\.js$", file.src_uri)]
    made = [*library_pages(), (SEARCH, SEARCH_FROM_DISK % json.dumps(worker.content_string))]
    config.extra["polyfills"] = [SEARCH]  # in place of one from another server
    return Files([*theme, *pages, *(File.generated(config, name, content=text) for name, text in made)])


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Pages without links to what the site does not hold."""
    return without_dead_links(markdown, Path(config.config_file_path).parent, page.file.src_uri)


def on_page_content(html: str, **_: Any) -> str:
    """Pages in which a docstring's references are links, where the site documents what they name."""
    return ROLE.sub(r'<autoref identifier="\1" optional><code>\1</code></autoref>', html)


def reached(root: Path) -> list[str]:
    """Names of the pages, and of the pages and files that they lead to, and so on."""
    found = [path.relative_to(root).as_posix() for pattern in START for path in sorted(root.glob(pattern))]
    for name in found:  # grows as it is walked
        if name.endswith(".md"):
            text = (root / name).read_text(encoding="utf-8")
            new = (place(root, name, target) for target in TARGET.findall(text))
            found += dict.fromkeys(target for target in new if target is not None and target not in found)
    return found


def place(root: Path, page: str, target: str) -> str | None:
    """A link's file as a name below *root*; None for addresses, folders and files that the site does not hold.

    Reports in HTML would take the place of the README beside them.
    """
    name = os.path.normpath(os.path.join(os.path.dirname(page), target)).replace(os.sep, "/")
    if ":" in target or name.startswith((".", "/")) or name.endswith(".html") or not (root / name).is_file():
        return None
    return name


def without_dead_links(text: str, root: Path, page: str) -> str:
    """A page's text in which a link to what the site does not hold is its words alone."""
    def kept(match: re.Match[str]) -> str:
        target = match[2].split("#")[0]
        return match[0] if not target or ":" in target or place(root, page, target) else match[1]

    return LINK.sub(kept, text)


def library_pages() -> Iterator[tuple[str, str]]:
    """Name and text of every page of the library: each public name stands on one."""
    for module in dict.fromkeys(PUBLIC.values()):
        file, title, shared = PAGES[module]
        names = [f"himoe.{module}.{name}" for name, where in PUBLIC.items() if where == module]
        brief = "\n    options: {members: false}" if shared else ""
        blocks = [*([f"::: {shared}"] if shared else []), *(f"::: {name}{brief}" for name in names)]
        yield f"api/{file}.md", "\n\n".join([f"# {title}", *blocks, ""])
