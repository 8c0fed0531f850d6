"""Trials without any label: their windows lie in a folder of their own, where no fold, model or score meets them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from himoe.prepare.windows import read_shard

UNRATED = "unrated"  # below the folder of a set's shards


def rated_rows(index: pd.DataFrame, dimensions: Sequence[str]) -> np.ndarray:
    """Flags (n,) of the windows whose trial has a label in any window and dimension."""
    labelled = index[list(dimensions)].notna().any(axis=1)
    return labelled.groupby([index["subject"], index["trial"]], sort=False).transform("any").to_numpy(bool)


def unrated_paths(folder: Path) -> list[Path]:
    """The shards of trials without a label, sorted."""
    return sorted((folder / UNRATED).glob("*.parquet"))


def describe_unrated(folder: Path) -> str:
    """Who has trials without a label in the folder of a set's shards, and how many; empty = nobody."""
    people = []
    for path in unrated_paths(folder):
        trials = _trials([path])
        rated = _trials([folder / path.name] if (folder / path.name).is_file() else [])
        people.append(f"{path.stem} ({len(trials)} of {len(trials) + len(rated)} trials)")
    return ", ".join(people)


def _trials(paths: Iterable[Path]) -> set[str]:
    return {trial for path in paths for trial in read_shard(path, ())[0]["trial"]}
