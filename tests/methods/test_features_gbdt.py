from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from himoe.models.batches import Batch
from himoe.models.methods import build_method
from himoe.models.methods._features import drop_modalities
from himoe.models.methods.base import Spec
from himoe.models.methods.features_gbdt import MAX_TREES, best_count, grow, predict_trees, stack_trees

MakeSpec = Callable[..., Spec]
MakeBatch = Callable[..., Batch]


def _table(seed: int, rows: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 6)).astype(np.float32)
    y = x[:, 0] * x[:, 1] + np.sin(2 * x[:, 2]) + 0.3 * rng.normal(size=rows)
    x[rng.random(x.shape) < 0.2] = np.nan
    return x, y.astype(np.float32)


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_walk_equals_scikit_learn(kind: str) -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    (x, y), (unseen, _) = _table(0), _table(1)
    if kind == "classification":
        model = HistGradientBoostingClassifier(max_iter=23, min_samples_leaf=5).fit(x, y > 0)
        expected = model.decision_function(unseen)
    else:
        model = HistGradientBoostingRegressor(max_iter=23, min_samples_leaf=5).fit(x, y)
        expected = model.predict(unseen)
    trees = stack_trees([(1, predictors[0].nodes) for predictors in model._predictors])
    baseline = torch.tensor([4.0, float(np.ravel(model._baseline_prediction)[0])], dtype=torch.float64)
    got = predict_trees(torch.from_numpy(unseen), baseline, trees).numpy()
    np.testing.assert_allclose(got[:, 1], expected, rtol=1e-12, atol=1e-12)
    assert (got[:, 0] == 4.0).all()  # a dimension without trees


def test_walk_equals_scikit_learn_for_three_classes() -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    (x, y), (unseen, _) = _table(0), _table(1)
    classes = np.digitize(y, (-0.4, 0.5))
    model = HistGradientBoostingClassifier(max_iter=19, min_samples_leaf=5).fit(x, classes)
    baseline, rounds = np.ravel(model._baseline_prediction), [[p.nodes for p in r] for r in model._predictors]
    assert [len(trees) for trees in rounds] == [3] * 19
    # The second of two dimensions.
    trees = stack_trees([(3 + k, tree) for nodes in rounds for k, tree in enumerate(nodes)])
    start = torch.from_numpy(np.concatenate([[0.5, -0.5, 0.0], baseline]))
    got = predict_trees(torch.from_numpy(unseen), start, trees)
    probability = torch.softmax(got[:, 3:], -1).numpy()
    np.testing.assert_allclose(probability, model.predict_proba(unseen), rtol=1e-10, atol=1e-12)
    assert (got[:, :3] == start[:3]).all()


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_class_that_training_lacks_is_as_good_as_excluded(lost: int, make_spec: MakeSpec,
                                                            make_batch: MakeBatch) -> None:
    batch, validation = (make_batch(seed=seed, kind="three", sequences=40) for seed in (0, 1))
    batch.y[batch.y == lost] = float("nan")
    batch.y[..., 1] = torch.where(batch.y[..., 1] == (lost + 1) % 3, batch.y[..., 1], float("nan"))
    method = build_method("features_gbdt", make_spec("three"))
    method.fit([batch], [validation])  # its rows of the lost class cannot count
    output = method(validation)
    probability = torch.softmax(output.raw, -1)
    assert (probability[..., lost] < 1e-5).all()
    assert (output.prediction[..., 0] != lost).all()
    assert len(output.prediction[..., 0].unique()) == 2
    found = validation.y[..., 0]
    rest = torch.isfinite(found) & (found != lost)
    assert (output.prediction[..., 0] == found)[rest].float().mean() > 0.55
    assert (output.prediction[..., 1] == (lost + 1) % 3).all()  # one class alone
    assert probability[..., 1, (lost + 1) % 3].min() > 0.99999


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_validation_rows_choose_the_number_of_trees(kind: str) -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    (x, y), (x_validation, y_validation) = _table(0), _table(1)
    if kind == "classification":
        y, y_validation = (y > 0).astype(np.float32), (y_validation > 0).astype(np.float32)
    _, stopped = grow(kind, x, y, x_validation, y_validation)
    _, full = grow(kind, x, y, x_validation[:0], y_validation[:0])
    assert len(full) == MAX_TREES
    assert 1 < len(stopped) < MAX_TREES
    estimator = HistGradientBoostingRegressor if kind == "regression" else HistGradientBoostingClassifier
    model = estimator(max_iter=40, random_state=0).fit(x, y.astype(int) if kind == "classification" else y)
    truth = y_validation.astype(int) if kind == "classification" else y_validation
    losses = []
    for count in range(1, 41):
        trees = stack_trees([(0, p[0].nodes) for p in model._predictors[:count]])
        baseline = torch.tensor(np.ravel(model._baseline_prediction), dtype=torch.float64)
        score = predict_trees(torch.from_numpy(x_validation), baseline, trees)[:, 0].numpy()
        losses.append(np.mean((score - truth) ** 2 if kind == "regression"
                              else np.log1p(np.exp(-score * (2 * truth - 1)))))
    assert best_count(model, kind, x_validation, truth) == 1 + int(np.argmin(losses))


def test_validation_rows_choose_the_number_of_rounds_for_three_classes() -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import log_loss

    (x, y), (x_validation, y_validation) = _table(0), _table(1)
    y, y_validation = (2.0 * (values > 0.5) + 3.0 * (values > 1) for values in (y, y_validation))  # classes 0, 2, 5
    baseline, stopped = grow("classification", x, y, x_validation, y_validation)
    _, full = grow("classification", x, y, x_validation[:0], y_validation[:0])
    assert baseline.shape == (3,)
    assert len(full) == MAX_TREES
    assert 1 < len(stopped) < MAX_TREES
    model = HistGradientBoostingClassifier(max_iter=30, random_state=0).fit(x, y.astype(int))
    losses = [log_loss(y_validation, stage) for stage in model.staged_predict_proba(x_validation)]
    assert best_count(model, "classification", x_validation, y_validation.astype(int)) == 1 + int(np.argmin(losses))


def test_features_are_nan_exactly_where_absent(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    batch = make_batch(share=0.6)
    method = build_method("features_gbdt", make_spec())
    codes = method.encode(batch)
    first = 0
    for index, (name, shape) in enumerate(method.spec.shapes.items()):
        width = shape.channels * shape.samples
        expected = batch.x[name].reshape(8, 5, width).clone()
        expected[~batch.present[..., index]] = float("nan")
        torch.testing.assert_close(codes[..., first:first + width], expected, equal_nan=True)
        assert (method.feature_modality[first:first + width] == index).all()
        first += width
    assert codes.shape == (8, 5, first)


def test_dropping_keeps_one_and_follows_the_rate() -> None:
    present = torch.rand(20000, 5, generator=torch.Generator().manual_seed(0)) < 0.7
    kept = drop_modalities(present, 0.4, torch.Generator().manual_seed(1))
    assert not (kept & ~present).any()
    assert torch.equal(kept.any(1), present.any(1))
    full = torch.ones(20000, 5, dtype=torch.bool)
    lost = 1 - drop_modalities(full, 0.4, torch.Generator().manual_seed(1)).float().mean()
    assert float(lost) == pytest.approx(0.2, abs=0.01)
    everything = drop_modalities(full, 1e9, torch.Generator().manual_seed(1))
    assert torch.equal(everything.sum(1), torch.ones(20000, dtype=torch.int64))
    assert everything.float().mean(0).tolist() == pytest.approx([0.2] * 5, abs=0.02)
