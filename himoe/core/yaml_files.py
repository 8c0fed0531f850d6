"""YAML as the whole project reads it: YAML 1.2, as DVC does (``1e-3`` is a number, ``on`` is text), every key once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from himoe.core.errors import InputError, bad_input
from himoe.core.files import require_file

# Of a file that somebody else may have made.
MAX_BYTES = 2**16
MAX_DEPTH = 12  # dataset.yaml needs four
MAX_NODES = 5_000  # 15 sensors of 256 channels need 4,000
MAX_ALIASES = 200
TWICE = re.compile(r'duplicate key "(.{0,80}?)"')


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file of the project.

    Raises
    ------
    InputError
        If it is missing or no YAML, holds no mapping, or a key stands twice in one mapping.
    """
    value = parse_yaml(_text(path), path)
    if not isinstance(value, dict):
        raise bad_input(path, type(value).__name__, "a mapping of keys", "correct the file")
    return value


def read_bounded_yaml(path: Path, belongs: str) -> Any:
    """What a YAML file holds that somebody else may have made: bounded in size, depth and repetition.

    An alias may not stand inside what is itself repeated by aliases: repetitions of repetitions grow without bound.
    *belongs* says where to read what belongs there.

    Raises
    ------
    InputError
        As :func:`read_yaml`, but any value may stand there; and if the file is too large or too deep.
    """
    size = require_file(path).stat().st_size
    if size > MAX_BYTES:
        raise bad_input(path, f"{size} bytes", f"at most {MAX_BYTES}", belongs)
    text = _text(path)
    _check_bounds(text, path, belongs)
    return parse_yaml(text, path, pure=True)


def parse_yaml(text: str, where: object, pure: bool = False) -> Any:
    """The one document of a YAML text; *where* names it.

    *pure*: with ruamel.yaml's own parser, which is slow and knows all of YAML 1.2, instead of libyaml, where that is
    there (DVC takes it too).
    """
    from ruamel.yaml import YAML, YAMLError

    try:
        return YAML(typ="safe", pure=pure).load(text)
    except (YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise _not_yaml(where, error) from error


def _not_yaml(where: object, error: Exception) -> InputError:
    twice = TWICE.search(str(error))
    if twice:
        return bad_input(where, f"the key {twice[1]!r} twice in one mapping", "every key once", "remove one")
    reason = " ".join(str(error).replace('in "<unicode string>", ', "").split())[:300]
    return bad_input(where, f"text that is not YAML ({reason})", "a YAML mapping", "correct it")


def _text(path: Path) -> str:
    try:
        return require_file(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_yaml(path, error) from error


def _check_bounds(text: str, path: Path, belongs: str) -> None:
    """Count before anything is built: the parser's events come one by one."""
    from ruamel.yaml import YAML, YAMLError, events

    anchored: list[bool] = []  # for every collection that is open: whether an alias may repeat it
    nodes = aliases = 0
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            if isinstance(event, events.CollectionStartEvent):
                anchored.append(event.anchor is not None or bool(anchored and anchored[-1]))
            elif isinstance(event, events.CollectionEndEvent):
                anchored.pop()
            elif isinstance(event, events.AliasEvent):
                aliases += 1
                if anchored and anchored[-1]:
                    raise bad_input(path, f"the alias *{str(event.anchor)[:40]} inside what another alias may repeat",
                                    "aliases of plain values only", "write the value out")
            nodes += isinstance(event, events.NodeEvent)
            for found, most, what in ((len(anchored), MAX_DEPTH, "levels of nesting"), (nodes, MAX_NODES, "values"),
                                      (aliases, MAX_ALIASES, "aliases")):
                if found > most:
                    raise bad_input(path, f"more than {most} {what}", f"at most {most}", belongs)
    except YAMLError as error:
        raise _not_yaml(path, error) from error
