"""Names beside lines: in order, apart, and as near as they can be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from himoe.report.figures.style import panel_grid
from himoe.report.spacing import spread_out


@given(st.lists(st.floats(0, 1), min_size=1, max_size=15))
def test_names_keep_their_order_and_their_distance(values: list[float]) -> None:
    found = np.array(spread_out(values, 0.05, 0.0, 1.0))
    order = np.argsort(values, kind="stable")
    assert np.all(np.diff(found[order]) >= 0.05 - 1e-9)
    assert found.min() >= -1e-9
    assert found.max() <= 1 + 1e-9


def test_names_with_room_stay_at_their_lines() -> None:
    assert spread_out([0.9, 0.1, 0.5], 0.1, 0.0, 1.0) == pytest.approx([0.9, 0.1, 0.5])
    assert spread_out([0.5, 0.5], 0.1, 0.0, 1.0) == pytest.approx([0.45, 0.55])


@pytest.mark.parametrize(("panels", "grid"), [(1, (1, 1)), (2, (1, 2)), (4, (1, 4)), (5, (2, 3)), (8, (2, 4)),
                                              (9, (3, 3)), (14, (4, 4))])
def test_no_panel_is_alone_in_its_row(panels: int, grid: tuple[int, int]) -> None:
    assert panel_grid(panels, 4) == grid
