"""Quality of raw signals against slow loops and signals whose faults are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from himoe.core.errors import InputError
from himoe.core.recordings import Recording, Session, Signal, Trial
from himoe.prepare import quality
from himoe.prepare.quality import (
    COLUMNS,
    SubjectQuality,
    clipped_shares,
    flat_channels,
    frame_quality,
    line_noise,
    merge_quality,
    quality_rows,
    raw_quality,
    read_quality,
    strongest_line,
    usable_share,
    write_quality,
)
from himoe.prepare.quality_examples import example, extremes, spectrum


def make_signal(data: np.ndarray, sfreq_hz: float = 128.0, unit: str = "uV", start_s: float = 0.0) -> Signal:
    names = tuple(f"ch{k}" for k in range(len(data)))
    return Signal(data.astype(np.float32), sfreq_hz, names, unit, start_s)


def noise(channels: int, n_samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((channels, n_samples))


def slow_excess(channel: np.ndarray, rate: int, line: float) -> float:
    """Power round the line over its neighbours, from a discrete Fourier sum written out segment by segment."""
    width = 2 * rate
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(width) / width)
    inside, outside = [], []
    for first in range(0, len(channel) - width + 1, width // 2):
        part = channel[first:first + width]
        part = (part - part.mean()) * window
        for k in range(width // 2 + 1):
            away = abs(k / 2 - line)
            if away <= 5:
                wave = np.exp(-2j * np.pi * k * np.arange(width) / width)
                power = abs((part * wave).sum()) ** 2
                if away <= 1:
                    inside.append(power)
                elif away >= 2:
                    outside.append(power)
    return 10 * float(np.log10(np.mean(inside) / np.mean(outside)))


def test_line_noise_is_that_of_a_slow_fourier_sum() -> None:
    rate, n_samples = 200, 2300
    data = noise(3, n_samples)
    data += np.array([[0.3], [1.0], [4.0]]) * np.sin(2 * np.pi * 50 * np.arange(n_samples) / rate + 0.4) + 700.0
    expected = [[slow_excess(row, rate, line) for row in data] for line in (50.0, 60.0)]
    found = line_noise([data], rate, (50.0, 60.0))
    np.testing.assert_allclose(found, np.median(expected, axis=1), rtol=1e-9)
    assert expected[0][0] < expected[0][1] < expected[0][2]


@pytest.mark.parametrize("sfreq_hz,seen", [(100.0, (False, False)), (102.0, (True, False)), (122.0, (True, True)),
                                           (4.0, (False, False))])
def test_a_line_that_the_rate_cannot_show_is_none(sfreq_hz: float, seen: tuple[bool, bool]) -> None:
    found = raw_quality(make_signal(noise(2, 1300), sfreq_hz))["line_noise_db"]
    assert list(found) == ["50", "60"]
    assert tuple(value is not None for value in found.values()) == seen


def test_the_stronger_line_is_named_only_where_it_stands_out() -> None:
    t = np.arange(4000) / 250
    data = noise(5, 4000) + 2 * np.sin(2 * np.pi * 60 * t)
    value, line_hz = strongest_line(raw_quality(make_signal(data, 250.0))["line_noise_db"])
    assert line_hz == 60.0
    assert value is not None
    assert value > 15
    value, line_hz = strongest_line(raw_quality(make_signal(noise(5, 4000), 250.0))["line_noise_db"])
    assert line_hz is None
    assert value is not None
    assert abs(value) < 1.5
    assert strongest_line({"50": None}) == (None, None)


def test_gaps_are_counted_over_every_sample() -> None:
    data = noise(3, 70_000)  # longer than the stretches together at this rate
    data[0, 10:25] = np.nan
    data[2, -7:] = np.nan
    found = raw_quality(make_signal(data))
    assert found["missing_samples"] == pytest.approx(22 / data.size)
    assert found["samples"] == data.size
    assert found["bad_channels"] is None


def test_flat_channels_are_constant_or_lost_for_over_half() -> None:
    data = noise(7, 1000)
    data[0] = 3.0
    data[1] = np.nan
    data[2, :600] = -1.0
    data[3, :400] = -1.0
    data[4, :300], data[4, 700:] = np.nan, 0.0
    data[5] = np.repeat(np.arange(50), 20)  # a slow sensor: steps of 20 samples
    assert flat_channels(data, 100.0).tolist() == [True, True, True, False, True, False, False]
    assert raw_quality(make_signal(data, 100.0))["flat_channels"] == pytest.approx(4 / 7)


def slow_clipped(row: np.ndarray) -> float:
    """Samples in runs of three or more at the lowest or highest value, one by one."""
    count = run = 0
    for k, value in enumerate(row):
        at = value in (row.min(), row.max())
        run = run + 1 if at and k and row[k - 1] == value and run else int(at)
        if run == 3:
            count += 3
        elif run > 3:
            count += 1
    return count / len(row)


def test_clipped_samples_are_runs_at_the_extremes() -> None:
    t = np.arange(5000) / 100
    wave = 3 * np.sin(2 * np.pi * 0.7 * t) + noise(1, 5000)[0]
    data = np.stack([np.clip(wave, -2, 9), np.clip(wave, -2.5, 2.5), wave])
    found = clipped_shares(data)
    np.testing.assert_allclose(found, [slow_clipped(row) for row in data])
    assert found[1] > found[0] > 0.1  # clipped on both sides, on one
    assert found[2] == 0
    assert raw_quality(make_signal(data, 100.0))["clipped_channels"] == pytest.approx(2 / 3)


def test_coarse_steps_and_constant_or_lost_channels_are_not_clipped() -> None:
    t = np.arange(6000) / 100
    coarse = np.round(8 * np.sin(2 * np.pi * 0.05 * t))
    assert slow_clipped(coarse) > 0.05  # it stays at its extremes, but as long as next to them
    data = np.stack([coarse, np.full(6000, 2.0), np.full(6000, np.nan), np.where(t < 1, np.nan, coarse)])
    assert clipped_shares(data).tolist() == [0, 0, 0, 0]


def test_a_loud_and_a_dead_eeg_channel_are_bad() -> None:
    data = noise(10, 3000)
    data[4] *= 100
    data[7] = 0
    assert raw_quality(make_signal(data), eeg=True)["bad_channels"] == pytest.approx(0.2)


def test_an_empty_signal_says_nothing() -> None:
    found = raw_quality(make_signal(np.empty((2, 0))))
    assert {found[name] for name in quality.SHARES} == {None}


def test_frames_without_a_face_are_missing() -> None:
    data = noise(6, 8)
    data[:, [1, 5, 6]] = np.nan
    found = frame_quality(make_signal(data, 2.0, "a.u."))
    assert found["missing_samples"] == pytest.approx(3 / 8)
    assert found["flat_channels"] is None


def test_sessions_are_merged_by_their_samples() -> None:
    one = {"samples": 30, "channels": 2, "sfreq_hz": 5.0, "missing_samples": 0.2, "flat_channels": 0.5,
           "clipped_channels": 0.0, "bad_channels": None, "line_noise_db": {"50": 4.0, "60": None}}
    two = {**one, "samples": 10, "missing_samples": 0.6, "flat_channels": None, "line_noise_db": {"50": 8.0, "60": 2.0}}
    merged = merge_quality([one, two])
    assert merged["samples"] == 40
    assert merged["missing_samples"] == pytest.approx((30 * 0.2 + 10 * 0.6) / 40)
    assert (merged["flat_channels"], merged["bad_channels"]) == (0.5, None)
    assert merged["line_noise_db"] == {"50": pytest.approx(5.0), "60": 2.0}


def test_usable_share_by_hand() -> None:
    index = pd.DataFrame({"completeness_EDA": np.array([0.0, 0.49, 0.5, 1.0, 1.0], dtype=np.float32)})
    assert usable_share(index, "EDA", 0.5) == pytest.approx(0.6)
    assert usable_share(index[:0], "EDA", 0.5) is None
    with pytest.raises(InputError, match="completeness_ECG"):
        usable_share(index, "ECG", 0.5)


# --- examples ---------------------------------------------------------------------------------------------------


def test_thinning_keeps_spikes_and_gaps() -> None:
    values = np.zeros(30_011)
    values[[17, 12_345, 30_010]] = 5.0, -9.0, 2.0
    values[20_000:21_000] = np.nan
    picked = extremes(values, 600)
    assert len(picked) <= 600
    assert {17, 12_345, 30_010} <= set(picked.tolist())
    assert np.all(np.diff(picked) > 0)
    assert np.isnan(values[picked]).any()
    assert extremes(values[:600], 600).tolist() == list(range(600))


def test_a_spectrum_holds_the_variance_and_keeps_its_peak() -> None:
    values = 3 * noise(1, 60_000)[0]
    frequencies, power = spectrum(values[:2000], 100.0, 3.0)  # short: every frequency is kept
    assert np.sum(10 ** (power / 10)) * np.diff(frequencies)[0] == pytest.approx(values[:2000].var(), rel=0.05)
    values += 2 * np.sin(2 * np.pi * 51.3 * np.arange(60_000) / 500)
    frequencies, power = spectrum(values, 500.0, 20.0)
    assert len(frequencies) <= quality_points()
    assert frequencies[np.argmax(power)] == pytest.approx(51.3, abs=0.05)
    assert np.all(np.diff(frequencies) > 0)
    assert spectrum(np.full(100, np.nan), 10.0, 4.0)[0].size == 0


def quality_points() -> int:
    from himoe.prepare.quality_examples import SPECTRUM_POINTS

    return SPECTRUM_POINTS + 2  # the last bin is closed on both sides


def test_an_example_shows_the_stretch_about_its_median() -> None:
    before, after = noise(2, 1280) - 40_000, noise(2, 640)
    before[1] = np.nan
    found = example(make_signal(before), make_signal(after, 64.0), 4.0, 3.0)
    first, lost = found["before"]["channels"]
    part = before[0, 512:896].astype(np.float32).astype(float)
    assert first["offset"] == pytest.approx(np.median(part), rel=1e-3)
    assert (first["time_s"][0], first["time_s"][-1]) == (4.0, pytest.approx(4 + 383 / 128, abs=1e-3))
    np.testing.assert_allclose(first["values"], part - np.median(part), rtol=1e-3, atol=1e-3)
    assert lost["offset"] is None
    assert set(lost["values"]) == {None}
    assert lost["power_db"] == []
    assert len(found["after"]["channels"][0]["values"]) == 192
    assert example(make_signal(before), None, 0.0, 1.0)["after"] is None


# --- a subject --------------------------------------------------------------------------------------------------


def make_session(subject: str = "s1") -> tuple[Session, list[Recording]]:
    """A session of 40 s from 100 s on with one trial, and the trial as if cleaned."""
    eeg, eda = noise(4, 5120), noise(1, 320, 3)
    eda[0, :80] = np.nan
    signals = {"EEG": make_signal(eeg, start_s=100.0), "EDA": make_signal(eda, 8.0, "uS", 100.0)}
    session = Session(subject, signals, (Trial("t1", "v1", 110.0, 20.0, {}),))
    cut = {"EEG": signals["EEG"].cut(110.0, 20.0)}
    return session, [Recording(subject, "t1", "v1", 20.0, cut)]


def make_subject(subject: str = "s1") -> SubjectQuality:
    session, recordings = make_session(subject)
    gathered = SubjectQuality(subject)
    gathered.add(session)
    gathered.example(session, recordings)
    return gathered


def test_a_subject_gathers_quality_and_one_example() -> None:
    gathered = make_subject()
    result = gathered.result()
    assert list(result) == ["EDA", "EEG"]
    assert result["EDA"]["missing_samples"] == 0.25
    assert result["EEG"]["bad_channels"] == 0.0
    shown = gathered.examples
    assert shown is not None
    assert (shown["subject"], shown["trial"]) == ("s1", "t1")
    assert shown["modalities"]["EEG"]["start_s"] == 8.0  # four seconds in the middle of twenty
    assert shown["modalities"]["EDA"]["length_s"] == 20.0
    assert shown["modalities"]["EDA"]["after"] is None
    session, recordings = make_session("s2")
    gathered.example(session, recordings)
    assert gathered.examples is shown


def test_files_are_the_same_twice_and_read_back(tmp_path: Path) -> None:
    parts = [make_subject("s2"), make_subject("s1")]
    texts = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        write_quality(folder, parts)
        texts.append([(folder / name).read_bytes() for name in ("quality.json", "examples.json")])
        parts.reverse()
    assert texts[0] == texts[1]
    subjects, shown = read_quality(tmp_path / "a")
    assert list(subjects) == ["s1", "s2"]
    assert shown is not None
    assert shown["subject"] == "s1"


@pytest.mark.parametrize("content", ["[]", '{"version": 99, "subjects": {}}', '{"version": 1}',
                                     '{"version": 1, "subjects": []}', '{"version": 1, "subj'])
def test_other_files_are_refused(tmp_path: Path, content: str) -> None:
    write_quality(tmp_path, [])
    assert read_quality(tmp_path) == ({}, None)
    (tmp_path / "quality.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"quality\.json"):
        read_quality(tmp_path)


def test_rows_join_raw_signals_and_windows() -> None:
    subjects: dict[str, Any] = json.loads(json.dumps({"s1": make_subject().result()}))
    complete = {"EEG": [1.0, 1.0, 0.2, 1.0], "EDA": [0.0, 0.0, 1.0, 1.0], "FACE": [0.5, 1.0, 0.5, 0.4]}
    index = pd.DataFrame({f"completeness_{m}": values for m, values in complete.items()})
    rows = quality_rows("toy", "Toy (simulated)", subjects, {"s1": index}, 0.5)
    assert tuple(rows.columns) == COLUMNS
    assert rows["modality"].tolist() == ["EDA", "EEG", "FACE"]
    assert rows["usable_windows"].tolist() == [0.5, 0.75, 0.75]
    assert rows["missing_samples"].tolist() == [0.25, 0.0, 0.4]  # of FACE: from its windows
    assert rows["flat_channels"].isna().tolist() == [False, False, True]
    assert rows["line_noise_db"].isna().tolist() == [True, False, True]
    alone = quality_rows("toy", "Toy (simulated)", subjects, {}, 0.5)
    assert alone["usable_windows"].isna().all()
