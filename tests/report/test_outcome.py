"""The sentence of the outcome and README's block: numbers from the files, nothing typed."""

from __future__ import annotations

from typing import Any

import pytest
from report_folders import ATTAINABLE, SETTINGS, finish_reports, write_run

from himoe.core.errors import InputError
from himoe.report.outcome import (
    BEGIN,
    END,
    claims_text,
    leaks_text,
    readme_block,
    replace_block,
    results_table,
    sentence,
)


def score(made: Any, run: str) -> str:
    metrics = made.results[run].metrics
    return f"{metrics['ccc']:.2f} [{metrics['ccc_low']:.2f}, {metrics['ccc_high']:.2f}]"


def test_the_sentence_names_winner_distance_test_and_ceiling(made: Any) -> None:
    where = "CCC on DEAP (simulated), whole trials held out, EEG+PPS"
    known = f"; {ATTAINABLE['deap']['ccc']:.2f} is attainable with the true gains and lags known."
    at_zero = made.comparisons[made.comparisons["missing_rate"] == 0].set_index("run")

    def against(run: str) -> str:
        row = at_zero.loc[run]
        return (f"{row['difference']:+.2f} [{row['low']:.2f}, {row['high']:.2f}] (p = {row['p_holm']:.2g}, "
                f"{row['verdict']})")

    assert sentence(made.results, made.comparisons, SETTINGS) == (
        f"Features + ridge (floor) has the highest {where}: {score(made, 'deap-features_ridge')}; Hi-MoE has "
        f"{score(made, 'deap-himoe')}, {against('deap-features_ridge')} against it{known}")
    gap = made.results["deap-himoe"].metrics["ccc"] - made.results["deap-features_ridge"].metrics["ccc"]
    nothing = made.comparisons.iloc[:0]
    untested = sentence(made.results, nothing, SETTINGS)
    assert f"Hi-MoE has {score(made, 'deap-himoe')}, {gap:+.2f} against it;" in untested
    without = {name: run for name, run in made.results.items() if run.metrics["method"] != "features_ridge"}
    assert sentence(without, made.comparisons, SETTINGS) == (
        f"Hi-MoE has the highest {where}: {score(made, 'deap-himoe')}, {against('deap-features_gbdt')} against "
        f"Features + GBDT (floor){known}")
    assert sentence({}, nothing, SETTINGS) == "No regression run to sum up."


def test_the_best_network_is_named_where_a_floor_wins_and_hi_moe_is_not_it(tmp_path: Any) -> None:
    for method, skill in (("himoe", 0.3), ("ianet", 0.6), ("features_ridge", 0.9)):
        write_run(tmp_path, method, method=method, skill=skill, seeds=(0,), simulated=False)
    results, comparisons, _ = finish_reports(tmp_path, ["himoe", "ianet", "features_ridge"])
    text = sentence(results, comparisons, SETTINGS)
    assert f"and IANet (2024), the best network, {results['ianet'].metrics['ccc']:.2f} [" in text
    assert "simulated" not in text
    assert "attainable" not in text


def test_the_block_holds_every_score_and_verdict(made: Any) -> None:
    block = readme_block(made.results, made.comparisons, made.tables["claims"], SETTINGS)
    assert block.startswith(BEGIN)
    assert block.endswith(END)
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in results_table(made.results).splitlines()}
    heads = lines["Held out"].strip("| ").split(" | ")
    column = heads.index("DEAP (simulated), whole trials, EEG+PPS")
    cells = {name: line.strip("| ").split(" | ") for name, line in lines.items()}
    assert cells["Hi-MoE"][column] == score(made, "deap-himoe")
    assert cells["Features + ridge (floor)"][column] == f"**{score(made, 'deap-features_ridge')}**"
    assert cells["Attainable (true gains and lags known)"][column] == f"{ATTAINABLE['deap']['ccc']:.2f}"
    assert cells["Training mean of the clip (floor)"][column + 1] == "—"
    verdicts = claims_text(made.tables["claims"]).splitlines()
    rows = [row for row in made.tables["claims"].rows
            if str(row[0]).startswith("Best of all methods") and row[1] == "DEAP (simulated)"]
    place = verdicts[0].strip("| ").split(" | ").index("DEAP (simulated)")
    cell = next(line for line in verdicts if line.startswith("| Best of all")).strip("| ").split(" | ")[place]
    zero, far = (str(row[3]) for row in rows)
    assert cell == (zero if zero == far else f"{zero} (r = 0.00), {far} (r = 0.40)")
    assert claims_text(None) == ""
    assert leaks_text(made.results).splitlines()[2:] == [
        f"| {held_out} | {score(made, run)} |" for held_out, run in (
            ("whole trials held out", "deap-himoe"), ("windows shuffled (leaky)", "deap-leaky"),
            ("whole trials held out, labels shuffled between trials", "deap-shuffled"),
            ("windows shuffled (leaky), labels shuffled between trials", "deap-leaky-shuffled"))]


def test_only_what_stands_between_the_markers_is_replaced() -> None:
    text = f"# A\n\n{BEGIN}\nold\n{END}\n\nkept\n"
    assert replace_block(text, f"{BEGIN}\n\nnew\n\n{END}") == f"# A\n\n{BEGIN}\n\nnew\n\n{END}\n\nkept\n"
    for broken in ("# A\n", f"{END} {BEGIN}", f"{BEGIN} {BEGIN} {END}"):
        with pytest.raises(InputError, match=r"README\.md: found no block of results"):
            replace_block(broken, "new")


def test_the_command_writes_and_checks_readme(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline import readme as command
    from pipeline import reports

    monkeypatch.setattr(reports, "stage_params", lambda name: {"report": {"figure_set": "deap", "baselines": ["mean"]}})
    monkeypatch.chdir(tmp_path)
    for method in ("himoe", "mean"):
        write_run(tmp_path, method, method=method, seeds=(0,))
    results, _, _ = finish_reports(tmp_path, ["himoe", "mean"])
    (tmp_path / "bench").mkdir()
    (tmp_path / "seconds.csv").rename(tmp_path / "bench" / "cost.csv")
    (tmp_path / "README.md").write_text(f"# A\n\n{BEGIN}\n{END}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"run python -m pipeline\.readme"):
        command.readme("--check")
    command.readme()
    command.readme("--check")
    assert f"{results['himoe'].metrics['ccc']:.2f} [" in (tmp_path / "README.md").read_text(encoding="utf-8")
