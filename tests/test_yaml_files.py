"""YAML files: read as DVC reads them, each key once, and bounded where somebody else may have made them."""

from __future__ import annotations

from pathlib import Path

import pytest

from himoe.core.errors import InputError
from himoe.core.yaml_files import read_bounded_yaml, read_yaml

TEXT = "rate: 1e-3\nswitch: on\nnames: [y, 012, 1:30]\nbelow: {a: &x 2.5, b: *x}\n"
READ = {"rate": 0.001, "switch": "on", "names": ["y", 12, "1:30"], "below": {"a": 2.5, "b": 2.5}}


def test_both_ways_read_yaml_1_2_as_dvc_does(tmp_path: Path) -> None:
    from dvc.utils.serialize import load_yaml

    path = tmp_path / "x.yaml"
    for mark in ("", "\ufeff"):
        path.write_text(mark + TEXT.replace("1:30", "'1:30'"), encoding="utf-8")
        assert read_yaml(path) == read_bounded_yaml(path, "see there") == READ
    assert load_yaml(str(path)) == READ
    path.write_text("unit: {time: 1:30}\n", encoding="utf-8")  # libyaml takes this colon for a mistake
    assert read_bounded_yaml(path, "see there") == {"unit": {"time": "1:30"}}


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml: the file is missing"):
        read_yaml(tmp_path / "none.yaml")


@pytest.mark.parametrize(("content", "message"), [
    (b"a: {b: 1, c: 2, b: 3}\n", "the key 'b' twice in one mapping, expected every key once"),
    (b"a: [1\n", "text that is not YAML .*line 2, column 1"), (b"a: \xff\n", "text that is not YAML"),
    (b"a: 1\n---\nb: 2\n", "text that is not YAML"), (b"- !!python/object/apply:os.system [ls]\n", "not YAML"),
    (b"a: 2020-13-45\n", "not YAML"), (b"a: *b\n", "not YAML"), (b"[1]\n", "found list, expected a mapping of keys"),
    (b"", "found NoneType"),
])
def test_what_is_no_mapping_is_one_sentence(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_yaml(path)
    assert str(caught.value).startswith(f"{path}: found ")
    assert "\n" not in str(caught.value)
    if content.strip() not in (b"", b"[1]"):
        with pytest.raises(InputError, match=message):
            read_bounded_yaml(path, "see there")
