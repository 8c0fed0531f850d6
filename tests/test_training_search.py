"""The search for settings: what it tries, what it chooses by, what it costs; and the loop it stands on."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from test_training import assert_same
from toysets import encode_tensors, make_config, make_data, make_store, poisoned, rows_of, with_face

from himoe.core.errors import InputError
from himoe.core.params import RunConfig
from himoe.models.batches import Normaliser, make_sequences
from himoe.models.methods import build_method, method_class, method_names
from himoe.models.noise import Noise, step_keys
from himoe.prepare.masks import training_mask
from himoe.training import fit as training
from himoe.training import stacked
from himoe.training.fit import fit_task, fit_tasks
from himoe.training.material import derive_seed, gather
from himoe.training.rundata import FoldTask, RunData, make_spec

TASK = FoldTask(1, 0)
NETWORKS = [name for name in method_names() if method_class(name).gradient]
RATES = (0.001, 0.02, 0.005)


@pytest.mark.parametrize(("method", "task"), [("himoe", FoldTask(0, 0)), ("late_fusion", FoldTask(1, 7))])
def test_every_method_and_fold_tries_the_same_rates(method: str, task: FoldTask) -> None:
    config = make_config(method, epochs=1, search={"learning_rate": RATES})
    search = fit_task(config, make_data(config, make_store()), task).search
    assert search["trial"].tolist() == [0, 1, 2]
    assert tuple(search["learning_rate"]) == RATES
    assert search["chosen"].sum() == 1
    assert search.loc[search["chosen"], "validation_loss"].item() == search["validation_loss"].min()


@pytest.mark.slow
def test_the_chosen_rate_ends_as_if_it_were_the_only_one() -> None:
    """Own weights, optimiser, order of batches, masks and dropout: the others leave no trace."""
    rates = (1e-6, 0.02, 2e-6)
    changes: dict[str, Any] = {"method": "himoe", "epochs": 7, "patience": 50}
    config = make_config(**changes, search={"learning_rate": rates})
    data = make_data(config, make_store())
    found = fit_task(config, data, TASK)
    assert found.search.index[found.search["chosen"]].tolist() == [1]
    for k, rate in enumerate(rates):
        alone = fit_task(make_config(**changes, learning_rate=rate), data, TASK)
        assert alone.search.empty
        assert found.search["validation_loss"][k] == alone.history["validation_loss"][:5].min()
        if k == 1:
            assert_same(found, replace(alone, search=found.search))
            assert len(alone.history) > 5


def flipped(data: RunData, role: str) -> RunData:
    """The same data with the labels of *role* turned over: high is low."""
    labels = data.labels.copy()
    labels[rows_of(data, role)] = 10 - labels[rows_of(data, role)]
    return replace(data, labels=labels)


@pytest.mark.slow
def test_validation_rows_choose_and_test_rows_do_not() -> None:
    """A rate that learns nothing is the better one where validation labels contradict the training rows."""
    config = make_config(epochs=8, patience=8, missing="none", ema=0.0,
                         search={"learning_rate": (1e-7, 0.02), "epochs": 8})
    data = make_data(config, make_store(3, 12, 4))
    plain = fit_task(config, data, TASK)
    assert plain.search["chosen"].tolist() == [False, True]
    assert fit_task(config, flipped(data, "validation"), TASK).search["chosen"].tolist() == [True, False]
    test = rows_of(data, "test")
    other = poisoned(poisoned(flipped(data, "test"), test[::2], 1e30), test[1::2], np.nan)
    assert_same(fit_task(config, other, TASK), plain)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry per training step."""
    made: list[str] = []
    real = training.Fit._step

    def counting(fit: training.Fit, parts: Any) -> dict[str, torch.Tensor]:
        made.append(type(fit.models.template).__name__)
        return real(fit, parts)

    monkeypatch.setattr(training.Fit, "_step", counting)
    return made


@pytest.mark.parametrize("method", ["himoe", "bilstm"])
def test_every_network_has_the_same_budget(method: str, steps: list[str]) -> None:
    config = make_config(method, epochs=6, patience=50, search={"learning_rate": RATES[:2]})
    data = make_data(config, make_store())
    fit_task(config, data, TASK)
    sequences = make_sequences(data.store.index, rows_of(data, "train"), 4)
    assert len(sequences) == 16  # 8 trials of 5 windows, in sequences of 4
    assert len(steps) == (2 * 5 + 1) * 3  # batches of 6, 5 and 5


DIVERGING: dict[str, Any] = {"ema": 0.0, "missing": "none", "model": {"bounded": False}, "epochs": 4}


def test_a_rate_that_diverges_is_not_chosen() -> None:
    config = make_config(**DIVERGING, search={"learning_rate": (1e30, 0.01, 1e35)})
    search = fit_task(config, make_data(config, make_store()), TASK).search
    assert search["chosen"].tolist() == [False, True, False]
    assert np.isinf(search["validation_loss"][[0, 2]]).all()


@pytest.mark.parametrize("rates", [{"learning_rate": 1e30}, {"search": {"learning_rate": (1e30, 1e35)}}])
def test_where_every_rate_diverges_the_run_is_refused(rates: dict[str, Any]) -> None:
    config = make_config(**DIVERGING, **rates)
    with pytest.raises(InputError, match=r"fold-01_seed-0: found a loss that is not finite in step \d+, expected"):
        fit_task(config, make_data(config, make_store()), TASK)


@pytest.mark.slow
@pytest.mark.parametrize("method", NETWORKS)
def test_models_fitted_as_one_are_what_they_are_alone(method: str) -> None:
    """Folds and seeds with their own data, masks, dropout, rate and patience; to rounding, which training enlarges."""
    config = make_config(method, epochs=4, patience=1, seeds=(0, 5), missing="matched", ema=0.5,
                         model={"dropout": 0.3, "eeg_encoder": "bands", "signal_encoder": "features"},
                         search={"learning_rate": (0.004, 0.01)})
    data = make_data(config, make_store(3, 7, 4))
    tasks = [FoldTask(0, 0, 0.2), FoldTask(1, 5, 0.4), FoldTask(1, 0, 0.0)]
    assert len({len(rows_of(data, "train", fold)) for fold in (0, 1)}) == 2  # the second fold's epoch is a shorter one
    for task, together in zip(tasks, fit_tasks(config, data, tasks), strict=True):
        alone = fit_task(config, data, task)
        assert together.tensors.keys() == alone.tensors.keys()
        np.testing.assert_allclose(together.history.astype(float), alone.history.astype(float), rtol=1e-3)
        np.testing.assert_allclose(together.search.astype(float), alone.search.astype(float), rtol=1e-3)
        predicted = [encode_tensors(config, data, task, fitted.tensors).predict(data.present)
                     for fitted in (together, alone)]
        np.testing.assert_allclose(*predicted, rtol=0, atol=0.01)


def test_encoders_with_statistics_of_a_batch_are_fitted_as_one_where_asked(monkeypatch: pytest.MonkeyPatch,
                                                                           steps: list[str]) -> None:
    """EEGNet, a network on windows and FACE with gaps, each model with its own fold, masks, rate and end."""
    config = make_config(epochs=9, patience=1, missing="matched", ema=0.5, model={"dropout": 0.3, "features": 8},
                         search={"learning_rate": (0.02, 0.1)})
    config = replace(config, run=replace(config.run, modalities=("EEG", "EDA", "FACE")))
    data = make_data(config, with_face(make_store(3, 7, 4), hidden=(0, 5, 6)))
    tasks = [FoldTask(0, 0, 0.2), FoldTask(1, 5, 0.4), FoldTask(1, 0, 0.0)]
    alone = [fit_task(config, data, task) for task in tasks]
    one_by_one = len(steps)
    monkeypatch.setattr(stacked, "COUNTED_ON", ("cpu",))
    together = fit_tasks(config, data, tasks)
    assert len(steps) - one_by_one < one_by_one / 3  # both rates of all three
    for task, one, other in zip(tasks, together, alone, strict=True):
        np.testing.assert_allclose(one.history.astype(float), other.history.astype(float), rtol=1e-3)
        np.testing.assert_allclose(one.search.astype(float), other.search.astype(float), rtol=1e-3)
        predicted = [encode_tensors(config, data, task, fit.tensors).predict(data.present) for fit in (one, other)]
        np.testing.assert_allclose(*predicted, rtol=0, atol=0.01)
    assert len({len(fitted.history) for fitted in alone}) > 1
    assert {fitted.search["chosen"].tolist().index(True) for fitted in alone} == {0, 1}


def test_encoders_and_device_decide_which_models_are_fitted_as_one() -> None:
    def stackable(method: str = "himoe", foreign: bool = False, **model: str) -> list[bool]:
        config = make_config(method, model=model)
        built = build_method(method, make_spec(config, make_data(config, make_store())))
        if foreign:  # an encoder that says nothing of itself, as braindecode's
            built.encoders.encoders["EEG"] = torch.nn.Identity()
        return [stacked.can_stack(built, torch.device(device)) for device in ("cpu", "cuda")]

    assert stackable(eeg_encoder="bands", signal_encoder="features") == [True, True]
    assert stackable(eeg_encoder="eegnet", signal_encoder="features") == [False, True]
    assert stackable(eeg_encoder="eegnet", foreign=True) == [False, False]
    assert stackable("mean") == [False, False]


def test_a_model_that_diverges_leaves_its_neighbours_alone() -> None:
    config = make_config(model={"eeg_encoder": "bands", "signal_encoder": "features"}, missing="none")
    data = make_data(config, make_store())
    labels = data.labels.copy()
    labels[rows_of(data, "train", 0)[0]] = 1e30
    spoiled = replace(data, labels=labels)
    fit = training.Fit([gather(config, d, FoldTask(fold, 0), torch.device("cpu"), 3)
                        for d, fold in ((data, 1), (spoiled, 0))], 0.01)
    fit.advance(2)
    assert [learner.diverged is None for learner in fit.learners] == [True, False]
    weights, _ = fit.learners[0].result()
    alone = training.Fit([gather(config, data, FoldTask(1, 0), torch.device("cpu"), 3)], 0.01)
    alone.advance(2)
    for name, value in alone.learners[0].result()[0].items():
        torch.testing.assert_close(weights[name], value, rtol=1e-4, atol=1e-5)


def test_models_that_have_stopped_leave_the_others_as_they_are() -> None:
    """Three learning rates as one; two of them are useless from the first epoch on and leave."""
    config = make_config(epochs=6, patience=2, ema=0.0, warmup_steps=0, search={"learning_rate": (0.01, 3e3, 4e3)},
                         model={"eeg_encoder": "bands", "signal_encoder": "features", "bounded": False})
    data = make_data(config, make_store())
    sizes: list[int] = []
    fit = training.Fit([gather(config, data, TASK, torch.device("cpu"), 3)] * 3, [0.01, 3e3, 4e3])
    for epoch in range(1, 7):
        fit.advance(epoch)
        sizes.append(len(fit.active))
    assert sizes[0] == 3
    assert sizes[-1] == 1
    alone = training.Fit([gather(config, data, TASK, torch.device("cpu"), 3)], 0.01)
    alone.advance(6)
    np.testing.assert_allclose(fit.learners[0].result()[1].astype(float), alone.learners[0].result()[1].astype(float),
                               rtol=1e-3)


def plain_loop(config: RunConfig, data: RunData) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Validation losses and best averaged weights of the textbook loop: torch's AdamW, the schedule by its formula,
    clipping and the average of weights by hand."""
    plan = config.training
    train, validation = (make_sequences(data.store.index, rows_of(data, role), plan.sequence_length)
                         for role in ("train", "validation"))
    assembler = data.assembler(Normaliser.fit(data.store, rows_of(data, "train"), data.present, data.subject, True),
                               data.subject)
    seed = derive_seed(config.seed, TASK.seed, TASK.fold, config.run.method)
    torch.manual_seed(seed)
    method = build_method(config.run.method, make_spec(config, data))
    labels = torch.from_numpy(data.labels[rows_of(data, "train")].astype(np.float32))
    method.calibrate(labels)
    averaged = copy.deepcopy(method).eval()
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(method.parameters(), weight_decay=plan.weight_decay, foreach=False, fused=False)
    losses: list[float] = []
    step, total = 0, plan.epochs * -(-len(train) // plan.batch_sequences)
    for _ in range(plan.epochs):
        method.train()
        order = torch.randperm(len(train), generator=generator).numpy()
        for part in np.array_split(train[order], -(-len(train) // plan.batch_sequences)):
            batch = assembler.batch(part)
            rate = torch.rand((), generator=generator) * plan.missing_max
            draws = torch.rand(batch.present.shape, generator=generator)
            batch = batch.with_present(training_mask(batch.present, draws, rate))
            sources = [module for module in method.modules() if isinstance(module, Noise)]
            for source, key in zip(sources, step_keys(len(sources), torch.tensor([seed & 0x7FFFFFFF]).int(), step),
                                   strict=True):
                source.key.copy_(key[0])
            optimiser.zero_grad()
            sum(method(batch).losses.values()).backward()
            norm = torch.sqrt(sum((p.grad**2).sum() for p in method.parameters()))
            for parameter in method.parameters():
                parameter.grad *= min(1.0, training.MAX_GRADIENT_NORM / float(norm))
            optimiser.param_groups[0]["lr"] = (plan.learning_rate * min(1.0, (step + 1) / (plan.warmup_steps + 1))
                                               * (1 + math.cos(math.pi * step / total)) / 2)
            optimiser.step()
            step += 1
            decay = min(plan.ema, step / (step + 10))
            for old, new in zip(averaged.state_dict().values(), method.state_dict().values(), strict=True):
                old.copy_(decay * old + (1 - decay) * new if new.is_floating_point() else new)
        batch = assembler.batch(validation)
        with torch.no_grad():
            known = torch.isfinite(batch.y)
            units = (averaged(batch).prediction - batch.y) / labels.std(0, correction=0)
            losses.append(float((units[known] ** 2).mean()))
        if losses[-1] == min(losses):
            best = {name: value.clone() for name, value in averaged.state_dict().items()}
    return losses, best


@pytest.mark.parametrize("method", ["himoe", "late_fusion"])
def test_without_a_search_it_is_the_plain_loop(method: str) -> None:
    config = make_config(method, epochs=4, patience=4, model={"dropout": 0.3}, ema=0.9, warmup_steps=3,
                         weight_decay=0.5)
    data = make_data(config, make_store())
    losses, best = plain_loop(config, data)
    fitted = fit_task(config, data, TASK)
    np.testing.assert_allclose(fitted.history["validation_loss"], losses, rtol=1e-4)
    assert losses[0] != pytest.approx(losses[-1], rel=1e-2)  # something was learned
    for name, value in best.items():
        torch.testing.assert_close(fitted.tensors[name], value, rtol=1e-4, atol=2e-5, msg=name)
    predicted = [encode_tensors(config, data, TASK, tensors).predict(data.present)
                 for tensors in (fitted.tensors, {**fitted.tensors, **best})]
    np.testing.assert_allclose(*predicted, rtol=1e-4)
