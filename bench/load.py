"""From raw DEAP .dat files to one shuffled epoch of EEG batches: this project and TorchEEG, a process each.

``python -m bench.load VARIANT OPTIONS`` runs one variant with JSON options and prints one JSON line. ``work_s``
is the time after the imports; the caller measures the whole process. Both sides give the same windows
(4 s every 2 s, 32 channels, no filter) as float32 batches with one label, in a random order.

Legend: n windows, C channels, W samples per window.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import torch

    from himoe.prepare.windows import ShardMeta, WindowStore

SFREQ_HZ = 128
LENGTH_S, STEP_S = 4.0, 2.0
CHANNELS, SAMPLES = 32, round(LENGTH_S * SFREQ_HZ)
BATCH = 64
SCAN_BLOCK = 64  # windows copied at once
SCAN_PASSES = 5


def simulate(raw: str, participants: int, trials: int) -> dict[str, Any]:
    """Write simulated .dat files into the folder *raw*."""
    from himoe.simulate.generate import SimulationParams, simulate_deap

    simulate_deap(Path(raw), SimulationParams(participants, trials, seed=0), layout="dat")
    return {"raw_bytes": _stored_bytes(Path(raw, "data_preprocessed_python"))}


def ours_first(raw: str, work: str) -> dict[str, Any]:
    """Raw files to window shards, then an epoch."""
    import_ours()
    start = time.perf_counter()
    write_windows(Path(raw), Path(work, "ours"))
    return _ours_epoch(Path(work, "ours"), start)


def ours_again(raw: str, work: str) -> dict[str, Any]:
    """Window shards that are there already, then an epoch."""
    import_ours()
    return _ours_epoch(Path(work, "ours"), time.perf_counter())


def import_ours() -> None:
    """What both variants need, as the other side imports its own before the clock starts."""
    import himoe.datasets.deap
    import himoe.models.batches
    import himoe.prepare.windows  # noqa: F401


def write_windows(raw: Path, folder: Path) -> None:
    """Cut every participant's EEG into windows, a shard each: what the stages do, less the filters."""
    from himoe.core.params import WindowParams
    from himoe.core.recordings import Recording
    from himoe.datasets import get_dataset
    from himoe.prepare.windows import window_table, write_shard

    dataset, options = get_dataset("deap"), {"layout": "dat"}
    meta = eeg_meta()
    params = WindowParams(LENGTH_S, STEP_S, "trial", 0.5)
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


def ours_batches(store: WindowStore) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Shuffled batches of windows (B, C, W) and valence (B,); gaps are 0."""
    import numpy as np
    import torch

    windows, valence = store.arrays["EEG"], store.index["valence"].to_numpy(np.float32)
    gaps = store.index["completeness_EEG"].to_numpy() < 1
    order = np.random.default_rng(0).permutation(len(windows))
    for first in range(0, len(order), BATCH):
        rows = order[first:first + BATCH]
        batch = np.take(windows, rows, axis=0)
        for place in np.flatnonzero(gaps[rows]):
            batch[place][np.isnan(batch[place])] = 0.0
        yield torch.from_numpy(batch), torch.from_numpy(valence[rows])


def _ours_epoch(folder: Path, start: float) -> dict[str, Any]:
    return _epoch(ours_batches(open_store(folder)), start) | {"stored_bytes": _stored_bytes(folder)}


def theirs(raw: str, work: str, workers: int) -> dict[str, Any]:
    """TorchEEG: its cache is made if it is not there, then an epoch with *workers* processes."""
    from torch.utils.data import DataLoader
    from torcheeg.datasets import DEAPDataset  # noqa: F401 - the import is not part of work_s

    folder = Path(work, f"theirs{workers}")
    start = time.perf_counter()
    loader = DataLoader(torcheeg_dataset(raw, folder, workers), BATCH, shuffle=True, num_workers=workers)
    return _epoch(iter(loader), start) | {"stored_bytes": _stored_bytes(folder)}


def torcheeg_dataset(raw: str, folder: Path, workers: int) -> Any:
    """TorchEEG's data set of the same windows; its 3 s baseline is one chunk a trial, as it must be."""
    from torcheeg.datasets import DEAPDataset

    return DEAPDataset(root_path=str(Path(raw, "data_preprocessed_python")), chunk_size=SAMPLES,
                       overlap=SAMPLES - round(STEP_S * SFREQ_HZ), num_channel=CHANNELS, num_baseline=3,
                       baseline_chunk_size=SFREQ_HZ, online_transform=to_tensor, label_transform=to_valence,
                       io_path=str(folder), num_worker=workers, verbose=False)


def to_tensor(eeg: np.ndarray, **_: Any) -> dict[str, Any]:
    """What TorchEEG's ToTensor does (its ``transforms`` want ``scipy.signal.hann``, which is gone)."""
    import torch

    return {"eeg": torch.from_numpy(eeg).float()}


def to_valence(y: dict[str, Any]) -> dict[str, float]:
    """TorchEEG label transform: the valence rating."""
    return {"y": float(y["valence"])}


def _epoch(batches: Iterator[tuple[torch.Tensor, torch.Tensor]], start: float) -> dict[str, Any]:
    """Go through all batches once; every window is touched."""
    windows, total = 0, 0.0
    for x, y in batches:
        if x.shape[1:] != (CHANNELS, SAMPLES) or len(y) != len(x):
            raise AssertionError(f"a batch of shape {tuple(x.shape)} with {len(y)} labels")
        windows += len(x)
        total += float(x[:, 0, 0].sum())
    return {"work_s": time.perf_counter() - start, "windows": windows, "sum": total}


def check(raw: str, work: str) -> dict[str, Any]:
    """Prove that both sides hold the same windows: each gap-free one of ours has its like among theirs."""
    import numpy as np

    store = open_store(Path(work, "ours"))
    dataset = torcheeg_dataset(raw, Path(work, "theirs0"), 0)
    reference = np.sort([float(dataset[i][0].double().square().sum()) for i in range(len(dataset))])
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


def _stored_bytes(folder: Path) -> int:
    """Bytes that the files below *folder* take on disk (LMDB files are sparse)."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


VARIANTS: dict[str, Callable[..., dict[str, Any]]] = {
    "simulate": simulate, "ours_first": ours_first, "ours_again": ours_again, "theirs": theirs, "check": check,
    "scan": scan,
}

if __name__ == "__main__":
    print(json.dumps(VARIANTS[sys.argv[1]](**json.loads(sys.argv[2]))))
