"""Places for names side by side, in print and on screen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def spread_out(values: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """*values* moved as little as their order and *gap* allow, within *low* to *high* where they fit."""
    order = np.argsort(np.asarray(values), kind="stable")
    blocks: list[list[float]] = []  # sum and count of what must move together
    for rank, k in enumerate(order):
        blocks.append([float(values[k]) - gap * rank, 1.0])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] >= blocks[-1][0] / blocks[-1][1]:
            last = blocks.pop()
            blocks[-1] = [blocks[-1][0] + last[0], blocks[-1][1] + last[1]]
    level = np.concatenate([np.full(int(count), total / count) for total, count in blocks])
    level = np.clip(level, low, max(low, high - gap * (len(values) - 1)))
    found = np.empty(len(values))
    found[order] = level + gap * np.arange(len(values))
    return [float(value) for value in found]
