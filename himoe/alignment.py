"""Cross-modal alignment: the contrastive loss (Eq. 1, 7) and, beyond the paper, learned lags.

Legend: B sequences, T time steps, M modalities, N rows (samples of B·T), F features, G lags.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from himoe.errors import bad_input


def nt_xent(codes_BTMF: Tensor, present_BTM: Tensor, temperature: float) -> Tensor:
    """NT-Xent over every pair of modalities, averaged over pairs (Eq. 1, 7; Ågren 2022, arXiv:2205.03169).

    For a pair (i, j) the rows are the samples where both are present; codes are scaled to length 1, the
    similarity is ``S = z . z' / temperature``, the positive is the same sample in the other modality, the
    negatives are all other rows of the concatenated batch of 2N. Pairs with fewer than 2 rows are left
    out; with no pair the loss is 0. Time and memory grow with (M·N)².

    Parameters
    ----------
    codes_BTMF : Tensor (B, T, M, F)
    present_BTM : Tensor (B, T, M) bool
        False also on padded steps.
    temperature : float
        Below about 0.03 (float32) negatives of the same modality far below the nearest one count as 0.

    Returns
    -------
    Tensor
        Scalar.
    """
    present_NM = present_BTM.flatten(0, 1)
    rows = (present_NM.sum(-1) >= 2).nonzero().squeeze(1)
    present_MN = present_NM[rows].T
    both_MMN = present_MN[:, None] & present_MN[None]
    counts_MM = both_MMN.sum(-1)
    modalities = torch.arange(len(counts_MM), device=counts_MM.device)
    pairs_MM = (counts_MM >= 2) & (modalities[:, None] != modalities)
    if not pairs_MM.any():
        return codes_BTMF.sum() * 0.0
    unit_MNF = functional.normalize(codes_BTMF.flatten(0, 1)[rows].transpose(0, 1), dim=-1)
    similarity_MMNN = torch.einsum("inf,jsf->ijns", unit_MNF, unit_MNF) / temperature
    positive_MMN = similarity_MMNN.diagonal(dim1=-2, dim2=-1)
    other_MMN = _masked_logsumexp(similarity_MMNN, both_MMN[:, :, None])
    same_MMN = _same_modality(similarity_MMNN.diagonal(dim1=0, dim2=1).permute(2, 0, 1), present_MN, both_MMN)
    terms_MMN = torch.logaddexp(other_MMN, same_MMN) - positive_MMN
    loss_MM = torch.where(both_MMN, terms_MMN, 0.0).sum(-1) / counts_MM.clamp(min=1)
    # Both directions of a pair are among the ordered pairs: their mean is Eq. 7's 1/(2N) sum.
    return loss_MM[pairs_MM].mean()


def _masked_logsumexp(x: Tensor, keep: Tensor) -> Tensor:
    """Log-sum-exp of *x* over the last axis where *keep*; a very low number where nothing is kept."""
    return torch.logsumexp(x.masked_fill(~keep, torch.finfo(x.dtype).min / 4), -1)


def _same_modality(similarity_MNN: Tensor, present_MN: Tensor, both_MMN: Tensor) -> Tensor:
    """Log-sum-exp over each row's negatives in its own modality, for every partner: (M, M, N).

    The exponentials are taken once a modality and summed for all partners in one product.
    """
    rows = present_MN.shape[1]
    others = ~torch.eye(rows, dtype=torch.bool, device=present_MN.device)
    keep_MNN = others & present_MN[:, None]
    scores_MNN = similarity_MNN.masked_fill(~keep_MNN, torch.finfo(similarity_MNN.dtype).min / 4)
    shift_MN1 = scores_MNN.detach().amax(-1, keepdim=True)
    weights_MNN = torch.where(keep_MNN, torch.exp(scores_MNN - shift_MN1), 0.0)
    sums_MMN = torch.einsum("ins,ijs->ijn", weights_MNN, both_MMN.to(weights_MNN.dtype))
    tiny = torch.finfo(sums_MMN.dtype).tiny
    return torch.log(sums_MMN.clamp(min=tiny)) + shift_MN1[:, None, :, 0]


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
