"""CEAP-360VR reader, on small files in the published layout and, where present, on the real ones."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from open_sets import FRAME_RATES, Clip, dump, write_clips, write_viewer

from himoe.core.errors import InputError
from himoe.datasets import ceap360vr

N_HEAD = 299
FIXATIONS = [(0, 9, 1.0, -170.0), (60, 64, 2.0, 175.0), (100, 105, 4.0, 30.0), (203, 210, 5.0, -30.0),
             (1490, 1499, -3.0, 10.0)]
TIMES = [0.15, 0.292, 0.408, 59.9]


def write_person(root: Path, number: int) -> None:
    head = [{"ID": k, "Pitch": 0.1 * k, "Yaw": (k * 7 + 180) % 360 - 180} for k in range(1, N_HEAD + 1)]
    gaze = [{"StartFrame": a, "EndFrame": b, "Pitch": p, "Yaw": y} for a, b, p, y in FIXATIONS]
    rows = [{"TimeStamp": t, "Valence": 5.0 + k, "Arousal": 4.0 - k} for k, t in enumerate(TIMES)]
    write_viewer(root, number, {v: Clip(head, gaze, rows, 1 + k, 9 - k) for k, v in enumerate(FRAME_RATES)})


def write_physio(root: Path, number: int) -> None:
    def rows(rate: float, keys: list[str], offset_s: float) -> list[dict[str, float]]:
        times = [k / rate + offset_s for k in range(int(60 * rate))]
        return [{"TimeStamp": t, **{key: t * (j + 1) for j, key in enumerate(keys)}} for t in times]

    eda = [row for row in rows(4, ["EDA"], 0.1) if not 10 < row["TimeStamp"] < 13]
    entry = {"EDA_RawData": eda, "BVP_RawData": rows(64, ["BVP"], 0.0), "SKT_RawData": [],
             "ACC_RawData": rows(32, ["ACC_X", "ACC_Y", "ACC_Z"], 0.0), "HR_RawData": [], "IBI_RawData": []}
    dump(root / ceap360vr.PHYSIO / f"P{number}_Physio_RawData.json",
         {"Physio_RawData": [{"ParticipantID": f"P{number}",
                              "Video_Physio_RawData": [{"VideoID": v, **entry} for v in FRAME_RATES]}]})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_clips(tmp_path)
    for number in (2, 10, 15):
        write_person(tmp_path, number)
    return tmp_path


def sessions(root: Path, subject: str = "P02", **options: str) -> list[Any]:
    return list(ceap360vr.DATASET.read(root, subject, options))


def test_people_are_sorted_by_number_and_missing_ones_listed(root: Path) -> None:
    found = ceap360vr.DATASET.inspect(root, {})
    assert found.subjects == ("P02", "P10", "P15")
    assert ceap360vr.RATINGS.format(1) in found.missing
    assert any("P15" in text and "V8" in text for text in found.problems)
    assert any("5_PhysioData" in text for text in found.problems)
    assert not any(str(root) in text for text in (*found.problems, *found.missing))


def test_a_person_without_ratings_is_missing_and_the_others_stay(root: Path) -> None:
    (root / ceap360vr.RATINGS.format(10)).unlink()
    (root / ceap360vr.HEAD.format(2)).unlink()
    found = ceap360vr.DATASET.inspect(root, {})
    assert found.subjects == ("P02", "P15")
    assert {ceap360vr.RATINGS.format(10), ceap360vr.HEAD.format(2)} <= set(found.missing)
    assert any(text.startswith("P10 ") for text in found.problems)
    assert set(sessions(root)[0].signals) == {"GAZE"}


def test_one_session_a_video_with_ratings_and_annotations(root: Path) -> None:
    trials = [session.trials[0] for session in sessions(root)]
    assert [trial.trial for trial in trials] == [f"V{k}" for k in range(1, 9)]
    assert all(trial.stimulus == trial.trial and trial.duration_s == 60 and trial.start_s == 0 for trial in trials)
    assert trials[2].ratings == {"valence": 3.0, "arousal": 7.0}
    assert trials[2].annotations.time_s.tolist() == TIMES
    assert trials[2].annotations.values["arousal"].tolist() == [4, 3, 2, 1]


def test_head_sample_k_lies_at_its_time(root: Path) -> None:
    head = sessions(root)[1].signals["HEAD"]
    assert (head.sfreq_hz, head.ch_names, head.data.shape) == (5.0, ("pitch_deg", "yaw_sin", "yaw_cos"), (3, 300))
    assert np.isnan(head.data[:, 0]).all()
    for k in (1, 26, N_HEAD):  # time = 0.2 s * ID, so sample k of a 5 Hz grid is ID k
        yaw = np.deg2rad(7 * k)
        np.testing.assert_allclose(head.data[:, k], [0.1 * k, np.sin(yaw), np.cos(yaw)], atol=1e-5)


@pytest.mark.parametrize("index", [0, 1])
def test_gaze_is_the_fixation_that_is_on(root: Path, index: int) -> None:
    gaze, rate = sessions(root)[index].signals["GAZE"], FRAME_RATES[f"V{index + 1}"]
    for k in range(300):  # slow reference: frames of sample k by exact fractions
        on = [f for f in FIXATIONS if any(5 * frame < (k + 1) * rate and 5 * (frame + 1) > k * rate
                                          for frame in range(f[0], f[1] + 1))]
        if not on:
            assert np.isnan(gaze.data[:, k]).all()
        else:
            yaw = np.deg2rad(on[-1][3])
            np.testing.assert_allclose(gaze.data[:, k], [on[-1][2], np.sin(yaw), np.cos(yaw)], atol=1e-6)
    assert 0 < np.isfinite(gaze.data[0]).sum() < 20


def test_luminance_only_when_asked_for(root: Path) -> None:
    assert ceap360vr.DATASET.default_off == ("LUM",)
    assert set(sessions(root)[0].signals) == {"HEAD", "GAZE"}
    asked = sessions(root, modalities="LUM HEAD")
    assert set(asked[0].signals) == {"LUM", "HEAD"}
    for index, per_sample in ((0, 5), (3, 6)):
        lum = asked[index].signals["LUM"]
        frames = np.arange(per_sample * 300) % 100 + index
        expected = [frames[k * per_sample:(k + 1) * per_sample].mean() for k in range(300)]
        np.testing.assert_allclose(lum.data[0], expected, rtol=1e-6)


def test_wrist_signals_come_from_their_time_stamps(root: Path) -> None:
    write_physio(root, 2)
    signals = sessions(root)[4].signals
    assert {m: s.data.shape for m, s in signals.items() if m in ceap360vr.E4} == {
        "EDA": (1, 240), "PPG": (1, 3840), "TEMP": (1, 240), "ACC": (3, 1920)}
    grid_s = np.arange(240) / 4
    eda = signals["EDA"].data[0]
    gap = ((grid_s > 9.85) & (grid_s < 13.1)) | (grid_s < 0.1)  # stamps before and after: 9.85 s, 13.1 s
    np.testing.assert_array_equal(np.isnan(eda), gap)
    np.testing.assert_allclose(eda[~gap], grid_s[~gap], rtol=1e-5)
    np.testing.assert_allclose(signals["ACC"].data[2], 3 * np.arange(1920) / 32, rtol=1e-5)
    assert np.isnan(signals["TEMP"].data).all()
    assert not any("5_PhysioData" in text for text in ceap360vr.DATASET.inspect(root, {}).problems)


def test_wrist_time_in_other_units_is_refused(root: Path) -> None:
    write_physio(root, 2)
    path = root / ceap360vr.PHYSIO / "P2_Physio_RawData.json"
    value = json.loads(path.read_text(encoding="utf-8-sig"))
    for row in value["Physio_RawData"][0]["Video_Physio_RawData"][0]["EDA_RawData"]:
        row["TimeStamp"] *= 1000
    dump(path, value)
    with pytest.raises(InputError, match=r"EDA_RawData: TimeStamp.*seconds from the clip's start"):
        sessions(root)


def test_missing_key_and_text_value_are_named(root: Path) -> None:
    path = root / ceap360vr.ANNOTATIONS.format(2)
    value = json.loads(path.read_text(encoding="utf-8-sig"))
    row = value["ContinuousAnnotation_TransData"][0]["Video_Annotation_TransData"][3]["TimeStamp_Valence_Arousal"][1]
    row["Valence"] = "high"
    dump(path, value)
    with pytest.raises(InputError, match=r"P2_Annotation.*V4: Valence\[1\].*'high'"):
        sessions(root)
    del row["Valence"]
    dump(path, value)
    with pytest.raises(InputError, match=r"P2_Annotation.*V4: key 'Valence'.*TimeStamp Arousal"):
        sessions(root)


def test_unsorted_annotation_and_missing_video_are_refused(root: Path) -> None:
    path = root / ceap360vr.ANNOTATIONS.format(2)
    value = json.loads(path.read_text(encoding="utf-8-sig"))
    videos = value["ContinuousAnnotation_TransData"][0]["Video_Annotation_TransData"]
    videos[0]["TimeStamp_Valence_Arousal"].reverse()
    dump(path, value)
    with pytest.raises(InputError, match=r"V1: TimeStamp.*sort"):
        sessions(root)
    videos.pop(0)
    dump(path, value)
    with pytest.raises(InputError, match=r"VideoID.*expected V1"):
        sessions(root)


def test_unknown_people_a_truncated_file_and_an_empty_folder(root: Path) -> None:
    for subject in ("P33", "P00", "X1", "P"):
        with pytest.raises(InputError, match="subject"):
            sessions(root, subject)
    path = root / ceap360vr.HEAD.format(2)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match=r"HeadScanPath.*truncated"):
        sessions(root)
    (root / "none").mkdir()
    with pytest.raises(InputError, match="no complete person"):
        ceap360vr.DATASET.inspect(root / "none", {})


def test_downloads_are_the_layout_that_is_read() -> None:
    paths = [file.path for file in ceap360vr.DATASET.files]
    assert len(paths) == len(set(paths)) == 2 + 4 * 32
    assert all(file.url.endswith("/" + file.path) for file in ceap360vr.DATASET.files)


def test_real_files() -> None:
    place = os.environ.get("HIMOE_CEAP360VR_PATH")
    if not place:
        pytest.skip("HIMOE_CEAP360VR_PATH is not set: the real CEAP-360VR files are not here")
    root = Path(place)
    assert len(ceap360vr.DATASET.inspect(root, {}).subjects) == 32
    windows = silent = 0
    for subject in ("P01", "P15", "P32"):
        for session in sessions(root, subject, modalities="HEAD GAZE LUM"):
            annotations = session.trials[0].annotations
            assert np.diff(annotations.time_s).max() < 0.5
            assert all(1 <= v <= 9 for values in annotations.values.values() for v in values)
            assert np.isfinite(session.signals["HEAD"].data[:, 1:]).all()
            assert np.nanmax(session.signals["LUM"].data) > 50
            gaze = session.signals["GAZE"].data[0]
            blocks = [gaze[k:k + 20] for k in range(0, 281, 10)]
            windows, silent = windows + len(blocks), silent + sum(np.isnan(block).all() for block in blocks)
    assert windows == 3 * 8 * 29
    assert 0 < silent / windows < 0.5
