"""The floors: means of the training labels, against pandas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from himoe.models.batches import Batch
from himoe.models.methods import build_method
from himoe.models.methods.base import Spec

MakeSpec = Callable[..., Spec]
MakeBatch = Callable[..., Batch]


@pytest.mark.parametrize("kind", ["regression", "classification"])
@pytest.mark.parametrize(("name", "level"), [("mean", None), ("mean_subject", "subject"),
                                             ("mean_stimulus", "stimulus")])
def test_means_equal_pandas(name: str, level: str | None, kind: str, make_spec: MakeSpec,
                            make_batch: MakeBatch) -> None:
    batches = [make_batch(seed=seed, kind=kind) for seed in (0, 1)]
    method = build_method(name, make_spec(kind))
    method.fit(iter(batches), [])
    rows = pd.concat([pd.DataFrame(b.y.flatten(0, 1).double().numpy()).assign(
        subject=np.repeat(b.subject.numpy(), 5), stimulus=np.repeat(b.stimulus.numpy(), 5)) for b in batches])
    prediction = method(batches[0]).prediction
    assert prediction.shape == (8, 5, 3)
    for b in range(8):
        group = rows if level is None else rows[rows[level] == int(getattr(batches[0], level)[b])]
        expected = np.broadcast_to(group[[0, 1, 2]].mean().to_numpy(), (5, 3))
        np.testing.assert_allclose(prediction[b].numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize(("name", "level"), [("mean", None), ("mean_subject", "subject"),
                                             ("mean_stimulus", "stimulus")])
def test_three_classes_are_counted(name: str, level: str | None, make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    batches = [make_batch(seed=seed, kind="three") for seed in (0, 1)]
    method = build_method(name, make_spec("three"))
    method.fit(iter(batches), [])
    output = method(batches[0])
    assert output.raw.shape == (8, 5, 2, 3)
    for b, d in np.ndindex(8, 2):
        counts = [0, 0, 0]
        for batch in batches:
            for sequence, t in np.ndindex(8, 5):
                y = float(batch.y[sequence, t, d])
                if y == y and (level is None or getattr(batch, level)[sequence] == getattr(batches[0], level)[b]):
                    counts[int(y)] += 1
        shares = np.maximum(np.array(counts) / sum(counts), 1e-6)
        np.testing.assert_allclose(output.raw[b, :, d], np.broadcast_to(np.log(shares), (5, 3)), rtol=1e-5, atol=1e-6)
        assert (output.prediction[b, :, d] == counts.index(max(counts))).all()


def test_unseen_codes_get_the_overall_mean(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    batch = make_batch()
    subject, overall = build_method("mean_subject", make_spec()), build_method("mean", make_spec())
    for method in (subject, overall):
        method.fit([batch], [])
    stranger = make_batch()
    stranger.subject.copy_(torch.tensor([-1, 3, 99, 1000, 7, 8, 9, 10]))
    assert torch.equal(subject(stranger).prediction, overall(stranger).prediction)
    batch.y[batch.subject == 1] = float("nan")  # a subject whose labels are all missing
    subject.fit([batch], [])
    overall.fit([batch], [])
    assert torch.equal(subject(batch).prediction[1], overall(batch).prediction[1])
    assert not torch.equal(subject(batch).prediction[0], overall(batch).prediction[0])


def test_signals_and_masks_have_no_influence(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    batch = make_batch()
    for name in ("mean", "mean_subject", "mean_stimulus"):
        method = build_method(name, make_spec())
        assert (method.gradient, method.looks) == (False, False)
        method.fit([batch], [])
        blind = replace(batch, x={m: torch.full_like(x, float("nan")) for m, x in batch.x.items()},
                        present=torch.zeros_like(batch.present))
        assert torch.equal(method(blind).prediction, method(batch).prediction)
