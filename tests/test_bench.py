"""The benchmarks' helpers work on tiny input; what they measure is not judged here."""

from __future__ import annotations

import importlib
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from himoe.core.params import AlignmentParams, ModelParams, TrainingParams, parse
from himoe.core.yaml_files import read_yaml
from himoe.models.alignment import nt_xent
from himoe.models.batches import ModalityShape, Task
from himoe.models.methods import build_method
from himoe.models.methods.base import Spec
from himoe.scoring.results import load_seconds

pytestmark = pytest.mark.nightly
ROOT = Path(__file__).resolve().parents[1]
TORCHEEG = os.environ.get("TORCHEEG_PYTHON", "")
NEEDS_TORCHEEG = pytest.mark.skipif(not TORCHEEG, reason="TORCHEEG_PYTHON names no interpreter (bench/README.md)")


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
    arrays = load.ours_again(raw, str(tmp_path), tensors=False)
    assert first["windows"] == again["windows"] == arrays["windows"] == 2 * 29
    assert first["sum"] == again["sum"] == pytest.approx(arrays["sum"], rel=1e-4)
    assert again["work_s"] > 0
    assert first["stored_bytes"] >= 2 * 29 * 32 * 512 * 4


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
    load, run = bench("load"), bench("run")
    paths, energies = {"raw": raw, "work": str(tmp_path)}, str(tmp_path / "energies.npy")
    ours = load.ours_first(**paths)
    theirs = run.run_child(run.Case("theirs", "load", {**paths, "workers": 0}, None, TORCHEEG))
    assert theirs["windows"] == ours["windows"]
    run.run_child(run.Case("theirs", "energies", {**paths, "path": energies}, None, TORCHEEG))
    assert load.check(str(tmp_path), energies)["compared"] > 0


@NEEDS_TORCHEEG
def test_eegnet_of_torcheeg_takes_as_many_steps() -> None:
    run = bench("run")
    assert run.run_child(run.Case("theirs", "eegnet", {"windows": 5, "samples": 96, "batch": 3}, None,
                                  TORCHEEG))["steps"] == 2


def test_reading_arrays_imports_no_torch_and_the_other_side_nothing_of_this_project() -> None:
    text = ("import sys; from bench import load, theirs; load.import_ours(False); "
            "print('torch' in sys.modules, 'pydantic' in sys.modules)")
    other = "import sys; from bench import theirs; print([name for name in sys.modules if name.startswith('himoe')])"
    said = [subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True).stdout
            for code in (text, other)]
    assert said[0].split() == ["False", "False"]
    assert "himoe." not in said[1]


@pytest.mark.parametrize("encoder", ["ours", "textbook"])
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


def test_models_step_at_once_and_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = bench("at_once")
    monkeypatch.setattr(at_once.stacked, "COUNTED_ON", ())  # put back afterwards
    monkeypatch.setattr(at_once, "SEQUENCES", 2)
    rows = at_once.measure(torch.device("cpu"), [1], [3], 1)
    assert [row["front_end"] for row in rows] == ["eegnet", "power", "cnn", "face"]
    assert all(row["alone"] > 0 and row["3"] > 0 for row in rows)


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


def test_a_growth_exponent_is_that_of_the_power_law() -> None:
    size = bench("size")
    sizes = ((2, 3), (4, 5), (7, 11))
    assert size.exponent(sizes, [0.1 * (people * trials)**1.3 for people, trials in sizes]) == pytest.approx(1.3)


def test_the_page_names_what_grows_faster_and_takes_more_than_it_may() -> None:
    size = bench("size")
    sizes = ((2, 3), (4, 5))
    found = {(a, b): {name: {"seconds": 2.0 * (a * b)**(1.4 if name == "split" else 0.5), "peak_mib": 100.0 * a * b,
                             "bytes": 1e6 * a * b, "epoch_s": 1.0} for name in size.SHOWN} for a, b in sizes}
    facts = {"cores": 3, "cpu": "one", "system": "two", "python": "3", "load_average": 0.5}
    text = size.page(found, facts)
    assert "Steeper than linear: split (Seconds)." in text
    assert "Largest process at 4 × 5: 2000 MiB (within the limit of 2048)." in text
    found[4, 5]["train"]["peak_mib"] = 2100.0
    assert "2100 MiB (ABOVE the limit" in size.page(found, facts)


def test_the_contrastive_loss_is_a_part_of_the_step() -> None:
    alignment = bench("alignment")
    step_s, loss_s = alignment.measured(alignment.feature_spec(), windows=64, max_rows=16, repeats=1)
    assert 0 < loss_s < step_s


def test_the_papers_hours_are_models_times_epochs_times_windows_over_speed() -> None:
    paper = bench("paper")
    schedule = paper.paper_schedule()
    assert (schedule.models, schedule.epochs) == (10 * 5 * 9, 75)
    assert schedule.windows == pytest.approx(32 * 40 * 29 * 0.9 * 0.9, abs=1)
    assert paper.hours(paper.Schedule(2, 3, 5, 7).seen, windows_per_s=0.5) == pytest.approx(60 / 3600)


def test_measured_networks_take_the_place_of_their_old_rows_and_others_stay(tmp_path: Path) -> None:
    cost, costs = bench("cost"), importlib.import_module("pipeline.cost")
    task = Task("regression", ("valence", "arousal"), (1.0, 9.0), (5.0,))
    spec = Spec({"EDA": ModalityShape(1, 16, 4.0)}, task, ModelParams(features=7), AlignmentParams())
    training = parse(TrainingParams, read_yaml(ROOT / "params.yaml")["profiles"]["embedded"]["training"], "params.yaml")

    def built(method: str, variant: str = "") -> tuple[Any, Any]:
        return (method, "EDA", "deap", variant), costs.Built(build_method(method, spec), spec, training, None)

    path = tmp_path / "cost.csv"
    rows = list(cost.measure([built("late_fusion"), built("late_fusion", "front_eegnet"), built("himoe"),
                              built("mean")]))  # which is no network
    assert [(row["method"], row["variant"]) for row in rows] == [
        ("late_fusion", ""), ("late_fusion", "front_eegnet"), ("himoe", "")]
    assert all(row[key] > 0 for row in rows for key in ("seconds_per_window", "seconds_per_step", "multiply_adds"))
    cost.added(rows, path).to_csv(path, index=False)
    assert load_seconds(path)["seconds_per_window"].tolist() == [
        pytest.approx(rows[k]["seconds_per_window"]) for k in (2, 0, 1)]
    again = cost.added([rows[1] | {"seconds_per_step": 7.0},
                        rows[0] | {"seconds_per_step": 5.0, "parameters": 3}], path)
    kept = [pytest.approx(rows[k]["seconds_per_step"]) for k in (2, 0)]
    assert again["seconds_per_step"].tolist() == [kept[0], 5.0, kept[1], 7.0]
    assert again["parameters"].tolist()[1:3] == [3, rows[0]["parameters"]]
