"""Recordings with bytes changed, cut or repeated: read to the end, or one sentence; never another error."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from device_files import (
    pause_edf,
    write_brainvision,
    write_e4,
    write_edf,
    write_fif,
    write_muse,
    write_openbci,
    write_physio,
    write_set,
    write_shimmer,
    write_xdf,
    xdf_stream,
    zip_folder,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from himoe.core.errors import InputError
from himoe.datasets.devices import open_device

NAMES = {"a.edf": "edf", "d.edf": "edf", "a.bdf": "edf", "a.vhdr": "brainvision", "a.set": "eeglab",
         "a_raw.fif": "fif", "a.xdf": "xdf", "a.zip": "e4", "m.csv": "muse", "o.txt": "openbci",
         "s.csv": "shimmer", "sub-1_physio.tsv.gz": "bids_physio"}
BESIDE = {"a.vhdr": ("a.eeg", "a.vmrk"), "sub-1_physio.tsv.gz": ("sub-1_physio.json",)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("devices")
    data = np.random.default_rng(2).integers(-300, 300, (2, 600)).astype(float)
    write_edf(root / "a.edf", {"Fp1": (data[0], 100, "uV"), "T": (data[1][:60], 10, "degC")}, None, [(1, "x")])
    pause_edf(write_edf(root / "d.edf", {"Fp1": (data[0], 100, "uV")}, None, [(1, "longer than a time")]),
              ["+0", "+1", "+2", "+7.5", "+8.5", "+99"])
    write_edf(root / "a.bdf", {"Fp1": (data[0], 100, "uV"), "Status": (data[1], 100, "Boolean")}, None, [(1, "x")])
    write_brainvision(root / "a.vhdr", data, ["Fp1", "Cz"], 100, marks=[("Stimulus", "S 1", 50)])
    write_set(root / "a.set", data, ["Fp1", "Cz"], 100, [(1, "x")])
    write_fif(root / "a_raw.fif", data * 1e-6, ["Fp1", "Cz"], 100, [(1, 0, "x")])
    write_xdf(root / "a.xdf", [
        xdf_stream("amp", "EEG", np.arange(600) / 100, data.T, 100, ["Fp1", "Cz"], "uV", offsets=[(0, 0.1), (3, 0.1)]),
        xdf_stream("task", "Markers", [1.0, 2.0], ["x", "y"], form="string")], "2024-03-01T15:05:10+0100")
    zip_folder(write_e4(root / "e4", 10, tags_s=[1]), root / "a.zip")
    write_muse(root / "m.csv", np.arange(600) / 256, data, [(1, "/x")])
    write_openbci(root / "o.txt", np.arange(600), data, 250, {3: 1})
    write_shimmer(root / "s.csv", np.arange(600) / 51.2, data)
    write_physio(root / "sub-1_physio.tsv.gz", data.T, ["a", "b"], 10, 0)
    return root


def damaged(content: bytes, how: str, place: float, value: bytes) -> bytes:
    k = int(place * (len(content) - 1))
    if how == "cut":
        return content[:k]
    return content[:k] + (value if how == "put in" else b"") + value + content[k + len(value):]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(NAMES)), st.integers(0, 2), st.sampled_from(["cut", "change", "put in"]),
       st.one_of(st.floats(0, 1), st.floats(0, 0.1)), st.binary(min_size=1, max_size=12))
def test_never_another_error_than_a_sentence(folder: Path, name: str, which: int, how: str, place: float,
                                             value: bytes) -> None:
    files = [folder / file for file in (name, *BESIDE.get(name, ()))]
    victim = files[which % len(files)]
    whole = victim.read_bytes()
    try:
        victim.write_bytes(damaged(whole, how, place, value))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file = open_device(folder / name, NAMES[name])
            assert all(np.isfinite(mark.time_s) for mark in file.markers())
            for stream in file.streams:
                data = stream.read(0, stream.n_samples, range(len(stream.channels)))
                assert data.shape == (len(stream.channels), stream.n_samples)
    except InputError as error:
        found = str(error)
        assert ": found " in found and "\n" not in found  # noqa: PT018
    finally:
        victim.write_bytes(whole)
