"""Where the learned lags begin: at those that a scan of the training rows finds.

Legend: n windows, M modalities, P features.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from himoe.core.params import RunConfig
from himoe.models.methods import method_class
from himoe.prepare.lags import LagScan, scan_lags
from himoe.prepare.window_arrays import WindowArray
from himoe.training.rundata import RunData

BLOCK = 512  # windows


def start_lags_s(config: RunConfig, data: RunData, rows: np.ndarray) -> Tensor | None:
    """Lags (M,) in seconds of the run's modalities on its training *rows*; None where the method learns none.

    A sensor that says too little of the ratings to be placed begins at 0, and so do all where ratings do not move.
    """
    max_lag_s = config.alignment.max_lag_s
    if not max_lag_s or not method_class(config.run.method).learns_lags:
        return None
    found = scan_rows(data, rows, max_lag_s)
    return torch.tensor([found[m].lag_s if found[m].clear else 0.0 for m in config.run.modalities])


def scan_rows(data: RunData, rows: np.ndarray, max_lag_s: float) -> dict[str, LagScan]:
    """The scan of every modality of *data* over some of its rows."""
    features = {m: as_features(array, rows, data.present[rows, k])
                for k, (m, array) in enumerate(data.store.arrays.items())}
    index = data.store.index.iloc[rows].reset_index(drop=True)
    return scan_lags(index, features, data.labels[rows], max_lag_s, data.store.meta.step_s)


def as_features(array: WindowArray, rows: np.ndarray, there: np.ndarray) -> np.ndarray:
    """(n, P) of some *rows* of a store's array: features as they are, of signals each channel's log variance."""
    if array.shape[2] == 1:
        values = np.asarray(array[rows], dtype=np.float64)[..., 0]
    else:
        values = np.concatenate([np.log(np.nanvar(np.nan_to_num(array[block]), axis=2) + 1e-12)
                                 for block in np.array_split(rows, max(1, len(rows) // BLOCK))])
    return np.where(there[:, None], np.nan_to_num(values), np.nan)
