"""Links inside a folder that lead out of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from himoe.core.errors import bad_input

FOLLOW = {"links": "follow"}  # the reader's option for a folder whose links are known to be meant


def require_inside(root: Path, path: Path, options: Mapping[str, str]) -> Path:
    """Return *path* unless it is a link, or lies behind one, that leaves *root* and ``options`` do not allow it.

    A folder from somewhere else could otherwise bring any file of this machine into the data and what is made of it.
    """
    if options.get("links") != FOLLOW["links"] and not path.resolve().is_relative_to(root.resolve()):
        raise bad_input(path, "a link that leaves the data folder", "files inside the folder",
                        "copy the file into it, or allow such links (--follow-links; follow_links: true of the set)")
    return path
