"""Late fusion of one LSTM a modality (Tang, Liu, Zheng, Lu 2017, ICONIP, pp. 811–819); our implementation.

Legend: B sequences, T time steps, M modalities, F features, D dimensions, Q outputs a dimension.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from himoe.batches import Batch
from himoe.encoders import ModalityEncoders, mask_codes
from himoe.methods.base import Heads, Method, Output, Spec, class_prediction


class LateFusion(Method):
    """One LSTM and one set of heads a modality; their decisions are averaged over present modalities.

    An absent step feeds zeros to its LSTM and has no say in the average; where every modality is absent
    all decide from what they remember. Ratings are averaged as they are, classes as probabilities.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        features = spec.model.features
        self.encoders = ModalityEncoders(spec.shapes, spec.model)
        self.recurrent = nn.ModuleList(nn.LSTM(features, features, batch_first=True) for _ in spec.modalities)
        self.heads = nn.ModuleList(Heads(features, spec.task) for _ in spec.modalities)

    def encode(self, batch: Batch) -> Tensor:
        """Codes (B, T, M, F), 0 where absent."""
        return self.encoders(batch)

    def decode(self, codes: Tensor, batch: Batch) -> Output:
        """Average the modalities' decisions from codes (B, T, M, F)."""
        codes_BTMF = mask_codes(codes, batch.present)
        decisions = [heads(recurrent(codes_BTMF[:, :, m])[0])[1]
                     for m, (recurrent, heads) in enumerate(zip(self.recurrent, self.heads, strict=True))]
        raw_BTMDQ = torch.stack(decisions, 2)
        absent_BT1 = ~batch.present.any(-1, keepdim=True)
        votes_BTM = (batch.present | absent_BT1).to(raw_BTMDQ.dtype)
        share_BTM = votes_BTM / votes_BTM.sum(-1, keepdim=True)
        if self.spec.task.kind == "regression":
            raw_BTDQ = torch.einsum("btm,btmdq->btdq", share_BTM, raw_BTMDQ)
            return Output(raw_BTDQ[..., 0], raw_BTDQ)
        # Log of the mean probability: softmax of it gives that mean back, and cross-entropy is exact.
        log_probability = torch.log_softmax(raw_BTMDQ, -1) + share_BTM.log()[..., None, None]
        raw_BTDQ = torch.logsumexp(log_probability, 2)
        return Output(raw_BTDQ[..., 1].exp() if raw_BTDQ.shape[-1] == 2 else class_prediction(raw_BTDQ), raw_BTDQ)


METHOD = LateFusion
