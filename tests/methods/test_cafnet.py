from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from sequence_checks import (
    check_dropout_only_in_training,
    check_padding_is_not_read,
    check_parts_are_finite,
    check_sequences_do_not_mix,
    choose,
    restless,
)

from himoe.batches import Batch
from himoe.methods import build_method
from himoe.methods.base import Method, Spec
from himoe.methods.cafnet import CrossAttention, split_sides

MakeSpec = Callable[..., Spec]
MakeBatch = Callable[..., Batch]
Params = dict[str, np.ndarray]


def params_of(module: torch.nn.Module) -> Params:
    """Parameters by name; the attention's, which have an axis for groups, of its one group."""
    params = {name: p.detach().double().numpy() for name, p in module.named_parameters()}
    return {name: p if p.ndim < 3 else p[0, 0] if name.endswith("bias") else p[0] for name, p in params.items()}


def normed(x: np.ndarray, p: Params, name: str) -> np.ndarray:
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5) * p[f"{name}.weight"] + p[f"{name}.bias"]


def ask(query: np.ndarray, keys: list[np.ndarray], p: Params, heads: int) -> np.ndarray:
    """The block for one query (F,) and the keys that are there, head by head, key by key."""
    answer = np.zeros_like(query)
    if keys:
        w_q, (w_k, w_v) = p["attention.query.weight"].T, np.split(p["attention.key_value.weight"].T, 2)
        b_q, (b_k, b_v) = p["attention.query.bias"], np.split(p["attention.key_value.bias"], 2)
        width, parts = len(query) // heads, []
        for h in range(heads):
            rows = slice(h * width, (h + 1) * width)
            q = w_q[rows] @ query + b_q[rows]
            scores = np.array([q @ (w_k[rows] @ key + b_k[rows]) / np.sqrt(width) for key in keys])
            weights = np.exp(scores - scores.max())
            weights /= weights.sum()
            parts.append(sum(w * (w_v[rows] @ key + b_v[rows]) for w, key in zip(weights, keys, strict=True)))
        answer = p["attention.out.weight"].T @ np.concatenate(parts) + p["attention.out.bias"]
    hidden = normed(query + answer, p, "norm")
    inner = np.maximum(p["network.0.weight"] @ hidden + p["network.0.bias"], 0.0)
    return normed(hidden + p["network.3.weight"] @ inner + p["network.3.bias"], p, "last_norm")


def timed(code: np.ndarray, step: int) -> np.ndarray:
    """sqrt(F) times the code, plus sin and cos of the step at frequencies that fall with the feature's number."""
    features = len(code)
    wave = [(np.sin if i % 2 == 0 else np.cos)(step / 10000.0 ** (2 * (i // 2) / features)) for i in range(features)]
    return np.sqrt(features) * code + np.array(wave)


@pytest.fixture
def method(make_spec: MakeSpec) -> Method:
    torch.manual_seed(0)
    return restless(build_method("cafnet", make_spec()))


def test_sides() -> None:
    assert split_sides(("EEG", "FACE")) == ([0], [1])
    assert split_sides(("ECG", "FACE", "EEG", "EDA")) == ([2], [0, 1, 3])
    assert split_sides(("ECG", "FACE", "EDA")) == ([0], [1, 2])
    assert split_sides(("EEG",)) == split_sides(("FACE",)) == ([0], [0])


@pytest.mark.parametrize("features,heads", [(7, 1), (6, 2), (8, 4), (12, 4)])
def test_block_equals_loops_over_present_keys(features: int, heads: int) -> None:
    torch.manual_seed(0)
    block = CrossAttention(features, 0.3).eval()
    assert block.attention.heads == heads
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    query, source = torch.randn(3, 5, features), torch.randn(3, 9, features)
    usable = torch.rand(3, 9) < 0.5
    usable[1] = False
    answer = block(query, source, usable)
    p = params_of(block)
    for b in range(3):
        keys = [source[b, k].double().numpy() for k in range(9) if usable[b, k]]
        for n in range(5):
            expected = ask(query[b, n].double().numpy(), keys, p, heads)
            np.testing.assert_allclose(answer[b, n].detach().numpy(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("names", [["EEG", "EDA", "PPG", "TEMP"], ["EDA", "PPG", "EEG"], ["PPG", "TEMP"], ["EDA"]])
def test_prediction_is_both_sides_answers_concatenated(names: list[str], make_spec: MakeSpec,
                                                       make_batch: MakeBatch) -> None:
    spec, batch = choose(make_spec(), make_batch(share=0.6), names)
    torch.manual_seed(0)
    method = restless(build_method("cafnet", spec))
    codes = method.encode(batch)
    prediction = method.decode(codes, batch).prediction.detach().numpy()
    blocks, sides = [params_of(method.first_asks), params_of(method.second_asks)], split_sides(spec.modalities)
    linear = params_of(method.heads.linear)
    for b in (0, 4, 7):
        there = batch.present[b].numpy()
        for t in range(5):
            pooled = []
            for p, own, other in zip(blocks, sides, sides[::-1], strict=True):
                keys = [timed(codes[b, s, m].detach().double().numpy(), s)
                        for s in range(5) for m in other if there[s, m]]
                voters = [m for m in own if there[t, m]] or own
                pooled.append(np.mean([ask(timed(codes[b, t, m].detach().double().numpy(), t), keys, p, 1)
                                       for m in voters], axis=0))
            expected = linear["weight"] @ np.concatenate(pooled) + linear["bias"]
            np.testing.assert_allclose(prediction[b, t], expected, rtol=1e-4, atol=1e-4)


def test_padding_is_not_attended_to(method: Method, make_batch: MakeBatch) -> None:
    check_padding_is_not_read(method, make_batch(), 1e-5)


@pytest.mark.parametrize("kind", ["regression", "classification", "three"])
@pytest.mark.parametrize("names", [["EEG"], ["TEMP"], ["PPG", "EDA"], ["EDA", "TEMP", "EEG"]])
@pytest.mark.parametrize("steps", [2, 37])
def test_any_modalities_and_length(names: list[str], kind: str, steps: int, make_spec: MakeSpec,
                                   make_batch: MakeBatch) -> None:
    check_parts_are_finite("cafnet", *choose(make_spec(kind), make_batch(kind=kind, steps=steps, sequences=6), names))


def test_sequences_do_not_mix(method: Method, make_batch: MakeBatch) -> None:
    check_sequences_do_not_mix(method, make_batch(), 1e-5)


def test_a_side_hears_the_other_at_all_steps(method: Method, make_batch: MakeBatch) -> None:
    batch, other = make_batch(share=1.1), make_batch(share=1.1)
    other.x["PPG"][2, 4] += 2.0
    with torch.no_grad():
        for block in (method.first_asks, method.second_asks):
            block.attention.query.weight.mul_(0.1)  # no attention so sharp that it passes over a key
    moved = (method(batch).prediction - method(other).prediction).abs().amax(-1)
    assert (moved[2] > 1e-6).all()
    assert moved[[0, 1, 3, 4, 5, 6, 7]].max() == 0


def test_dropout_only_in_training(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    method = build_method("cafnet", make_spec(model={"dropout": 0.5}))
    check_dropout_only_in_training(method, torch.randn(8, 5, 4, 7), make_batch())
