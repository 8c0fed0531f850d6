"""LSTMs shared by the recurrent methods, run in groups; padding is never read.

A group is an LSTM with weights of its own; groups of equal shape run in one call.

Legend: G groups, B sequences, T time steps, I inputs, H hidden units.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from himoe.models.methods._attention import GroupedLinear

NORM_FLOOR = 1e-2  # added to a state's variance (about 0.02 at the start): a state near 0 is not blown up


class GroupedLSTM(nn.Module):
    """G LSTMs in one call (Hochreiter & Schmidhuber 1997, doi 10.1162/neco.1997.9.8.1735).

    Gates in the order write, keep, show, new. Weights are drawn as ``nn.Linear`` draws its own, biases start at 0 but
    for the keep gate's at 1 (Jozefowicz et al. 2015): at the start, states differ by their inputs alone. They are
    layer-normed on their way out (Ba et al. 2016, arXiv:1607.06450), without parameters: a state's SD is about a
    seventh of its input's, and three layers without a norm would leave a fortieth of the signal.
    """

    def __init__(self, groups: int, inputs: int, hidden: int) -> None:
        super().__init__()
        bound = hidden**-0.5
        self.inputs = GroupedLinear(groups, inputs, 4 * hidden)
        self.recurrent = nn.Parameter(torch.empty(groups, hidden, 4 * hidden).uniform_(-bound, bound))
        assert self.inputs.bias is not None
        with torch.no_grad():
            self.inputs.bias.zero_()[..., hidden:2 * hidden] = 1.0

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """Inputs (G, B, T, I), valid (1 or G, B, T) bool → normed states (G, B, T, H).

        The state is 0 wherever a step is not valid, so a sequence may be padded at either end.
        """
        states = torch.stack(self.states(x, valid), 2)
        return functional.layer_norm(states, states.shape[-1:], eps=NORM_FLOOR)

    def states(self, x: Tensor, valid: Tensor | None = None) -> list[Tensor]:
        """The states (G, B, H) of every step, before the norm."""
        parts = self.inputs(x.flatten(1, 2)).unflatten(1, x.shape[1:3]).unbind(2)
        states: list[Tensor] = []
        hidden = cell = x.new_zeros(len(x), x.shape[1], self.recurrent.shape[1])
        for step, part in enumerate(parts):
            write, keep, show, new = torch.baddbmm(part, hidden, self.recurrent).chunk(4, -1)
            cell = torch.sigmoid(keep) * cell + torch.sigmoid(write) * torch.tanh(new)
            if valid is not None:
                cell = cell * valid[:, :, step, None]
            hidden = torch.sigmoid(show) * torch.tanh(cell)
            states.append(hidden)
        return states


class BiLSTMLayer(nn.Module):
    """One bidirectional layer: (B, T, I) → (B, T, 2H), the forward states first."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.lstm = GroupedLSTM(2, inputs, hidden)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """Inputs (B, T, I), valid (B, T) bool → normed states; each direction starts at its end's first valid step."""
        both = None if valid is None else torch.stack([valid, valid.flip(1)])
        ahead, back = self.lstm(torch.stack([x, x.flip(1)]), both)
        return torch.cat([ahead, back.flip(1)], -1)
