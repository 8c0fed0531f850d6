"""MFST-RNN (Li, Liu, Yan, Liu 2023, doi 10.1016/j.bspc.2023.104989): over space, then over time; our implementation.

Legend: B sequences, T time steps, M modalities, F features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from himoe.batches import Batch
from himoe.encoders import ModalityEncoders, mask_codes
from himoe.methods.base import Heads, Method, Output, Spec


class MFSTRNN(Method):
    """A recurrent pass over the modalities of each step, then one over the steps.

    Spatial: a bidirectional LSTM reads the M codes of one step in the order of the spec; its states at all
    modalities are projected to the step's F features. Temporal: a bidirectional LSTM reads the steps; both
    directions' states go to the heads. An absent modality is a zero in the spatial pass, and the temporal
    pass starts and ends where the sequence does, so padding is never read.

    The shared encoders already mix each modality's channels, so space here means modalities; none has a part
    of its own (a set without EEG works the same). With one modality the spatial pass has a single step.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        features = spec.model.features
        self.encoders = ModalityEncoders(spec.shapes, spec.model)
        self.spatial = nn.LSTM(features, features, batch_first=True, bidirectional=True)
        self.projection = nn.Linear(2 * features * len(spec.modalities), features)
        self.temporal = nn.LSTM(features, features, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(spec.model.dropout)
        self.heads = Heads(2 * features, spec.task)

    def encode(self, batch: Batch) -> Tensor:
        """Codes (B, T, M, F), 0 where absent."""
        return self.encoders(batch)

    def decode(self, codes: Tensor, batch: Batch) -> Output:
        """Read modalities, then time, from codes (B, T, M, F)."""
        codes_BTMF = mask_codes(codes, batch.present & batch.valid[..., None])
        steps_BTF = self.dropout(self.read_modalities(codes_BTMF))
        return Output(*self.heads(self.dropout(self.read_time(steps_BTF, batch.valid))))

    def read_modalities(self, codes_BTMF: Tensor) -> Tensor:
        """The spatial pass: codes (B, T, M, F) → steps (B, T, F)."""
        states, _ = self.spatial(codes_BTMF.flatten(0, 1))
        return self.projection(states.flatten(1)).unflatten(0, codes_BTMF.shape[:2])

    def read_time(self, steps_BTF: Tensor, valid_BT: Tensor) -> Tensor:
        """The temporal pass: steps (B, T, F) → states (B, T, 2F), 0 behind the last valid step."""
        if valid_BT.all():
            return self.temporal(steps_BTF)[0]
        n_steps = valid_BT.shape[1]
        numbers_T = torch.arange(1, n_steps + 1, device=valid_BT.device)
        # A sequence of padding only still needs one step to be packed.
        lengths_B = (valid_BT * numbers_T).amax(1).clamp(min=1)
        packed = pack_padded_sequence(steps_BTF, lengths_B.cpu(), batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.temporal(packed)[0], batch_first=True, total_length=n_steps)
        return states


METHOD = MFSTRNN
