"""A folder that a command names, as data."""

from __future__ import annotations

import argparse

from himoe.core.errors import bad_input
from himoe.datasets.folder import DESCRIPTION
from himoe.inspection.locate import locate, looked_for, place_of
from himoe.prepare.loading import Data


def open_data(options: argparse.Namespace) -> Data:
    """The data set in ``options.folder``, found as ``himoe check`` and ``himoe study`` find it.

    Raises
    ------
    InputError
        If there is no such folder, or no data set in it.
    """
    folder = options.folder
    if not folder.exists():
        raise bad_input(folder, "no such folder", "recordings", "check the path")
    place = locate(folder, options.dataset, options.layout) if options.dataset is None else place_of(
        folder, options.dataset, options.layout)
    if place is None:
        raise bad_input(folder, "no data set", f"one of {looked_for()}",
                        f"write a {DESCRIPTION} (for files of devices: himoe inspect FOLDER --write-yaml)")
    reading = place.options(place.layouts[0] if place.layouts else None)
    return Data(place.dataset, place.root, reading, place.dataset.inspect(place.root, reading).subjects)
