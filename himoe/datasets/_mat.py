"""MATLAB structs by field name, as ``scipy.io.loadmat`` gives them."""

from __future__ import annotations

import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from himoe.core.errors import InputError, bad_input
from himoe.core.files import require_file

HDF5 = b"\x89HDF\r\n\x1a\n"
COMPRESSED = 15  # type of an element that zlib has packed
HEAD_BYTES = 4096  # of packed bytes: enough for the first few, whatever code zlib chose
UNPACKED_BYTES = 2**28  # below it, any file may unpack to it
UNPACKED_RATIO = 100  # recordings are packed by less than 20; zlib reaches 1,032 with zeros alone
BYTE_ORDERS: dict[bytes, Literal["little", "big"]] = {b"IM": "little", b"MI": "big"}


def load_variable(path: Path, name: str) -> Any:
    """Load one variable of a MATLAB v5 file; the last file read is kept (by path, time and size).

    The whole variable is held in memory.

    Raises
    ------
    InputError
        If the file is missing, damaged, of another version, or lacks the variable.
    """
    state = require_file(path).stat()
    return _load(str(path), name, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=1)
def _load(path: str, name: str, mtime_ns: int, size: int) -> Any:
    return load_once(Path(path), name, "a struct")


def load_once(path: Path, name: str, what: str = "an array") -> Any:
    """Load one variable and keep nothing; *what* says in a message what it should be. Errors: as load_variable."""
    import scipy.io

    check_version(path)
    try:
        content = scipy.io.loadmat(path, variable_names=[name])
    except Exception as error:  # a damaged file can fail in any way at all
        raise _unreadable(path, f"a file that cannot be read ({type(error).__name__}: {error})") from error
    if name not in content:
        raise bad_input(f"{path}, variable {name}", "no such variable", f"{what} named {name}",
                        "check that this is the data set's own file")
    return content[name]


def list_variables(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the variables of a MATLAB v5 file, by name; only their headers are read.

    Raises
    ------
    InputError
        If the file is missing, cut off, damaged or of another version.
    """
    import scipy.io

    check_version(require_file(path))
    try:
        found = scipy.io.whosmat(path)
    except Exception as error:  # a damaged file can fail in any way at all
        raise _unreadable(path, f"a file that cannot be read ({type(error).__name__}: {error})") from error
    _check_complete(path)
    return {name: tuple(shape) for name, shape, _ in found}


def check_version(path: Path) -> None:
    """InputError unless *path* begins as a MATLAB v5 file does; HDF5 (MATLAB v7.3) is named.

    Refuses a file that says of itself that it unpacks to far more than it holds, before anything is unpacked.
    """
    with open(path, "rb") as stream:
        head = stream.read(520)
    if HDF5 in (head[:8], head[512:]) or head.startswith(b"MATLAB 7.3"):
        raise bad_input(path, "a MATLAB v7.3 (HDF5) file", "a MATLAB v5 file", "save it again with save -v7")
    if head[126:128] not in BYTE_ORDERS:
        raise _unreadable(path, f"{len(head)} bytes without its header" if len(head) < 128
                          else "another header than that of MATLAB v5")
    size, unpacked = path.stat().st_size, unpacked_bytes(path)
    if unpacked > max(UNPACKED_BYTES, UNPACKED_RATIO * size):
        raise bad_input(path, f"{size} bytes that unpack to {unpacked}", f"at most {UNPACKED_RATIO} times as many",
                        "do not open this file; fetch it again from its source")


def unpacked_bytes(path: Path) -> int:
    """How long the packed elements of a MATLAB v5 file are, by their own first eight bytes."""
    size, total = path.stat().st_size, 0
    with open(path, "rb") as stream:
        order = BYTE_ORDERS[stream.read(128)[126:128]]
        place = 128
        while place < size:
            stream.seek(place)
            tag = stream.read(8)
            kind, length = int.from_bytes(tag[:4], order), int.from_bytes(tag[4:], order)
            if kind == COMPRESSED:
                try:
                    inner = zlib.decompressobj().decompress(stream.read(min(length, HEAD_BYTES)), 8)
                except zlib.error:  # damaged: reading it will say so
                    return total
                total += int.from_bytes(inner[4:8], order)
            place += 8 + length
    return total


def _check_complete(path: Path) -> None:
    """InputError if the elements, each with its length in front, do not end where the file ends."""
    size = path.stat().st_size
    with open(path, "rb") as stream:
        order = BYTE_ORDERS[stream.read(128)[126:128]]
        end = 128
        while end < size:
            stream.seek(end)
            tag = stream.read(8)
            end += 8 + int.from_bytes(tag[4:], order)
    if end != size:
        raise _unreadable(path, f"{size} bytes, the last variable ends at {end}")


def _unreadable(path: Path, found: str) -> InputError:
    return bad_input(path, found, "a complete MATLAB v5 file", "the file is truncated or damaged; fetch it again")


def field(struct: Any, name: str, where: str) -> Any:
    """The field *name* of a 1 × 1 struct."""
    names = getattr(getattr(struct, "dtype", None), "names", None)
    if not names or struct.size != 1:
        raise bad_input(where, "something that is not a 1 x 1 struct", f"a struct with the field {name}",
                        "check that this is the data set's own file")
    if name not in names:
        raise bad_input(f"{where}.{name}", "only the fields " + " ".join(names), f"a field named {name}",
                        "check that this is the data set's own file")
    return struct.reshape(-1)[0][name]


def cells(value: Any, count: int, where: str) -> list[Any]:
    """The *count* entries of a cell vector."""
    if not isinstance(value, np.ndarray) or value.dtype.kind != "O" or value.size != count:
        found = f"shape {getattr(value, 'shape', '?')} of {getattr(value, 'dtype', type(value).__name__)}"
        raise bad_input(where, found, f"{count} cells", "check that this is the data set's own file")
    return list(value.reshape(-1))


def numbers(value: Any, count: int, where: str) -> np.ndarray:
    """A vector of *count* numbers, (count,) float64."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf" or array.size != count:
        raise bad_input(where, f"shape {array.shape} of {array.dtype}", f"{count} numbers",
                        "check that this is the data set's own file")
    return array.reshape(-1).astype(np.float64)


def text(value: Any, where: str) -> str:
    """A MATLAB character row."""
    array = np.asarray(value)
    if array.dtype.kind != "U" or array.size != 1:
        raise bad_input(where, f"shape {array.shape} of {array.dtype}", "text",
                        "check that this is the data set's own file")
    return str(array.reshape(-1)[0]).strip()
