"""Context in time for each modality's codes (the paper's appendix writes encoders as sequence to sequence).

Legend: B sequences, T time steps (S as a source), M modalities, F features, H heads, E = F/H features per head,
G relative times.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

REACH = 8  # time steps to either side that have a weight of their own; what is further away shares the last one
HEADS = 4
WIDTHS = (0.5, 2.0, 8.0, math.inf)  # time constants of the heads' first kernels, in steps; the last is the mean
PACE = 10.0  # the kernels' logits move this many times faster than other weights: they have far to go


class SequenceContext(nn.Module):
    """A learned kernel over time per modality and head, over the steps that are present, added to the codes.

    ``x'[t] = x[t] + W concat_h(sum_g p_hg a[t+g] x_h[t+g] / sum_g p_hg a[t+g])`` with p = softmax of a logit per
    relative time g in steps (clipped to -8..8) and a = 1 where the modality is present. A kernel may smooth, bridge a
    gap and look ahead: a modality that answers late is read late. All is 0 where a sequence holds nothing of it.
    """

    def __init__(self, modalities: int, features: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.heads = HEADS if features % HEADS == 0 else 1
        distance = torch.arange(-REACH, REACH + 1).abs()
        start = torch.stack([-distance / width for width in WIDTHS[:self.heads]])
        self.logits_MHG = nn.Parameter(start.repeat(modalities, 1, 1) / PACE)
        bound = 1.0 / math.sqrt(features)
        self.out_MFF = nn.Parameter(torch.empty(modalities, features, features).uniform_(-bound, bound))

    def forward(self, codes_BTMF: Tensor, present_BTM: Tensor) -> Tensor:
        """Codes, 0 where absent, and what is present → codes that know their neighbours, also where absent."""
        n_steps = codes_BTMF.shape[1]
        step = torch.arange(n_steps, device=codes_BTMF.device)
        relative_TS = step[None, :] - step[:, None]
        logits_MHTS = (PACE * self.logits_MHG)[:, :, (relative_TS.clamp(-REACH, REACH) + REACH)]
        usable_BMTS = present_BTM.transpose(1, 2)[:, :, None].expand(-1, -1, n_steps, -1)
        some_BMT1 = usable_BMTS.any(-1, keepdim=True)
        scores_BMHTS = logits_MHTS.masked_fill(~(usable_BMTS | ~some_BMT1)[:, :, None], -torch.inf)
        weights_BMHTS = torch.softmax(scores_BMHTS, -1) * some_BMT1[:, :, None]
        heads_BTMHE = codes_BTMF.unflatten(-1, (self.heads, -1))
        mixed_BTMHE = torch.einsum("bmhts,bsmhe->btmhe", weights_BMHTS, heads_BTMHE)
        return codes_BTMF + torch.einsum("btmf,mfg->btmg", self.dropout(mixed_BTMHE.flatten(-2)), self.out_MFF)
