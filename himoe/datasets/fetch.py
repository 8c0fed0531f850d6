"""Bringing raw files in (from a local folder or by download) and saying where they came from."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from himoe.core.errors import InputError, bad_input
from himoe.core.files import atomic_path, read_json, require_folder, sha256, write_json
from himoe.core.progress import progress
from himoe.datasets import folder
from himoe.datasets.base import Dataset, Inventory, RemoteFile
from himoe.datasets.links import require_inside

LOG = logging.getLogger(__name__)
PROVENANCE = "provenance.json"
SOURCES = {"simulate": "simulated", "local": "real, local files", "download": "real, downloaded"}
SMALL_BYTES = 2**20
ATTEMPTS = 2
NOTICES = ("README*", "LICEN[CS]E*", "Licen[cs]e*")


def source_path(name: str, path: str | None) -> Path:
    """Where the local files of data set *name* are: *path*, else the variable HIMOE_<NAME>_PATH.

    Raises
    ------
    InputError
        If neither is given or the folder does not exist.
    """
    variable = f"HIMOE_{''.join(c if c.isalnum() else '_' for c in name).upper()}_PATH"
    chosen = path or os.environ.get(variable)
    if not chosen:
        raise bad_input(f"source of {name}", "no folder", "a folder with the raw files",
                        f"set the path of {name} in the parameters or the environment variable {variable}")
    return require_folder(Path(chosen).expanduser())


def obtain_local(dataset: Dataset, source_root: Path, out: Path, options: Mapping[str, str]) -> None:
    """Link the files of *dataset* from *source_root* into *out*, with ``provenance.json``.

    A file becomes a hard link where that is possible, else a symbolic link, else a copy. Missing
    files are logged as a warning and written into the provenance; *out* appears complete or not at all.

    Raises
    ------
    InputError
        If nothing is usable, one folder lies inside the other, or a link leaves the folder (unless the option
        ``links`` is ``follow``).
    """
    source, target = require_folder(Path(source_root)).resolve(), Path(out).resolve()
    if source == target or source in target.parents or target in source.parents:
        raise bad_input(f"source of {dataset.name}", str(source_root), f"a folder apart from {out}",
                        "choose another folder")
    inventory = dataset.inspect(Path(source_root), options)
    if inventory.missing:
        shown = ", ".join(inventory.missing[:5]) + (" ..." if len(inventory.missing) > 5 else "")
        LOG.warning("%s: %d of its files are missing: %s", dataset.title, len(inventory.missing), shown)
    names = belonging(dataset, source)
    if not names:
        raise bad_input(source_root, "no file of the data set", "its published layout", "check the folder")
    with atomic_path(Path(out)) as temporary:
        for name in progress(names, f"link {dataset.name}", "file", len(names)):
            require_inside(source, source / name, options)
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            link_or_copy((source / name).resolve(), temporary / name)
        write_provenance(temporary, dataset, "local", inventory)


def belonging(dataset: Dataset, root: Path) -> tuple[str, ...]:
    """Relative names of the files below *root* that belong to *dataset*, sorted."""
    patterns = dataset.patterns or folder.file_patterns(root)
    return tuple(sorted({path.relative_to(root).as_posix() for pattern in (*patterns, *NOTICES)
                         for path in root.glob(pattern) if path.is_file()}))


def link_or_copy(source: Path, target: Path) -> None:
    """Hard link, else symbolic link, else copy."""
    for link in (os.link, os.symlink):
        try:
            link(source, target)
            return
        except OSError:
            continue
    shutil.copyfile(source, target)


def obtain_download(dataset: Dataset, out: Path, base_url: str | None = None) -> None:
    """Fetch the files of *dataset* into *out*, with ``provenance.json``.

    Every file is tried twice and its SHA-256 compared with the published one; where none is
    published, only size and form (JSON, zip) are checked and the provenance says so. Zip archives are
    unpacked. *out* appears complete or not at all.

    Parameters
    ----------
    dataset : Dataset
    out : Path
    base_url : str or None
        Address of a mirror with the same relative paths; default: the addresses in ``dataset.files``.

    Raises
    ------
    InputError
        If the set cannot be fetched, credentials are missing or refused, or a file is not what it should be.
    """
    if not dataset.files:
        raise InputError(f"{dataset.title}: found no files to download, expected a set that can be fetched "
                         f"without a person; {dataset.access.rstrip('.')} and use source: local.")
    credentials = _credentials(dataset)
    unchecked = sum(file.sha256 is None for file in dataset.files)
    with atomic_path(Path(out)) as temporary:
        for file in progress(dataset.files, f"download {dataset.name}", "file", len(dataset.files)):
            url = file.url if base_url is None else f"{base_url.rstrip('/')}/{file.path}"
            path = _fetch(replace(file, url=url), temporary, credentials, dataset)
            if path.suffix == ".zip":
                _unpack(path, temporary)
        inventory = dataset.inspect(temporary, {})
        if unchecked:
            note = f"{unchecked} of {len(dataset.files)} files have no published SHA-256; size and form were checked."
            inventory = replace(inventory, problems=(*inventory.problems, note))
        write_provenance(temporary, dataset, "download", inventory)


def _credentials(dataset: Dataset) -> tuple[str, str] | None:
    if dataset.credentials is None:
        return None
    user, password = (os.environ.get(name, "") for name in dataset.credentials)
    if not user or not password:
        raise bad_input(f"{dataset.title}: environment variables", "no user name or password",
                        " and ".join(dataset.credentials), f"set both; {dataset.access.rstrip('.')}")
    return user, password


def _fetch(file: RemoteFile, root: Path, credentials: tuple[str, str] | None, dataset: Dataset) -> Path:
    """Download one file to ``root / file.path``; one retry."""
    import pooch
    import requests

    pooch.get_logger().setLevel("ERROR")
    downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), auth=credentials, timeout=60)
    target = root / file.path
    for attempt in range(1, ATTEMPTS + 1):
        target.unlink(missing_ok=True)
        try:
            pooch.retrieve(file.url, known_hash=None, fname=target.name, path=target.parent, downloader=downloader)
            _check(file, target)
            return target
        except requests.HTTPError as error:
            _refused(file, error, dataset)
            failure: Exception = error
        except (requests.RequestException, OSError, InputError) as error:
            failure = error
        LOG.info("%s: attempt %d of %d failed: %s", file.path, attempt, ATTEMPTS, failure)
    if isinstance(failure, InputError):
        raise failure
    raise bad_input(file.path, f"no complete answer from {file.url} ({failure})", "the whole file",
                    "check the connection and run again") from failure


def _refused(file: RemoteFile, error: Exception, dataset: Dataset) -> None:
    """Raise for answers that a retry cannot change."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        names = " and ".join(dataset.credentials) if dataset.credentials else "none for this set"
        raise bad_input(file.path, f"access refused by {file.url} (status {status})",
                        f"valid credentials (environment variables: {names})", dataset.access.rstrip(".")) from error
    if status in (404, 410):
        raise bad_input(file.path, f"no file at {file.url} (status {status})", "the file",
                        dataset.access.rstrip(".")) from error


def _check(file: RemoteFile, path: Path) -> None:
    """Compare the hash; without one, see that the form is whole."""
    if file.sha256 is not None:
        found = sha256(path)
        if found != file.sha256.lower():
            raise bad_input(f"{file.path}: SHA-256", found, file.sha256.lower(),
                            "the file was cut off or changed on the way or at its source: run again or ask the authors")
    if path.suffix == ".json":
        read_json(path)
    if path.suffix == ".zip":
        try:
            with zipfile.ZipFile(path) as archive:
                broken = archive.testzip()
        except zipfile.BadZipFile as error:
            raise bad_input(file.path, str(error), "a whole zip archive", "run again") from error
        if broken is not None:
            raise bad_input(f"{file.path}: {broken}", "a broken entry", "a whole zip archive", "run again")


def _unpack(path: Path, root: Path) -> None:
    """Unpack a zip beside itself and remove it; entries that would leave *root* are refused."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if not (path.parent / name).resolve().is_relative_to(root.resolve()):
                raise bad_input(path.name, f"the entry {name!r}", "entries below the data folder",
                                "do not use this archive")
        archive.extractall(path.parent)
    path.unlink()


def write_provenance(out: Path, dataset: Dataset, source: str, inventory: Inventory) -> None:
    """Write ``out/provenance.json``: what the files are, where they came from, a digest of them.

    The digest is the SHA-256 over lines of relative path, size and, below 1 MiB, the file's SHA-256
    (above it the size again), sorted by path. No dates and no path of the folder itself (which has a
    temporary name while it is made), so equal files give equal provenance.
    """
    if source not in SOURCES:
        raise bad_input(f"source of {dataset.name}", repr(source), "one of " + " ".join(SOURCES), "correct it")
    paths = sorted((path.relative_to(out).as_posix(), path) for path in Path(out).rglob("*")
                   if path.is_file() and path != Path(out) / PROVENANCE)
    sizes = [path.stat().st_size for _, path in paths]
    lines = [f"{name}\t{size}\t{sha256(path) if size < SMALL_BYTES else size}\n"
             for (name, path), size in zip(paths, sizes, strict=True)]
    origin = {"set": dataset.name, "title": dataset.title, "source": source, "simulated": source == "simulate"}
    problems = [problem.replace(f"{Path(out)}{os.sep}", "") for problem in inventory.problems]
    write_json(Path(out) / PROVENANCE, {
        **origin, "label": label(origin),
        "licence": dataset.licence, "citation": dataset.citation, "redistributable": dataset.redistributable,
        "subjects": list(inventory.subjects), "missing": list(inventory.missing),
        "problems": problems, "files": len(paths), "bytes": sum(sizes),
        "digest": hashlib.sha256("".join(lines).encode()).hexdigest(),
    })


def read_provenance(root: Path) -> dict[str, Any]:
    """The content of ``root/provenance.json``; InputError if it is missing or incomplete."""
    path = Path(root) / PROVENANCE
    provenance = read_json(path)
    if not isinstance(provenance, dict) or not {"set", "title", "source", "simulated", "label"} <= set(provenance):
        raise bad_input(path, "an incomplete document", "keys set, title, source, simulated, label",
                        "run the download again")
    return provenance


def label(provenance: Mapping[str, Any]) -> str:
    """How tables and figures name the data, e.g. ``"DEAP (simulated)"``; a title's part after a colon is left out."""
    source = provenance["source"]
    if source not in SOURCES or (source == "simulate") != provenance["simulated"]:
        raise bad_input(f"provenance of {provenance['set']}: source, simulated",
                        f"{source!r}, {provenance['simulated']!r}", "one of " + " ".join(SOURCES) + " that fits",
                        "run the download again")
    return f"{provenance['title'].partition(':')[0]} ({SOURCES[source]})"
