"""A model adapted to one new person: what changes, what must not, and what the choice may know."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from toysets import make_windows

import himoe
from himoe.prepare.windowset import Windows
from himoe.training.adapting import (
    CANDIDATES,
    Material,
    choose,
    finished,
    left_out_errors,
    ratings,
    solve,
    trial_means,
)
from himoe.training.adapting import with_person as met_by
from himoe.training.calibration import SHIFT_TRIALS, SLOPE_TRIALS, fit_lines

STRANGER = "s04"


@pytest.fixture(scope="module")
def people() -> Windows:
    """Five people, nine trials each, three windows a trial; the toys' EDA follows arousal, their EEG valence."""
    return make_windows(5, 9, 3)


@pytest.fixture(scope="module")
def models(people: Windows) -> dict[str, himoe.Fitted]:
    """A network and a method without gradient, fitted on all but one person."""
    known = people.people("s00", "s01", "s02", "s03")
    return {"himoe": himoe.HiMoE(epochs=2, sequence_length=4).fit(known).model_,
            "features_ridge": himoe.FeaturesRidge().fit(known).model_}


def stretched(windows: Windows, shift: float, slope: float) -> Windows:
    """The same windows with ratings that are shifted, and stretched about 5."""
    changed = {name: 5 + shift + slope * (windows.index[name] - 5) for name in windows.dimensions}
    return replace(windows, index=windows.index.assign(**changed))


def first_trials(windows: Windows, k: int) -> dict[str, dict[str, float]]:
    """The mean ratings of the first *k* trials."""
    means = windows.index.groupby("trial")[list(windows.dimensions)].mean().iloc[:k]
    return {str(name): dict(row) for name, row in means.iterrows()}


def values(model: himoe.Fitted, windows: Windows) -> np.ndarray:
    return model.predict(windows)["predicted"].to_numpy()


@pytest.mark.parametrize("method", ["himoe", "features_ridge"])
def test_without_labels_only_the_normaliser_is_new(models: dict[str, himoe.Fitted], people: Windows,
                                                   method: str) -> None:
    model, stranger = models[method], people.people(STRANGER)
    before = {name: value.clone() for name, value in model.tensors().items()}
    met = model.adapt(stranger, {})
    np.testing.assert_array_equal(values(met, stranger), values(model, stranger))
    few = stranger[stranger.index["trial"] == "v00"]  # one trial alone: its own mean is another
    own, full = values(met, few), values(met, stranger)[:len(few) * 2]
    np.testing.assert_allclose(own, full, rtol=1e-5)
    assert not np.allclose(values(model, few), full, rtol=1e-3)
    assert met.description.people == (*model.description.people, STRANGER)
    for name, value in model.tensors().items():
        assert torch.equal(value, before[name]), "the old model is unchanged"
        new = met.tensors()[name]
        assert torch.equal(new[[*range(4), -1]] if name.startswith("normaliser.") else new, value)
    assert met.description.training["adapted"][STRANGER] == {"chosen": "as_fitted", "left_out_rmse": {}}


def test_a_model_that_scales_by_training_rows_goes_on_to(people: Windows) -> None:
    model = himoe.FeaturesRidge(normalise="training").fit(people.people("s00", "s01")).model_
    few = people.people(STRANGER)[:4]
    np.testing.assert_array_equal(values(model.adapt(people.people(STRANGER), {}), few), values(model, few))


def test_a_person_who_rates_otherwise_is_found(models: dict[str, himoe.Fitted], people: Windows,
                                               tmp_path: Path) -> None:
    """Shifted and compressed ratings: the line brings trials never seen closer, for this person alone."""
    model = models["features_ridge"]
    odd = stretched(people.people(STRANGER), 1.5, 0.4)
    seen = odd.index["trial"] < "v07"
    unseen = odd[~seen]
    adapted = model.adapt(odd, first_trials(odd, 7))
    said = adapted.description.training["adapted"][STRANGER]
    assert said["chosen"] == "line"
    assert said["left_out_rmse"]["line"] < 0.7 * said["left_out_rmse"]["as_fitted"]
    assert adapted.description.data["adapted"][STRANGER]["trials"] == [f"v{t:02d}" for t in range(7)]
    rated = unseen.labels.reshape(-1)
    error = {name: np.sqrt(np.mean((values(m, unseen) - rated) ** 2))
             for name, m in (("before", model.adapt(odd, {})), ("after", adapted))}
    assert error["after"] < 0.7 * error["before"]
    calibration = adapted.description.calibrations[-1]
    assert (calibration.apply(np.full((1, 2), 5.0), (1.0, 9.0)) > 5.2).all()
    assert max(calibration.slope) < 0.9
    others = people.people("s00", "s03")
    pd.testing.assert_frame_equal(adapted.predict(others), model.predict(others), check_exact=True)
    loaded = himoe.load_model(adapted.save(tmp_path / "m"))
    pd.testing.assert_frame_equal(loaded.predict(odd), adapted.predict(odd), check_exact=True)
    card = (tmp_path / "m" / "README.md").read_text(encoding="utf-8")
    assert f"**{STRANGER}** (Toy (simulated)): 7 rated trials, chosen: line." in card
    assert loaded.description.calibrations == adapted.description.calibrations
    elsewhere = replace(odd, meta=replace(odd.meta, set="other"))  # somebody else of that name
    np.testing.assert_array_equal(values(adapted, elsewhere), values(model, elsewhere))
    change = himoe_explain(adapted, odd)
    both, without = (m["predicted"].to_numpy()[1::2] for m in (adapted.predict(odd), adapted.predict(odd, ["EDA"])))
    np.testing.assert_allclose(change[change["modality"] == "EDA"]["change_arousal"], both - without, atol=1e-9)


def himoe_explain(model: himoe.Fitted, windows: Windows) -> pd.DataFrame:
    from himoe.training.explaining import explain

    return explain(model, windows)


def test_the_ridge_is_least_squares_with_rows_for_the_model() -> None:
    """Beside the labelled windows the model's own answer stands as rows of data; S = 2 sets, n = 7 windows, D = 3."""
    rng = np.random.default_rng(0)
    predicted, rated = rng.normal(5, 1, (7, 3)), rng.normal(6, 2, (7, 3))
    weights = np.zeros((2, 7, 3))
    weights[0, :4], weights[1, 2:] = 0.25, np.array([0.5, 0.5, 1 / 3, 1 / 3, 1 / 3])[:, None]
    found = fit_lines(predicted, rated, weights)
    for s, trials in enumerate((1, 2)):
        for d in range(3):
            w, p, r = weights[s, :, d], predicted[:, d], rated[:, d] - predicted[:, d]
            aside = p - np.average(p, weights=w)
            spread = (w * aside**2).sum() / trials
            rows = np.vstack([np.sqrt(w)[:, None] * np.stack([np.ones(7), aside], 1),
                              np.diag(np.sqrt([SHIFT_TRIALS, SLOPE_TRIALS * spread]))])
            expected = np.linalg.lstsq(rows, np.append(np.sqrt(w) * r, [0, 0]), rcond=None)[0]
            np.testing.assert_allclose([found.shift[s, d], found.slope[s, d] - 1], expected, rtol=1e-6)


@pytest.mark.parametrize("candidate", CANDIDATES)
def test_a_left_out_trial_is_not_seen(models: dict[str, himoe.Fitted], people: Windows, candidate: str) -> None:
    """Whatever its ratings, the prediction of a left-out trial is the same; that of the others is not."""
    stranger = people.people(STRANGER)
    model = met_by(models["himoe"], stranger, STRANGER)
    rated = ratings(model.description, stranger, first_trials(stranger, 3))
    other = rated.copy()
    other[stranger.index["trial"] == "v01"] = 9.0
    sets = ~np.eye(3, dtype=bool)
    found = []
    for each in (rated, other):
        material = Material.of(model, stranger, each, True)
        means = trial_means(material, candidate, solve(material, candidate, sets))
        found.append((means, left_out_errors(material, candidate)))
    (before, errors), (after, moved) = found
    np.testing.assert_allclose(after[1], before[1], rtol=1e-9)  # set 1 does without trial 1
    assert np.allclose(after[0], before[0], rtol=1e-4) == (candidate == "as_fitted")
    own = ((before[1, 1] - 9.0) ** 2).mean()
    assert moved[1] == pytest.approx(own), "the error of trial 1 is that of the set without it"
    assert errors[1] != pytest.approx(moved[1])


@pytest.mark.parametrize("method", ["HiMoE", "LateFusion", "TACOFormer", "BiLSTM"])
def test_moved_weights_do_what_their_gradients_say(people: Windows, tmp_path: Path, method: str) -> None:
    """Ratings that no line can mend, of one trial more than of the others: weights move, encoders do not."""
    stranger = people.people(STRANGER)
    level = stranger.index["trial"].map({f"v{t:02d}": 0.4 * (-1) ** t * t for t in range(9)}).to_numpy()
    index = stranger.index.assign(valence=5 + level, arousal=5 - level)
    stranger = replace(stranger, index=index)
    known = people.people("s00", "s01")
    met = met_by(getattr(himoe, method)(epochs=1, sequence_length=4).fit(known).model_, stranger, STRANGER)
    material = Material.of(met, stranger, stranger.labels, True)
    error = {}
    for name in CANDIDATES:
        one = finished(met, material, name)
        expected = trial_means(material, name, solve(material, name, np.ones((1, 9), bool)))[0]
        frame = one.predict(stranger).groupby(["trial", "dimension"], sort=False)["predicted"].mean()
        found = frame.to_numpy().reshape(expected.shape)
        step = np.abs(expected - material.means(material.predicted)).max()
        np.testing.assert_allclose(found, expected, atol=1e-6 if name in CANDIDATES[:2] else 0.25 * step)
        error[name] = ((found - material.means(material.rated)) ** 2).mean()
        changed = {key for key, value in one.tensors().items() if not torch.equal(value, met.tensors()[key])}
        assert bool(changed) == (name in CANDIDATES[2:])
        assert all(key.startswith("heads.") for key in changed) == (name != "low_rank")
        assert not any(key.startswith("encoders.") for key in changed)
    assert error["as_fitted"] > error["line"] > max(error["heads"], error["low_rank"])
    loaded = himoe.load_model(one.save(tmp_path / "m"))
    pd.testing.assert_frame_equal(loaded.predict(stranger), one.predict(stranger), check_exact=True)
    with pytest.raises(himoe.InputError, match=f"weights that were moved for {STRANGER}"):
        one.adapt(people.people("s03"))


def test_the_freest_of_those_that_are_as_good_as_the_best_is_chosen() -> None:
    base = np.array([4.0, 5.0, 6.0])
    noise = np.array([-1.0, 0.0, 1.5])  # mean 0.17, standard error 0.73
    assert choose({"as_fitted": base, "line": base - 1, "heads": base - 1 + noise}) == "heads"
    assert choose({"as_fitted": base, "line": base - 1, "heads": base - 1 + noise + 1}) == "line"
    assert choose({"as_fitted": base, "line": base + 1, "heads": base + 2}) == "as_fitted"


def test_one_rated_trial_leaves_nothing_to_choose_with(models: dict[str, himoe.Fitted], people: Windows) -> None:
    stranger = people.people(STRANGER)
    adapted = models["himoe"].adapt(stranger, first_trials(stranger, 1))
    assert adapted.description.training["adapted"][STRANGER]["chosen"] == "as_fitted"
    np.testing.assert_array_equal(values(adapted, stranger), values(models["himoe"], stranger))


@pytest.mark.parametrize(("labels", "message"), [
    ({"v99": {"valence": 5.0}}, "labels: found trial 'v99', expected one of v00"),
    ({"v00": {"joy": 5.0}}, "labels: trial v00: found 'joy', expected one of valence arousal"),
    ({"v00": {"valence": 12.0}}, "labels: found 12, expected ratings from 1 to 9"),
    ({"v00": {"valence": "high"}}, "labels: trial v00: valence: found 'high', expected a number"),
    ({"v00": 5.0}, r"labels: trial v00: found 5.0, expected a mapping"),
])
def test_labels_that_do_not_fit_are_one_sentence(models: dict[str, himoe.Fitted], people: Windows, labels: object,
                                                 message: str) -> None:
    with pytest.raises(himoe.InputError, match=message) as caught:
        models["features_ridge"].adapt(people.people(STRANGER), labels)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_who_and_what_cannot_be_adapted(models: dict[str, himoe.Fitted], people: Windows) -> None:
    model, stranger = models["features_ridge"], people.people(STRANGER)
    with pytest.raises(himoe.InputError, match="windows: subject: found 5 people, expected one"):
        model.adapt(people)
    with pytest.raises(himoe.InputError, match="found s01, whom the model knows"):
        model.adapt(people.people("s01"))
    with pytest.raises(himoe.InputError, match=r"windows: scale: found \(1.0, 5.0\), expected \(1.0, 9.0\)"):
        model.adapt(replace(stranger, meta=replace(stranger.meta, scale=(1.0, 5.0))))
    silent = replace(stranger, index=stranger.index.assign(completeness_EEG=0.0, completeness_EDA=0.0))
    with pytest.raises(himoe.InputError, match="no window with a sensor that the model reads"):
        model.adapt(silent)
    classes = himoe.Mean(task="classification").fit(people.people("s00", "s01")).model_
    with pytest.raises(himoe.InputError, match="model: task: found classification, expected regression"):
        classes.adapt(stranger)
