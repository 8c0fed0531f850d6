"""Every method behind one contract. A method is a file here: ``<name>.py`` with ``METHOD = <its class>``.

Files are loaded by name, so that a run depends on its own method's code and on no other's.
"""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path

from himoe.core.errors import bad_input
from himoe.models.methods.base import Method, Spec

NOT_METHODS = ("base", "floors", "resizable")


def method_names() -> tuple[str, ...]:
    """The registered names, sorted: this folder's files, without those that only help."""
    files = (path.stem for path in Path(__file__).parent.glob("*.py"))
    return tuple(sorted(name for name in files if not name.startswith("_") and name not in NOT_METHODS))


@cache
def method_class(name: str) -> type[Method]:
    """The class of the method *name*.

    Raises
    ------
    InputError
        If there is no such method.
    """
    if name not in method_names():
        raise bad_input("method", repr(name), "one of " + ", ".join(method_names()), "correct the name")
    return importlib.import_module(f"himoe.models.methods.{name}").METHOD


def build_method(name: str, spec: Spec) -> Method:
    """Build the method *name*.

    Raises
    ------
    InputError
        If there is no such method, or *spec* names no modality or no dimension.
    """
    method = method_class(name)
    if not spec.shapes or not spec.task.dimensions:
        raise bad_input(f"method {name}", f"{len(spec.shapes)} modalities and {len(spec.task.dimensions)} dimensions",
                        "at least one of each", "choose modalities and dimensions the data has")
    return method(spec)
