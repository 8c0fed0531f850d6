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
from himoe.methods._attention import GroupedLayer
from himoe.methods.base import Method, Spec

MakeSpec = Callable[..., Spec]
MakeBatch = Callable[..., Batch]
Params = dict[str, np.ndarray]
Token = tuple[int, int]  # modality, step


def params_of(module: torch.nn.Module) -> Params:
    return {name: p.detach().double().numpy() for name, p in module.named_parameters()}


def group_of(module: torch.nn.Module, g: int = 0) -> Params:
    """Parameters of one group: maps (inputs, outputs), vectors (F,)."""
    return {name: p[0] if len(p) == 1 else p for name, p in ((n, p[g]) for n, p in params_of(module).items())}


def normed(x: np.ndarray, p: Params, name: str) -> np.ndarray:
    """Layer norm *name*, a prefix with its dot (none: the module itself is the norm)."""
    return (x - x.mean()) / np.sqrt(x.var() + 1e-5) * p[f"{name}weight"] + p[f"{name}bias"]


def layer_loop(query: np.ndarray, keys: list[np.ndarray], p: Params, heads: int) -> np.ndarray:
    """One layer for one query (F,) and the keys that are there, head by head, key by key."""
    width, parts = len(query) // heads, []
    if keys:
        w_q, (w_k, w_v) = p["attention.query.weight"].T, np.split(p["attention.key_value.weight"].T, 2)
        b_q, (b_k, b_v) = p["attention.query.bias"], np.split(p["attention.key_value.bias"], 2)
        asked, heard = normed(query, p, "norm."), [normed(key, p, "norm.") for key in keys]
        for h in range(heads):
            rows = slice(h * width, (h + 1) * width)
            q = w_q[rows] @ asked + b_q[rows]
            scores = np.array([q @ (w_k[rows] @ key + b_k[rows]) / np.sqrt(width) for key in heard])
            weights = np.exp(scores - scores.max())
            weights /= weights.sum()
            parts.append(sum(w * (w_v[rows] @ key + b_v[rows]) for w, key in zip(weights, heard, strict=True)))
        query = query + p["attention.out.weight"].T @ np.concatenate(parts) + p["attention.out.bias"]
    hidden = normed(query, p, "network_norm.")
    inner = np.maximum(p["wide.weight"].T @ hidden + p["wide.bias"], 0.0)
    return query + p["narrow.weight"].T @ inner + p["narrow.bias"]


def timed(token: np.ndarray, step: int) -> np.ndarray:
    """sqrt(F) times the token, plus sin and cos of the step at frequencies that fall with the feature's number."""
    features = len(token)
    wave = [(np.sin if i % 2 == 0 else np.cos)(step / 10000.0 ** (2 * (i // 2) / features)) for i in range(features)]
    return np.sqrt(features) * token + np.array(wave)


def convolved(codes: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Codes (T, M, F) of one sequence → tokens (M, T, F); each modality has its own rows of *weight* (M·F, F, 3)."""
    n_steps, n_modalities, features = codes.shape
    tokens = np.zeros((n_modalities, n_steps, features))
    for m in range(n_modalities):
        for t in range(n_steps):
            for tap in range(3):
                if 0 <= t + tap - 1 < n_steps:
                    tokens[m, t] += weight[m * features:(m + 1) * features, :, tap] @ codes[t + tap - 1, m]
    return tokens


def husformer_loop(method: Method, codes: np.ndarray, there: np.ndarray) -> np.ndarray:
    """The whole decoder for one sequence: codes (T, M, F), presence (T, M) → features before the heads (T, F)."""
    n_steps, n_modalities, _ = codes.shape
    tokens = convolved(codes, params_of(method.convolution)["weight"])
    places = [(m, t) for m in range(n_modalities) for t in range(n_steps)]
    keys = [timed(tokens[m, t], t) for m, t in places if there[t, m]]
    hidden: dict[Token, np.ndarray] = {}
    for m, t in places:
        x = timed(tokens[m, t], t)
        for layer in method.cross_modal.layers:
            x = layer_loop(x, keys, group_of(layer, m), layer.attention.heads)
        hidden[m, t] = timed(normed(x, group_of(method.cross_modal.norm, m), ""), t)
    for layer in method.self_attention.layers:
        p, keys = group_of(layer), [hidden[m, t] for m, t in places if there[t, m]]
        hidden = {place: layer_loop(x, keys, p, layer.attention.heads) for place, x in hidden.items()}
    last = {place: normed(x, group_of(method.self_attention.norm), "") for place, x in hidden.items()}
    return np.array([np.mean([last[m, t] for m in range(n_modalities) if there[t, m] or not there[t].any()], axis=0)
                     for t in range(n_steps)])


@pytest.fixture
def method(make_spec: MakeSpec) -> Method:
    torch.manual_seed(0)
    return restless(build_method("husformer", make_spec()))


@pytest.mark.parametrize("features,heads", [(7, 1), (6, 2), (8, 4), (12, 4)])
def test_layer_equals_loops_over_present_keys(features: int, heads: int) -> None:
    torch.manual_seed(0)
    layer = GroupedLayer(2, features, 0.3).eval()
    assert layer.attention.heads == heads
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    query, source, usable = torch.randn(2, 3, 5, features), torch.randn(2, 3, 9, features), torch.rand(1, 3, 9) < 0.5
    usable[0, 1] = False
    for asked, n_queries in ((query, 5), (source, 9)):  # cross-modal; self-attention
        answer = layer(asked, source, usable).detach()
        for g in range(2):
            p = group_of(layer, g)
            for b in range(3):
                keys = [source[g, b, k].double().numpy() for k in range(9) if usable[0, b, k]]
                for n in range(n_queries):
                    expected = layer_loop(asked[g, b, n].double().numpy(), keys, p, heads)
                    np.testing.assert_allclose(answer[g, b, n].numpy(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("names", [["EEG", "EDA", "TEMP"], ["PPG", "EDA"], ["TEMP"]])
def test_prediction_equals_the_slow_model(names: list[str], make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    spec, batch = choose(make_spec(), make_batch(share=0.6), names)
    torch.manual_seed(0)
    method = restless(build_method("husformer", spec))
    assert [len(layer.wide.weight) for layer in method.cross_modal.layers] == [len(names)] * 3
    assert len(method.self_attention.layers) == 5
    codes = method.encode(batch)
    prediction = method.decode(codes, batch).prediction.detach().numpy()
    linear = params_of(method.heads.linear)
    for b in (0, 7):  # a step without any modality; two steps of padding
        features = husformer_loop(method, codes[b].detach().double().numpy(), batch.present[b].numpy())
        np.testing.assert_allclose(prediction[b], features @ linear["weight"].T + linear["bias"], rtol=1e-3, atol=1e-3)


def test_convolution_does_not_carry_absent_codes(method: Method, make_batch: MakeBatch) -> None:
    batch, codes = make_batch(share=0.5), torch.randn(8, 5, 4, 7)
    junk = torch.where(batch.present[..., None], codes, 9.0)
    assert torch.equal(method.decode(codes, batch).prediction, method.decode(junk, batch).prediction)
    tokens = method.tokens(codes)
    changed = codes.clone()
    changed[:, 2, 1] += 1.0
    moved = (method.tokens(changed) - tokens).abs().amax((0, 3)) > 1e-6
    assert moved.nonzero().tolist() == [[1, 1], [1, 2], [1, 3]]  # that modality only, one step either side


def test_padding_is_not_attended_to(method: Method, make_batch: MakeBatch) -> None:
    check_padding_is_not_read(method, make_batch(), 1e-4)


@pytest.mark.parametrize("kind", ["regression", "classification", "three"])
@pytest.mark.parametrize("names", [["EEG"], ["TEMP"], ["PPG", "EDA"], ["EDA", "TEMP", "EEG"]])
@pytest.mark.parametrize("steps", [2, 37])
def test_any_modalities_and_length(names: list[str], kind: str, steps: int, make_spec: MakeSpec,
                                   make_batch: MakeBatch) -> None:
    batch = make_batch(kind=kind, steps=steps, sequences=6)
    check_parts_are_finite("husformer", *choose(make_spec(kind), batch, names))


def test_sequences_do_not_mix(method: Method, make_batch: MakeBatch) -> None:
    check_sequences_do_not_mix(method, make_batch(), 1e-4)


def test_every_step_hears_every_modality(method: Method, make_batch: MakeBatch) -> None:
    batch, other = make_batch(share=1.1), make_batch(share=1.1)
    other.x["PPG"][2, 4] += 2.0
    moved = (method(batch).prediction - method(other).prediction).abs().amax(-1)
    assert (moved[2] > 1e-6).all()
    assert moved[[0, 1, 3, 4, 5, 6, 7]].max() == 0


def test_dropout_only_in_training(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    method = build_method("husformer", make_spec(model={"dropout": 0.5}))
    check_dropout_only_in_training(method, torch.randn(8, 5, 4, 7), make_batch())
