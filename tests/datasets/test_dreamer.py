"""The DREAMER reader, on files in its layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.io
from inspection_sets import dreamer_person, rewrite_dreamer

from himoe.core.errors import InputError
from himoe.datasets import dreamer
from himoe.simulate import layouts

CLIPS_S = (61.0, 65.5, 70.25)


def test_sessions_hold_whole_clips_and_the_last_minute_as_trial(tmp_path: Path) -> None:
    people = [dreamer_person(1, CLIPS_S), dreamer_person(2, CLIPS_S)]
    layouts.write_dreamer(tmp_path, people)
    sessions = list(dreamer.DATASET.read(tmp_path, "s02", {}))
    assert [session.trials[0].trial for session in sessions] == ["v01", "v02", "v03"]
    assert [session.trials[0].start_s for session in sessions] == [1.0, 5.5, 10.25]
    for clip, session in enumerate(sessions):
        trial = session.trials[0]
        assert (session.subject, trial.stimulus, trial.duration_s) == ("s02", trial.trial, 60.0)
        assert trial.ratings == {name: people[1][name][clip] for name in ("valence", "arousal", "dominance")}
        eeg, ecg = session.signals["EEG"], session.signals["ECG"]
        np.testing.assert_array_equal(eeg.data, people[1]["eeg"][clip].T.astype(np.float32))
        np.testing.assert_array_equal(ecg.data, people[1]["ecg"][clip].T.astype(np.float32))
        assert (eeg.sfreq_hz, ecg.sfreq_hz, eeg.ch_names[0], eeg.ch_names[13]) == (128.0, 256.0, "AF3", "AF4")
        assert eeg.cut(trial.start_s, 60.0).data.shape == (14, 7680)
        np.testing.assert_array_equal(eeg.cut(trial.start_s, 60.0).data, eeg.data[:, -7680:])


def test_inspect_counts_the_subjects_of_the_file(tmp_path: Path) -> None:
    layouts.write_dreamer(tmp_path, [dreamer_person(1, (61.0,)), dreamer_person(2, (62.0,))])
    found = dreamer.DATASET.inspect(tmp_path, {})
    assert found.subjects == ("s01", "s02")
    assert found.missing == ()
    assert len(found.problems) == 1
    assert "2 subjects, 23 are published" in found.problems[0]
    with pytest.raises(InputError, match="found 's03', expected s01 to s02"):
        next(dreamer.DATASET.read(tmp_path, "s03", {}))


def test_a_replaced_file_is_read_anew(tmp_path: Path) -> None:
    layouts.write_dreamer(tmp_path, [dreamer_person(1, (61.0,))])
    assert len(list(dreamer.DATASET.read(tmp_path, "s01", {}))) == 1
    layouts.write_dreamer(tmp_path, [dreamer_person(1, (61.0, 62.0))])
    assert len(list(dreamer.DATASET.read(tmp_path, "s01", {}))) == 2


def test_missing_ratings_and_samples_stay_missing(tmp_path: Path) -> None:
    made = dreamer_person(1, CLIPS_S)
    made["arousal"][1] = np.nan
    made["ecg"][2][:] = np.nan
    made["eeg"][0][7, 3] = np.inf
    layouts.write_dreamer(tmp_path, [made])
    sessions = list(dreamer.DATASET.read(tmp_path, "s01", {}))
    assert [bool(np.isnan(session.trials[0].ratings["arousal"])) for session in sessions] == [False, True, False]
    assert np.isnan(sessions[2].signals["ECG"].data).all()
    assert np.argwhere(np.isnan(sessions[0].signals["EEG"].data)).tolist() == [[3, 7]]


def test_annotations_reach_their_clip(tmp_path: Path) -> None:
    layouts.write_dreamer(tmp_path, [dreamer_person(1, CLIPS_S)])
    layouts.write_annotations(tmp_path, pd.DataFrame({"participant": 1, "video": 2, "time_s": [0.0, 0.5, 1.0],
                                                      "valence": [1.0, 2.5, 5.0]}))
    notes = [session.trials[0].annotations for session in dreamer.DATASET.read(tmp_path, "s01", {})]
    assert notes[0] is None
    assert notes[2] is None
    assert notes[1] is not None
    assert notes[1].values["valence"].tolist() == [1.0, 2.5, 5.0]


def drop(top: dict[str, Any], name: str) -> None:
    """Take a field from the file or, if it has none such, from its first person."""
    if top.pop(name, None) is None:
        data = top["Data"][0, 0]
        top["Data"][0, 0] = {field: data[field][0, 0] for field in data.dtype.names if field != name}


@pytest.mark.parametrize("name, place", [
    ("Data", r"DREAMER\."), ("ECG_SamplingRate", r"DREAMER\."), ("EEG_Electrodes", r"DREAMER\."),
    ("noOfSubjects", r"DREAMER\."), ("ECG", r"DREAMER\.Data\{1\}\."), ("ScoreDominance", r"DREAMER\.Data\{1\}\.")])
def test_a_missing_field_is_named(tmp_path: Path, name: str, place: str) -> None:
    layouts.write_dreamer(tmp_path, [dreamer_person(1, (61.0,))])
    rewrite_dreamer(tmp_path, lambda top: drop(top, name))
    with pytest.raises(InputError, match=rf"{place}{name}: found only the fields"):
        next(dreamer.DATASET.read(tmp_path, "s01", {}))


@pytest.mark.parametrize("change, message", [
    ({"EEG_SamplingRate": 256.0}, "EEG_SamplingRate: found 256 Hz, expected 128 Hz"),
    ({"ECG_SamplingRate": np.ones(2)}, "ECG_SamplingRate: found shape"),
    ({"EEG_SamplingRate": "fast"}, "DREAMER.EEG_SamplingRate: found"),
    ({"EEG_Electrodes": "AF3"}, "DREAMER.EEG_Electrodes: found"),
    ({"EEG_Electrodes": np.array(["Fp1", *dreamer.EEG_CHANNELS[1:]], dtype=object)},
     "DREAMER.EEG_Electrodes: found Fp1 F7 .*, expected AF3"),
    ({"noOfSubjects": 2.0}, r"Data: found shape \(1, 1\) of object, expected 2 cells"),
    ({"noOfSubjects": 0.5}, "noOfSubjects: found 0.5"),
    ({"noOfVideoSequences": 5.0}, r"EEG\.stimuli: found shape .* expected 5 cells"),
    ({"EEG_Electrodes": np.array(["AF3"] * 14, dtype=object)}, "EEG_Electrodes: found AF3 AF3"),
], ids=range(9))
def test_general_fields_that_do_not_fit(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    layouts.write_dreamer(tmp_path, [dreamer_person(1, CLIPS_S)])
    rewrite_dreamer(tmp_path, lambda top: top.update(change))
    with pytest.raises(InputError, match=message):
        next(dreamer.DATASET.read(tmp_path, "s01", {}))


@pytest.mark.parametrize("spoil, message", [
    (lambda made: made["valence"].__setitem__(1, 6.0), "ScoreValence: found 6, expected ratings from 1 to 5"),
    (lambda made: made["dominance"].__setitem__(1, np.inf), "ScoreDominance: found inf"),
    (lambda made: made["eeg"].__setitem__(2, made["eeg"][2][:, :13]), r"EEG\.stimuli\{3\}: found shape \(8992, 13\)"),
    (lambda made: made["ecg"].__setitem__(0, made["ecg"][0][:-300]), "clip 1: found EEG of 61.00 s and ECG of 59.83 s"),
    (lambda made: made.update(dreamer_person(1, (61.0, 59.5))), r"clip 2: found 59\.50 s, expected at least 60 s"),
], ids=range(5))
def test_a_person_that_does_not_fit(tmp_path: Path, spoil: Callable[[dict[str, Any]], None], message: str) -> None:
    made = dreamer_person(1, CLIPS_S)
    spoil(made)
    layouts.write_dreamer(tmp_path, [made])
    with pytest.raises(InputError, match=message):
        list(dreamer.DATASET.read(tmp_path, "s01", {}))


def test_file_without_the_struct(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"DREAMER\.mat: the file is missing"):
        dreamer.DATASET.inspect(tmp_path, {})
    scipy.io.savemat(tmp_path / "DREAMER.mat", {"other": 1.0})
    with pytest.raises(InputError, match="variable DREAMER"):
        dreamer.DATASET.inspect(tmp_path, {})
    scipy.io.savemat(tmp_path / "DREAMER.mat", {"DREAMER": np.ones((2, 3))})
    with pytest.raises(InputError, match="not a 1 x 1 struct"):
        dreamer.DATASET.inspect(tmp_path, {})
