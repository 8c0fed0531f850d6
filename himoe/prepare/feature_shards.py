"""Shards of features: what :mod:`himoe.prepare.features` says of every window, in the format of window shards.

A modality's array is (n, P, 1): P features of each of n windows, in physical units; channel names are the features'
names. Ids, labels, completeness and provenance are those of the windows, so presence is the same from either folder.

With ``normalise: person`` they are deviations from the person's own mean in the person's own SDs: people differ more
in level (of skin conductance, of heart rate) than one person does between conditions. No label is needed for it, but
a person's recordings are, so that it fits people who have been through all of an experiment, tested ones too.

Legend: n windows, P features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from himoe.core.parsing import checked
from himoe.prepare.features import feature_names, window_features
from himoe.prepare.window_arrays import WindowArray
from himoe.prepare.windows import PERSON_UNIT, ModalityShape, ShardMeta, read_shard, write_shard

WHOLE_BYTES = 64 * 2**20  # windows whose features are computed at once
PART_BYTES = 8 * 2**20  # of more windows than that: their spectra take several times as much
SMALLEST_SD = 1e-6  # of a feature that does not vary: its deviations stay 0


@checked
@dataclass(frozen=True)
class FeatureParams:
    """``normalise``: ``none`` = features in physical units; ``person`` = deviations from the person's mean, in SDs."""

    normalise: Literal["none", "person"] = "none"


def feature_meta(meta: ShardMeta, params: FeatureParams | None = None) -> ShardMeta:
    """The description of the feature shards of windows that *meta* describes; one value per window of ``length_s``."""
    unit = PERSON_UNIT if params is not None and params.normalise == "person" else "by feature"
    return replace(meta, modalities={m: {**_entry(meta, m), "unit": unit} for m in meta.modalities})


def _entry(meta: ShardMeta, modality: str) -> Mapping[str, Any]:
    shape = meta.shape(modality)
    names = feature_names(modality, shape.channels, shape.samples, shape.sfreq_hz, shape.ch_names)
    return {"channels": list(names), "samples": 1, "sfreq_hz": 1 / meta.length_s}


def feature_array(modality: str, windows: WindowArray, shape: ModalityShape, there: np.ndarray) -> np.ndarray:
    """Features (n, P, 1) of windows (n, C, W); NaN throughout where nothing is *there* (n,) bool."""
    part = max(1, PART_BYTES * len(windows) // max(windows.nbytes, 1))
    if windows.nbytes > WHOLE_BYTES and len(windows) > part:
        return np.concatenate([feature_array(modality, windows[first:first + part], shape, there[first:first + part])
                               for first in range(0, len(windows), part)])
    values, names = window_features(modality, windows[there], shape.sfreq_hz, shape.ch_names)
    array = np.full((len(windows), len(names), 1), np.nan, np.float32)
    array[there, :, 0] = values
    return array


def write_features(pairs: Sequence[tuple[Path, Path]], params: FeatureParams | None = None) -> None:
    """Write a person's feature shards: *pairs* of a window shard (of rated, of unrated trials) and its feature shard.

    A window that misses a modality altogether misses its features too; one with gaps has what its known samples say.
    """
    made = []
    for source, _ in pairs:
        index, windows, meta = read_shard(source)
        made.append((index, {m: feature_array(m, data, meta.shape(m), index[f"completeness_{m}"].to_numpy() > 0)
                             for m, data in windows.items()}, meta))
    if params is not None and params.normalise == "person":
        index = pd.concat([one[0] for one in made], ignore_index=True)
        for modality in made[0][1]:
            mean, spread = person_moments(index, np.concatenate([arrays[modality] for _, arrays, _ in made])[..., 0])
            for _, arrays, _ in made:
                arrays[modality] = ((arrays[modality] - mean[:, None]) / spread[:, None]).astype(np.float32)
    for (index, arrays, meta), (_, target) in zip(made, pairs, strict=True):
        write_shard(target, index, arrays, feature_meta(meta, params))


def person_moments(index: pd.DataFrame, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and SD (P,) of a person's features (n, P), NaN left out; every trial counts the same, long or short.

    A feature that does not vary has SD 1.
    """
    trials = [index["session"].to_numpy(str), index["trial"].to_numpy(str)]
    mean = pd.DataFrame(values, dtype=np.float64).groupby(trials).mean().mean().to_numpy()
    squares = pd.DataFrame((values - mean) ** 2, dtype=np.float64).groupby(trials).mean().mean().to_numpy()
    spread = np.sqrt(squares)
    return np.nan_to_num(mean), np.where(spread > SMALLEST_SD, spread, 1.0)
