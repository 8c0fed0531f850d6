"""Writing files so that a half-written one is never mistaken for a finished one."""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
import platform
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from himoe.core.errors import InputError, bad_input

if TYPE_CHECKING:
    import pandas as pd


PART = re.compile(r"\.(?P<host>[^.]*)-(?P<process>\d+)-\d+\.part$")  # how an unfinished file's name ends: whose it is
SHARED = ("joblib_memmapping_folder_{}_*", "sem.loky-{}-*")  # in shared memory: what joblib makes for a process
LONGEST = 50  # characters of a file's own name in it: a name of 255 bytes has no room for more

_PARTS: list[Path] = []  # the folder for unfinished files, if one is set (parts_in)
_NUMBERS = itertools.count()


@contextmanager
def atomic_path(path: Path, durable: bool = False) -> Iterator[Path]:
    """Give a temporary path; rename it to *path* when the block ends well.

    The temporary path may become a file or a folder. If the block raises, it is removed and whatever stood at *path*
    before stays. It stands in the folder of :func:`parts_in` if that is on the same disk, else beside *path* under a
    hidden name; what killed processes left there of *path* is removed first. *durable*: what was written is on the
    disk, not only on its way there, before it has its name, and so survives a power cut.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = _folder_for(path)
    if folder == path.parent:
        sweep_parts(folder, path.name)
    temporary = part_path(folder, path.name)
    remove(temporary)
    try:
        yield temporary
        if temporary.is_dir():
            for left in [*temporary.rglob("*.part")]:  # of a worker that was killed in here
                if PART.search(left.name):
                    remove(left)
        if durable:
            _to_disk(temporary)
        _put(temporary, path)
        if durable:
            _sync(path.parent)
    finally:
        remove(temporary)


@contextmanager
def parts_in(folder: Path) -> Iterator[None]:
    """Inside the block unfinished files stand in *folder*, from which those of killed processes are removed first.

    An empty file there says that this process is at work, so that its shared memory is found if it is killed.
    """
    sweep_parts(folder)
    folder.mkdir(parents=True, exist_ok=True)
    mark = part_path(folder, "process")
    mark.touch()
    _PARTS.append(folder)
    try:
        yield
    finally:
        _PARTS.remove(folder)
        remove(mark)


def sweep_parts(folder: Path, name: str | None = None) -> None:
    """Remove unfinished files and folders from *folder* whose process, on this machine, is gone; of *name* alone.

    With them goes what joblib left of such a process in shared memory, whose names have the process's number.
    """
    if not folder.is_dir():
        return
    for entry in os.scandir(folder):
        found = PART.search(entry.name) if name is None or entry.name.startswith(f".{name[:LONGEST]}.") else None
        if found and found["host"] == _host() and not is_running(int(found["process"])):
            shared = [path for pattern in SHARED for path in Path("/dev/shm").glob(pattern.format(found["process"]))]
            for left in (*shared, Path(entry.path)):
                with suppress(FileNotFoundError):  # another process sweeps here, too
                    remove(left)


def is_running(process: int) -> bool:
    """Whether there is a process of this number; where the system cannot be asked, yes."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
        state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
    except ProcessLookupError:
        return False
    except OSError:  # another user's, or a system without /proc
        return True
    return state.split()[0] not in ("Z", "X")  # ended, and nobody asks how: some containers have no process that does


def _host() -> str:
    return re.sub(r"\W", "_", platform.node())


def part_path(folder: Path, name: str) -> Path:
    """A path in *folder* that no other process and no other call has, which is swept when this process is gone."""
    return folder / f".{name[:LONGEST]}.{_host()}-{os.getpid()}-{next(_NUMBERS)}.part"


def _folder_for(path: Path) -> Path:
    """Where the unfinished *path* stands: a rename does not leave a disk."""
    if _PARTS:
        _PARTS[-1].mkdir(parents=True, exist_ok=True)
        if _PARTS[-1].stat().st_dev == path.parent.stat().st_dev:
            return _PARTS[-1]
    return path.parent


def _put(temporary: Path, path: Path) -> None:
    """Give what is finished its name; a folder that has it goes out of the way, since none can be replaced."""
    old = part_path(path.parent, path.name) if temporary.is_dir() and (path.exists() or path.is_symlink()) else None
    if old is not None:
        os.replace(path, old)
    try:
        os.replace(temporary, path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _put_copy(temporary, path)
    finally:
        if old is not None and path.exists():
            remove(old)
        elif old is not None:
            os.replace(old, path)


def _put_copy(temporary: Path, path: Path) -> None:
    """The same where the two are one disk that is mounted twice."""
    beside = part_path(path.parent, path.name)
    try:
        if temporary.is_dir():
            shutil.copytree(temporary, beside, symlinks=True)
        else:
            shutil.copy2(temporary, beside)
        os.replace(beside, path)
    finally:
        remove(beside)


def _to_disk(path: Path) -> None:
    """Wait until a file, or a folder with all that is in it, is on the disk."""
    for one in [*path.rglob("*"), path] if path.is_dir() else [path]:
        _sync(one)


def _sync(path: Path) -> None:
    if path.is_dir() and os.name != "posix":  # folders cannot be opened there
        return
    descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
