"""Parquet files that notice a flipped byte when they are read; any Parquet reader opens them.

Each page carries the format's own CRC-32, verified on reading. The format protects neither the footer (names, places of
pages, metadata) nor says that a page should have a checksum, so a digest of the footer stands in front of it, where
readers, which go by the places that the footer gives, do not look::

    PAR1 | pages | SEAL and 16 bytes BLAKE2b of what follows | footer | its length | PAR1
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from himoe.core.errors import bad_input
from himoe.core.files import require_file

SEAL = b"himoe001"
DIGEST = 16  # bytes
LARGE_BYTES = 256 * 2**20
TAIL = 8  # bytes: the footer's length, PAR1


@dataclass(frozen=True)
class SealedFile:
    """An open file whose footer is as it was written; its pages are verified as they are read."""

    path: Path
    file: pq.ParquetFile
    what: str
    todo: str

    @property
    def rows(self) -> int:
        """How many rows the table has."""
        return int(self.file.metadata.num_rows)

    @property
    def names(self) -> list[str]:
        """The columns' names."""
        return list(self.file.schema_arrow.names)

    @property
    def metadata(self) -> Mapping[bytes, bytes]:
        """The schema's metadata."""
        return self.file.schema_arrow.metadata or {}

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The table, or some *columns* of it; InputError if one is absent, or a page was changed."""
        self._require(columns or ())
        with damage_named(self.path, self.what, self.todo):
            return self.file.read(None if columns is None else list(columns))

    def batches(self, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Some *columns*, up to so many *rows* at a time, in order; errors as in :meth:`read`."""
        self._require(columns)
        with damage_named(self.path, self.what, self.todo):
            yield from self.file.iter_batches(rows, columns=list(columns))

    def _require(self, columns: Sequence[str]) -> None:
        absent = set(columns) - set(self.file.schema_arrow.names)
        if absent:
            raise bad_input(self.path, f"no column {', '.join(sorted(absent))}", self.what, self.todo)


def open_table(path: Path, what: str, todo: str) -> SealedFile:
    """Open a sealed file; *what* it was to be and what is *todo* if it is not are for the message.

    Raises
    ------
    InputError
        If the file is missing, is no Parquet file, carries no seal, or its footer was changed.
    """
    with damage_named(path, what, todo):
        # Pages of a map count as memory once touched; a large file is read piece by piece.
        large = require_file(path).stat().st_size > LARGE_BYTES
        source = pa.OSFile(str(path)) if large else pa.memory_map(str(path))
        start = source.size() - TAIL - _footer_length(source) - DIGEST - len(SEAL)
        source.seek(max(start, 0))
        seal, rest = source.read(len(SEAL) + DIGEST), source.read()
        if start < 0 or seal[:len(SEAL)] != SEAL:
            raise bad_input(path, "no checksum, or a damaged one", what, todo)
        if seal[len(SEAL):] != _digest(rest):
            raise bad_input(path, "a footer that is not the one written (its checksum differs)", what, todo)
        return SealedFile(path, pq.ParquetFile(source, page_checksum_verification=True), what, todo)


@contextmanager
def damage_named(path: Path, what: str, todo: str) -> Iterator[None]:
    """Turn what Arrow says of a damaged file into one sentence."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise bad_input(path, f"no Parquet file as it was written ({error})", what, todo) from error


def write_table(table: pa.Table, path: Path, **options: Any) -> None:
    """Write *table* as a sealed file; *options* are those of :func:`pyarrow.parquet.write_table`."""
    pq.write_table(table, path, write_page_checksum=True, **options)
    seal(path)


def write_tables(tables: Iterator[pa.Table], path: Path, row_group_size: int, **options: Any) -> None:
    """Write tables of one schema as one sealed file; all but the last are whole row groups."""
    first = next(tables)
    with pq.ParquetWriter(path, first.schema, write_page_checksum=True, **options) as writer:
        for table in chain([first], tables):
            writer.write_table(table, row_group_size=row_group_size)
    seal(path)


def seal(path: Path) -> None:
    """Put the digest of the footer in front of it, in a file whose pages have checksums."""
    with pa.memory_map(str(path)) as source:
        start = source.size() - TAIL - _footer_length(source)
        source.seek(start)
        rest = source.read()
    with open(path, "r+b") as stream:
        stream.seek(start)
        stream.write(SEAL + _digest(rest) + rest)


def _footer_length(source: pa.NativeFile) -> int:
    source.seek(max(0, source.size() - TAIL))
    tail = source.read(TAIL)
    if tail[4:] != b"PAR1":
        raise pa.ArrowInvalid("it does not end in PAR1")
    return int.from_bytes(tail[:4], "little")


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST).digest()
