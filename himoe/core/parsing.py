"""Frozen dataclasses from values that somebody wrote: what does not fit their declaration ends in one sentence.

A class marked with :func:`checked` declares its fields by type: ``Literal`` for choices, ``Annotated`` with a bound of
``annotated_types``, and with a text where the bound alone does not say what is meant. pydantic checks them (imported
when the first value comes): nothing is converted but whole numbers to floats and lists to tuples, and a key that is not
declared is refused. What concerns two fields stands in ``__post_init__`` as a call of :func:`check`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import Any, TypeVar

from himoe.core.declared import declared_at
from himoe.core.errors import InputError, bad_input, shown

P = TypeVar("P")
UNKNOWN = ("unexpected_keyword_argument", "invalid_key")
CONFIG = {"strict": True, "extra": "forbid", "allow_inf_nan": False}


class Unfit(InputError):
    """A field that does not fit the others: its name, what was found, what is expected."""

    def __init__(self, field: str, found: object, expected: str) -> None:
        super().__init__(str(bad_input(field, shown(found), expected, "correct the value")))
        self.field, self.found, self.expected = field, found, expected


def check(ok: bool, field: str, found: object, expected: str) -> None:
    """Refuse the object under construction unless *ok*: its *field* is *found*, and that is *expected*."""
    if not ok:
        raise Unfit(field, found, expected)


def checked(cls: type[P]) -> type[P]:
    """Mark the frozen dataclass *cls*: its values are checked however it is made, by name, by ``replace``, by parse."""
    signature = inspect.signature(cls)

    @functools.wraps(cls.__init__)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        given = signature.bind(*args, **kwargs).arguments  # a TypeError here is the programmer's, not a user's
        _validated(cls, given, cls.__name__, "", self_instance=self)

    cls.__init__ = __init__  # type: ignore[assignment]
    cls.__pydantic_config__ = CONFIG  # type: ignore[attr-defined]
    cls.__get_pydantic_core_schema__ = classmethod(_schema)  # type: ignore[attr-defined]
    return cls


def parse(cls: type[P], values: Mapping[str, Any] | None, place: object, key: str = "") -> P:
    """Build the dataclass *cls* from *values*, which stand in the file *place* below the dotted *key*.

    Raises
    ------
    InputError
        For an unknown key, a missing one, a value of the wrong type or out of its bounds; the first one is named.
    """
    return _validated(cls, {} if values is None else values, place, key)


def _validated(cls: Any, values: Any, place: object, key: str, **options: Any) -> Any:
    from pydantic import ValidationError

    try:
        return _adapter(cls).validator.validate_python(values, **options)
    except ValidationError as error:
        found = error.errors(include_url=False)
    unknown = [one for one in found if one["type"] in UNKNOWN]  # first: a misspelt key is also one that is missing
    raise _sentence(cls, (unknown or found)[0], place, key)


@functools.cache
def _adapter(cls: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(cls)


def _schema(cls: type, source: Any, handler: Any) -> Any:
    """pydantic's schema of a class, strict but for two: a list may stand for a tuple, a mapping for a dataclass."""
    schema = handler(source)
    _accept(handler.resolve_ref_schema(schema))
    return schema


def _accept(schema: Any) -> None:
    if isinstance(schema, dict):
        if schema.get("type") in ("tuple", "dataclass"):
            schema["strict"] = False
        for inner in schema.values():
            _accept(inner)
    elif isinstance(schema, list):
        for inner in schema:
            _accept(inner)


def _sentence(cls: type, error: Any, place: object, key: str) -> InputError:
    """One of pydantic's errors in the project's words."""
    kind, path, found = error["type"], list(error["loc"]), error["input"]
    if kind in ("missing", *UNKNOWN):
        return _wrong_key(cls, kind, path, place, key)
    if path[-1:] == ["[key]"]:
        return bad_input(_where(place, key, path[:-2]), f"the key {shown(found)}", "text", "put it in quotes")
    where, declared = _where(place, key, path), declared_at(cls, path)
    reason = (error.get("ctx") or {}).get("error")
    if isinstance(reason, Unfit):
        return bad_input(_where(place, key, [*path, reason.field]), shown(reason.found), reason.expected,
                         "correct the value")
    if reason is not None:  # a sentence of its own
        return InputError(f"{where}: {reason}")
    if kind in ("too_short", "too_long"):
        several = f"{len(found)} keys" if isinstance(found, Mapping) else f"a list of {len(found)}"
        return bad_input(where, several, declared.expected(), "correct it")
    return bad_input(where, shown(found), declared.expected(kind) or error["msg"], declared.todo(found))


def _wrong_key(cls: type, kind: str, path: list[Any], place: object, key: str) -> InputError:
    """A key that is missing, or is one too many; in a list of fixed length, a value that is missing."""
    parent, name = path[:-1], path[-1]
    outer = declared_at(cls, parent)
    where = _where(place, key, parent)
    if not outer.keys():
        return bad_input(where, f"a list of {name}", outer.expected(), "correct the list")
    if kind == "missing":
        return bad_input(where, f"no key {name!r}", "a value for it", "add it")
    return bad_input(where, f"the unknown key {shown(name)}", f"one of {', '.join(sorted(outer.keys()))}",
                     "correct the name or remove it")


def _where(place: object, key: str, path: list[Any]) -> str:
    text = key
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return f"{place}: {text}" if text else str(place)
