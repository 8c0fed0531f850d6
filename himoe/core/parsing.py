"""Frozen dataclasses from YAML values: unknown keys, missing ones and wrong types end in one sentence."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from himoe.core.errors import bad_input

P = TypeVar("P")


def parse(cls: type[P], values: Mapping[str, Any] | None, where: str) -> P:
    """Build the dataclass *cls* from *values*, checking keys and types.

    Raises
    ------
    InputError
        For an unknown key, a missing one, or a value of the wrong type; *where* names its place.
    """
    values = dict(values or {})
    known = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise bad_input(f"params.yaml: {where}", f"the unknown key {key!r}",
                            "one of " + ", ".join(sorted(known)), "correct the name or remove it")
    hints = typing.get_type_hints(cls)
    built: dict[str, Any] = {}
    for name, spec in known.items():
        if name in values:
            built[name] = _convert(hints[name], values[name], f"{where}.{name}")
        elif spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING:
            raise bad_input(f"params.yaml: {where}", f"no key {name!r}", "a value for it", "add it")
    return cls(**built)


def _convert(hint: Any, value: Any, where: str) -> Any:
    """Convert one YAML value to *hint* (a plain type, a union with None, a tuple or a dataclass)."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in typing.get_args(hint):
            return None
        return _convert(next(a for a in typing.get_args(hint) if a is not type(None)), value, where)
    if origin is tuple:
        if isinstance(value, str) or not isinstance(value, list | tuple):
            raise bad_input(f"params.yaml: {where}", repr(value), "a list", "write it as [a, b]")
        inner, *rest = typing.get_args(hint)
        if rest and rest[0] is not Ellipsis and len(value) != 1 + len(rest):
            raise bad_input(f"params.yaml: {where}", f"{len(value)} values", f"{1 + len(rest)}", "correct the list")
        return tuple(_convert(inner, item, where) for item in value)
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise bad_input(f"params.yaml: {where}", repr(value), "a mapping of keys", "indent its keys below it")
        return parse(typing.cast(type, hint), value, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise bad_input(f"params.yaml: {where}", repr(value), f"a value of type {hint.__name__}", "correct it")
    return value


def check(ok: bool, where: str, found: object, expected: str) -> None:
    """Raise InputError unless *ok*: the parameter *where* is *found*, and that is *expected*."""
    if not ok:
        raise bad_input(f"params.yaml: {where}", repr(found), expected, "correct the value")
