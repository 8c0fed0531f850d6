"""MFST-RNN (Li, Liu, Yan, Liu 2023, doi 10.1016/j.bspc.2023.104989): over space, then over time; our implementation.

The paper's: a recurrent pass over space, then one over time, on physiological signals fused early. Our reading: the
shared encoders already mix each modality's channels, so space here means modalities, in the order of the spec; both
passes are bidirectional LSTMs with a layer norm behind them, the spatial one projected to one vector per step.

Legend: B sequences, T time steps, M modalities, F features.
"""

from __future__ import annotations

from torch import Tensor, nn

from himoe.models.batches import Batch
from himoe.models.encoders import ModalityEncoders
from himoe.models.methods._recurrent import BiLSTMLayer
from himoe.models.methods.base import Heads, Method, Output, Spec
from himoe.models.noise import Dropout


class MFSTRNN(Method):
    """A recurrent pass over the modalities of each step, then one over the steps.

    Spatial: a bidirectional LSTM reads the M codes of one step in the order of the spec; its states at all
    modalities are projected to the step's F features. Temporal: a bidirectional LSTM reads the steps; both
    directions' states go to the heads. An absent modality is a zero in the spatial pass, and the temporal
    pass starts and ends where the sequence does, so padding is never read.

    No modality has a part of its own (a set without EEG works the same). With one modality the spatial pass has a
    single step.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        features = spec.model.features
        self.encoders = ModalityEncoders(spec.shapes, spec.model)
        self.spatial = BiLSTMLayer(features, features)
        self.projection = nn.Linear(2 * features * len(spec.modalities), features)
        self.temporal = BiLSTMLayer(features, features)
        self.dropout = Dropout(spec.model.dropout)
        self.heads = Heads(2 * features, spec.task, spec.model.bounded)

    def encode(self, batch: Batch) -> Tensor:
        """Codes (B, T, M, F), 0 where absent."""
        return self.encoders(batch)

    def decode(self, codes: Tensor, batch: Batch) -> Output:
        """Read modalities, then time, from codes (B, T, M, F)."""
        codes_BTMF = self.encoders.masked(codes, batch.present & batch.valid[..., None])
        steps_BTF = self.dropout(self.read_modalities(codes_BTMF))
        return Output(*self.heads(self.dropout(self.temporal(steps_BTF, batch.valid))))

    def read_modalities(self, codes_BTMF: Tensor) -> Tensor:
        """The spatial pass: codes (B, T, M, F) → steps (B, T, F)."""
        states = self.spatial(codes_BTMF.flatten(0, 1))
        return self.projection(states.flatten(1)).unflatten(0, codes_BTMF.shape[:2])


METHOD = MFSTRNN
