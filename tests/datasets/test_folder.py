"""A user's own folder; the description under test is the worked example of the documentation."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from himoe.core.errors import InputError
from himoe.datasets.folder import folder_dataset
from himoe.datasets.grid import on_grid

DOCUMENT = Path(__file__).parents[2] / "docs" / "your-own-data.md"
EXAMPLE = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), flags=re.DOTALL)[0]
WRIST_TIMES = [0.0, 0.3, 0.9, 1.4, 2.0, 5.0, 5.6, 6.1]  # 3 s without a value after 2.0 s


def write_table(path: Path, columns: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(columns)
    if path.suffix == ".parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    rng = np.random.default_rng(5)
    (tmp_path / "dataset.yaml").write_text(EXAMPLE, encoding="utf-8")
    for subject, trial in (("anna", "t1"), ("anna", "t2"), ("007", "t1")):
        write_table(tmp_path / subject / f"{trial}_eeg.csv", {"Cz": rng.normal(size=896), "Fp1": np.arange(896),
                                                              "Fp2": -np.arange(896)})
        write_table(tmp_path / subject / f"{trial}_wrist.csv",
                    {"t": WRIST_TIMES, "conductance": [2 * t + 1 for t in WRIST_TIMES]})
        write_table(tmp_path / subject / f"{trial}_ppg.parquet", {"pulse": np.arange(384, dtype=float)})
    write_table(tmp_path / "ratings.csv", {
        "subject": ["anna", "anna", "007"], "trial": ["t1", "t2", "t1"], "stimulus": ["sea", "war", "sea"],
        "valence": [7.5, None, 2], "arousal": [3, 4, 9]})
    write_table(tmp_path / "annotations.csv", {
        "subject": ["anna"] * 3, "trial": ["t1"] * 3, "time_s": [0.0, 1.5, 6.0], "valence": [5, 6, 7],
        "arousal": [4, None, 2]})
    return tmp_path


def sessions(root: Path, subject: str = "anna", **options: str) -> list[Any]:
    return list(folder_dataset(root).read(root, subject, options))


def change(root: Path, *keys: str, **values: Any) -> None:
    """Set keys of the mapping reached by *keys* in dataset.yaml; None removes a key."""
    raw = yaml.safe_load(EXAMPLE)
    place = raw
    for key in keys:
        place = place[key]
    place.update({key: value for key, value in values.items() if value is not None})
    for key in [key for key, value in values.items() if value is None]:
        del place[key]
    (root / "dataset.yaml").write_text(yaml.safe_dump(raw))


def test_the_form_of_the_example(root: Path) -> None:
    form = folder_dataset(root)
    assert (form.name, form.title, form.licence) == ("recordings", "Recordings of our group", "private")
    assert (form.dimensions, form.scale, form.thresholds) == (("valence", "arousal"), (1.0, 9.0), (5.0,))
    assert form.modalities["EEG"].sfreq_hz == 128
    assert form.modalities["EDA"].sfreq_hz is None
    assert form.redistributable is False
    assert pickle.loads(pickle.dumps(form.read)) is not None  # goes to worker processes


def test_trials_ratings_and_annotations(root: Path) -> None:
    found = folder_dataset(root).inspect(root, {})
    assert (found.subjects, found.missing, found.problems) == (("007", "anna"), (), ())
    first, second = sessions(root)
    assert (first.trials[0].trial, first.trials[0].stimulus) == ("t1", "sea")
    assert first.trials[0].ratings == {"valence": 7.5, "arousal": 3.0}
    assert np.isnan(second.trials[0].ratings["valence"])
    assert second.trials[0].annotations is None
    assert first.trials[0].annotations.time_s.tolist() == [0.0, 1.5, 6.0]
    np.testing.assert_array_equal(first.trials[0].annotations.values["arousal"], [4, np.nan, 2])
    assert len(sessions(root, "007")) == 1


def test_signals_by_column_name_and_rate(root: Path) -> None:
    signals = sessions(root)[0].signals
    assert signals["EEG"].ch_names == ("Fp1", "Fp2", "Cz")
    np.testing.assert_array_equal(signals["EEG"].data[:2, :4], [[0, 1, 2, 3], [0, -1, -2, -3]])
    assert signals["PPG"].data.shape == (1, 384)
    assert sessions(root)[0].trials[0].duration_s == 7.0  # 896 samples at 128 Hz is the longest


def test_channels_may_have_other_names_than_the_columns(root: Path) -> None:
    before = sessions(root)[0].signals["EEG"]
    change(root, "modalities", "EEG", columns={"Cz": "Pz", "Fp1": "AF3"})
    after = sessions(root)[0].signals["EEG"]
    assert (after.ch_names, folder_dataset(root).modalities["EEG"].names) == (("Pz", "AF3"), ("Pz", "AF3"))
    np.testing.assert_array_equal(after.data, before.data[[2, 0]])


def test_irregular_times_become_a_grid_with_gaps(root: Path) -> None:
    eda = sessions(root)[0].signals["EDA"]
    grid_s = np.arange(25) / 4  # up to 6.0 s; the last stamp is 6.1 s
    gap = (grid_s > 2.0) & (grid_s < 5.0)
    assert (eda.sfreq_hz, eda.data.shape) == (4.0, (1, 25))
    np.testing.assert_array_equal(np.isnan(eda.data[0]), gap)
    np.testing.assert_allclose(eda.data[0, ~gap], 2 * grid_s[~gap] + 1, rtol=1e-6)


def test_on_grid_against_a_slow_loop() -> None:
    rng = np.random.default_rng(11)
    time_s = np.cumsum(rng.uniform(0.05, 1.2, 37))
    values = rng.normal(size=(3, 37))
    values[1, 4:7] = np.nan
    found = on_grid(time_s, values, 5.0, 131, 0.8)
    for channel in range(3):
        stamps = [(t, v) for t, v in zip(time_s, values[channel], strict=True) if np.isfinite(v)]
        for k in range(131):
            before = [(t, v) for t, v in stamps if t <= k / 5]
            after = [(t, v) for t, v in stamps if t >= k / 5]
            if not before or not after or after[0][0] - before[-1][0] > 0.8:
                assert np.isnan(found[channel, k])
            else:
                (t0, v0), (t1, v1) = before[-1], after[0]
                assert found[channel, k] == pytest.approx(v0 + (v1 - v0) * (k / 5 - t0) / (t1 - t0), rel=1e-5, abs=1e-6)


def test_a_missing_file_is_a_missing_modality(root: Path) -> None:
    (root / "anna" / "t1_wrist.csv").unlink()
    for path in (root / "007").iterdir():
        path.unlink()
    found = folder_dataset(root).inspect(root, {})
    assert found.subjects == ("anna",)
    assert set(found.missing) == {"anna/t1_wrist.csv", "007/t1_eeg.csv", "007/t1_wrist.csv", "007/t1_ppg.parquet"}
    assert found.problems == ("No signal file at all for 007.",)
    assert set(sessions(root)[0].signals) == {"EEG", "PPG"}
    assert sessions(root, "007") == []
    for path in [*root.glob("*/*_*")]:
        path.unlink()
    with pytest.raises(InputError, match="no signal file"):
        folder_dataset(root).inspect(root, {})


def test_modalities_on_request(root: Path) -> None:
    change(root, default_off=["PPG"])
    assert set(sessions(root)[0].signals) == {"EEG", "EDA"}
    assert set(sessions(root, modalities="PPG,EEG")[0].signals) == {"EEG", "PPG"}


@pytest.mark.parametrize("keys, values, message", [
    ((), {"colour": "red"}, "unknown key 'colour'"),
    ((), {"licence": None}, "no key 'licence'"),
    ((), {"name": 3}, "name: found 3, expected text"),
    ((), {"dimensions": ["valence", "joy"]}, "dataset.yaml: dimension: found 'joy'"),
    ((), {"scale": [9, 1]}, "lowest below highest"),
    ((), {"threshold": "five"}, "threshold: found 'five'"),
    ((), {"redistributable": "maybe"}, "true or false"),
    ((), {"ratings": "../ratings.csv"}, "below the folder"),
    ((), {"default_off": ["LUM"]}, "default_off"),
    (("modalities",), {"EGG": {}}, "modality: found 'EGG'"),
    (("modalities", "EEG"), {"rate": 128}, "modalities.EEG: found the unknown key 'rate'"),
    (("modalities", "EEG"), {"sfreq_hz": None}, "EEG: found no key 'sfreq_hz'"),
    (("modalities", "EEG"), {"sfreq_hz": 0}, "above 0"),
    (("modalities", "EEG"), {"columns": "Fp1"}, "a list of names"),
    (("modalities", "EEG"), {"columns": ["Cz", "Cz"]}, "every name once"),
    (("modalities", "EEG"), {"columns": {"Cz": "A", "Fp1": "A"}}, "every name once"),
    (("modalities", "EEG"), {"file": "{subject}.csv"}, "{subject} and {trial}"),
    (("modalities", "EEG"), {"file": "{subject.__class__}/{trial}.csv"}, "{subject} and {trial}"),
    (("modalities", "EEG"), {"file": "{subject}/{trial}.xlsx"}, "ends in one of .csv .parquet .edf"),
    (("modalities", "EEG"), {"file": "{subject}/{trial}.edf", "time_column": "t"}, "unknown key 'time_column'"),
    ((), {"trials": {"start": "S 1"}}, "tables alone"),
    (("modalities", "EDA"), {"max_gap_s": None}, "both or neither"),
])
def test_mistakes_in_the_description(root: Path, keys: tuple[str, ...], values: dict[str, Any], message: str) -> None:
    change(root, *keys, **values)
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        folder_dataset(root)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name, old, new, message", [
    ("anna/t1_wrist.csv", "conductance", "gsr", "t1_wrist.csv: found no column 'conductance' among t, gsr"),
    ("anna/t1_wrist.csv", "0.9,", "late,", "t1_wrist.csv: row 3, column 't': found 'late'"),
    ("anna/t1_wrist.csv", "0.9,", "0.1,", "0.1 s after 0.3 s in row 3"),
    ("anna/t1_wrist.csv", "0.9,", ",", "no time in row 3"),
    ("anna/t1_wrist.csv", "6.1,", "1600000000,", "subtract the start"),
    ("anna/t1_eeg.csv", ",2,-2", ",two,-2", "row 3, column 'Fp1': found 'two'"),
    ("ratings.csv", "7.5", "good", "ratings.csv: row 1, column 'valence': found 'good'"),
    ("ratings.csv", "7.5", "12", "a rating in 1..9"),
    ("ratings.csv", "t2", "t1", "every subject and trial once"),
    ("ratings.csv", "anna,t2", "../x,t2", "an id without slashes"),
    ("annotations.csv", "time_s", "time", "no column 'time_s'"),
    ("annotations.csv", "1.5", "7.5", "trial t1: time_s"),
])
def test_mistakes_in_the_files(root: Path, name: str, old: str, new: str, message: str) -> None:
    text = (root / name).read_text()
    assert old in text
    (root / name).write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=re.escape(message)):
        sessions(root)


def test_broken_parquet_and_unknown_subject(root: Path) -> None:
    with pytest.raises(InputError, match="no row of subject 'bob'"):
        sessions(root, "bob")
    (root / "anna" / "t1_ppg.parquet").write_bytes(b"PAR1 cut off")
    with pytest.raises(InputError, match=r"t1_ppg\.parquet.*cannot be read"):
        sessions(root)
