"""``python -m pipeline.lags reports/asynchrony ceap360vr=FOLDER wesad=FOLDER``: how late sensors of data sets answer.

Every set is cut into windows of 4 s every 2 s, and lags are looked for in their features. set_lags.csv and set_lags.md
are written into the first folder. ``reference=SENSOR`` chooses the sensor that others are placed against.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

import himoe
from himoe.core.errors import bad_input
from himoe.core.files import write_text
from himoe.datasets import DATASETS
from himoe.prepare.asynchrony import SensorTiming
from himoe.prepare.set_lags import RATINGS, SWAPS, reference_of, set_lags
from himoe.report.tables.render import to_markdown
from himoe.report.tables.set_lags import set_lags_table
from himoe.simulate.request import TRUTH_FILE
from pipeline.people import true_lags
from pipeline.stage import main

SET_LAGS = "set_lags.csv"  # in the folder of the report that shows it, too
LENGTH_S, STEP_S = 4.0, 2.0
MAX_LAG_S = 14.0
PUT_IN_S = 3.0  # put on every sensor but the reference, to see whether it is found
REFERENCE = "reference"


def lags(folder: str, *sets: str) -> None:
    """Look for lags in *sets* (``name=folder``, and ``reference=SENSOR``) and write them into *folder*."""
    named = asked(sets)
    reference = named.pop(REFERENCE, None)
    if not named:
        raise bad_input("lags: data sets", "none", f"name=folder, of {' '.join(DATASETS)}",
                        "give at least one, as in make lags CEAP360VR=folder WESAD=folder")
    rows = pd.concat([set_rows(himoe.load(name, path), reference) for name, path in named.items()], ignore_index=True)
    target = Path(folder)
    write_text(target / SET_LAGS, rows.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
    text = page(rows)
    write_text(target / "set_lags.md", text)
    print(text)


def asked(sets: tuple[str, ...]) -> dict[str, str]:
    """``name=value`` as a mapping; one without a value is left out."""
    found = {}
    for one in sets:
        name, sign, value = one.partition("=")
        if not sign or name not in (*DATASETS, REFERENCE):
            raise bad_input("lags: data set", repr(one), f"name=folder, of {' '.join(DATASETS)}", "correct it")
        if value:
            found[name] = value
    return found


def set_rows(data: himoe.Data, reference: str | None) -> pd.DataFrame:
    """Lags in one data set, with its label and source, and the true ones where they are known."""
    windows = himoe.make_windows(data, LENGTH_S, STEP_S)
    rows = set_lags(windows, MAX_LAG_S, reference, swaps=SWAPS)
    form, on_time = data.dataset, reference_of(windows, reference)
    timing = {m: SensorTiming(lag_s=PUT_IN_S) for m in windows.modalities if m != on_time}
    moved = himoe.make_windows(data, LENGTH_S, STEP_S, asynchrony=himoe.Asynchrony(timing))
    late = set_lags(moved, MAX_LAG_S, on_time, swaps=0)
    put_in = rows["modality"] != on_time
    rows = rows.assign(put_in_s=np.where(put_in, PUT_IN_S, 0.0), moved_s=late["lag_s"] - rows["lag_s"],
                       data=data.label, people=windows.index["subject"].nunique(), windows=len(windows),
                       source=f"doi {form.doi}", licence=form.licence, true_s=np.nan)
    if (data.root / TRUTH_FILE).is_file():
        mean_s = true_lags(data.root).groupby("modality")["lag_s"].mean()
        behind_s = rows["behind"].map(lambda name: 0.0 if name == RATINGS else mean_s[name])
        rows["true_s"] = rows["modality"].map(mean_s) - behind_s
    return rows


def page(rows: pd.DataFrame) -> str:
    """set_lags.md."""
    sources = "".join(f"- {one['data']}: {one['source']}; licence: {one['licence']}; {one['people']} people, "
                      f"{one['windows']:,} windows.\n" for one in rows.drop_duplicates("data").to_dict("records"))
    return f"""# Lags found in data sets

Made by `make lags`: windows of {LENGTH_S:g} s every {STEP_S:g} s, the features that the methods read, lags up to
{MAX_LAG_S:g} s to either side. A person's trials are left out one at a time. Nothing was tuned on these data. No row
claims a truth, unless its data are simulated; what can be checked is that a lag put in on purpose is found again.

{sources}
{to_markdown(set_lags_table(rows))}"""


if __name__ == "__main__":
    main(lags)
