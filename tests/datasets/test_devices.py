"""Files of devices: every sample, unit, time and marker as it was written; what is damaged is refused or named."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pytest
from device_files import (
    E4_START,
    e4_values,
    pause_edf,
    write_brainvision,
    write_e4,
    write_edf,
    write_fif,
    write_muse,
    write_openbci,
    write_set,
    write_shimmer,
    write_xdf,
    xdf_stream,
    zip_folder,
)

from himoe.core.errors import InputError
from himoe.datasets.clock import Clock
from himoe.datasets.devices import FORMATS, format_of, open_device, patterns_of
from himoe.datasets.devices.contract import Marker, find_stream
from himoe.datasets.devices.cut import cut_stream
from himoe.datasets.devices.units import unit_factor

START = datetime.datetime(2024, 3, 1, 14, 5, 10, 250_000)  # a wall clock's time
UNIX_S = START.replace(tzinfo=datetime.UTC).timestamp()


def eeg(channels: int, samples: int) -> np.ndarray:
    return np.random.default_rng(3).integers(-300, 300, (channels, samples)).astype(float)


# --- EDF and BDF ---------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["edf", "bdf"])
def test_edf_signals_of_two_rates_units_start_and_annotations(tmp_path: Path, ending: str) -> None:
    fast, slow = eeg(2, 1280), eeg(1, 70)[0]
    path = write_edf(tmp_path / f"a.{ending}", {"Fp1": (fast[0], 128, "uV"), "T": (slow, 7, "degC"),
                                                "Cz": (fast[1], 128, "uV")}, START, [(2.5, "video  1"), (7.125, "end")])
    file = open_device(path, "edf")
    assert file.start is not None
    assert (file.start.unix_s, file.start.zoned) == (pytest.approx(UNIX_S), False)
    assert file.markers() == (Marker(2.5, "video 1"), Marker(7.125, "end"))
    stream, picks = find_stream(file, ["Cz", "Fp1"], None)
    assert (stream.sfreq_hz, stream.n_samples, stream.units) == (128, 1280, ("uV", "uV"))
    step = 8000 / (2**16 if ending == "edf" else 2**24)  # of the converter
    np.testing.assert_allclose(stream.read(130, 1190, picks), fast[::-1, 130:1190], atol=step)
    temperature, places = find_stream(file, ["T"], None)
    assert temperature.sfreq_hz == 7
    np.testing.assert_allclose(temperature.read(3, 66, places), slow[np.newaxis, 3:66], atol=step)


def test_triggers_of_a_biosemi_status_channel(tmp_path: Path) -> None:
    codes = np.zeros(1024)
    codes[100:110], codes[300:305], codes[305:310] = 4, 4, 7
    path = write_edf(tmp_path / "a.bdf", {"A1": (eeg(1, 1024)[0], 256, "uV"), "Status": (codes, 256, "Boolean")})
    path.write_bytes(_with_status(path.read_bytes(), codes.astype(int)))
    file = open_device(path, "edf")
    assert [(mark.time_s * 256, mark.text) for mark in file.markers()] == [(100, "4"), (300, "4"), (305, "7")]
    assert [stream.channels for stream in file.streams] == [("A1",)]


def _with_status(content: bytes, codes: np.ndarray) -> bytes:
    """A BDF+ with *codes* as stored numbers of its second signal (high bits set, as BioSemi does)."""
    signals = int(content[252:256])
    place = 256 + 216 * signals
    counts = [int(content[place + 8 * k:place + 8 * k + 8]) for k in range(signals)]
    body = np.frombuffer(content[256 * (signals + 1):], dtype=np.uint8).reshape(-1, sum(counts), 3).copy()
    stored = (codes + 0x30000).reshape(-1, counts[1])
    for byte in range(3):
        body[:, counts[0]:counts[0] + counts[1], byte] = stored >> (8 * byte) & 0xFF
    return content[:256 * (signals + 1)] + body.tobytes()


def test_an_edf_that_was_cut_off_says_so(tmp_path: Path) -> None:
    path = write_edf(tmp_path / "a.edf", {"Fp1": (eeg(1, 1280)[0], 128, "uV")})
    path.write_bytes(path.read_bytes()[:-100])
    file = open_device(path, "edf")
    assert file.streams[0].n_samples == 9 * 128
    assert "10 records, 9 are whole" in file.notes[0]


@pytest.mark.parametrize("ending", ["edf", "bdf"])
def test_pauses_of_an_interrupted_edf_are_gaps(tmp_path: Path, ending: str) -> None:
    fast, slow = np.arange(1280.0), np.arange(80.0)
    codes = np.where(np.arange(160) < 72, 0, 5)  # from the first half of record 4 on
    path = write_edf(tmp_path / f"a.{ending}", {"Cz": (fast, 128, "uV"), "Status": (codes, 16, "Boolean"),
                                                "T": (slow, 8, "degC")}, START, [(2.5, "long enough for times")])
    onsets_s = np.array([0.25, 1.25, 2.25, 3.25, 6.75, 7.75, 8.75, 108.875, 109.875, 110.875])
    pause_edf(path, [f"+{onset:g}" for onset in onsets_s])
    if ending == "bdf":
        path.write_bytes(_with_status(path.read_bytes(), codes))
    file = open_device(path, "edf")
    assert file.start is not None
    assert (file.start.unix_s, file.duration_s, file.breaks_s) == (pytest.approx(UNIX_S), 111.625, ())
    assert "paused 2 times" in file.notes[0]
    marks = [(round(mark.time_s, 6), mark.text) for mark in file.markers()]
    assert marks == [(2.5, "long enough for times"), *([(7.0, "5")] if ending == "bdf" else [])]
    for name, data, rate in (("Cz", fast, 128), ("T", slow, 8)):
        stream, picks = find_stream(file, [name], None)
        expected = np.full(120 * rate, np.nan)
        for record, onset in enumerate(onsets_s - 0.25):
            first = round((onset - 2) * rate) + 3 * rate
            expected[first:first + rate] = data[record * rate:(record + 1) * rate]
        about = ("a", stream, picks, stream.units[picks[0]], Clock(rate, np.inf))
        found = cut_stream(*about, 2.0, 110 * rate)
        np.testing.assert_allclose(found.data[0], expected[3 * rate:113 * rate], atol=8000 / 2**16)
        assert not cut_stream(*about, 20.0, 60 * rate).inside


@pytest.mark.parametrize(("onsets", "message"), [
    ("+0 +1 +3 +2.5 +7", "record 4: found one that begins at 2.5 s, .* ends at 4 s"),
    ("+0 +1 +2 +x +4", "record 4: found no time"), ("+0 +1 +2 +3 +7e9", "record 5: found no time"),
    ("+0 +1 +2 +3 +7000000", "pauses of up to 7 days")])
def test_an_interrupted_edf_that_goes_back_in_time_is_refused(tmp_path: Path, onsets: str, message: str) -> None:
    path = write_edf(tmp_path / "a.edf", {"Cz": (eeg(1, 640)[0], 128, "uV")}, None, [(2, "long enough for times")])
    with pytest.raises(InputError, match=message):
        open_device(pause_edf(path, onsets.split()), "edf")
    path.write_bytes(path.read_bytes().replace(b"EDF+D", b"EDF+C"))
    with pytest.raises(InputError, match=r"EDF\+C|annotations"):
        open_device(path, "edf").markers()


@pytest.mark.parametrize(("content", "message"), [
    (b"", "beginning with"), (b"0       " + b"x" * 300, "cannot be read"), (b"\xffBIOSEMI", "beginning with"),
    (b"0       ".ljust(252) + b"0   ", "cannot be read")])
def test_what_is_no_edf_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.edf").write_bytes(content)
    with pytest.raises(InputError, match=message):
        open_device(tmp_path / "a.edf", "edf")


# --- BrainVision, EEGLAB, FIF --------------------------------------------------------------------


def test_brainvision_in_the_files_own_unit_with_markers_and_start(tmp_path: Path) -> None:
    data = eeg(3, 1000)
    path = write_brainvision(tmp_path / "a.vhdr", data, ["Fp1", "Fp2", "Cz"], 250,
                             marks=[("Stimulus", "S  4", 100), ("Response", "R  1", 700)])
    file = open_device(path, "brainvision")
    assert [(mark.time_s, mark.text) for mark in file.markers()][-2:] == [(0.4, "Stimulus/S 4"), (2.8, "Response/R 1")]
    assert file.start is not None
    assert (file.start.unix_s, file.start.zoned) == (UNIX_S - 0.25, False)
    stream = file.streams[0]
    assert (stream.channels, stream.units, stream.sfreq_hz) == (("Fp1", "Fp2", "Cz"), ("µV",) * 3, 250)
    np.testing.assert_allclose(stream.read(10, 900, [2, 0]), data[[2, 0], 10:900], atol=1e-6)
    assert {one.name for one in file.files} == {"a.vhdr", "a.eeg"}
    assert file.breaks_s == ()


def test_brainvision_may_not_point_elsewhere(tmp_path: Path) -> None:
    path = write_brainvision(tmp_path / "a.vhdr", eeg(1, 500), ["Cz"], 250)
    path.write_text(path.read_text(encoding="utf-8").replace("DataFile=a.eeg", "DataFile=../../etc/passwd"))
    with pytest.raises(InputError, match="DataFile"):
        open_device(path, "brainvision")


def test_fif_in_volts_with_what_was_not_recorded_as_gaps(tmp_path: Path) -> None:
    date = START.replace(tzinfo=datetime.UTC)
    data = eeg(2, 1000) * 1e-6
    path = write_fif(tmp_path / "a_raw.fif", data, ["Fp1", "Cz"], 250,
                     [(1.0, 0.4, "BAD_ACQ_SKIP"), (2.0, 0.0, "video 1")], date)
    file = open_device(path, "fif")
    assert file.start is not None
    assert (file.start.unix_s, file.start.zoned) == (pytest.approx(UNIX_S), True)
    assert Marker(2.0, "video 1") in file.markers()
    found = file.streams[0].read(200, 400, [1])
    lost = np.zeros(200, dtype=bool)
    lost[50:150] = True
    np.testing.assert_array_equal(np.isnan(found[0]), lost)
    np.testing.assert_allclose(found[0, ~lost], data[1, 200:400][~lost], rtol=1e-9)
    assert file.streams[0].units == ("V", "V")


def test_eeglab_with_events(tmp_path: Path) -> None:
    data = eeg(2, 600)
    path = write_set(tmp_path / "a.set", data, ["Fp1", "Cz"], 200, [(1.0, "video 1"), (2.5, "end")])
    file = open_device(path, "eeglab")
    assert [(mark.time_s, mark.text) for mark in file.markers()] == [(1.0, "video 1"), (2.5, "end")]
    stream = file.streams[0]
    np.testing.assert_allclose(stream.read(0, 600, [0, 1]) * unit_factor(stream.units[0], "uV"), data, rtol=1e-5)
    assert file.start is None


@pytest.mark.parametrize(("name", "message"), [
    ("a.vhdr", "MNE cannot read"), ("a.set", "without its header"), ("a.fif", "no tag of a FIF file")])
def test_what_mne_cannot_read_is_one_sentence(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / name).write_bytes(b"\0\1nothing")
    with pytest.raises(InputError, match=message):
        open_device(tmp_path / name, format_of("x", name, None))


# --- XDF -----------------------------------------------------------------------------------------


def test_xdf_streams_labels_clocks_and_markers(tmp_path: Path) -> None:
    stamps = 500 + np.arange(300) / 100
    values = eeg(2, 300).T
    path = write_xdf(tmp_path / "a.xdf", [
        xdf_stream("amp", "EEG", stamps, values, 100, ["Fp1", "Cz"], "microvolts",
                   offsets=[(500, -3.0), (505, -3.0), (510, -3.0)]),
        xdf_stream("marks", "Markers", [498.0, 499.5], ["video 1", "end"], form="string"),
        xdf_stream("pad", "Markers", [498.5], [[7]], form="int16"), xdf_stream("dead", "GSR", [], [], 32, ["g"]),
        xdf_stream("bare", "ACC", stamps[:20], eeg(3, 20).T, 100, form="double64")], "2024-03-01T15:05:10+0100")
    file = open_device(path, "xdf")
    assert file.start is not None
    assert (file.start.unix_s, file.start.zoned) == (UNIX_S - 0.25, True)
    amp, dead, bare = file.streams
    # The amplifier's computer is 3 s ahead: its first sample is the file's first, at 497 s of the recorder's clock.
    np.testing.assert_allclose(amp.times_s(), np.arange(300) / 100, atol=1e-6)
    assert [(round(mark.time_s, 6), mark.text) for mark in file.markers()] == [
        (1.0, "video 1"), (1.5, "7"), (2.5, "end")]
    np.testing.assert_array_equal(amp.read(5, 200, [1]), values[5:200, 1:].T)
    assert (amp.channels, bare.channels, amp.sfreq_hz) == (("Fp1", "Cz"), ("1", "2", "3"), 100)
    assert unit_factor(amp.units[0], "uV") == 1
    assert (dead.n_samples, dead.read(0, 0, [0]).shape) == (0, (1, 0))
    assert find_stream(file, ["Cz"], "EEG")[0] is amp
    peeked = open_device(path, "xdf", samples=False)
    assert [(one.name, one.channels, one.units, one.sfreq_hz, one.n_samples) for one in peeked.streams] == [
        (one.name, one.channels, one.units, one.sfreq_hz, one.n_samples) for one in file.streams]
    with pytest.raises(InputError, match="one of 'amp'"):
        find_stream(file, ["Cz"], "ECG")


def test_an_xdf_that_was_cut_off_is_named_or_refused(tmp_path: Path) -> None:
    path = write_xdf(tmp_path / "a.xdf", [xdf_stream("amp", "EEG", np.arange(2000) / 100, eeg(2, 2000).T, 100)])
    whole = path.read_bytes()
    for share in (0.02, 0.3, 0.71):
        path.write_bytes(whole[:int(len(whole) * share)])
        try:
            file = open_device(path, "xdf")
        except InputError:
            continue
        assert file.streams[0].n_samples < 2000
        assert file.notes, "a file that was cut off without a word"


# --- Empatica E4 ---------------------------------------------------------------------------------


@pytest.mark.parametrize("zipped", [False, True])
def test_e4_sensors_start_units_and_tags(tmp_path: Path, zipped: bool) -> None:
    path = write_e4(tmp_path / "a", 60, tags_s=[5.5, 30], late_s={"HR": 10})
    if zipped:
        path = zip_folder(path, tmp_path / "a.zip")
    file = open_device(path, "e4")
    assert file.start is not None
    assert (file.start.unix_s, file.start.zoned) == (E4_START, True)
    assert [(round(mark.time_s, 6), mark.text) for mark in file.markers()] == [(5.5, "tag"), (30, "tag")]
    acc, picks = find_stream(file, ["ACC_Z", "ACC_X"], None)
    np.testing.assert_allclose(acc.read(64, 128, picks), e4_values("ACC", 60)[64:128, [2, 0]].T)
    heart = find_stream(file, ["HR"], None)[0]
    assert (heart.start_s, heart.sfreq_hz) == (10, 1)
    beats = find_stream(file, ["IBI"], "IBI")[0]
    assert beats.sfreq_hz is None
    np.testing.assert_allclose(beats.times_s()[:3], [1.0, 1.8, 2.6])
    assert find_stream(file, ["EDA"], None)[0].units == ("uS",)


def test_e4_files_cut_off_or_empty_are_named(tmp_path: Path) -> None:
    folder = write_e4(tmp_path / "a", 60)
    bvp = folder / "BVP.csv"
    bvp.write_text("\n".join(bvp.read_text().splitlines()[:642]) + "\n12.3")
    (folder / "EDA.csv").write_text("")
    file = open_device(folder, "e4")
    assert find_stream(file, ["BVP"], None)[0].n_samples == 640
    assert find_stream(file, ["EDA"], None)[0].n_samples == 0
    for words in ("BVP.csv: the file was cut off in its last row", "EDA.csv: an empty file", "BVP at 10 s"):
        assert sum(words in note for note in file.notes) == 1


@pytest.mark.parametrize(("name", "content", "message"), [
    ("EDA.csv", "0.1\n0.2\n0.3\n", "row 1, the start"), ("EDA.csv", f"{E4_START}\n4;0\n0.1\n", "row 2, the rate"),
    ("EDA.csv", f"{E4_START}\n4.0\n0,1\n0,2\n", "2 numbers"),
    ("EDA.csv", f"{E4_START}\n4.0\n0.1\n\n0.2\n", "blank row"),
    ("ACC.csv", f"{E4_START},{E4_START + 1},{E4_START}\n32,32,32\n1,2,3\n", "row 1"),
    ("EDA.csv", f"{E4_START}\n4.0\n0.1\nnan\n", "row 4"), ("EDA.csv", f"{E4_START}\n4.0\n0.1\nx\n", "not numbers")])
def test_e4_files_that_are_not_as_said_are_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    folder = write_e4(tmp_path / "a", 10)
    (folder / name).write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        open_device(folder, "e4")
    assert name in str(caught.value)


# --- Muse, OpenBCI, Shimmer: samples stamped when their packet arrived --------------------------------------------


def test_muse_even_times_between_breaks_and_elements(tmp_path: Path) -> None:
    values = eeg(2, 512 * 40)
    true_s = np.arange(values.shape[1]) / 256
    true_s[5004:] += 7  # the band was out of reach
    path = write_muse(tmp_path / "a.csv", true_s, values, [(3.0, "/muse/elements/blink"), (30.5, "/Marker/1")])
    file = open_device(path, "muse")
    stream, picks = find_stream(file, ["RAW_AF7", "RAW_TP9"], None)
    assert (stream.units[picks[0]], stream.sfreq_hz, file.notes) == ("uV", 256, ())
    np.testing.assert_array_equal(stream.read(100, 600, picks), values[::-1, 100:600])
    assert np.abs(stream.times_s() - true_s).max() < 0.03  # packets of 12 samples arrive up to 47 ms late
    assert np.ptp(np.diff(stream.times_s()[:5004])) < 1e-9
    assert [(round(mark.time_s, 1), mark.text) for mark in file.markers()] == [(3.0, "/muse/elements/blink"),
                                                                               (30.5, "/Marker/1")]
    assert file.start is not None
    assert (round(file.start.unix_s, 1), file.start.zoned) == (pytest.approx(UNIX_S, abs=0.1), False)
    assert np.isnan(stream.read(0, 9, [stream.channels.index("Battery")])).all()  # empty cells


def test_openbci_lost_packets_are_gaps_and_markers_numbers(tmp_path: Path) -> None:
    values = eeg(2, 5000)
    kept = np.delete(np.arange(5000), np.arange(1000, 1010))
    path = write_openbci(tmp_path / "a.txt", kept, values[:, kept], 250, {2500: 3})
    file = open_device(path, "openbci")
    stream, picks = find_stream(file, ["EXG Channel 1"], None)
    assert (stream.n_samples, stream.units[picks[0]], stream.sfreq_hz) == (4990, "uV", 250)
    np.testing.assert_array_equal(stream.read(0, 4990, picks)[0], values[1, kept])
    np.testing.assert_allclose(stream.times_s() - stream.times_s()[0], kept / 250, atol=2e-3)
    assert "10 samples were lost" in file.notes[0]
    assert [(round(mark.time_s, 2), mark.text) for mark in file.markers()] == [(10, "3")]
    assert file.start is not None
    assert (round(file.start.unix_s), file.start.zoned) == (E4_START, True)


def test_shimmer_names_units_and_measured_rate(tmp_path: Path) -> None:
    values = eeg(2, 900)
    path = write_shimmer(tmp_path / "a.csv", np.arange(900) / 51.2, values)
    file = open_device(path, "shimmer")
    stream, picks = find_stream(file, ["GSR_Skin_Conductance"], "Shimmer_40AC")
    assert (stream.units[picks[0]], stream.sfreq_hz) == ("uS", pytest.approx(51.2, rel=1e-3))
    np.testing.assert_array_equal(stream.read(10, 700, picks), values[1:, 10:700])
    assert np.abs(stream.times_s() - np.arange(900) / 51.2).max() < 0.03


@pytest.mark.parametrize("name", ["muse", "openbci", "shimmer"])
@pytest.mark.parametrize("damage", ["cut off", "a field too many", "a word", "another file"])
def test_text_files_that_are_damaged(tmp_path: Path, name: str, damage: str) -> None:
    values = eeg(2, 300)
    path = {"muse": lambda: write_muse(tmp_path / "a.csv", np.arange(300) / 256, values, []),
            "openbci": lambda: write_openbci(tmp_path / "a.txt", np.arange(300), values, 250, {}),
            "shimmer": lambda: write_shimmer(tmp_path / "a.csv", np.arange(300) / 51.2, values)}[name]()
    lines = path.read_text().splitlines()
    mark = ";" if name == "shimmer" else ","
    cells = lines[150].split(mark)
    if damage == "another file":
        path.write_text("Fp1,Cz\n1,2\n3,4\n")
    elif damage == "cut off":
        path.write_text("\n".join(lines)[:-len(lines[-1]) // 2])
        assert "cut off" in " ".join(open_device(path, name).notes)
        return
    else:
        lines[150] = mark.join([*cells[:2], "x", *(cells[2:] if "many" in damage else cells[3:])])
        path.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=r"a\.(csv|txt)"):
        open_device(path, name)


# --- all -----------------------------------------------------------------------------------------


def test_units() -> None:
    assert unit_factor("µV", "uV") == 1
    assert unit_factor("V", "uV") == pytest.approx(1e6)
    assert unit_factor("kOhm", "Ohm") == 1000
    assert unit_factor("", "uV") == 1
    assert unit_factor("mV", "uS") is None
    assert unit_factor("1/64 g", "g") is None


def test_formats_by_ending_and_what_belongs_to_them() -> None:
    endings = ("BDF", "edf", "vhdr", "set", "xdf", "zip", "csv")
    assert [format_of("x", f"{{subject}}.{ending}", None) for ending in endings] == [
        "edf", "edf", "brainvision", "eeglab", "xdf", "e4", "table"]
    assert format_of("x", "{subject}", "e4") == "e4"
    for file, said in (("{subject}", None), ("{subject}.edf", "wfdb")):
        with pytest.raises(InputError, match=r"x\.f"):
            format_of("x", file, said)
    assert patterns_of("brainvision", "*/a.vhdr") == (
        "*/a.vhdr", "*/*.eeg", "*/*.vmrk", "*/*.dat", "*/*_channels.tsv", "*/*_events.tsv")
    assert patterns_of("bids_physio", "a/*.tsv.gz") == (
        "a/*.tsv.gz", "a/*_physio.json", "a/*dataset_description.json", "*_physio.json", "*dataset_description.json")
    assert patterns_of("e4", "*")[:2] == ("*/BVP.csv", "*/EDA.csv")
    assert patterns_of("e4", "*.zip") == ("*.zip",)
    assert set(FORMATS) == {"edf", "brainvision", "eeglab", "fif", "xdf", "e4", "muse", "openbci", "shimmer",
                            "bids_physio"}
