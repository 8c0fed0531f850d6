"""YAML from a folder that somebody else may have made: bounded in size, depth and repetition, every key once."""

from __future__ import annotations

import reprlib
from pathlib import Path
from typing import Any

from himoe.core.errors import InputError, bad_input
from himoe.core.files import require_file

BELONGS = "see docs/your-own-data.md for what belongs there"
MAX_BYTES = 2**16
MAX_DEPTH = 12  # dataset.yaml needs four
MAX_NODES = 5_000  # 15 sensors of 256 channels need 4,000
MAX_ALIASES = 200
SHOWN = reprlib.Repr()
SHOWN.maxlevel, SHOWN.maxlist, SHOWN.maxdict = 3, 8, 8
SHOWN.maxstring = SHOWN.maxother = SHOWN.maxlong = 80


def shown(value: object) -> str:
    """A value for a message, cut short: its whole text may be millions of characters."""
    try:
        return SHOWN.repr(value)
    except ValueError:  # Python does not print numbers of thousands of digits
        return f"a value of type {type(value).__name__}"


def load_yaml(path: Path) -> Any:
    """The one document of a YAML file, of plain values only.

    An alias may not stand inside what is itself repeated by aliases: repetitions of repetitions grow without bound.

    Raises
    ------
    InputError
        If the file is missing, too large, too deep, no YAML, or a key stands twice in one mapping.
    """
    import yaml

    size = require_file(path).stat().st_size
    if size > MAX_BYTES:
        raise bad_input(path, f"{size} bytes", f"at most {MAX_BYTES}", BELONGS)
    try:
        text = path.read_text(encoding="utf-8-sig")
        _check_bounds(path, text)
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _check_keys_once(path, node)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise bad_input(path, f"text that is not YAML ({' '.join(str(error).split())[:300]})", "a YAML mapping",
                        "correct it") from error


def _check_bounds(path: Path, text: str) -> None:
    """Count before anything is built: the parser's events come one by one."""
    import yaml

    anchored: list[bool] = []  # for every collection that is open: whether an alias may repeat it
    nodes = aliases = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            anchored.append(event.anchor is not None or bool(anchored and anchored[-1]))
        elif isinstance(event, yaml.CollectionEndEvent):
            anchored.pop()
        elif isinstance(event, yaml.AliasEvent):
            aliases += 1
            if anchored and anchored[-1]:
                raise bad_input(path, f"the alias *{str(event.anchor)[:40]} inside what another alias may repeat",
                                "aliases of plain values only", "write the value out")
        nodes += isinstance(event, yaml.NodeEvent)
        for found, most, what in ((len(anchored), MAX_DEPTH, "levels of nesting"), (nodes, MAX_NODES, "values"),
                                  (aliases, MAX_ALIASES, "aliases")):
            if found > most:
                raise bad_input(path, f"more than {most} {what}", f"at most {most}",
                                BELONGS)


def _check_keys_once(path: Path, node: Any) -> None:
    import yaml

    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = next((key for key in keys if keys.count(key) > 1 and key != "<<"), None)
        if twice is not None:
            raise bad_input(path, f"the key {shown(twice)} twice in one mapping", "every key once", "remove one")
    for child in node.value if isinstance(node, yaml.CollectionNode) else ():
        for one in child if isinstance(child, tuple) else (child,):
            _check_keys_once(path, one)
