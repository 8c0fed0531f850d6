"""Which runs a figure shows, chosen by what the runs are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from himoe.core.params import ReportParams
from himoe.scoring.results import RunResult, figure_protocol, main_modality_set, select

OWN_METHOD = "himoe"
_EXPERTS = re.compile(r"experts\d+")


def plain_runs(results: Mapping[str, RunResult], settings: ReportParams, *, protocol: str | None = None,
               task: str = "regression", modality_set: str | None = None,
               method: str | None = None) -> list[RunResult]:
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


def own_modality_set(results: Mapping[str, RunResult], settings: ReportParams, *, protocol: str | None = None,
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


def all_methods(results: Mapping[str, RunResult], settings: ReportParams, *, task: str = "regression",
                modality_set: str | None = None) -> dict[str, RunResult]:
    """Every method's run on *modality_set* (None = that of the main comparison), whole trials held out."""
    chosen = modality_set or own_modality_set(results, settings, task=task)
    if chosen is None:
        return {}
    return by_method(plain_runs(results, settings, task=task, modality_set=chosen))


def with_baselines(results: Mapping[str, RunResult], settings: ReportParams,
                   modality_set: str | None = None) -> dict[str, RunResult]:
    """Hi-MoE and the baselines of the settings, as far as they were run; empty without Hi-MoE."""
    found = all_methods(results, settings, modality_set=modality_set)
    if OWN_METHOD not in found:
        return {}
    return {method: found[method] for method in (OWN_METHOD, *settings.baselines) if method in found}


def with_seeds(runs: Mapping[str, RunResult], results: Mapping[str, RunResult]) -> dict[str, RunResult]:
    """Each method's run with more seeds (the variant ``seeds``) where there is one, else the run itself."""
    found = {}
    for method, run in runs.items():
        same = {key: run.metrics[key] for key in ("set", "protocol", "task", "modality_set", "method")}
        found[method] = next(iter(select(results, variant="seeds", **same)), run)
    return found


def expert_runs(results: Mapping[str, RunResult], settings: ReportParams) -> dict[int, RunResult]:
    """Hi-MoE by its number of emotion experts: the plain run and the variants ``experts<N>`` of one modality set."""
    protocol = figure_protocol(results, settings.figure_set)
    every = select(results, set=settings.figure_set, protocol=protocol, task="regression", method=OWN_METHOD)
    modality_set = largest_modality_set(run for run in every if _EXPERTS.fullmatch(str(run.metrics["variant"])))
    if modality_set is None:
        return {}
    runs = select(every, modality_set=modality_set)
    found: dict[int, RunResult] = {}
    for run in runs:
        variant = str(run.metrics["variant"])
        if variant == "" or _EXPERTS.fullmatch(variant):
            found.setdefault(int(run.info["model"]["emotion_experts"]), run)
    return dict(sorted(found.items()))


def ranked(runs: Mapping[str, RunResult], metric: str = "ccc") -> list[RunResult]:
    """Networks by falling score, then the floors likewise; runs without a score last of their kind."""
    def place(run: RunResult) -> tuple[bool, bool, float]:
        score = run.metrics.get(metric)
        return run.floor, score is None, -(score or 0.0)
    return sorted(runs.values(), key=place)


def ceiling(runs: Iterable[RunResult], metric: str = "ccc") -> float | None:
    """What the first of *runs* that knows of a ceiling says is attainable."""
    return next((value for run in runs if (value := run.attainable(metric)) is not None), None)


def spread(runs: Iterable[RunResult]) -> str:
    """Over what a score's SD is taken: folds, and seeds where there is more than one."""
    return "folds and seeds" if any(int(run.metrics["seeds"]) > 1 for run in runs) else "folds"


def listed(names: Sequence[str]) -> str:
    """Names joined for a sentence: ``"a, b and c"``."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else list(names))
