"""A run's groups of models on a cluster: its data go to each worker once, finished folders come back.

Workers that see the shards where they are here, with the same digest, read them; if one does not, the windows
themselves are sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pandas as pd

from himoe.core.cluster import Cluster, scheduler
from himoe.core.disk_array import DiskArray
from himoe.core.errors import bad_input
from himoe.core.files import atomic_path
from himoe.core.on_worker import refuse, scratch, shards_stamp, stamp, unpack
from himoe.core.params import RunConfig
from himoe.core.progress import note
from himoe.training.rundata import FoldTask, RunData, load_run_data

Group = tuple[list[FoldTask], list[Path]]  # tasks that are fitted as one, and where each is kept
Complete = Callable[[RunConfig, RunData, Sequence[FoldTask], Sequence[Path]], None]

_READ: dict[str, RunData] = {}  # of a worker: the run whose groups it completes


@dataclass(frozen=True)
class Reference:
    """Data that a worker reads itself: shards by their folders, seen from the project's; ``name``: of this sending."""

    name: str
    windows: Path
    features: Path
    folds: pd.DataFrame
    min_completeness: float


@dataclass(frozen=True)
class Sent:
    """What every group's worker needs."""

    complete: Complete
    config: RunConfig
    data: RunData | Reference


def send_groups(complete: Complete, config: RunConfig, data: RunData, waiting: Sequence[Group],
                inputs: Mapping[str, str]) -> Iterator[Group]:
    """Let the cluster's workers *complete* groups; yields each when its folders are where they are kept.

    *inputs*: digest by folder of the shards that the run reads.
    """
    reads = {str(folder): shards_stamp(inputs[str(folder)]) if str(folder) in inputs else stamp(folder)
             for folder in data.folders}
    with Cluster(scheduler()) as cluster:
        wrong = cluster.blind(Path.cwd(), reads)
        if wrong or not reads:
            _require_in_memory(data, wrong)
            why = f", because {wrong[0]} has {wrong[1]}" if wrong else ""
            note(f"{config.name}: the windows are sent to the workers{why}")
            reads = {}
        sent = Sent(complete, config, _reference(data) if reads else data)
        tasks = [(group, [place.name for place in places]) for group, places in waiting]
        for place, _, files in cluster.map(complete_there, sent, tasks, config.name, reads):
            for kept in waiting[place][1]:
                with atomic_path(kept) as folder:
                    unpack({name.partition("/")[2]: content for name, content in files.items()
                            if name.partition("/")[0] == kept.name}, folder)
            yield waiting[place]


def complete_there(sent: Sent, out: Path, group: tuple[Sequence[FoldTask], Sequence[str]]) -> None:
    """On a worker: leave the folders of a group in *out*."""
    data = _read(sent.config, sent.data) if isinstance(sent.data, Reference) else sent.data
    tasks, names = group
    sent.complete(sent.config, data, tasks, [out / name for name in names])


def _reference(data: RunData) -> Reference:
    windows, features = data.folders
    return Reference(uuid4().hex, windows, features, data.folds, data.min_completeness)


def _read(config: RunConfig, reference: Reference) -> RunData:
    if reference.name not in _READ:
        _READ.clear()
        _READ[reference.name] = load_run_data(config, reference.windows, reference.features, reference.folds,
                                              reference.min_completeness, scratch() / "maps")
    return _READ[reference.name]


def _require_in_memory(data: RunData, wrong: tuple[str, ...]) -> None:
    """Windows on disk are not sent: they are more than training.memory_gib."""
    if any(isinstance(array, DiskArray) for array in data.store.arrays.values()):
        refuse(wrong)
        raise bad_input("training.memory_gib", "more windows than that", "windows in memory, to send them to workers",
                        "raise it, or share the project's folder with the workers")
