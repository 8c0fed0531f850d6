"""The code lists: what they hold, and which of them a change of the tree changes."""

from __future__ import annotations

import ast
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest
from pipeline_helpers import ROOT, environment

from himoe.models.methods import method_names
from pipeline import code

# For each list of module names on stdin: the files of this project that importing them alone loads.
LOADED = """
import importlib, json, sys
found = []
for names in json.load(sys.stdin):
    for name in [name for name in sys.modules if name.split(".")[0] in ("himoe", "pipeline")]:
        del sys.modules[name]  # other packages stay: none of them imports this project
    for name in names:
        importlib.import_module(name)
    found.append(sorted({m.__file__ for n, m in sys.modules.items()
                         if n.split(".")[0] in ("himoe", "pipeline") and getattr(m, "__file__", None)}))
print(json.dumps(found))
"""


def files_in(listed: str) -> set[str]:
    """The paths of a code list."""
    return {line.split("  ")[1] for line in listed.splitlines()}


def loaded(modules: Sequence[Sequence[str]]) -> list[set[str]]:
    """This project's files that Python loads for each list of modules, every time from the start."""
    done = subprocess.run([sys.executable, "-c", LOADED], input=json.dumps(modules), cwd=ROOT, env=environment(),
                          text=True, capture_output=True, timeout=300, check=True)
    return [{Path(file).relative_to(ROOT).as_posix() for file in files} for files in json.loads(done.stdout)]


@cache
def digest(path: str) -> str:
    """SHA-256 of a file of the tree."""
    return hashlib.sha256((ROOT / path).read_bytes()).hexdigest()


@cache
def lazily_imported(path: str) -> frozenset[str]:
    """This project's files that a file imports inside a function."""
    found = set()
    for function in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.ImportFrom) and node.module:
                    found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
                elif isinstance(node, ast.Import):
                    found |= {alias.name for alias in node.names}
    files = [name.replace(".", "/") for name in found if name.split(".")[0] in code.PACKAGES
             and not name.startswith(code.LEFT_OUT)]
    return frozenset(file for name in files for file in (f"{name}.py", f"{name}/__init__.py")
                     if (ROOT / file).is_file())


def modules_of(name: str) -> list[str]:
    """The modules behind a list's name: the script's, and the method's where the list has one."""
    script, _, method = name.partition("-")
    return [f"pipeline.{script}", *([f"himoe.models.methods.{method}"] if method else [])]


LISTS = code.code_lists(ROOT)
SAMPLE = [*sorted(name for name in LISTS if "-" not in name), "train-husformer", "main_run-mean"]


# --- what they hold -----------------------------------------------------------------------------------------------

def test_every_script_with_parameters_of_its_own_has_a_list() -> None:
    single = {*code.SCRIPTS, *code.WITH_EVERY_METHOD}
    assert set(LISTS) == single | {f"{s}-{m}" for s in code.WITH_ONE_METHOD for m in method_names()}


@pytest.mark.nightly
def test_all_that_is_really_imported_is_listed() -> None:
    for name, really in zip(SAMPLE, loaded([modules_of(name) for name in SAMPLE]), strict=True):
        assert len(really) > 3
        assert really - files_in(LISTS[name]) == set(), name


def test_a_list_names_digest_and_path_of_each_file_with_those_imported_inside_functions() -> None:
    for name, text in LISTS.items():
        lines = [line.split("  ") for line in text.splitlines()]
        listed = {path for _, path in lines}
        assert [path for _, path in lines] == sorted(listed), name
        assert [found for found, _ in lines] == [digest(path) for _, path in lines], name
        assert f"pipeline/{modules_of(name)[0].split('.')[1]}.py" in listed
        lazy = {path: lazily_imported(path) - listed for path in listed if path.endswith(".py")}
        assert {path: missing for path, missing in lazy.items() if missing} == {}, name


def test_a_training_stage_lists_its_own_method_and_no_other() -> None:
    for method in method_names():
        others = {f"himoe/models/methods/{name}.py" for name in method_names()} - {f"himoe/models/methods/{method}.py"}
        for script in code.WITH_ONE_METHOD:
            listed = files_in(LISTS[f"{script}-{method}"])
            assert f"himoe/models/methods/{method}.py" in listed
            assert listed & others == set()


def test_the_report_lists_its_templates_and_training_does_not() -> None:
    templates = {path.relative_to(ROOT).as_posix() for path in (ROOT / "himoe/report/templates").iterdir()}
    assert len(templates) >= 4
    assert templates <= files_in(LISTS["report"])
    assert "himoe/scoring/data/paper_results.csv" in files_in(LISTS["tables"])
    assert not [path for path in files_in(LISTS["train-himoe"]) if not path.endswith(".py")]


# --- small trees --------------------------------------------------------------------------------------------------

def write_tree(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


def test_the_closure_follows_lazy_imports_and_packages(tmp_path: Path) -> None:
    write_tree(tmp_path, {
        "pipeline/__init__.py": "", "pipeline/go.py": "def f() -> None:\n    from himoe.a import thing\n",
        "himoe/__init__.py": "", "himoe/a/__init__.py": "from himoe.a import b\n", "himoe/a/b.py": "import os\n",
        "himoe/unused.py": ""})
    assert code.import_closure([tmp_path / "pipeline" / "go.py"], tmp_path) == [
        "himoe/__init__.py", "himoe/a/__init__.py", "himoe/a/b.py", "pipeline/go.py"]


def test_the_closure_holds_the_data_of_a_package_that_is_read(tmp_path: Path) -> None:
    write_tree(tmp_path, {
        "pipeline/go.py": "import himoe.a.reader\n", "himoe/__init__.py": "", "himoe/other.csv": "",
        "himoe/a/__init__.py": "", "himoe/a/reader.py": "x = resources.files('himoe.a')\n", "himoe/a/table.csv": "",
        "himoe/a/templates/page.html": "", "himoe/a/__pycache__/x.pyc": "",
        "himoe/a/inner/__init__.py": "", "himoe/a/inner/own.csv": ""})
    assert code.import_closure([tmp_path / "pipeline" / "go.py"], tmp_path) == [
        "himoe/__init__.py", "himoe/a/__init__.py", "himoe/a/reader.py", "himoe/a/table.csv",
        "himoe/a/templates/page.html", "pipeline/go.py"]


# --- a change of the tree -----------------------------------------------------------------------------------------

def test_a_change_of_a_copy_changes_the_lists_that_name_the_file_and_a_new_method_adds_its_own(tmp_path: Path) -> None:
    """A new method runs no existing training again."""
    for package in code.PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    methods = tmp_path / "himoe" / "models" / "methods"
    shutil.copy(methods / "husformer.py", methods / "newcomer.py")
    with (tmp_path / "pipeline" / "split.py").open("a", encoding="utf-8") as stream:
        stream.write("\n# changed\n")
    after = code.code_lists(tmp_path)
    assert {name for name in LISTS if after.get(name) != LISTS[name]} == {"cost", "split"}
    assert set(after) - set(LISTS) == {"train-newcomer", "main_run-newcomer"}


IMPORTED_BY: dict[str, set[str]] = {
    "himoe/models/methods/husformer.py": {"train-husformer", "main_run-husformer", "cost"},
    "himoe/scoring/metrics.py": {name for name in LISTS if name.startswith("main_run")} | {
        "evaluate", "tables", "figures", "report", "quality"},  # training scores nothing
    "himoe/models/methods/base.py": {name for name in LISTS if "-" in name} | {"cost"},
    "himoe/core/errors.py": set(LISTS),
    "himoe/report/tables/scores.py": {"tables", "report", "quality"},  # both pages print tables
    "himoe/report/templates/page.css": {"report", "quality"},
    "pipeline/split.py": {"split"},
    "himoe/prepare/beats.py": {"features"},  # training reads what it wrote
    "pipeline/settings.py": {"settings"},
    "himoe/prepare/faces/network.py": {"face"},
    "pipeline/lock_check.py": set(),
}


def test_a_file_stands_in_the_lists_of_those_that_import_it_and_in_no_other() -> None:
    """A list changes with a file that it names: its line holds the file's digest (see above)."""
    for path, expected in IMPORTED_BY.items():
        assert (ROOT / path).is_file()
        assert {name for name, text in LISTS.items() if path in files_in(text)} == expected, path
