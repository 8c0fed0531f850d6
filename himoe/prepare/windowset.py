"""Windows in memory: what models are fitted on and predict for.

Legend: n windows, C channels, W samples per window, D dimensions, P features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from himoe.core.errors import bad_input
from himoe.core.params import SplitParams, WindowParams, parse
from himoe.core.recordings import Recording
from himoe.prepare.asynchrony import Asynchrony
from himoe.prepare.feature_shards import feature_array, feature_meta
from himoe.prepare.folds import ROLES, make_folds, role_rows
from himoe.prepare.unrated import rated_rows
from himoe.prepare.window_arrays import WindowArray, taken
from himoe.prepare.windows import (
    ID_COLUMNS,
    ShardMeta,
    WindowStore,
    read_meta,
    shard_paths,
    window_table,
    write_shard,
)


@dataclass(frozen=True)
class Windows:
    """Windows of one or more people: ids and labels, signals by modality, and what both are.

    Parameters
    ----------
    index : DataFrame, n rows
        subject, session, trial, stimulus, window, start_s; a column per rated dimension (NaN = no label) and
        ``completeness_<modality>`` (share of the window's samples that were recorded).
    arrays : {modality: array (n, C, W) float32}
        Signals in physical units; NaN = not recorded.
    meta : ShardMeta
        Modalities with channels, rate and unit, dimensions and their scale, window length and step, provenance.
    role : ndarray (n,) of str, optional
        ``train`` or ``validation`` where a fold says so; None = whoever fits decides.

    Examples
    --------
    ``windows[rows]`` takes rows (numbers or flags), ``len(windows)`` counts them, ``windows.groups`` names each row's
    person for scikit-learn's cross-validation.
    """

    index: pd.DataFrame
    arrays: Mapping[str, WindowArray]
    meta: ShardMeta
    role: np.ndarray | None = None
    _features: dict[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        missing = [name for name in (*ID_COLUMNS, *self.meta.dimensions) if name not in self.index]
        if missing:
            raise bad_input("Windows.index", f"no column {', '.join(missing)}", "ids and one column per dimension",
                            "make windows with make_windows, from_arrays or from_mne")
        for name, array in self.arrays.items():
            shape = self.meta.shape(name)
            if array.shape != (len(self.index), shape.channels, shape.samples):
                expected = (len(self.index), shape.channels, shape.samples)
                raise bad_input(f"Windows.arrays[{name!r}]", f"shape {array.shape}", expected,
                                "align the arrays with the index")

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, rows: Any) -> Windows:
        chosen = np.arange(len(self))[rows]
        if np.ndim(chosen) == 0:
            chosen = chosen[None]
        return replace(self, index=self.index.iloc[chosen].reset_index(drop=True),
                       arrays={name: taken(array, chosen) for name, array in self.arrays.items()},
                       role=None if self.role is None else self.role[chosen],
                       _features={name: values[chosen] for name, values in self._features.items()})

    @property
    def shape(self) -> tuple[int]:
        """(n,): scikit-learn takes rows of what has a shape."""
        return (len(self),)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities."""
        return tuple(self.arrays)

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Names of the rated dimensions."""
        return tuple(self.meta.dimensions)

    @property
    def groups(self) -> np.ndarray:
        """(n,) the person of each window: ``groups`` of scikit-learn's splitters."""
        return self.index["subject"].to_numpy(str)

    @property
    def trials(self) -> pd.DataFrame:
        """One row per trial: subject, trial."""
        return self.index[["subject", "trial"]].drop_duplicates()

    @property
    def labels(self) -> np.ndarray:
        """(n, D) ratings; NaN = no label."""
        return self.index[list(self.dimensions)].to_numpy(np.float64)

    def people(self, *names: str) -> Windows:
        """The windows of these people.

        Raises
        ------
        InputError
            If one of them is not there.
        """
        known = set(self.groups)
        for name in names:
            if name not in known:
                raise bad_input("people", repr(name), f"one of {' '.join(sorted(known)[:20])}", "correct the name")
        return self[np.isin(self.groups, names)]

    def features(self, modality: str) -> np.ndarray:
        """Features (n, P, 1) of a modality's windows (:mod:`himoe.prepare.features`); computed once."""
        if modality not in self._features:
            there = self.index[f"completeness_{modality}"].to_numpy() > 0
            self._features[modality] = feature_array(modality, self.arrays[modality], self.meta.shape(modality), there)
        return self._features[modality]

    def store(self, modalities: Sequence[str], as_features: Sequence[str]) -> WindowStore:
        """The arrays of *modalities* for a model that reads some of them *as_features*."""
        made = feature_meta(replace(self.meta, modalities={m: self.meta.modalities[m] for m in as_features}))
        entries = {m: made.modalities[m] if m in as_features else self.meta.modalities[m] for m in modalities}
        arrays: dict[str, WindowArray] = {
            m: self.features(m) if m in as_features else self.arrays[m] for m in modalities}
        return WindowStore(self.index, arrays, replace(self.meta, modalities=entries))

    def save(self, folder: Path | str) -> Path:
        """Write shards, one Parquet file per person, that ``Windows.read`` and ``pandas.read_parquet`` open."""
        folder = Path(folder)
        for person in np.unique(self.groups):
            part = self[self.groups == person]
            write_shard(folder / f"{person}.parquet", part.index,
                        part.arrays, self.meta)
        return folder

    @classmethod
    def read(cls, folder: Path | str, modalities: Sequence[str] | None = None, memory_gib: float = 4.0,
             scratch: Path | None = None) -> Windows:
        """Read a folder of shards (``data/windows/<set>`` of the pipeline, or what :meth:`save` wrote).

        Above *memory_gib* the signals stay on disk, in *scratch* (default: below the folder).
        """
        folder = Path(folder)
        meta = read_meta(shard_paths(folder)[0])
        names = tuple(meta.modalities) if modalities is None else tuple(modalities)
        store = WindowStore.open(folder, names, memory_gib, scratch or folder / ".maps")
        return cls(store.index, {m: _nan_where_absent(store, m) for m in names},
                   replace(meta, modalities={m: meta.modalities[m] for m in names}))

    @classmethod
    def from_recordings(cls, recordings: Sequence[Recording], length_s: float, step_s: float, *,
                        dimensions: Sequence[str] = (), scale: tuple[float, float] = (1.0, 9.0),
                        thresholds: Sequence[float] = (), labels: str = "auto", name: str = "own",
                        provenance: Mapping[str, Any] | None = None,
                        asynchrony: Asynchrony | None = None) -> Windows:
        """Cut recordings, clean and each at its own rate, into windows of *length_s* every *step_s* seconds.

        *labels*: ``trial`` (its rating), ``continuous`` (its annotations), ``auto`` (annotations where there are any).
        *asynchrony*: sensors to put out of step, which the provenance then says.

        Raises
        ------
        InputError
            If there is no recording, or recordings of a modality differ in channels or rate.
        """
        params = parse(WindowParams, {"length_s": length_s, "step_s": step_s, "labels": labels,
                                      "min_completeness": 0.5}, "windows")
        if not recordings:
            raise bad_input("recordings", "none", "at least one", "give one per trial")
        modalities: dict[str, dict[str, Any]] = {}
        for one in recordings:
            for modality, signal in one.signals.items():
                modalities.setdefault(modality, {"channels": list(signal.ch_names), "sfreq_hz": signal.sfreq_hz,
                                                 "unit": signal.unit, "samples": round(length_s * signal.sfreq_hz)})
        annotated = any(one.annotations is not None for one in recordings)
        source = ("continuous" if annotated else "trial") if labels == "auto" else labels
        about = {"source": "local", "simulated": False, "label": f"{name} (real, local files)"}
        about = dict(provenance or about) | ({} if asynchrony is None else {"asynchrony": asynchrony.told()})
        meta = ShardMeta(name, about, dict(sorted(modalities.items())), tuple(dimensions),
                         (float(scale[0]), float(scale[1])), tuple(thresholds), length_s, step_s, source)
        index, arrays = window_table(list(recordings), meta, params, asynchrony)
        return cls(index, dict(arrays), meta)


    @classmethod
    def from_arrays(cls, signals: Mapping[str, np.ndarray], sfreq_hz: float | Mapping[str, float], *,
                    ch_names: Mapping[str, Sequence[str]] | None = None, units: Mapping[str, str] | None = None,
                    **options: Any) -> Windows:
        """Filter, resample and cut arrays of one recording.

        Parameters
        ----------
        signals : {modality: array (C, N) or (N,)}
            In physical units (uV, uS, degC, ...); NaN = a gap. All start at the same moment.
        sfreq_hz : float or {modality: float}
        ch_names : mapping, optional
            By modality. A model finds channels by name.
        units : mapping, optional
            By modality.
        **options
            length_s (4), step_s (2), filters (None = the usual ones; ``model.filters`` for a model), subject ("me"),
            trial ("1"), stimulus, ratings ({dimension: value}), scale ((1, 9)).
        """
        from himoe.prepare.own import from_arrays

        return from_arrays(signals, sfreq_hz, ch_names=ch_names, units=units, **options)

    @classmethod
    def from_frames(cls, frames: Mapping[str, pd.DataFrame], sfreq_hz: float | Mapping[str, float],
                    **options: Any) -> Windows:
        """As :meth:`from_arrays`, from data frames by modality: one column per channel, one row per sample."""
        from himoe.prepare.own import from_frames

        return from_frames(frames, sfreq_hz, **options)

    @classmethod
    def from_mne(cls, instances: Mapping[str, Any], **options: Any) -> Windows:
        """As :meth:`from_arrays`, from MNE's Raw (one recording) or Epochs (each a trial) by modality."""
        from himoe.prepare.own import from_mne

        return from_mne(instances, **options)


def _nan_where_absent(store: WindowStore, modality: str) -> WindowArray:
    """A shard has 0 where a modality is missing; here it is NaN, as in windows that were just cut."""
    array = store.arrays[modality]
    absent = store.index[f"completeness_{modality}"].to_numpy() == 0
    if isinstance(array, np.ndarray) and absent.any():
        array[absent] = np.nan
    return array


def folds(windows: Windows, protocol: str = "trial", n_folds: int = 5, validation: float = 0.15,
          people: int | None = None, seed: int = 0) -> Iterator[tuple[Windows, Windows]]:
    """Pairs (train, test) of a protocol; windows of one trial never stand on both sides.

    Parameters
    ----------
    windows : Windows
        Those of trials without any label are left out.
    protocol : str
        ``trial``, ``session``, ``loso``, ``stimulus``, ``sequential`` (:func:`himoe.prepare.folds.make_folds`), or
        ``leaky``, which breaks the rule above and exists to measure what that gains.
    n_folds : int
        Of ``trial`` and ``stimulus``.
    validation : float
        Share of the training trials (people, sessions, clips) that choose the epoch; they are part of ``train``, and
        its ``role`` says which they are.
    people : int or None
        Groups of people that ``loso`` holds out; None = one by one.
    seed : int
    """
    rated = windows[rated_rows(windows.index, windows.dimensions)]
    table = make_folds(rated.index, protocol, SplitParams(n_folds, validation, people), seed)
    for fold in sorted(table["fold"].unique()):
        rows = {role: role_rows(rated.index, table, int(fold), role) for role in ROLES}
        role = np.full(len(rated), "", dtype="<U10")
        for name in ROLES:
            role[rows[name]] = name
        train = rated[(role == "train") | (role == "validation")]
        kept = role[(role == "train") | (role == "validation")]
        yield replace(train, role=kept), rated[role == "test"]
