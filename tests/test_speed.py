"""The benchmark of training speed, at its smallest."""

from __future__ import annotations

from bench import paper, speed


def test_the_pipelines_own_fit_is_what_is_measured() -> None:
    row = speed.measure(speed.Case("features", "embedded", 2, 2), people=2, trials=8)
    assert row["windows_per_s"] > 0
    assert row["peak_mib"] > 10
    config, data = speed.problem(speed.Case("raw", "paper", 1, 1), people=1, trials=5)
    assert {m: a.shape[1:] for m, a in data.store.arrays.items()}["EEG"] == (32, 512)
    assert len(data.store.index) == 5 * speed.WINDOWS_PER_TRIAL
    assert config.training.batch_sequences * config.training.sequence_length == 256
    eegnet = {"network": "TorchEEG's EEGNet", "processes": 1, "threads": 2, "windows_per_s": 7}
    head, _, *lines = speed.table([eegnet, row])
    assert {line.count("|") for line in lines} == {head.count("|")}
    assert str(row["windows_per_s"]) in lines[1]


def test_hours_follow_from_what_was_measured() -> None:
    schedule = paper.Schedule(models=2, epochs=3, windows=60, runs=7)
    row = {"processes": 1, "models": 60, "precision": "bfloat16", "compile": True, "windows_per_s": 0.1}
    measured, needed = list(paper.lines(schedule, "a card", [row]))[-2:]
    assert [cell.strip() for cell in measured.split("|")[1:-1]] == [
        "a card, 1 processes, 60 as one, bfloat16, compiled", "0.1", "1", "7"]
    assert needed.split("|")[2].strip() == f"{360 * 7 / 86400:.3g}"
