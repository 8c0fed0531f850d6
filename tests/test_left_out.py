"""What is bad and leaves the rest whole: short trials, damaged shards, ids such as NA, long values, a full disk."""

from __future__ import annotations

import errno
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from toysets import make_meta, make_store, write_store

from himoe.core.errors import InputError, bad_input
from himoe.core.files import read_json
from himoe.core.params import WindowParams
from himoe.core.recordings import Recording, Signal, Trial
from himoe.datasets.base import NotedSession
from himoe.prepare.recording_files import write_recordings
from himoe.prepare.windows import read_shard, shard_paths
from pipeline import preprocess
from pipeline.runs import read_folds
from pipeline.stage import main
from pipeline.window import LEFT_OUT, _subject, say_left_out

PARAMS = WindowParams(4.0, 2.0, "auto", 0.5)
META = replace(make_meta({"EDA": (1, 16, 4.0)}), label_source="trial")


def recording(subject: str, trial: str, n_samples: int) -> Recording:
    data = np.arange(n_samples, dtype=np.float32)[None]
    return Recording(subject, trial, trial, n_samples / 4, {"EDA": Signal(data, 4.0, ("a",), "uS")}, {"valence": 5.0})


# Short trials

@pytest.mark.parametrize("lengths, short, windows", [
    ([40, 15, 32], ["t1"], 7), ([15, 3, 16], ["t0", "t1"], 1), ([15, 1], ["t0", "t1"], 0), ([16], [], 1),
])
def test_short_trials_are_left_out_and_a_person_of_short_trials_too(tmp_path: Path, lengths: list[int],
                                                                    short: list[str], windows: int) -> None:
    for folder in ("trials", "signals"):
        (tmp_path / folder).mkdir()
    write_recordings(tmp_path, "mia", [recording("mia", f"t{k}", n) for k, n in enumerate(lengths)])
    left_out = {name: lengths[int(name[1:])] / 4 for name in short}
    assert _subject((tmp_path, META, PARAMS), tmp_path, "mia") == ("mia", left_out)
    shards = list(tmp_path.glob("*.parquet"))
    assert len(shards) == (windows > 0)
    if shards:
        index, arrays, _ = read_shard(shards[0])
        assert (len(index), len(arrays["EDA"])) == (windows, windows)
        assert not set(index["trial"]) & set(short)


def test_what_is_left_out_is_counted_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        say_left_out("mine", tmp_path, {}, 4.0)
        assert (list(tmp_path.iterdir()), caplog.records) == ([], [])
        say_left_out("mine", tmp_path, {"mia": {"t2": 3.5}, "jo": {f"t{k}": 1.0 for k in range(9)}}, 4.0)
    assert "mine: 10 trials are shorter than a window of 4 s and are left out: mia t2, jo t0, " in caplog.text
    assert read_json(tmp_path / LEFT_OUT)["trials"]["mia"] == {"t2": 3.5}


# Damaged shards

@pytest.mark.parametrize("part", ["end", "half", "nothing"])
def test_a_damaged_shard_is_one_sentence(tmp_path: Path, part: str) -> None:
    write_store(tmp_path, make_store())
    path = shard_paths(tmp_path)[0]
    content = path.read_bytes()
    path.write_bytes({"end": content[:-40] + bytes(40), "half": content[:len(content) // 2], "nothing": b""}[part])
    with pytest.raises(InputError, match="expected a window shard") as caught:
        read_shard(path)
    assert "\n" not in str(caught.value)


# Ids, values, parameters, disks

def test_a_fold_table_keeps_a_person_called_na(tmp_path: Path) -> None:
    path = tmp_path / "trial.csv"
    pd.DataFrame({"fold": [0, 0, 0], "role": ["train", "validation", "test"], "subject": ["NA", "null", "007"],
                  "trial": ["1", "nan", "02"]}).to_csv(path, index=False)
    table = read_folds(path)
    assert table["subject"].tolist() == ["NA", "null", "007"]
    assert table["trial"].tolist() == ["1", "nan", "02"]
    assert table["fold"].tolist() == [0, 0, 0]


@pytest.mark.parametrize("found", [" ".join(f"channel{k}" for k in range(9_999)), "x" * 70_000, "line\n" * 4_000])
def test_a_message_is_never_as_long_as_what_was_found(found: str) -> None:
    text = str(bad_input("file", found, found, "correct it"))
    assert len(text) < 2200
    assert "\n" not in text
    assert text.startswith(f"file: found {found[:4]}")
    assert f"({len(' '.join(found.splitlines()))} characters)" in text
    assert str(bad_input("file", "x" * 900, 3, "correct it")) == f"file: found {'x' * 900}, expected 3; correct it."


@pytest.mark.parametrize("error, message", [
    (OSError(errno.ENOSPC, "No space left on device", "data/x"), "data/x: found No space left on device, expected a "
     "file that can be read or written; make room on the disk and run again."),
    (OSError(errno.EDQUOT, "Disk quota exceeded"), "a file of this stage: found Disk quota exceeded, expected a file "
     "that can be read or written; make room on the disk and run again."),
    (PermissionError(errno.EACCES, "Permission denied", "data/x"), "data/x: found Permission denied, expected a file "
     "that can be read or written; check the disk and the permissions."),
    (PermissionError(errno.EACCES, "Permission denied", ".himoe/parts/.x.host-7-0.part", None, "data/x"),  # a rename
     "data/x: found Permission denied, expected a file that can be read or written; check the disk and the "
     "permissions."),
    (OSError(errno.ENOSPC, "No space left on device", ".himoe/parts/.x.host-7-0.part"), ".himoe/parts: found No space "
     "left on device, expected a file that can be read or written; make room on the disk and run again."),
])
def test_a_full_disk_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
                                     error: OSError, message: str) -> None:
    def run() -> None:
        raise error

    monkeypatch.setattr("sys.argv", ["stage"])
    with pytest.raises(SystemExit) as ended:
        main(run)
    assert ended.value.code == 1
    assert capsys.readouterr().err == f"error: {message}\n"


# Notes and doubts of reading, on their way through preprocess

@pytest.mark.parametrize("doubts", [(), ("t1.csv: found 5000 s, expected 0 s; say time_origin.",)])
def test_preprocess_keeps_notes_and_refuses_doubts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                   doubts: tuple[str, ...]) -> None:
    signal = Signal(np.random.default_rng(0).normal(size=(1, 80)).astype(np.float32), 4.0, ("a",), "uS")
    session = NotedSession("mia", {"EDA": signal}, (Trial("t1", "t1", 0.0, 20.0, {}),), ("cut off",), doubts)

    class Form:
        @staticmethod
        def read(*_: object) -> list[NotedSession]:
            return [session]

    monkeypatch.setattr(preprocess, "get_dataset", lambda *_: Form)
    work = preprocess.Work("mine", tmp_path, {}, "usual", {}, tmp_path)
    if doubts:
        with pytest.raises(InputError, match=r"say time_origin\."):
            preprocess._subject((work, None), tmp_path, "mia")
    else:
        part = preprocess._subject((work, None), tmp_path, "mia")
        assert (part.notes, part.written["subject"]) == (["cut off"], "mia")
