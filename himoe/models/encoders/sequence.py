"""Context in time for each modality's codes (the paper's appendix writes encoders as sequence to sequence).

Legend: B sequences, T time steps (S as a source), M modalities, F features, H heads, E = F/H features per head,
G relative times.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from himoe.models.noise import Dropout

REACH = 8  # time steps to either side that have a weight of their own; what is further away shares the last one
HEADS = 4
WIDTHS = (0.5, 2.0, 8.0, math.inf)  # time constants of the heads' first kernels, in steps; the last is the mean
SMALLEST = 1e-30  # of a sum of weights: where nothing is present the code stays 0
PACE = 10.0  # the kernels' logits move this many times faster than other weights: they have far to go


class SequenceContext(nn.Module):
    """A learned kernel over time per modality and head, over the steps that are present, added to the codes.

    ``x'[t] = x[t] + W concat_h(sum_g p_hg a[t+g] x_h[t+g] / sum_g p_hg a[t+g])`` with p = softmax of a logit per
    relative time g in steps (clipped to -8..8) and a = 1 where the modality is present. A kernel may smooth, bridge a
    gap and look ahead: a modality that answers late is read late. All is 0 where a sequence holds nothing of it.
    """

    def __init__(self, modalities: int, features: int, dropout: float) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.heads = HEADS if features % HEADS == 0 else 1
        distance = torch.arange(-REACH, REACH + 1).abs()
        start = torch.stack([-distance / width for width in WIDTHS[:self.heads]])
        self.logits_MHG = nn.Parameter(start.repeat(modalities, 1, 1) / PACE)
        bound = 1.0 / math.sqrt(features)
        self.out_MFF = nn.Parameter(torch.empty(modalities, features, features).uniform_(-bound, bound))

    def forward(self, codes_BTMF: Tensor, present_BTM: Tensor) -> Tensor:
        """Codes, 0 where absent, and what is present → codes that know their neighbours, also where absent."""
        logits_MHG = PACE * self.logits_MHG
        share_MHG = torch.exp(logits_MHG - logits_MHG.detach().amax(-1, keepdim=True))
        share_MHTS = (share_MHG @ self._places(codes_BTMF)).unflatten(-1, (codes_BTMF.shape[1], -1))
        present_BMS = present_BTM.transpose(1, 2).to(codes_BTMF.dtype)
        total_BMHT = torch.einsum("mhts,bms->bmht", share_MHTS, present_BMS).clamp(min=SMALLEST)
        heads_BSMHE = codes_BTMF.unflatten(-1, (self.heads, -1))
        mixed_BMHTE = torch.einsum("mhts,bsmhe->bmhte", share_MHTS, heads_BSMHE) / total_BMHT[..., None]
        mixed_BTMF = mixed_BMHTE.permute(0, 3, 1, 2, 4).flatten(-2)
        return codes_BTMF + torch.einsum("btmf,mfg->btmg", self.dropout(mixed_BTMF), self.out_MFF)

    @staticmethod
    def _places(codes_BTMF: Tensor) -> Tensor:
        """(G, T·S), 1 where the source's time relative to the step is the kernel's g (the ends hold all beyond)."""
        step = torch.arange(codes_BTMF.shape[1], device=codes_BTMF.device)
        relative_TS = (step[None, :] - step[:, None]).clamp(-REACH, REACH) + REACH
        return functional.one_hot(relative_TS.flatten(), 2 * REACH + 1).T.to(codes_BTMF.dtype)
