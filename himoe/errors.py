"""One exception for everything a user can put right, and the sentence it carries."""

from __future__ import annotations


class InputError(ValueError):
    """Bad input: a file, a parameter or an array that is not what it should be."""


def bad_input(where: object, found: object, expected: object, todo: str) -> InputError:
    """Build the error for one bad input: *where* (file and field), found, expected, what to do."""
    return InputError(f"{where}: found {found}, expected {expected}; {todo}.")
