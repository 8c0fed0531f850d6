"""A whole day in bounded memory: ``python -m bench.soak``, from the repository's folder.

One simulated person, one trial of many hours as BDF files; it goes through the stages preprocess and window, and
through ``himoe predict``, each a process of its own. What is printed is each one's seconds and peak memory. The
recording is a minute of noise, repeated: memory does not ask what is in it. It lies in a folder that is removed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from bench.run import BENCH
from bench.size import run_stage
from himoe.core.files import write_json, write_text
from himoe.simulate.bdf import BdfChannel, write_bdf

LIMIT_MIB = 1024
CAP = ("Fp1", "Fp2", "F3", "F4", "C3", "C4", "O1", "O2", "F7", "F8", "T7", "T8", "P3", "P4", "P7", "P8", "Fz", "Cz",
       "Pz", "Oz", "FC1", "FC2", "CP1", "CP2", "FC5", "FC6", "CP5", "CP6", "AF3", "AF4", "PO3", "PO4")
RATES_HZ = {"EEG": 128, "EDA": 8, "PPG": 64, "TEMP": 4}
UNITS = {"EEG": "uV", "EDA": "uS", "PPG": "a.u.", "TEMP": "degC"}
HOUR_S = 3600
FITTED_TRIALS, FITTED_S = 6, 60  # what the model that predicts was fitted on
STAGES = (
    ("pipeline.plan", "settings/protocols", "settings/filters", "settings/lines.json"),
    ("pipeline.download", "soak", "data/raw/soak"),
    ("pipeline.face", "soak", "data/raw/soak", "data/faces/soak"),
    ("pipeline.preprocess", "soak", "data/raw/soak", "data/faces/soak", "settings/filters/soak.json",
     "data/signals/soak", "metrics/facts/soak.json"),
    ("pipeline.window", "soak", "data/signals/soak", "data/windows/soak"),
    ("bench.soak", "fit", "short", "model"),
    ("himoe.cli", "predict", "model", "recording", "--out", "predictions.csv"),
)
SHOWN = ("preprocess", "window", "predict")


def soak(hours: float, channels: int, work: Path) -> dict[str, dict[str, float]]:
    """Seconds and peak_mib of preprocess, window and predict, for *hours* with *channels* of EEG, in *work*."""
    from pipeline.overlay import read_study

    root = BENCH.parent
    _, params = read_study(BENCH / "soak.yaml", root)
    work.mkdir(parents=True, exist_ok=True)
    write_json(work / "params.yaml", params)  # JSON is YAML
    write_text(work / "dvc.yaml", (root / "dvc.yaml").read_text(encoding="utf-8"))
    record(work / "recording", ["1"], round(hours * HOUR_S), channels)
    record(work / "short", [str(k + 1) for k in range(FITTED_TRIALS)], FITTED_S, channels)
    found = {}
    for module, *arguments in STAGES:
        name = "predict" if module == "himoe.cli" else module.partition(".")[2]
        taken = run_stage([sys.executable, "-m", module, *arguments], work)
        if name in SHOWN:
            found[name] = taken
            print(f"{hours:g} h, {channels} channels: {name} {taken['seconds']:.0f} s, {taken['peak_mib']:.0f} MiB",
                  file=sys.stderr)
    return found


def record(folder: Path, trials: Sequence[str], duration_s: int, channels: int) -> None:
    """A data set of one person, *trials* of *duration_s* each, described in ``dataset.yaml``."""
    names = {"EEG": CAP[:channels], **{m: (m.lower(),) for m in RATES_HZ if m != "EEG"}}
    entries = {m: {"file": f"{{subject}}/{{trial}}_{m}.bdf", "columns": list(names[m]), "sfreq_hz": RATES_HZ[m],
                   "unit": UNITS[m]} for m in names}
    write_json(folder / "dataset.yaml", {
        "name": "soak", "title": "a day, simulated", "licence": "private", "dimensions": ["valence"], "scale": [1, 9],
        "threshold": 5, "ratings": "ratings.csv", "modalities": entries})
    rows = [f"one,{trial},{2 + k}" for k, trial in enumerate(trials)]
    write_text(folder / "ratings.csv", "\n".join(["subject,trial,valence", *rows, ""]))
    for k, trial in enumerate(trials):
        for m, rate_hz in RATES_HZ.items():
            made = [BdfChannel(name, UNITS[m], (-500.0, 500.0), partial(values, [k, list(RATES_HZ).index(m), place],
                                                                       rate_hz)) for place, name in enumerate(names[m])]
            write_bdf(folder / "one" / f"{trial}_{m}.bdf", made, rate_hz, duration_s * rate_hz)


def values(seed: Sequence[int], rate_hz: int, first: int, last: int) -> np.ndarray:
    """Samples *first* to *last* of a channel: noise of a minute, again and again, on a slow wave of an hour."""
    noise = np.random.default_rng(seed).normal(0, 20, 60 * rate_hz)
    places = np.arange(first, last)
    return noise[places % len(noise)] + 30 + 10 * np.sin(2 * np.pi * places / (HOUR_S * rate_hz))


def fit(folder: str, out: str) -> None:
    """A small model of *folder*, to predict with."""
    import himoe

    himoe.HiMoE(epochs=1).fit(himoe.make_windows(himoe.load(folder))).save(out)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; status 1 if a process needs more than ``LIMIT_MIB``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--channels", type=int, default=8, help="of EEG, up to 32")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as work:
        found = soak(chosen.hours, chosen.channels, Path(work))
    print(json.dumps(found))
    return int(max(one["peak_mib"] for one in found.values()) > LIMIT_MIB)


if __name__ == "__main__":
    if sys.argv[1:2] == ["fit"]:
        fit(*sys.argv[2:])
    else:
        sys.exit(main())
