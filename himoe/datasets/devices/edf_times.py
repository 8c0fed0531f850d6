"""When each record of an EDF+D or BDF+D began: recording paused between them.

The first annotation of a record's first annotation signal is its time, in seconds after the start that the header says:
``+12.5``, byte 20, byte 20, byte 0 (https://www.edfplus.info/specs/edfplus.html, 2.2.4).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from himoe.core.errors import bad_input

TIME = re.compile(rb"([+-]\d{1,12}(?:\.\d*)?)[\x14\x15]")
NEAR_S = 1e-3  # times are written to a millisecond by some
LONGEST_PAUSE_S = 7 * 86400.0
TODO = "export the recording again"


def record_times(path: Path, first_byte: int, record_bytes: int, n_records: int, place: int, width: int,
                 record_s: float) -> np.ndarray:
    """(n_records,) seconds from the first record's beginning; the time stands at *place* in a record.

    Raises
    ------
    InputError
        If a record has no time, or begins before the one in front of it ends, or more than a week later.
    """
    times_s = np.empty(n_records)
    with open(path, "rb") as stream:
        for k in range(n_records):
            stream.seek(first_byte + k * record_bytes + place)
            found = TIME.match(stream.read(width))
            if found is None:
                raise bad_input(f"{path}: record {k + 1}", "no time", "one, as EDF+D has it in each record", TODO)
            times_s[k] = float(found[1])
            pause_s = times_s[k] - times_s[k - 1] - record_s if k else 0.0
            if not -NEAR_S <= pause_s <= LONGEST_PAUSE_S:
                raise bad_input(f"{path}: record {k + 1}", f"one that begins at {times_s[k]:g} s, the record in front "
                                f"of it ends at {times_s[k - 1] + record_s:g} s", "times that go on, pauses of up to "
                                f"{LONGEST_PAUSE_S / 86400:g} days", TODO)
    return times_s - times_s[0]


def stretches(times_s: np.ndarray, record_s: float) -> Sequence[tuple[float, int]]:
    """Time and number of the first record of each stretch without a pause."""
    found = [(0.0, 0)]
    for k, time_s in enumerate(times_s):
        if abs(time_s - found[-1][0] - (k - found[-1][1]) * record_s) > NEAR_S:
            found.append((float(time_s), k))
    return found
