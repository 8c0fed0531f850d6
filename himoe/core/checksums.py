"""``SHA256SUMS`` of a folder that a stage wrote: its files are read only as they were written.

The list is that of ``sha256sum``, so ``sha256sum --check SHA256SUMS`` says the same.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from himoe.core.errors import InputError, bad_input
from himoe.core.files import require_file, sha256, write_text

SUMS = "SHA256SUMS"


def write_sums(folder: Path, pattern: str = "**/*") -> None:
    """List the digests of the files below *folder* that match *pattern*."""
    files = sorted(path for path in folder.glob(pattern) if path.is_file() and path.name != SUMS)
    write_text(folder / SUMS, "".join(f"{sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files))


def checked(path: Path, todo: str) -> Path:
    """*path*, if its bytes are those that the list of its folder, or of the folder above, says.

    Where neither folder has a list (files made by hand) there is nothing to hold it against.

    Raises
    ------
    InputError
        If the file is missing, not in the list, or not as it was written; *todo* says what to do.
    """
    path = require_file(path)
    for folder in (path.parent, path.parent.parent):
        if (folder / SUMS).is_file():
            expected = _read(folder, todo).get(path.relative_to(folder).as_posix())
            if expected is None:
                raise bad_input(folder / SUMS, f"no line for {path.name}", "one for each file of the folder", todo)
            found = sha256(path)
            if found != expected:
                raise bad_input(path, f"bytes that are not those that were written (SHA-256 {found[:12]}...)",
                                f"SHA-256 {expected[:12]}... as in {SUMS}", todo)
            break
    return path


def whole(folder: Path) -> bool:
    """Whether *folder* has a list, and all files of it are there as they were written."""
    if not (folder / SUMS).is_file():
        return False
    try:
        sums = _read(folder, "")
        return bool(sums) and all(sha256(folder / name) == expected for name, expected in sums.items())
    except (InputError, OSError):
        return False


def folder_digest(folder: Path, pattern: str) -> str:
    """A digest of the names and bytes of the files in *folder* that match *pattern*."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob(pattern)):
        digest.update(f"{path.relative_to(folder).as_posix()} {sha256(path)}\n".encode())
    return digest.hexdigest()


def _read(folder: Path, todo: str) -> dict[str, str]:
    """Digests by name."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
        sums = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    except ValueError as error:  # bytes that are no text, too
        raise bad_input(folder / SUMS, "text that is not a list of digests and names",
                        "the list that the stage wrote", todo) from error
    return sums
