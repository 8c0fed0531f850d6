"""``himoe stream``: recordings played back, what is printed and written, how it ends, what is refused."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from live_sessions import CHANNELS, make_session
from pipeline_helpers import environment

import himoe
from himoe.cli import main
from himoe.commands.streaming import run as show_all
from himoe.live.engine import Estimate, Update, stream
from himoe.live.outputs import Screen, table_file
from himoe.live.sources import Replay

DESCRIPTION = """
name: own
title: Toys of nobody
licence: none
dimensions: [valence, arousal]
scale: [1, 9]
threshold: 5
ratings: ratings.csv
modalities:
  EDA: {file: "{subject}/{trial}_eda.csv", columns: [GSR], sfreq_hz: 20, unit: uS}
  EMG: {file: "{subject}/{trial}_emg.csv", columns: [zEMG, tEMG], sfreq_hz: 96, unit: uV}
"""


@pytest.fixture(scope="module")
def folder(model: himoe.Fitted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, and recordings of two people, two trials each, of EDA and EMG."""
    root = tmp_path_factory.mktemp("stream")
    model.save(root / "model")
    rows = []
    for p in range(2):
        (root / f"recordings/p{p}").mkdir(parents=True)
        for t in range(2):
            session = make_session(f"p{p}", 10 * p + t, f"t{t}")
            for m in ("EDA", "EMG"):
                frame = pd.DataFrame(session.signals[m].data.T, columns=list(CHANNELS[m]))
                frame.to_csv(root / f"recordings/p{p}/t{t}_{m.lower()}.csv", index=False)
            rows.append((f"p{p}", f"t{t}", f"t{t}", *session.trials[0].ratings.values()))
    table = pd.DataFrame(rows, columns=["subject", "trial", "stimulus", "valence", "arousal"])
    table.to_csv(root / "recordings/ratings.csv", index=False)
    (root / "recordings/dataset.yaml").write_text(DESCRIPTION, encoding="utf-8")
    return root


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["stream", *map(str, arguments)])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_recordings_are_played_printed_and_written(folder: Path, tmp_path: Path,
                                                   capsys: pytest.CaptureFixture[str]) -> None:
    """As himoe predict writes them: the same windows, and predictions that score takes."""
    table = tmp_path / "live.csv"
    code, out, err = run(capsys, folder / "model", "--replay", folder / "recordings", "--person", "p1",
                         "--speed", "max", "--out", table)
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "Toys of nobody (real, local files)"
    assert [line for line in lines if line.startswith("p1")] == ["p1, trial t0", "p1, trial t1"]
    assert sum(" valence " in line for line in lines) == 38
    assert sum("EEG   absent" in line for line in lines) == 1
    assert f"38 windows; written: {table}" in err
    live = pd.read_csv(table)
    assert main(["predict", str(folder / "model"), str(folder / "recordings"), "--out", str(tmp_path / "all.csv")]) == 0
    offline = pd.read_csv(tmp_path / "all.csv")
    keys = ["subject", "session", "trial", "stimulus", "window", "start_s", "dimension"]
    both = offline[offline["subject"] == "p1"].merge(live, on=keys)
    assert len(both) == len(live) == 76
    np.testing.assert_allclose(both["rating_x"], both["rating_y"])
    assert set(live["sensors"]) == {"EMG EDA"}
    assert main(["score", str(table)]) == 0


def test_a_table_in_parquet_has_the_same_rows(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.csv", "a.parquet"):
        assert run(capsys, folder / "model", "--replay", folder / "recordings", "--trial", "t1", "--drop", "EMG",
                   "--quiet", "--speed", "max", "--out", tmp_path / name)[:2] == (0, "")
    csv, parquet = pd.read_csv(tmp_path / "a.csv", dtype={"session": str}), pd.read_parquet(tmp_path / "a.parquet")
    columns = [name for name in csv if name != "latency_s"]
    pd.testing.assert_frame_equal(csv[columns], parquet[columns], check_dtype=False, rtol=1e-6)
    assert (len(csv), set(csv["sensors"])) == (38, {"EDA"})


@pytest.fixture(scope="module")
def updates(model: himoe.Fitted) -> list[Update]:
    return list(stream(model, Replay([make_session("p1", 10, "t0")], None, set_name="own")))


def fails(updates: list[Update]) -> Iterator[Update]:
    yield from updates
    raise RuntimeError("lost")


def keep(model: himoe.Fitted, path: Path, updates: Iterator[Update]) -> None:
    with table_file(path, model.description.task) as table:
        show_all(updates, [table])


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_an_error_keeps_what_was_predicted_before(model: himoe.Fitted, updates: list[Update], tmp_path: Path,
                                                  name: str) -> None:
    path = tmp_path / name
    path.write_text("old", encoding="utf-8")
    with pytest.raises(RuntimeError, match="lost"):
        keep(model, path, fails([]))
    assert path.read_text(encoding="utf-8") == "old"  # nothing was predicted yet
    with pytest.raises(RuntimeError, match="lost"):
        keep(model, path, fails(updates[:3]))
    kept = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    assert list(kept["window"]) == [0, 0, 1, 1, 2, 2]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("kind", "one"), [("regression", Estimate(5.0, 1.0, 9.0)),
                                           ("classification", Estimate(0.2, np.nan, np.nan, (0.8, 0.2)))])
@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_without_a_prediction_the_table_has_no_row(model: himoe.Fitted, updates: list[Update], tmp_path: Path,
                                                   kind: str, one: Estimate, name: str) -> None:
    """But the columns that it has otherwise."""
    task, read = replace(model.description.task, kind=kind), pd.read_csv if name == "a.csv" else pd.read_parquet
    found = []
    for predicted in ({"valence": one}, {}):
        with table_file(tmp_path / name, task) as table:
            table.show(replace(updates[0], predicted=predicted))
        found.append(read(tmp_path / name))
    assert list(map(len, found)) == [1, 0]
    assert list(found[0]) == list(found[1])


def test_a_full_disk_leaves_whole_lines(model: himoe.Fitted, updates: list[Update], tmp_path: Path,
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    def half(_: pd.DataFrame, path: Path, **__: object) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write("p1,1,t")
        raise OSError(28, "No space left on device")

    def filling() -> Iterator[Update]:
        yield updates[0]
        monkeypatch.setattr(pd.DataFrame, "to_csv", half)
        yield updates[1]

    with pytest.raises(OSError, match="No space"):
        keep(model, tmp_path / "a.csv", filling())
    assert list(pd.read_csv(tmp_path / "a.csv")["window"]) == [0, 0]


def test_a_terminal_is_painted_over_in_lines_that_never_wrap(updates: list[Update],
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    shown = io.StringIO()
    screen = Screen("Toys (simulated)", shown)
    screen.show(updates[0])
    screen.show(replace(updates[1], events=("EDA: " + 60 * "x",)))
    first, second = shown.getvalue().split("\x1b[6A\x1b[J")  # a head, two dimensions, three sensors
    assert first.splitlines()[:2] == ["Toys (simulated)", "p1, trial t0, 4.0 s"]
    assert [line.split()[0] for line in first.splitlines()[2:]] == [*updates[0].predicted, "EEG", "EMG", "EDA"]
    assert second.splitlines()[0] == "EDA: " + 60 * "x"
    assert max(map(len, second.splitlines()[1:])) <= 39


def test_the_outlet_ends_with_the_recording(folder: Path, monkeypatch: pytest.MonkeyPatch,
                                            capsys: pytest.CaptureFixture[str]) -> None:
    heard: list[object] = []

    class Outlet:
        def __init__(self, name: str, _: object) -> None:
            heard.append(name)

        def show(self, update: Update) -> None:
            heard.append(update.window)

        def close(self) -> None:
            heard.append("closed")

    monkeypatch.setattr("himoe.commands.streaming.LslOutlet", Outlet)
    assert run(capsys, folder / "model", "--replay", folder / "recordings", "--trial", "t1", "--person", "p1",
               "--speed", "max", "--quiet", "--outlet", "mood")[0] == 0
    assert heard == ["mood", *range(19), "closed"]


def test_a_file_of_a_device_is_played(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import edfio

    session = make_session("p0", 0)
    signals = [edfio.EdfSignal(session.signals[m].data[k].astype(np.float64), session.signals[m].sfreq_hz, label=name,
                               physical_dimension=session.signals[m].unit)
               for m in ("EEG", "EDA") for k, name in enumerate(CHANNELS[m])]
    edfio.Edf(signals).write(tmp_path / "walk.edf")
    code, out, _ = run(capsys, folder / "model", "--replay", tmp_path / "walk.edf", "--speed", "max")
    assert code == 0
    assert out.startswith("walk.edf (real, local file)\n")
    assert sum(" valence " in line for line in out.splitlines()) == 19
    assert "EEG   alive" in out
    assert "EMG   absent" in out


def heed_ctrl_c() -> None:
    """A job in the background is started with the signal ignored, and so would all its children be."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_or_kill_ends_it_and_keeps_the_table(how: signal.Signals, folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "himoe.cli", "stream", str(folder / "model"), "--replay",
               str(folder / "recordings"), "--speed", "4", "--out", str(tmp_path / "kept.csv")]
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heed_ctrl_c,
                          env=environment() | {"PYTHONPATH": os.getcwd()}) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "6.0 s" in line:
                break
        process.send_signal(how)
        end = time.monotonic() + 30
        while process.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.05)
        assert process.stderr is not None
        said = process.stderr.read()
    assert process.returncode == 0, said
    assert "stopped" in said
    kept = pd.read_csv(tmp_path / "kept.csv")
    assert 6 <= len(kept) < 76
    assert list(tmp_path.iterdir()) == [tmp_path / "kept.csv"]


@pytest.mark.parametrize(("arguments", "said"), [
    (("--replay", "recordings", "--person", "p9"), "found 'p9', expected one of p0 p1"),
    (("--replay", "recordings", "--trial", "t9"), "found 't9', expected one of t0 t1"),
    (("--replay", "nowhere"), "nowhere: found no such folder"),
    (("--replay", "recordings/ratings.csv"), "found a table, which says no rate"),
    (("--replay", "recordings", "--drop", "PPG"), "PPG"),
    (("--replay", "recordings", "--drop", "EMG+EDA"), "EEG"),
    (("--replay", "recordings", "--lsl"), "found --replay and --lsl, expected one source"),
    (("--replay", "recordings", "--out", "x.txt"), "the ending '.txt'"),
    (("--lsl", "EDA"), "--lsl: found 'EDA', expected SENSOR=NAME"),
])
def test_what_cannot_be_played_is_one_sentence(folder: Path, arguments: tuple[str, ...], said: str,
                                               monkeypatch: pytest.MonkeyPatch,
                                               capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(folder)
    code, out, err = run(capsys, "model", *arguments, "--speed", "max")
    assert (code, out) == (2, "")
    assert said in err
    assert err.startswith("himoe stream: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("arguments", [("--speed", "0"), ("--speed", "fast"), ("--web", "99999"), ("--wait", "-1")])
def test_bad_usage_exits_with_2(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        main(["stream", "model", "--replay", "recordings", *arguments])
    assert error.value.code == 2
    assert f"argument {arguments[0]}" in capsys.readouterr().err
