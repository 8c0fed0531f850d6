"""Lags drawn at training: sensors out of step in another way each epoch, so that a model does not rely on one.

What stands at time t of the grid then holds what the body did at t minus the lag: signals are put together anew from
the windows before and after, to the nearest sample; features of windows are read between two of them along a straight
line. What would lie outside the sequence is absent. Nothing is stamped: nobody knows of these lags.

Legend: B sequences, T time steps, M modalities, C channels, W samples per window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from himoe.core.params import AsynchronyParams
from himoe.models.batches import Batch
from himoe.prepare.asynchrony import named_rng


def drawn_lags_s(asked: AsynchronyParams, ids: pd.DataFrame, modalities: Sequence[str], seed: int,
                 epoch: int) -> np.ndarray:
    """Lags (B, M) in seconds of the trials in *ids* (``subject``, ``trial``; one row a sequence).

    They depend on the seed, the epoch, the person, the trial and the sensor alone; a larger SD stretches
    the same draws.
    """
    found = np.zeros((len(ids), len(modalities)))
    for m, modality in enumerate(modalities):
        own = (str(epoch), modality)
        constant_s = asked.lag_s * named_rng(seed, *own).uniform(-1, 1)
        for b, (subject, trial) in enumerate(zip(ids["subject"], ids["trial"], strict=True)):
            found[b, m] = (constant_s + asked.person_sd_s * named_rng(seed, *own, subject).standard_normal()
                           + asked.jitter_sd_s * named_rng(seed, *own, subject, trial).standard_normal())
    return found


def moved(batch: Batch, lags_s: np.ndarray, step_s: float, length_s: float) -> Batch:
    """The batch with each sequence's modalities late by *lags_s* (B, M); labels stay where they are."""
    x, there = {}, []
    for m, (modality, windows) in enumerate(batch.x.items()):
        x[modality], present_BT = _late(windows, batch.present[..., m], lags_s[:, m] / step_s, step_s / length_s)
        there.append(present_BT & batch.valid)
    return replace(batch, x=x, present=torch.stack(there, -1))


def _late(x_BTCW: Tensor, present_BT: Tensor, steps_B: np.ndarray, hop: float) -> tuple[Tensor, Tensor]:
    """Windows of one modality, and where they are, *steps_B* (B,) steps later; *hop*: step over length of a window."""
    samples = x_BTCW.shape[-1]
    per_step = 1 if samples == 1 else max(1, round(samples * hop))
    whole, rest = np.divmod(steps_B, 1.0)
    if samples > 1:
        whole, rest = np.divmod(np.round(steps_B * per_step), per_step)
    x, there = torch.zeros_like(x_BTCW), torch.zeros_like(present_BT)
    for b, (k, part) in enumerate(zip(whole.astype(int).tolist(), rest.tolist(), strict=True)):
        now, now_there = _shift(x_BTCW[b], k), _shift(present_BT[b], k)
        before, before_there = _shift(x_BTCW[b], k + 1), _shift(present_BT[b], k + 1)
        if part == 0:
            x[b], there[b] = now, now_there
        elif samples == 1:
            x[b], there[b] = torch.lerp(now, before, part), now_there & before_there
        else:
            cut = int(part)
            x[b] = torch.cat([before[..., per_step - cut:per_step], now[..., :samples - cut]], -1)
            there[b] = now_there & before_there
    return x, there


def _shift(values: Tensor, steps: int) -> Tensor:
    """(T, ...) so many steps later; 0 where nothing comes from."""
    out, n = torch.zeros_like(values), len(values)
    if steps >= n or -steps >= n:
        return out
    if steps >= 0:
        out[steps:] = values[:n - steps]
    else:
        out[:steps] = values[-steps:]
    return out
