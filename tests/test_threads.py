"""Work in threads gives what a loop gives, and what went wrong in it."""

from __future__ import annotations

from threading import Barrier, get_ident

import pytest

from himoe.core.threads import in_threads


def test_results_stand_in_the_order_of_the_tasks_and_threads_work_at_once() -> None:
    both = Barrier(2, timeout=20)  # a thread alone would wait in vain

    def twice(number: int, with_other: bool) -> tuple[int, int]:
        if with_other:
            both.wait()
        return 2 * number, get_ident()

    found = in_threads(twice, [(3, True), (5, True), (7, False), (11, False), (13, False)], 2)
    assert [value for value, _ in found] == [6, 10, 14, 22, 26]
    assert len({thread for _, thread in found}) == 2
    assert in_threads(twice, [], 2) == []
    assert in_threads(twice, [(4, False)], 3) == [(8, get_ident())]


def test_the_earliest_failure_is_raised_after_all_have_stopped() -> None:
    both = Barrier(2, timeout=20)

    def fail(number: int) -> None:
        both.wait()
        raise ValueError(f"task {number}")

    with pytest.raises(ValueError, match="task 0"):
        in_threads(fail, [(0,), (1,), (2,)], 2)
