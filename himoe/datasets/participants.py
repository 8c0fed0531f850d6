"""The people of a BIDS folder by its ``participants.tsv``, held against the folders that are there.

https://bids-specification.readthedocs.io, "Participants file": one row per person; ``participant_id`` is ``sub-`` and a
label.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from himoe.datasets.description import Description
from himoe.datasets.devices.bids import TABS
from himoe.datasets.texttable import cell_error, read_text_table

PARTICIPANTS = "participants.tsv"
PREFIX = "sub-"


def participants_file(description: Description, root: Path) -> Path | None:
    """The table of a folder whose files are called as BIDS has it; None for other folders, or where there is none."""
    bids = all(file.startswith(f"{PREFIX}{{subject}}") for table in description.tables.values() for file in table.files)
    return root / PARTICIPANTS if bids and (root / PARTICIPANTS).is_file() else None


def read_participants(path: Path) -> tuple[str, ...]:
    """The people in the order of the table, without ``sub-``.

    Raises
    ------
    InputError
        If it lacks ``participant_id``, or an id is none or stands there twice.
    """
    ids = read_text_table(path, ("participant_id",), (), dialect=TABS).texts["participant_id"]
    for row, one in enumerate(ids):
        if not one.startswith(PREFIX) or one == PREFIX:
            raise cell_error(path, row, "participant_id", repr(one[:40]), f"{PREFIX} and a label")
        if one in ids[:row]:
            raise cell_error(path, row, "participant_id", repr(one[:40]), "every person once")
    return tuple(one.removeprefix(PREFIX) for one in ids)


def folders_without_row(root: Path, people: Collection[str]) -> list[str]:
    """Folders of people whom the table does not have."""
    return sorted(path.name for path in root.glob(f"{PREFIX}*")
                  if path.is_dir() and path.name.removeprefix(PREFIX) not in people)


def rows_without_folder(root: Path, people: Collection[str]) -> list[str]:
    """People of the table who have no folder."""
    return [f"{PREFIX}{one}" for one in people if not (root / f"{PREFIX}{one}").is_dir()]
