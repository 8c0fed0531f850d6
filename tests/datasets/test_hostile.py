"""Binary files that ask for code, for far more memory than they hold, or that are not numbers."""

from __future__ import annotations

import builtins
import os
import pickle
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from inspection_sets import write_bdf_set

from himoe.core.errors import InputError
from himoe.datasets._bdf import read_header
from himoe.datasets._mat import load_once, unpacked_bytes
from himoe.datasets._pickle import load_arrays
from himoe.inspection.look import inspect_path

ARRAYS: tuple[np.ndarray, ...] = (
    np.arange(24.0).reshape(2, 3, 4), np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.zeros((0, 3)),
    np.arange(4, dtype=">i2"), np.arange(20.0)[::2], np.ones(3, bool), np.eye(2, dtype=np.float32))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("module", ["numpy.core", "numpy._core"])
def test_arrays_of_every_protocol(tmp_path: Path, protocol: int, module: str) -> None:
    path = tmp_path / "s01.dat"
    content = pickle.dumps({str(k): array for k, array in enumerate(ARRAYS)}, protocol=protocol)
    if protocol < 4:  # names are plain lines there: as older versions of NumPy wrote them
        content = content.replace(b"numpy._core", module.encode())
    path.write_bytes(content)
    found = load_arrays(path)
    for k, array in enumerate(ARRAYS):
        assert found[str(k)].shape == array.shape
        np.testing.assert_array_equal(found[str(k)], array)
        found[str(k)][...] = 0  # its own memory


class Asks:
    """Something that a pickle rebuilds by calling a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("asked", [
    Asks(os.system, "touch ran"), Asks(eval, "open('ran', 'w')"), Asks(getattr, "a", "upper"), Asks(bytearray, 2**40),
    Asks(bytes, 2**40), Asks(np.frombuffer, b"12345678"), Asks(np.zeros, 3), Asks(builtins.__import__, "os"),
])
def test_anything_but_arrays_is_refused_and_not_run_in_every_protocol(
        tmp_path: Path, protocol: int, asked: Asks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "s01.dat"
    path.write_bytes(pickle.dumps({"data": asked}, protocol=protocol))
    with pytest.raises(InputError) as caught:
        load_arrays(path)
    assert "\n" not in str(caught.value)
    assert [found.name for found in tmp_path.iterdir()] == ["s01.dat"]


def rebuild(*arguments: Any) -> bytes:
    function = np.zeros(1).__reduce_ex__(5)[0]  # numpy._core.numeric._frombuffer
    return pickle.dumps(Asks(function, *arguments), protocol=5)


@pytest.mark.parametrize("arguments", [
    ("text", np.dtype("f8"), (1,), "C"), (b"12345678", np.dtype("O"), (1,), "C"),
    (b"1234567", np.dtype("f8"), (1,), "C"), (b"12345678", np.dtype("f8"), (2**50,), "C"),
    (b"12345678", np.dtype("f8"), (1,), "K"), ([], np.dtype("f8"), (0,), "C"),
])
def test_arrays_that_do_not_fit_their_bytes_are_refused(tmp_path: Path, arguments: tuple[Any, ...]) -> None:
    path = tmp_path / "s01.dat"
    path.write_bytes(rebuild(*arguments))
    with pytest.raises(InputError, match="a pickle that cannot be read"):
        load_arrays(path)


# MATLAB

def packed(name: str, n_values: int, path: Path) -> None:
    """A packed variable of zeros, written as MATLAB does but a piece at a time."""
    def tag(kind: int, length: int) -> bytes:
        return struct.pack("<II", kind, length)

    padded = name.encode().ljust((len(name) + 7) // 8 * 8, b"\0")
    head = (tag(6, 8) + struct.pack("<II", 6, 0) + tag(5, 8) + struct.pack("<ii", n_values, 1)
            + tag(1, len(name)) + padded + tag(9, 8 * n_values))
    packer = zlib.compressobj(1)
    pieces = [packer.compress(tag(14, len(head) + 8 * n_values) + head)]
    block = bytes(2**20)
    pieces += [packer.compress(block) for _ in range(8 * n_values // len(block))]
    pieces.append(packer.flush())
    content = b"".join(pieces)
    first = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM"
    path.write_bytes(first + tag(15, len(content)) + content)


def test_a_file_that_unpacks_to_far_more_is_refused_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "1_20130712.mat"
    packed("ab_eeg1", 2**25, path)  # 256 MiB of zeros in a MB or so
    assert path.stat().st_size < 2**21
    tracemalloc.start()
    with pytest.raises(InputError, match=r"bytes that unpack to 268\d+, expected at most 100 times as many"):
        load_once(path, "ab_eeg1")
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


def test_the_header_tells_what_is_unpacked_and_ordinary_files_pass(tmp_path: Path) -> None:
    small = tmp_path / "small.mat"
    packed("zeros", 2**17, small)  # far more than it holds, but little
    assert load_once(small, "zeros").shape == (2**17, 1)
    noise = np.random.default_rng(0).normal(size=(50, 40))
    for compress in (True, False):
        path = tmp_path / f"{compress}.mat"
        scipy.io.savemat(path, {"a": noise, "b": noise}, do_compression=compress)
        assert (unpacked_bytes(path) >= 2 * noise.nbytes) == compress
        np.testing.assert_array_equal(load_once(path, "a"), noise)


# BDF

@pytest.mark.parametrize("field, value", [(0, b"nan"), (0, b"inf"), (1, b"-inf"), (3, b"nan")])
def test_a_bdf_header_without_numbers_is_refused(tmp_path: Path, field: int, value: bytes) -> None:
    """Fields of eight bytes a channel: lowest and highest physical value, lowest and highest stored one."""
    write_bdf_set(tmp_path, (4,))
    path = tmp_path / "data_original" / "s04.bdf"
    content = bytearray(path.read_bytes())
    n_channels = int(content[252:256])
    place = 256 + n_channels * (16 + 80 + 8 + 8 * field)
    content[place:place + 8] = value.ljust(8)
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match="header: found a field that cannot be read"):
        read_header(path)
    report = inspect_path(path)[0]
    assert "cannot be read" in report["errors"][0]


@pytest.mark.parametrize("value", [b"0", b"-1", b"nan", b"inf"])
def test_a_bdf_record_needs_a_length(tmp_path: Path, value: bytes) -> None:
    write_bdf_set(tmp_path, (4,))
    path = tmp_path / "data_original" / "s04.bdf"
    content = bytearray(path.read_bytes())
    content[244:252] = value.ljust(8)
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match="expected at least one record of positive length"):
        read_header(path)
