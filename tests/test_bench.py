"""The benchmarks' helpers work on tiny input; what they measure is not judged here."""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from himoe.models.alignment import nt_xent

ROOT = Path(__file__).resolve().parents[1]
NEEDS_TORCHEEG = pytest.mark.skipif(importlib.util.find_spec("torcheeg") is None,
                                    reason="torcheeg is not installed (pip install himoe[bench])")


def bench(name: str) -> ModuleType:
    """One of the scripts; their folder is not part of the installed package."""
    if str(ROOT) not in sys.path:
        sys.path.append(str(ROOT))
    return importlib.import_module(f"bench.{name}")


@pytest.fixture(autouse=True)
def keep_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("bench") / "raw"
    made = bench("load").simulate(str(folder), participants=1, trials=2)
    assert made["raw_bytes"] >= 2 * 40 * 8064 * 8
    return str(folder)


def test_load_ours_gives_every_window_once_first_and_again(raw: str, tmp_path: Path) -> None:
    load = bench("load")
    first, again = load.ours_first(raw, str(tmp_path)), load.ours_again(raw, str(tmp_path))
    assert first["windows"] == again["windows"] == 2 * 29
    assert first["sum"] == again["sum"]
    assert again["work_s"] > 0
    assert first["stored_bytes"] >= 2 * 29 * 32 * 512 * 4


def test_load_batches_are_the_store_in_another_order(raw: str, tmp_path: Path) -> None:
    load = bench("load")
    load.write_windows(Path(raw), tmp_path / "ours")
    store = load.open_store(tmp_path / "ours")
    parts = list(load.ours_batches(store))
    assert [len(x) for x, _ in parts] == [58]
    expected = np.nan_to_num(store.arrays["EEG"])
    x, y = parts[0][0].numpy(), parts[0][1].numpy()
    order = [int(np.flatnonzero((expected == window).all((1, 2)))[0]) for window in x]
    assert sorted(order) == list(range(58))
    assert order != sorted(order)
    np.testing.assert_allclose(y, store.index["valence"].to_numpy()[order], rtol=1e-6)


def test_load_scan_counts_the_bytes(tmp_path: Path) -> None:
    result = bench("load").scan(str(tmp_path), windows=3)
    assert result["bytes"] == 3 * 32 * 512 * 4
    assert result["gb_per_s"] == pytest.approx(result["bytes"] / result["floor_s"] / 1e9)


def test_compare_windows_finds_each_or_says_so() -> None:
    compare = bench("load").compare_windows
    reference = np.array([1.0, 2.0, 5.0, 9.0])
    assert compare(4, np.array([9.0, 1.0, 5.0]), reference) == 3
    with pytest.raises(AssertionError, match="1 windows have no like"):
        compare(4, np.array([9.0, 1.1]), reference)
    with pytest.raises(AssertionError, match="3 windows"):
        compare(3, np.array([9.0]), reference)


@NEEDS_TORCHEEG
def test_load_torcheeg_holds_the_same_windows(raw: str, tmp_path: Path) -> None:
    load = bench("load")
    ours, theirs = load.ours_first(raw, str(tmp_path)), load.theirs(raw, str(tmp_path), workers=0)
    assert theirs["windows"] == ours["windows"]
    assert load.check(raw, str(tmp_path))["compared"] > 0


@pytest.mark.parametrize("encoder", ["ours", "textbook", pytest.param("theirs", marks=NEEDS_TORCHEEG)])
def test_eegnet_epoch(encoder: str) -> None:
    result = bench("eegnet").epoch(encoder, windows=5, samples=96, batch=3)
    assert result["steps"] == 2
    assert math.isfinite(result["loss"])
    assert result["ms_per_step"] == pytest.approx(1e3 * result["work_s"] / 2)


def test_eegnet_sides_agree() -> None:
    assert bench("eegnet").check(windows=3, samples=96)["largest_difference"] < 1e-4


def test_eegnet_multiply_adds_by_hand() -> None:
    eegnet = bench("eegnet")
    spatial, temporal = 64 * 16 * 32, 64 * 16 * 64
    depthwise, pointwise, linear, head = 16 * 16 * 16, 16 * 16 * 16, 2 * 16 * 32, 32 * 2
    expected = 7 * (2 * spatial + 3 * (temporal + depthwise + pointwise + linear + head))
    assert eegnet.multiply_adds(windows=7, samples=64) == expected
    assert eegnet.matmul(size=8, passes=3)["gflop_per_s"] > 0


def test_training_sides_agree_and_run() -> None:
    training = bench("training")
    assert training.check(sequences=3)["largest_difference"] < 1e-4
    losses = [training.epoch(model, batches=1, sequences=2)["loss"] for model in ("ours", "plain")]
    assert all(math.isfinite(loss) for loss in losses)


def test_plain_nt_xent_equals_the_project() -> None:
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(4, 3, 5, 7, generator=generator, dtype=torch.float64)
    present = torch.rand(4, 3, 5, generator=generator) < 0.6
    expected = nt_xent(codes, present, 0.5)
    assert expected > 0
    torch.testing.assert_close(bench("training").plain_nt_xent(codes, present, 0.5), expected)


def test_intervals_are_narrower_than_those_of_all_windows_and_hold_enough() -> None:
    found = bench("intervals").measured(bench("intervals").normal(0.3), repeats=60)
    assert 0.88 < found[0] < found[2]
    assert found[1] < found[3]
    assert np.isinf(bench("intervals").of_all_windows(np.ones(6), np.arange(6), 0.9))


def test_a_child_reports_its_time_and_memory() -> None:
    run = bench("run")
    result = run.run_child(run.Case("eegnet", "reference", {"windows": 2}))
    assert result["multiply_adds"] == bench("eegnet").multiply_adds(64)
    assert result["wall_s"] > 0
    assert result["peak_mib"] > 20


def test_a_failing_child_is_an_error() -> None:
    run = bench("run")
    with pytest.raises(RuntimeError, match="KeyError: 'no_such_variant'"):
        run.run_child(run.Case("load", "no_such_variant"))


def test_variants_take_turns_and_clean_before() -> None:
    run = bench("run")
    seen: list[str] = []

    def child(case: Any) -> dict[str, Any]:
        seen.append(case.variant)
        return {"wall_s": float(len(seen))}

    results = run.alternate({"a": run.Case("m", "x"), "b": run.Case("m", "y")}, 3, child)
    assert seen == ["x", "y", "y", "x", "x", "y"]
    assert run.middle(results["a"], "wall_s") == 4.0


@pytest.mark.parametrize("workers", [(), (0, 2)])
def test_load_rows(workers: tuple[int, ...]) -> None:
    run = bench("run")

    def runs(scale: float) -> list[dict[str, float]]:
        return [{"wall_s": 3 * scale * k, "work_s": scale * k, "peak_mib": 70.0, "stored_bytes": 4e6 * scale}
                for k in (9, 1, 2)]

    results = {f"ours {turn}": runs(1.0) for turn in ("first", "again")}
    results |= {f"theirs {turn} {n}": runs(5.0 + n) for turn in ("first", "again") for n in workers}
    rows = run.load_rows(results, {"floor_s": 0.5, "bytes": 3e6})
    assert len(rows) == 6 * max(len(workers), 1) + 1
    assert [row.ours for row in rows[:6]] == [6.0, 2.0, 70.0, 6.0, 2.0, 70.0]
    assert [row.floor for row in rows[:6]] == [None, None, None, None, 0.5, None]
    expected = [30.0, 10.0, 70.0, 42.0, 14.0, 70.0] if workers else [None] * 3
    assert [row.theirs for row in rows if row.unit != "MB"][:3] == expected[:3]
    assert [row.theirs for row in rows[6:9] if row.unit != "MB"] == expected[3:]
    assert (rows[-1].ours, rows[-1].theirs, rows[-1].floor) == (4.0, 20.0 if workers else None, 3.0)


def test_table_and_page() -> None:
    run = bench("run")
    rows = [run.Row("slow thing", "s", 4.0, "Other", 1.0, 0.5), run.Row("thing", "ms", 1.0, "Other", 123.4),
            run.Row("lone", "s", 2.0, "Other", None, 0.5)]
    facts = {"cores": 3, "cpu": "C", "system": "S", "python": "3", "torch": "2", "numpy": "1", "pyarrow": "9",
             "torcheeg": None, "load_average": 0.1}
    table = run.markdown(rows, facts, run.QUICK, [run.ABSENT])
    assert "| slow thing | s | 4 | Other | 1 | 0.25 | 0.5 | 8 |" in table
    assert "| thing | ms | 1 | Other | 123 | 123 | – | – |" in table
    assert "| lone | s | 2 | Other | – | – | 0.5 | 4 |" in table
    assert "torcheeg is not installed" in table
    page = (ROOT / "bench" / "README.md").read_text(encoding="utf-8")
    filled = run.fill(page, table)
    assert table in filled
    assert run.fill(filled, table) == filled
    assert filled.split(run.START)[0] == page.split(run.START)[0]


def test_facts_can_be_written() -> None:
    facts = bench("run").machine_facts()
    assert facts["cores"] >= 1
    assert facts["cpu"]
    assert json.loads(json.dumps(facts)) == facts
