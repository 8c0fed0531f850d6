"""Every method behind one contract. A method is a file here: ``<name>.py`` with ``METHOD = <its class>``.

Files are loaded by name, so that a run depends on its own method's code and on no other's. A method from elsewhere is
made known by :func:`register`.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from himoe.core.errors import bad_input
from himoe.models.methods.base import Method, Spec

NOT_METHODS = ("base", "floors", "resizable")
_FROM_ELSEWHERE: dict[str, type[Method]] = {}


def own_names() -> tuple[str, ...]:
    """The package's methods, sorted: this folder's files, without those that only help."""
    files = (path.stem for path in Path(__file__).parent.glob("*.py"))
    return tuple(sorted(name for name in files if not name.startswith("_") and name not in NOT_METHODS))


def method_names() -> tuple[str, ...]:
    """Every name that can be asked for, sorted."""
    return tuple(sorted([*own_names(), *_FROM_ELSEWHERE]))


def register(name: str, method: type[Method]) -> None:
    """Make a method of one's own known as *name* in this process; a second call takes the place of the first.

    A saved model holds the name and no code: register the class again before it is loaded.

    Raises
    ------
    InputError
        If the package has a method of that name, or *method* is no subclass of :class:`Method`.
    """
    if not name.isidentifier() or name in own_names():
        raise bad_input("method", repr(name), "a name of letters, digits and _ that no method of himoe has",
                        "choose another name")
    if not (isinstance(method, type) and issubclass(method, Method)):
        raise bad_input(f"method {name}", repr(method), "a subclass of himoe.models.methods.base.Method",
                        "derive the class from it")
    _FROM_ELSEWHERE[name] = method


def method_class(name: str) -> type[Method]:
    """The class of the method *name*.

    Raises
    ------
    InputError
        If there is no such method.
    """
    if name not in method_names():
        raise bad_input("method", repr(name), "one of " + ", ".join(method_names()), "correct the name")
    if name in _FROM_ELSEWHERE:
        return _FROM_ELSEWHERE[name]
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
