"""The data sets: one file each, named in ``NAMES`` and in ``_forms``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from himoe.core.errors import bad_input

if TYPE_CHECKING:
    from himoe.datasets.base import Dataset

DESCRIPTION = "dataset.yaml"
NAMES = ("deap", "dreamer", "seed", "amigos", "ceap360vr", "hku956", "wesad")


@cache
def _forms() -> dict[str, Dataset]:
    from himoe.datasets import amigos, ceap360vr, deap, dreamer, hku956, seed, wesad

    return {module.DATASET.name: module.DATASET for module in (deap, dreamer, seed, amigos, ceap360vr, hku956, wesad)}


class _Forms(Mapping[str, "Dataset"]):
    """The forms by name. Readers and pandas are loaded with the first form that is asked for, not with the names:
    ``himoe --help`` would wait a second for them."""

    def __getitem__(self, name: str) -> Dataset:
        return _forms()[name]

    def __contains__(self, name: object) -> bool:
        return name in NAMES

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)


DATASETS: Mapping[str, Dataset] = _Forms()


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
    from himoe.datasets.folder import folder_dataset

    if root is None or not (Path(root) / DESCRIPTION).is_file():
        raise bad_input("data set", repr(name), "one of " + " ".join(DATASETS),
                        f"correct the name, or put a {DESCRIPTION} into the folder of your own data")
    dataset = folder_dataset(Path(root))
    if dataset.name != name:
        raise bad_input(f"{Path(root) / DESCRIPTION}: name", repr(dataset.name), repr(name), "use one name for both")
    return dataset
