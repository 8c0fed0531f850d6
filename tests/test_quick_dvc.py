"""DVC with another way to read YAML and change dvc.lock: the same bytes, and never half a file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from pipeline_helpers import ROOT
from ruamel.yaml.representer import RepresenterError

from pipeline.quick_dvc import improve, remember

STAGES = """stages:
  one:
    cmd: python -c "open('one.txt', 'w').write('a long command, which DVC breaks into lines when it writes dvc.lock')"
    params: [rate, gaps, table]
    outs: [one.txt]
  two:
    cmd: python -c "import shutil; shutil.copy('one.txt', 'two.txt')"
    deps: [one.txt]
    outs: [two.txt]
"""
CONFIG = "[core]\n    no_scm = true\n    analytics = false\n    check_update = false\n"
PARAMS = "rate: {}\ngaps: [null, 1e-3, 0.10, 'no']\ntable:\n  EEG: {{low_hz: 4, on: true}}\n"


def reproduced(folder: Path, command: list[str]) -> bytes:
    """dvc.lock after two runs with different parameters."""
    folder.mkdir()
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").write_text(CONFIG)
    (folder / "dvc.yaml").write_text(STAGES)
    for rate in (1, 0.25):
        (folder / "params.yaml").write_text(PARAMS.format(rate))
        subprocess.run([sys.executable, "-m", *command, "repro"], cwd=folder, check=True, capture_output=True,
                       env={**os.environ, "PYTHONPATH": str(ROOT)})
    return (folder / "dvc.lock").read_bytes()


def test_the_lock_is_what_plain_dvc_writes(tmp_path: Path) -> None:
    plain, quick = (reproduced(tmp_path / name, [name]) for name in ("dvc", "pipeline.quick_dvc"))
    assert b"0.25" in plain
    assert quick == plain


def test_the_projects_lock_keeps_its_bytes(tmp_path: Path) -> None:
    shutil.copy(ROOT / "dvc.lock", tmp_path)
    dvcfile = SimpleNamespace(modify_yaml=None)
    dvcfile.modify_yaml = lambda path, fs: pytest.fail("the usual way")
    improve(dvcfile)
    with dvcfile.modify_yaml(str(tmp_path / "dvc.lock")) as data:
        assert data["stages"]
    assert (tmp_path / "dvc.lock").read_bytes() == (ROOT / "dvc.lock").read_bytes()


def test_a_lock_that_cannot_be_written_stays_as_it_was(tmp_path: Path) -> None:
    lock = tmp_path / "dvc.lock"
    lock.write_text("schema: '2.0'\nstages: {}\n")
    dvcfile = SimpleNamespace(modify_yaml=None)
    dvcfile.modify_yaml = lambda path, fs: pytest.fail("the usual way")
    improve(dvcfile)

    def change() -> None:
        with dvcfile.modify_yaml(str(lock)) as data:
            data["stages"] = {"one": "first part", "two": object()}

    with pytest.raises(RepresenterError):
        change()
    assert lock.read_text() == "schema: '2.0'\nstages: {}\n"


def test_a_text_is_parsed_once_and_who_gets_its_data_may_change_them() -> None:
    asked: list[tuple[str, str]] = []

    def usual(text: str, path: str, typ: str = "safe") -> dict[str, list[int]]:
        asked.append((text, typ))
        return {"values": [len(asked)]}

    module = SimpleNamespace(parse_yaml=usual)
    remember(module)
    module.parse_yaml("a", "one.yaml")["values"].append(0)
    assert module.parse_yaml("a", "one.yaml", typ="safe") == {"values": [1]}
    assert module.parse_yaml("b", "one.yaml") == {"values": [2]}
    assert module.parse_yaml("b", "one.yaml", typ="rt") == {"values": [3]}  # keeps comments: not for pickle
    assert module.parse_yaml("b", "two.yaml") == {"values": [4]}
    assert asked == [("a", "safe"), ("b", "safe"), ("b", "rt"), ("b", "safe")]
    remember(SimpleNamespace())  # a DVC without such a function
