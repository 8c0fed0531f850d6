"""Reading pickled NumPy arrays without running anything the file asks for."""

from __future__ import annotations

import mmap
import pickle
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from himoe.core.errors import InputError, bad_input
from himoe.core.files import require_file


def _dtype(spec: str | bytes, align: object = False, copy: object = False) -> np.dtype:
    """``numpy.dtype`` as Python 2 pickled it: the name is a byte string, the flags are the integers 0 and 1."""
    spec = spec.decode("latin1") if isinstance(spec, bytes) else spec
    if not isinstance(spec, str):
        raise pickle.UnpicklingError(f"a dtype made from {type(spec).__name__}")
    return np.dtype(spec, align=bool(align), copy=bool(copy))


def _latin1(text: str, encoding: str) -> bytes:
    """``_codecs.encode`` as Python 3 pickles bytes in protocol 2; no other codec is admitted."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes in the codec {encoding!r}")
    return text.encode("latin1")


def _frombuffer(buffer: bytes | bytearray, dtype: np.dtype, shape: tuple[int, ...], order: str) -> np.ndarray:
    """``numpy._core.numeric._frombuffer``: what an array of protocol 5 is rebuilt with."""
    if not isinstance(buffer, bytes | bytearray) or order not in ("C", "F"):
        raise pickle.UnpicklingError(f"an array made from {type(buffer).__name__}")
    own = buffer if isinstance(buffer, bytearray) else bytearray(buffer)  # bytes would make it read-only
    return np.frombuffer(own, dtype=dtype).reshape(shape, order="C" if order == "C" else "F")


def _no_bytes() -> bytes:
    """``bytes()``: how protocols 0 to 2 write bytes of no length; arguments are not admitted."""
    return b""


# What a pickled array names, and nothing more. NumPy itself says which function rebuilds an array,
# whichever of its two module names the file was written under.
_reconstruct: Any = np.zeros(0).__reduce__()[0]
ADMITTED: Mapping[tuple[str, str], Any] = MappingProxyType({
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): _dtype,
    ("_codecs", "encode"): _latin1,
    ("numpy.core.numeric", "_frombuffer"): _frombuffer,
    ("numpy._core.numeric", "_frombuffer"): _frombuffer,
    ("builtins", "bytes"): _no_bytes,
    ("__builtin__", "bytes"): _no_bytes,
})


class _Mapped:
    """A mapped file as the unpickler reads it: a long string is copied once, into the object it becomes.

    The methods of an open file would copy it twice more, which takes five times as long.
    """

    def __init__(self, mapping: mmap.mmap) -> None:
        self.mapping, self.view = mapping, memoryview(mapping)

    def read(self, size: int) -> memoryview:
        """The next bytes, up to *size*, where they lie."""
        first = self.mapping.tell()
        part = self.view[first:first + size]
        self.mapping.seek(first + len(part))
        return part

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """The next bytes copied into *buffer*; how many."""
        part = self.read(len(buffer))
        buffer[:len(part)] = part
        return len(part)

    def readline(self) -> bytes:
        """The next line."""
        return self.mapping.readline()


class _ArrayUnpickler(pickle.Unpickler):
    """An unpickler that knows :data:`ADMITTED` and refuses every other name."""

    where = ""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ADMITTED:
            raise bad_input(self.where, f"a pickle that asks for {module}.{name}", "NumPy arrays only",
                            "do not open this file; fetch it again from its source")
        return ADMITTED[module, name]


def load_arrays(path: Path) -> Any:
    """Read a pickle of plain containers and NumPy arrays (Python 2 or 3, protocols 0 to 5); no code from it is run.

    Raises
    ------
    InputError
        If the pickle names anything but what arrays need, or is cut off or damaged.
    """
    try:
        return _with_text(_unpickled(require_file(path)), {})
    except InputError:
        raise
    except Exception as error:  # a damaged pickle can fail in any way at all
        raise bad_input(path, f"a pickle that cannot be read ({type(error).__name__}: {error})",
                        "a complete pickle of NumPy arrays",
                        "the file is truncated or damaged; fetch it again") from error


def _unpickled(path: Path) -> Any:
    with open(path, "rb") as stream:
        mapping = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)  # goes with the last look at it
    # Python 2's byte strings stay bytes: an array's samples as text would be decoded, and then encoded again.
    source: Any = _Mapped(mapping)  # any buffer will do for the unpickler, which is declared to want bytes
    unpickler = _ArrayUnpickler(source, encoding="bytes")
    unpickler.where = str(path)
    return unpickler.load()


def _with_text(value: Any, done: dict[int, Any]) -> Any:
    """Byte strings in dicts, lists and tuples as text (Latin-1); *done* holds, by identity, what was seen before."""
    if isinstance(value, bytes):
        return value.decode("latin1")
    if not isinstance(value, dict | list | tuple):
        return value
    if id(value) not in done:
        if isinstance(value, dict):
            done[id(value)] = {_with_text(key, done): _with_text(one, done) for key, one in value.items()}
        else:
            done[id(value)] = type(value)(_with_text(one, done) for one in value)
    return done[id(value)]
