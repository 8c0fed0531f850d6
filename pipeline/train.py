"""Stage ``train``: fit one run's models, fold by fold and seed by seed, in worker processes.

What the models say of their test folds under every mask is written beside them; ``evaluate`` scores it.
"""

from __future__ import annotations

import time
from pathlib import Path

from himoe.core.files import remove
from himoe.training.running import train_run
from pipeline.runs import inputs_of, load_data, run_config
from pipeline.stage import SCRATCH, jobs, main


def train(name: str, windows: str, features: str, folds: str, out: str, settings: str) -> None:
    """Fit run *name* on the shards in *windows* and *features* under the fold table *folds* into the folder *out*.

    *settings* is the run's file of settings.
    """
    started = time.monotonic()
    config, params = run_config(name, Path(windows), Path(settings))
    data = load_data(config, params, windows, features, folds)
    kept = SCRATCH / "folds" / name
    train_run(config, data, Path(out), kept, inputs_of(config, windows, features, folds), jobs())
    remove(kept)
    remove(SCRATCH / "maps" / name)
    from pipeline.finished import tell  # here, because what is said is no code of this stage (pipeline.code.LEFT_OUT)

    tell(f"train@{name}", Path(out), time.monotonic() - started)


if __name__ == "__main__":
    main(train)
