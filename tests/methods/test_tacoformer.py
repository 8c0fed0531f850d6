from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from sequence_checks import (
    check_codes_of_sequences_do_not_meet,
    check_length_and_gaps,
    check_padding_and_gradient_mode,
    choose,
)
from torch import Tensor

from himoe.batches import Batch
from himoe.methods import build_method
from himoe.methods._attention import time_code
from himoe.methods.base import Method, Spec
from himoe.methods.tacoformer import (
    CompoundCrossAttention,
    SpatialCode,
    compound_attention,
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


def test_compound_attention_equals_loops() -> None:
    torch.manual_seed(1)
    q, k, v = (torch.randn(6, 2, 4, 3, dtype=torch.float64) for _ in range(3))
    q_there, k_there = torch.rand(6, 4) < 0.7, torch.rand(6, 4) < 0.6
    k_there[1] = False
    q_there[2], k_there[2] = torch.tensor([[True, False, True, False], [False, True, False, True]])
    got = compound_attention(q, k, v, q_there, k_there)
    for b in range(6):
        for h in range(2):
            torch.testing.assert_close(got[b, h], slow_compound(q[b, h], k[b, h], v[b, h], q_there[b], k_there[b]))
    assert (got[1] == 0).all()
    assert got[2].abs().max() > 0


@torch.no_grad()
def test_cross_attention_block_equals_its_parts() -> None:
    torch.manual_seed(1)
    block = CompoundCrossAttention(6, 0.3).eval()
    assert block.heads == 2
    for norm in (block.query_norm, block.key_norm, block.norm):
        torch.nn.init.normal_(norm.weight)
    x, other = torch.randn(5, 4, 6), torch.randn(5, 4, 6)
    x_there, other_there = torch.rand(5, 4) < 0.7, torch.rand(5, 4) < 0.7
    other_there[3] = False
    got = block(x, other, x_there, other_there)
    key_value = block.key_value(block.key_norm(other))
    for b in range(5):
        heads = [slow_compound(block.query(block.query_norm(x))[b, :, h], key_value[b, :, h],
                               key_value[b, :, 6:][:, h], x_there[b], other_there[b])
                 for h in (slice(0, 3), slice(3, 6))]
        hidden = x[b] + torch.cat(heads, 1) @ block.out.weight.T
        expected = hidden + block.forward_block(block.norm(hidden))
        torch.testing.assert_close(got[b], expected, atol=1e-5, rtol=1e-5)


def test_channel_attention_mixes_features() -> None:
    torch.manual_seed(1)
    q, k, v = (torch.randn(1, 1, 4, 3) for _ in range(3))
    there = torch.ones(1, 4, dtype=torch.bool)
    other = v.clone()
    other[..., 2] += 1
    change = compound_attention(q, k, other, there, there) - compound_attention(q, k, v, there, there)
    assert (change.abs() > 1e-6).all()  # a change in one feature reaches all of them
    assert change[0, 0, 0].unique().numel() == 3


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


def test_no_spatial_code_without_known_electrodes_or_filters(make_spec: MakeSpec) -> None:
    spec = make_spec()
    assert built(named(spec)).spatial_code is not None
    assert built(spec).spatial_code is None
    assert built(named(spec, ("a", "b", "c", "d", "e"))).spatial_code is None
    short = named(spec)
    short.shapes["EEG"] = dataclasses.replace(short.shapes["EEG"], samples=31)  # too short for EEGNet
    assert built(short).spatial_code is None
    others = {name: shape for name, shape in spec.shapes.items() if name != "EEG"}
    others["EDA"] = dataclasses.replace(others["EDA"], ch_names=("Cz",))
    assert built(dataclasses.replace(spec, shapes=others)).spatial_code is None


@torch.no_grad()
def test_prediction_is_the_chain_of_its_parts(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    batch = make_batch(share=0.5)
    method = built(named(make_spec()))
    codes = method.encode(batch)
    there = (batch.present[..., 0], batch.present[..., 1:].any(-1))
    time = time_code(5, 7)
    spatial = method.spatial_code(method.encoders.encoders["EEG"].spatial)
    eeg = method.first_encoder(codes[:, :, 0] * 7**0.5 + time + spatial, there[0])
    mixed = torch.cat([codes[:, :, 1], codes[:, :, 2], codes[:, :, 3]], -1) @ method.mix.weight.T + method.mix.bias
    peripheral = method.other_encoder(mixed * 7**0.5 + time, there[1])
    sides = (method.first_asks(eeg, peripheral, *there), method.other_asks(peripheral, eeg, *there[::-1]))
    prediction = method.decode(codes, batch).prediction
    cases = set()
    for b in range(8):
        for t in range(5):
            votes = [s for s in (0, 1) if there[s][b, t]] or [0, 1]
            cases.add((bool(there[0][b, t]), bool(there[1][b, t])))
            pooled = sum(sides[s][b, t] for s in votes) / len(votes)
            torch.testing.assert_close(prediction[b, t], method.heads(method.norm(pooled))[0], atol=1e-5, rtol=1e-5)
    assert len(cases) == 4


@pytest.mark.parametrize("names,first", [(("PPG", "EEG", "TEMP"), 1), (("EDA", "PPG", "TEMP"), 0)])
def test_the_first_side(names: tuple[str, ...], first: int, make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    method = built(choose(make_spec(), make_batch(), names)[0])
    assert method.first == first
    assert method.others == [m for m in range(3) if m != first]


@pytest.mark.parametrize("kind", ["regression", "classification", "three"])
@pytest.mark.parametrize("steps", [1, 37])
@pytest.mark.parametrize("names", [("EEG",), ("TEMP",), ("EDA", "PPG", "TEMP"), ("PPG", "EEG")])
def test_any_modalities_and_length(names: tuple[str, ...], steps: int, kind: str, make_spec: MakeSpec,
                                   make_batch: MakeBatch) -> None:
    batch = make_batch(kind=kind, sequences=4, steps=max(steps, 2), share=0.5)
    check_length_and_gaps(built, *choose(named(make_spec(kind)), batch, names), steps)


def test_sequences_do_not_meet(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    check_codes_of_sequences_do_not_meet(built(named(make_spec())), make_batch(), atol=1e-5, rtol=1e-5)


def test_padding_and_gradient_mode_have_no_influence(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    check_padding_and_gradient_mode(built(named(make_spec())), make_batch())
