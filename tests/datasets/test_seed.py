"""The SEED reader, on files in its layout."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest
import scipy.io

from himoe.core.errors import InputError
from himoe.datasets import seed

LABELS = (1, 0, -1)
N_SAMPLES = (12001, 12801, 13401)
DATES = {1: ("20000301", "20000215", "20000401"), 12: ("20000110", "20000120", "20000130")}


def samples(number: int, visit: int, clip: int) -> np.ndarray:
    rng = np.random.default_rng([number, visit, clip])
    return rng.integers(-100, 100, (62, N_SAMPLES[clip - 1]), dtype=np.int8)  # files an eighth of the usual


def write(path: Path, content: dict[str, Any], compress: bool = False) -> None:
    path.parent.mkdir(exist_ok=True)
    scipy.io.savemat(path, content, do_compression=compress)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two subjects, three visits (the dates not in order of writing), three clips of small whole numbers."""
    root = tmp_path_factory.mktemp("seed")
    for number, dates in DATES.items():
        for visit, date in enumerate(sorted(dates), start=1):
            write(root / f"Preprocessed_EEG/{number}_{date}.mat",
                  {f"{'ab'[number > 9]}b{visit}_eeg{clip}": samples(number, visit, clip) for clip in (3, 1, 2)})
    write(root / "Preprocessed_EEG/label.mat", {"label": np.array([LABELS])})
    return root


@pytest.fixture
def root(written: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return shutil.copytree(written, tmp_path, dirs_exist_ok=True)


def change(root: Path, edit: Callable[[dict[str, Any]], object]) -> Path:
    """Change the variables of subject 1's first visit and write the file again."""
    path = root / "Preprocessed_EEG/1_20000215.mat"
    content = {name: value for name, value in scipy.io.loadmat(path).items() if not name.startswith("__")}
    edit(content)
    write(path, content)
    return path


def read(root: Path, subject: str = "s01") -> list[Any]:
    return list(seed.DATASET.read(root, subject, {}))


def test_visits_come_by_date_and_clips_by_number(root: Path) -> None:
    (root / "continuous_annotations.csv").write_text("participant,video,time_s,valence\n12,1,0.0,0.5\n")  # not used
    found = seed.DATASET.inspect(root, {})
    assert found.subjects == ("s01", "s12")
    assert found.missing == tuple(f"Preprocessed_EEG/{k}_*.mat" for k in (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15))
    assert found.problems == ("Preprocessed_EEG/label.mat: 3 labels, 15 are published.",)
    sessions = read(root, "s12")
    trials = [session.trials[0] for session in sessions]
    assert [trial.trial for trial in trials] == [f"d{d}v0{v}" for d in (1, 2, 3) for v in (1, 2, 3)]
    assert [trial.session for trial in trials] == ["1"] * 3 + ["2"] * 3 + ["3"] * 3
    for place, (session, trial) in enumerate(zip(sessions, trials)):
        visit, clip = place // 3 + 1, place % 3 + 1
        signal = session.signals["EEG"]
        np.testing.assert_array_equal(signal.data, samples(12, visit, clip).astype(np.float32))
        assert (session.subject, trial.stimulus, trial.duration_s) == ("s12", f"v0{clip}", 60.0)
        assert trial.ratings == {"valence": LABELS[clip - 1]}
        assert trial.annotations is None
        np.testing.assert_array_equal(signal.cut(trial.start_s, 60.0).data, signal.data[:, -12000:])
    assert (signal.sfreq_hz, signal.unit) == (200.0, "uV")


def test_channel_names_have_places_but_for_the_two_over_the_cerebellum(root: Path) -> None:
    names = read(root)[0].signals["EEG"].ch_names
    assert len(set(names)) == 62
    assert names[:5] == ("Fp1", "Fpz", "Fp2", "AF3", "AF4")
    assert names[-5:] == ("CB1", "O1", "Oz", "O2", "CB2")
    known = set(mne.channels.make_standard_montage("colin27_1005").ch_names)
    assert set(names) - known == {"CB1", "CB2"}


# Pieces missing

def test_a_missing_visit_is_said(root: Path) -> None:
    (root / "Preprocessed_EEG/12_20000110.mat").unlink()
    found = seed.DATASET.inspect(root, {})
    assert found.subjects == ("s01", "s12")
    assert "12_*.mat: 2 session files, 3 are published" in found.problems[1]
    assert [session.trials[0].session for session in read(root, "s12")] == ["1"] * 3 + ["2"] * 3


def test_a_missing_or_renamed_variable_is_a_missing_trial(root: Path) -> None:
    change(root, lambda content: content.update(ab1_egg2=content.pop("ab1_eeg2")))
    problem = seed.DATASET.inspect(root, {}).problems[1]
    assert problem.startswith("Preprocessed_EEG/1_20000215.mat: no variable for clip 2 (it has ab1_egg2")
    assert [session.trials[0].trial for session in read(root)][:3] == ["d1v01", "d1v03", "d2v01"]


def test_a_missing_subject_or_folder_is_named(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(InputError, match=r"2_\*\.mat: found no such file, expected the visits of s02"):
        read(root, "s02")
    with pytest.raises(InputError, match="found 's16', expected s01 to s15"):
        read(root, "s16")
    (root / "Preprocessed_EEG/label.mat").rename(root / "labels")
    for look in (lambda: seed.DATASET.inspect(root, {}), lambda: read(root)):
        with pytest.raises(InputError, match=r"label\.mat: the file is missing"):
            look()
    (root / "labels").rename(root / "Preprocessed_EEG/label.mat")
    with pytest.raises(InputError, match="the file is missing"):
        seed.DATASET.inspect(tmp_path_factory.mktemp("empty"), {})
    for path in (root / "Preprocessed_EEG").glob("*_*.mat"):
        path.rename(path.with_name(f"x{path.name}"))
    with pytest.raises(InputError, match=r"no subject that can be read \(.*x1_20000215\.mat: not named"):
        seed.DATASET.inspect(root, {})


def test_lost_samples_are_gaps(root: Path) -> None:
    def spoil(content: dict[str, Any]) -> None:
        for name in ("ab1_eeg1", "ab1_eeg2"):
            content[name] = content[name].astype(float)
        content["ab1_eeg1"][7, 40] = np.inf
        content["ab1_eeg1"][9, 100:200] = 3.0
        content["ab1_eeg1"][11, 300:399] = 3.0
        content["ab1_eeg2"][:] = np.nan

    change(root, spoil)
    first, second = (session.signals["EEG"].data for session in read(root)[:2])
    assert np.isnan(second).all()
    rows, columns = np.nonzero(np.isnan(first))
    assert rows.tolist() == [7] + [9] * 100
    assert columns.tolist() == [40, *range(100, 200)]


# Damaged files

TRUNCATED = (0, 60, 5000, 62 * 12001 + 300, -9)


@pytest.mark.parametrize("n_bytes", TRUNCATED)
def test_a_truncated_file_stops_its_subject_only(root: Path, n_bytes: int) -> None:
    path = root / "Preprocessed_EEG/1_20000215.mat"
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(InputError, match=r"1_20000215\.mat: found .*truncated or damaged; fetch it again\.$") as raised:
        read(root)
    found = seed.DATASET.inspect(root, {})
    assert found.subjects == ("s12",)
    assert found.problems[1] == f"s01 is left out: {raised.value}"


@pytest.mark.parametrize(("content", "message"), [
    (b"subject,clip\n1,2\n" * 30, "another header than that of MATLAB v5"),
    (b"\x89HDF\r\n\x1a\n" + bytes(600), r"a MATLAB v7\.3 \(HDF5\) file, expected a MATLAB v5 file"),
    (b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n", r"a MATLAB v7\.3 \(HDF5\) file"),
], ids=["text", "hdf5", "v7.3"])
@pytest.mark.parametrize("name", ["1_20000215.mat", "label.mat"])
def test_a_file_of_another_kind(root: Path, name: str, content: bytes, message: str) -> None:
    (root / "Preprocessed_EEG" / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{re.escape(name)}: found {message}"):
        read(root)


def transpose(content: dict[str, Any]) -> None:
    content["ab1_eeg2"] = content["ab1_eeg2"].T


def two_people(content: dict[str, Any]) -> None:
    content["cd1_eeg2"] = content.pop("ab1_eeg2")


def rename_all(content: dict[str, Any]) -> None:
    for clip in (1, 2, 3):
        content[f"clip{clip}"] = content.pop(f"ab1_eeg{clip}")


@pytest.mark.parametrize(("edit", "message"), [
    (transpose, r"variable ab1_eeg2: found shape \(12801, 62\), expected 62 channels x samples; transpose it"),
    (lambda c: c.update(ab1_eeg1=np.ones((61, 12001))), r"variable ab1_eeg1: found shape \(61, 12001\), expected 62"),
    (lambda c: c.update(ab1_eeg3=np.ones((62, 11999))), r"ab1_eeg3: found 11999 samples, 59\.995 s at 200 Hz"),
    (lambda c: c.update(ab1_eeg3=np.zeros((62, 185000), np.int8)), r"ab1_eeg3: found 185000 samples, 925\.000 s"),
    (two_people, "variables: found the initials ab1 and cd1, expected those of one person"),
    (rename_all, "variables: found clip1 clip2 clip3, expected <initials>_eeg1"),
    (lambda c: c.update(ab1_eeg16=np.ones((62, 12001))), "ab1_eeg16: found clip 16, expected at most 3"),
], ids=range(7))
def test_variables_that_do_not_fit(root: Path, edit: Callable[[dict[str, Any]], object], message: str) -> None:
    path = change(root, edit)
    with pytest.raises(InputError, match=rf"{re.escape(path.name)}, .*{message}"):
        read(root)
    assert seed.DATASET.inspect(root, {}).subjects == ("s12",)


def test_complex_numbers_in_place_of_samples(root: Path) -> None:
    change(root, lambda content: content.update(ab1_eeg1=np.full((62, 12001), 1j)))
    with pytest.raises(InputError, match="ab1_eeg1: found complex128 values, expected real numbers"):
        read(root)


@pytest.mark.parametrize(("labels", "message"), [
    (np.array([1, 0, 2]), "found 2, expected labels -1, 0 and 1"),
    (np.array([1, 0, np.nan]), "found nan"),
    (np.array([]), r"found shape \(0, 0\)"),
    (np.array(["a", "b"], dtype=object), "of object"),
], ids=range(4))
def test_labels_that_do_not_fit(root: Path, labels: np.ndarray, message: str) -> None:
    write(root / "Preprocessed_EEG/label.mat", {"label": labels})
    with pytest.raises(InputError, match=rf"label\.mat, variable label: .*{message}"):
        seed.DATASET.inspect(root, {})
    write(root / "Preprocessed_EEG/label.mat", {"lable": np.array(LABELS)})
    with pytest.raises(InputError, match=r"label\.mat, variable label: found no such variable"):
        seed.DATASET.inspect(root, {})
