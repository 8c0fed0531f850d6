"""TorchEEG's side of ``load.py`` and ``eegnet.py``: needs TorchEEG and nothing of this project but ``both.py``.

``PYTHON -m bench.theirs VARIANT OPTIONS`` runs one variant with JSON options and prints one JSON line. PYTHON is the
interpreter of an environment with TorchEEG (bench/README.md): its requirements do not fit this project's.
"""

from __future__ import annotations

import sys
import time
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from bench import both
from bench.both import BATCH, CHANNELS, SAMPLES

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn


def load(raw: str, work: str, workers: int) -> dict[str, Any]:
    """Its cache is made if it is not there, then an epoch with *workers* processes."""
    from torch.utils.data import DataLoader
    from torcheeg.datasets import DEAPDataset  # noqa: F401 - the import is not part of work_s

    folder = Path(work, f"theirs{workers}")
    start = time.perf_counter()
    loader = DataLoader(dataset(raw, folder, workers), BATCH, shuffle=True, num_workers=workers)
    return both.go_through(loader, start) | {"stored_bytes": both.stored_bytes(folder)}


def energies(raw: str, work: str, path: str) -> dict[str, Any]:
    """Sum of squares of every window in the cache, float64, sorted, as a .npy file; ``check`` of load.py reads it."""
    import numpy as np

    windows = dataset(raw, Path(work, "theirs0"), 0)
    np.save(path, np.sort([float(windows[i][0].double().square().sum()) for i in range(len(windows))]))
    return {"windows": len(windows)}


def dataset(raw: str, folder: Path, workers: int) -> Any:
    """TorchEEG's data set of the same windows; its 3 s baseline is one chunk a trial, as it must be."""
    from torcheeg.datasets import DEAPDataset

    return DEAPDataset(root_path=str(Path(raw, "data_preprocessed_python")), chunk_size=SAMPLES,
                       overlap=SAMPLES - round(both.STEP_S * both.SFREQ_HZ), num_channel=CHANNELS, num_baseline=3,
                       baseline_chunk_size=both.SFREQ_HZ, online_transform=to_tensor, label_transform=to_valence,
                       io_path=str(folder), num_worker=workers, verbose=False)


def to_tensor(eeg: np.ndarray, **_: Any) -> dict[str, Any]:
    """What TorchEEG's ToTensor does, whose module imports all other transforms."""
    import torch

    return {"eeg": torch.from_numpy(eeg).float()}


def to_valence(y: dict[str, Any]) -> dict[str, float]:
    """Label transform: the valence rating."""
    return {"y": float(y["valence"])}


def eegnet(windows: int, samples: int = SAMPLES, batch: int = BATCH, threads: int = 1) -> dict[str, Any]:
    """One epoch of TorchEEG's EEGNet."""
    return both.train(_encoder, windows, samples, batch, threads)


def _encoder(samples: int) -> nn.Module:
    """TorchEEG's EEGNet: it also has the batch norm between the filters and the max-norm limit."""
    from torch import nn

    # Its package of models also imports RGNN, which needs a compiled extension that EEGNet does not.
    scatter = ModuleType("torch_scatter")
    scatter.__dict__["scatter_add"] = None
    sys.modules.setdefault("torch_scatter", scatter)
    from torcheeg.models import EEGNet

    class WithImageAxis(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = EEGNet(chunk_size=samples, num_electrodes=CHANNELS, F1=both.FILTERS,
                              F2=both.FILTERS * both.DEPTH, D=both.DEPTH, num_classes=both.FEATURES,
                              kernel_1=both.TAPS, kernel_2=both.SEPARABLE_TAPS, dropout=both.DROPOUT)

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x[:, None])

    return WithImageAxis()


def versions() -> dict[str, Any]:
    """What this side runs on."""
    return {name: metadata.version(name) for name in ("torcheeg", "torch", "numpy", "scipy")}


VARIANTS = {"load": load, "energies": energies, "eegnet": eegnet, "versions": versions}

if __name__ == "__main__":
    both.run(VARIANTS)
