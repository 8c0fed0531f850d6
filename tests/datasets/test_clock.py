"""The time axis of a signal: read right, or doubted, noted or refused; never believed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from himoe.core.errors import InputError
from himoe.datasets.clock import Axis, Clock, read_clock

STAMPS = np.arange(240) / 4  # one minute at 4 Hz


def axis(stamps: Any, values: Any = None, duration_s: float | None = None, **clock: Any) -> Axis:
    stamps = np.asarray(stamps, dtype=float)
    values = np.arange(len(stamps), dtype=float)[None] if values is None else np.asarray(values, dtype=float)
    return read_clock("eda.csv: t", stamps, values, Clock(**{"sfreq_hz": 4.0, "max_gap_s": 2.0, **clock}), duration_s)


def plain(found: Axis) -> bool:
    return not found.notes and not found.doubts


def test_a_clock_that_tells_seconds_from_the_start_is_left_alone() -> None:
    found = axis(STAMPS)
    assert plain(found)
    np.testing.assert_array_equal(found.time_s, STAMPS)
    assert plain(axis(STAMPS + 1.5))  # a sensor that starts a little late
    assert plain(axis([0.3]))


@pytest.mark.parametrize("unit, factor", [("ms", 1e3), ("us", 1e6), ("min", 1 / 60)])
def test_a_unit_is_read_as_said_and_doubted_if_not_said(unit: str, factor: float) -> None:
    said = axis(STAMPS * factor, unit=unit)
    assert plain(said)
    np.testing.assert_allclose(said.time_s, STAMPS, atol=1e-9)
    guessed = axis(STAMPS * factor)
    assert len(guessed.doubts) == 1
    assert f"time_unit: {unit}" in guessed.doubts[0]
    np.testing.assert_allclose(guessed.time_s, STAMPS, atol=1e-9)


@pytest.mark.parametrize("start_s", [5000.25, 1.7e9, 37.0])
def test_a_clock_since_boot_or_of_the_day_is_doubted_unless_said(start_s: float) -> None:
    guessed = axis(STAMPS + start_s)
    assert "time_origin: first" in guessed.doubts[0]
    np.testing.assert_allclose(guessed.time_s, STAMPS, atol=1e-6)
    said = axis(STAMPS + start_s, origin="first")
    assert plain(said)
    np.testing.assert_allclose(said.time_s, STAMPS, atol=1e-6)


def test_a_late_start_is_believed_if_it_is_said_or_fits_into_the_trial() -> None:
    late = STAMPS[80:]
    assert axis(late).doubts
    np.testing.assert_array_equal(axis(late, origin="trial").time_s, late)
    assert plain(axis(late, origin="trial"))
    fits = axis(late, duration_s=60.0)
    assert not fits.doubts
    assert "the first stamp lies at 20 s; before it is a gap" in fits.notes[0]
    assert axis(late, duration_s=30.0).doubts  # a clock that runs past the trial's end


def test_stamps_before_the_trial_are_never_moved_into_it() -> None:
    found = axis(STAMPS - 10)
    assert found.doubts
    np.testing.assert_array_equal(found.time_s, STAMPS - 10)


def test_rows_that_repeat_are_left_out_and_two_values_at_one_time_refused() -> None:
    again = np.insert(STAMPS, [9, 100, 100], [STAMPS[8], STAMPS[99], STAMPS[99]])
    values = np.floor(again * 4)[None]
    found = axis(again, values)
    np.testing.assert_array_equal(found.time_s, STAMPS)
    np.testing.assert_array_equal(found.values[0], np.arange(240))
    assert found.notes == ["eda.csv: t: 3 rows (the first: 10) repeat the row before; left out."]
    values[0, 9] += 1
    with pytest.raises(InputError, match=r"row 10: found 2 s again, with other values"):
        axis(again, values)
    with pytest.raises(InputError, match="those of packets"):
        axis(np.repeat(STAMPS[::8], 8))
    gaps = np.full((1, 241), np.nan)
    assert len(axis(np.append(STAMPS, STAMPS[-1]), gaps).time_s) == 240  # twice nothing is nothing once


def test_a_gap_is_a_gap_and_a_jump_is_refused() -> None:
    lost = np.delete(STAMPS, np.arange(20, 200))
    assert "most of the time between first and last stamp is a gap" in axis(lost).notes[0]
    for far_s in (1000.0, 40_000.0):
        jumped = np.append(STAMPS[:200], STAMPS[200:] + far_s)
        with pytest.raises(InputError, match="a clock that does not jump"):
            axis(jumped)
    with pytest.raises(InputError, match="subtract the start"):
        axis([*STAMPS[:-1], 1.6e9])
    with pytest.raises(InputError, match="never decrease"):
        axis([*STAMPS[:-1], 3.0])


def test_a_step_of_another_rate_is_noted_and_one_of_no_unit_refused() -> None:
    assert "the median step is 0.015625 s, 1 / sfreq_hz is 0.25 s" in axis(np.arange(640) / 64).notes[0]
    assert "the median step is 1 s" in axis(np.arange(60.0)).notes[0]
    with pytest.raises(InputError, match="correct time_unit, sfreq_hz or max_gap_s"):
        axis(np.arange(60.0) * 30)
    assert plain(axis(np.cumsum(np.random.default_rng(1).uniform(0.1, 0.6, 200)) - 0.1))  # irregular, near its rate


@settings(max_examples=100, deadline=None)
@given(unit=st.sampled_from(["s", "ms", "us"]), start_s=st.sampled_from([0.0, 0.7, 33.0, 9e4, 1.7e9]),
       lost=st.sets(st.integers(1, 238), max_size=150), repeated=st.integers(0, 3))
def test_however_the_clock_lies_time_is_right_or_said_to_be_doubtful(unit: str, start_s: float, lost: set[int],
                                                                     repeated: int) -> None:
    """Values are their own times, so that a silent shift or stretch would show."""
    factor = {"s": 1.0, "ms": 1e3, "us": 1e6}[unit]
    true_s = np.delete(STAMPS, sorted(lost))
    true_s = np.append(true_s, [true_s[-1]] * repeated)
    try:
        found = axis((true_s + start_s) * factor, true_s[None])
    except InputError:
        return
    shift_s = start_s if start_s < 2 else 0.0
    np.testing.assert_allclose(found.time_s - found.values[0], shift_s, atol=1e-3)
    assert bool(found.doubts) == (unit != "s" or start_s > 2)
