"""Bytes flipped in any file between stages: the same is read to the last bit, or one sentence says which file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from report_folders import write_run
from safetensors.torch import save_file
from toysets import make_store, with_face, write_feature_store, write_store

from himoe.core.checksums import SUMS, checked, whole, write_sums
from himoe.core.errors import InputError
from himoe.core.recordings import Annotations, Recording, Signal
from himoe.core.sealed import open_table, write_table
from himoe.prepare.recording_files import read_description, read_recordings, write_description, write_recordings
from himoe.prepare.windows import read_shard, shard_paths
from himoe.scoring.results import load_results
from himoe.training.inference import read_weights
from pipeline.runs import read_folds
from pipeline.split import require_roles

FLIPS = 100  # of each kind of file; every other one flips a single byte
Read = Callable[[], Any]


def shards(folder: Path) -> tuple[Path, Read]:
    path = shard_paths(write_store(folder, with_face(make_store(1, 3, 4), hidden=[2, 3])))[0]
    return path, lambda: read_shard(path)


def features(folder: Path) -> tuple[Path, Read]:
    path = shard_paths(write_feature_store(folder / "features", write_store(folder, make_store(1, 2, 3))))[0]
    return path, lambda: read_shard(path)


def recordings(folder: Path) -> Read:
    rng = np.random.default_rng(0)
    rows = [Recording("s01", f"t{k}", f"v{k}", 6.0,
                      {"EEG": Signal(rng.standard_normal((2, 48)).astype(np.float32), 8.0, ("Fz", "Cz"), "uV")},
                      {"valence": 3.5 + k}, Annotations(np.arange(3.0), {"valence": rng.uniform(1, 9, 3)}))
            for k in range(3)]
    written = write_recordings(folder, "s01", rows)
    write_description(folder, {"set": "toy", "scale": [1, 9], **written})
    return lambda: (read_description(folder), read_recordings(folder, "s01"))


def signals(folder: Path) -> tuple[Path, Read]:
    read = recordings(folder)
    return folder / "signals" / "s01.parquet", read


def trials(folder: Path) -> tuple[Path, Read]:
    read = recordings(folder)
    return folder / "trials" / "s01.parquet", read


def description(folder: Path) -> tuple[Path, Read]:
    read = recordings(folder)
    return folder / "set.json", read


def folds(folder: Path) -> tuple[Path, Read]:
    table = pd.DataFrame({"fold": np.repeat([0, 1], 6), "role": ["train", "validation", "test"] * 4,
                          "subject": "s01", "trial": [f"t{k % 6}" for k in range(12)]})
    require_roles(table)
    table.to_csv(folder / "trial.csv", index=False)
    write_sums(folder)
    return folder / "trial.csv", lambda: read_folds(folder / "trial.csv")


def run_file(name: str) -> Callable[[Path], tuple[Path, Read]]:
    def make(folder: Path) -> tuple[Path, Read]:
        write_run(folder, "a")
        place = folder / ("scores" if name == "sweep.csv" else "runs") / "a"
        write_sums(place)

        def read() -> Any:
            result = load_results(["a"], folder / "runs", folder / "scores", folder / "metrics")["a"]
            return result.info, result.part("predictions"), result.part("sweep")

        return place / name, read

    return make


def weights(folder: Path) -> tuple[Path, Read]:
    path = folder / "fold-00_seed-0" / "weights.safetensors"
    path.parent.mkdir()
    save_file({"map.weight": torch.randn(5, 3), "map.bias": torch.randn(5)}, path)
    write_sums(folder)
    return path, lambda: read_weights(path)


KINDS = {"windows": shards, "features": features, "signals": signals, "trials": trials, "description": description,
         "folds": folds, "predictions": run_file("predictions.parquet"), "sweep": run_file("sweep.csv"),
         "run": run_file("run.json"), "sums": run_file(SUMS), "weights": weights}


def plain(value: Any) -> Any:
    """Nested values with arrays and frames as bytes, to be compared bit by bit."""
    if isinstance(value, pd.DataFrame):
        return value.to_json(double_precision=15), tuple(map(str, value.dtypes))
    if isinstance(value, torch.Tensor):
        return plain(value.numpy())
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return plain(vars(value)) if hasattr(value, "__dict__") else repr(value)


def parts(kind: str, content: bytes) -> list[tuple[int, int]]:
    """Places to flip: the whole file, and of Parquet also the footer by itself (most bytes are numbers)."""
    whole_file = (0, len(content))
    if content[-4:] != b"PAR1":
        return [whole_file]
    return [whole_file, (len(content) - 40 - int.from_bytes(content[-8:-4], "little"), len(content))]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_values_or_one_sentence(kind: str, tmp_path: Path) -> None:
    path, read = KINDS[kind](tmp_path)
    content, expected = path.read_bytes(), plain(read())
    rng = np.random.default_rng(0)
    refused = 0
    for k in range(FLIPS):
        low, high = parts(kind, content)[k % len(parts(kind, content))]
        broken = bytearray(content)
        for place in rng.integers(low, high, 1 if k % 4 < 2 else rng.integers(2, 9)):
            broken[place] ^= int(rng.integers(1, 256))
        path.write_bytes(broken)
        try:
            assert plain(read()) == expected
        except InputError as error:
            refused += 1
            message = str(error)
            assert path.name in message or SUMS in message, message
            assert "\n" not in message
            assert ": found " in message
            assert ", expected " in message
    assert refused > FLIPS // 2
    path.write_bytes(content)
    assert plain(read()) == expected


def test_every_byte_of_a_small_table_is_watched(tmp_path: Path) -> None:
    table = pa.table({"name": ["a", "a", "b"], "x": [0.5, None, 2.0], "y": pa.array([[1.0], [], [2.0, 3.0]])})
    path = tmp_path / "t.parquet"
    write_table(table, path, compression="none", use_dictionary=["name"])
    content = path.read_bytes()
    for place in range(len(content)):
        broken = bytearray(content)
        broken[place] ^= 1 << place % 8
        path.write_bytes(broken)
        try:
            assert open_table(path, "a table", "make it again").read().equals(table), place
        except InputError:
            continue


def test_other_readers_open_a_sealed_file(tmp_path: Path) -> None:
    frame = pd.DataFrame({"name": ["a", "b"], "x": [0.5, 2.0]})
    write_table(pa.Table.from_pandas(frame), tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), frame)
    frame.to_parquet(tmp_path / "plain.parquet")
    with pytest.raises(InputError, match=r"plain\.parquet: found no checksum, or a damaged one, expected a table"):
        open_table(tmp_path / "plain.parquet", "a table", "make it again")


def test_a_list_of_sums_is_that_of_sha256sum(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "a.csv").write_bytes(b"abc")
    write_sums(tmp_path)
    # the example of FIPS 180-4
    assert (tmp_path / SUMS).read_text() == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  below/a.csv\n")
    assert whole(tmp_path)
    (tmp_path / "below" / "b.csv").write_bytes(b"")
    with pytest.raises(InputError, match=r"SHA256SUMS: found no line for b\.csv"):
        checked(tmp_path / "below" / "b.csv", "make it again")
    (tmp_path / "below" / "a.csv").write_bytes(b"abd")
    assert not whole(tmp_path)
    assert not whole(tmp_path / "below")
