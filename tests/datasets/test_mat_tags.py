"""Tags and sizes of MATLAB files that SciPy's reader would not survive are refused before it sees them."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from device_files import write_set

from himoe.core.errors import InputError
from himoe.datasets._mat import HDF5
from himoe.datasets._mat_tags import check_tags
from himoe.datasets.devices import open_device

DOUBLE = struct.pack("<II", 9, 8)  # tag of a number, as MATLAB keeps most
ONE_BY_ONE = struct.pack("<IIii", 5, 8, 1, 1)  # the dimensions before it


def changed(content: bytes, old: bytes, new: bytes, after: bytes = b"") -> bytes:
    """The first *old* behind *after* replaced."""
    place = content.index(old, content.index(after))
    return content[:place] + new + content[place + len(old):]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("old", "new", "message"), [
    (DOUBLE, struct.pack("<II", 10, 8), "type 10 and 8 bytes"),
    (DOUBLE, struct.pack("<II", 14, 8), "type 14 and 8 bytes"),
    (DOUBLE, struct.pack("<II", 2**24, 8), "type 0 and 256 bytes"),
    (DOUBLE, struct.pack("<II", 9, 2**31), "2147483648 bytes where|bytes where fewer are left"),
    (ONE_BY_ONE, struct.pack("<IIii", 5, 8, 9999, 9999), "dimensions say 99980001|99980001 entries"),
    (ONE_BY_ONE, struct.pack("<IIii", 9, 8, 1, 1), "type 9 and 8 bytes"),
    (ONE_BY_ONE, struct.pack("<IIii", 5, 8, -1, 1), "2 dimensions"),
    (struct.pack("<II", 6, 8) + b"\6", struct.pack("<II", 6, 8) + b"\x15", "class 21")])
def test_damage_that_would_end_the_process(tmp_path: Path, packed: bool, old: bytes, new: bytes, message: str) -> None:
    path = write_set(tmp_path / "a.set", np.ones((2, 30)), ["Fp1", "Cz"], 100, [(0.1, "x")])

    def write(content: bytes) -> None:
        body = zlib.compress(content[128:])
        path.write_bytes(content[:128] + (struct.pack("<II", 15, len(body)) + body if packed else content[128:]))

    whole = path.read_bytes()
    write(whole)
    check_tags(path)
    assert open_device(path, "eeglab").streams[0].n_samples == 30
    write(changed(whole, old, new, after=b"nbchan"))
    with pytest.raises(InputError, match=rf"a\.set: variable at byte 128: found .*({message})"):
        open_device(path, "eeglab")


def test_hdf5_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.set").write_bytes(b"MATLAB 7.3 MAT-file".ljust(512) + HDF5)
    with pytest.raises(InputError, match=r"a\.set: found a MATLAB v7\.3 \(HDF5\) file, .*save -v7"):
        open_device(tmp_path / "a.set", "eeglab")
