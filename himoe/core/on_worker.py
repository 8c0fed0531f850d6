"""What a worker of a cluster does: it says what it is, looks whether it sees the same files, does one task.

A worker is a process with one thread, so a task has the process to itself: its folder, its number of threads, its GPU.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import platform
import socket
import tempfile
from collections.abc import Mapping
from contextlib import chdir
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from himoe.core.checksums import folder_digest
from himoe.core.errors import bad_input

# What results depend on, and what must be equal for what is sent to be understood.
PACKAGES = ("himoe", "distributed", "cloudpickle", "numpy", "pandas", "pyarrow", "scipy", "scikit-learn", "torch",
            "safetensors")
CODE = ("himoe", "pipeline")
SHARDS = "*.parquet"

_AT_WORK: list[str] = []  # the worker's address, from its first task on
_SEEN: set[tuple[str, str]] = set()  # folders of shards that were as they should be


@dataclass(frozen=True)
class Job:
    """What all tasks of one call have in common.

    ``function``: ``module:name``. ``folder``: the project's, by its whole path; ``reads``: stamp by path in it, of what
    the worker must see (:func:`stamp`). ``identity``: what the worker must be.
    """

    function: str
    folder: str
    reads: Mapping[str, str]
    identity: Mapping[str, str]


def perform(job: Job, shared: Any, task: Any) -> tuple[Any, dict[str, bytes]]:
    """``function(shared, folder, task)`` on a worker: what it gives, and the files that it left in *folder*.

    Raises
    ------
    InputError
        If the worker is not what the job asks for, or does not see the files that it reads.
    """
    from distributed import get_worker

    worker = get_worker()
    _AT_WORK[:] = [worker.address]
    refuse(refusal(worker.address, identity(worker.state.nthreads), job.identity))
    refuse(unseen(worker.address, job.folder, job.reads))
    module, _, name = job.function.partition(":")
    with tempfile.TemporaryDirectory(dir=worker.local_directory) as place:
        out = Path(place).resolve()
        with chdir(job.folder if job.reads else place):
            found = getattr(importlib.import_module(module), name)(shared, out, task)
        return found, pack(out)


def at_work() -> bool:
    """Whether this process is a cluster's worker."""
    return bool(_AT_WORK)


def scratch() -> Path:
    """A folder of this worker's own, which goes when the worker ends."""
    from distributed import get_worker

    return Path(get_worker().local_directory)


def identity(threads: int = 1) -> dict[str, str]:
    """Versions, digests of the code, threads: what must be equal here and there."""
    found = {f"version of {name}": _version(name) for name in PACKAGES}
    code = {f"code of {name}": _code(name) for name in CODE}
    return {"threads": str(threads), "version of Python": platform.python_version()} | found | code


def identity_there(dask_worker: Any) -> dict[str, str]:
    """:func:`identity` of a worker, out of turn."""
    return identity(dask_worker.state.nthreads)


def refusal(address: str, found: Mapping[str, str], expected: Mapping[str, str]) -> tuple[str, ...]:
    """What is wrong with a worker of identity *found*, as arguments of ``bad_input``; () = nothing."""
    for what, value in expected.items():
        if found.get(what) != value:
            todo = ("start workers with --nthreads 1, as many as there are cores" if what == "threads" else
                    "install there what is installed here, and start the worker again")
            return f"worker {address}: {what}", found.get(what, "nothing"), f"{value}, as here", todo
    return ()


def unseen(address: str, folder: str, reads: Mapping[str, str]) -> tuple[str, ...]:
    """Which of *reads* a worker does not see as it is here, as arguments of ``bad_input``; () = it sees all."""
    for path, expected in reads.items():
        place = Path(folder) / path
        kind = expected.partition(":")[0]
        found = _seen(place, expected) if place.exists() else ""
        if found != expected:
            return (f"{place} on worker {address} ({socket.gethostname()})",
                    f"other {kind} than here" if found else "nothing", "what is here at that path",
                    "share the project's folder with the worker, at the same path")
    return ()


def unseen_there(folder: str, reads: Mapping[str, str], dask_worker: Any) -> tuple[str, ...]:
    """:func:`unseen` by a worker, out of turn."""
    return unseen(dask_worker.address, folder, reads)


def refuse(wrong: tuple[str, ...]) -> None:
    """Raise what is *wrong*, if anything is."""
    if wrong:
        raise bad_input(*wrong)


def stamp(path: Path) -> str:
    """A stamp of what stands at *path* that costs no reading: names, sizes and times of the files, links followed."""
    digest = hashlib.sha256()
    folders = [(folder, name) for folder, _, names in os.walk(path, followlinks=True) for name in names]
    for file in sorted(Path(folder) / name for folder, name in folders) if folders else [Path(path)]:
        about = file.stat()
        digest.update(f"{file.relative_to(path).as_posix()} {about.st_size} {int(about.st_mtime)}\n".encode())
    return f"files:{digest.hexdigest()}"


def shards_stamp(digest: str) -> str:
    """The stamp of a folder of shards whose digest is known."""
    return f"shards:{digest}"


def _seen(path: Path, expected: str) -> str:
    if not expected.startswith("shards:"):
        return stamp(path)
    known = (str(path), expected)
    if known in _SEEN:  # a worker does many tasks on the same shards, and reading them takes seconds a gigabyte
        return expected
    found = shards_stamp(folder_digest(path, SHARDS))
    _SEEN.update({known} if found == expected else ())
    return found


def pack(folder: Path) -> dict[str, bytes]:
    """Every file below *folder* by its relative name."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*"))
            if path.is_file()}


def unpack(files: Mapping[str, bytes], folder: Path) -> None:
    """Undo :func:`pack`."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


@cache
def _code(name: str) -> str:
    found = find_spec(name)
    if found is None or not found.submodule_search_locations:
        return "none"
    return folder_digest(Path(next(iter(found.submodule_search_locations))), "**/*.py")[:12]
