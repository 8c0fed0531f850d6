"""What a dataclass declares of a field, as words: ``a whole number of 1 or more``, ``cnn or features``."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

NAMES = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
BOUNDS = ("ge", "gt", "le", "lt")
UNITS = {"_hz": " Hz", "_s": " s", "_px": " pixels"}  # by how a name ends


@dataclass(frozen=True)
class Declared:
    """A declared type, what ``Annotated`` says beside it, whether null may stand there, and the field's name."""

    type: Any
    said: tuple[Any, ...] = ()
    nullable: bool = False
    name: str = ""

    def expected(self, kind: str = "") -> str:
        """What may stand there; "" if there is nothing to say. *kind*: pydantic's name of the mistake."""
        text = next((one for one in self.said if isinstance(one, str)), None)
        if text and kind.endswith("_type") and self.type in NAMES:
            text = f"{NAMES[self.type]}, {text}"
        text = text or self._words()
        return f"{text}, or null" if text and self.nullable else text

    def todo(self, found: Any) -> str:
        """What to do about *found*."""
        if typing.get_origin(self.type) is tuple and not isinstance(found, list | tuple):
            return "write it as [a, b]"
        if (dataclasses.is_dataclass(self.type) or _is_mapping(self.type)) and not isinstance(found, Mapping):
            return "indent its keys below it"
        return "correct it"

    def keys(self) -> list[str]:
        """The names of a dataclass's fields."""
        return [field.name for field in dataclasses.fields(self.type)] if dataclasses.is_dataclass(self.type) else []

    def _words(self) -> str:
        if typing.get_origin(self.type) is Literal:
            return " or ".join(map(str, typing.get_args(self.type)))
        if typing.get_origin(self.type) is tuple:
            return self._list()
        if dataclasses.is_dataclass(self.type) or _is_mapping(self.type):
            return "a mapping of keys"
        name = NAMES.get(self.type, "")
        return f"{name}{self._bounds()}" if name else ""

    def _list(self) -> str:
        inner = typing.get_args(self.type)
        if Ellipsis not in inner:
            return f"a list of {len(inner)} values"
        least = next((one.min_length for one in self.said if hasattr(one, "min_length")), 0)
        return f"a list of at least {least}" if least else "a list"

    def _bounds(self) -> str:
        """`` of 1 or more``, `` above 0 Hz``, `` in [0, 1)``."""
        found = {name: getattr(one, name) for one in self.said for name in BOUNDS if hasattr(one, name)}
        unit = next((text for end, text in UNITS.items() if self.name.endswith(end)), "")
        low, high = found.get("ge", found.get("gt")), found.get("le", found.get("lt"))
        if low is not None and high is not None:
            return f" in {'[' if 'ge' in found else '('}{low:g}, {high:g}{']' if 'le' in found else ')'}{unit}"
        if low is not None:
            return f" of {low:g}{unit} or more" if "ge" in found else f" above {low:g}{unit}"
        if high is not None:
            return f" of at most {high:g}{unit}" if "le" in found else f" below {high:g}{unit}"
        return ""


def declared_at(cls: Any, path: Sequence[Any]) -> Declared:
    """What is declared at *path* (names of fields, keys, places in lists) below the dataclass *cls*."""
    found = _declared(cls)
    for part in path:
        kind, name = found.type, found.name
        if dataclasses.is_dataclass(kind):
            hint, name = typing.get_type_hints(kind, include_extras=True).get(part), str(part)
        elif typing.get_origin(kind) is tuple:
            inner = typing.get_args(kind)
            hint = inner[0] if Ellipsis in inner else inner[part]
        elif _is_mapping(kind):
            hint = typing.get_args(kind)[1] if typing.get_args(kind) else None
        else:
            hint = None
        found = _declared(hint, name)
    return found


def _declared(hint: Any, name: str = "") -> Declared:
    said: tuple[Any, ...] = ()
    nullable = False
    while True:
        if typing.get_origin(hint) is typing.Annotated:
            hint, *more = typing.get_args(hint)
            said += tuple(more)
        elif typing.get_origin(hint) in (typing.Union, types.UnionType) and type(None) in typing.get_args(hint):
            hint, nullable = next(one for one in typing.get_args(hint) if one is not type(None)), True
        else:
            return Declared(hint, said, nullable, name)


def _is_mapping(hint: Any) -> bool:
    found = typing.get_origin(hint) or hint
    return isinstance(found, type) and issubclass(found, Mapping)
