"""Damaged raw files in bulk: each gives one clear sentence naming file and field, or the documented gap."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from inspection_sets import SFREQ_HZ, dreamer_person, rewrite_dreamer, write_bdf_set, write_dat_set

from himoe.core.errors import InputError
from himoe.core.recordings import Session
from himoe.datasets import deap, dreamer
from himoe.simulate import layouts

TEXT = b"Dear colleague,\nplease find the data attached.\n"
SETS = {"bdf": (deap.DATASET, {"layout": "bdf"}), "dat": (deap.DATASET, {"layout": "dat"}),
        "dreamer": (dreamer.DATASET, {})}


def read(root: Path, kind: str, subject: str) -> list[Session]:
    dataset, options = SETS[kind]
    return list(dataset.read(root, subject, options))


def write_set(root: Path, kind: str) -> tuple[Path, str]:
    """A small whole set: the file of its first subject, and that subject."""
    if kind == "dreamer":
        layouts.write_dreamer(root, [dreamer_person(1), dreamer_person(2)])
        return root / "DREAMER.mat", "s01"
    write_bdf_set(root, (4, 23)) if kind == "bdf" else write_dat_set(root, (4, 23))
    folder, ending = deap.LAYOUTS[kind]
    return root / folder / f"s04{ending}", "s04"


def refusal(root: Path, kind: str, subject: str) -> str:
    """The sentence with which a reader refuses."""
    with pytest.raises(InputError) as caught:
        read(root, kind, subject)
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(".")
    return text


# Whole sets as the simulator writes them


# The file as a whole

@pytest.mark.parametrize("kind", SETS)
@pytest.mark.parametrize("content", [b"", TEXT * 400, b"\0" * 4096], ids=["empty", "text", "zeros"])
def test_a_file_of_the_wrong_kind_is_refused_by_name(tmp_path: Path, kind: str, content: bytes) -> None:
    path, subject = write_set(tmp_path, kind)
    path.write_bytes(content)
    assert str(path) in refusal(tmp_path, kind, subject)


@pytest.mark.parametrize("kind", SETS)
@pytest.mark.parametrize("share", [0.001, 0.5, 0.9999])
def test_a_file_cut_off_anywhere_is_refused_by_name(tmp_path: Path, kind: str, share: float) -> None:
    path, subject = write_set(tmp_path, kind)
    whole = path.read_bytes()
    path.write_bytes(whole[:int(len(whole) * share)])
    assert str(path) in refusal(tmp_path, kind, subject)


@pytest.mark.parametrize("kind, content", [("bdf", b""), ("dat", TEXT), ("bdf", b"\0" * 300), ("dat", b"\xff\xfe\x00")],
                         ids=["empty", "text", "zeros", "bytes"])
def test_a_ratings_file_of_the_wrong_kind_is_refused_by_name(tmp_path: Path, kind: str, content: bytes) -> None:
    write_set(tmp_path, kind)
    (tmp_path / deap.RATINGS_FILE).write_bytes(content)
    assert str(tmp_path / deap.RATINGS_FILE) in refusal(tmp_path, kind, "s04")
    dataset, options = SETS[kind]
    with pytest.raises(InputError, match=r"participant_ratings\.csv"):
        dataset.inspect(tmp_path, options)


# BDF headers: 256 bytes on the recording, then a field of all 48 channels after the other

CHANNELS = 48
PLACES = {"label": (0, 16), "transducer": (16, 80), "unit": (96, 8), "physical_min": (104, 8), "physical_max": (112, 8),
          "digital_min": (120, 8), "digital_max": (128, 8), "prefilter": (136, 80), "samples": (216, 8)}


def rewrite_header(path: Path, field: str, channel: int, text: str) -> None:
    start, width = PLACES[field]
    content = bytearray(path.read_bytes())
    place = 256 + CHANNELS * start + channel * width
    content[place:place + width] = text.ljust(width).encode("ascii")
    path.write_bytes(content)


def channel_of(path: Path, label: str) -> int:
    content = path.read_bytes()[256:256 + 16 * CHANNELS]
    return [content[16 * k:16 * k + 16].decode("ascii").strip() for k in range(CHANNELS)].index(label)


@pytest.mark.parametrize("label", ["Fp1", "EXG7", "GSR1", "Temp"])
def test_a_renamed_bdf_channel_is_named(tmp_path: Path, label: str) -> None:
    path, _ = write_set(tmp_path, "bdf")
    rewrite_header(path, "label", channel_of(path, label), "Ch-1")
    assert f"{path}, channel {label}: found channels" in refusal(tmp_path, "bdf", "s04")


@pytest.mark.parametrize("field, channel, text, message", [
    ("unit", "Fp1", "furlong", "unit of Fp1: found 'furlong', expected uV or mV"),
    ("samples", "Oz", "none", "header"), ("samples", "Oz", "-4", "s04.bdf"),
    ("samples", "Oz", "32", "samples per record"),
    ("physical_max", "Cz", "wide", "header"), ("digital_min", "Cz", "8388607", "digital range"),
    ("samples", "Plet", "0", "s04.bdf"),
])
def test_bdf_header_fields_that_cannot_be(tmp_path: Path, field: str, channel: str, text: str, message: str) -> None:
    path, _ = write_set(tmp_path, "bdf")
    rewrite_header(path, field, channel_of(path, channel), text)
    told = refusal(tmp_path, "bdf", "s04")
    assert str(path) in told
    assert message in told


def test_a_channel_twice_in_a_bdf_is_refused(tmp_path: Path) -> None:
    path, _ = write_set(tmp_path, "bdf")
    rewrite_header(path, "label", channel_of(path, "Erg2"), "Cz")
    assert f"{path}, channel Cz: found it 2 times" in refusal(tmp_path, "bdf", "s04")


def test_a_trial_that_the_recording_cuts_short_has_a_gap(tmp_path: Path) -> None:
    """The music starts 9.5 s before the recording's end: what was not recorded is a gap."""
    written = write_bdf_set(tmp_path, (4,))["s04"]
    layouts.write_deap_bdf(tmp_path, 4, written, SFREQ_HZ, (10.25, 140.5))
    (session,) = read(tmp_path, "bdf", "s04")
    cut = session.signals["PPG"].cut(session.trials[1].start_s, 60.0)
    assert np.isnan(cut.data).sum() == round(50.5 * SFREQ_HZ)


# DREAMER by its fields


def electrodes(names: tuple[str, ...]) -> np.ndarray:
    return np.array(names, dtype=object)


def test_shuffled_dreamer_electrodes_are_read_by_name(tmp_path: Path) -> None:
    write_set(tmp_path, "dreamer")
    before = read(tmp_path, "dreamer", "s02")
    order = np.random.default_rng(1).permutation(14)
    people = [dreamer_person(1), dreamer_person(2)]
    for person in people:
        person["eeg"] = [clip[:, order] for clip in person["eeg"]]
    layouts.write_dreamer(tmp_path, people)
    names = electrodes(tuple(dreamer.EEG_CHANNELS[k] for k in order))
    rewrite_dreamer(tmp_path, lambda top: top.update(EEG_Electrodes=names))
    after = read(tmp_path, "dreamer", "s02")
    for old, new in zip(before, after, strict=True):
        assert new.signals["EEG"].ch_names == dreamer.EEG_CHANNELS
        np.testing.assert_array_equal(new.signals["EEG"].data, old.signals["EEG"].data)


@pytest.mark.parametrize("key, clip", [("eeg", np.empty((0, 14))), ("ecg", np.empty((0, 0))),
                                       ("eeg", np.full((7808, 14), "x", dtype="U1"))], ids=["no rows", "[]", "text"])
def test_a_dreamer_clip_that_is_empty_or_text_is_named(tmp_path: Path, key: str, clip: np.ndarray) -> None:
    people = [dreamer_person(1)]
    people[0][key][0] = clip
    layouts.write_dreamer(tmp_path, people)
    told = refusal(tmp_path, "dreamer", "s01")
    assert f"DREAMER.Data{{1}}.{key.upper()}.stimuli{{1}}" in told or "Data{1}, clip 1" in told
