"""What is at a path: a data set's folder, something this project made, or a single file."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from himoe.core.errors import InputError, bad_input
from himoe.core.files import read_json
from himoe.datasets.fetch import PROVENANCE
from himoe.datasets.folder import DESCRIPTION
from himoe.inspection.devices import describe_device, is_e4_folder
from himoe.inspection.files import describe_file
from himoe.inspection.folders import describe_place
from himoe.inspection.locate import Place, locate, looked_for, place_of, sets_below
from himoe.inspection.products import describe_product_folder
from himoe.inspection.propose import recordings

Report = dict[str, Any]
# Files that stand for the folder they lie in
STANDS_FOR_FOLDER = (DESCRIPTION, PROVENANCE, "set.json", "truth.json", "faces.json")


def inspect_path(path: Path, name: str | None = None, layout: str | None = None, everything: bool = False,
                 jobs: int = 1, follow_links: bool = False) -> list[Report]:
    """Say what is at *path*: one report, or one per layout of a data set's folder.

    Parameters
    ----------
    path : Path
    name, layout : str or None
        The data set and layout, where the user says them.
    everything : bool
        Read every subject, not only the first that can be read.
    jobs : int
        Processes to read with.
    follow_links : bool
        Whether links that leave the data set's folder are meant.

    Raises
    ------
    InputError
        If nothing is there, or it cannot be told what it is; the sentence says what was looked for.
    """
    path = Path(path)
    if not path.exists():
        raise bad_input(path, "no such file or folder", "a raw folder or a data file", "check the path")
    if path.name in STANDS_FOR_FOLDER and path.is_file():
        path = path.parent
    if path.is_file():
        return _file(path, name, layout, follow_links)
    if path.name in ("signals", "trials") and (path.parent / "set.json").is_file():
        path = path.parent
    product = describe_product_folder(path) if name is None else None
    if product is not None:
        return [product]
    place = locate(path, name, layout) if name is None else place_of(path, name, layout)
    if is_e4_folder(path) and (place is None or place.root != path):
        return [{"data": None if place is None else place.label, **describe_device(path, "e4")}]
    if place is None:
        raise _unknown(path)
    return describe_place(replace(place, follow_links=follow_links), everything, jobs)


def _file(path: Path, name: str | None, layout: str | None, follow_links: bool) -> list[Report]:
    """A file, and what its data set says of the subject it is named after (or of the set that is one file)."""
    place = locate(path, name, layout)
    if place is None:
        return [{"data": None, **describe_file(path)}]
    place = replace(place, follow_links=follow_links)
    about = {"data": place.label, "set": place.dataset.name, "folder": str(place.root)}
    reports: list[Report] = []
    try:
        report = describe_file(path)
        reports.append({"what": report.pop("what"), **about, **report})
    except InputError as error:
        reports.append({"what": f"damaged {path.suffix} file of a data set", **about, "file": str(path),
                        "errors": [str(error)]})
    return reports + _subject_reports(path, place)


def _subject_reports(path: Path, place: Place) -> list[Report]:
    """Reports of the subject that the file is named after, or of the whole set if it is this one file."""
    if path.suffix == ".mat" and path.name in place.dataset.patterns:
        return describe_place(place)
    for layout in place.layouts or (None,):
        try:
            subjects = place.dataset.inspect(place.root, place.options(layout)).subjects
        except InputError:
            continue
        if path.stem in subjects:
            return describe_place(place, subject=path.stem)
    return []


def _unknown(path: Path) -> InputError:
    endings = Counter(entry.suffix or "no ending" for entry in path.iterdir() if entry.is_file())
    files = ", ".join(f"{count} files ({ending})" for ending, count in sorted(endings.items()))
    record = path / PROVENANCE
    found = f"{files} in no known layout" if files else "no data file"
    if record.is_file():
        content = read_json(record)
        found += f", of the set {content.get('set') if isinstance(content, dict) else '?'}"
    below = sets_below(path)
    todo = f"give one of its folders: {' '.join(below)}" if below else "give the data set's own folder, or one file"
    device = next(recordings(path), None)
    if device is not None and not below:
        found += f", {device[0].relative_to(path)} ({device[1]}) among them"
        todo = f"write a {DESCRIPTION} (himoe inspect FOLDER --write-yaml proposes one), or give one file"
    return bad_input(path, found, f"one of {looked_for()}", todo)
