"""The form every data set fills in, and what a look into its folder finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from himoe.core.errors import InputError
from himoe.core.recordings import Session


@dataclass(frozen=True)
class Channels:
    """A modality as the data set publishes it: channel names, rate in Hz (None = irregular), unit."""

    names: tuple[str, ...]
    sfreq_hz: float | None
    unit: str


@dataclass(frozen=True)
class Inventory:
    """What is in a raw folder.

    ``subjects``: ids that can be read, in order. ``missing``: expected files that are absent
    (relative names). ``problems``: one sentence for each thing that is wrong but readable round it.
    """

    subjects: tuple[str, ...]
    missing: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


# A reader's option: a trial that cannot be read becomes a doubt of a session without trials, and the rest goes on
COLLECT = {"errors": "collect"}


@dataclass(frozen=True)
class NotedSession(Session):
    """A session whose reading needed decisions, in sentences.

    ``notes`` say what was found and done. ``doubts`` say what was guessed: it is an error to go on with it.
    """

    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def notes_of(session: Session) -> tuple[str, ...]:
    """The notes of a session, if its reader takes any."""
    return session.notes if isinstance(session, NotedSession) else ()


def doubts_of(session: Session) -> tuple[str, ...]:
    """The doubts of a session, if its reader has any."""
    return session.doubts if isinstance(session, NotedSession) else ()


def require_no_doubt(session: Session) -> Session:
    """Return *session*; InputError with its first doubt if it has one."""
    if doubts_of(session):
        raise InputError(doubts_of(session)[0])
    return session


@dataclass(frozen=True)
class RemoteFile:
    """A file to download: path below the raw folder, address, SHA-256 (None = not published)."""

    path: str
    url: str
    sha256: str | None = None


@dataclass(frozen=True)
class Dataset:
    """A data set, as a form. Copy a neighbour's file to add one.

    Parameters
    ----------
    name, title, citation, doi, licence : str
        ``name`` is the key used in parameters and paths.
    access : str
        One sentence: where the files come from, or where to ask for access.
    patterns : tuple of str
        Glob patterns of the files that belong to it, below its raw folder; empty = its ``dataset.yaml`` says.
    redistributable : bool
        Whether its licence lets raw and derived files be shared with anybody.
    dimensions : tuple of str
        Rated dimensions, in order.
    scale : (float, float)
        Lowest and highest rating.
    thresholds : tuple of float, increasing
        Class limits: a rating above k of them is of class k; one limit = low and high.
    modalities : {modality: Channels}
        As published; a modality a folder lacks is missing, not an error.
    inspect : (root, options) -> Inventory
        Cheap look: which subjects are complete, what is missing. Raises InputError if nothing is usable.
    read : (root, subject, options) -> iterator of Session
        One subject, streaming; never executes code from a file.
    files : tuple of RemoteFile
        What ``source: download`` fetches; empty = cannot be fetched without a person.
    credentials : (str, str) or None
        Names of the environment variables with user name and password for the download area.
    default_off : tuple of str
        Modalities read only when asked for by name (they identify the stimulus).
    published : {str: str}
        Facts printed in the data-set tables beside what was read (subjects, trials, ...).
    videos : (root, subject) -> {trial: file}, optional
        Face videos that exist; a trial without one lacks the modality FACE.
    layouts : {str: str}
        The reader's option ``layout``, where the set has several: name -> glob pattern of its files.
    """

    name: str
    title: str
    citation: str
    doi: str
    licence: str
    access: str
    redistributable: bool
    dimensions: tuple[str, ...]
    scale: tuple[float, float]
    thresholds: tuple[float, ...]
    modalities: Mapping[str, Channels]
    inspect: Callable[[Path, Mapping[str, str]], Inventory]
    read: Callable[[Path, str, Mapping[str, str]], Iterator[Session]]
    files: tuple[RemoteFile, ...] = ()
    credentials: tuple[str, str] | None = None
    default_off: tuple[str, ...] = ()
    published: Mapping[str, str] = field(default_factory=dict)
    videos: Callable[[Path, str], Mapping[str, Path]] | None = None
    layouts: Mapping[str, str] = field(default_factory=dict)
    patterns: tuple[str, ...] = ()

    def layouts_in(self, root: Path) -> tuple[str, ...]:
        """The layouts of which *root* holds files; none for a set that has only one."""
        return tuple(name for name, pattern in self.layouts.items() if any(root.glob(pattern)))
