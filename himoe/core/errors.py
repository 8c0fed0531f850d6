"""One exception for everything a user can put right, and the sentence it carries."""

from __future__ import annotations


class InputError(ValueError):
    """Bad input: a file, a parameter or an array that is not what it should be."""


LONGEST = 1000  # characters of what was found: a file may hold a name, a value or a header of any length


def bad_input(where: object, found: object, expected: object, todo: str) -> InputError:
    """Build the error for one bad input: *where* (file and field), found, expected, what to do.

    A long *found* or *expected* is cut short, and stands on one line.
    """
    return InputError(f"{where}: found {_short(found)}, expected {_short(expected)}; {todo}.")


def _short(value: object) -> str:
    text = " ".join(str(value).splitlines())
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST - 100]} ... {text[-50:]} ({len(text)} characters)"
