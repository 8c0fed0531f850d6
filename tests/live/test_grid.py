"""Stamps that jitter, drift, repeat, jump and lie; the ring that samples go to."""

from __future__ import annotations

import numpy as np
import pytest

from himoe.live.grid import Grid
from himoe.live.ring import Ring

RATE_HZ = 100.0


def feed(grid: Grid, times_s: np.ndarray, now_s: np.ndarray | None = None, size: int = 20) -> np.ndarray:
    """Numbers that samples get, −1 = left out; chunks of *size*; *now_s* is the time at each sample's arrival."""
    numbers = np.full(len(times_s), -1)
    for at in range(0, len(times_s), size):
        chunk = times_s[at:at + size]
        now = None if now_s is None else float(now_s[at:at + size][-1])
        for piece in grid.place(chunk, now):
            numbers[at + piece.low:at + piece.high] = piece.first + np.arange(piece.high - piece.low)
    return numbers


def steady(count: int, start_s: float = 3.0, rate_hz: float = RATE_HZ) -> np.ndarray:
    return start_s + np.arange(count) / rate_hz


def test_steady_samples_are_where_their_stamps_are() -> None:
    np.testing.assert_array_equal(feed(Grid(RATE_HZ), steady(170)), 300 + np.arange(170))


def test_jitter_moves_nothing() -> None:
    times = steady(2000) + np.random.default_rng(0).uniform(-0.04, 0.04, 2000)
    numbers = feed(Grid(RATE_HZ), times)
    kept = numbers >= 0
    assert np.abs(numbers - 300 - np.arange(2000))[kept].max() <= 5
    assert kept.sum() > 1990


@pytest.mark.parametrize("percent", [-0.5, 0.5])
def test_a_slow_drift_is_followed(percent: float) -> None:
    """A sensor that is a little fast or slow stays within a twentieth of a second of its stamps, for minutes."""
    times = steady(30_000, rate_hz=RATE_HZ * (1 + percent / 100))
    numbers = feed(Grid(RATE_HZ), times)
    kept = numbers >= 0
    assert kept.mean() > 0.99
    assert np.abs(numbers[kept] / RATE_HZ - times[kept]).max() < 0.06
    assert (np.diff(numbers[kept]) > 0).all()


def test_a_gap_stays_a_gap_and_is_said() -> None:
    grid = Grid(RATE_HZ)
    times = np.concatenate([steady(100), steady(50, 6.0)])
    np.testing.assert_array_equal(feed(grid, times)[100:], 600 + np.arange(50))
    assert grid.events == ["2.0 s missing"]


def test_what_comes_twice_counts_once() -> None:
    times = np.concatenate([steady(100), steady(40, 3.6), steady(60, 4.0)])
    grid = Grid(RATE_HZ)
    numbers = feed(grid, times)
    np.testing.assert_array_equal(numbers[:100], 300 + np.arange(100))
    assert (numbers[100:140] == -1).all()
    np.testing.assert_array_equal(numbers[140:], 400 + np.arange(60))
    assert grid.events == ["40 samples came twice"]


@pytest.mark.parametrize("jump_s", [-3600.0, -5.0, 5.0, 3600.0, 1e9])
def test_a_jump_of_the_clock_is_followed_and_undone(jump_s: float) -> None:
    """The sensor goes on sending; its samples stay where they belong, but for a second and a half at most."""
    true = steady(3000)
    stamps = true.copy()
    stamps[1000:2000] += jump_s
    grid = Grid(RATE_HZ)
    numbers = feed(grid, stamps, true + 0.05)
    kept = numbers >= 0
    assert kept.mean() > 0.9
    assert np.abs(numbers[kept] / RATE_HZ - true[kept]).max() < 0.3
    np.testing.assert_array_equal(numbers[2500:], 300 + np.arange(2500, 3000))
    assert [event.split(" by ")[0] for event in grid.events] == ["its clock jumped", "its clock came back"]


def test_a_clock_of_its_own_is_set_at_the_first_sample() -> None:
    grid = Grid(RATE_HZ)
    true = steady(100)
    numbers = feed(grid, true + 1.7e9, true)
    assert np.abs(numbers / RATE_HZ - true).max() < 0.3
    assert "its clock is +1700000000.0 s off" in grid.events[0]


@pytest.mark.parametrize(("factor", "size"), [(2.0, 20), (0.5, 20), (2.0, 400), (3.0, 7)])
def test_another_rate_is_measured(factor: float, size: int) -> None:
    grid = Grid(RATE_HZ)
    feed(grid, steady(300), size=20)
    assert grid.new_rate_hz is None
    feed(grid, steady(600, 6.0, RATE_HZ * factor), size=size)
    assert grid.new_rate_hz == pytest.approx(RATE_HZ * factor, rel=0.02)


def test_a_sample_whose_stamp_is_no_number_lies_between_its_neighbours() -> None:
    times = steady(40)
    times[[3, 17, 18]] = [np.nan, np.inf, -np.inf]
    grid = Grid(RATE_HZ)
    numbers = feed(grid, times, size=40)
    np.testing.assert_array_equal(numbers, 300 + np.arange(40))
    assert grid.events == ["3 samples without a time"]
    assert feed(grid, np.full(5, np.nan)).tolist() == [-1] * 5


@pytest.mark.parametrize("seed", range(5))
def test_numbers_always_grow(seed: int) -> None:
    """Whatever the stamps: no sample lands on another, none is laid out of order."""
    rng = np.random.default_rng(seed)
    jumps = rng.standard_normal(4000) * (rng.random(4000) < 0.01) * 10.0 ** rng.integers(-3, 5)
    times = steady(4000) + np.cumsum(jumps)
    times[rng.random(4000) < 0.02] = np.nan
    numbers = feed(Grid(RATE_HZ), times, steady(4000) if seed % 2 else None, size=int(rng.integers(1, 90)))
    assert (np.diff(numbers[numbers >= 0]) > 0).all()


def test_the_ring_keeps_the_newest_samples() -> None:
    ring = Ring(2, 10)
    values = np.arange(50, dtype=np.float32) + np.array([[0], [100]], dtype=np.float32)
    ring.write(-3, values[:, :4])
    np.testing.assert_array_equal(ring.read(-4, 4), [[np.nan, 0, 1, 2], [np.nan, 100, 101, 102]])
    ring.write(3, values[:, 10:12])  # a gap of 2
    np.testing.assert_array_equal(ring.read(0, 6)[0], [3, np.nan, np.nan, 10, 11, np.nan])
    ring.write(0, values[:, 20:28])  # numbers 0 to 4 are there
    np.testing.assert_array_equal(ring.read(3, 5)[1], [110, 111, 125, 126, 127])
    ring.write(1000, values[:, :25])  # longer than the ring
    np.testing.assert_array_equal(ring.read(1014, 12)[0], [np.nan, *range(15, 25), np.nan])
    assert ring.data.shape == (2, 10)
