"""The AMIGOS reader, on files in its layout: complete, with pieces missing, and damaged.

The files hold no channel names, so shuffled or renamed channels cannot be seen; the number of columns, their
direction and the length of the videos can.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.io

from himoe.core.errors import InputError
from himoe.datasets import amigos
from himoe.simulate import layouts
from himoe.simulate.amigos import write_amigos

VIDEO_S = {1: 52.0, 2: 60.5, 4: 57.25, 17: 64.0}
NAME = "Data_Preprocessed_P03.mat"
NAN = float("nan")
Cells = dict[int, np.ndarray]


def recording() -> Cells:
    """Cells of samples x 17 with skin resistance in Ohm."""
    rng = np.random.default_rng(1)
    made = {}
    for cell, video_s in VIDEO_S.items():
        data = rng.normal(0, 20, (round((5 + video_s) * 128), 17))
        data[:, 16] = 2e5 + 1e3 * rng.standard_normal(len(data))
        made[cell] = data
    return made


def ratings() -> Cells:
    """arousal, valence, dominance, liking, familiarity, seven emotions."""
    return {cell: np.array([[2.0 + row, 3.0 + row, 4.5, 6.25, 9.0, 0, 1, 0, 0, 1, 0, 0]])
            for row, cell in enumerate(VIDEO_S)}


def write(root: Path, change: Callable[[Cells, Cells], object] = lambda data, labels: None) -> Path:
    data, labels = recording(), ratings()
    change(data, labels)
    write_amigos(root, 3, data, labels)
    return root / "data_preprocessed" / NAME


def save(path: Path, content: dict[str, Any], **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, content, **options)


def row_of(values: dict[int, Any], count: int = 20) -> np.ndarray:
    row = np.empty((1, count), dtype=object)
    row[0] = [values.get(cell, np.zeros((0, 0))) for cell in range(1, count + 1)]
    return row


def read(root: Path) -> dict[str, Any]:
    return {session.trials[0].trial: session for session in amigos.DATASET.read(root, "s03", {})}


def problem(root: Path) -> str:
    return "\n".join(amigos.DATASET.inspect(root, {}).problems)


# Complete

def test_each_cell_is_a_session_with_the_video_as_trial(tmp_path: Path) -> None:
    write(tmp_path)
    sessions = read(tmp_path)
    assert list(sessions) == ["v01", "v02", "v04", "v17"]
    data = recording()
    for cell, video_s in VIDEO_S.items():
        session = sessions[f"v{cell:02d}"]
        (trial,) = session.trials
        assert (session.subject, trial.stimulus, trial.start_s, trial.duration_s) == ("s03", trial.trial, 5.0, video_s)
        assert trial.session == ("long" if cell == 17 else "short")
        arousal, valence, dominance, liking = ratings()[cell][0, :4]  # on file they begin with arousal
        assert trial.ratings == {"valence": valence, "arousal": arousal, "dominance": dominance, "liking": liking}
        eeg, ecg, eda = (session.signals[name] for name in ("EEG", "ECG", "EDA"))
        np.testing.assert_array_equal(eeg.data, data[cell][:, :14].T.astype(np.float32))
        np.testing.assert_array_equal(ecg.data, data[cell][:, 14:16].T.astype(np.float32))
        np.testing.assert_allclose(eda.data, 1e6 / data[cell][:, 16:].T, rtol=1e-6)
        assert {signal.sfreq_hz for signal in (eeg, ecg, eda)} == {128.0}
        assert (eeg.unit, ecg.unit, eda.unit) == ("uV", "a.u.", "uS")
        assert eeg.cut(5.0, video_s).data.shape == (14, video_s * 128)
    assert (eeg.ch_names[0], eeg.ch_names[13], ecg.ch_names) == ("AF3", "AF4", ("ECG_right", "ECG_left"))


def test_a_compressed_file_with_more_variables_reads_the_same(tmp_path: Path) -> None:
    names = row_of({cell: f"film {cell}" for cell in range(1, 21)})
    save(tmp_path / "data_preprocessed" / NAME,
         {"labels_ext_annotation": row_of({1: np.ones((3, 2))}), "joined_data": row_of(recording()),
          "labels_selfassessment": row_of(ratings()), "VideoIDs": names}, do_compression=True)
    sessions = read(tmp_path)
    write(tmp_path / "plain")
    plain = read(tmp_path / "plain")
    assert list(sessions) == list(plain)
    np.testing.assert_array_equal(sessions["v04"].signals["EEG"].data, plain["v04"].signals["EEG"].data)
    assert [session.trials[0].stimulus for session in sessions.values()] == ["film 1", "film 2", "film 4", "film 17"]
    save(tmp_path / "data_preprocessed" / NAME,
         {"joined_data": row_of(recording()), "labels_selfassessment": row_of(ratings()),
          "VideoIDs": row_of(dict.fromkeys(range(1, 21), "film"))})
    assert read(tmp_path)["v04"].trials[0].stimulus == "v04"  # names that are not unique are not used
    assert f"{NAME}, VideoIDs: not 20 different names" in problem(tmp_path)


def test_annotations_reach_their_cell(tmp_path: Path) -> None:
    write(tmp_path)
    table = pd.DataFrame({"participant": 3, "video": 17, "time_s": [0.0, 0.5, 1.0], "valence": [1.0, 2.5, 9.0]})
    layouts.write_annotations(tmp_path, table)
    notes = {name: session.trials[0].annotations for name, session in read(tmp_path).items()}
    assert notes["v01"] is notes["v02"] is notes["v04"] is None
    assert notes["v17"].values["valence"].tolist() == [1.0, 2.5, 9.0]


def test_inspect_knows_people_files_and_cells(tmp_path: Path) -> None:
    write(tmp_path)
    found = amigos.DATASET.inspect(tmp_path, {})
    assert found.subjects == ("s03",)
    assert len(found.missing) == 39
    assert found.missing[2] == "data_preprocessed/Data_Preprocessed_P04.mat"
    assert found.problems == (f"data_preprocessed/{NAME}, cells 3, 5-16, 18-20: joined_data and "
                              "labels_selfassessment are empty; no such trial.",)


# Pieces missing

def test_equal_rows_are_one_label_and_a_column_is_a_row(tmp_path: Path) -> None:
    label = ratings()[2]
    save(tmp_path / "data_preprocessed" / NAME,
         {"joined_data": row_of(recording()),
          "labels_selfassessment": row_of({**ratings(), 2: np.repeat(label, 3, axis=0), 4: label.T})})
    sessions = read(tmp_path)
    assert sessions["v02"].trials[0].ratings["arousal"] == sessions["v04"].trials[0].ratings["arousal"] == 3.0
    assert "label in" not in problem(tmp_path)


@pytest.mark.parametrize("label, sentence", [
    (np.zeros((0, 0)), "data but no label"), (np.zeros((1, 0)), "data but no label"),
    (np.full((1, 12), NAN), "data but no label"),
    (np.arange(24.0).reshape(2, 12) % 9 + 1, "data but several rows of labels that differ"),
], ids=["empty", "1x0", "nan", "rows"])
def test_a_trial_without_a_label_is_kept(tmp_path: Path, label: np.ndarray, sentence: str) -> None:
    save(tmp_path / "data_preprocessed" / NAME,
         {"joined_data": row_of(recording()), "labels_selfassessment": row_of({**ratings(), 2: label})})
    sessions = read(tmp_path)
    assert list(sessions) == ["v01", "v02", "v04", "v17"]
    assert all(np.isnan(value) for value in sessions["v02"].trials[0].ratings.values())
    assert sessions["v04"].trials[0].ratings["arousal"] == 4.0
    assert f"{NAME}, cell 2: {sentence}" in problem(tmp_path)


def test_a_rating_that_is_missing_is_missing_alone(tmp_path: Path) -> None:
    write(tmp_path, lambda data, labels: labels[4].__setitem__((0, 3), NAN))
    found = read(tmp_path)["v04"].trials[0].ratings
    assert np.isnan(found["liking"])
    assert found["valence"] == 5.0
    assert "cell 4: a label with missing ratings" in problem(tmp_path)


def test_a_label_without_data_gives_no_trial(tmp_path: Path) -> None:
    write(tmp_path, lambda data, labels: data.pop(4))
    assert list(read(tmp_path)) == ["v01", "v02", "v17"]
    assert "cell 4: a label in labels_selfassessment but no data in joined_data" in problem(tmp_path)


def test_dead_columns_are_a_missing_modality(tmp_path: Path) -> None:
    def spoil(data: Cells, labels: Cells) -> None:
        data[1][:, :14] = NAN
        data[2][:, 14:] = 0.0
        data[4][:] = NAN
        data[17][7, 3] = np.inf
        data[17][1000:1200, 14] = 5.0
        data[17][500:600, 16] = -1.0

    write(tmp_path, spoil)
    sessions = read(tmp_path)
    assert {name: list(session.signals) for name, session in sessions.items()} == {
        "v01": ["ECG", "EDA"], "v02": ["EEG"], "v17": ["EEG", "ECG", "EDA"]}
    signals = sessions["v17"].signals
    assert np.argwhere(np.isnan(signals["EEG"].data)).tolist() == [[3, 7]]
    assert np.flatnonzero(np.isnan(signals["ECG"].data[0])).tolist() == list(range(1000, 1200))
    assert np.flatnonzero(np.isnan(signals["EDA"].data[0])).tolist() == list(range(500, 600))
    found = problem(tmp_path)
    assert "cell 1: EEG NaN or constant throughout in joined_data" in found
    assert "cell 2: ECG and EDA NaN or constant throughout" in found
    assert "cell 4: joined_data is NaN or constant throughout; the trial is left out" in found


def test_odd_lengths_are_reported(tmp_path: Path) -> None:
    def cut(data: Cells, labels: Cells) -> None:
        data[1] = data[1][:600]
        data[2] = data[2][:128 * 40]

    write(tmp_path, cut)
    assert list(read(tmp_path)) == ["v02", "v04", "v17"]
    found = problem(tmp_path)
    assert "cell 1: no more than the 5 s of baseline" in found
    assert "cell 2: the video's length is not the 51 to 150 s" in found


@pytest.mark.parametrize("change", [lambda ohm: ohm / 1e3, lambda ohm: 1e6 / ohm, lambda ohm: ohm - ohm.mean()],
                         ids=["kOhm", "uS", "centred"])
def test_a_skin_response_that_cannot_be_ohm_keeps_its_values(
    tmp_path: Path, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    def convert(data: Cells, labels: Cells) -> None:
        for cell in data.values():
            cell[:, 16] = change(cell[:, 16])

    write(tmp_path, convert)
    eda = read(tmp_path)["v02"].signals["EDA"]
    assert eda.unit == "a.u."
    np.testing.assert_allclose(eda.data[0], change(recording()[2][:, 16]), rtol=1e-4)
    assert "(column 17) has a median below 10000, so it is not in Ohm" in problem(tmp_path)


# Damaged

@pytest.mark.parametrize("change, message", [
    (lambda data, labels: data.update({2: data[2].T}), r"joined_data\{2\}: found 17 x 8384: channels x samples"),
    (lambda data, labels: data.update({4: data[4][:, :16]}), r"joined_data\{4\}: found 7968 x 16 of float64, expected"),
    (lambda data, labels: data.update({4: "text"}), r"joined_data\{4\}: found 1 of <U4, expected samples x 17"),
    (lambda data, labels: labels.update({17: labels[17][:, :5]}),
     r"labels_selfassessment\{17\}: found 1 x 5 of float64, expected 1 x 12"),
    (lambda data, labels: labels[1].__setitem__((0, 1), 9.5),
     r"labels_selfassessment\{1\}, valence: found 9.5, expected ratings from 1 to 9"),
    (lambda data, labels: labels[2].__setitem__((0, 0), 0.0), r"labels_selfassessment\{2\}, arousal: found 0,"),
    (lambda data, labels: labels[4].__setitem__((0, 2), np.inf), r"labels_selfassessment\{4\}, dominance: found inf"),
], ids=["transposed", "16 columns", "text", "5 numbers", "9.5", "0", "inf"])
def test_a_cell_that_does_not_fit_is_named(
    tmp_path: Path, change: Callable[[Cells, Cells], object], message: str
) -> None:
    data, labels = recording(), ratings()
    change(data, labels)
    save(tmp_path / "data_preprocessed" / NAME, {"joined_data": row_of(data), "labels_selfassessment": row_of(labels)})
    with pytest.raises(InputError, match=rf"P03\.mat, {message}"):
        read(tmp_path)


@pytest.mark.parametrize("change, found", [
    (lambda cell: np.repeat(cell, 3, axis=0), "181.8"), (lambda cell: cell[::2], "26.1"),
], ids=["384 Hz", "64 Hz"])
def test_another_rate_is_seen_by_the_length_of_the_short_videos(
    tmp_path: Path, change: Callable[[np.ndarray], np.ndarray], found: str
) -> None:
    write(tmp_path, lambda data, labels: data.update({cell: change(data[cell]) for cell in (1, 2, 4)}))
    with pytest.raises(InputError, match=rf"found short videos of {found} s \(median, .* expected 51 to 150 s"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["joined_data", "labels_selfassessment"])
def test_variables_and_their_cells_are_checked(tmp_path: Path, name: str) -> None:
    path = tmp_path / "data_preprocessed" / NAME
    content = {"joined_data": row_of(recording()), "labels_selfassessment": row_of(ratings())}
    save(path, {key: value for key, value in content.items() if key != name})
    with pytest.raises(InputError, match=rf"P03\.mat, variable {name}: found no such variable"):
        read(tmp_path)
    save(path, {**content, name: row_of({1: content[name][0, 0]}, 19)})
    with pytest.raises(InputError, match=rf"P03\.mat, {name}: found shape \(1, 19\) of object, expected 20 cells"):
        read(tmp_path)
    save(path, {**content, name: np.ones((4, 20))})
    with pytest.raises(InputError, match=rf"P03\.mat, {name}: found shape \(4, 20\) of float64, expected 20 cells"):
        read(tmp_path)


@pytest.mark.parametrize("spoil", [
    lambda raw: b"", lambda raw: raw[:100], lambda raw: raw[:5000], lambda raw: raw[:-9],
    lambda raw: b"participant,video\n" + b"3,1\n" * 2000, lambda raw: raw[:128] + bytes(reversed(raw[128:])),
], ids=["zero bytes", "no header", "truncated", "end cut off", "text", "scrambled"])
def test_a_damaged_file_is_named(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = write(tmp_path)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(InputError, match=r"P03\.mat: found .*expected a complete MATLAB v5 file") as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"P03\.mat: found"):
        amigos.DATASET.inspect(tmp_path, {})
    (tmp_path / "data_preprocessed" / "Data_Preprocessed_P12.mat").write_bytes(path.read_bytes())
    write(tmp_path)  # one damaged file does not hide the others
    assert amigos.DATASET.inspect(tmp_path, {}).subjects == ("s03",)
    (left_out,) = [line for line in amigos.DATASET.inspect(tmp_path, {}).problems if line.startswith("s12")]
    assert left_out.startswith("s12 is left out: data_preprocessed/Data_Preprocessed_P12.mat: found")


def test_bytes_after_a_compressed_variable_are_reported_not_refused(tmp_path: Path) -> None:
    path = write(tmp_path)
    raw = path.read_bytes()
    parts, place = [raw[:128]], 128
    while place < len(raw):
        size = 8 + struct.unpack("<I", raw[place + 4:place + 8])[0]
        packed = zlib.compress(raw[place:place + size] + bytes(16), 1)
        parts.append(struct.pack("<II", 15, len(packed)) + packed)
        place += size
    path.write_bytes(b"".join(parts))
    assert list(read(tmp_path)) == ["v01", "v02", "v04", "v17"]
    assert f"{NAME}: bytes follow the end of a compressed variable" in problem(tmp_path)


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data_preprocessed: found no participant's file, expected Data_Pre.*P01"):
        amigos.DATASET.inspect(tmp_path, {})
    with pytest.raises(InputError, match=r"P03\.mat: the file is missing"):
        read(tmp_path)
    with pytest.raises(InputError, match="AMIGOS subject: found 's41', expected s01 to s40"):
        next(amigos.DATASET.read(tmp_path, "s41", {}))
