"""Cross-modal alignment: the contrastive loss (Eq. 1, 7) and, beyond the paper, learned lags.

Legend: B sequences, T time steps, M modalities, N rows (samples of B·T), P pairs, F features, G lags.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from himoe.errors import bad_input

SAFE_EXPONENT = 80.0  # exp(-80) is still a normal float32
MAX_ROWS = 128  # samples that take part in the loss of one batch: its cost grows with their square


def nt_xent(codes_BTMF: Tensor, present_BTM: Tensor, temperature: float) -> Tensor:
    """NT-Xent over every pair of modalities, averaged over pairs (Eq. 1, 7; Ågren 2022, arXiv:2205.03169).

    For a pair (i, j) the rows are the samples where both are present; codes are scaled to length 1, the
    similarity is ``S = z . z' / temperature``, the positive is the same sample in the other modality, the
    negatives are all other rows of the concatenated batch of 2N. Pairs with fewer than 2 rows are left
    out; with no pair the loss is 0. Time and memory grow with (M·N)²; of more than ``MAX_ROWS`` samples a random
    subset of that many takes part.

    Parameters
    ----------
    codes_BTMF : Tensor (B, T, M, F)
    present_BTM : Tensor (B, T, M) bool
        False also on padded steps.
    temperature : float
        Below 0.025 the sums run in float64; exact down to about 0.003.

    Returns
    -------
    Tensor
        Scalar.
    """
    present_NM = present_BTM.flatten(0, 1)
    rows = (present_NM.sum(-1) >= 2).nonzero().squeeze(1)
    if len(rows) > MAX_ROWS:
        rows = rows[torch.randperm(len(rows), device=rows.device)[:MAX_ROWS]]
    present_MN = present_NM[rows].T
    both_MMN = present_MN[:, None] & present_MN[None]
    first, second = torch.triu_indices(present_MN.shape[0], present_MN.shape[0], device=rows.device)
    keep_PN = both_MMN[first, second]
    counts_P = keep_PN.sum(-1)
    used_P = (counts_P >= 2) & (first != second)
    if not used_P.any():
        return codes_BTMF.sum() * 0.0
    unit_MNF = functional.normalize(codes_BTMF.flatten(0, 1)[rows].transpose(0, 1), dim=-1)
    if 2.0 / temperature > SAFE_EXPONENT:
        unit_MNF = unit_MNF.double()
    negatives_2PN = _negatives(unit_MNF, keep_PN, first, second, temperature)
    positive_PN = ((unit_MNF[first] * unit_MNF[second]).sum(-1) - 1.0) / temperature
    # -log(p / (p + n)) = log(1 + n / p), for the rows of either modality of the pair
    terms_PN = functional.softplus(torch.log(negatives_2PN) - positive_PN).mean(0)
    loss_P = torch.where(keep_PN, terms_PN, 0.0).sum(-1) / counts_P.clamp(min=1)
    return loss_P[used_P].mean().to(codes_BTMF.dtype)


def _negatives(unit_MNF: Tensor, keep_PN: Tensor, first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Sum of exp(S - 1/temperature) over each row's negatives: (2, P, N), the pair's first and second modality.

    P runs over pairs *first* <= *second*, a modality with itself included. As S <= 1/temperature, every
    exponential is in (0, 1], so each is computed once and serves all sums it is part of.
    """
    scaled_MNF = unit_MNF / temperature**0.5
    own = torch.eye(unit_MNF.shape[1], dtype=torch.bool, device=unit_MNF.device)
    similarity_PNN = scaled_MNF[first] @ scaled_MNF[second].mT
    # The same sample is the row itself in its own modality and the positive in the other: no negative.
    weights_PNN = similarity_PNN.sub_(1.0 / temperature).masked_fill_(own, -torch.inf).exp_()
    keep_PN1 = keep_PN.to(weights_PNN.dtype)[..., None]
    across_2PN = torch.stack([(weights_PNN @ keep_PN1)[..., 0], (weights_PNN.mT @ keep_PN1)[..., 0]])
    # Negatives of the row's own modality, for every pair: (M, N, N) with (M, N, P) gives (M, N, P).
    within_MNP = weights_PNN[first == second] @ keep_PN1[..., 0].T
    pairs = torch.arange(len(first), device=first.device)
    within_2PN = torch.stack([within_MNP[first, :, pairs], within_MNP[second, :, pairs]])
    return (across_2PN + within_2PN).clamp(min=torch.finfo(weights_PNN.dtype).tiny)


class LagAligner(nn.Module):
    """A learned distribution over lags for each modality, applied to its codes.

    With p = softmax(logits) over the lags g in −max..+max windows,
    ``z'[t] = sum_g p_g a[t+g] z[t+g] / sum_g p_g a[t+g]``, where a is 1 for a window that is present and
    inside the sequence, so that neither padding nor gaps pull the code to 0. A modality absent at t stays
    absent at t (code 0). A positive lag says that the modality answers late.

    Parameters
    ----------
    modalities : int
    max_lag_s, step_s : float
        Largest lag and time between windows, in seconds.

    Raises
    ------
    InputError
        If the largest lag is shorter than one step: nothing could be learned.
    """

    lags_G: Tensor

    def __init__(self, modalities: int, max_lag_s: float, step_s: float) -> None:
        super().__init__()
        self.reach = int(max_lag_s / step_s + 1e-9)
        if self.reach < 1:
            raise bad_input("alignment.max_lag_s", f"{max_lag_s} s", f"at least one window step ({step_s} s)",
                            "raise it, or set it to 0 to switch lags off")
        self.step_s = step_s
        lags_G = torch.arange(-self.reach, self.reach + 1, dtype=torch.get_default_dtype())
        self.register_buffer("lags_G", lags_G, persistent=False)
        # Starts near lag 0, where the signals would be without any delay.
        self.logits_MG = nn.Parameter((-lags_G.abs()).repeat(modalities, 1))

    def lags_s(self) -> Tensor:
        """Estimated lag of each modality in seconds, (M,): the mean of its distribution."""
        return (torch.softmax(self.logits_MG, -1) * self.lags_G).sum(-1) * self.step_s

    def forward(self, codes_BTMF: Tensor, present_BTM: Tensor) -> Tensor:
        """Codes (B, T, M, F), 0 where absent → aligned codes (B, T, M, F), 0 where absent."""
        pad = (self.reach, self.reach)
        codes_BTMFG = functional.pad(codes_BTMF, (0, 0, 0, 0, *pad)).unfold(1, 2 * self.reach + 1, 1)
        present = functional.pad(present_BTM.to(codes_BTMF.dtype), (0, 0, *pad))
        weights_BTMG = torch.softmax(self.logits_MG, -1) * present.unfold(1, 2 * self.reach + 1, 1)
        total_BTM1 = weights_BTMG.sum(-1, keepdim=True)
        share_BTMG = weights_BTMG / torch.where(present_BTM[..., None], total_BTM1, 1.0)
        aligned_BTMF = torch.einsum("btmg,btmfg->btmf", share_BTMG, codes_BTMFG)
        return torch.where(present_BTM[..., None], aligned_BTMF, 0.0)
