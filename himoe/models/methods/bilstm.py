"""Bidirectional LSTM with temporal attention (Zhao & Chen 2021, doi 10.1155/2021/9967592); our implementation.

The paper's: EEG and facial expression; attention over the time steps of each modality; features joined, then a
three-layer bidirectional LSTM. Our reading: any set of modalities is concatenated, one too; an answer is due at every
step, so the attention does not sum the steps up but scales them; a layer norm behind every LSTM layer, which the
paper does not mention, carries the signal through three of them.

Legend: B sequences, T time steps, M modalities, F features, A attention units.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from himoe.models.batches import Batch
from himoe.models.encoders import ModalityEncoders
from himoe.models.methods._recurrent import BiLSTMLayer
from himoe.models.methods.base import Heads, Method, Output, Spec
from himoe.models.noise import Dropout

LAYERS = 3


class TemporalAttention(nn.Module):
    """How much each time step counts within its own modality (additive attention).

    ``a_mt = softmax_t(v_m . tanh(W_m z_mt + b_m))`` over the steps where modality m is present.
    """

    def __init__(self, modalities: int, features: int) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(features)
        self.weight_MFA = nn.Parameter(torch.empty(modalities, features, features).uniform_(-bound, bound))
        self.bias_MA = nn.Parameter(torch.zeros(modalities, features))
        self.query_MA = nn.Parameter(torch.empty(modalities, features).uniform_(-bound, bound))

    def forward(self, codes: Tensor, present: Tensor) -> Tensor:
        """Codes (B, T, M, F), present (B, T, M) bool → weights (B, T, M): sum 1 over present steps, 0 elsewhere."""
        hidden_BTMA = torch.tanh(torch.einsum("btmf,mfa->btma", codes, self.weight_MFA) + self.bias_MA)
        scores_BTM = torch.einsum("btma,ma->btm", hidden_BTMA, self.query_MA)
        # A finite floor: where no step is present, softmax stays finite and the mask below gives zeros.
        scores_BTM = scores_BTM.masked_fill(~present, torch.finfo(scores_BTM.dtype).min)
        return torch.softmax(scores_BTM, 1) * present


class BiLSTM(Method):
    """Temporal attention in each modality, features concatenated step by step, three-layer bidirectional LSTM.

    The attention scales each step's code by its weight times the number of present steps (equal weights leave the
    codes as they are). Absent steps enter the LSTM as zeros; padding at a sequence's end does not enter it at all, so
    the backward pass starts at the last valid step. Dropout between the LSTM's layers. Diagnostics:
    ``temporal_attention`` (B, T, M).
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        features, n_modalities = spec.model.features, len(spec.modalities)
        self.encoders = ModalityEncoders(spec.shapes, spec.model)
        self.attention = TemporalAttention(n_modalities, features)
        inputs = [n_modalities * features] + [2 * features] * (LAYERS - 1)
        self.recurrent = nn.ModuleList(BiLSTMLayer(n_inputs, features) for n_inputs in inputs)
        self.dropout = Dropout(spec.model.dropout)
        self.heads = Heads(2 * features, spec.task, spec.model.bounded)

    def encode(self, batch: Batch) -> Tensor:
        """Codes (B, T, M, F), 0 where absent."""
        return self.encoders(batch)

    def decode(self, codes: Tensor, batch: Batch) -> Output:
        """Weigh the steps, concatenate, run the LSTM and predict from codes (B, T, M, F)."""
        codes_BTMF = self.encoders.masked(codes, batch.present)
        weights_BTM = self.attention(codes_BTMF, batch.present)
        gain_BTM = weights_BTM * batch.present.sum(1, keepdim=True)
        states = self.recurrent[0](torch.flatten(codes_BTMF * gain_BTM[..., None], 2), batch.valid)
        for layer in self.recurrent[1:]:
            states = layer(self.dropout(states), batch.valid)
        prediction, raw = self.heads(states)
        return Output(prediction, raw, diagnostics={"temporal_attention": weights_BTM})


METHOD = BiLSTM
