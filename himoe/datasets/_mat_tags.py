"""Whether the tags and sizes in a MATLAB v5 file are such that SciPy's reader can be trusted with it.

SciPy takes the types of elements as they come: a type of number that there is not, or one that belongs elsewhere, ends
the process; dimensions that promise more than the file holds fill the memory. Here every element is walked through in
the order in which SciPy reads it, without its numbers. Format: "MAT-File Format", MathWorks, "Level 5 MAT-Files".
"""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, Literal

from himoe.core.errors import bad_input
from himoe.datasets._mat import BYTE_ORDERS, COMPRESSED, check_version

MATRIX, INT8, INT32, UINT32, UTF8 = 14, 1, 5, 6, 16
SIZES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}  # of numbers, by their type
TEXTS = {**SIZES, UTF8: 1, 17: 2, 18: 4}
CELL, STRUCT, OBJECT, CHAR, SPARSE, FUNCTION, OPAQUE = 1, 2, 3, 4, 5, 16, 17  # classes; 6 to 15 are numbers
IS_COMPLEX = 1 << 11
DEEPEST, MOST_DIMS, LONGEST_HEAD = 50, 32, 2**20
BLOCK = 2**16


def check_tags(path: Path) -> None:
    """InputError unless the elements of a MATLAB v5 file are what they say, down to the last one.

    A file that is not of version 5 is refused, too, as :func:`himoe.datasets._mat.check_version` does.
    """
    check_version(path)
    size = path.stat().st_size
    with open(path, "rb") as stream:
        order = BYTE_ORDERS[stream.read(128)[126:128]]
        place = 128
        while place < size:
            stream.seek(place)
            try:
                kind, length = _Walk(stream, size - place, order).full_tag()
                if length > size - place - 8:
                    raise _Damage(f"an element of {length} bytes")
                if kind == COMPRESSED:
                    _Walk(_Unpacked(stream, length), math.inf, order).matrix(0)
                else:
                    stream.seek(place)
                    _Walk(stream, 8 + length, order).matrix(0)
            except (_Damage, zlib.error) as error:
                raise bad_input(f"{path}: variable at byte {place}", error, "elements of a MATLAB v5 file",
                                "the file is cut off or damaged; export it again") from error
            place += 8 + length


class _Damage(ValueError):
    """What an element is, in a few words."""


class _Unpacked:
    """A packed element as a stream, block by block."""

    def __init__(self, stream: BinaryIO, length: int) -> None:
        self.stream = stream
        self.left = length
        self.packed = zlib.decompressobj()

    def read(self, count: int) -> bytes:
        """Fewer than *count* bytes only at the end."""
        pieces: list[bytes] = []
        while count > 0:
            waiting = self.packed.unconsumed_tail or self.stream.read(min(self.left, BLOCK))
            self.left -= 0 if self.packed.unconsumed_tail else len(waiting)
            piece = self.packed.decompress(waiting, min(count, BLOCK))
            if not piece and (not waiting or self.packed.eof):
                break
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)


class _Walk:
    """Elements one after the other; *left* bytes are there at most."""

    def __init__(self, stream: BinaryIO | _Unpacked, left: float, order: Literal["little", "big"]) -> None:
        self.stream = stream
        self.left = left
        self.mark = "<" if order == "little" else ">"

    def take(self, count: int) -> bytes:
        found = self.stream.read(count) if count <= self.left else b""
        if len(found) < count:
            raise _Damage(f"{count} bytes where fewer are left")
        self.left -= count
        return found

    def skip(self, count: int) -> None:
        if count > self.left:
            raise _Damage(f"{count} bytes where {self.left:g} are left")
        if isinstance(self.stream, _Unpacked):
            for begin in range(0, count, BLOCK):
                self.take(min(BLOCK, count - begin))
        else:
            self.stream.seek(count, 1)
            self.left -= count

    def full_tag(self) -> tuple[int, int]:
        kind, length = struct.unpack(f"{self.mark}II", self.take(8))
        return kind, length

    def element(self, kinds: dict[int, int], keep: bool = False) -> tuple[int, bytes]:
        """How many items an element has that must be one of *kinds* (type -> bytes of an item); its bytes, if kept."""
        (word,) = struct.unpack(f"{self.mark}I", self.take(4))
        small = word >> 16
        kind, length = (word & 0xFFFF, small) if small else (word, *struct.unpack(f"{self.mark}I", self.take(4)))
        if kind not in kinds or (small and length > 4):
            raise _Damage(f"an element of type {kind} and {length} bytes where one of {sorted(kinds)} must be")
        if keep and length > LONGEST_HEAD:
            raise _Damage(f"{length} bytes of names or dimensions")
        padding = 4 - length if small else -length % 8
        content = b""
        if keep:
            content = self.take(length)
            self.skip(padding)
        else:
            self.skip(length + padding)
        return length // kinds[kind], content

    def text(self) -> bytes:
        """A name."""
        return self.element({INT8: 1, UTF8: 1}, keep=True)[1]

    def matrix(self, depth: int) -> None:
        """One variable, cell or field, its tag included."""
        kind, length = self.full_tag()
        if kind != MATRIX or depth > DEEPEST:
            raise _Damage(f"an element of type {kind} in depth {depth}, where a matrix must be")
        if length == 0:
            return
        self.full_tag()  # of the flags; SciPy does not look at it either
        flags, _ = struct.unpack(f"{self.mark}II", self.take(8))
        kind = flags & 0xFF
        if kind == OPAQUE:
            for _ in range(3):
                self.text()
            self.matrix(depth + 1)
            return
        count = self._dims()
        self.text()
        self._content(kind, count, bool(flags & IS_COMPLEX), depth)

    def _dims(self) -> int:
        """How many values a matrix has."""
        n_dims, raw = self.element({INT32: 4, UINT32: 4}, keep=True)
        dims = struct.unpack(f"{self.mark}{n_dims}i", raw[:4 * n_dims])
        if not 0 < n_dims <= MOST_DIMS or min(dims) < 0:
            raise _Damage(f"{n_dims} dimensions {dims[:4]}")
        return math.prod(dims)

    def _content(self, kind: int, count: int, is_complex: bool, depth: int) -> None:
        if kind in (CELL, STRUCT, OBJECT):
            if kind == OBJECT:
                self.text()
            self._nested(count * (1 if kind == CELL else self._fields(count)), depth)
        elif kind == FUNCTION:
            self.matrix(depth + 1)
        elif kind == SPARSE:
            for _ in range(4 if is_complex else 3):
                self.element(SIZES)
        elif kind == CHAR or 6 <= kind <= 15:
            for _ in range(2 if is_complex and kind != CHAR else 1):
                found, _ = self.element(TEXTS if kind == CHAR else SIZES)
                blank = kind == CHAR and found == 0 and count <= LONGEST_HEAD  # SciPy makes blanks of it
                if count > found and not blank:
                    raise _Damage(f"{found} values where the dimensions say {count}")
        else:
            raise _Damage(f"a matrix of class {kind}")

    def _fields(self, count: int) -> int:
        """How many fields a struct has; *count*: of its entries."""
        n_numbers, raw = self.element({INT32: 4, UINT32: 4}, keep=True)
        longest = struct.unpack(f"{self.mark}i", raw[:4])[0] if n_numbers == 1 else 0
        if longest < 1:
            raise _Damage(f"names of fields of {longest} bytes")
        fields = len(self.text()) // longest
        if fields == 0 and count > LONGEST_HEAD:
            raise _Damage(f"{count} entries without a field")
        return fields

    def _nested(self, count: int, depth: int) -> None:
        if 8 * count > self.left:
            raise _Damage(f"{count} entries where {self.left:g} bytes are left")
        for _ in range(count):
            self.matrix(depth + 1)
