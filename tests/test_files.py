"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pipeline_helpers import ROOT

from himoe.core import files
from himoe.core.errors import InputError
from himoe.core.files import atomic_path, parts_in, read_json, require_file, sha256, write_json

WRITE = """
import sys
from pathlib import Path
from himoe.core.files import atomic_path
with atomic_path(Path(sys.argv[1])) as folder:
    folder.mkdir()
    (folder / "half").touch()
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("before")

    def fail_half_way() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert target.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    for content in ("one", "two"):
        with atomic_path(target) as temporary:
            temporary.mkdir()
            (temporary / content).write_text(content)
    assert [p.name for p in target.iterdir()] == ["two"]
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_what_a_killed_process_left_goes_and_what_others_write_stays(tmp_path: Path) -> None:
    target = tmp_path / "set"
    writers = [subprocess.Popen([sys.executable, "-c", WRITE, str(target)], cwd=ROOT, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True) for _ in range(2)]
    dead, living = (Path(str(writer.stdout and writer.stdout.readline().strip())) for writer in writers)
    writers[0].send_signal(signal.SIGKILL)
    writers[0].wait()
    process, elsewhere = writers[0].pid, dead.with_name(dead.name.replace(".set.", ".set.else"))
    elsewhere.mkdir()  # of a process on another machine that sees this disk
    kept = dead.with_name(dead.name.replace(".set.", ".other."))
    kept.mkdir()
    assert dead.is_dir()
    with atomic_path(target) as temporary:
        temporary.write_text("new")
    assert {path.name for path in tmp_path.iterdir()} == {living.name, elsewhere.name, kept.name, "set"}
    assert str(process) in kept.name
    with parts_in(tmp_path):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {living.name, elsewhere.name, "set"}
    writers[1].communicate("")
    assert [path.name for path in target.iterdir()] == ["half"]


def test_unfinished_files_stand_in_the_folder_for_them_unless_that_is_another_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, parts = tmp_path / "data" / "a", tmp_path / "parts"
    with parts_in(parts):
        with atomic_path(target) as temporary, atomic_path(target) as second:
            assert temporary.parent == second.parent == parts
            assert temporary != second
            second.write_text("second")
            temporary.write_text("first")
        assert [path.read_text() for path in target.parent.iterdir()] == ["first"]
        assert [path for path in parts.iterdir() if ".a." in path.name] == []
        monkeypatch.setattr(files.Path, "stat", lambda path: os.stat_result(
            [os.stat(path).st_mode, 0, int(path == parts), *os.stat(path)[3:]]))
        with atomic_path(target) as temporary:
            assert temporary.parent == target.parent
            temporary.write_text("third")
    assert target.read_text() == "third"


@pytest.mark.parametrize("folder", [False, True])
def test_a_disk_that_is_mounted_twice_is_copied_across(folder: bool, tmp_path: Path,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    rename, target, parts = os.replace, tmp_path / "data" / "a", tmp_path / "parts"

    def replace(source: Path, place: Path) -> None:
        if source.parent != place.parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(source, place)

    monkeypatch.setattr(os, "replace", replace)
    with parts_in(parts):
        for text in ("one", "two"):
            with atomic_path(target) as temporary:
                if folder:
                    temporary.mkdir()
                (temporary / "file" if folder else temporary).write_text(text)
    assert (target / "file" if folder else target).read_text() == "two"
    assert [path.name for path in target.parent.iterdir()] == ["a"]
    assert list(parts.iterdir()) == []


def test_what_a_killed_worker_left_inside_a_folder_does_not_become_a_part_of_it(tmp_path: Path) -> None:
    target = tmp_path / "set"
    with atomic_path(target) as folder:
        (folder / "deep").mkdir(parents=True)
        for name in (".s01.parquet.node-4242-0.part", "s02.part"):  # the second is a file that somebody called so
            (folder / "deep" / name).touch()
    assert [path.name for path in (target / "deep").iterdir()] == ["s02.part"]


def test_what_is_durable_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, synced = tmp_path / "model", []

    def sync(descriptor: int) -> None:
        synced.append((Path(os.readlink(f"/proc/self/fd/{descriptor}")).name, target.exists()))

    monkeypatch.setattr(os, "fsync", sync)
    with atomic_path(target, durable=True) as folder:
        (folder / "fold").mkdir(parents=True)
        (folder / "fold" / "weights").write_text("w")
    assert sorted(synced) == sorted([(folder.name, False), ("fold", False), ("weights", False), (tmp_path.name, True)])


def test_json_refuses_nan_and_reads_a_byte_order_mark(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert not (tmp_path / "x.json").exists()
    (tmp_path / "y.json").write_bytes(b"\xef\xbb\xbf{\"a\": 1}")
    assert read_json(tmp_path / "y.json") == {"a": 1}


def test_truncated_json_and_missing_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "cut.json").write_text('{"a": [1, 2')
    with pytest.raises(InputError, match=r"cut\.json.*truncated"):
        read_json(tmp_path / "cut.json")
    with pytest.raises(InputError, match=r"nothing\.csv: the file is missing"):
        require_file(tmp_path / "nothing.csv")


def test_sha256_is_hashlibs(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"abc" * 1000)
    assert sha256(tmp_path / "b") == hashlib.sha256(b"abc" * 1000).hexdigest()
