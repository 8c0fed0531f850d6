"""Writing files so that a half-written one is never mistaken for a finished one."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from himoe.core.errors import InputError, bad_input

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside *path*; rename it to *path* when the block ends well.

    The temporary path may become a file or a folder. If the block raises, it is removed and
    whatever stood at *path* before stays.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    remove(temporary)
    try:
        yield temporary
        if temporary.is_dir():
            remove(path)
        os.replace(temporary, path)
    finally:
        remove(temporary)


def remove(path: Path) -> None:
    """Remove a file, link or folder; nothing happens if there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write *text* (UTF-8, ``\\n`` line ends) atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write *value* as indented JSON, atomically. NaN is refused: use ``None``."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """A table with the same bytes everywhere: seven digits, plain line ends."""
    frame.to_csv(path, index=False, float_format="%.7g", lineterminator="\n")


def read_json(path: Path) -> Any:
    """Read a JSON file (with or without a byte-order mark).

    Raises
    ------
    InputError
        If the file is missing or is not JSON (for example, cut off).
    """
    try:
        return json.loads(require_file(path).read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise bad_input(path, f"text that is not JSON ({error})", "a JSON document",
                        "the file may be truncated; fetch it again") from error


def require_file(path: Path) -> Path:
    """Return *path* if it is a file, else raise :class:`InputError`."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: the file is missing; expected it to exist; check the folder's layout.")
    return path


def require_folder(path: Path) -> Path:
    """Return *path* if it is a folder, else raise :class:`InputError`."""
    path = Path(path)
    if not path.is_dir():
        raise InputError(f"{path}: the folder is missing; expected it to exist; check the path.")
    return path


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
