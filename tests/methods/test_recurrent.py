"""The LSTMs in groups, and the two methods that are built of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from reference import both_ways, part, plain_lstm, restless, slow_lstm

from himoe.models.batches import Batch
from himoe.models.methods import build_method
from himoe.models.methods._recurrent import BiLSTMLayer, GroupedLSTM
from himoe.models.methods.base import Spec
from himoe.models.methods.bilstm import TemporalAttention

MakeSpec = Callable[..., Spec]
MakeBatch = Callable[..., Batch]


@torch.no_grad()
def test_groups_equal_separate_lstms_of_torch_that_see_valid_steps_only() -> None:
    torch.manual_seed(0)
    lstm, x = restless(GroupedLSTM(3, 4, 6)), torch.randn(3, 5, 7, 4)
    valid = torch.arange(7) < torch.tensor([7, 3, 1, 0, 5])[:, None]
    got, ends = lstm(x, valid[None]), lstm(x.flip(2), valid.flip(1)[None]).flip(2)
    everything = lstm(x)
    for g in range(3):
        states = torch.stack(lstm.states(x), 2)[g]
        torch.testing.assert_close(states, plain_lstm(lstm, g)(x[g])[0], atol=1e-6, rtol=1e-5)
        for b in range(5):
            n = int(valid[b].sum())
            torch.testing.assert_close(everything[g, b], slow_lstm(lstm, g, x[g, b]), atol=1e-5, rtol=1e-5)
            if n:
                torch.testing.assert_close(got[g, b, :n], slow_lstm(lstm, g, x[g, b, :n]), atol=1e-5, rtol=1e-5)
                torch.testing.assert_close(ends[g, b, :n], slow_lstm(lstm, g, x[g, b, :n].flip(0)).flip(0), atol=1e-5,
                                           rtol=1e-5)
            assert (got[g, b, n:] == 0).all()


@torch.no_grad()
def test_both_directions() -> None:
    torch.manual_seed(0)
    layer, x = restless(BiLSTMLayer(4, 6)), torch.randn(5, 7, 4)
    valid = torch.arange(7) < torch.tensor([7, 3, 1, 2, 5])[:, None]
    got = layer(x, valid)
    for b, n in enumerate(valid.sum(1).tolist()):
        torch.testing.assert_close(got[b, :n], both_ways(layer, x[b, :n]), atol=1e-5, rtol=1e-5)
    assert torch.equal(layer(x, torch.ones(5, 7, dtype=torch.bool)), layer(x))


@torch.no_grad()
def test_temporal_attention_equals_a_loop_and_sums_to_one() -> None:
    torch.manual_seed(1)
    attention = restless(TemporalAttention(3, 4))
    codes, present = torch.randn(6, 5, 3, 4), torch.rand(6, 5, 3) < 0.6
    present[2, :, 1] = False
    expected = torch.zeros(present.shape)
    for b in range(6):
        for m in range(3):
            steps = [t for t in range(5) if present[b, t, m]]
            scores = [torch.exp(attention.query_MA[m] @ torch.tanh(
                attention.weight_MFA[m].T @ codes[b, t, m] + attention.bias_MA[m])) for t in steps]
            for t, score in zip(steps, scores, strict=True):
                expected[b, t, m] = score / sum(scores)
    torch.testing.assert_close(attention(codes, present), expected)


@torch.no_grad()
@pytest.mark.parametrize("name", ["bilstm", "mfst_rnn"])
def test_prediction_equals_its_parts_one_sequence_at_a_time(name: str, make_spec: MakeSpec,
                                                            make_batch: MakeBatch) -> None:
    torch.manual_seed(0)
    batch = part(make_batch(), slice(4, 8))  # the last sequence has three valid steps of five
    method = restless(build_method(name, make_spec()))
    codes = method.encode(batch)
    output = method.decode(codes, batch)
    for b, n in enumerate(batch.valid.sum(1).tolist()):
        if name == "bilstm":
            weights = method.attention(codes[b:b + 1], batch.present[b:b + 1])
            torch.testing.assert_close(output.diagnostics["temporal_attention"][b], weights[0])
            x = (codes[b] * (weights[0] * batch.present[b].sum(0))[..., None])[:n].flatten(1)
            assert len(method.recurrent) == 3
            for layer in method.recurrent:
                x = both_ways(layer, x)
        else:  # the modalities of each step in the spec's order, then the steps
            steps = [method.projection(both_ways(method.spatial, codes[b, t]).flatten()) for t in range(n)]
            x = both_ways(method.temporal, torch.stack(steps))
        torch.testing.assert_close(output.prediction[b, :n], method.heads(x)[0], atol=1e-4, rtol=1e-4)
