"""Cross-modal alignment: the contrastive loss (Eq. 1, 7) and, beyond the paper, learned lags.

Legend: B sequences, T time steps, M modalities, N rows (samples of B·T), F features, G lags.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from himoe.core.errors import bad_input

SAFE_EXPONENT = 80.0  # exp(-80) is still a normal float32
PACE = 20.0  # the lags' logits move this many times faster than other weights: they have far to go
SPREAD = 0.6  # steps; about the narrowest bell whose mean still lies where it is put, also between two windows
MAX_ROWS = 64  # samples that take part in the loss of one batch: its cost grows with their square


def nt_xent(codes_BTMF: Tensor, present_BTM: Tensor, temperature: float,
            draw: Callable[[int], Tensor] = torch.rand, max_rows: int = MAX_ROWS) -> Tensor:
    """NT-Xent over every pair of modalities, averaged over pairs (Eq. 1, 7; Ågren 2022, arXiv:2205.03169).

    For a pair (i, j) the rows are the samples where both are present; codes are scaled to length 1, the
    similarity is ``S = z . z' / temperature``, the positive is the same sample in the other modality, the
    negatives are all other rows of the concatenated batch of 2N. Pairs with fewer than 2 rows are left
    out; with no pair the loss is 0. Time and memory grow with (M·N)²; of more than *max_rows* samples a random
    subset of that many takes part, so beyond it a larger batch costs no more here. ``bench/alignment.py`` measures
    what share of a step that is.

    Parameters
    ----------
    codes_BTMF : Tensor (B, T, M, F)
    present_BTM : Tensor (B, T, M) bool
        False also on padded steps.
    temperature : float
        Below 0.025 the sums run in float64; exact down to about 0.003.
    draw : function
        n → n random numbers in [0, 1); they choose the subset.
    max_rows : int
        The most samples that take part.

    Returns
    -------
    Tensor
        Scalar.
    """
    present_NM, codes_NMF = _some_rows(present_BTM.flatten(0, 1), codes_BTMF.flatten(0, 1), draw, max_rows)
    unit_MNF = functional.normalize(codes_NMF.transpose(0, 1), dim=-1)
    if 2.0 / temperature > SAFE_EXPONENT:
        unit_MNF = unit_MNF.double()
    n_modalities, n_rows = unit_MNF.shape[:2]
    there_MN = present_NM.T.to(unit_MNF.dtype)
    both_MMN = there_MN[:, None] * there_MN
    flat_JF = unit_MNF.flatten(0, 1) / temperature**0.5  # J = M·N
    # As S <= 1/temperature, every exponential of S - 1/temperature is in (0, 1].
    similarity_MNMN = (flat_JF @ flat_JF.T - 1.0 / temperature).view(n_modalities, n_rows, n_modalities, n_rows)
    positive_NMM = similarity_MNMN.diagonal(dim1=1, dim2=3).movedim(-1, 0)
    # The same sample is the row itself in its own modality and the positive in the other: no negative.
    others_NN = 1.0 - torch.eye(n_rows, dtype=unit_MNF.dtype, device=unit_MNF.device)
    weights_MNMN = similarity_MNMN.exp() * others_NN[:, None]
    # For the pair (i, j): row n of i against the rows of j, and against those of i, in which both are present.
    across_MNM = torch.einsum("injk,ijk->inj", weights_MNMN, both_MMN)
    within_MNM = weights_MNMN.diagonal(dim1=0, dim2=2).permute(2, 0, 1) @ both_MMN.transpose(1, 2)
    negatives_NMM = (across_MNM + within_MNM).transpose(0, 1).clamp(min=torch.finfo(unit_MNF.dtype).tiny)
    # -log(p / (p + n)) = log(1 + n / p), for the rows of either modality of the pair
    terms_NMM = functional.softplus(torch.log(negatives_NMM) - positive_NMM)
    counts_MM = both_MMN.sum(-1)
    loss_MM = (terms_NMM.movedim(0, -1) * both_MMN).sum(-1) / counts_MM.clamp(min=1)
    used_MM = (counts_MM >= 2) & ~torch.eye(n_modalities, dtype=torch.bool, device=counts_MM.device)
    loss = torch.where(used_MM, loss_MM, 0.0).sum() / used_MM.sum().clamp(min=1)
    return loss.to(codes_BTMF.dtype)


def _some_rows(present_NM: Tensor, codes_NMF: Tensor, draw: Callable[[int], Tensor],
               max_rows: int) -> tuple[Tensor, Tensor]:
    """At most *max_rows* samples: random ones of those in which a pair is present; random numbers are below 1."""
    if len(present_NM) <= max_rows:
        return present_NM, codes_NMF
    rows = (draw(len(present_NM)) + (present_NM.sum(-1) >= 2)).topk(max_rows).indices
    return present_NM[rows], codes_NMF[rows]


class LagAligner(nn.Module):
    """A learned distribution over lags for each modality, applied to its codes before anything else sees them.

    With p = softmax(logits) over the lags g in −max..+max windows,
    ``z'[t] = sum_g p_g a[t+g] z[t+g] / sum_g p_g a[t+g]``, where a is 1 for a window that is present and
    inside the sequence, so that neither padding nor gaps pull the code to 0. A modality is there at t where windows of
    at least half of the distribution are (they lie at t + lag, not at t); elsewhere its code is 0. A positive lag says
    that the modality answers late.

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
        self.logits_MG = nn.Parameter(torch.empty(modalities, len(lags_G)))
        self.start(torch.zeros(modalities))

    @torch.no_grad()
    def start(self, lags_s: Tensor) -> None:
        """Begin near these lags (M,) in seconds, within reach: a bell of ``SPREAD`` steps around each."""
        place_M = (lags_s.to(self.lags_G) / self.step_s).clamp(-self.reach, self.reach)
        self.logits_MG.copy_(-((self.lags_G - place_M[:, None]) ** 2) / (2 * SPREAD**2) / PACE)

    def shares(self) -> Tensor:
        """The distributions, (M, G)."""
        return torch.softmax(PACE * self.logits_MG, -1)

    def lags_s(self) -> Tensor:
        """Estimated lag of each modality in seconds, (M,): the mean of its distribution."""
        return (self.shares() * self.lags_G).sum(-1) * self.step_s

    def forward(self, codes_BTMF: Tensor, present_BTM: Tensor, valid_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Codes, 0 where absent, what is present, which steps are no padding → aligned codes, and what is there."""
        pad = (self.reach, self.reach)
        codes_BTMFG = functional.pad(codes_BTMF, (0, 0, 0, 0, *pad)).unfold(1, 2 * self.reach + 1, 1)
        present = functional.pad(present_BTM.to(codes_BTMF.dtype), (0, 0, *pad))
        weights_BTMG = self.shares() * present.unfold(1, 2 * self.reach + 1, 1)
        total_BTM = weights_BTMG.sum(-1)
        there_BTM = (total_BTM.detach() >= 0.5 - 1e-6) & valid_BT[..., None]
        share_BTMG = weights_BTMG / torch.where(there_BTM, total_BTM, 1.0)[..., None]
        aligned_BTMF = torch.einsum("btmg,btmfg->btmf", share_BTMG, codes_BTMFG)
        return torch.where(there_BTM[..., None], aligned_BTMF, 0.0), there_BTM
