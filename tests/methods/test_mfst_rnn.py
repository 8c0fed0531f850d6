from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from sequence_checks import (
    check_dropout_only_in_training,
    check_padding_is_not_read,
    check_parts_are_finite,
    check_sequences_do_not_mix,
    choose,
    part,
)
from torch import Tensor, nn

from himoe.batches import Batch
from himoe.methods import build_method
from himoe.methods.base import Method, Spec

MakeSpec = Callable[..., Spec]
MakeBatch = Callable[..., Batch]


def lstm_loop(lstm: nn.LSTM, steps: list[Tensor], direction: str) -> list[Tensor]:
    """Hidden states of one direction ("" or "_reverse") by the textbook's gates, one step at a time."""
    w_in, w_hidden, b_in, b_hidden = (getattr(lstm, f"{name}_l0{direction}")
                                      for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    hidden = cell = torch.zeros(lstm.hidden_size)
    states = []
    for x in steps[::-1] if direction else steps:
        i, f, g, o = (w_in @ x + b_in + w_hidden @ hidden + b_hidden).chunk(4)
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        hidden = o.sigmoid() * cell.tanh()
        states.append(hidden)
    return states[::-1] if direction else states


def both_ways(lstm: nn.LSTM, steps: list[Tensor]) -> list[Tensor]:
    ways = [lstm_loop(lstm, steps, direction) for direction in ("", "_reverse")]
    return [torch.cat(pair) for pair in zip(*ways, strict=True)]


@pytest.fixture
def method(make_spec: MakeSpec) -> Method:
    torch.manual_seed(0)
    return build_method("mfst_rnn", make_spec()).eval()


def test_reads_modalities_then_time(method: Method, make_batch: MakeBatch) -> None:
    batch = part(make_batch(), slice(5, 8))  # the last sequence has three valid steps of five
    codes = method.encode(batch)
    prediction = method(batch).prediction
    compared = 0
    for b in range(3):
        n_steps = int(batch.valid[b].sum())
        steps = [method.projection(torch.cat(both_ways(method.spatial, list(codes[b, t])))) for t in range(n_steps)]
        for t, state in enumerate(both_ways(method.temporal, steps)):
            torch.testing.assert_close(prediction[b, t], method.heads.linear(state), atol=1e-5, rtol=1e-5)
            compared += 1
    assert compared == 5 + 5 + 3


def test_order_of_modalities_matters(method: Method) -> None:
    codes = torch.randn(2, 3, 4, 7)
    changed = codes.clone()
    changed[:, :, 3] += 1.0
    first, second = (method.spatial(c.flatten(0, 1))[0] for c in (codes, changed))
    assert torch.equal(first[:, :3, :7], second[:, :3, :7])  # forward states have not read the last modality yet
    assert (first[:, 0, 7:] != second[:, 0, 7:]).any(-1).all()  # backward states have
    assert not torch.allclose(method.read_modalities(codes), method.read_modalities(codes.flip(2)), atol=1e-3)


def test_time_is_read_both_ways(method: Method, make_batch: MakeBatch) -> None:
    batch = make_batch(steps=6)
    other = make_batch(steps=6)
    other.x["EDA"][0, 3] += 2.0
    batch.present[0, 3, 1] = other.present[0, 3, 1] = True
    moved = (method(batch).prediction - method(other).prediction).abs().amax(-1)
    assert (moved[0] > 1e-6).all()
    assert torch.equal(moved[1:], torch.zeros(7, 6))


def test_padding_is_not_read(method: Method, make_batch: MakeBatch) -> None:
    check_padding_is_not_read(method, make_batch(), 1e-6)


@pytest.mark.parametrize("kind", ["regression", "classification", "three"])
@pytest.mark.parametrize("names", [["EEG"], ["TEMP"], ["PPG", "EDA"], ["EDA", "TEMP", "EEG"]])
@pytest.mark.parametrize("steps", [2, 37])
def test_any_modalities_and_length(names: list[str], kind: str, steps: int, make_spec: MakeSpec,
                                   make_batch: MakeBatch) -> None:
    check_parts_are_finite("mfst_rnn", *choose(make_spec(kind), make_batch(kind=kind, steps=steps, sequences=6), names))


def test_a_batch_of_padding_only_is_finite(method: Method, make_batch: MakeBatch) -> None:
    batch = part(make_batch(), [7], slice(3, 5))
    assert not batch.valid.any()
    assert torch.isfinite(method(batch).prediction).all()


def test_sequences_do_not_mix(method: Method, make_batch: MakeBatch) -> None:
    check_sequences_do_not_mix(method, make_batch(), 1e-6)


def test_sizes_and_dropout_follow_the_parameters(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    method = build_method("mfst_rnn", make_spec(model={"features": 10, "dropout": 0.5}))
    assert (method.spatial.hidden_size, method.temporal.input_size, method.temporal.hidden_size) == (10, 10, 10)
    check_dropout_only_in_training(method, torch.randn(8, 5, 4, 10), make_batch())
