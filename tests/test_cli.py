"""The command line: exit codes, text and JSON, no torch, no traceback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from inspection_sets import write_dat_set

from himoe import __version__
from himoe.cli import main
from himoe.core import progress as told

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def dat_set(tmp_path: Path) -> Path:
    """Three simulated DEAP subjects."""
    write_dat_set(tmp_path)
    (tmp_path / "truth.json").write_text("{}", encoding="utf-8")
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def damage(root: Path, subject: str = "s24") -> None:
    (root / "data_preprocessed_python" / f"{subject}.dat").write_bytes(b"\0" * 50)


def test_inspect_prints_aligned_text(dat_set: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "inspect", dat_set)
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[:2] == ["what                 raw folder of a data set", "data                 DEAP (simulated)"]
    header = next(k for k, line in enumerate(lines) if line.startswith("  modality"))
    assert lines[header + 1].split()[:4] == ["EEG", "32", "128", "uV"]
    place = lines[header].index("unit")
    assert {line[place:place + 2] for line in lines[header + 1:header + 6]} == {"uV", "uS", "a."}
    assert run(capsys, "inspect", dat_set)[1] == out


def test_inspect_json_is_json(dat_set: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage(dat_set, "s06")
    code, out, _ = run(capsys, "inspect", dat_set, "--all", "--jobs", 2, "--json")
    (report,) = json.loads(out)
    assert code == 0
    assert (report["set"], report["data"], report["read whole"]) == ("deap", "DEAP (simulated)", ["s24", "s31"])
    assert len(report["errors"]) == 1


def test_what_cannot_be_identified_gives_one_sentence_and_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("x", encoding="utf-8")
    for path in (tmp_path, tmp_path / "notes.txt", tmp_path / "absent"):
        code, out, err = run(capsys, "inspect", path)
        assert (code, out) == (2, "")
        assert err.startswith(f"himoe inspect: {path}: ")
        assert err.count("\n") == 1


def test_check_tells_harmless_gaps_from_errors(dat_set: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "check", dat_set, "--dataset", "deap")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in lines[:-1]].count("missing") == 29
    assert lines[-1].startswith("DEAP (simulated): 0 errors, 29 missing, ")
    assert run(capsys, "check", dat_set, "--dataset", "deap", "--strict")[0] == 1
    damage(dat_set)
    code, out, _ = run(capsys, "check", dat_set, "--dataset", "deap", "--layout", "dat")
    assert code == 1
    assert out.startswith("error    ")
    assert "s24.dat: found" in out.splitlines()[0]
    assert out.splitlines()[-1].startswith("DEAP (simulated): 1 error, ")


def test_a_log_gets_lines_of_progress_and_the_output_none(dat_set: Path, capsys: pytest.CaptureFixture[str],
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    plain = run(capsys, "check", dat_set, "--dataset", "deap", "--json")
    monkeypatch.setattr(told, "LINE_S", 0.0)
    code, out, err = run(capsys, "check", dat_set, "--dataset", "deap", "--json")
    assert (code, out, "") == plain
    assert [line.partition(" in ")[0] for line in err.splitlines()] == [
        "read deap: 1 of 3 subjects", "read deap: 2 of 3 subjects"]


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no terminals to open here")
def test_a_terminal_gets_a_bar_and_a_pipe_beside_it_the_findings_alone(dat_set: Path) -> None:
    terminal, end = os.openpty()
    done = subprocess.run([sys.executable, "-m", "himoe.cli", "check", str(dat_set), "--dataset", "deap", "--json"],
                          cwd=ROOT, stdout=subprocess.PIPE, stderr=end, timeout=600, check=True)
    os.set_blocking(terminal, False)  # nothing shown is an error, not a wait without end
    shown = os.read(terminal, 10_000).decode()  # before its other end is closed
    os.close(end)
    os.close(terminal)
    assert json.loads(done.stdout)["set"] == "deap"
    assert re.search(r"read deap: +0%\|.*\| 0/3 ", shown)


@pytest.mark.parametrize("arguments, sentence", [
    (("--dataset", "deep"), "found 'deep', expected one of deap dreamer"),
    (("--dataset", "deap", "--layout", "mat"), "layout of deap: found 'mat', expected bdf or dat"),
    (("--dataset", "dreamer", "--layout", "dat"), "expected none: this set has one layout"),
])
def test_check_of_what_does_not_exist(dat_set: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...],
                                      sentence: str) -> None:
    code, out, err = run(capsys, "check", dat_set, *arguments)
    assert (code, out) == (2, "")
    assert sentence in err
    assert run(capsys, "check", dat_set / "absent", "--dataset", "deap")[0] == 2


@pytest.mark.parametrize("arguments, text", [
    ((), "COMMAND"), (("check", "."), "--dataset"), (("inspect",), "PATH"),
    (("inspect", ".", "--jobs", "0"), "found '0', expected a whole number from 1 on"),
])
def test_bad_usage_exits_with_2(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], text: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert text in capsys.readouterr().err


def test_version_and_entry_point(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert (stopped.value.code, capsys.readouterr().out) == (0, f"himoe {__version__}\n")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"himoe": "himoe.cli:main"}


def test_neither_command_loads_torch_and_a_closed_pipe_is_no_error(dat_set: Path) -> None:
    script = ("import sys; from himoe.cli import main; path = sys.argv[1]\n"
              "assert not {'pydantic', 'scipy.stats'} & set(sys.modules)  # --help does not wait for them\n"
              "codes = [main(['inspect', path, '--all']), main(['check', path, '--dataset', 'deap'])]\n"
              "print(codes, sorted({'torch', 'torchvision', 'mne'} & set(sys.modules)), file=sys.stderr)")
    done = subprocess.run([sys.executable, "-c", script, str(dat_set)], cwd=ROOT, text=True, capture_output=True,
                          timeout=600, check=True)
    assert done.stderr.strip() == "[0, 0] []"
    command = f"{sys.executable} -m himoe.cli check {dat_set} --dataset deap | head -1"
    piped = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], cwd=ROOT, text=True, capture_output=True,
                           timeout=600, check=False)
    assert (piped.returncode, piped.stderr) == (0, "")
    assert piped.stdout.count("\n") == 1
