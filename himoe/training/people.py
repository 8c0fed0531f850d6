"""Whom a model knows, and by what it scales everybody else.

Known people are those of the training rows; each has an own row in the normaliser, and a last row is everybody's.
Whoever is not known is scaled by the own windows at hand (no label is needed), or by everybody's row: ``normalise``
of a run and of a model.

Legend: n windows, M modalities, C channels, G people that the model knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from himoe.models.batches import Normaliser
from himoe.prepare.windows import WindowStore


def names_of(column: pd.Series) -> tuple[str, ...]:
    """Names in the order of their codes (:func:`himoe.models.batches.codes`)."""
    return tuple(str(name) for name in np.unique(column.to_numpy(str)))


def numbered(people: Sequence[str]) -> dict[str, int]:
    """Each name's place."""
    return {name: code for code, name in enumerate(people)}


def person_codes(names: np.ndarray, known: Mapping[str, int], people: int, normalise: str) -> np.ndarray:
    """(n,) the place of each window's person, of *names* (n,), among the *people* G that a model knows.

    Others are G, which is everybody's row, or from G + 1 on where each is scaled by own windows.
    """
    others = [str(name) for name in np.unique(names) if str(name) not in known]
    places = {name: people + (1 + k if normalise == "person" else 0) for k, name in enumerate(others)} | dict(known)
    return np.array([places[str(name)] for name in names], dtype=np.int64)


def fit_normaliser(store: WindowStore, train: np.ndarray, present: np.ndarray, codes: np.ndarray, people: int,
                   normalise: str) -> Normaliser:
    """Statistics (G + 1, C) of the rows *train*: of each known person (*codes* (n,) below G), then of everybody."""
    known = np.append(np.minimum(codes, people), people)  # the last code is nobody's: it gets everybody's rows
    return Normaliser.fit(store, train, present, known, normalise == "person")


def with_strangers(normaliser: Normaliser, store: WindowStore, rows: np.ndarray, present: np.ndarray,
                   codes: np.ndarray) -> Normaliser:
    """The normaliser (G + 1, C) with a row for each code (n,) from G + 1 on, of that person's windows among *rows*.

    Features keep everybody's spread (:class:`himoe.models.batches.Normaliser`); who has no window of a modality keeps
    everybody's statistics of it.
    """
    first = len(next(iter(normaliser.mean.values())))
    if not (codes >= first).any():
        return normaliser
    rows = rows[codes[rows] >= first]
    own = Normaliser.fit(store, rows, present, np.maximum(codes - first, 0), True)
    mean, spread = {}, {}
    for column, name in enumerate(store.arrays):
        with_signal = codes[rows[present[rows, column]]] - first
        seen = np.isin(np.arange(len(own.mean[name])), with_signal)[:, None]
        everybody = normaliser.mean[name][-1:], normaliser.spread[name][-1:]
        kept = np.broadcast_to(everybody[1], own.spread[name].shape)
        mean[name] = np.concatenate([normaliser.mean[name], np.where(seen, own.mean[name], everybody[0])])
        spread[name] = np.concatenate([normaliser.spread[name], kept if store.meta.shape(name).samples == 1
                                       else np.where(seen, own.spread[name], everybody[1])])
    return Normaliser(mean, spread)
