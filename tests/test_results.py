"""Results: what is read, what is refused, and how runs are chosen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from report_folders import MASK_SEEDS, RATES, finish_reports, write_run

from himoe.core.errors import InputError
from himoe.scoring.results import (
    COST_COLUMNS,
    PARTS,
    RunResult,
    figure_protocol,
    load_comparisons,
    load_cost,
    load_results,
    measured_on,
    provenance,
    select,
    sweep_curve,
)


def load(folder: Path, *names: str) -> dict[str, RunResult]:
    return load_results(names, folder / "runs", folder / "scores", folder / "metrics")


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_run_is_read_whole(tmp_path: Path) -> None:
    write_run(tmp_path, "a", modalities="EEG+PPS+FACE")
    result = load(tmp_path, "a")["a"]
    assert result.metrics == json.loads((tmp_path / "metrics" / "runs" / "a.json").read_text())
    assert result.info == json.loads((tmp_path / "runs" / "a" / "run.json").read_text())
    assert (result.label, result.data) == ("Hi-MoE", "DEAP (simulated)")
    for name, (file, columns) in PARTS.items():
        part = result.part(name)
        assert set(columns) <= set(part), name
        assert len(part) > 0, name
        assert result.part(name) is part, "read once"
        assert (tmp_path / ("scores" if name in ("sweep", "combinations") else "runs") / "a" / file).is_file()


def test_digits_stay_text_and_numbers_keep_every_digit(tmp_path: Path) -> None:
    write_run(tmp_path, "7", modalities="EEG+EDA")
    value = 0.1 + 0.2
    pd.DataFrame({"run": ["7"], "combination": ["01"], "modality": ["EEG"], "expert": [-1], "weight": [value]}).to_csv(
        tmp_path / "runs" / "7" / "routing.csv", index=False)
    result = load(tmp_path, "7")["7"]
    routing = result.part("routing").iloc[0]
    assert (routing["run"], routing["combination"], routing["weight"]) == ("7", "01", value)
    assert set(result.part("predictions")["trial"]) == {"01", "02", "03", "04", "05", "06"}


def test_a_header_alone_is_an_empty_part(tmp_path: Path) -> None:
    write_run(tmp_path, "floor", method="mean")
    result = load(tmp_path, "floor")["floor"]
    assert [name for name in PARTS if result.has(name) and result.part(name).empty] == [
        "history", "search", "combinations", "routing"]


@pytest.mark.parametrize("modalities, method, there", [
    ("EEG+FACE", "himoe", True), ("EEG+PPS", "himoe", False), ("EEG+FACE", "features_gbdt", False)])
def test_action_units_are_there_only_where_a_model_sees_a_face(tmp_path: Path, modalities: str, method: str,
                                                               there: bool) -> None:
    write_run(tmp_path, "a", modalities=modalities, method=method)
    result = load(tmp_path, "a")["a"]
    assert [name for name in PARTS if not result.has(name)] == ([] if there else ["action_units"])
    if not there:
        with pytest.raises(InputError, match=r"action_units\.parquet: found no file"):
            result.part("action_units")
    path = tmp_path / "runs" / "a" / "action_units.parquet"
    pd.DataFrame({"run": ["a"], "activation": [0.5]}).to_parquet(path)
    with pytest.raises(InputError, match=r"action_units\.parquet: found no column seed, fold, subject"):
        load(tmp_path, "a")["a"].part("action_units")


@pytest.mark.parametrize("file", ["metrics/runs/a.json", "runs/a/run.json", "scores/a/sweep.csv"])
def test_a_missing_file_names_run_file_and_remedy(tmp_path: Path, file: str) -> None:
    write_run(tmp_path, "a")
    (tmp_path / file).unlink()
    with pytest.raises(InputError) as caught:
        load(tmp_path, "a")["a"].part("sweep")
    message = str(caught.value)
    assert file in message
    assert "run 'a'" in message
    assert "dvc repro train@a" in message


def test_bad_files_are_named(tmp_path: Path) -> None:
    write_run(tmp_path, "a")
    path = tmp_path / "scores" / "a" / "sweep.csv"
    pd.read_csv(path).drop(columns="mask_seed").to_csv(path, index=False)
    with pytest.raises(InputError, match=r"sweep\.csv: found no column mask_seed"):
        load(tmp_path, "a")["a"].part("sweep")
    (tmp_path / "runs" / "a" / "predictions.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"predictions\.parquet: found a file that cannot be read"):
        load(tmp_path, "a")["a"].part("predictions")
    with pytest.raises(InputError, match="no part 'weights'"):
        load(tmp_path, "a")["a"].part("weights")
    (tmp_path / "metrics" / "runs" / "a.json").write_text("[1]")
    with pytest.raises(InputError, match="metrics of run 'a': found list"):
        load(tmp_path, "a")


@pytest.mark.parametrize("data, simulated", [
    ("DEAP", True), ("DEAP (simulated)", False), ("DEAP (simulated)", None), (None, True)])
def test_provenance_must_agree(tmp_path: Path, data: str | None, simulated: bool | None) -> None:
    write_run(tmp_path, "odd")
    edit(tmp_path / "metrics" / "runs" / "odd.json", data=data, simulated=simulated)
    with pytest.raises(InputError, match=r"'odd': simulated and data: found .* the word simulated exactly where"):
        load(tmp_path, "odd")


def test_metrics_and_run_json_must_agree(tmp_path: Path) -> None:
    write_run(tmp_path, "a")
    edit(tmp_path / "runs" / "a" / "run.json", data="DEAP", simulated=False)
    with pytest.raises(InputError, match=r"run\.json of run 'a': data"):
        load(tmp_path, "a")
    edit(tmp_path / "metrics" / "runs" / "a.json", run="b")
    with pytest.raises(InputError, match="metrics of run 'a': run: found 'b'"):
        load(tmp_path, "a")


@pytest.mark.parametrize("attributes, label", [
    ({"method": "tacoformer"}, "TACOFormer (2023)"),
    ({"model": {"emotion_experts": 0, "soft_routing": False}},
     "Hi-MoE without Emotion Expert Bank without Soft Routing"),
    ({"variant": "experts1"}, "Hi-MoE with 1 emotion expert"),
    ({"protocol": "leaky", "shuffle_labels": True}, "Hi-MoE (leaky split) (labels shuffled)"),
])
def test_labels_say_what_a_run_is(tmp_path: Path, attributes: dict[str, Any], label: str) -> None:
    write_run(tmp_path, "a", **attributes)
    assert load(tmp_path, "a")["a"].label == label


def test_select_by_every_attribute(tmp_path: Path) -> None:
    runs: dict[str, dict[str, Any]] = {
        "z": {}, "method": {"method": "ianet"}, "set": {"set": "dreamer"}, "protocol": {"protocol": "loso"},
        "task": {"task": "classification"}, "modality_set": {"modalities": "EEG+EDA"},
        "variant": {"variant": "experts4"}, "shuffled": {"shuffle_labels": True}}
    for name, attributes in runs.items():
        write_run(tmp_path, name, **attributes)
    results = load(tmp_path, *runs)

    def names(**asked: Any) -> list[str]:
        return [run.run for run in select(results, **asked)]

    plain = {"set": "deap", "protocol": "trial", "task": "regression", "modality_set": "EEG+PPS", "method": "himoe",
             "variant": ""}
    assert names(**plain) == ["z"]
    for key in plain:  # one condition less lets exactly that run in, in the order of the results
        assert names(**{k: v for k, v in plain.items() if k != key}) == ["z", key]
    assert names(**plain, shuffled=None) == ["z", "shuffled"]
    assert names(**plain, shuffled=True) == ["shuffled"]
    assert names() == [name for name in runs if name != "shuffled"]
    assert [run.run for run in select(select(results, method="himoe"), variant="experts4")] == ["variant"]
    assert provenance(results.values()) == "DEAP (simulated), DREAMER (simulated)"


def test_comparisons_and_cost_are_read_back(tmp_path: Path) -> None:
    write_run(tmp_path, "a")
    write_run(tmp_path, "b", method="mean")
    _, comparisons, cost = finish_reports(tmp_path, ["a", "b"])
    assert comparisons[["reference", "run", "missing_rate"]].to_numpy().tolist() == [["a", "b", 0.0], ["a", "b", 0.4]]
    assert cost["method"].tolist() == ["himoe", "mean"]
    assert cost["parameters"].isna().tolist() == [False, True]
    (tmp_path / "metrics" / "comparisons.csv").write_text("family\n")
    with pytest.raises(InputError, match=r"comparisons\.csv: found no column reference, run"):
        load_comparisons(tmp_path / "metrics")
    seconds = tmp_path / "seconds.csv"
    (tmp_path / "metrics" / "cost.csv").unlink()
    with pytest.raises(InputError, match=r"cost\.csv: found no file"):
        load_cost(tmp_path / "metrics", seconds)


def test_seconds_go_to_the_network_that_was_measured(tmp_path: Path) -> None:
    """A network is found by its counts too: one that has changed since has no seconds, and nothing is said of it."""
    write_run(tmp_path, "a")
    write_run(tmp_path, "b", method="mean")
    write_run(tmp_path, "c", method="bilstm")
    _, _, cost = finish_reports(tmp_path, ["a", "b", "c"])
    assert cost["seconds_per_window"].isna().tolist() == [False, True, False]
    assert measured_on(cost) == "measured on Abacus 9, 2031-02-03"
    path = tmp_path / "seconds.csv"
    seconds = pd.read_csv(path)
    seconds.assign(multiply_adds=seconds["multiply_adds"] + [0, 1]).to_csv(path, index=False)
    changed = load_cost(tmp_path / "metrics", path)
    assert changed["seconds_per_window"].isna().tolist() == [False, True, True]
    seconds.iloc[:0].to_csv(path, index=False)
    unmeasured = load_cost(tmp_path / "metrics", path)
    assert measured_on(unmeasured) == ""
    pd.testing.assert_frame_equal(unmeasured[list(COST_COLUMNS)], cost[list(COST_COLUMNS)])
    pd.concat([seconds, seconds.iloc[:1].assign(date="2031-02-04")]).to_csv(path, index=False)
    with pytest.raises(InputError, match=r"seconds\.csv: found two lines of himoe"):
        load_cost(tmp_path / "metrics", path)
    path.unlink()
    with pytest.raises(InputError, match=r"seconds\.csv: found no file.*make cost"):
        load_cost(tmp_path / "metrics", path)


def test_sweep_curve_is_a_slow_loop(tmp_path: Path) -> None:
    write_run(tmp_path, "a")
    sweep = load(tmp_path, "a")["a"].part("sweep").copy()
    lost = ((sweep["missing_rate"] == 0.3) & (sweep["mask_seed"] == 1) & (sweep["fold"] == 2)
            & (sweep["metric"] == "pcc") & (sweep["dimension"] == "arousal"))
    sweep.loc[lost, "value"] = np.nan
    curve = sweep_curve(sweep, "pcc", "arousal").set_index("missing_rate")
    assert list(curve.index) == list(RATES)
    for rate in RATES:
        by_mask = []
        for mask in MASK_SEEDS if rate else (0,):
            values = [row.value for row in sweep.itertuples() if row.missing_rate == rate and row.mask_seed == mask
                      and row.metric == "pcc" and row.dimension == "arousal" and not np.isnan(row.value)]
            by_mask.append(sum(values) / len(values))
        assert curve.loc[rate, "mean"] == pytest.approx(np.mean(by_mask), rel=1e-12)
        expected = np.std(by_mask, ddof=1) if rate else np.nan
        assert curve.loc[rate, "sd"] == pytest.approx(expected, rel=1e-9, nan_ok=True)
        assert curve.loc[rate, "undefined"] == (2 if rate == 0.3 else 0)
    with pytest.raises(InputError, match="no rows for accuracy of mean"):
        sweep_curve(sweep, "accuracy")




def test_figures_show_held_out_trials_where_there_are_any(tmp_path: Path) -> None:
    write_run(tmp_path, "a-leaky", protocol="leaky")
    write_run(tmp_path, "b-loso", protocol="loso")
    write_run(tmp_path, "c-trial")
    results, _, _ = finish_reports(tmp_path, ["a-leaky", "b-loso", "c-trial"])
    assert figure_protocol(results, "deap") == "trial"
    assert figure_protocol({name: results[name] for name in ("a-leaky", "b-loso")}, "deap") == "loso"
    assert figure_protocol(results, "dreamer") == "trial"  # nothing to show
