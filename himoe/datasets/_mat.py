"""MATLAB structs by field name, as ``scipy.io.loadmat`` gives them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from himoe.errors import bad_input
from himoe.files import require_file


def load_variable(path: Path, name: str) -> Any:
    """Load one variable of a MATLAB v5 file; the last file read is kept (by path, time and size).

    The whole variable is held in memory.

    Raises
    ------
    InputError
        If the file is missing, damaged, of another version, or lacks the variable.
    """
    state = require_file(path).stat()
    return _load(str(path), name, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=1)
def _load(path: str, name: str, mtime_ns: int, size: int) -> Any:
    import scipy.io

    try:
        content = scipy.io.loadmat(path, variable_names=[name])
    except Exception as error:  # a damaged file can fail in any way at all
        raise bad_input(path, f"a file that cannot be read ({type(error).__name__}: {error})",
                        "a complete MATLAB v5 file", "the file is truncated or damaged; fetch it again") from error
    if name not in content:
        raise bad_input(f"{path}, variable {name}", "no such variable", f"a struct named {name}",
                        "check that this is the data set's own file")
    return content[name]


def field(struct: Any, name: str, where: str) -> Any:
    """The field *name* of a 1 × 1 struct."""
    names = getattr(getattr(struct, "dtype", None), "names", None)
    if not names or struct.size != 1:
        raise bad_input(where, "something that is not a 1 x 1 struct", f"a struct with the field {name}",
                        "check that this is the data set's own file")
    if name not in names:
        raise bad_input(f"{where}.{name}", "only the fields " + " ".join(names), f"a field named {name}",
                        "check that this is the data set's own file")
    return struct.reshape(-1)[0][name]


def cells(value: Any, count: int, where: str) -> list[Any]:
    """The *count* entries of a cell vector."""
    if not isinstance(value, np.ndarray) or value.dtype.kind != "O" or value.size != count:
        found = f"shape {getattr(value, 'shape', '?')} of {getattr(value, 'dtype', type(value).__name__)}"
        raise bad_input(where, found, f"{count} cells", "check that this is the data set's own file")
    return list(value.reshape(-1))


def numbers(value: Any, count: int, where: str) -> np.ndarray:
    """A vector of *count* numbers, (count,) float64."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf" or array.size != count:
        raise bad_input(where, f"shape {array.shape} of {array.dtype}", f"{count} numbers",
                        "check that this is the data set's own file")
    return array.reshape(-1).astype(np.float64)


def text(value: Any, where: str) -> str:
    """A MATLAB character row."""
    array = np.asarray(value)
    if array.dtype.kind != "U" or array.size != 1:
        raise bad_input(where, f"shape {array.shape} of {array.dtype}", "text",
                        "check that this is the data set's own file")
    return str(array.reshape(-1)[0]).strip()
