"""What the tests of networks are compared with: torch's own layers, fed one sequence and the tokens that are there."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from himoe.models.batches import Batch, ModalityShape
from himoe.models.methods._attention import GroupedAttention, GroupedLayer, GroupedLinear, GroupedNorm
from himoe.models.methods._recurrent import NORM_FLOOR, BiLSTMLayer, GroupedLSTM
from himoe.models.methods.base import Spec

# Windows, and features of windows.
SHAPES = {"EEG": ModalityShape(5, 64, 32.0), "EDA": ModalityShape(1, 16, 4.0), "PPG": ModalityShape(2, 80, 20.0),
          "TEMP": ModalityShape(1, 9, 2.0)}
FEATURES = {"EEG": ModalityShape(5, 1, 0.25), "EDA": ModalityShape(1, 1, 0.25), "PPG": ModalityShape(2, 1, 0.25),
            "TEMP": ModalityShape(3, 1, 0.25)}


def choose(spec: Spec, batch: Batch, names: Sequence[str]) -> tuple[Spec, Batch]:
    """Spec and batch of some of the modalities, in the order of *names*."""
    columns = [spec.modalities.index(name) for name in names]
    return (dataclasses.replace(spec, shapes={name: spec.shapes[name] for name in names}),
            dataclasses.replace(batch, x={name: batch.x[name] for name in names}, present=batch.present[..., columns]))


def part(batch: Batch, sequences: list[int] | slice, steps: slice = slice(None)) -> Batch:
    """Some sequences and steps of a batch."""
    return Batch({m: x[sequences, steps] for m, x in batch.x.items()}, batch.present[sequences, steps],
                 batch.y[sequences, steps], batch.valid[sequences, steps], batch.subject[sequences],
                 batch.stimulus[sequences])


def restless(module: nn.Module, size: float = 0.3) -> nn.Module:
    """All parameters moved: biases and layer norms start at 0 and 1, where mistakes would hide."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(size * torch.randn_like(parameter))
    return module.eval()


def plain_linear(linear: GroupedLinear, g: int) -> nn.Linear:
    """Group *g* as torch's own layer; so below."""
    plain = nn.Linear(*linear.weight.shape[1:], bias=linear.bias is not None)
    plain.weight.data.copy_(linear.weight[g].T)
    if linear.bias is not None:
        plain.bias.data.copy_(linear.bias[g, 0])
    return plain


def plain_norm(norm: GroupedNorm, g: int) -> nn.LayerNorm:
    plain = nn.LayerNorm(norm.weight.shape[-1])
    plain.weight.data.copy_(norm.weight[g, 0])
    plain.bias.data.copy_(norm.bias[g, 0])
    return plain


def plain_attention(attention: GroupedAttention, g: int) -> nn.MultiheadAttention:
    plain = nn.MultiheadAttention(attention.query.weight.shape[1], attention.heads, batch_first=True).eval()
    plain.in_proj_weight.data.copy_(torch.cat([attention.query.weight[g].T, attention.key_value.weight[g].T]))
    plain.in_proj_bias.data.copy_(torch.cat([attention.query.bias[g, 0], attention.key_value.bias[g, 0]]))
    plain.out_proj.weight.data.copy_(attention.out.weight[g].T)
    plain.out_proj.bias.data.zero_()
    if attention.out.bias is not None:
        plain.out_proj.bias.data.copy_(attention.out.bias[g, 0])
    return plain


def attend(attention: GroupedAttention, g: int, query: Tensor, source: Tensor, usable: Tensor) -> Tensor:
    """Queries (Q, F) ask the usable (K,) tokens of the source (K, F); 0 without any."""
    if not usable.any():
        return torch.zeros_like(query)
    seen = source[usable][None]
    return plain_attention(attention, g)(query[None], seen, seen)[0][0]


def slow_layer(layer: GroupedLayer, g: int, x: Tensor, source: Tensor, usable: Tensor) -> Tensor:
    """Group *g* of the layer on one sequence: tokens (Q, F), source (K, F), usable (K,)."""
    heard = plain_norm(layer.source_norm or layer.norm, g)(source)
    hidden = x + attend(layer.attention, g, plain_norm(layer.norm, g)(x), heard, usable)
    wide = layer.activation(plain_linear(layer.wide, g)(plain_norm(layer.network_norm, g)(hidden)))
    return hidden + plain_linear(layer.narrow, g)(wide)


def plain_lstm(lstm: GroupedLSTM, g: int) -> nn.LSTM:
    """torch's own LSTM with the weights of group *g* (its gates stand in the order write, keep, new, show)."""
    inputs, hidden = lstm.inputs.weight.shape[1], lstm.recurrent.shape[1]
    plain = nn.LSTM(inputs, hidden, batch_first=True)
    for own, (weight, bias) in {"ih": (lstm.inputs.weight[g].T, lstm.inputs.bias[g, 0]),
                                "hh": (lstm.recurrent[g].T, torch.zeros(4 * hidden))}.items():
        for name, value in (("weight", weight), ("bias", bias)):
            write, keep, show, new = value.chunk(4)
            getattr(plain, f"{name}_{own}_l0").data.copy_(torch.cat([write, keep, new, show]))
    return plain


def slow_lstm(lstm: GroupedLSTM, g: int, x: Tensor) -> Tensor:
    """Normed states (T, H) of group *g* on one sequence (T, I)."""
    states = plain_lstm(lstm, g)(x[None])[0][0]
    return functional.layer_norm(states, states.shape[-1:], eps=NORM_FLOOR)


def both_ways(layer: BiLSTMLayer, x: Tensor) -> Tensor:
    """Normed states (T, 2H) of both directions on one sequence (T, I)."""
    return torch.cat([slow_lstm(layer.lstm, 0, x), slow_lstm(layer.lstm, 1, x.flip(0)).flip(0)], -1)
