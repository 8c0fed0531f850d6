"""File names with ``{subject}`` and ``{trial}`` in them."""

from __future__ import annotations

import re
from itertools import zip_longest

PLACEHOLDER = re.compile(r"\{(.*?)\}")


def as_glob(pattern: str) -> str:
    """The glob that finds every file of a pattern with placeholders."""
    return PLACEHOLDER.sub("*", re.sub(r"([*?[])", r"[\1]", pattern))


def filled(pattern: str, subject: str, trial: str) -> str:
    """The name of one subject's and trial's file."""
    # str.format would also evaluate attributes of its arguments; plain replacement cannot.
    values = {"subject": subject, "trial": trial}
    return PLACEHOLDER.sub(lambda match: values[match[1]], pattern)


def ids_in(name: str, pattern: str, subject: str) -> tuple[str, str] | None:
    """Subject and trial in a file's name ("" where the pattern has none); None if it does not fit.

    *subject* is a regular expression of the subjects looked for. A placeholder that stands there twice is the same
    twice.
    """
    groups = {"subject": f"(?P<subject>{subject})", "trial": "(?P<trial>[^/]+?)"}
    parts = PLACEHOLDER.split(pattern)  # text, name, text, name, ..., text
    places = [f"(?P={part})" if part in parts[1:k:2] else groups[part] for k, part in enumerate(parts) if k % 2]
    match = re.fullmatch("".join(piece for pair in zip_longest(map(re.escape, parts[::2]), places, fillvalue="")
                                 for piece in pair), name)
    return (match["subject"], match.groupdict().get("trial", "")) if match else None
