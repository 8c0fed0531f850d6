"""Methods are files: the file's name is the key."""

from __future__ import annotations

import subprocess
import sys

import pytest

from himoe.core.errors import InputError
from himoe.models import methods
from himoe.models.methods import method_class, method_names, register
from himoe.models.methods.base import Method
from himoe.models.methods.resizable import FittedMethod


def test_the_names_are_those_of_the_tables() -> None:
    assert method_names() == ("bilstm", "cafnet", "features_gbdt", "features_ridge", "features_ridge_person",
                              "flex_moe", "fusemoe", "himoe", "husformer", "ianet", "late_fusion", "mean",
                              "mean_stimulus", "mean_subject", "mfst_rnn", "momke", "mult", "tacoformer")


@pytest.mark.parametrize("name", method_names())
def test_every_method_keeps_the_contract(name: str) -> None:
    method = method_class(name)
    assert issubclass(method, Method)
    assert not method.__abstractmethods__
    assert issubclass(method, FittedMethod) == (not method.gradient)
    assert method.looks == (not name.startswith("mean"))


@pytest.mark.parametrize("name", ["base", "floors", "resizable", "__init__", "HiMoE", ""])
def test_helpers_are_no_methods(name: str) -> None:
    with pytest.raises(InputError, match=r"method: found .* expected one of bilstm, cafnet"):
        method_class(name)


def test_a_method_is_loaded_without_the_others() -> None:
    code = ("import sys; from himoe.models.methods import method_class; method_class('late_fusion'); "
            "print(*sorted(m for m in sys.modules if m.startswith('himoe.models.methods.')))")
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "himoe.models.methods.late_fusion" in loaded
    assert not {f"himoe.models.methods.{name}" for name in method_names() if name != "late_fusion"} & set(loaded)


def test_a_method_from_elsewhere_is_known_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "_FROM_ELSEWHERE", {})
    theirs = type("Theirs", (method_class("late_fusion"),), {})
    for once_more in (theirs, type("Theirs", (theirs,), {})):
        register("theirs", once_more)
        assert method_class("theirs") is once_more
    assert "theirs" in method_names()
    for name, method, message in (("himoe", theirs, "a name .* that no method of himoe has"),
                                  ("no-name", theirs, "a name of letters"), ("other", dict, "a subclass of")):
        with pytest.raises(InputError, match=message):
            register(name, method)
