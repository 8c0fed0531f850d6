"""WESAD reader (wrist part), on small files in the published layout and, where present, on the real ones."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from open_sets import e4_text, write_wrist

from himoe.core.errors import InputError
from himoe.datasets import fetch, wesad
from himoe.inspection.checks import check_place
from himoe.inspection.locate import place_of

OFFSET_S = 40
DURATION_S = 1000
RATES_HZ = {"BVP": 64, "EDA": 4, "TEMP": 4, "ACC": 32}
# As in S14: the second meditation first; times as a spreadsheet writes them (2.5 is 2 min 50 s).
QUEST = """# Subj;S14;;;;;
# ORDER;Base;TSST;Medi 2;Fun;Medi 1;bRead;
# START;0;2.5;6;9.05;12.1;5.4;
# END;2.4;5.4;9;12;15.1;5.5;
;;;;;;
# PANAS;1;1;3;1;1;
# DIM;5;2;;;;
# DIM;3;7;;;;
# DIM;4;3;;;;
# DIM;7;2;;;;
# DIM;9;1;;;;
"""


def wave(name: str, channels: int = 1) -> np.ndarray:
    """A stream that differs from sample to sample and between channels, (N, C), as an E4 prints it."""
    n = DURATION_S * RATES_HZ[name]
    return np.round(np.sin(np.arange(n)[:, None] / 7 + np.arange(channels)) * 20 + 30, 2)


def streams() -> dict[str, str]:
    made = {}
    for name, rate in RATES_HZ.items():
        values = wave(name, 3 if name == "ACC" else 1)
        if name == "TEMP":
            values[:3] = 382.21
        made[f"{name}.csv"] = e4_text(values, rate)
    return made


STREAMS = streams()


def write(root: Path, subject: str, quest: str = QUEST, files: Mapping[str, str | bytes] = STREAMS,
          offset_s: Any = OFFSET_S) -> None:
    write_wrist(root, subject, quest, files, offset_s)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, "S14")
    return tmp_path


def session(root: Path, subject: str = "S14") -> Any:
    [found] = wesad.DATASET.read(root, subject, {})
    return found


def test_conditions_go_by_name_in_the_files_order(root: Path) -> None:
    trials = session(root).trials
    assert [trial.trial for trial in trials] == ["Base", "TSST", "Medi2", "Fun", "Medi1"]
    assert [trial.stimulus for trial in trials] == [trial.trial for trial in trials]
    assert [tuple(trial.ratings.values()) for trial in trials] == [(5, 2), (3, 7), (4, 3), (7, 2), (9, 1)]


def test_times_are_minutes_and_seconds_on_the_chest_devices_clock(root: Path) -> None:
    found = {trial.trial: (trial.start_s, trial.start_s + trial.duration_s) for trial in session(root).trials}
    clock = {"Base": (0, 2 * 60 + 40), "TSST": (2 * 60 + 50, 5 * 60 + 40), "Medi2": (6 * 60, 9 * 60),
             "Fun": (9 * 60 + 5, 12 * 60), "Medi1": (12 * 60 + 10, 15 * 60 + 10)}
    assert found == {name: (first + OFFSET_S + wesad.TRIM_S, last + OFFSET_S - wesad.TRIM_S)
                     for name, (first, last) in clock.items()}


def test_streams_rates_units_and_values(root: Path) -> None:
    signals = session(root).signals
    assert {m: (s.sfreq_hz, s.data.shape) for m, s in signals.items()} == {
        "PPG": (64, (1, 64_000)), "EDA": (4, (1, 4000)), "TEMP": (4, (1, 4000)), "ACC": (32, (3, 32_000))}
    np.testing.assert_allclose(signals["PPG"].data[0], wave("BVP")[:, 0], rtol=1e-6)
    np.testing.assert_allclose(signals["ACC"].data * 64, wave("ACC", 3).T, rtol=1e-6)
    assert np.isnan(signals["TEMP"].data[0, :3]).all()  # 382.21 degC: before the first measurement
    np.testing.assert_allclose(signals["TEMP"].data[0, 3:], wave("TEMP")[3:, 0], rtol=1e-6)


def test_a_stream_that_starts_later_keeps_its_place(root: Path) -> None:
    write(root, "S14", files={**STREAMS, "EDA.csv": STREAMS["EDA.csv"].replace("1502262571", "1502262576")})
    assert {m: s.start_s for m, s in session(root).signals.items()} == {"PPG": 0, "EDA": 5, "TEMP": 0, "ACC": 0}


def test_a_folder_for_each_person_as_published(root: Path) -> None:
    (root / "S2").mkdir()
    for name in ("S14_E4_Data.zip", "S14_quest.csv"):
        (root / name).rename(root / "S2" / name.replace("S14", "S2"))
    (root / wesad.OFFSETS).write_text('{"S2": 40}')
    assert wesad.DATASET.inspect(root, {}).subjects == ("S2",)
    assert len(session(root, "S2").trials) == 5
    assert fetch.belonging(wesad.DATASET, root) == ("S2/S2_E4_Data.zip", "S2/S2_quest.csv", wesad.OFFSETS)


def test_people_in_order_and_what_is_absent(root: Path) -> None:
    write(root, "S3")
    write(root, "S10", offset_s=None)
    (root / "S4_quest.csv").write_text(QUEST)
    lines = QUEST.splitlines()
    short = [line.replace(";Fun", "").replace(";9.05", "").replace("9;12;", "9;") for line in lines]
    short.remove("# DIM;7;2;;;;")
    (root / "S3_quest.csv").write_text("\n".join(short))
    found = wesad.DATASET.inspect(root, {})
    assert found.subjects == ("S3", "S14")
    assert found.missing == ("S3_quest.csv: Fun", "S4_E4_Data.zip")
    assert "S10: found no entry" in found.problems[0]
    with pytest.raises(InputError, match="S10: found no entry"):
        session(root, "S10")


@pytest.mark.parametrize("old, new, message", [
    ("2.5;6;", "2.75;6;", r"# START, entry 2: found '2.75'.*minutes\.seconds"),
    ("2.5;6;", "2.505;6;", r"entry 2: found '2.505'"),
    ("2.5;6;", "2,5;6;", r"entry 2: found '2,5'"),
    ("END;2.4;", "END;3.4;", r"Base: found 0 to 220 s, TSST from 170 s on"),
    ("END;2.4;5.4;", "END;2.4;1.4;", r"TSST: found 170 to 100 s"),
    ("TSST;", "Stroop;", r"# ORDER: found 'Stroop', expected each at most once of Base TSST Fun"),
    ("Medi 2;", "Medi 1;", r"# ORDER: found 'Medi1' again"),
    ("# DIM;3;7;;;;\n", "", r"# DIM: found 4 lines, expected 5"),
    ("# DIM;3;7;", "# DIM;3;10;", r"# DIM of TSST: found 3;10"),
    ("# DIM;3;7;", "# DIM;3;;", r"# DIM of TSST: found 3,"),
    ("# START;0;", "# START;0;1;", r"found 6, 7 and 6 entries"),
    ("# END;", "# FIN;", r"# END: found 0 lines"),
    ("15.1;5.5", "19.5;5.5", r"Medi1: found 770 to 1230 s on the wrist device's clock.*inside its 1000 s"),
    ("2.5;6;9.05;", "2.5;6;10.1;", r"Fun: found 650 to 760 s.*more than 120 s"),
])
def test_a_questionnaire_that_cannot_be_is_named(root: Path, old: str, new: str, message: str) -> None:
    assert old in QUEST
    (root / "S14_quest.csv").write_text(QUEST.replace(old, new))
    with pytest.raises(InputError, match=message):
        session(root)


def test_an_end_that_was_not_recorded_is_a_gap_and_noted(root: Path) -> None:
    (root / "S14_quest.csv").write_text(QUEST.replace("15.1;5.5", "17.1;5.5"))
    found = session(root)
    assert "Medi1: the last 10 s were not recorded" in found.notes[0]
    assert np.isnan(found.signals["EDA"].cut(found.trials[-1].start_s, found.trials[-1].duration_s).data[0, -40:]).all()


@pytest.mark.parametrize("name, change, message", [
    ("BVP.csv", lambda text: text.replace("64.000000", "32.000000"), r"BVP.csv: lines 1 and 2.*rate of 64 Hz"),
    ("EDA.csv", lambda text: text.replace("1502262571.000000\n", ""), r"EDA.csv: lines 1 and 2"),
    ("EDA.csv", lambda text: text + "x7\n", r"EDA.csv: line 4003: found 'x7', expected a number"),
    ("TEMP.csv", lambda text: text + "nan\n", r"TEMP.csv: found a value that is not finite"),
    ("ACC.csv", lambda text: text + "1,2\n", r"ACC.csv: line 32003: found '1,2', expected 3 numbers"),
    ("ACC.csv", lambda text: text + "1,2,3,4\n4,5\n", r"ACC.csv: line 32003"),
    ("EDA.csv", lambda text: text.replace("\n", "\n\n", 5), r"EDA.csv: line 2"),
    ("EDA.csv", lambda text: text.replace(".", ","), r"EDA.csv: line 1: .*expected 1 number"),
    ("BVP.csv", lambda text: "", r"BVP.csv: line 1"),
    ("BVP.csv", lambda text: b"\xff\xfe1", r"BVP.csv: found bytes that are not text"),
])
def test_streams_that_cannot_be_are_named(root: Path, name: str, change: Any, message: str) -> None:
    write(root, "S14", files={**STREAMS, name: change(STREAMS[name])})
    with pytest.raises(InputError, match=message):
        session(root)


def test_broken_and_foreign_archives(root: Path) -> None:
    path = root / "S14_E4_Data.zip"
    whole = path.read_bytes()
    path.write_bytes(whole[:len(whole) // 2])
    with pytest.raises(InputError, match=r"S14_E4_Data.zip: found an archive that cannot be opened"):
        session(root)
    path.write_bytes(whole[:2000] + bytes(200) + whole[2200:])
    with pytest.raises(InputError, match=r"cannot be opened"):
        session(root)
    write(root, "S14", files={name: text for name, text in STREAMS.items() if name != "ACC.csv"})
    with pytest.raises(InputError, match=r"found 0 files ACC.csv"):
        session(root)
    write(root, "S14", files={**STREAMS, "TEMP.csv": b" " * (86400 * 4 * wesad.LINE_BYTES + 1)})
    with pytest.raises(InputError, match=r"TEMP.csv: found 34560001 bytes"):  # more than a day: not unpacked
        session(root)


@pytest.mark.parametrize("text, message", [("[40]", "found list"), ('{"S14": "40"}', "S14: found '40'"),
                                           ('{"S14": NaN}', "S14: found nan"), ("{}", "no entry"), ("{", "not JSON")])
def test_offsets_that_cannot_be_are_named(root: Path, text: str, message: str) -> None:
    (root / wesad.OFFSETS).write_text(text)
    with pytest.raises(InputError, match=message):
        wesad.DATASET.inspect(root, {})


def test_folders_without_the_set(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=wesad.OFFSETS):
        wesad.DATASET.inspect(tmp_path, {})
    (tmp_path / wesad.OFFSETS).write_text("{}")
    with pytest.raises(InputError, match="no person's files"):
        wesad.DATASET.inspect(tmp_path, {})


def test_check_finds_the_set_and_names_a_bad_file(root: Path) -> None:
    write(root, "S3", quest=QUEST.replace("2.5;6;", "2.75;6;"))
    place = place_of(root, "wesad")
    assert place.root == root
    assert wesad.DATASET.inspect(root, {}).subjects == ("S14",)  # one bad file does not stop the others
    assert [finding.text.partition(": found")[0].rpartition("/")[2] for finding in check_place(place)
            if finding.level == "error"] == ["S3_quest.csv: # START, entry 2"]
    write(root, "S3", files={**STREAMS, "EDA.csv": STREAMS["EDA.csv"] + "x\n"})
    found = [finding for finding in check_place(place) if finding.level == "error"]
    assert any("S3_E4_Data.zip: EDA.csv: line 4003" in finding.text for finding in found)
    assert not any("S14" in finding.text.partition(":")[0] for finding in found)


def test_real_files() -> None:
    place = os.environ.get("HIMOE_WESAD_PATH")
    if not place:
        pytest.skip("HIMOE_WESAD_PATH is not set: the real WESAD files are not here")
    root = Path(place)
    found = wesad.DATASET.inspect(root, {})
    assert not found.problems
    for subject in found.subjects:
        one = session(root, subject)
        assert sorted(trial.trial for trial in one.trials) == sorted(wesad.CONDITIONS)
        lengths_s = {trial.trial: trial.duration_s + 2 * wesad.TRIM_S for trial in one.trials}
        assert 1000 < lengths_s.pop("Base") < 1300
        assert all(300 < length_s < 800 for length_s in lengths_s.values())
        assert not one.notes
