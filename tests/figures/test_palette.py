"""Looks: every method has one, no two share colour, marker or dash, and nothing is needed to read them."""

from __future__ import annotations

import re

import pytest
from matplotlib.markers import MarkerStyle

from himoe.report.palette import DIMENSION_LOOKS, LOOKS, SPARE_LOOKS, Look, dimension_look, look
from himoe.report.tables.asynchrony import LABELS
from himoe.scoring.paper import METHOD_LABELS


def luminance(colour: str) -> float:
    """Relative luminance of sRGB, WCAG 2.1."""
    channels = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_method_with_a_label_has_a_look() -> None:
    plain = {method for method in METHOD_LABELS if not method.startswith("himoe-")}
    assert set(LOOKS) == plain | set(LABELS) - set(METHOD_LABELS)  # and those of the study of asynchrony


@pytest.mark.parametrize("looks", [LOOKS, DIMENSION_LOOKS], ids=["methods", "dimensions"])
@pytest.mark.parametrize("what", ["colour", "marker", "dash"])
def test_nothing_is_used_twice(looks: dict[str, Look], what: str) -> None:
    assert len({getattr(one, what) for one in looks.values()}) == len(looks)


@pytest.mark.parametrize("one", [*LOOKS.values(), *SPARE_LOOKS, *DIMENSION_LOOKS.values()], ids=str)
def test_a_look_can_be_drawn_on_white(one: Look) -> None:
    assert re.fullmatch(r"#[0-9A-F]{6}", one.colour)
    assert 1.05 / (luminance(one.colour) + 0.05) > 2.0
    assert MarkerStyle(one.marker).get_path().vertices.size > 0
    assert len(one.dash) % 2 == 0
    assert all(length > 0 for length in one.dash)


def test_unknown_methods_get_spare_looks_that_no_method_has() -> None:
    assert look("ianet", 3) is LOOKS["ianet"]
    assert look("a_new_method", 1) is SPARE_LOOKS[1]
    assert look("a_new_method", 1 + len(SPARE_LOOKS)) is SPARE_LOOKS[1]
    assert dimension_look("liking", 2) is DIMENSION_LOOKS["liking"]
    assert dimension_look("tension", 0) is SPARE_LOOKS[0]
    assert {one.colour for one in SPARE_LOOKS}.isdisjoint(one.colour for one in LOOKS.values())
