"""The data sets: one file each, named in ``MODULES``."""

from __future__ import annotations

from pathlib import Path

from himoe.core.errors import bad_input
from himoe.datasets import amigos, ceap360vr, deap, dreamer, hku956, seed, wesad
from himoe.datasets.base import Dataset
from himoe.datasets.folder import DESCRIPTION, folder_dataset

MODULES = (deap, dreamer, seed, amigos, ceap360vr, hku956, wesad)
DATASETS: dict[str, Dataset] = {module.DATASET.name: module.DATASET for module in MODULES}


def get_dataset(name: str, root: Path | None = None) -> Dataset:
    """The form of a data set.

    Parameters
    ----------
    name : str
        A key of :data:`DATASETS`, or the name in the user's own ``dataset.yaml``.
    root : Path or None
        Raw folder; if the name is not a key and ``root/dataset.yaml`` exists, that file is the form.

    Raises
    ------
    InputError
        If the name is unknown, or the description carries another name.
    """
    if name in DATASETS:
        return DATASETS[name]
    if root is None or not (Path(root) / DESCRIPTION).is_file():
        raise bad_input("data set", repr(name), "one of " + " ".join(DATASETS),
                        f"correct the name, or put a {DESCRIPTION} into the folder of your own data")
    dataset = folder_dataset(Path(root))
    if dataset.name != name:
        raise bad_input(f"{Path(root) / DESCRIPTION}: name", repr(dataset.name), repr(name), "use one name for both")
    return dataset
