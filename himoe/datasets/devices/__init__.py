"""Files as devices and recording software write them: one module a format, one contract for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from himoe.core.errors import bad_input
from himoe.core.files import require_file
from himoe.datasets.devices.bids import ROOT_FILE, open_physio, with_tables
from himoe.datasets.devices.contract import DeviceFile
from himoe.datasets.devices.e4 import SENSORS, open_e4
from himoe.datasets.devices.edf import open_edf
from himoe.datasets.devices.mne_raw import open_brainvision, open_eeglab, open_fif
from himoe.datasets.devices.muse import is_muse, open_muse
from himoe.datasets.devices.openbci import is_openbci, open_openbci
from himoe.datasets.devices.shimmer import is_shimmer, open_shimmer
from himoe.datasets.devices.xdf import open_xdf, peek_xdf


@dataclass(frozen=True)
class Format:
    """A format: endings of its files (none = must be said), how it is opened, and the files that go with one.

    ``beside``: endings of files in the same folder, with ``above`` also in those above it; ``inside``: files in a
    recording that is a folder. ``peek``: opens it without its samples, where that saves much time.
    """

    endings: tuple[str, ...]
    open: Callable[[Path], DeviceFile]
    beside: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()
    above: bool = False
    peek: Callable[[Path], DeviceFile] | None = None


TABLES = ("_channels.tsv", "_events.tsv")  # of BIDS
FORMATS: Mapping[str, Format] = {
    "edf": Format((".edf", ".bdf"), open_edf, TABLES),
    "brainvision": Format((".vhdr",), open_brainvision, (".eeg", ".vmrk", ".dat", *TABLES)),
    "eeglab": Format((".set",), open_eeglab, (".fdt", *TABLES)),
    "fif": Format((".fif",), open_fif, (".fif", *TABLES)),
    "bids_physio": Format((".tsv.gz",), open_physio, ("_physio.json", ROOT_FILE), above=True),
    "xdf": Format((".xdf", ".xdfz"), open_xdf, peek=peek_xdf),
    "muse": Format((), open_muse),
    "openbci": Format((".txt",), open_openbci),
    "shimmer": Format((), open_shimmer),
    "e4": Format((".zip",), open_e4, inside=(*(f"{name}.csv" for name in SENSORS), "tags.csv")),
}
TABLE = "table"
TABLE_ENDINGS = (".csv", ".parquet")


def format_of(where: str, file: str, said: str | None) -> str:
    """The format of the files *file* (a pattern): as *said*, else by their ending.

    Raises
    ------
    InputError
        If the format or the ending is not known.
    """
    if said is not None:
        if said != TABLE and said not in FORMATS:
            raise bad_input(f"{where}.format", repr(said)[:80], f"one of {TABLE} {' '.join(FORMATS)}", "correct it")
        return said
    ending = ending_of(file)
    if ending in TABLE_ENDINGS:
        return TABLE
    for name, form in FORMATS.items():
        if ending in form.endings:
            return name
    known = [*TABLE_ENDINGS, *(ending for form in FORMATS.values() for ending in form.endings)]
    raise bad_input(f"{where}.file", repr(file)[:80], f"a name that ends in one of {' '.join(known)}",
                    "convert the files, or say format: e4 for an Empatica folder")


def text_format(path: Path) -> str | None:
    """The format of a text file, by its first line; None for others."""
    with open(require_file(path), encoding="utf-8-sig", errors="replace") as stream:
        first = stream.readline(2000)
    return next((name for name, told in (("muse", is_muse), ("openbci", is_openbci), ("shimmer", is_shimmer))
                 if told(first)), None)


def ending_of(name: str) -> str:
    """A file's ending in small letters; ``.tsv.gz`` as one."""
    whole = PurePosixPath(name)
    return "".join(whole.suffixes[-2:] if whole.suffix == ".gz" else whole.suffixes[-1:]).lower()


def patterns_of(name: str, glob: str) -> tuple[str, ...]:
    """The globs of all files of recordings that *glob* finds."""
    form = FORMATS[name]
    parents = PurePosixPath(glob).parents
    folders = ["" if str(one) == "." else f"{one}/" for one in (parents if form.above else parents[:1])]
    beside = tuple(f"{folder}*{ending}" for folder in folders for ending in form.beside)
    if form.inside and ending_of(glob) not in form.endings:
        return tuple(f"{glob}/{inside}" for inside in form.inside)
    return (glob, *beside)


def is_recording(path: Path, name: str) -> bool:
    """Whether there is a file at *path* that can be of the format *name*, or a folder that is such a recording."""
    form = FORMATS[name]
    if path.is_file():
        return not form.inside or ending_of(path.name) in form.endings
    return any((path / inside).is_file() for inside in form.inside)


def open_device(path: Path, name: str, samples: bool = True) -> DeviceFile:
    """Open a recording of the format *name*; without *samples*, only its streams may be looked at, not read.

    Raises
    ------
    InputError
        If it is no such recording; the sentence says what was found.
    """
    form = FORMATS[name]
    file = form.open(path) if samples or form.peek is None else form.peek(path)
    return with_tables(file) if set(TABLES) <= set(form.beside) else file
