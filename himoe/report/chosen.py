"""Which runs tables, figures and page show, in which order, and in which words: chosen by what the runs are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from himoe.core.errors import bad_input
from himoe.core.params import ReportParams
from himoe.scoring.metrics import class_count
from himoe.scoring.paper import METHOD_LABELS, is_floor
from himoe.scoring.results import RunResult, figure_protocol, main_modality_set, select

Results = Mapping[str, RunResult]
OWN_METHOD = "himoe"
HELD_OUT = {"trial": "whole trials held out", "sequential": "later trials held out", "session": "days held out",
            "loso": "people held out", "stimulus": "clips held out", "leaky": "windows shuffled (leaky)"}
SHUFFLED = "labels shuffled between trials"
# Held against a leaky split: the networks' stand-in, and floors from the best to those that look at no signal.
AUDITED = (OWN_METHOD, "features_ridge", "features_gbdt", "mean", "mean_subject", "mean_stimulus")
MOVING_TRIALS = 3  # of the paper's Figures 2 and 5
TRIALS = 24  # of the page, which must stay small enough to mail
_EXPERTS = re.compile(r"experts\d+")


def method_label(method: str) -> str:
    """A method's printed name; floors are named."""
    return METHOD_LABELS.get(method, method) + (" (floor)" if is_floor(method) else "")


def split_label(run: RunResult) -> str:
    """What was held out, in words, and whether labels were shuffled."""
    protocol = str(run.metrics["protocol"])
    return HELD_OUT.get(protocol, protocol) + (f", {SHUFFLED}" if run.metrics["shuffled_labels"] else "")


def family(run: RunResult) -> str:
    """Runs of one family compare: data, what is held out, modalities, and the number of classes where not two."""
    classes = class_count(run.metrics)
    name = f"{run.data}, {HELD_OUT[run.metrics['protocol']]}, {run.metrics['modality_set']}"
    return f"{name}, {classes} classes" if (classes or 2) > 2 else name


def scored_runs(results: Results, task: str | None = None) -> list[RunResult]:
    """Runs that are scores of a method on any set: no variant, no shuffled labels, no leaky split."""
    return [run for run in select(results, task=task, variant="") if run.metrics["protocol"] != "leaky"]


def plain_runs(results: Results, settings: ReportParams, *, protocol: str | None = None, task: str = "regression",
               modality_set: str | None = None, method: str | None = None) -> list[RunResult]:
    """Runs of the reported set with unchanged methods and true labels, in the order of the results.

    *protocol* None = :func:`himoe.scoring.results.figure_protocol`.
    """
    protocol = protocol or figure_protocol(results, settings.figure_set)
    return select(results, set=settings.figure_set, protocol=protocol, task=task, modality_set=modality_set,
                  method=method, variant="")


def n_modalities(run: RunResult) -> int:
    """How many modalities a run uses."""
    return len(run.info["modalities"])


def largest_modality_set(runs: Iterable[RunResult]) -> str | None:
    """The modality set with the most modalities; of equal ones the first; None without runs."""
    ordered = sorted(runs, key=n_modalities, reverse=True)
    return str(ordered[0].metrics["modality_set"]) if ordered else None


def own_modality_set(results: Results, settings: ReportParams, *, protocol: str | None = None,
                     task: str = "regression") -> str | None:
    """The modality set of the main comparison: Hi-MoE's with the most methods, of equals the largest.

    Where Hi-MoE was not run, that of any method.
    """
    return main_modality_set(plain_runs(results, settings, protocol=protocol, task=task))


def by_method(runs: Iterable[RunResult]) -> dict[str, RunResult]:
    """One run per method (the first), Hi-MoE first, the rest in their order."""
    found: dict[str, RunResult] = {}
    for run in runs:
        found.setdefault(str(run.metrics["method"]), run)
    return {method: found[method] for method in sorted(found, key=lambda method: method != OWN_METHOD)}


def main_runs(results: Results, settings: ReportParams, *, task: str = "regression",
              modality_set: str | None = None) -> dict[str, RunResult]:
    """Every method's run on *modality_set* (None = that of the main comparison): what most figures and charts show."""
    chosen = modality_set or own_modality_set(results, settings, task=task)
    if chosen is None:
        return {}
    return by_method(plain_runs(results, settings, task=task, modality_set=chosen))


def with_baselines(results: Results, settings: ReportParams,
                   modality_set: str | None = None) -> dict[str, RunResult]:
    """Hi-MoE and the baselines of the settings, as far as they were run; empty without Hi-MoE."""
    found = main_runs(results, settings, modality_set=modality_set)
    if OWN_METHOD not in found:
        return {}
    return {method: found[method] for method in (OWN_METHOD, *settings.baselines) if method in found}


def with_seeds(runs: Mapping[str, RunResult], results: Results) -> dict[str, RunResult]:
    """Each method's run with more seeds (the variant ``seeds``) where there is one, else the run itself."""
    found = {}
    for method, run in runs.items():
        same = {key: run.metrics[key] for key in ("set", "protocol", "task", "modality_set", "method")}
        found[method] = next(iter(select(results, variant="seeds", **same)), run)
    return found


def trajectory_runs(results: Results, settings: ReportParams) -> dict[str, RunResult]:
    """Whose predictions stand beside the ratings over time."""
    return with_seeds(with_baselines(results, settings), results)


def missing_runs(results: Results, settings: ReportParams, modality_set: str | None = None) -> dict[str, RunResult]:
    """Every method's run on *modality_set*, None = Hi-MoE's largest: the curves of Figures 3, 6 and 7."""
    return main_runs(results, settings, modality_set=modality_set or largest_modality_set(
        plain_runs(results, settings, method=OWN_METHOD)))


def swept_runs(results: Results) -> list[RunResult]:
    """Regression runs scored at several missing rates, under the split that the figures of their set show."""
    return [run for run in scored_runs(results, "regression")
            if run.metrics["protocol"] == figure_protocol(results, run.metrics["set"])]


def expert_runs(results: Results, settings: ReportParams) -> list[RunResult]:
    """Hi-MoE runs that differ in emotion experts alone, fewest first within a modality set, the largest set first."""
    protocol = figure_protocol(results, settings.figure_set)
    every = select(results, set=settings.figure_set, protocol=protocol, task="regression", method=OWN_METHOD)
    varied = [run for run in every if _EXPERTS.fullmatch(str(run.metrics["variant"]))]
    sets = list(dict.fromkeys(run.metrics["modality_set"] for run in sorted(varied, key=n_modalities, reverse=True)))
    runs = [*varied, *(run for run in select(every, variant="") if run.metrics["modality_set"] in sets)]
    return sorted(runs, key=lambda run: (sets.index(run.metrics["modality_set"]), n_experts(run)))


def n_experts(run: RunResult) -> int:
    """How many emotion experts a run of Hi-MoE has."""
    return int(run.info["model"]["emotion_experts"])


def is_suspect(run: RunResult) -> bool:
    """Whether a run's score is no score of a method: a leaky split, or shuffled labels."""
    return run.metrics["protocol"] == "leaky" or bool(run.metrics["shuffled_labels"])


def audited_runs(results: Results, dataset: str | None = None) -> list[RunResult]:
    """Runs that leak or have shuffled labels, and the honest ones of the same data to hold them against.

    True labels first, then as in ``HELD_OUT`` and ``AUDITED``; empty where no run leaks or was shuffled.
    """
    every = select(results, set=dataset, task="regression", variant="", shuffled=None)
    places = {(run.metrics["set"], run.metrics["modality_set"]) for run in every if is_suspect(run)}
    runs = [run for run in every if (run.metrics["set"], run.metrics["modality_set"]) in places
            and (run.metrics["method"] in AUDITED or is_suspect(run))]
    sets = list(dict.fromkeys(run.metrics["set"] for run in every))
    methods = [*AUDITED, *(run.metrics["method"] for run in every)]
    return sorted(runs, key=lambda run: (
        sets.index(run.metrics["set"]), bool(run.metrics["shuffled_labels"]),
        list(HELD_OUT).index(run.metrics["protocol"]), methods.index(run.metrics["method"])))


def leak_runs(results: Results, settings: ReportParams) -> list[RunResult]:
    """:func:`audited_runs` of the reported set on the largest modality set on which Hi-MoE leaks; empty without one."""
    leaky = plain_runs(results, settings, protocol="leaky", method=OWN_METHOD)
    return select(audited_runs(results, settings.figure_set), modality_set=largest_modality_set(leaky) or "",
                  shuffled=None)


def trials_in_order(predictions: pd.DataFrame) -> pd.DataFrame:
    """Trials (subject, trial) to show over time, chosen without a look at the predictions; at most ``TRIALS``.

    First the ``MOVING_TRIALS`` whose labels move most within the trial (mean SD over dimensions; ties by name), at
    most one per subject: those of the paper's figures. Then others, evenly spaced in the order of subject and trial.
    """
    moves = predictions.groupby(["subject", "trial", "dimension"])["y_true"].std()
    every = moves.groupby(["subject", "trial"]).mean().round(9).reset_index()
    ordered = every.sort_values(["y_true", "subject", "trial"], ascending=[False, True, True])
    first = ordered.drop_duplicates("subject").head(MOVING_TRIALS)
    rest = every.drop(index=first.index).sort_values(["subject", "trial"])
    n = min(TRIALS - len(first), len(rest))
    spaced = [round(k * (len(rest) - 1) / max(n - 1, 1)) for k in range(n)]
    return pd.concat([first, rest.iloc[spaced]])[["subject", "trial"]].reset_index(drop=True)


def combination_set(results: Results, settings: ReportParams) -> str | None:
    """The largest modality set whose 2^M - 1 combinations were all scored, else the largest of all; None without."""
    scored = [run for run in plain_runs(results, settings, method=OWN_METHOD) if not run.part("combinations").empty]
    own = [run for run in scored if n_modalities(run) > 1] or scored
    complete = [run for run in own if run.part("combinations")["combination"].nunique() == 2 ** n_modalities(run) - 1]
    return largest_modality_set(complete or own)


def shown_combinations(found: Sequence[str] | pd.Series, n_modalities: int, most: int) -> tuple[list[str], int]:
    """Combinations to show, fullest first, and how many are left out.

    Of more than *most* only those with at most one modality absent or just one present stay.

    Raises
    ------
    InputError
        If a combination is not *n_modalities* digits 0 or 1.
    """
    ordered = sorted(set(found), key=fullest_first)
    bad = [c for c in ordered if len(c) != n_modalities or set(c) - {"0", "1"}]
    if bad:
        raise bad_input("combination", repr(bad[0]), f"{n_modalities} digits 0 or 1", "train the run again")
    if len(ordered) <= most:
        return ordered, 0
    shown = [c for c in ordered if c.count("0") <= 1 or c.count("1") == 1]
    return shown, len(ordered) - len(shown)


def fullest_first(combination: str) -> tuple[int, str]:
    """Sort key: few absent first, then in the order of the modality that is absent (or alone present)."""
    absent, present = combination.count("0"), combination.count("1")
    swapped = combination.translate(str.maketrans("01", "10"))
    return absent, combination if absent <= present else swapped


def in_words(combination: str, modalities: Sequence[str]) -> str:
    """``"101"`` of EEG, ECG, EDA is ``"no ECG"``; all, one absent and one alone have words, others are listed."""
    present = [name for name, bit in zip(modalities, combination, strict=True) if bit == "1"]
    absent = [name for name in modalities if name not in present]
    if not absent:
        return f"all {len(modalities)}"
    if len(present) == 1:
        return f"{present[0]} only"
    return f"no {absent[0]}" if len(absent) == 1 else "+".join(present)


def ceiling(runs: Iterable[RunResult], metric: str = "ccc") -> float | None:
    """What the first of *runs* that knows of a ceiling says is attainable."""
    return next((value for run in runs if (value := run.attainable(metric)) is not None), None)


def spread(runs: Iterable[RunResult]) -> str:
    """Over what a score's SD is taken: folds, and seeds where there is more than one."""
    return "folds and seeds" if any(int(run.metrics["seeds"]) > 1 for run in runs) else "folds"


def listed(names: Sequence[str]) -> str:
    """Names joined for a sentence: ``"a, b and c"``."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else list(names))
