"""Every layout that is written is read back by its reader, or by an independent one."""

from __future__ import annotations

import pickle
import pickletools
import tracemalloc
import warnings
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import pytest
import scipy.io
from inspection_sets import BDF_STARTS_S as STARTS_S
from inspection_sets import N_SAMPLES, SFREQ_HZ, bdf_signals, dreamer_person, ratings

from himoe.core.errors import InputError
from himoe.datasets import deap, dreamer
from himoe.datasets._annotations import read_annotations
from himoe.simulate import layouts


@pytest.mark.parametrize("participant, order, gsr_unit, status", [
    (4, deap.EEG_TWENTE, "Ohm", "Status"), (23, deap.EEG_GENEVA, "nS", "Status"), (24, deap.EEG_GENEVA, "nS", ""),
])
def test_bdf_as_mne_reads_it(tmp_path: Path, participant: int, order: tuple[str, ...], gsr_unit: str,
                             status: str) -> None:
    signals = bdf_signals()
    layouts.write_deap_bdf(tmp_path, participant, signals, SFREQ_HZ, STARTS_S)
    path = tmp_path / "data_original" / f"s{participant:02d}.bdf"
    raw = mne.io.read_raw_bdf(path, stim_channel=[47], preload=True, verbose="ERROR")
    assert raw.info["sfreq"] == SFREQ_HZ
    assert raw.n_times == N_SAMPLES
    assert raw.ch_names == [*order, *(f"EXG{i}" for i in range(1, 9)), "GSR1", "GSR2", "Erg1", "Erg2",
                            "Resp", "Plet", "Temp", status]
    for row, name in enumerate(deap.EEG_GENEVA):
        np.testing.assert_allclose(raw.get_data(name)[0] * 1e6, signals["EEG"][row], atol=0.02)
    gsr = 1e6 / signals["EDA"] if gsr_unit == "Ohm" else signals["EDA"] * 1e3
    np.testing.assert_allclose(raw.get_data("GSR1")[0], gsr, rtol=1e-5)
    np.testing.assert_allclose(raw.get_data("Temp")[0], signals["TEMP"], atol=1e-5)
    np.testing.assert_array_equal(raw.get_data("Erg2"), np.zeros((1, N_SAMPLES)) + raw.get_data("Erg2")[0, 0])


def test_bdf_status_codes_in_order_and_place(tmp_path: Path) -> None:
    layouts.write_deap_bdf(tmp_path, 1, bdf_signals(), SFREQ_HZ, STARTS_S)
    raw = mne.io.read_raw_bdf(tmp_path / "data_original" / "s01.bdf", preload=False, verbose="ERROR")
    events = mne.find_events(raw, mask=0xFF, mask_type="and", initial_event=True, shortest_event=1, verbose="ERROR")
    assert events[:, 2].tolist() == [1, 1, 2, 3, 4, 5, 1, 3, 4, 5, 1, 2, 7]
    assert (events[events[:, 2] == 4, 0] / SFREQ_HZ).tolist() == list(STARTS_S)


@pytest.mark.parametrize("name, spoil", [
    ("TEMP", lambda x: x.pop("TEMP")), ("EXG", lambda x: x.update(EXG=x["EXG"][:7])),
    ("RSP", lambda x: x["RSP"].__setitem__(5, np.nan)), ("EDA", lambda x: x["EDA"].__setitem__(5, np.nan)),
])
def test_bdf_bad_signals_leave_no_file(tmp_path: Path, name: str, spoil: object) -> None:
    signals = bdf_signals()
    spoil(signals)  # type: ignore[operator]
    label = {"RSP": "Resp"}.get(name, name)
    with pytest.raises(InputError, match=label):
        layouts.write_deap_bdf(tmp_path, 3, signals, SFREQ_HZ, STARTS_S)
    assert not list(tmp_path.rglob("*.bdf"))


def test_bdf_writer_streams(tmp_path: Path) -> None:
    signals = {key: value.astype(np.float32) for key, value in bdf_signals(n_samples=512 * 200).items()}
    given = sum(value.nbytes for value in signals.values())
    layouts.write_deap_bdf(tmp_path, 1, bdf_signals(), SFREQ_HZ, STARTS_S)  # imports happen here
    tracemalloc.start()
    layouts.write_deap_bdf(tmp_path, 1, signals, 512, (20.0, 100.0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.5 * given


def test_dat_is_a_plain_protocol_2_pickle_of_byte_strings(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    data, labels = rng.normal(size=(3, 40, 8064)), rng.uniform(1, 9, (3, 4))
    layouts.write_deap_dat(tmp_path, 6, data, labels)
    raw = (tmp_path / "data_preprocessed_python" / "s06.dat").read_bytes()
    operations = [(opcode.name, argument) for opcode, argument, _ in pickletools.genops(raw)]
    assert operations[0] == ("PROTO", 2)
    assert {argument for name, argument in operations if name == "GLOBAL"} == {
        "numpy.core.multiarray _reconstruct", "numpy ndarray", "numpy dtype"}
    assert not {name for name, _ in operations} & {"BINUNICODE", "BINBYTES", "SHORT_BINBYTES"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the old module name, and a dtype flag given as an integer
        content = pickle.loads(raw, encoding="latin1")
    np.testing.assert_array_equal(content["data"], data)
    np.testing.assert_array_equal(content["labels"], labels)


def test_ratings_csv_keeps_values_and_missing_familiarity(tmp_path: Path) -> None:
    table = ratings([2], (17, 3, 40))
    layouts.write_deap_ratings(tmp_path, table)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "metadata_csv" / "participant_ratings.csv"), table)
    with pytest.raises(InputError, match="Liking"):
        layouts.write_deap_ratings(tmp_path, table.drop(columns="Liking"))


def test_annotations_round_trip(tmp_path: Path) -> None:
    table = pd.DataFrame({"participant": [1, 1, 1, 2], "video": [4, 4, 9, 4], "time_s": [0.0, 0.12345, 0.0, 1.0],
                          "valence": [5.0, 5.55555, 1.0, 9.0], "arousal": [2.0, np.nan, 3.0, 4.0]})
    layouts.write_annotations(tmp_path, table)
    found = read_annotations(tmp_path, 1, (1, 9))
    assert sorted(found) == [4, 9]
    assert found[4].time_s.tolist() == [0.0, 0.1235]
    assert found[4].values["valence"].tolist() == [5.0, 5.5556]
    np.testing.assert_array_equal(found[4].values["arousal"], [2.0, np.nan])
    with pytest.raises(InputError, match="valence"):
        read_annotations(tmp_path, 1, (1, 5))
    with pytest.raises(InputError, match="time_s"):
        layouts.write_annotations(tmp_path, table.drop(columns="time_s"))


def test_dreamer_nesting_is_the_published_one(tmp_path: Path) -> None:
    people = [dreamer_person(seed, (61.0, 65.5, 70.0)) for seed in (1, 2)]
    layouts.write_dreamer(tmp_path, people)
    top = scipy.io.loadmat(tmp_path / "DREAMER.mat")["DREAMER"]
    assert top.shape == (1, 1)
    assert top["Data"][0, 0].shape == (1, 2)
    assert [str(name[0]) for name in top["EEG_Electrodes"][0, 0][0]] == list(dreamer.EEG_CHANNELS)
    assert (top["noOfSubjects"].item().item(), top["noOfVideoSequences"].item().item()) == (2, 3)
    second = top["Data"][0, 0][0, 1]
    assert second["ScoreValence"][0, 0].shape == (3, 1)
    eeg = second["EEG"][0, 0]["stimuli"][0, 0]
    assert eeg.shape == (3, 1)
    np.testing.assert_array_equal(eeg[1, 0], people[1]["eeg"][1])  # type: ignore[index]
    assert second["ECG"][0, 0]["baseline"][0, 0][2, 0].shape == (256, 2)


def test_dreamer_bytes_depend_on_the_input_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import time
    contents = []
    for moment in ("Mon Jan  1 00:00:00 2001", "Tue Feb  2 11:11:11 2022"):
        monkeypatch.setattr(time, "asctime", lambda *_, moment=moment: moment)
        layouts.write_dreamer(tmp_path, [dreamer_person(3, (60.5,))])
        contents.append((tmp_path / "DREAMER.mat").read_bytes())
    assert contents[0] == contents[1]
    assert contents[0][:10] == b"MATLAB 5.0"


def test_dreamer_people_with_other_clips_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="person 2, eeg"):
        layouts.write_dreamer(tmp_path, [dreamer_person(1, (61.0, 62.0)), dreamer_person(2, (61.0,))])
    with pytest.raises(InputError, match="nobody"):
        layouts.write_dreamer(tmp_path, [])
    assert not list(tmp_path.iterdir())
