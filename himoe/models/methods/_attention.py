"""Attention shared by the methods that are built on it: masks, pooling, and layers run in groups.

A group is a layer with weights of its own; groups of equal shape run in one call.

Legend: B sequences, T time steps, Q queries, K keys, N rows (tokens of all sequences), S things pooled,
F features, G groups, H heads, E features a head.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from himoe.models.noise import Dropout

LOWEST = -1e30  # of a score: softmax makes it 0


def n_heads(features: int) -> int:
    """The largest of 4, 2, 1 that divides *features*."""
    return next(heads for heads in (4, 2, 1) if features % heads == 0)


def pool(tokens: Tensor, usable: Tensor) -> Tensor:
    """Mean of tokens (..., S, F) over those usable (..., S) bool, over all S where none is: (..., F)."""
    votes = (usable | ~usable.any(-1, keepdim=True)).to(tokens.dtype)
    shares = votes / votes.sum(-1, keepdim=True)
    return (shares[..., None, :] @ tokens).squeeze(-2)


class GroupedLinear(nn.Module):
    """G linear layers in one call, each drawn as ``nn.Linear`` draws its own."""

    def __init__(self, groups: int, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(groups, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(groups, 1, outputs).uniform_(-bound, bound)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """(G, N, inputs) → (G, N, outputs)."""
        return torch.bmm(x, self.weight) if self.bias is None else torch.baddbmm(self.bias, x, self.weight)


class GroupedNorm(nn.Module):
    """G layer norms in one call."""

    def __init__(self, groups: int, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(groups, 1, features))
        self.bias = nn.Parameter(torch.zeros(groups, 1, features))

    def forward(self, x: Tensor) -> Tensor:
        """(G, N, F) → (G, N, F)."""
        if len(x) == 1:
            return functional.layer_norm(x, x.shape[-1:], self.weight.view(-1), self.bias.view(-1))
        return torch.addcmul(self.bias, functional.layer_norm(x, x.shape[-1:]), self.weight)


class GroupedAttention(nn.Module):
    """G multi-head attentions in one call, each drawn as ``nn.MultiheadAttention`` draws its own.

    Vaswani et al. 2017 (arXiv 1706.03762), section 3.2.2, with dropout of attention weights.
    """

    def __init__(self, groups: int, features: int, dropout: float, out_bias: bool = True) -> None:
        super().__init__()
        self.heads = n_heads(features)
        self.width = features // self.heads
        self.drop = Dropout(dropout)
        self.query = GroupedLinear(groups, features, features)
        self.key_value = GroupedLinear(groups, features, 2 * features)
        self.out = GroupedLinear(groups, features, features, out_bias)
        # Glorot's bound for the three maps as one of F inputs and 3F outputs.
        bound = math.sqrt(6.0 / (4 * features))
        for linear in (self.query, self.key_value):
            nn.init.uniform_(linear.weight, -bound, bound)
        for parameter in (self.query.bias, self.key_value.bias, self.out.bias):
            if parameter is not None:
                nn.init.zeros_(parameter)

    def forward(self, query: Tensor, source: Tensor, usable: Tensor) -> Tensor:
        """Query (G, B·Q, F), source (G, B·K, F), its usable tokens (1 or G, B, K) bool → (G, B·Q, F).

        Zeros for a sequence without any usable token.
        """
        n_groups, n_sequences = len(query), usable.shape[1]
        asked, = self._split(self.query(query) * self.width**-0.5, n_sequences)
        key, value = self._split(self.key_value(source), n_sequences)
        # The mask is one more feature, 1 in each query and 0 or very low in a key: adding it to all scores costs more.
        lowest = torch.where(usable, 0.0, LOWEST).expand(n_groups, -1, -1).repeat_interleave(self.heads, 1)
        key = torch.cat([key, lowest.reshape(*key.shape[:2], 1).to(key.dtype)], -1)
        asked = torch.cat([asked, asked.new_ones(*asked.shape[:2], 1)], -1)
        scores = torch.bmm(asked, key.transpose(1, 2)).view(n_groups, n_sequences, self.heads, -1, key.shape[1])
        weights = self.drop(torch.softmax(scores, -1))
        answer = torch.bmm(weights.flatten(0, 2), value).view(*scores.shape[:-1], self.width)
        answer = self.out(answer.transpose(2, 3).reshape(query.shape))
        some = usable.any(-1, keepdim=True).repeat_interleave(scores.shape[3], 1)
        return answer * some

    def _split(self, x: Tensor, n_sequences: int) -> tuple[Tensor, ...]:
        """(G, B·T, n·F) → n times (G·B·H, T, E)."""
        parts = x.view(len(x), n_sequences, x.shape[1] // n_sequences, -1, self.heads, self.width)
        return parts.permute(3, 0, 1, 4, 2, 5).flatten(1, 3).unbind(0)


class GroupedLayer(nn.Module):
    """G attention layers in one call: attention, then a two-layer network; norm before and residual around each.

    Parameters
    ----------
    groups, features : int
    dropout : float
        Of attention weights, hidden units, and of what either part adds.
    widening : int
        Hidden units of the network, as a multiple of F.
    activation : function
    source_norm : bool
        Whether the source has a layer norm of its own; without one it shares the query's.
    out_bias : bool
        Whether the attention's last map has a bias.
    attention_dropout : bool
        Whether attention weights are dropped, too.
    """

    def __init__(self, groups: int, features: int, dropout: float, *, widening: int = 4,
                 activation: Callable[[Tensor], Tensor] = functional.relu, source_norm: bool = False,
                 out_bias: bool = True, attention_dropout: bool = True) -> None:
        super().__init__()
        self.activation, self.dropout = activation, Dropout(dropout)
        self.norm = GroupedNorm(groups, features)
        self.source_norm = GroupedNorm(groups, features) if source_norm else None
        self.attention = GroupedAttention(groups, features, dropout if attention_dropout else 0.0, out_bias)
        self.network_norm = GroupedNorm(groups, features)
        self.wide = GroupedLinear(groups, features, widening * features)
        self.narrow = GroupedLinear(groups, widening * features, features)

    def forward(self, x: Tensor, source: Tensor, usable: Tensor) -> Tensor:
        """Tokens (G, B, Q, F), source (G, B, K, F), its usable tokens (1 or G, B, K) bool → (G, B, Q, F).

        A sequence without any usable token gets nothing from the attention.
        """
        rows, norm = x.flatten(1, 2), self.source_norm or self.norm
        asked = self.norm(rows)
        heard = asked if source is x and self.source_norm is None else norm(source.flatten(1, 2))
        rows = rows + self.dropout(self.attention(asked, heard, usable))
        hidden = self.dropout(self.activation(self.wide(self.network_norm(rows))))
        return (rows + self.dropout(self.narrow(hidden))).view(x.shape)


class Stack(nn.Module):
    """G stacks of attention layers with a layer norm at the end, none shared.

    Every layer asks the same source (cross-modal) or, without one, its own input (self-attention).
    """

    def __init__(self, groups: int, features: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(GroupedLayer(groups, features, dropout, attention_dropout=False)
                                    for _ in range(layers))
        self.norm = GroupedNorm(groups, features)

    def forward(self, tokens: Tensor, usable: Tensor, source: Tensor | None = None) -> Tensor:
        """Tokens (G, B, Q, F), source (G, B, K, F), which of its tokens are usable (1 or G, B, K) → (G, B, Q, F).

        Without a source ``usable`` speaks of the tokens themselves (1 or G, B, Q).
        """
        for layer in self.layers:
            tokens = layer(tokens, tokens if source is None else source, usable)
        return self.norm(tokens.flatten(1, 2)).view(tokens.shape)


class Encoder(nn.Module):
    """G transformer encoders of pre-norm layers in one call; tokens attend to present tokens only.

    Parameters
    ----------
    groups, features, layers : int
    dropout : float
    widening : int
        Hidden units of a feed-forward block, as a multiple of F.
    """

    def __init__(self, groups: int, features: int, layers: int, dropout: float, widening: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(GroupedLayer(groups, features, dropout, widening=widening,
                                                 activation=functional.gelu) for _ in range(layers))

    def forward(self, tokens: Tensor, present: Tensor) -> Tensor:
        """Tokens (G, B, T, F), present (G, B, T) bool → (G, B, T, F); zeros for a sequence with no present token."""
        for layer in self.layers:
            tokens = layer(tokens, tokens, present)
        return tokens * present.any(-1)[..., None, None]
