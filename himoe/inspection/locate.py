"""Which data set a folder or file belongs to, told from the sets' own file patterns."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from himoe.core.errors import InputError, bad_input
from himoe.datasets import DATASETS, get_dataset
from himoe.datasets.base import Dataset
from himoe.datasets.fetch import PROVENANCE, belonging, read_provenance
from himoe.datasets.folder import DESCRIPTION, folder_dataset
from himoe.datasets.links import FOLLOW
from himoe.simulate.request import TRUTH_FILE

LEVELS_UP = 2  # how many folders above a path may be the data set's root


@dataclass(frozen=True)
class Place:
    """A data set's raw folder: its root, its form, the layouts found there (empty = the set has only one).

    ``follow_links``: whether links that leave the folder are meant.
    """

    root: Path
    dataset: Dataset
    layouts: tuple[str, ...] = ()
    follow_links: bool = False

    @property
    def label(self) -> str:
        """How the data is called in print; simulated data is called simulated."""
        return data_label(self.root, self.dataset.title)

    def options(self, layout: str | None) -> dict[str, str]:
        """Reader options for one layout."""
        return ({} if layout is None else {"layout": layout}) | (FOLLOW if self.follow_links else {})


def data_label(root: Path, title: str) -> str:
    """The label in ``provenance.json``; without one, the title, and *simulated* where the simulator left its truth."""
    if (root / PROVENANCE).is_file():
        return str(read_provenance(root)["label"])
    return f"{title.partition(':')[0]}{' (simulated)' if (root / TRUTH_FILE).is_file() else ''}"


def locate(path: Path, name: str | None = None, layout: str | None = None) -> Place | None:
    """The data set at *path*, or the one in a folder above to which *path* belongs; None if there is none.

    Parameters
    ----------
    path : Path
        A folder or file that exists.
    name : str or None
        The data set, where the user says it; otherwise it is told from the files.
    layout : str or None
        The layout, where the user says it; otherwise those with files below *path*.

    Raises
    ------
    InputError
        If files of several sets lie there, or *layout* is not one of the set's.
    """
    for root in _roots(path):
        dataset = _dataset_at(root, path, name)
        if dataset is not None:
            return Place(root, dataset, _layouts(root, path, dataset.name, layout))
    return None


def place_of(path: Path, name: str, layout: str | None = None) -> Place:
    """The place of data set *name* at *path*: where :func:`locate` finds it, else *path* itself."""
    found = locate(path, name, layout)
    if found is not None:
        return found
    root = path if path.is_dir() else path.parent
    return Place(root, get_dataset(name, root), _layouts(root, path, name, layout))


def looked_for() -> str:
    """The patterns of all sets, for the sentence that says that none was found."""
    sets = "; ".join(f"{name}: {', '.join(_own_patterns(name))}" for name in DATASETS)
    return f"{sets}; or a {DESCRIPTION}"


def _roots(path: Path) -> Iterator[Path]:
    """*path* (if a folder) and the folders above it."""
    if path.is_dir():
        yield path
    levels = LEVELS_UP + (0 if path.is_dir() else 1)
    above = path.parents if len(path.parents) > levels else Path(os.path.abspath(path)).parents
    yield from list(above)[:levels]


def _own_patterns(name: str) -> tuple[str, ...]:
    """The set's patterns that no other set has."""
    shared = Counter(pattern for dataset in DATASETS.values() for pattern in dataset.patterns)
    return tuple(pattern for pattern in DATASETS[name].patterns if shared[pattern] == 1)


def _matches(root: Path, path: Path, pattern: str) -> bool:
    """Whether a file of *pattern* below *root* is *path* or lies below it."""
    return any(found.is_file() and _belongs(found, path) for found in root.glob(pattern))


def _belongs(file: Path, path: Path) -> bool:
    place, here = Path(os.path.abspath(file)), Path(os.path.abspath(path))
    return place == here or here in place.parents


def _dataset_at(root: Path, path: Path, name: str | None) -> Dataset | None:
    own = _described(root, path)
    if own is not None and name in (None, own.name):
        return own
    found = [key for key in DATASETS if any(_matches(root, path, pattern) for pattern in _own_patterns(key))]
    if name is not None:
        return DATASETS[name] if name in found else None
    if len(found) > 1 and (root / PROVENANCE).is_file():
        found = [key for key in found if key == read_provenance(root)["set"]]
    if len(found) > 1:
        raise bad_input(path, f"files of {' and '.join(found)}", "files of one data set",
                        "name the one you mean with --dataset, or give a folder of one set")
    return DATASETS[found[0]] if found else None


def _described(root: Path, path: Path) -> Dataset | None:
    """The user's own set, if *root* describes one and *path* is part of it."""
    if not (root / DESCRIPTION).is_file():
        return None
    dataset = folder_dataset(root)
    if root == path or any(_belongs(root / name, path) for name in belonging(dataset, root)):
        return dataset
    return None


def _layouts(root: Path, path: Path, name: str, layout: str | None) -> tuple[str, ...]:
    patterns = DATASETS[name].layouts if name in DATASETS else {}
    if layout is not None:
        if layout not in patterns:
            raise bad_input(f"layout of {name}", repr(layout), " or ".join(patterns) or "none: this set has one layout",
                            "correct or leave out --layout")
        return (layout,)
    below = tuple(key for key, pattern in patterns.items() if _matches(root, path, pattern))
    return below or tuple(key for key, pattern in patterns.items() if _matches(root, root, pattern))


def sets_below(folder: Path) -> list[str]:
    """Names of the folders right below *folder* that hold a data set (to point the user there)."""
    names = []
    for child in sorted(entry for entry in folder.iterdir() if entry.is_dir()):
        try:
            found = _dataset_at(child, child, None) is not None
        except InputError:
            found = True
        names += [child.name] if found else []
    return names
