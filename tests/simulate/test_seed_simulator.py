"""A simulated SEED: what was written is what the reader reads; labels, visits and truth belong together."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.io
from scipy.signal import welch

from himoe.core.files import read_json
from himoe.datasets import seed as reader
from himoe.simulate import seed
from himoe.simulate.effects import make_person
from himoe.simulate.generate import SimulationParams
from himoe.simulate.registry import SIMULATORS

PARAMS = SimulationParams(subjects=2, trials=4, seed=3, snr=4.0, world="additive")


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seed") / "raw"
    SIMULATORS["seed"](folder, PARAMS, {}, 1)
    return folder


def test_files_and_variables_are_as_published(root: Path) -> None:
    names = [path.name for path in sorted((root / "Preprocessed_EEG").iterdir())]
    assert len(names) == 7
    assert [name.split("_")[0] for name in names] == ["1"] * 3 + ["2"] * 3 + ["label.mat"]
    for name, initials in ((names[0], "sima"), (names[5], "simb")):
        found = scipy.io.whosmat(root / "Preprocessed_EEG" / name)
        assert [(variable, shape[0], kind) for variable, shape, kind in found] == [
            (f"{initials}_eeg{clip}", 62, "double") for clip in (1, 2, 3, 4)]
        assert [shape[1] for _, shape, _ in found] == [200 * length_s + 1 for length_s in seed.clip_lengths_s(3)[:4]]
    label = scipy.io.loadmat(root / "Preprocessed_EEG/label.mat")["label"]
    assert label.tolist() == [[1, 0, -1, -1]]
    assert b"simulated" in (root / "Preprocessed_EEG" / names[0]).read_bytes()[:116]


def test_the_reader_reads_what_was_written(root: Path) -> None:
    found = reader.DATASET.inspect(root, {})
    assert found.subjects == ("s01", "s02")
    assert found.problems == ("Preprocessed_EEG/label.mat: 4 labels, 15 are published.",)
    paths = sorted((root / "Preprocessed_EEG").glob("2_*.mat"))
    sessions = list(reader.DATASET.read(root, "s02", {}))
    assert len(sessions) == 12
    for place, session in enumerate(sessions):
        stored = scipy.io.loadmat(paths[place // 4])[f"simb_eeg{place % 4 + 1}"].astype(np.float32)
        data = session.signals["EEG"].data
        live = np.isfinite(data)
        np.testing.assert_array_equal(data[live], stored[live])
        assert not stored[~live].any()
        assert session.trials[0].session == str(place // 4 + 1)


def test_same_bytes_whatever_the_jobs_and_a_smaller_set_is_the_beginning(root: Path, tmp_path: Path) -> None:
    SIMULATORS["seed"](tmp_path / "again", PARAMS, {}, 2)
    assert contents(root) == contents(tmp_path / "again")
    SIMULATORS["seed"](tmp_path / "small", SimulationParams(1, 2, 3, 4.0, world="additive"), {}, 1)
    small = sorted((tmp_path / "small/Preprocessed_EEG").glob("1_*.mat"))
    assert len(small) == 3
    for path in small:
        one, many = scipy.io.loadmat(path), scipy.io.loadmat(root / "Preprocessed_EEG" / path.name)
        for name in ("sima_eeg1", "sima_eeg2"):
            np.testing.assert_array_equal(one[name], many[name])
        assert "sima_eeg3" not in one
    truth = read_json(tmp_path / "small/truth.json")["people"][0]
    assert truth["sessions"] == read_json(root / "truth.json")["people"][0]["sessions"]


def test_truth_tells_the_course_and_the_days(root: Path) -> None:
    truth = read_json(root / "truth.json")
    assert (truth["simulated"], truth["dataset"], truth["params"]["seed"]) == (True, "seed", 3)
    assert [person["participant"] for person in truth["people"]] == [1, 2]
    person = truth["people"][1]
    assert person["lags_s"] == make_person(3, "seed", 2, "additive").lags_s
    assert [day["session"] for day in person["sessions"]] == ["1", "2", "3"]
    dates = [pd.Timestamp(day["date"]) for day in person["sessions"]]
    assert all(7 <= (later - earlier).days <= 21 for earlier, later in pairwise(dates))
    table = pd.read_parquet(root / "truth_trajectory.parquet")
    assert len(table) == 2 * 3 * 4 * 241
    assert list(table.columns[:4]) == ["participant", "session", "video", "time_s"]
    assert table["valence"].between(-1, 1).all()
    means = table.groupby(["participant", "session", "video"])["valence"].mean()
    labels = means.index.get_level_values("video").map(dict(enumerate(seed.CLIP_LABELS, start=1)))
    assert np.sign(means[labels != 0]).tolist() == np.sign(labels[labels != 0]).tolist()
    assert means[labels == 0].abs().max() < means[labels != 0].abs().min()
    assert means.groupby(["participant", "video"]).nunique().eq(3).all()


def test_dropouts_of_the_truth_are_gaps_and_the_cap_is_never_lost(tmp_path: Path) -> None:
    SIMULATORS["seed"](tmp_path / "x", SimulationParams(2, 3, 10), {}, 1)
    hits = 0
    for person in read_json(tmp_path / "x/truth.json")["people"]:
        lost: dict[tuple[str, str], set[str]] = {}
        for dropout in person["dropouts"]:
            assert dropout["channel"] in reader.EEG_CHANNELS
            for part in dropout["trials"]:
                lost.setdefault((dropout["session"], f"v{part['video']:02d}"), set()).add(dropout["channel"])
        for session in reader.DATASET.read(tmp_path / "x", f"s{person['participant']:02d}", {}):
            (trial,), signal = session.trials, session.signals["EEG"]
            gaps = np.isnan(signal.cut(trial.start_s, 60.0).data).any(axis=1)
            assert {signal.ch_names[row] for row in np.flatnonzero(gaps)} == lost.get(
                (trial.session, trial.stimulus), set())
            hits += int(gaps.sum())
    assert hits >= 2


def band_powers(root: Path, subject: str) -> tuple[np.ndarray, np.ndarray]:
    """Log power in four bands of the last 60 s of every clip, (visits, clips, 248), and the clips' labels."""
    rows, labels = [], []
    for session in reader.DATASET.read(root, subject, {}):
        trial = session.trials[0]
        data = np.nan_to_num(session.signals["EEG"].cut(trial.start_s, 60.0).data)
        frequency_hz, power = welch(data, 200.0, nperseg=400)
        bands = [power[:, (frequency_hz >= low) & (frequency_hz <= high)].mean(axis=1)
                 for low, high in ((4, 7.5), (8, 13), (14, 28), (30, 45))]
        rows.append(np.log(np.concatenate(bands) + 1e-3))
        labels.append(trial.ratings["valence"])
    return np.array(rows).reshape(3, 4, -1), np.array(labels).reshape(3, 4)


def test_the_label_shows_in_the_eeg_and_the_day_shows_too(root: Path) -> None:
    """Nearest class mean of two visits, tried on the third: right once the day's own level is taken off."""
    right, across, within = [], [], []
    for subject in ("s01", "s02"):
        powers, labels = band_powers(root, subject)
        within.append(np.abs(powers[:, 2] - powers[:, 3]).mean())  # two negative clips of a day
        across.append(np.abs(powers[0, 2] - powers[1, 2]).mean())  # one clip on two days
        levelled = powers - powers.mean(axis=1, keepdims=True)
        for visit in range(3):
            others = [k for k in range(3) if k != visit]
            means = {label: levelled[others][labels[others] == label].mean(axis=0) for label in (-1.0, 0.0, 1.0)}
            guess = [min(means, key=lambda label: float(np.linalg.norm(row - means[label]))) for row in levelled[visit]]
            right += [g == label for g, label in zip(guess, labels[visit])]
    assert np.mean(right) > 0.7  # chance: 0.33 to 0.5
    assert np.mean(across) > 1.2 * np.mean(within)
