"""The search for settings: what it tries, what it chooses by, what it costs; and the loop it stands on."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from test_training import assert_same
from toysets import make_config, make_data, make_store, poisoned, rows_of

from himoe import training
from himoe.batches import Normaliser, make_sequences
from himoe.errors import InputError
from himoe.inference import encode_fold
from himoe.masks import training_mask
from himoe.methods import build_method, method_class, method_names
from himoe.methods.base import Heads
from himoe.params import RunConfig
from himoe.rundata import FoldTask, RunData, make_spec
from himoe.training import Candidate, candidates, derive_seed, fit_task

TASK = FoldTask(1, 0)
NETWORKS = [name for name in method_names() if method_class(name).gradient]
SEARCH = {"trials": 4, "epochs": 1, "seed": 3, "learning_rate": (0.001, 0.05), "dropout": (0.0, 0.2, 0.4),
          "code_norm": (False, True)}


Setting = tuple[float, float, bool]


def recomputed(seed: int, trials: int, low: float, high: float, dropout: tuple[float, ...]) -> list[Setting]:
    """The random settings by the words of params.yaml: log-uniform rate of three digits, a dropout, a norm or none."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(trials - 1):
        rate = low * (high / low) ** rng.random()
        found.append((round(rate, 2 - math.floor(math.log10(rate))), dropout[rng.integers(0, len(dropout))],
                      bool(rng.integers(0, 2))))
    return found


@pytest.mark.parametrize(("method", "task"), [("himoe", FoldTask(0, 0)), ("himoe", FoldTask(1, 7)),
                                              ("late_fusion", FoldTask(1, 0)), ("bilstm", FoldTask(0, 2))])
def test_every_method_and_fold_tries_the_same_settings(method: str, task: FoldTask) -> None:
    config = make_config(method, epochs=1, learning_rate=0.01, search=SEARCH)
    search = fit_task(config, make_data(config, make_store()), task).search
    expected = [(0.01, 0.1, False), *recomputed(3, 4, 0.001, 0.05, (0.0, 0.2, 0.4))]
    assert search["trial"].tolist() == [0, 1, 2, 3]
    tried = list(search[["learning_rate", "dropout", "code_norm"]].itertuples(index=False, name=None))
    assert tried == [pytest.approx(pair, rel=1e-12) for pair in expected]
    assert search["chosen"].sum() == 1
    assert search.loc[search["chosen"], "validation_loss"].item() == search["validation_loss"].min()


def test_settings_stay_in_their_ranges_and_follow_the_search_seed() -> None:
    many = [candidates(make_config(search={**SEARCH, "trials": 200, "seed": seed})) for seed in (3, 4)]
    rates = np.array([c.learning_rate for c in many[0][1:]])
    assert 0.001 <= rates.min() < 0.0015
    assert 0.035 < rates.max() <= 0.05
    assert np.median(rates) == pytest.approx(math.sqrt(0.001 * 0.05), rel=0.25)  # log-uniform, not uniform
    assert {c.dropout for c in many[0][1:]} == {0.0, 0.2, 0.4}
    assert {c.code_norm for c in many[0][1:]} == {False, True}
    assert many[0][0] == many[1][0] == Candidate(0.01, 0.1)
    assert many[0][1:] != many[1][1:]
    assert candidates(make_config(seed=9, search=SEARCH)) == many[0][:4]


def given(monkeypatch: pytest.MonkeyPatch, *settings: Candidate) -> None:
    """Let the search try *settings*."""
    monkeypatch.setattr(training, "candidates", lambda config: list(settings))


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("method", ["himoe", "bilstm"])
def test_the_chosen_setting_ends_as_if_it_were_the_only_one(
    method: str, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Own weights, optimiser, order of batches, masks and dropout: the others leave no trace."""
    settings = [Candidate(1e-6, 0.5), Candidate(2e-6, 0.2)]
    settings.insert(place, Candidate(0.02, 0.3, True))
    changes: dict[str, Any] = {"method": method, "epochs": 6, "patience": 2}
    config = make_config(**changes, search={"trials": 3, "epochs": 2})
    data = make_data(config, make_store())
    with monkeypatch.context() as patch:
        given(patch, *settings)
        found = fit_task(config, data, TASK)
    assert found.search.index[found.search["chosen"]].tolist() == [place]
    for k, setting in enumerate(settings):
        alone_config = make_config(**changes, learning_rate=setting.learning_rate,
                                   model={"dropout": setting.dropout, "code_norm": setting.code_norm})
        alone = fit_task(alone_config, data, TASK)
        assert alone.search.empty
        assert found.search["validation_loss"][k] == alone.history["validation_loss"][:2].min()
        if k == place:
            assert_same(found, replace(alone, search=found.search))
            assert len(alone.history) > 2


def flipped(data: RunData, role: str) -> RunData:
    """The same data with the labels of *role* turned over: high is low."""
    labels = data.labels.copy()
    labels[rows_of(data, role)] = 10 - labels[rows_of(data, role)]
    return replace(data, labels=labels)


def test_validation_rows_choose_and_test_rows_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting that learns nothing is the better one where validation labels contradict the training rows."""
    given(monkeypatch, Candidate(1e-7, 0.1), Candidate(0.02, 0.1))
    config = make_config(epochs=8, patience=8, missing="none", search={"trials": 2, "epochs": 8})
    data = make_data(config, make_store(4, 12, 5))
    plain = fit_task(config, data, TASK)
    assert plain.search["chosen"].tolist() == [False, True]
    assert fit_task(config, flipped(data, "validation"), TASK).search["chosen"].tolist() == [True, False]
    for other in (flipped(data, "test"), poisoned(data, rows_of(data, "test"), 1e30),
                  poisoned(data, rows_of(data, "test"), np.nan)):
        assert_same(fit_task(config, other, TASK), plain)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry a training step."""
    made: list[str] = []
    real = training._step

    def counting(method: Any, *args: Any) -> dict[str, float]:
        made.append(type(method).__name__)
        return real(method, *args)

    monkeypatch.setattr(training, "_step", counting)
    return made


@pytest.mark.parametrize("method", NETWORKS)
def test_every_network_has_the_same_budget(method: str, steps: list[str]) -> None:
    config = make_config(method, epochs=3, patience=50, search={"trials": 2, "epochs": 1})
    data = make_data(config, make_store())
    fit_task(config, data, TASK)
    sequences = make_sequences(data.store.index, rows_of(data, "train"), 4)
    assert len(sequences) == 16  # 8 trials of 5 windows, in sequences of 4
    assert len(steps) == (2 * 1 + (3 - 1)) * 3  # batches of 6, 6 and 4


@pytest.mark.parametrize(("trials", "first", "total", "expected"), [
    (3, 2, 5, 3 * 2 + 3), (4, 5, 5, 4 * 5), (2, 9, 4, 2 * 4), (1, 2, 5, 5),
])
def test_the_budget_is_the_searchs_epochs_and_the_rest_of_one(
    trials: int, first: int, total: int, expected: int, steps: list[str]
) -> None:
    config = make_config("late_fusion", epochs=total, patience=50, search={"trials": trials, "epochs": first})
    history = fit_task(config, make_data(config, make_store()), TASK).history
    assert len(steps) == expected * 3
    assert history["epoch"].tolist() == list(range(total))


def test_a_diverging_setting_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, Candidate(1e30, 0.1), Candidate(0.01, 0.1), Candidate(1e35, 0.1))
    config = make_config(search={"trials": 3})
    search = fit_task(config, make_data(config, make_store()), TASK).search
    assert search["chosen"].tolist() == [False, True, False]
    assert not (search["validation_loss"][[0, 2]] < 1e6).any()


def test_a_search_in_which_everything_diverges_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "_mean_loss", lambda *args: float("nan"))
    config = make_config(search={"trials": 3})
    with pytest.raises(InputError, match=r"fold-01_seed-0: the validation loss was never finite"):
        fit_task(config, make_data(config, make_store()), TASK)


def plain_loop(config: RunConfig, data: RunData) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Validation losses and best weights of the textbook loop: Adam, cosine by its formula, clipping by hand."""
    plan = config.training
    train, validation = (make_sequences(data.store.index, rows_of(data, role), plan.sequence_length)
                         for role in ("train", "validation"))
    assembler = data.assembler(Normaliser.fit(data.store, rows_of(data, "train"), data.present, data.subject, True))
    seed = derive_seed(config.seed, TASK.seed, TASK.fold, config.run.method)
    torch.manual_seed(seed)
    method = build_method(config.run.method, make_spec(config, data))
    for head in (m for m in method.modules() if isinstance(m, Heads)):
        head.calibrate(torch.from_numpy(data.labels[rows_of(data, "train")].astype(np.float32)))
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(method.parameters(), foreach=False, fused=False)
    losses: list[float] = []
    for epoch in range(plan.epochs):
        method.train()
        optimiser.param_groups[0]["lr"] = plan.learning_rate * (1 + math.cos(math.pi * epoch / plan.epochs)) / 2
        order = torch.randperm(len(train), generator=generator).numpy()
        for first in range(0, len(train), plan.batch_sequences):
            batch = assembler.batch(train[order[first:first + plan.batch_sequences]])
            batch = batch.with_present(training_mask(batch.present, None, plan.missing_max, generator))
            optimiser.zero_grad()
            sum(method(batch).losses.values()).backward()
            norm = torch.sqrt(sum((p.grad**2).sum() for p in method.parameters()))
            for parameter in method.parameters():
                parameter.grad *= min(1.0, training.MAX_GRADIENT_NORM / float(norm))
            optimiser.step()
        batch = assembler.batch(validation)
        with torch.no_grad():
            known = torch.isfinite(batch.y)
            losses.append(float(((method.eval()(batch).prediction - batch.y)[known] ** 2).mean()))
        if losses[-1] == min(losses):
            best = {name: value.clone() for name, value in method.state_dict().items()}
    return losses, best


@pytest.mark.parametrize("method", ["himoe", "late_fusion"])
def test_without_a_search_it_is_the_plain_loop(method: str) -> None:
    config = make_config(method, epochs=4, patience=4, model={"dropout": 0.3})
    data = make_data(config, make_store())
    losses, best = plain_loop(config, data)
    fitted = fit_task(config, data, TASK)
    np.testing.assert_allclose(fitted.history["validation_loss"], losses, rtol=1e-4)
    assert losses[0] != pytest.approx(losses[-1], rel=1e-2)  # something was learned
    for name, value in best.items():
        # A bias in front of a batch norm has no gradient but rounding, which Adam enlarges; it cancels out below.
        if name not in ("encoders.encoders.EDA.hidden.bias", "encoders.encoders.EDA.norm.running_mean"):
            torch.testing.assert_close(fitted.tensors[name], value, rtol=1e-4, atol=2e-5, msg=name)
    predicted = [encode_fold(config, data, TASK, tensors).predict(data.present)
                 for tensors in (fitted.tensors, {**fitted.tensors, **best})]
    np.testing.assert_allclose(*predicted, rtol=1e-4)


def test_one_trial_ignores_the_other_settings_of_the_search() -> None:
    data = make_data(make_config(), make_store())
    plain, told = (fit_task(make_config(search=search), data, TASK)
                   for search in (None, {**SEARCH, "trials": 1, "epochs": 5}))
    assert_same(plain, told)
    assert isinstance(told.search, pd.DataFrame)
    assert len(told.search) == 0
