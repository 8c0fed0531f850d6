from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from sequence_checks import (
    check_codes_of_sequences_do_not_meet,
    check_length_and_gaps,
    choose,
)
from torch import Tensor

from himoe.batches import Batch
from himoe.methods import build_method
from himoe.methods.base import Method, Spec
from himoe.methods.bilstm import TemporalAttention

MakeSpec = Callable[..., Spec]
MakeBatch = Callable[..., Batch]


def built(spec: Spec) -> Method:
    torch.manual_seed(0)
    return build_method("bilstm", spec).eval()


def slow_attention(attention: TemporalAttention, codes: Tensor, present: Tensor) -> Tensor:
    weights = torch.zeros(present.shape)
    for b in range(present.shape[0]):
        for m in range(present.shape[2]):
            steps = [t for t in range(present.shape[1]) if present[b, t, m]]
            scores = [torch.exp(attention.query_MA[m] @ torch.tanh(
                attention.weight_MFA[m].T @ codes[b, t, m] + attention.bias_MA[m])) for t in steps]
            for t, score in zip(steps, scores, strict=True):
                weights[b, t, m] = score / sum(scores)
    return weights


def slow_direction(lstm: torch.nn.LSTM, layer: int, backward: bool, x: Tensor) -> list[Tensor]:
    """One direction of one layer over x (T, I), by the LSTM's textbook equations."""
    suffix = f"l{layer}" + ("_reverse" if backward else "")
    w_x, w_h, b_x, b_h = (getattr(lstm, f"{name}_{suffix}") for name in ("weight_ih", "weight_hh", "bias_ih",
                                                                          "bias_hh"))
    h = c = torch.zeros(lstm.hidden_size)
    states = [h] * len(x)
    for t in (reversed(range(len(x))) if backward else range(len(x))):
        i, f, g, o = (w_x @ x[t] + b_x + w_h @ h + b_h).chunk(4)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        states[t] = h
    return states


@torch.no_grad()
def test_attention_equals_a_loop_and_sums_to_one() -> None:
    torch.manual_seed(1)
    attention = TemporalAttention(3, 4)
    attention.bias_MA.normal_()
    codes, present = torch.randn(6, 5, 3, 4), torch.rand(6, 5, 3) < 0.6
    present[2, :, 1] = False
    weights = attention(codes, present)
    torch.testing.assert_close(weights, slow_attention(attention, codes, present))
    torch.testing.assert_close(weights.sum(1), present.any(1).float())
    assert (weights[~present] == 0).all()


@torch.no_grad()
def test_prediction_equals_the_textbook(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    batch = make_batch()
    method = built(make_spec())
    codes = method.encode(batch)
    output = method.decode(codes, batch)
    weights = slow_attention(method.attention, codes, batch.present)
    torch.testing.assert_close(output.diagnostics["temporal_attention"], weights)
    assert method.recurrent.num_layers == 3
    for b in range(8):
        n_steps = int(batch.valid[b].sum())
        x = torch.stack([torch.cat([codes[b, t, m] * weights[b, t, m] * batch.present[b, :, m].sum()
                                    for m in range(4)]) for t in range(n_steps)])
        for layer in range(3):
            both = [slow_direction(method.recurrent, layer, backward, x) for backward in (False, True)]
            x = torch.stack([torch.cat(pair) for pair in zip(*both, strict=True)])
        torch.testing.assert_close(output.prediction[b, :n_steps], method.heads(x)[0], atol=1e-5, rtol=1e-5)


def test_equal_attention_leaves_the_codes_as_they_are(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    batch = make_batch(share=1.1)
    batch = dataclasses.replace(batch, present=torch.ones_like(batch.present), valid=torch.ones_like(batch.valid))
    method = built(make_spec())
    torch.nn.init.zeros_(method.attention.query_MA)
    codes = method.encode(batch)
    expected = method.heads(method.recurrent(codes.flatten(2))[0])[0]
    torch.testing.assert_close(method.decode(codes, batch).prediction, expected)


def test_looks_both_ways(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    batch = make_batch(share=1.1)
    method = built(make_spec())
    torch.nn.init.zeros_(method.attention.query_MA)  # no way from step to step but the recurrence
    codes = method.encode(batch)
    for changed, watched in ((4, 0), (0, 4)):
        other = codes.clone()
        other[0, changed] += 1
        before, after = (method.decode(c, batch).prediction for c in (codes, other))
        assert not torch.equal(before[0, watched], after[0, watched])
        assert torch.equal(before[1:], after[1:])


@pytest.mark.parametrize("kind", ["regression", "classification", "three"])
@pytest.mark.parametrize("steps", [1, 37])
@pytest.mark.parametrize("names", [("EEG",), ("TEMP",), ("EDA", "PPG", "TEMP"), ("PPG", "EEG")])
def test_any_modalities_and_length(names: tuple[str, ...], steps: int, kind: str, make_spec: MakeSpec,
                                   make_batch: MakeBatch) -> None:
    batch = make_batch(kind=kind, sequences=4, steps=max(steps, 2), share=0.5)
    check_length_and_gaps(built, *choose(make_spec(kind), batch, names), steps)


def test_sequences_do_not_meet(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    check_codes_of_sequences_do_not_meet(built(make_spec()), make_batch())


def test_padding_has_no_influence(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    batch = make_batch()
    method = built(make_spec())
    codes = torch.cat([method.encode(batch), torch.full((8, 4, 4, 7), 1e3)], 1)
    longer = dataclasses.replace(batch, present=torch.cat([batch.present, torch.zeros(8, 4, 4).bool()], 1),
                                 valid=torch.cat([batch.valid, torch.zeros(8, 4).bool()], 1))
    short = method.decode(codes[:, :5], batch).prediction
    torch.testing.assert_close(method.decode(codes, longer).prediction[:, :5][batch.valid], short[batch.valid])
    alone = dataclasses.replace(batch, present=batch.present[-1:, :3], valid=batch.valid[-1:, :3])
    torch.testing.assert_close(method.decode(codes[-1:, :3], alone).prediction, short[-1:, :3])
