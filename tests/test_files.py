"""Files appear whole or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from himoe.core.errors import InputError
from himoe.core.files import atomic_path, read_json, require_file, sha256, write_json


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
