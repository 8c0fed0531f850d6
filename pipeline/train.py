"""Stages ``train`` and ``train_main``: fit one run's models, fold by fold and seed by seed, in worker processes.

What the models say of their test folds under every mask is written beside them; ``evaluate`` scores it.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import himoe
from himoe.core.files import remove, sha256
from himoe.training.rundata import feature_modalities
from himoe.training.running import train_run
from pipeline.runs import load_data, run_config
from pipeline.stage import SCRATCH, jobs, main


def train(name: str, windows: str, features: str, folds: str, out: str, settings: str = "") -> None:
    """Fit run *name* on the shards in *windows* and *features* under the fold table *folds* into the folder *out*.

    *settings* is the run's file of parameters; ``main`` has none.
    """
    started, is_main = time.monotonic(), name == "main"
    config, params = run_config("train_main" if is_main else f"train@{name}", name, Path(windows),
                                Path(settings) if settings else None)
    data = load_data(config, params, windows, features, folds)
    n_made, n_modalities = len(feature_modalities(config)), len(config.run.modalities)
    read = [folder for folder, count in ((windows, n_modalities - n_made), (features, n_made)) if count]
    inputs = {**{folder: folder_digest(Path(folder), "*.parquet") for folder in read}, "folds": sha256(Path(folds)),
              "code": folder_digest(Path(himoe.__file__).parent, "**/*.py")}
    kept = SCRATCH / "folds" / name
    train_run(config, data, Path(out), kept, inputs, jobs())
    remove(kept)
    remove(SCRATCH / "maps" / name)
    from pipeline.finished import tell  # here, because what is said is no code of this stage (pipeline.code.LEFT_OUT)

    tell("train_main" if is_main else f"train@{name}", Path(out), time.monotonic() - started)


def folder_digest(folder: Path, pattern: str) -> str:
    """A digest of the names and bytes of the matching files."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob(pattern)):
        digest.update(f"{path.relative_to(folder).as_posix()} {sha256(path)}\n".encode())
    return digest.hexdigest()


if __name__ == "__main__":
    main(train)
