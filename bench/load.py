"""From raw DEAP .dat files to one shuffled epoch of EEG batches: this project's side; TorchEEG's is ``theirs.py``.

``python -m bench.load VARIANT OPTIONS`` runs one variant with JSON options and prints one JSON line. ``work_s``
is the time after the imports; the caller measures the whole process. Both sides give the same windows
(4 s every 2 s, 32 channels, no filter) as float32 batches with one label, in a random order.

Legend: n windows, C channels, W samples per window.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import both
from bench.both import BATCH, CHANNELS, LENGTH_S, SAMPLES, SFREQ_HZ, STEP_S

if TYPE_CHECKING:
    import numpy as np

    from himoe.core.params import WindowParams
    from himoe.prepare.windows import ShardMeta, WindowStore

SCAN_BLOCK = 64  # windows copied at once
SCAN_PASSES = 5


def simulate(raw: str, participants: int, trials: int) -> dict[str, Any]:
    """Write simulated .dat files into the folder *raw*: what DEAP has, so no ratings in the course of a trial."""
    from himoe.simulate.generate import SimulationParams, simulate_deap

    simulate_deap(Path(raw), SimulationParams(participants, trials, seed=0), layout="dat")
    Path(raw, "continuous_annotations.csv").unlink(missing_ok=True)
    return {"raw_bytes": both.stored_bytes(Path(raw, "data_preprocessed_python"))}


def ours_first(raw: str, work: str, tensors: bool = True) -> dict[str, Any]:
    """Raw files to window shards, then an epoch; without *tensors* of NumPy arrays, and torch is not imported."""
    import_ours(tensors)
    from himoe.core.params import WindowParams

    params = WindowParams(LENGTH_S, STEP_S, "trial", 0.5)  # the first sets up the checks: that is start-up, too
    start = time.perf_counter()
    write_windows(Path(raw), Path(work, "ours"), params)
    return _ours_epoch(Path(work, "ours"), start, tensors)


def ours_again(raw: str, work: str, tensors: bool = True) -> dict[str, Any]:
    """Window shards that are there already, then an epoch."""
    import_ours(tensors)
    return _ours_epoch(Path(work, "ours"), time.perf_counter(), tensors)


def import_ours(tensors: bool) -> None:
    """What the variants need, as the other side imports its own before the clock starts."""
    import himoe.datasets.deap
    import himoe.prepare.windows

    if tensors:
        import himoe.models.batches  # noqa: F401


def write_windows(raw: Path, folder: Path, params: WindowParams) -> None:
    """Cut every participant's EEG into windows, a shard each: what the stages do, less the filters."""
    from himoe.core.recordings import Recording
    from himoe.datasets import get_dataset
    from himoe.prepare.windows import window_table, write_shard

    dataset, options = get_dataset("deap"), {"layout": "dat"}
    meta = eeg_meta()
    for subject in dataset.inspect(raw, options).subjects:
        recordings = [
            Recording(subject, trial.trial, trial.stimulus, trial.duration_s,
                      {"EEG": session.signals["EEG"].cut(trial.start_s, trial.duration_s)}, trial.ratings)
            for session in dataset.read(raw, subject, options) for trial in session.trials
        ]
        index, arrays = window_table(recordings, meta, params)
        write_shard(folder / f"{subject}.parquet", index, arrays, meta)


def eeg_meta() -> ShardMeta:
    """The shards' description: EEG only."""
    from himoe.datasets import get_dataset
    from himoe.prepare.windows import ShardMeta

    dataset = get_dataset("deap")
    eeg = {"channels": list(dataset.modalities["EEG"].names), "samples": SAMPLES, "sfreq_hz": float(SFREQ_HZ),
           "unit": dataset.modalities["EEG"].unit}
    return ShardMeta("deap", {"simulated": True}, {"EEG": eeg}, dataset.dimensions, dataset.scale, dataset.thresholds,
                     LENGTH_S, STEP_S, "trial")


def open_store(folder: Path) -> WindowStore:
    """The shards, read into memory."""
    from himoe.prepare.windows import WindowStore

    return WindowStore.open(folder, ("EEG",), memory_gib=8.0, scratch=folder / "scratch")


def ours_batches(store: WindowStore, tensors: bool = True) -> Iterator[tuple[Any, Any]]:
    """Shuffled batches of windows (B, C, W) and valence (B,), tensors or arrays; gaps are 0."""
    import numpy as np

    as_given: Callable[[np.ndarray], Any] = lambda array: array  # noqa: E731
    if tensors:
        from torch import from_numpy as as_given
    windows, valence = store.arrays["EEG"], store.index["valence"].to_numpy(np.float32)
    gaps = store.index["completeness_EEG"].to_numpy() < 1
    order = np.random.default_rng(0).permutation(len(windows))
    for first in range(0, len(order), BATCH):
        rows = order[first:first + BATCH]
        batch = np.take(windows, rows, axis=0)
        for place in np.flatnonzero(gaps[rows]):
            batch[place][np.isnan(batch[place])] = 0.0
        yield as_given(batch), as_given(valence[rows])


def _ours_epoch(folder: Path, start: float, tensors: bool) -> dict[str, Any]:
    done = both.go_through(ours_batches(open_store(folder), tensors), start)
    return done | {"stored_bytes": both.stored_bytes(folder)}


def check(work: str, energies: str) -> dict[str, Any]:
    """Prove that both sides hold the same windows: each gap-free one of ours has its like among their *energies*."""
    import numpy as np

    store, reference = open_store(Path(work, "ours")), np.load(energies)
    whole = store.index["completeness_EEG"].to_numpy() == 1
    energy = np.square(store.arrays["EEG"][whole].astype(np.float64)).sum((1, 2))
    return {"windows": len(store.index), "compared": compare_windows(len(store.index), energy, reference)}


def compare_windows(n_windows: int, energy: np.ndarray, reference: np.ndarray) -> int:
    """Match the energies of gap-free windows (k,) with the sorted *reference* (n,) of all; returns k.

    Raises
    ------
    AssertionError
        If the counts differ or a window has no like.
    """
    import numpy as np

    if n_windows != len(reference) or len(energy) == 0:
        raise AssertionError(f"{n_windows} windows ({len(energy)} without gaps) against {len(reference)}")
    right = np.searchsorted(reference, energy).clip(1, len(reference) - 1)
    distance = np.minimum(np.abs(reference[right - 1] - energy), np.abs(reference[right] - energy))
    if not np.all(distance <= 1e-6 * energy):
        raise AssertionError(f"{int((distance > 1e-6 * energy).sum())} windows have no like")
    return len(energy)


def scan(work: str, windows: int) -> dict[str, Any]:
    """Floor: copy a warm .npy memory map of all windows block by block; the median pass."""
    import numpy as np

    path = Path(work, "scan.npy")
    np.save(path, np.ones((windows, CHANNELS, SAMPLES), np.float32))
    mapped = np.load(path, mmap_mode="r")
    block = np.empty((SCAN_BLOCK, CHANNELS, SAMPLES), np.float32)
    passes = []
    for _ in range(SCAN_PASSES + 1):
        start = time.perf_counter()
        for first in range(0, windows, SCAN_BLOCK):
            part = mapped[first:first + SCAN_BLOCK]
            np.copyto(block[:len(part)], part)
        passes.append(time.perf_counter() - start)
    seconds = float(np.median(passes[1:]))  # the first pass maps the pages
    return {"floor_s": seconds, "bytes": mapped.nbytes, "gb_per_s": mapped.nbytes / seconds / 1e9}


VARIANTS: dict[str, Callable[..., dict[str, Any]]] = {
    "simulate": simulate, "ours_first": ours_first, "ours_again": ours_again, "check": check, "scan": scan,
}

if __name__ == "__main__":
    both.run(VARIANTS)
