"""The data sets: one file each, named in ``NAMES``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from himoe.core.errors import bad_input

if TYPE_CHECKING:  # the sets are imported by name below; this is for those who look for a stage's code
    from himoe.datasets import amigos, ceap360vr, deap, dreamer, hku956, seed, wesad  # noqa: F401
    from himoe.datasets.base import Dataset

DESCRIPTION = "dataset.yaml"
NAMES = ("deap", "dreamer", "seed", "amigos", "ceap360vr", "hku956", "wesad")


class _Forms(Mapping[str, "Dataset"]):
    """The forms by name. A set's file is imported when its form is asked for: most work needs one alone, and
    ``himoe --help`` none, which would wait a second for readers and pandas."""

    def __getitem__(self, name: str) -> Dataset:
        if name not in NAMES:
            raise KeyError(name)
        form: Dataset = import_module(f"himoe.datasets.{name}").DATASET
        return form

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
