"""Real files as devices wrote them: each is read, or refused in one sentence. They are not part of the project."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from himoe.core.errors import InputError
from himoe.datasets.devices import open_device, text_format
from himoe.datasets.devices.contract import find_stream
from himoe.inspection.look import inspect_path

FOLDER = Path(os.environ.get("HIMOE_FORMATS_PATH") or Path(__file__).parents[3] / "shared" / "data" / "formats")
ENDINGS = {".edf": "edf", ".bdf": "edf", ".vhdr": "brainvision", ".xdf": "xdf", ".set": "eeglab", ".fif": "fif"}
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(),
                                reason="HIMOE_FORMATS_PATH is not set: the real files are not here")


def recordings() -> list[tuple[Path, str]]:
    found = [(path, ENDINGS[path.suffix.lower()]) for path in sorted(FOLDER.rglob("*"))
             if path.suffix.lower() in ENDINGS]
    texts = [(path, text_format(path)) for path in sorted(FOLDER.rglob("*")) if path.suffix in (".csv", ".txt")]
    found += [(path, name) for path, name in texts if name is not None]
    return found + [(path.parent, "e4") for path in sorted(FOLDER.rglob("BVP.csv"))]


@pytest.mark.parametrize(("path", "name"), [
    pytest.param(path, name, id=path.relative_to(FOLDER).as_posix()) for path, name in recordings()])
def test_every_recording_is_read_to_its_end_or_refused(path: Path, name: str) -> None:
    if "Hypnogram" in path.name:  # annotations to another recording
        with pytest.raises(InputError, match="annotations and no signal"):
            open_device(path, name)
        return
    file = open_device(path, name)
    assert sum(stream.n_samples for stream in file.streams) > 0
    for stream in file.streams:
        data = stream.read(0, stream.n_samples, range(len(stream.channels)))
        assert data.shape == (len(stream.channels), stream.n_samples)
        bad = np.isnan(data).all(axis=1) & (stream.n_samples > 0)  # by the table of channels beside it
        assert np.isfinite(data[~bad]).all() or name == "muse"  # which leaves cells empty
        assert bad.any() == any("as bad: a gap" in note for note in file.notes) or name == "muse"
    assert all(-1 <= mark.time_s <= file.duration_s + 1 for mark in file.markers())


def test_every_file_is_told_or_refused_in_a_sentence() -> None:
    refused = {}
    for path in sorted(path for path in FOLDER.rglob("*") if path.is_file()):
        try:
            inspect_path(path)
        except InputError as error:
            refused[path] = str(error)
    assert all(": found " in said and ", expected " in said for said in refused.values())
    assert not [path for path in refused if path.suffix.lower() in ENDINGS and "Hypnogram" not in path.name]


def test_edf_and_bdf_twins_hold_the_same_samples() -> None:
    twins = FOLDER / "edf_bdf_edfio"
    for name in ("short_psg", "test_subsecond"):
        edf, bdf = (open_device(twins / f"{name}.{ending}", "edf") for ending in ("edf", "bdf"))
        assert (edf.start, edf.markers()) == (bdf.start, bdf.markers())
        for one, other in zip(edf.streams, bdf.streams, strict=True):
            assert (one.channels, one.units, one.sfreq_hz) == (other.channels, other.units, other.sfreq_hz)
            np.testing.assert_allclose(one.read(0, 500, [0]), other.read(0, 500, [0]), atol=1e-6)


def test_edf_against_mne_where_all_channels_have_one_rate() -> None:
    import mne

    path = FOLDER / "edf_bdf_edfio" / "mne_test.edf"
    raw = mne.io.read_raw_edf(path, preload=False, verbose="ERROR")
    stream, picks = find_stream(open_device(path, "edf"), raw.ch_names[:5], None)
    expected = 1e6 * raw.get_data(picks=[0, 1, 2, 3, 4], start=100, stop=1700)
    np.testing.assert_allclose(stream.read(100, 1700, picks), expected, atol=1e-6)


def test_minimal_xdf_as_its_readme_says() -> None:
    """3 int16 channels, 9 samples from 5.1 s on; a clock offset of -0.1 s; the second stream are strings."""
    file = open_device(FOLDER / "xdf" / "minimal.xdf", "xdf")
    stream = file.streams[0]
    assert (stream.name, stream.sfreq_hz, stream.n_samples) == ("SendDataC", 10, 9)
    np.testing.assert_array_equal(stream.read(0, 3, [0, 1, 2]), [[192, 12, 13], [255, 22, 23], [238, 32, 33]])
    np.testing.assert_allclose(stream.times_s(), np.arange(9) / 10, atol=1e-6)
    assert file.markers()[1].text == "Hello"
