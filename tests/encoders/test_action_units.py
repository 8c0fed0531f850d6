from __future__ import annotations

import numpy as np
import pytest

from himoe.core.errors import InputError
from himoe.core.params import ModelParams, parse
from himoe.models.encoders.action_units import (
    ACTION_UNITS,
    EMFACS,
    FACS_1978,
    PROTOTYPES,
    Prototypes,
    adjacency,
    co_occurrence,
)

NUMBERS = tuple(ACTION_UNITS)


def slow_co_occurrence(prototypes: Prototypes) -> np.ndarray:
    shares = np.zeros((len(NUMBERS), len(NUMBERS)))
    for row, first in enumerate(NUMBERS):
        for column, second in enumerate(NUMBERS):
            with_first = {name for name, units in prototypes.items() if first in units}
            with_second = {name for name, units in prototypes.items() if second in units}
            if row != column and with_first | with_second:
                shares[row, column] = len(with_first & with_second) / len(with_first | with_second)
    return shares


@pytest.mark.parametrize("name", PROTOTYPES)
def test_a_table_is_symmetric_and_equals_a_slow_loop(name: str) -> None:
    table = adjacency(name)
    assert table.shape == (12, 12)
    np.testing.assert_array_equal(table, table.T)
    assert (np.diag(table) == 0).all()
    assert table.min() == 0
    assert table.max() <= 1
    np.testing.assert_allclose(table, slow_co_occurrence(PROTOTYPES[name]), rtol=1e-12)


def test_prototypes_as_printed() -> None:
    assert EMFACS["fear"] == (1, 2, 4, 5, 7, 20, 26)
    assert EMFACS["sadness"] == FACS_1978["sadness"] == (1, 4, 15)
    assert FACS_1978["fear"] == (1, 2, 4, 5, 20, 25)
    assert (co_occurrence({"none": (99,)}) == 0).all()


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(InputError, match=r"face_adjacency: found 'bp4d', expected emfacs or facs_1978 or learned"):
        parse(ModelParams, {"face_adjacency": "bp4d"}, "model")
    with pytest.raises(InputError, match="found 'learned', expected emfacs or facs_1978"):
        adjacency("learned")
    with pytest.raises(InputError, match="face_units"):
        parse(ModelParams, {"face_units": 0}, "model")
