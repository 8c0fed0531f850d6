"""The DEAP reader, on files in both of its layouts."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import pytest
from inspection_sets import BDF_STARTS_S as STARTS_S
from inspection_sets import N_SAMPLES, SFREQ_HZ, bdf_signals, dat_arrays, ratings

from himoe.core.errors import InputError
from himoe.core.recordings import Session
from himoe.datasets import _bdf, deap
from himoe.simulate import layouts
from himoe.simulate.bdf import BdfChannel, write_bdf


def write_bdf_set(root: Path, participant: int = 4, signals: dict[str, np.ndarray] | None = None) -> Path:
    layouts.write_deap_ratings(root, ratings([participant]))
    layouts.write_deap_bdf(root, participant, signals or bdf_signals(), SFREQ_HZ, STARTS_S)
    return root / "data_original" / f"s{participant:02d}.bdf"


def read_dat(root: Path, subject: str = "s06") -> list[Session]:
    return list(deap.DATASET.read(root, subject, {"layout": "dat"}))


def read_bdf(root: Path, subject: str = "s04") -> Session:
    (session,) = deap.DATASET.read(root, subject, {"layout": "bdf"})
    return session


# Layout bdf

@pytest.mark.parametrize("participant", [4, 23, 24])
def test_bdf_gives_one_session_with_trials_in_presentation_order(tmp_path: Path, participant: int) -> None:
    signals = bdf_signals()
    write_bdf_set(tmp_path, participant, signals)
    session = read_bdf(tmp_path, f"s{participant:02d}")
    assert [(trial.trial, trial.stimulus) for trial in session.trials] == [("v17", "v17"), ("v03", "v03")]
    assert [trial.start_s for trial in session.trials] == list(STARTS_S)
    assert {trial.duration_s for trial in session.trials} == {60.0}
    assert session.trials[1].ratings == {"valence": 4.5, "arousal": 1.25, "dominance": 8.5, "liking": 7.0}
    assert session.trials[0].annotations is None
    found = session.signals
    assert {name: (signal.unit, signal.sfreq_hz, signal.start_s) for name, signal in found.items()} == {
        name: (deap.MODALITIES[name].unit, SFREQ_HZ, 0.0) for name in deap.MODALITIES}
    assert found["EEG"].ch_names == deap.EEG_GENEVA
    np.testing.assert_allclose(found["EEG"].data, signals["EEG"], atol=0.02)
    exg = signals["EXG"]
    np.testing.assert_allclose(found["EOG"].data, [exg[0] - exg[1], exg[2] - exg[3]], atol=0.04)
    np.testing.assert_allclose(found["EMG"].data, [exg[4] - exg[5], exg[6] - exg[7]], atol=0.04)
    np.testing.assert_allclose(found["EDA"].data[0], signals["EDA"], rtol=1e-5)
    for name in ("RSP", "PPG", "TEMP"):
        np.testing.assert_allclose(found[name].data[0], signals[name], atol=1e-3)


def shuffled_bdf(path: Path, order: list[int]) -> None:
    """Write the file anew with its channels in another order (Status stays last)."""
    raw = mne.io.read_raw_bdf(path, stim_channel=[47], preload=True, verbose="ERROR")
    header = _bdf.read_header(path)
    channels = []
    for pick in [*order, 47]:
        scale = 1e6 if header.units[pick] == "uV" else 1.0
        values = raw.get_data([pick])[0] * scale
        channels.append(BdfChannel(header.labels[pick], header.units[pick], header.physical[pick],
                                   lambda first, last, values=values: values[first:last]))
    write_bdf(path, channels, SFREQ_HZ, N_SAMPLES)


def test_bdf_channels_are_found_by_name(tmp_path: Path) -> None:
    path = write_bdf_set(tmp_path)
    before = read_bdf(tmp_path)
    order = np.random.default_rng(8).permutation(47).tolist()
    shuffled_bdf(path, order)
    assert _bdf.read_header(path).labels[:32] != deap.EEG_TWENTE
    after = read_bdf(tmp_path)
    for name, signal in before.signals.items():
        np.testing.assert_allclose(after.signals[name].data, signal.data, rtol=1e-5, atol=0.07)


def test_bdf_without_a_status_channel(tmp_path: Path) -> None:
    write_bdf_set(tmp_path)
    header = _bdf.BdfHeader(tmp_path, ("Fp1", "Temp"), ("uV", "C"), ((0, 1),) * 2, ((0, 1),) * 2, (8, 8), 1,
                             1.0)
    with pytest.raises(InputError, match="channel Status"):
        deap._status_channel(header)


def test_truncated_bdf_is_refused_before_data_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_bdf_set(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])

    def read_nothing(*_: object) -> None:
        raise AssertionError("samples were read")

    monkeypatch.setattr(deap, "read_blocks", read_nothing)
    with pytest.raises(InputError, match=r"s04\.bdf.*fetch"):
        read_bdf(tmp_path)


def test_bdf_that_was_never_closed_is_refused(tmp_path: Path) -> None:
    path = write_bdf_set(tmp_path)
    content = bytearray(path.read_bytes())
    content[236:244] = b"-1      "
    path.write_bytes(content)
    with pytest.raises(InputError, match="-1 records"):
        read_bdf(tmp_path)


def test_bdf_and_ratings_must_count_the_same_trials(tmp_path: Path) -> None:
    write_bdf_set(tmp_path)
    layouts.write_deap_ratings(tmp_path, ratings([4], (17, 3, 40)))
    with pytest.raises(InputError, match=r"2 music starts .* expected 3, the rated trials of s04"):
        read_bdf(tmp_path)
    layouts.write_deap_ratings(tmp_path, ratings([4]).iloc[::-1])
    assert [trial.trial for trial in read_bdf(tmp_path).trials] == ["v17", "v03"]  # by column Trial, not by row


def test_bdf_blocks_fit_together(tmp_path: Path) -> None:
    path = write_bdf_set(tmp_path)
    header = _bdf.read_header(path)
    whole = mne.io.read_raw_bdf(path, preload=True, verbose="ERROR").get_data([7, 40])
    blocks = list(_bdf.read_blocks(header, [7, 40], 47, block_s=7.0))
    assert [first for first, _, _ in blocks] == list(range(0, N_SAMPLES, 7 * SFREQ_HZ))
    together = np.concatenate([block for _, block, _ in blocks], axis=1)
    np.testing.assert_allclose(together, whole * [[1e6], [1.0]], rtol=1e-12)


def test_bdf_lost_sensors_become_gaps(tmp_path: Path) -> None:
    signals = bdf_signals()
    flat = slice(1000, 1000 + SFREQ_HZ // 2)
    for name, rows in (("EEG", (5,)), ("EXG", (6,)), ("RSP", ()), ("EDA", ()), ("TEMP", ())):
        signals[name][(*rows, flat)] = 3.0
    signals["EDA"][777] = signals["EDA"][3000:3040] = 0.0
    signals["TEMP"][4000:4040] = 0.0
    write_bdf_set(tmp_path, 4, signals)
    found = {name: np.isnan(signal.data) for name, signal in read_bdf(tmp_path).signals.items()}
    width = SFREQ_HZ // 2
    assert {name: int(gaps.sum()) for name, gaps in found.items()} == {
        "EEG": width, "EOG": 0, "EMG": width, "EDA": 41, "RSP": width, "PPG": 0, "TEMP": 40}
    assert found["EEG"][5, flat].all()
    assert found["EMG"][1, flat].all()
    assert found["EDA"][0, [777, *range(3000, 3040)]].all()
    assert found["TEMP"][0, 4000:4040].all()


# Layout dat

def test_dat_gives_a_session_a_trial_with_its_baseline(tmp_path: Path) -> None:
    data, labels = dat_arrays(3, 40)
    layouts.write_deap_dat(tmp_path, 6, data, labels)
    sessions = read_dat(tmp_path)
    assert [session.trials[0].trial for session in sessions] == [f"v{video:02d}" for video in range(1, 41)]
    session, trial = sessions[7], sessions[7].trials[0]
    assert (trial.start_s, trial.duration_s, trial.stimulus) == (3.0, 60.0, "v08")
    assert list(trial.ratings.values()) == labels[7].tolist()
    rows = {"EEG": data[7, :32], "EOG": data[7, 32:34], "EMG": data[7, 34:36], "EDA": 1e6 / data[7, 36:37],
            "RSP": data[7, 37:38], "PPG": data[7, 38:39], "TEMP": data[7, 39:40]}
    assert session.signals.keys() == rows.keys()
    for name, expected in rows.items():
        signal = session.signals[name]
        np.testing.assert_array_equal(signal.data, expected.astype(np.float32))
        assert (signal.sfreq_hz, signal.start_s, signal.duration_s) == (128.0, 0.0, 63.0)
        assert (signal.unit, signal.ch_names) == (deap.MODALITIES[name].unit, deap.MODALITIES[name].names)


def test_dat_with_fewer_trials_needs_the_ratings_file(tmp_path: Path) -> None:
    layouts.write_deap_dat(tmp_path, 6, *dat_arrays(3))
    with pytest.raises(InputError, match=r"participant_ratings\.csv"):
        read_dat(tmp_path)
    layouts.write_deap_ratings(tmp_path, ratings([6], (17, 3)))
    assert [session.trials[0].trial for session in read_dat(tmp_path)] == ["v03", "v17"]
    layouts.write_deap_ratings(tmp_path, ratings([6], (17, 3, 9)))
    with pytest.raises(InputError, match="2 trials, expected 3"):
        read_dat(tmp_path)


def test_dat_centred_skin_resistance_keeps_its_numbers(tmp_path: Path) -> None:
    data, labels = dat_arrays(3)
    data[:, 36] -= data[:, 36].mean(axis=1, keepdims=True)
    layouts.write_deap_dat(tmp_path, 6, data, labels)
    layouts.write_deap_ratings(tmp_path, ratings([6]))
    eda = read_dat(tmp_path)[1].signals["EDA"]
    assert eda.unit == "a.u."
    np.testing.assert_array_equal(eda.data[0], data[1, 36].astype(np.float32))


def test_dat_gaps(tmp_path: Path) -> None:
    data, labels = dat_arrays(3)
    data[0, 3] = np.nan
    data[1, :, 50] = np.inf
    data[1, 36, 700] = -5.0
    layouts.write_deap_dat(tmp_path, 6, data, labels)
    layouts.write_deap_ratings(tmp_path, ratings([6]))
    first, second = (session.signals for session in read_dat(tmp_path))
    assert np.isnan(first["EEG"].data[3]).all()
    assert np.isfinite(np.delete(first["EEG"].data, 3, axis=0)).all()
    assert np.flatnonzero(np.isnan(second["EDA"].data[0])).tolist() == [50, 700]
    assert np.isnan(second["EOG"].data[:, 50]).all()


@pytest.mark.parametrize("content, message", [
    ({"data": np.ones((2, 39, 8064)), "labels": np.ones((2, 4))}, r"data: found shape \(2, 39, 8064\)"),
    ({"data": np.ones((2, 40, 8064), np.float32), "labels": np.ones((2, 4))}, "of float32"),
    ({"data": np.ones((2, 40, 8064)), "labels": np.ones((2, 3))}, r"labels: found shape \(2, 3\)"),
    ({"data": np.ones((2, 40, 8064)), "labels": np.ones((3, 4))}, "labels: found 3 rows"),
    ({"data": np.ones((2, 40, 8064)), "labels": np.full((2, 4), 9.5)}, r"labels: found 9\.5, expected ratings"),
    ({"data": np.ones((2, 40, 8064)), "labels": np.full((2, 4), np.nan)}, "labels: found a missing"),
    ({"data": np.ones((0, 40, 8064)), "labels": np.ones((0, 4))}, r"data: found shape \(0, 40, 8064\)"),
    ({"labels": np.ones((2, 4))}, "data: found no array"), ([1, 2], "found a pickled list"),
], ids=range(9))
def test_dat_of_another_content_is_refused(tmp_path: Path, content: object, message: str) -> None:
    layouts.write_deap_ratings(tmp_path, ratings([6]))
    path = tmp_path / "data_preprocessed_python" / "s06.dat"
    path.parent.mkdir()
    path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(InputError, match=message):
        read_dat(tmp_path)


# Both layouts

def test_annotations_reach_the_trial_of_their_video(tmp_path: Path) -> None:
    write_bdf_set(tmp_path)
    layouts.write_annotations(tmp_path, pd.DataFrame({
        "participant": [4, 4, 4, 5], "video": [3, 3, 3, 17], "time_s": [2.0, 0.5, 1.0, 0.0],
        "arousal": [3.0, 1.0, 2.0, 9.0]}))
    trials = {trial.trial: trial for trial in read_bdf(tmp_path).trials}
    assert trials["v17"].annotations is None
    assert trials["v03"].annotations is not None
    assert trials["v03"].annotations.time_s.tolist() == [0.5, 1.0, 2.0]
    assert trials["v03"].annotations.values["arousal"].tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("change, message", [
    (lambda table: table.drop(columns="Arousal"), r"participant_ratings\.csv: found no column 'Arousal'"),
    (lambda table: table.drop(columns="Trial"), r"participant_ratings\.csv: found no column 'Trial'"),
    (lambda table: table.assign(Valence=[5.0, 9.1]), r"column Valence: found 9\.1"),
    (lambda table: table.assign(Liking=[5.0, np.nan]), "column Liking: found a missing"),
    (lambda table: table.assign(Liking=["5", "high"]), "row 2, column 'Liking': found 'high'"),
    (lambda table: table.assign(Experiment_id=[3, 3]), "column Experiment_id: found a number twice"),
    (lambda table: table.assign(Experiment_id=[3, 41]), "column Experiment_id: found a number twice or out"),
    (lambda table: table.assign(Trial=[1, 1.5]), r"column Trial, row 3: found 1\.5"),
    (lambda table: table.assign(Participant_id=9), "participant 4: found no rows"),
], ids=range(9))
def test_bad_ratings_files(tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], message: str) -> None:
    write_bdf_set(tmp_path)
    change(ratings([4])).to_csv(tmp_path / deap.RATINGS_FILE, index=False)
    with pytest.raises(InputError, match=message):
        read_bdf(tmp_path)


def test_inspect_lists_what_is_there(tmp_path: Path) -> None:
    layouts.write_deap_ratings(tmp_path, ratings([4]))
    for participant in (4, 6):
        path = tmp_path / "data_original" / f"s{participant:02d}.bdf"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    found = deap.DATASET.inspect(tmp_path, {})
    assert found.subjects == ("s04",)
    assert len(found.missing) == 30
    assert "data_original/s05.bdf" in found.missing
    assert found.problems == ("metadata_csv/participant_ratings.csv has no ratings of s06.",)
    (tmp_path / deap.RATINGS_FILE).unlink()
    with pytest.raises(InputError, match=r"data_original/s01\.bdf"):
        deap.DATASET.inspect(tmp_path, {"layout": "bdf"})
    with pytest.raises(InputError, match="layout dat"):
        deap.DATASET.inspect(tmp_path, {"layout": "dat"})
    layouts.write_deap_dat(tmp_path, 31, *dat_arrays(3))
    found = deap.DATASET.inspect(tmp_path, {"layout": "dat"})
    assert found.subjects == ("s31",)
    assert "metadata_csv/participant_ratings.csv" in found.missing


def test_unknown_layout_and_subject(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found 'mat', expected bdf or dat"):
        deap.DATASET.inspect(tmp_path, {"layout": "mat"})
    with pytest.raises(InputError, match="found 's33', expected s01 to s32"):
        next(deap.DATASET.read(tmp_path, "s33", {}))
    with pytest.raises(InputError, match=r"s32\.bdf: the file is missing"):
        next(deap.DATASET.read(tmp_path, "s32", {}))


# Helpers

def slow_flat(data: np.ndarray, n_min: int, values: tuple[float, ...] | None) -> np.ndarray:
    """The same marking, sample by sample."""
    marked = data.copy()
    for row in range(data.shape[0]):
        first = 0
        while first < data.shape[1]:
            last = first
            while last + 1 < data.shape[1] and data[row, last + 1] == data[row, first]:
                last += 1
            if last - first + 1 >= n_min and (values is None or data[row, first] in values):
                marked[row, first:last + 1] = np.nan
            first = last + 1
    return marked


@pytest.mark.parametrize("values", [None, (0.0, 2.0)])
@pytest.mark.parametrize("seed", range(5))
def test_mark_flat_against_a_slow_loop(seed: int, values: tuple[float, ...] | None) -> None:
    rng = np.random.default_rng(seed)
    data = np.repeat(rng.integers(0, 3, (3, 60)), rng.integers(1, 8, 60), axis=1).astype(np.float64)
    data[1, ::17] = np.nan
    before = data.copy()
    marked = deap.mark_flat(data, 10.0, 0.5, values)
    np.testing.assert_array_equal(marked, slow_flat(data, 5, values))
    np.testing.assert_array_equal(data, before)
    assert np.isnan(marked).sum() > np.isnan(data).sum()


def test_conductance_from_both_units() -> None:
    ohm = np.array([200_000.0, 0.0, -3.0, np.nan])
    np.testing.assert_array_equal(deap.conductance_us(ohm, "Ohm"), [5.0, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(deap.conductance_us(np.array([5000.0, 0.0]), "nS"), [5.0, np.nan])
    with pytest.raises(InputError, match="Ohm or nS"):
        deap.conductance_us(ohm, "kOhm")
