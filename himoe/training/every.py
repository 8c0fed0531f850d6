"""Predictions on a grid of the user's choice: a model's step says how far its windows lie apart, not when one may ask.

A model reads sequences of windows one step apart. Between two of its windows it is asked again, with windows that begin
later: each such grid is a sequence of its own, and what lies on the wanted times is kept of all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import gcd

import numpy as np
import pandas as pd

from himoe.core.errors import InputError, bad_input
from himoe.prepare.loading import Data, make_windows
from himoe.prepare.windowset import Windows
from himoe.training.fitted import Fitted

MS = 1000  # times are told to the millisecond
MOST_GRIDS = 100
ORDER = ["subject", "trial", "start_s"]


def predict_every(model: Fitted, data: Data, every_s: float, drop: Sequence[str] = ()) -> pd.DataFrame:
    """Predictions for windows that begin every *every_s* seconds of each trial, whatever the model's step is.

    Parameters
    ----------
    model : Fitted
    data : Data
        Read once for each of the grids that it takes: ``step_s / gcd(step_s, every_s)``.
    every_s : float
        In seconds, to the millisecond.
    drop : sequence of str
        Modalities to do without.

    Returns
    -------
    DataFrame
        As :meth:`himoe.Fitted.predict` gives it; ``window`` counts the windows of this grid. Rows of the model's own
        grid equal those of ``predict``. People the model has never met are scaled by the windows of one grid at a time.

    Raises
    ------
    InputError
        If *every_s* is no whole number of milliseconds, would take more than 100 grids, or no sensor is left.
    """
    names = sensors_for(model, data, drop)

    def predict(begin_s: float) -> pd.DataFrame | None:
        try:
            windows = windows_for(model, data, names, begin_s)
        except InputError:
            if not begin_s:
                raise
            return None  # the same files have just been read: every trial is one window long
        return model.predict(windows)

    return on_grid(predict, model.description.step_s, every_s)


def sensors_for(model: Fitted, data: Data, without: Sequence[str] = ()) -> list[str]:
    """The model's sensors (but *without*) that the folder has.

    Raises
    ------
    InputError
        If there is none.
    """
    wanted = [name for name in model.description.modalities if name not in without]
    names = [name for name in wanted if name in data.dataset.modalities]
    if not names:
        raise bad_input(data.root, f"the sensors {' '.join(data.dataset.modalities)}",
                        f"one of the model's: {' '.join(wanted)}", "choose another model or folder")
    return names


def windows_for(model: Fitted, data: Data, names: Sequence[str], begin_s: float = 0.0) -> Windows:
    """The folder's windows of the sensors *names* as the model needs them: its rates, bands, length and step."""
    form = model.description
    return make_windows(data, form.length_s, form.step_s, filters=model.filters, modalities=names, begin_s=begin_s)


def on_grid(predict: Callable[[float], pd.DataFrame | None], step_s: float, every_s: float) -> pd.DataFrame:
    """What *predict*, called with the begin in seconds of each grid it takes, says for every *every_s* seconds."""
    told = [predict(begin_s) for begin_s in begins(step_s, every_s)]
    frame = pd.concat([one for one in told if one is not None], ignore_index=True)
    start_ms, every_ms = np.rint(frame["start_s"].to_numpy() * MS).astype(int), round(every_s * MS)
    kept = frame[start_ms % every_ms == 0].sort_values(ORDER, kind="stable", ignore_index=True)
    return kept.assign(window=np.rint(kept["start_s"].to_numpy() * MS / every_ms).astype(np.int32))


def begins(step_s: float, every_s: float) -> list[float]:
    """Where the grids of *step_s* begin that together hold every multiple of *every_s*."""
    step_ms, every_ms = round(step_s * MS), round(every_s * MS)
    if every_ms < 1 or abs(every_s * MS - every_ms) > 1e-6:
        raise bad_input("every", f"{every_s:g} s", "a whole number of milliseconds", "round it")
    apart_ms = gcd(step_ms, every_ms)
    if step_ms // apart_ms > MOST_GRIDS:
        raise bad_input("every", f"{every_s:g} s, which takes {step_ms // apart_ms} grids of {step_s:g} s",
                        f"at most {MOST_GRIDS}", "choose a part or a multiple of the model's step")
    return [begin_ms / MS for begin_ms in range(0, step_ms, apart_ms)]
