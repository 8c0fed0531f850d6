"""MulT (Tsai et al. 2019, arXiv 1906.00295, doi 10.18653/v1/P19-1656): directional cross-modal attention; our own.

The paper's (section 3.2): a temporal convolution per modality and a code of time; for each ordered pair a cross-modal
transformer (attention of section 3.1), in whose every layer the target asks the source's first tokens, so that nothing
has to be aligned; per target the concatenation of what all sources gave, a self-attention transformer, its last step;
a residual block over all targets (of the authors' published code) and one answer.

Our reading: norm first and plain residuals, one layer norm for target and source, a network of 4F units (all as in the
published code; the paper's equation adds the normed values); 2 cross-modal and 2 self-attention layers (4 or 5, and
3); the code of time is that of the window's own time in steps; a target's concatenation of (M - 1) F features is first
mapped to F, else the self-attention of seven modalities would cost more than all the rest; no causal mask; 0.4 of the
model's dropout and none of attention weights; an answer at each step from every target's token there. The paper knows
no missing modality: here what is absent is attended to by nobody, and its tokens are the code of time alone.

Legend: B sequences, T time steps, M modalities, F features, P ordered pairs of modalities.
"""

from __future__ import annotations

from torch import Tensor, nn

from himoe.models.batches import Batch
from himoe.models.encoders import ModalityEncoders
from himoe.models.methods._attention import GroupedLinear, Stack
from himoe.models.methods._joint import JointBlock
from himoe.models.methods._times import with_own_times
from himoe.models.methods.base import Heads, Method, Output, Spec

CONV_STEPS = 3
CROSS_LAYERS = 2
SELF_LAYERS = 2
DROPOUT_SHARE = 0.4  # of the model's dropout, in each of 4 layers: the authors' 0.1 where that is 0.25


class MulT(Method):
    """Each modality is told by each other one, directly and at any distance in time.

    With one modality there is no pair: its own tokens go to its self-attention transformer.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        features, n, dropout = spec.model.features, len(spec.modalities), DROPOUT_SHARE * spec.model.dropout
        self.encoders = ModalityEncoders(spec.shapes, spec.model)
        self.convolution = nn.Conv1d(n * features, n * features, CONV_STEPS, padding="same", groups=n, bias=False)
        self.targets = [i for i in range(n) for j in range(n) if j != i]
        self.sources = [j for i in range(n) for j in range(n) if j != i]
        self.cross_modal = Stack(n * (n - 1), features, CROSS_LAYERS, dropout) if n > 1 else None
        self.narrow = GroupedLinear(n, (n - 1) * features, features) if n > 1 else None
        self.self_attention = Stack(n, features, SELF_LAYERS, dropout)
        self.joint = JointBlock(n, features, dropout)
        self.heads = Heads(self.joint.width, spec.task, spec.model.bounded)

    def encode(self, batch: Batch) -> Tensor:
        """Codes (B, T, M, F), 0 where absent."""
        return self.encoders(batch)

    def decode(self, codes: Tensor, batch: Batch) -> Output:
        """Attend from modality to modality, then within each, from codes (B, T, M, F)."""
        codes_BTMF = self.encoders.masked(codes, batch.present)
        tokens_MBTF = with_own_times(self.convolved(codes_BTMF), batch, self.spec.step_s).movedim(2, 0)
        present_MBT = batch.present.movedim(-1, 0)
        if self.cross_modal is not None and self.narrow is not None:
            told_PBTF = self.cross_modal(tokens_MBTF[self.targets], present_MBT[self.sources],
                                         tokens_MBTF[self.sources])
            tokens_MBTF = self.concatenated(told_PBTF)
            present_MBT = batch.present.any(-1).expand_as(present_MBT)  # a target holds what any source told it
        fused_MBTF = self.self_attention(tokens_MBTF, present_MBT)
        return Output(*self.heads(self.joint(fused_MBTF.movedim(0, 2))))

    def convolved(self, codes_BTMF: Tensor) -> Tensor:
        """Convolve each modality's codes over time: (B, T, M, F) → (B, T, M, F)."""
        rows = codes_BTMF.permute(0, 2, 3, 1)
        return self.convolution(rows.flatten(1, 2)).unflatten(1, rows.shape[1:3]).permute(0, 3, 1, 2)

    def concatenated(self, told_PBTF: Tensor) -> Tensor:
        """What each target was told by all others, in their order, as F features: (P, B, T, F) → (M, B, T, F)."""
        assert self.narrow is not None
        told = told_PBTF.unflatten(0, (len(self.spec.modalities), -1)).movedim(1, 3)
        return self.narrow(told.flatten(3).flatten(1, 2)).unflatten(1, told_PBTF.shape[1:3])


METHOD = MulT
