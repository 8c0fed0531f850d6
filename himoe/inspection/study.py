"""A small study of one's own recordings: what they allow, read from the files, and the params.yaml that says so.

The file holds only what differs from the project's parameters: this one set, rates and bands that its sensors can
hold, folds that its people and trials allow, a few runs.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from himoe.core.errors import InputError, bad_input
from himoe.core.params import FilterParams
from himoe.core.recordings import MODALITIES
from himoe.inspection.locate import Place
from himoe.inspection.rated import rated_trials
from himoe.inspection.survey import SubjectFacts, TrialFacts, read_subjects
from himoe.prepare.filters import fitting_filter

FOLDS, GROUPS = 4, 5  # at most: of trials, of people
LEAST = 3  # trials of a person, or people: one tests, one validates, one trains
WINDOWS_S = (4.0, 2.0, 1.0)  # lengths to choose from; steps are half of them
TINY_S = 1e-9  # as the window stage rounds
SHORTEST_S = WINDOWS_S[-1] - TINY_S  # a shorter trial gives no window at all
NAME = re.compile(r"[A-Za-z0-9_-]+")
HELD_OUT = {"trial": "whole trials", "loso": "people"}


@dataclass(frozen=True)
class Study:
    """What is run on which recordings. ``filters``: by modality; ``notes``: sentences for the user."""

    place: Place
    layout: str | None
    protocol: str
    folds: int
    people: int | None
    window_s: float
    filters: Mapping[str, FilterParams]
    methods: tuple[str, ...]
    rated: Mapping[str, int]
    notes: tuple[str, ...]

    @property
    def text(self) -> str:
        """Its params.yaml."""
        return study_text(self)


def plan_study(place: Place, usual: Mapping[str, FilterParams], jobs: int = 1) -> Study:
    """Read all recordings of *place* and say what can be done with them; *usual* are rates and bands by modality.

    Raises
    ------
    InputError
        If a recording cannot be read, or there are too few rated trials to hold any out.
    """
    check_name(place.root, place.dataset.name)
    layout = place.layouts[0] if place.layouts else None
    facts = read_all(place, layout, jobs)
    trials = [trial for one in facts for trial in one.trials]
    window_s, short = choose_window(place.root, trials)
    rated = count_rated(facts)
    protocol, notes = choose_protocol(place.root, {person: count for person, count in rated.items() if count})
    filters, said = choose_filters(rates(place.root, trials, place.dataset.default_off), usual, window_s)
    counts = [count for count in rated.values() if count]
    folds, people = max(2, min(FOLDS, min(counts))), None if len(counts) <= GROUPS else GROUPS
    return Study(place, layout, protocol, folds, people, window_s, filters, choose_methods(protocol, trials), rated,
                 (*notes, *short, *said))


def check_name(root: Path, name: str) -> None:
    """Refuse a set's name that cannot stand in parameters and file names."""
    if not NAME.fullmatch(name):
        raise bad_input(f"{root}: name", repr(name), "letters, digits, _ and - alone",
                        "change the name in dataset.yaml")


def count_rated(facts: Sequence[SubjectFacts]) -> dict[str, int]:
    """How many rated trials of each person are long enough for a window."""
    return {person: sum(trial.duration_s >= SHORTEST_S for trial in trials)
            for person, trials in rated_trials(facts).items()}


def read_all(place: Place, layout: str | None, jobs: int) -> list[SubjectFacts]:
    """Facts of every person; the first that cannot be read is refused."""
    options = place.options(layout)
    subjects = place.dataset.inspect(place.root, options).subjects
    facts = list(read_subjects(place.dataset, place.root, options, subjects, jobs))
    for one in facts:
        if one.error is not None:
            raise InputError(one.error)
    return facts


def choose_protocol(root: Path, rated: Mapping[str, int]) -> tuple[str, list[str]]:
    """Whole trials held out where everybody has enough of them, else people; with why not the other."""
    few = sorted(person for person, count in rated.items() if count < LEAST)
    reasons = {}
    if few or not rated:
        reasons["trial"] = (f"{few[0]} has {rated[few[0]]} rated, every person needs {LEAST}" if few
                            else "there is no rated trial")
    if len(rated) < LEAST:
        reasons["loso"] = f"{len(rated)} people have rated trials, {LEAST} are needed"
    possible = [protocol for protocol in HELD_OUT if protocol not in reasons]
    if not possible:
        raise bad_input(root, "; ".join(f"{HELD_OUT[name]} cannot be held out: {why}" for name, why in reasons.items()),
                        f"{LEAST} rated trials of every person, or {LEAST} people", "rate or record more")
    return possible[0], [f"{HELD_OUT[name].capitalize()} cannot be held out: {why}." for name, why in reasons.items()]


def choose_window(root: Path, trials: Sequence[TrialFacts]) -> tuple[float, list[str]]:
    """Seconds of a window: the usual length, or what fits the shortest trial; and which trials are left out for it."""
    lengths_s = [trial.duration_s for trial in trials]
    usable_s = [length_s for length_s in lengths_s if length_s >= SHORTEST_S]
    if not usable_s:
        raise bad_input(root, f"no trial of {WINDOWS_S[-1]:g} s", "one at least, to hold a window", "record more")
    short = len(lengths_s) - len(usable_s)
    said = [f"{short} trial{'s' * (short > 1)} shorter than {WINDOWS_S[-1]:g} s left out."] if short else []
    return next(length_s for length_s in WINDOWS_S if length_s <= min(usable_s) + TINY_S), said


def rates(root: Path, trials: Iterable[TrialFacts], left_out: Iterable[str]) -> dict[str, float]:
    """The lowest recorded rate of every modality that holds samples; refused where none does."""
    found: dict[str, float] = {}
    for trial in trials:
        for name, signal in trial.signals.items():
            if not signal.empty and name not in left_out:
                found[name] = min(found.get(name, math.inf), signal.form.sfreq_hz)
    if not found:
        raise bad_input(root, "no modality with a usable sample", "one or more", "see what himoe check says")
    return {name: found[name] for name in MODALITIES if name in found}


def choose_filters(recorded: Mapping[str, float], usual: Mapping[str, FilterParams],
                   window_s: float) -> tuple[dict[str, FilterParams], list[str]]:
    """Rates and bands that the recorded rates can hold, and what is said of those that are not the usual ones."""
    chosen, said = {}, []
    for name, rate_hz in recorded.items():
        asked = usual.get(name, FilterParams())
        chosen[name] = fitting_filter(asked, rate_hz, window_s / 2)
        high, kept = asked.band_hz[1], chosen[name].band_hz[1]
        if high is not None and kept != high:
            said.append(f"{name} is recorded at {rate_hz:g} Hz: its band ends at {kept:g} Hz.")
    return chosen, said


def choose_methods(protocol: str, trials: Sequence[TrialFacts]) -> tuple[str, ...]:
    """Hi-MoE, a plain network, ridge regression on features, and the means that need no signal."""
    shared = len({trial.stimulus for trial in trials}) < len(trials)
    floor = ("mean_subject",) if protocol == "trial" else ("mean_stimulus",) if shared else ()
    return ("himoe", "late_fusion", "features_ridge", "mean", *floor)


def study_text(study: Study) -> str:
    """The params.yaml of a study."""
    name, line = study.place.dataset.name, json.dumps
    run = {"set": name, "protocol": study.protocol, "modalities": "+".join(study.filters)}
    bands = [f"    {modality}: {_flow({'sfreq_hz': _plain(one.sfreq_hz), 'band_hz': list(map(_plain, one.band_hz))})}"
             for modality, one in study.filters.items()]
    runs = [f"  {name}-{method}: {_flow({**run, 'method': method})}" for method in study.methods]
    source = {"source": "local", "path": str(study.place.root.resolve()), "layout": study.layout,
              "redistribute": study.place.dataset.redistributable}
    return "\n".join([
        "# A study of one's own recordings: only what differs from the project's params.yaml. In the project's folder:",
        "# python -m pipeline.study <this folder>. More runs: one line each (docs/pipeline.md).",
        "study:",
        "  replace: [sets, preprocess, profiles.embedded.size, profiles.embedded.preprocess, main, runs]",
        "  stages: [evaluate]       # leave out these three lines for every table, figure and the page",
        "  results: [metrics]",
        "  summary: true",
        "profile: embedded",
        "remote: licensed           # never pushed with the rest",
        "sets:", f"  {name}: {line(source, ensure_ascii=False)}",
        "preprocess:                # target rate and pass band by sensor; null = open on that side",
        f"  {name}:", *bands,
        f"windows: {{length_s: {_plain(study.window_s)}, step_s: {_plain(study.window_s / 2)}}}",
        "profiles:", "  embedded:", "    size: {}", f"    preprocess: {{default: {name}}}",
        f"    split: {{folds: {study.folds}, people: {line(study.people)}}}   # folds of trials, groups of people",
        "    training: {seeds: [0], search: {learning_rate: []}}",
        "missing: {rates: [0.0, 0.2, 0.4], mask_seeds: [0]}",
        f"report: {{figure_set: {name}, baselines: [late_fusion, features_ridge]}}",
        f"main: {_flow({**run, 'method': 'himoe'})}",
        "runs:", *runs, ""])


def _flow(values: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{key}: {value if isinstance(value, str) else json.dumps(value)}"
                           for key, value in values.items()) + "}"


def _plain(value: float | None) -> float | int | None:
    """A whole number without its ``.0``."""
    return int(value) if value is not None and value == int(value) else value
