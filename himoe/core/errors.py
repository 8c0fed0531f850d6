"""One exception for everything a user can put right, and the sentence it carries."""

from __future__ import annotations

import reprlib

SHOWN = reprlib.Repr()
SHOWN.maxlevel, SHOWN.maxlist, SHOWN.maxtuple, SHOWN.maxdict = 3, 8, 8, 8
SHOWN.maxstring = SHOWN.maxother = SHOWN.maxlong = 80


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


def shown(value: object) -> str:
    """A value for a message, cut short: its whole text may be millions of characters."""
    try:
        return SHOWN.repr(value)
    except ValueError:  # Python does not print numbers of thousands of digits
        return f"a value of type {type(value).__name__}"
