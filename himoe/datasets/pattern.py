"""File names with ``{subject}``, ``{trial}`` and ``{run}`` in them."""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping
from itertools import zip_longest
from typing import NamedTuple

PLACEHOLDER = re.compile(r"\{(.*?)\}")
ANY = "[^/]+?"
RUN = "[0-9A-Za-z]+"  # a run has no _ or - in its name: anna_{run} does not take the files of anna_maria


class Ids(NamedTuple):
    """What a file's name says; "" where its pattern does not have it."""

    subject: str
    trial: str
    run: str


def as_glob(pattern: str, **known: str) -> str:
    """The glob that finds every file of a pattern with placeholders, but for those that are *known*."""
    values = {name: glob.escape(value) for name, value in known.items()}
    return PLACEHOLDER.sub(lambda match: values.get(match[1], "*"), re.sub(r"([*?[])", r"[\1]", pattern))


def filled(pattern: str, subject: str, trial: str, run: str = "*") -> str:
    """The name of one subject's and trial's file."""
    # str.format would also evaluate attributes of its arguments; plain replacement cannot.
    values = {"subject": subject, "trial": trial, "run": run}
    return PLACEHOLDER.sub(lambda match: values[match[1]], pattern)


def ids_in(name: str, pattern: str, subject: str = ANY, trial: str = ANY) -> Ids | None:
    """Subject, trial and run in a file's name; None if it does not fit.

    *subject* and *trial* are regular expressions of those looked for. A placeholder that stands there twice is the same
    twice. Runs that differ only by zeros in front are the same run.
    """
    groups = {"subject": f"(?P<subject>{subject})", "trial": f"(?P<trial>{trial})", "run": f"(?P<run>{RUN})"}
    parts = PLACEHOLDER.split(pattern)  # text, name, text, name, ..., text
    places = [f"(?P={part})" if part in parts[1:k:2] else groups[part] for k, part in enumerate(parts) if k % 2]
    match = re.fullmatch("".join(piece for pair in zip_longest(map(re.escape, parts[::2]), places, fillvalue="")
                                 for piece in pair), name)
    found: Mapping[str, str] = match.groupdict() if match else {}
    return Ids(found["subject"], found.get("trial", ""), plain_run(found.get("run", ""))) if match else None


def plain_run(run: str) -> str:
    """``01`` is ``1``: a table of ratings and the names of files may write it differently."""
    return run.strip().lstrip("0") or ("0" if run.strip() else "")


def in_order(text: str) -> tuple[tuple[int, str], ...]:
    """A key that sorts ``run-2`` before ``run-10``."""
    return tuple((int(piece), "") if piece.isdecimal() else (-1, piece) for piece in re.split(r"(\d+)", text) if piece)
