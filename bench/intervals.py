"""How often intervals from few trials hold a new trial's windows, and how wide they are, for errors drawn at random.

``python -m bench.intervals`` prints the table of docs/model.md: the half width of this project beside the one that
weighs all windows of all trials and takes a new trial's to be endlessly wrong (Lee, Barber & Willett 2023, arXiv
2306.06342).

Legend: K validation trials, N new trials, W windows per trial.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from himoe.training.conformal import LEVEL, half_width

Errors = Callable[[np.random.Generator, int], np.ndarray]  # of so many trials: (trials, WINDOWS)
TRIALS, NEW, WINDOWS, REPEATS = 9, 40, 12, 1500


def normal(between: float) -> Errors:
    """Errors of variance 1, of which *between* lies between trials."""
    def draw(rng: np.random.Generator, trials: int) -> np.ndarray:
        level, rest = rng.normal(size=(trials, 1)), rng.normal(size=(trials, WINDOWS))
        return np.abs(between**0.5 * level + (1 - between) ** 0.5 * rest)
    return draw


def two_heaps(rng: np.random.Generator, trials: int) -> np.ndarray:
    """Errors about -2 or 2, one of them for a whole trial."""
    side = np.where(rng.random((trials, 1)) < 0.5, -2, 2)
    return np.abs(side + 0.5 * rng.normal(size=(trials, 1)) + 0.3 * rng.normal(size=(trials, WINDOWS)))


def mostly_small(rng: np.random.Generator, trials: int) -> np.ndarray:
    """Errors about 0.5, and about 3 in 8 % of the trials: larger ones are not rarer everywhere."""
    return np.where(rng.random((trials, 1)) < 0.08, 3.0, 0.5) + 0.1 * rng.random((trials, WINDOWS))


WORLDS: Mapping[str, Errors] = {
    "normal, window by window": normal(0.0), "normal, 70 % of the variance between trials": normal(0.7),
    "normal, between trials alone": normal(1.0), "two heaps at -2 and 2": two_heaps,
    "small but for 8 % of the trials": mostly_small}


def of_all_windows(residuals: np.ndarray, trials: np.ndarray, level: float) -> float:
    """The half width without a draw: a quantile of all windows, trials weighing alike, one more endlessly wrong."""
    _, place, counts = np.unique(trials, return_inverse=True, return_counts=True)
    weight = 1 / counts[place] / (len(counts) + 1)
    order = np.argsort(residuals)
    first = int(np.searchsorted(np.cumsum(weight[order]), level - 1e-9))
    return float(residuals[order][first]) if first < len(order) else float("inf")


def measured(errors: Errors, repeats: int = REPEATS, trials: int = TRIALS) -> tuple[float, float, float, float]:
    """Coverage and mean half width of this project's intervals, then of those of all windows."""
    rng, found = np.random.default_rng(0), []
    for _ in range(repeats):
        drawn = errors(rng, trials + NEW)
        known, new, names = drawn[:trials].ravel(), drawn[trials:], np.repeat(np.arange(trials), WINDOWS)
        widths = half_width(known, names, LEVEL), of_all_windows(known, names, LEVEL)
        found.append([value for width in widths for value in ((new <= width).mean(), width)])
    return tuple(np.mean(found, axis=0).tolist())  # type: ignore[return-value]


def main() -> None:
    """Print the table."""
    print("| errors | mean over draws | all windows |\n| --- | --- | --- |")
    for name, errors in WORLDS.items():
        held, width, held_all, width_all = measured(errors)
        print(f"| {name} | {100 * held:.0f} %, {width:.2f} | {100 * held_all:.0f} %, {width_all:.2f} |")


if __name__ == "__main__":
    main()
