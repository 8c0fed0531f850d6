"""``himoe fit``: hold people or trials out once for the scores, then fit the model that is saved on everybody."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from himoe.commands.recordings import open_data
from himoe.commands.validating import ENOUGH, validation_share, with_roles
from himoe.core.cluster import Cluster, scheduler
from himoe.core.errors import bad_input
from himoe.core.progress import progress
from himoe.core.recordings import MODALITIES, expand_modalities
from himoe.core.tables import require_place
from himoe.inspection.study import FOLDS, GROUPS, HELD_OUT, LEAST
from himoe.prepare.loading import Data, make_windows
from himoe.prepare.unrated import rated_rows
from himoe.prepare.windowset import Windows, folds
from himoe.scoring.frames import score
from himoe.scoring.tables import scores_text
from himoe.training.conformal import LEVEL
from himoe.training.description import Description
from himoe.training.estimators import Estimator
from himoe.training.fitted import CARD, Fitted, require_model_place

PARTS = ("fit to be scored", "fit on everybody")
MUCH = 0.1  # below the level: a share of ratings inside that the reader is warned of


@dataclass(frozen=True)
class Outcome:
    """A model of everybody, with the scores of a model of the same kind on what was held out, and its predictions.

    ``held_out`` says in words what that was, ``strangers`` whether it was people.
    """

    model: Fitted
    scores: pd.DataFrame
    predictions: pd.DataFrame
    held_out: str
    strangers: bool


def fit(options: argparse.Namespace) -> None:
    """Fit, print the scores, save.

    Raises
    ------
    InputError
        If the folder cannot be read, holds too few rated people and trials, or something else stands at ``--out``.
    """
    require_place(require_model_place(options.out))
    estimator = estimator_of(options.method, options.epochs, options.task)
    data = open_data(options)
    names = modalities_of(data, options.modalities)
    windows = make_windows(data, options.window, options.step or options.window / 2, modalities=names)
    outcome = fit_and_score(estimator, windows, options.protocol, str(data.root), options.scheduler or scheduler())
    outcome.model.save(options.out)
    print("\n".join(said(data, windows, outcome)))
    print(f"written: {options.out} (fitted on everybody; {options.out / CARD} is its card)\n"
          f"next:    himoe predict {shlex.quote(str(options.out))} FOLDER --out predictions.csv")


def estimator_of(method: str, epochs: int | None = None, task: str = "regression") -> Estimator:
    """An unfitted model of *method*, for ratings or classes, with the project's own settings.

    Raises
    ------
    InputError
        If there is no such method.
    """
    known = {found.method: found for found in Estimator.__subclasses__()}
    if method not in known:
        raise bad_input("--method", repr(method), f"one of {', '.join(known)}", "correct the name")
    return known[method](task=task) if epochs is None else known[method](task=task, epochs=epochs)


def modalities_of(data: Data, asked: str | None) -> tuple[str, ...]:
    """What to read: the modalities *asked* for, else all that the set has but FACE and what is read only by name."""
    if asked is not None:
        return expand_modalities(asked, data.dataset.modalities)
    there = [name for name in MODALITIES if name in data.dataset.modalities and name not in data.dataset.default_off]
    return tuple(name for name in there if name != "FACE" or len(there) == 1)


def fit_and_score(estimator: Estimator, windows: Windows, protocol: str | None, where: str,
                  address: str = "") -> Outcome:
    """Fit on all but one fold and score that fold, and fit on everything rated; by workers of the scheduler *address*.
    """
    rated = windows[rated_rows(windows.index, windows.dimensions)]
    protocol, n_folds = choose_protocol(rated, protocol, where)
    test = next(folds(rated, protocol, n_folds=n_folds, people=n_folds))[1]
    work = Work(estimator, rated, protocol, n_folds)
    scored, model = _fit_there(work, address) if address else (_fit_part(work, part, part) for part in PARTS)
    predictions = scored.predict(test)
    scores = score(predictions)
    held_out = held_out_text(protocol, rated, test)
    about = as_scores(scores) | {"protocol": f"Held out once: {held_out}. Scored was a model fitted on the rest in the "
                                             "same way; the model here was fitted on all of them."}
    return Outcome(replace(model, description=replace(model.description, scores=about)), scores, predictions, held_out,
                   protocol == "loso")


@dataclass(frozen=True)
class Work:
    """What the two fits share: all rated windows, and how some are held out from the first."""

    estimator: Estimator
    rated: Windows
    protocol: str
    n_folds: int


def fit_on_worker(work: Work, out: Path, part: str) -> Fitted:
    """One of the two fits, on a cluster's worker; nothing is written into *out*."""
    return _fit_part(work, part)


def _fit_there(work: Work, address: str) -> list[Fitted]:
    """Both fits at once, by the workers of the scheduler at *address*."""
    with Cluster(address) as cluster:
        done = progress(cluster.map(fit_on_worker, work, PARTS, "fit"), "fit", "model", len(PARTS))
        found = {place: model for place, model, _ in done}
    return [found[place] for place in range(len(PARTS))]


def _fit_part(work: Work, part: str, told: str = "") -> Fitted:
    windows = work.rated
    if part == PARTS[0]:
        windows = next(folds(windows, work.protocol, n_folds=work.n_folds, people=work.n_folds))[0]
    return _fitted(work.estimator, windows, told)


def _fitted(estimator: Estimator, windows: Windows, told: str) -> Fitted:
    """Both models choose their validation trials alike, so that the scores are those of the way the last is made."""
    estimator.set_params(validation=validation_share(windows))
    return estimator.fit(with_roles(windows), told=told).model_


def choose_protocol(rated: Windows, asked: str | None, where: str) -> tuple[str, int]:
    """What is held out, and into how many parts that is dealt: of one of them are the scores.

    Raises
    ------
    InputError
        If there are too few rated people and trials to hold any out.
    """
    trials = rated.trials["subject"].value_counts()
    people, fewest = len(trials), int(trials.min()) if len(trials) else 0
    protocol = asked or ("loso" if people >= LEAST else "trial")
    if protocol == "loso" and people < LEAST:
        raise bad_input(where, f"{people} people with a rated trial", f"{LEAST} or more, to hold people out",
                        "record more people, or give --protocol trial")
    if protocol == "trial" and fewest < LEAST:
        found = f"{trials.idxmin()} with {fewest} rated" if people else "no rated trial"
        raise bad_input(where, found, f"{LEAST} rated trials of every person, to hold trials out",
                        f"rate more, or record {LEAST} people or more")
    return protocol, min(GROUPS, people) if protocol == "loso" else min(FOLDS, fewest)


def held_out_text(protocol: str, rated: Windows, test: Windows) -> str:
    """What was held out, in words."""
    people = f"{len(np.unique(test.groups))} of {len(np.unique(rated.groups))} people"
    trials = f"{len(test.trials)} of {len(rated.trials)} trials"
    return f"{people}, {trials}" if protocol == "loso" else f"{HELD_OUT[protocol]}, {trials} of {people}"


def as_scores(scores: pd.DataFrame) -> dict[str, Any]:
    """Scores as a model's description holds them: value, or value and interval; None = undefined."""
    names = scores["metric"] + " " + scores["dimension"]
    numbers = scores[["value", "low", "high"]].to_numpy(float)
    return {name: _plain(values) for name, values in zip(names, numbers, strict=True)}


def _plain(values: np.ndarray) -> list[float | None] | float | None:
    found = [float(number) if np.isfinite(number) else None for number in values]
    return found[0] if found[1:] == [None, None] else found


def said(data: Data, windows: Windows, outcome: Outcome) -> list[str]:
    """What was read, held out and found."""
    rated = rated_rows(windows.index, windows.dimensions)
    unrated = sorted(set(windows.groups) - set(windows.groups[rated]))
    form: Mapping[str, Any] = outcome.model.description.modalities
    known = windows.index[rated].groupby(["subject", "trial"]).ngroups  # windows[rated] would copy every signal
    lines = [f"{data.label}: {len(np.unique(windows.groups[rated]))} people, {known} rated trials, "
             f"{int(rated.sum())} windows of {windows.meta.length_s:g} s every {windows.meta.step_s:g} s",
             f"sensors:  {', '.join(f'{name} at {one.sfreq_hz:g} Hz' for name, one in form.items())}"]
    lines += [f"not used, without a rating: {' '.join(unrated)}"] if unrated else []
    lines += [f"held out: {outcome.held_out}", "", scores_text(outcome.scores), ""]
    return lines + said_of_intervals(outcome.model.description, outcome.scores, outcome.strangers)


def said_of_intervals(form: Description, scores: pd.DataFrame, strangers: bool) -> list[str]:
    """What intervals cannot promise, and whether what was held out lay inside them less often than they aim at.

    *strangers*: people were held out, for whom intervals promise nothing.
    """
    lines, level = [], f"{100 * form.level:.0f} %"
    if any(np.isinf(width).any() for width in form.intervals.values()):
        lines = ["Intervals are the whole scale, because too few trials validate: rate more trials.", ""]
    elif form.intervals and form.level < LEVEL:
        lines = [f"Intervals aim at {level}: fewer than {ENOUGH} trials validate. Rate more trials.", ""]
    inside = scores[(scores["metric"] == "coverage") & (scores["dimension"] == "mean")]["value"]
    if len(inside) and float(inside.iloc[0]) < form.level - MUCH:
        why = (f"{level} are promised for new trials of the people fitted on, not for new people." if strangers else
               f"{level} were aimed at; so few trials can miss by chance.")
        lines += [f"Of what was held out only {100 * float(inside.iloc[0]):.0f} % lay inside its interval: {why}", ""]
    return lines
