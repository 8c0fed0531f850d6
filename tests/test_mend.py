"""A dvc.lock that a kill cut off is put right with all that can be saved."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from pipeline_helpers import ROOT, commit, environment, run_ok

from himoe.core.files import write_text
from himoe.core.yaml_files import parse_yaml
from pipeline.mend import HEAD, KEPT, LOCK, entries, is_whole, mend

TEXT = (ROOT / "dvc.lock").read_text(encoding="utf-8")
STAGES = parse_yaml(TEXT, LOCK)["stages"]
NEWER = TEXT.replace("md5: ", "md5: 0000", 9)  # the first stages ran again


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose last commit has the lock."""
    monkeypatch.chdir(tmp_path)
    for key, value in environment().items():
        monkeypatch.setenv(key, value)
    write_text(LOCK, TEXT)
    write_text(Path(".gitignore"), ".himoe\n")
    run_ok(tmp_path, "git", "init", "-q")
    commit(tmp_path, "lock")
    return tmp_path


def test_a_whole_lock_or_none_is_left_alone() -> None:
    assert mend() == ""
    assert LOCK.read_text(encoding="utf-8") == TEXT == HEAD + "".join(
        f"  {name}:\n{lines}" for name, lines in entries(TEXT).items())
    LOCK.unlink()
    assert mend() == ""
    assert not LOCK.exists()


@pytest.mark.parametrize("copy", [False, True])
def test_an_empty_lock_is_the_last_whole_copy_or_the_committed_one(copy: bool) -> None:
    if copy:
        write_text(KEPT, NEWER)
    write_text(LOCK, "")
    assert ("taken from .himoe/dvc.lock." if copy else "taken from git's last commit.") in mend()
    assert LOCK.read_text(encoding="utf-8") == (NEWER if copy else TEXT)


def test_a_half_copy_does_not_count() -> None:
    write_text(KEPT, NEWER[:5000])
    write_text(LOCK, "")
    assert "git's last commit" in mend()
    assert LOCK.read_text(encoding="utf-8") == TEXT


def test_wherever_it_is_cut_the_entries_before_are_kept_and_the_rest_is_there() -> None:
    """At random places, at ends of lines too; a cut at the end of an entry is none that can be seen, and harms none."""
    draw = random.Random(5)
    ends = [place for place, letter in enumerate(NEWER) if letter == "\n"]
    newer = parse_yaml(NEWER, LOCK)["stages"]
    for cut in (30, *draw.sample(range(40, len(NEWER) - 1), 4), *(end + 1 for end in draw.sample(ends[5:-1], 4))):
        write_text(LOCK, NEWER[:cut])
        if is_whole(NEWER[:cut]):
            assert mend() == ""
            continue
        begins = [NEWER.index(f"\n  {name}:") + 1 for name in newer]
        whole = [name for name, following in zip(newer, begins[1:], strict=False) if cut >= following + 3]
        assert f"; {len(whole)} whole entries" in mend()
        found = parse_yaml(LOCK.read_text(encoding="utf-8"), LOCK)["stages"]
        assert found == {**STAGES, **{name: newer[name] for name in whole}}
        assert list(found) == list(STAGES)


def test_without_git_and_copy_the_entries_before_the_cut_are_all(project: Path) -> None:
    shutil.rmtree(project / ".git")
    write_text(LOCK, TEXT[:TEXT.index("\n  download@deap:") + 30])
    assert "taken from" not in mend()
    found = LOCK.read_text(encoding="utf-8")
    assert is_whole(found)
    assert found == TEXT[:TEXT.index("\n  download@deap:") + 1]
