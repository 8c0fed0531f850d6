"""A fitted model adapted to one new person: scaled by own windows, then tuned by a few rated trials.

From few trials much can be fitted and little can be known. So there are candidates, each freer than the one before and
each pulled back to the model, and the person's own trials choose among them, every trial predicted from the others.

Legend: n windows, k labelled trials, D dimensions.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from himoe.core.errors import bad_input
from himoe.models.batches import Normaliser
from himoe.models.methods.base import Heads
from himoe.prepare.windowset import Windows
from himoe.training.applying import prepare
from himoe.training.calibration import Calibration, Lines, fit_lines
from himoe.training.description import Description, content_digest
from himoe.training.moving import Tangent, ridge

if TYPE_CHECKING:
    from himoe.training.fitted import Fitted

CANDIDATES = ("as_fitted", "line", "heads", "low_rank")  # each freer than the one before
MOST_SETS = 8  # with more trials, several are left out together
WITHIN = 1.0  # standard errors of the smallest error, within which the freest candidate is taken


def adapt(model: Fitted, windows: Windows, labels: Mapping[str, Mapping[str, float]] | None = None) -> Fitted:
    """Adapt a regression model to a person it has not met.

    First the person's own means and SDs of the signals, from all *windows*, rated or not, are kept in the model (where
    it scales strangers by their own windows). Then, with k rated trials:

    - ``as_fitted``: nothing more; all there is for k = 0 and 1, for one trial leaves nothing to choose with (and a line
      from one trial was no gain on simulated people, however strong the pull).
    - ``line``: a shift and a slope of the prediction, by ridge (:func:`himoe.training.calibration.fit_lines`); for any
      method.
    - ``heads``: after the line, the heads' weights too, along their gradient (:mod:`himoe.training.moving`).
    - ``low_rank``: the heads, and changes of rank 2 of all matrices between encoders and heads.

    From two trials on the mean rating of each trial is predicted by every candidate fitted to the others. Chosen is the
    freest candidate whose squared error is within one standard error (over trials) of the smallest: each is pulled to
    the model already, and so few trials tell little.

    Parameters
    ----------
    model : Fitted
        It stays as it is.
    windows : Windows
        One person's, of the model's form.
    labels : mapping trial -> {dimension: rating}, optional
        Ratings on the model's scale; None = those in *windows* (``{}`` = none at all).

    Returns
    -------
    Fitted
        The person stands in ``description.people`` and ``description.calibrations``; ``description.data["adapted"]``
        says from which windows and trials, ``description.training["adapted"]`` what was chosen and the root of each
        candidate's mean squared error of left-out trials (rating points). A line changes this person's predictions
        alone; moved weights change everybody's, so such a model is for this person.

    Raises
    ------
    InputError
        If the model is of classes, was moved for somebody else or knows the person; if the windows are of several
        people, of another form, or without a signal; or if a label has no trial, dimension or place on the scale.
    """
    person = _check(model.description, windows)
    rated = ratings(model.description, windows, labels)
    torch.set_num_threads(1)  # the same numbers on any number of cores
    with threadpool_limits(1), torch.random.fork_rng(devices=[]):
        met = with_person(model, windows, person)
        if not prepare(met.description, met.normaliser, windows).present.any():
            raise bad_input(f"windows of {person}", "no window with a sensor that the model reads", "at least one",
                            f"record some of {' '.join(model.description.modalities)}")
        material = Material.of(met, windows, rated, labels is not None)
        errors = {name: left_out_errors(material, name) for name in material.candidates} if material.k > 1 else {}
        chosen = choose(errors) if errors else CANDIDATES[0]
        return _noted(finished(met, material, chosen), windows, material, chosen, errors)


def _check(form: Description, windows: Windows) -> str:
    """The one person of the windows, whom the model must not know."""
    if form.kind != "regression":
        raise bad_input("model: task", form.kind, "regression", "fit a model of ratings; classes are not adapted")
    people = np.unique(windows.groups)
    if len(people) != 1:
        raise bad_input("windows: subject", f"{len(people)} people", "one", "choose windows.people(name)")
    person = str(people[0])
    for one in form.calibrations:
        if one.moved != "none":
            raise bad_input("model", f"weights that were moved for {one.person}", "weights as they were fitted",
                            "adapt the model from before")
    if person in form.codes(windows.meta.set):
        raise bad_input("windows: subject", f"{person}, whom the model knows", "a person it has not met",
                        "adapt the model from before, with all trials")
    return person


def ratings(form: Description, windows: Windows, labels: Mapping[str, Mapping[str, float]] | None) -> np.ndarray:
    """Ratings (n, D) of the windows, from *labels* or their own columns; NaN = none."""
    found = np.full((len(windows), len(form.dimensions)), np.nan)
    if labels is not None:
        trials = windows.index["trial"].astype(str).to_numpy()
        for trial, values in labels.items():
            found[trials == str(trial)] = _rating(form, str(trial), values, trials)
    elif windows.dimensions:
        if tuple(windows.meta.scale) != tuple(form.scale):
            raise bad_input("windows: scale", windows.meta.scale, form.scale, "give labels on the model's scale")
        found = windows.index.reindex(columns=list(form.dimensions)).to_numpy(np.float64)
    outside = found[(found < form.scale[0]) | (found > form.scale[1])]
    if len(outside):
        raise bad_input("windows: ratings" if labels is None else "labels", f"{outside[0]:g}",
                        f"ratings from {form.scale[0]:g} to {form.scale[1]:g}", "turn them to the model's scale")
    return found


def _rating(form: Description, trial: str, values: Mapping[str, float], trials: np.ndarray) -> list[float]:
    """A trial's ratings (D,), NaN where *values* has none; refuses names that are not there and what is no number."""
    if trial not in trials:
        raise bad_input("labels", f"trial {trial!r}", f"one of {' '.join(sorted(set(trials))[:20])}",
                        "correct the name")
    if not isinstance(values, Mapping):
        raise bad_input(f"labels: trial {trial}", repr(values), "a mapping of dimension to rating",
                        f"write {{'{form.dimensions[0]}': 6.5}}")
    for name, value in values.items():
        if name not in form.dimensions:
            raise bad_input(f"labels: trial {trial}", repr(name), f"one of {' '.join(form.dimensions)}",
                            "correct the name")
        if not isinstance(value, int | float | np.number) or isinstance(value, bool):
            raise bad_input(f"labels: trial {trial}: {name}", repr(value), "a number", "correct it")
    return [float(values.get(name, np.nan)) for name in form.dimensions]


def with_person(model: Fitted, windows: Windows, person: str) -> Fitted:
    """The model that knows the person: one more row of the normaliser, before everybody's, and nothing else."""
    form = model.description
    full, place = prepare(form, model.normaliser, windows).normaliser, len(form.people)
    # After the people and everybody stands who is scaled by own windows; else everybody's row is the person's too.
    own = place + 1 if form.normalise == "person" else place
    order = [*range(place), own, place]
    normaliser = Normaliser(*({name: part[order] for name, part in parts.items()} for parts in (full.mean,
                                                                                              full.spread)))
    same = Calibration.of(person, windows.meta.set, Lines.same(1, len(form.dimensions)), "none")
    return replace(model, normaliser=normaliser, description=replace(
        form, people=(*form.people, person), calibrations=(*form.calibrations, same)))


@dataclass(frozen=True)
class Material:
    """What candidates are fitted to: the labelled trials' windows.

    ``predicted``, ``rated`` (n, D); ``weights`` (k, n, D): of each trial, shared out among its labelled windows, so
    that they sum to 1 in every dimension that the trial has a label of; ``trials``: k names; ``tangent``: how
    predictions change with the weights of a network, None for other methods.
    """

    predicted: np.ndarray
    rated: np.ndarray
    weights: np.ndarray
    trials: tuple[str, ...]
    tangent: Tangent | None

    @classmethod
    def of(cls, model: Fitted, windows: Windows, rated: np.ndarray, named: bool) -> Material:
        """From all windows of the person; a *named* trial without a signal is refused."""
        names = windows.index["trial"].astype(str).to_numpy()
        labelled = np.unique(names[np.isfinite(rated).any(1)])
        chosen = np.isin(names, labelled)
        encoded, _, present = model.encode(windows[chosen])
        rows = encoded.rows
        known, place = np.isfinite(rated[chosen][rows]), names[chosen][rows]
        alive = [str(name) for name in labelled if known[place == name].any()]
        if named and len(alive) < len(labelled):
            lost = next(name for name in labelled if name not in alive)
            raise bad_input(f"labels: trial {lost}", "no window with a sensor that the model reads", "at least one",
                            "leave the trial out")
        own = np.array([(place == name)[:, None] & known for name in alive]).reshape(len(alive), *known.shape)
        weights = own / np.maximum(own.sum(1, keepdims=True), 1)
        network = model.method.gradient and any(isinstance(module, Heads) for module in model.method.modules())
        tangent = Tangent.of(encoded, weights) if network and len(alive) > 1 else None
        return cls(encoded.predict(present), rated[chosen][rows], weights, tuple(alive), tangent)

    @property
    def k(self) -> int:
        """Number of labelled trials."""
        return len(self.trials)

    @property
    def candidates(self) -> tuple[str, ...]:
        """Those that the method allows."""
        return CANDIDATES[:2] if self.tangent is None else CANDIDATES

    @property
    def known(self) -> np.ndarray:
        """Flags (k, D): has the trial a label of the dimension?"""
        return self.weights.sum(1) > 0

    def means(self, values: np.ndarray) -> np.ndarray:
        """Of each trial's labelled windows, (k, D); 0 where there is none."""
        return np.einsum("knd,nd->kd", self.weights, np.nan_to_num(values))


@dataclass(frozen=True)
class Solved:
    """A candidate fitted to S sets of trials: lines, and coefficients (S, k D) of the move; None = nothing is moved."""

    lines: Lines
    coefficients: np.ndarray | None


def solve(material: Material, candidate: str, sets: np.ndarray) -> Solved:
    """Fit a candidate to S sets of trials, flags (S, k)."""
    dimensions = material.rated.shape[1]
    if candidate == "as_fitted":
        return Solved(Lines.same(len(sets), dimensions), None)
    weights = np.einsum("sk,knd->snd", sets.astype(float), material.weights)
    lines = fit_lines(material.predicted, material.rated, weights)
    if candidate == "line" or material.tangent is None:
        return Solved(lines, None)
    kernel = material.tangent.kernel(candidate == "low_rank")
    predicted, rated = material.means(material.predicted), material.means(material.rated)
    rest = rated - lines.apply(np.broadcast_to(predicted, (len(sets), *predicted.shape)))
    return Solved(lines, np.stack([ridge(kernel, rest[s], material.known & chosen[:, None], lines.slope[s])
                                   for s, chosen in enumerate(sets)]))


def trial_means(material: Material, candidate: str, solved: Solved) -> np.ndarray:
    """Mean predictions (S, k, D) of the labelled trials by a candidate fitted to S sets of them."""
    means = material.means(material.predicted)
    values = np.broadcast_to(means, (len(solved.lines.shift), *means.shape))
    if solved.coefficients is not None and material.tangent is not None:
        moves = solved.coefficients @ material.tangent.kernel(candidate == "low_rank")
        values = values + moves.reshape(values.shape)
    return solved.lines.apply(values)


def left_out_errors(material: Material, candidate: str) -> np.ndarray:
    """Squared error (k,) of each trial's mean, over dimensions, by the candidate fitted without that trial."""
    sets, group = leave_out(material.k)
    values = trial_means(material, candidate, solve(material, candidate, sets))[group, np.arange(material.k)]
    squares = np.where(material.known, (values - material.means(material.rated)) ** 2, 0.0)
    return squares.sum(1) / material.known.sum(1)


def leave_out(k: int) -> tuple[np.ndarray, np.ndarray]:
    """Flags (S, k) of the trials that each set keeps, and the set (k,) that does without a trial; S = k up to 8."""
    group = np.arange(k) % min(k, MOST_SETS)
    return np.arange(group.max() + 1)[:, None] != group, group


def choose(errors: Mapping[str, np.ndarray]) -> str:
    """The last candidate whose errors (k,) are, in the mean, within ``WITHIN`` standard errors of the best one's."""
    best = min(errors, key=lambda name: errors[name].mean())
    for name in reversed(list(errors)):
        loss = errors[name] - errors[best]
        if loss.mean() <= WITHIN * loss.std(ddof=1) / len(loss) ** 0.5:
            return name
    return best


def finished(met: Fitted, material: Material, chosen: str) -> Fitted:
    """The model that has met the person, with the chosen candidate, fitted to all trials, in it."""
    solved = solve(material, chosen, np.ones((1, material.k), bool))
    form, method, moves = met.description, met.method, solved.coefficients is not None
    last = form.calibrations[-1]
    calibration = Calibration.of(last.person, last.set, solved.lines, chosen if moves else "none")
    if solved.coefficients is not None and material.tangent is not None:
        method = copy.deepcopy(met.method)
        added = material.tangent.move(solved.coefficients[0], chosen == "low_rank")
        method.load_state_dict({name: value + added.get(name, 0) for name, value in method.state_dict().items()})
    form = replace(form, calibrations=(*form.calibrations[:-1], calibration))
    return replace(met, description=form, method=method)


def _noted(model: Fitted, windows: Windows, material: Material, chosen: str,
           errors: Mapping[str, np.ndarray]) -> Fitted:
    """The model whose description says what it was adapted to, and how."""
    form, person = model.description, str(windows.groups[0])
    about = {"set": windows.meta.set, "simulated": windows.meta.provenance.get("simulated"),
             "label": windows.meta.provenance.get("label"), "windows": len(windows), "trials": list(material.trials),
             "digest": content_digest(dict(sorted(windows.arrays.items())), material.rated)}
    how = {"chosen": chosen, "left_out_rmse": {name: float(np.sqrt(found.mean())) for name, found in errors.items()}}
    return replace(model, description=replace(form, data=_with(form.data, person, about),
                                              training=_with(form.training, person, how)))


def _with(values: Mapping[str, Any], person: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    return {**values, "adapted": {**values.get("adapted", {}), person: entry}}
