"""What is wrong with a raw folder: one finding each, of the right level, at the right place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from inspection_sets import dat_arrays, dreamer_person, write_bdf_set, write_dat_set

from himoe.core.errors import InputError
from himoe.core.recordings import Session, Signal, Trial
from himoe.datasets import deap, dreamer
from himoe.datasets.base import Dataset, Inventory
from himoe.inspection.checks import Finding, check_place
from himoe.inspection.folders import describe_place
from himoe.inspection.locate import Place, place_of
from himoe.inspection.look import inspect_path
from himoe.simulate import layouts


def dat_findings(root: Path, jobs: int = 1) -> list[Finding]:
    """What is wrong besides files that are absent altogether."""
    place = Place(root, replace(deap.DATASET, videos=None), ("dat",))
    return [finding for finding in check_place(place, jobs) if "no such file" not in finding.text]


def write_dat(root: Path, change: Callable[[np.ndarray], object], number: int = 6) -> None:
    """Write one subject's file anew with its data changed in place."""
    data, labels = dat_arrays(number)
    change(data)
    layouts.write_deap_dat(root, number, data, labels)


def test_both_layouts_are_checked(tmp_path: Path) -> None:
    write_bdf_set(tmp_path, (4,))
    write_dat_set(tmp_path, (4,))
    (tmp_path / "data_original" / "s04.bdf").write_bytes(b"")
    (tmp_path / "data_preprocessed_python" / "s04.dat").write_bytes(b"")
    place = Place(tmp_path, replace(deap.DATASET, videos=None), ("bdf", "dat"))
    errors = [finding.text for finding in check_place(place) if finding.level == "error"]
    assert [text.partition(":")[0].rpartition("/")[2] for text in errors] == ["s04.bdf", "s04.dat"]


def test_a_subject_that_cannot_be_read_is_one_entry_and_the_rest_goes_on(tmp_path: Path) -> None:
    write_dat_set(tmp_path)
    (tmp_path / "data_preprocessed_python" / "s06.dat").write_bytes(b"\0" * 99)
    write_dat(tmp_path, lambda data: data[1, 39].fill(31.5), 24)
    findings = dat_findings(tmp_path)
    assert [finding.level for finding in findings] == ["error", "note"]
    assert "s06.dat" in findings[0].text
    assert "s24, TEMP: found one constant value in channel Temp in 1 of 2 trials" in findings[1].text
    assert dat_findings(tmp_path, jobs=2) == findings


@pytest.mark.parametrize("change, level, text", [
    (lambda data: data[:, 37].fill(np.nan), "missing", "s06, RSP: found no usable sample in 2 of 2 trials (v03 v17)"),
    (lambda data: data[0, 38].fill(np.nan), "missing", "s06, PPG: found no usable sample in 1 of 2 trials (v03)"),
    (lambda data: data[1, 4].fill(np.nan), "note", "s06, EEG: found no usable sample in channel FC5 in 1 of 2 trials"),
    (lambda data: data[:, 7].fill(2.0), "note", "s06, EEG: found no usable sample in channel T7 in 2 of 2 trials"),
    (lambda data: data[1].__setitem__(slice(None), data[0]), "error",
     "trials s06 v03 and s06 v17: found identical samples in EEG EOG EMG EDA RSP PPG TEMP"),
    (lambda data: data[:, 36].__isub__(5e5), "error", "s06, EDA: found 1 channels (GSR) at 128 Hz in a.u. in 2 of 2"),
])
def test_signals_that_are_wrong(tmp_path: Path, change: Callable[[np.ndarray], object], level: str, text: str) -> None:
    write_dat_set(tmp_path)
    write_dat(tmp_path, change)
    findings = dat_findings(tmp_path)
    assert [finding.level for finding in findings] == [level]
    assert text in findings[0].text


def test_lost_samples_are_told_from_five_percent_on(tmp_path: Path) -> None:
    write_dat_set(tmp_path, (6,))
    first = 3 * 128  # the baseline is not part of a trial
    for lost, expected in ((760, []), (776, ["note"])):  # of 15360 samples: 4.95 and 5.05 %, one channel alone
        write_dat(tmp_path, lambda data, n=lost: data[0, 39, first:first + n].fill(np.nan))
        findings = dat_findings(tmp_path)
        assert [finding.level for finding in findings] == expected


def test_trials_of_two_people_must_not_be_copies(tmp_path: Path) -> None:
    write_dat_set(tmp_path)
    data, labels = dat_arrays(24)
    data[1, :32] = dat_arrays(6)[0][0, :32]
    layouts.write_deap_dat(tmp_path, 24, data, labels)
    (finding,) = dat_findings(tmp_path)
    assert finding.level == "error"
    assert "trials s06 v03 and s24 v17: found identical samples in EEG, expected every trial once" in finding.text


def test_ratings_that_are_missing_are_counted(tmp_path: Path) -> None:
    people = [dreamer_person(1), dreamer_person(2)]
    people[1]["arousal"][1:] = np.nan
    layouts.write_dreamer(tmp_path, people)
    findings = check_place(Place(tmp_path, dreamer.DATASET))
    assert [finding.level for finding in findings] == ["missing", "missing"]
    assert "2 subjects, 23 are published" in findings[0].text
    assert "s02, rating of arousal: found none in 2 of 3 trials (v02 v03)" in findings[1].text


def test_a_folder_that_cannot_be_inspected_is_one_error(tmp_path: Path) -> None:
    (finding,) = check_place(Place(tmp_path, dreamer.DATASET))
    assert finding.level == "error"
    assert "DREAMER.mat: the file is missing" in finding.text


# A form made for the purpose

def form(trials: Mapping[str, list[float]], **changes: Any) -> Dataset:
    """A set of EDA alone: subject -> the level at which each of its trials starts."""
    def read(root: Path, subject: str, options: Mapping[str, str]) -> Iterator[Session]:
        for k, level in enumerate(trials[subject], start=1):
            if level < 0:
                raise ZeroDivisionError("a level below zero")
            data = (level + np.arange(40, dtype=np.float32) / 7)[np.newaxis]
            yield Session(subject, {"EDA": Signal(data.astype(np.float32), 4.0, ("GSR",), "uS")},
                          (Trial(f"v{k:02d}", f"v{k:02d}", 0.0, 10.0, {"valence": 3.0}),))

    return replace(deap.DATASET, name="made", dimensions=("valence",), modalities={"EDA": deap.MODALITIES["EDA"]},
                   inspect=lambda root, options: Inventory(tuple(trials), (), ()), read=read, videos=None, **changes)


def test_a_reader_that_fails_otherwise_is_one_entry(tmp_path: Path) -> None:
    dataset = form({"s01": [1.0, -2.0, 3.0], "s02": [4.0, 5.0, 6.0]})
    (finding,) = check_place(Place(tmp_path, dataset))
    assert finding.level == "error"
    assert "subject s01: found data that its reader cannot handle (ZeroDivisionError: a level below" in finding.text


def test_a_problem_of_the_look_is_an_error_where_it_quotes_a_refusal(tmp_path: Path) -> None:
    problems = ("s03 is left out: s03.mat: found 4 bytes, expected a complete file; fetch it again.",
                "s04 has no second visit.")
    dataset = replace(form({"s01": [1.0]}), inspect=lambda root, options: Inventory(("s01",), (), problems))
    assert check_place(Place(tmp_path, dataset)) == [Finding("error", problems[0]), Finding("missing", problems[1])]
    (report,) = describe_place(Place(tmp_path, dataset))
    assert (report["errors"], report["problems"]) == ([problems[0]], [problems[1]])


def test_numbers_of_trials_are_compared(tmp_path: Path) -> None:
    findings = check_place(Place(tmp_path, form({"s01": [1.0, 2.0], "s02": [3.0, 4.0], "s03": [5.0], "s04": [6, 7],
                                                 "s05": []})))
    assert [finding.level for finding in findings] == ["error", "note"]
    assert "s05: found no trial" in findings[0].text
    assert "s03: found 1 trials, expected 2, as most subjects have" in findings[1].text


def test_channels_of_another_name_than_published_are_noted(tmp_path: Path) -> None:
    dataset = form({"s01": [1.0]})
    other = replace(dataset, modalities={"EDA": replace(deap.MODALITIES["EDA"], names=("SCL",))})
    (finding,) = check_place(Place(tmp_path, other))
    assert finding.level == "note"
    assert "EDA: found channels GSR, expected SCL, as published" in finding.text


def test_modalities_read_only_on_demand_may_be_absent_and_equal(tmp_path: Path) -> None:
    twins = form({"s01": [1.0], "s02": [1.0]})
    assert [finding.level for finding in check_place(Place(tmp_path, twins))] == ["error"]
    lum = {**twins.modalities, "LUM": deap.MODALITIES["TEMP"]}
    assert check_place(Place(tmp_path, replace(twins, modalities=lum, default_off=("EDA", "LUM")))) == []
    levels = {finding.level for finding in check_place(Place(tmp_path, replace(twins, modalities=lum)))}
    assert levels == {"error", "missing"}


# Videos

def write_video(path: Path, seconds: float, width: int = 48, height: int = 32, fps: int = 10) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("mjpeg", rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuvj420p"
        for k in range(round(seconds * fps)):
            frame = av.VideoFrame.from_ndarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8), "rgb24")
            frame.pts, frame.time_base = k, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_videos_are_probed(tmp_path: Path) -> None:
    files = {name: write_video(tmp_path / f"{name}.avi", seconds)
             for name, seconds in (("v01", 10.0), ("v02", 7.0), ("v03", 10.0), ("v04", 10.0))}
    write_video(files["v03"], 10.0, width=64)
    files["v04"].write_bytes(files["v04"].read_bytes()[:9000])
    dataset = replace(form({"s01": [1.0, 2.0, 3.0, 4.0, 5.0], "s02": [6.0, 7.0, 8.0, 9.0, 10.0]}),
                      videos=lambda root, subject: files if subject == "s01" else {})
    findings = check_place(Place(tmp_path, dataset))
    assert [finding.level for finding in findings] == ["error", *["note"] * 4]
    texts = [finding.text for finding in findings]
    assert "v04.avi" in texts[0]
    assert "s01, face videos: found none of 1 of 5 trials (v05)" in texts[1]
    assert "v02.avi: found 7.0 s, expected 10.0 s, as the trial" in texts[2]
    assert "v03.avi: found 64 x 32 at 10 Hz, expected 48 x 32 at 10 Hz" in texts[3]
    assert "s02, face videos: found none of 5 of 5 trials (v01 v02 v03 v04 ...)" in texts[4]
    (report,) = describe_place(Place(tmp_path, dataset))
    assert [(row["videos"], row["width_px"], row["shortest_s"]) for row in report["face videos"]] == [
        (2, 48, 7.0), (1, 64, 10.0)]
    assert report["errors"] == [texts[0]]


def test_face_videos_of_deap(tmp_path: Path) -> None:
    write_dat_set(tmp_path, (6, 24))
    first = write_video(tmp_path / "face_video" / "s06" / "s06_trial01.avi", 60.0, fps=1)
    findings = [finding for finding in check_place(Place(tmp_path, deap.DATASET, ("dat",)))
                if "data_preprocessed" not in finding.text]
    assert [finding.level for finding in findings] == ["missing", "note", "note"]
    assert "s06_trial02.avi: found no such file" in findings[0].text
    assert "s06, face videos: found none of 1 of 2 trials (v03)" in findings[1].text
    assert "s24, face videos: found none of 2 of 2" in findings[2].text
    (report,) = inspect_path(tmp_path / "face_video")
    assert [(row["subject"], row["videos"], row["fps_hz"]) for row in report["face videos"]] == [("s06", 1, 1.0)]
    (file,) = inspect_path(first)
    assert (file["what"], file["set"], file["frames"], file["duration_s"]) == ("video", "deap", 60, 60.0)
    first.write_bytes(b"RIFF" + bytes(40))
    levels = [finding.level for finding in check_place(place_of(tmp_path, "deap")) if "s06_trial01" in finding.text]
    assert levels == ["error"]


def test_a_set_without_any_video_is_a_note_and_a_list_that_fails_an_error(tmp_path: Path) -> None:
    dataset = replace(form({"s01": [1.0], "s02": [2.0]}), videos=lambda root, subject: {})
    assert [finding.level for finding in check_place(Place(tmp_path, dataset))] == ["note"]

    def fails(root: Path, subject: str) -> dict[str, Path]:
        raise InputError(f"{subject}: found no order of trials, expected one; add it.")

    levels = [finding.level for finding in check_place(Place(tmp_path, replace(dataset, videos=fails)))]
    assert levels == ["error", "error", "note", "note"]
