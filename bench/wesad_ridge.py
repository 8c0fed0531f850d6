"""The plain reference for reports/wesad: a ridge regression on seven numbers of a whole condition, people held out.

``python -m bench.wesad_ridge [FOLDER]`` reads the features that the study left behind (``data/features/wesad`` of its
working copy), takes their means over each condition, and the z-scores of these within each person. No network, no
windows, one fixed penalty.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge

from himoe.prepare.windows import read_shard, shard_paths
from himoe.scoring.metrics import ccc

FEATURES = Path(".himoe/studies/wesad/data/features/wesad")
SEVEN = (("EDA", "level_EDA"), ("EDA", "slope_EDA"), ("EDA", "log_sd_EDA"), ("PPG", "rate_BVP"),
         ("PPG", "log_rmssd_BVP"), ("TEMP", "mean_TEMP"))
MOTION = ("log_sd_x", "log_sd_y", "log_sd_z")  # their mean is the seventh
PENALTY = 1.0  # on z-scores


def conditions(folder: Path) -> pd.DataFrame:
    """One row per person and condition: its ratings and the seven numbers, z-scored within the person."""
    parts = []
    for path in shard_paths(folder):
        index, arrays, meta = read_shard(path)
        names = {modality: meta.shape(modality).ch_names for modality in arrays}
        columns = {name: arrays[modality][:, names[modality].index(name), 0] for modality, name in SEVEN}
        columns["motion"] = np.mean([arrays["ACC"][:, names["ACC"].index(name), 0] for name in MOTION], axis=0)
        ids = index[["subject", "trial", *meta.dimensions]]
        parts.append(ids.assign(**columns).groupby(["subject", "trial"], as_index=False).mean())
    table = pd.concat(parts, ignore_index=True)
    chosen = [name for _, name in SEVEN] + ["motion"]
    by_person = table.groupby("subject")[chosen]
    table[chosen] = ((table[chosen] - by_person.transform("mean")) / by_person.transform("std", ddof=0)).fillna(0.0)
    return table


def held_out(table: pd.DataFrame, dimension: str) -> tuple[float, float]:
    """CCC of the ridge and of the other people's mean in the same condition, one person after another held out."""
    chosen, y = [name for _, name in SEVEN] + ["motion"], table[dimension].to_numpy()
    ridge, mean = np.empty((2, len(table)))
    for subject in table["subject"].unique():
        test = (table["subject"] == subject).to_numpy()
        fitted = Ridge(PENALTY).fit(table.loc[~test, chosen], y[~test])
        ridge[test] = fitted.predict(table.loc[test, chosen])
        mean[test] = table.loc[test, "trial"].map(table[~test].groupby("trial")[dimension].mean())
    return ccc(y, ridge), ccc(y, mean)


def main() -> None:
    """Print a line per dimension."""
    table = conditions(Path(sys.argv[1]) if len(sys.argv) > 1 else FEATURES)
    print(f"{table['subject'].nunique()} people, {len(table)} conditions; CCC of ridge, of the condition's mean")
    for dimension in ("arousal", "valence"):
        print(f"{dimension:8} {held_out(table, dimension)[0]:.2f} {held_out(table, dimension)[1]:.2f}")


if __name__ == "__main__":
    main()
