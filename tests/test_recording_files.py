"""Clean trials on disk come back as they were, all or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from himoe.core.errors import InputError
from himoe.core.recordings import Annotations, Recording, Signal
from himoe.prepare.recording_files import (
    merge_descriptions,
    read_recordings,
    write_recordings,
)


def recording(trial: str, seconds: float = 5.0, seed: int = 0, **changes: object) -> Recording:
    rng = np.random.default_rng(seed)
    eeg = rng.standard_normal((3, round(seconds * 16))).astype(np.float32)
    eda = rng.standard_normal((1, round(seconds * 4))).astype(np.float32)
    eeg[1, 4:9] = np.nan
    signals = {"EEG": Signal(eeg, 16.0, ("Fz", "Cz", "Pz"), "uV"), "EDA": Signal(eda, 4.0, ("GSR",), "uS")}
    values = {"subject": "s07", "trial": trial, "stimulus": f"clip-{trial}", "duration_s": seconds,
              "session": "day 2", "signals": signals, "ratings": {"valence": 3.5, "arousal": np.nan}}
    return Recording(**{**values, **changes})  # type: ignore[arg-type]


def same(left: Recording, right: Recording) -> None:
    assert (left.subject, left.session, left.trial, left.stimulus, left.duration_s) == (
        right.subject, right.session, right.trial, right.stimulus, right.duration_s)
    assert list(left.signals) == list(right.signals)
    for modality, signal in left.signals.items():
        other = right.signals[modality]
        np.testing.assert_array_equal(signal.data, other.data)
        assert other.data.dtype == np.float32
        assert (signal.sfreq_hz, signal.ch_names, signal.unit) == (other.sfreq_hz, other.ch_names, other.unit)
    for dimension, rating in left.ratings.items():
        np.testing.assert_equal(right.ratings[dimension], rating)


def test_round_trip_keeps_order_gaps_and_lengths(tmp_path: Path) -> None:
    written = [recording("v10", 5.0, 1), recording("v02", 7.0, 2), recording("v05", 6.0, 3)]
    write_recordings(tmp_path, "s07", iter(written))
    found = read_recordings(tmp_path, "s07")
    assert [r.trial for r in found] == ["v10", "v02", "v05"]
    for left, right in zip(written, found, strict=True):
        same(left, right)
        assert np.isnan(right.signals["EEG"].data[1, 4:9]).all()
        assert np.isfinite(right.signals["EEG"].data[[0, 2]]).all()
        assert right.annotations is None


def test_annotations_and_unrated_dimensions_come_back(tmp_path: Path) -> None:
    time_s = np.array([0.1, 0.9, 2.5, 4.0])
    valence = np.array([1.0, np.nan, 3.0, 8.5])
    with_course = recording("v01", annotations=Annotations(time_s, {"valence": valence}))
    description = write_recordings(tmp_path, "s07", [with_course, recording("v02")])
    assert description["annotated"] is True
    found = read_recordings(tmp_path, "s07")
    assert found[0].annotations is not None
    np.testing.assert_array_equal(found[0].annotations.time_s, time_s)
    assert list(found[0].annotations.values) == ["valence"]
    np.testing.assert_array_equal(found[0].annotations.values["valence"], valence)
    assert found[1].annotations is None
    assert np.isnan(found[1].ratings["liking"])


def test_a_trial_may_lack_a_modality(tmp_path: Path) -> None:
    full, poor = recording("v01"), recording("v02")
    poor = replace(poor, signals={"EDA": poor.signals["EDA"]})
    description = write_recordings(tmp_path, "s07", [full, poor])
    assert list(description["modalities"]) == ["EEG", "EDA"]
    assert [list(r.signals) for r in read_recordings(tmp_path, "s07")] == [["EEG", "EDA"], ["EDA"]]


def test_pandas_opens_both_files(tmp_path: Path) -> None:
    write_recordings(tmp_path, "s07", [recording("v01", 5.0), recording("v02", 7.0)])
    signals = pd.read_parquet(tmp_path / "signals" / "s07.parquet")
    assert list(signals["channel"]) == ["Fz", "Cz", "Pz", "GSR"] * 2
    assert [len(samples) for samples in signals["samples"]] == [80, 80, 80, 20, 112, 112, 112, 28]
    trials = pd.read_parquet(tmp_path / "trials" / "s07.parquet")
    assert list(trials["stimulus"]) == ["clip-v01", "clip-v02"]
    assert list(trials["rating_valence"]) == [3.5, 3.5]


def test_same_trials_same_bytes(tmp_path: Path) -> None:
    contents = []
    for name in ("a", "b"):
        write_recordings(tmp_path / name, "s07", [recording("v01"), recording("v02", 6.0)])
        contents.append([(tmp_path / name / part / "s07.parquet").read_bytes() for part in ("signals", "trials")])
    assert contents[0] == contents[1]


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir())


def test_a_reader_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[Recording]:
        yield recording("v01")
        assert any(name.endswith(".part") for name in files(tmp_path))  # under way, and only under another name
        assert not any(name.endswith(".parquet") for name in files(tmp_path))
        raise InputError("trial v02: found half of it")

    with pytest.raises(InputError, match="half of it"):
        write_recordings(tmp_path, "s07", broken())
    assert files(tmp_path) == []


def test_a_failed_rewrite_keeps_the_files_before(tmp_path: Path) -> None:
    write_recordings(tmp_path, "s07", [recording("v01")])
    before = [(tmp_path / part / "s07.parquet").read_bytes() for part in ("signals", "trials")]
    other = recording("v02")
    other = replace(other, signals={"EDA": replace(other.signals["EDA"], sfreq_hz=8.0)})
    with pytest.raises(InputError):
        write_recordings(tmp_path, "s07", [recording("v01", seed=9), other])
    assert [(tmp_path / part / "s07.parquet").read_bytes() for part in ("signals", "trials")] == before
    assert files(tmp_path) == ["signals/s07.parquet", "trials/s07.parquet"]


@pytest.mark.parametrize("change", [
    {"sfreq_hz": 8.0}, {"unit": "Ohm"}, {"ch_names": ("EDA1",)},
])
def test_trials_that_disagree_are_refused(tmp_path: Path, change: dict[str, object]) -> None:
    other = recording("v02")
    other = replace(other, signals={"EDA": replace(other.signals["EDA"], **change)})  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"subject s07 trial v02: EDA is .* expected .*4\.0"):
        write_recordings(tmp_path, "s07", [recording("v01"), other])
    assert files(tmp_path) == []


def test_no_trial_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="s07: found no trial"):
        write_recordings(tmp_path, "s07", [])
    assert files(tmp_path) == []


def test_a_missing_or_cut_file_is_named(tmp_path: Path) -> None:
    write_recordings(tmp_path, "s07", [recording("v01")])
    (tmp_path / "signals" / "s07.parquet").unlink()
    with pytest.raises(InputError, match=r"s07\.parquet"):
        read_recordings(tmp_path, "s07")


def part(subject: str, rate: float = 4.0, annotated: bool = False, **more: dict[str, object]) -> dict[str, object]:
    eda = {"channels": ["GSR"], "sfreq_hz": rate, "unit": "uS"}
    return {"subject": subject, "modalities": {"EDA": eda, **more}, "annotated": annotated}


def test_descriptions_merge_in_the_order_of_subjects() -> None:
    ppg = {"channels": ["BVP"], "sfreq_hz": 64.0, "unit": "a.u."}
    parts = [part("s03"), part("s01", PPG=ppg), part("s02", annotated=True)]
    merged = merge_descriptions(parts)
    assert merged["subjects"] == ["s01", "s02", "s03"]
    assert sorted(merged["modalities"]) == ["EDA", "PPG"]
    assert merged["annotated"] is True
    assert merge_descriptions(reversed(parts)) == merged


def test_subjects_whose_rates_disagree_are_refused() -> None:
    with pytest.raises(InputError, match=r"subject s02: EDA is .*8\.0.*expected .*4\.0"):
        merge_descriptions([part("s02", 8.0), part("s01", 4.0)])
