from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from reference import choose, plain_linear, plain_norm, restless
from torch import Tensor

from himoe.models.batches import Batch
from himoe.models.methods import build_method
from himoe.models.methods._times import time_code
from himoe.models.methods.base import Method, Spec
from himoe.models.methods.tacoformer import (
    CompoundCrossAttention,
    SpatialCode,
    electrode_codes,
    electrode_positions,
)

MakeSpec = Callable[..., Spec]
MakeBatch = Callable[..., Batch]
NAMES = ("Fp1", "Cz", "unknown", "T7", "O2")


def built(spec: Spec) -> Method:
    torch.manual_seed(0)
    return build_method("tacoformer", spec).eval()


def named(spec: Spec, names: tuple[str, ...] = NAMES) -> Spec:
    """The spec with electrodes' names."""
    return dataclasses.replace(spec, shapes={**spec.shapes, "EEG": dataclasses.replace(spec.shapes["EEG"],
                                                                                       ch_names=names)})


def slow_compound(q: Tensor, k: Tensor, v: Tensor, q_there: Tensor, k_there: Tensor) -> Tensor:
    """One sequence and head, (T, E) each, by loops over tokens and features."""
    n_steps, n_features = q.shape
    keys = [s for s in range(n_steps) if k_there[s]]
    both = [s for s in keys if q_there[s]]
    out = torch.zeros(n_steps, n_features, dtype=q.dtype)
    for t in range(n_steps):
        token = {s: math.exp(sum(q[t, e] * k[s, e] for e in range(n_features)) / math.sqrt(n_features)) for s in keys}
        for f in range(n_features):
            channel = [math.exp(sum(q[s, f] * k[s, g] for s in both) / math.sqrt(max(len(both), 1)))
                       for g in range(n_features)]
            for s in keys:
                for g in range(n_features):
                    out[t, f] += token[s] / sum(token.values()) * v[s, g] * channel[g] / sum(channel)
    return out


def slow_block(block: CompoundCrossAttention, g: int, x: Tensor, other: Tensor, x_there: Tensor,
               other_there: Tensor) -> Tensor:
    """Direction *g* on one sequence (T, F), head by head."""
    width = x.shape[1] // block.heads
    query = plain_linear(block.query, g)(plain_norm(block.query_norm, g)(x))
    key, value = plain_linear(block.key_value, g)(plain_norm(block.key_norm, g)(other)).chunk(2, -1)
    heads = [slow_compound(query[:, h], key[:, h], value[:, h], x_there, other_there)
             for h in (slice(k * width, (k + 1) * width) for k in range(block.heads))]
    hidden = x + plain_linear(block.out, g)(torch.cat(heads, 1))
    wide = torch.nn.functional.gelu(plain_linear(block.wide, g)(plain_norm(block.norm, g)(hidden)))
    return hidden + plain_linear(block.narrow, g)(wide)


def test_positions_are_angles_from_the_vertical() -> None:
    from mne.channels import make_standard_montage

    places = electrode_positions()
    ch_pos = make_standard_montage("colin27_1020").get_positions()["ch_pos"]
    assert len(places) == len(ch_pos) > 60
    for name, xyz in ch_pos.items():
        polar = np.degrees(np.arccos(xyz[2] / np.linalg.norm(xyz))) / 90
        azimuth = np.angle(complex(xyz[0], xyz[1]))
        np.testing.assert_allclose(places[name.upper()], (polar * np.cos(azimuth), polar * np.sin(azimuth)), atol=1e-9)
    assert np.hypot(*places["CZ"]) < 0.1
    assert places["T7"][0] < -0.9 < 0.9 < places["T8"][0]
    assert places["OZ"][1] < -0.8 < 0.8 < places["FPZ"][1]


def test_electrode_codes_equal_the_formula() -> None:
    codes, known = electrode_codes(NAMES)
    assert codes.shape == (5, 16)
    assert known.tolist() == [True, True, False, True, True]
    for c, name in enumerate(NAMES):
        place = electrode_positions().get(name.upper())
        expected = [0.0] * 16 if place is None else [
            wave(value * math.pi / 2 * 2**k) for value in place for k in range(4) for wave in (math.sin, math.cos)]
        assert codes[c].tolist() == pytest.approx(expected, abs=1e-5)
    assert electrode_codes(())[0].shape == (0, 16)


@torch.no_grad()
def test_filter_codes_are_weighted_means() -> None:
    torch.manual_seed(1)
    code = SpatialCode(NAMES, 3, 7)
    weights = torch.randn(3, 5)
    weights[2] = torch.tensor([0.0, 0.0, 9.0, 0.0, 0.0])  # looks at the unknown electrode only
    codes, known = electrode_codes(NAMES)
    expected = [np.average(codes[known], axis=0, weights=weights[s, known].abs()) for s in range(2)]
    np.testing.assert_allclose(code.filter_codes(weights)[:2], np.stack(expected), atol=1e-6)
    assert (code.filter_codes(weights)[2] == 0).all()
    torch.testing.assert_close(code(weights), code.linear(code.filter_codes(-3 * weights).flatten()))
    assert set(code.state_dict()) == {"linear.weight", "linear.bias"}


def test_electrodes_enter_the_eeg_tokens(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    batch = make_batch()
    first, second = (built(named(make_spec(), names)) for names in (NAMES, ("Fp1", "O2", "unknown", "T7", "Cz")))
    states = (first.state_dict().values(), second.state_dict().values())
    assert all(torch.equal(a, b) for a, b in zip(*states, strict=True))
    assert not torch.equal(first(batch).prediction, second(batch).prediction)
    output = first(batch)
    sum(output.losses.values()).backward()
    for name, parameter in first.named_parameters():
        assert parameter.grad.abs().max() > 0, name
    nothing_of_eeg = batch.with_present(torch.tensor([False, True, True, True]))
    assert torch.equal(first(nothing_of_eeg).prediction, second(nothing_of_eeg).prediction)


@torch.no_grad()
@pytest.mark.parametrize("names", [("PPG", "EEG", "TEMP"), ("EDA", "PPG", "TEMP"), ("TEMP",)])
def test_prediction_is_the_chain_of_its_parts(names: tuple[str, ...], make_spec: MakeSpec,
                                              make_batch: MakeBatch) -> None:
    spec, batch = choose(named(make_spec(model={"features": 6})), make_batch(share=0.5), names)
    method = restless(built(spec), 0.1)
    assert method.asks.heads == 2
    codes, first = method.encode(batch), names.index("EEG") if "EEG" in names else 0
    others = [m for m in range(len(names)) if m != first]
    tokens, there = [codes[:, :, first] + time_code(torch.arange(5), 6)], [batch.present[..., first]]
    if "EEG" in names:
        tokens[0] = tokens[0] + method.spatial_code(method.encoders.encoders["EEG"].spatial)
    if others:
        tokens.append(method.mix(codes[:, :, others].flatten(2)) + time_code(torch.arange(5), 6))
        there.append(batch.present[..., others].any(-1))
    encoded = method.encoder(torch.stack(tokens), torch.stack(there))
    prediction = method.decode(codes, batch).prediction
    for b in range(8):
        sides = [slow_block(method.asks, g, encoded[g, b], encoded[-1 - g, b], there[g][b], there[-1 - g][b])
                 for g in range(len(tokens))]
        for t in range(5):
            votes = [g for g in range(len(sides)) if there[g][b, t]] or range(len(sides))
            pooled = sum(sides[g][t] for g in votes) / len(votes)
            torch.testing.assert_close(prediction[b, t], method.heads(method.norm(pooled))[0], atol=1e-4, rtol=1e-4)
