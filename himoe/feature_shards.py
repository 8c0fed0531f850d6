"""Shards of features: what :mod:`himoe.features` says of every window, in the format of window shards.

A modality's array is (n, P, 1): P features of each of n windows, in physical units; channel names are the features'
names. Ids, labels, completeness and provenance are those of the windows, so presence is the same from either folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from himoe.features import feature_names, window_features
from himoe.windows import ModalityShape, ShardMeta, read_shard, write_shard


def feature_meta(meta: ShardMeta) -> ShardMeta:
    """The description of the feature shards of windows that *meta* describes; one value per window of ``length_s``."""
    return replace(meta, modalities={m: _entry(meta, m) for m in meta.modalities})


def _entry(meta: ShardMeta, modality: str) -> Mapping[str, Any]:
    shape = meta.shape(modality)
    names = feature_names(modality, shape.channels, shape.samples, shape.sfreq_hz, shape.ch_names)
    return {"channels": list(names), "samples": 1, "sfreq_hz": 1 / meta.length_s, "unit": "by feature"}


def feature_array(modality: str, windows: np.ndarray, shape: ModalityShape, there: np.ndarray) -> np.ndarray:
    """Features (n, P, 1) of windows (n, C, W); NaN throughout where nothing is *there* (n,) bool."""
    values, names = window_features(modality, windows[there], shape.sfreq_hz, shape.ch_names)
    array = np.full((len(windows), len(names), 1), np.nan, np.float32)
    array[there, :, 0] = values
    return array


def write_features(source: Path, target: Path) -> None:
    """Write the feature shard *target* of the window shard *source*.

    A window that misses a modality altogether misses its features too; one with gaps has what its known samples say.
    """
    index, windows, meta = read_shard(source)
    arrays = {m: feature_array(m, data, meta.shape(m), index[f"completeness_{m}"].to_numpy() > 0)
              for m, data in windows.items()}
    write_shard(target, index, arrays, feature_meta(meta))
