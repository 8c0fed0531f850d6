"""Hi-MoE: encoders, modality experts, fusion, emotion experts, heads (Eq. 1–8).

Legend: B sequences, T time steps, M modalities, K modality experts, L emotion experts, F features.
"""

from __future__ import annotations

from torch import Tensor

from himoe.models.alignment import LagAligner, nt_xent
from himoe.models.batches import Batch
from himoe.models.encoders import ModalityEncoders, mask_codes
from himoe.models.encoders.people import PersonMaps
from himoe.models.experts import AttentionFusion, EmotionExpertBank, ModalityExpertBank
from himoe.models.methods._times import at_own_times
from himoe.models.methods.base import Heads, Method, Output, Spec
from himoe.models.noise import Noise


class HiMoE(Method):
    """The paper's method.

    Ablations are parameters: ``emotion_experts: 0`` leaves the second bank out, ``soft_routing: false``
    routes to one expert, ``alignment.weight: 0`` drops the contrastive loss (which is computed in training
    mode only), ``residual: false`` takes the experts' skip connection, ``present_only: false`` gives absent modalities
    a say in the fusion. ``person_map: true`` adds a linear map of the codes for every person known from training
    (:class:`himoe.models.encoders.people.PersonMaps`).

    Diagnostics: ``modality_gates`` (B, T, M, K), ``fusion_weights`` (B, T, M), ``emotion_gates`` (B, T, L) if there
    are emotion experts, ``lags_s`` (M,) if lags are learned: then codes are moved to their sensors' own times,
    and by the lags, before anything else sees them, and the contrastive loss (Eq. 1) pairs what happened at one moment
    rather than what stands at one step.
    """

    learns_lags = True

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        model, n_modalities = spec.model, len(spec.modalities)
        self.encoders = ModalityEncoders(spec.shapes, model)
        self.lags = (LagAligner(n_modalities, spec.alignment.max_lag_s, spec.step_s)
                     if spec.alignment.max_lag_s > 0 else None)
        self.modality_bank = ModalityExpertBank(n_modalities, model.modality_experts, model.features,
                                                model.expert_hidden, model.soft_routing, model.residual)
        self.people = PersonMaps(spec.people, n_modalities, model.features) if model.person_map else None
        self.fusion = AttentionFusion(model.features, model.present_only)
        self.emotion_bank = (EmotionExpertBank(model.emotion_experts, model.features, model.expert_hidden,
                                               model.similarity, model.residual) if model.emotion_experts else None)
        self.heads = Heads(model.features, spec.task, spec.model.bounded)
        self.rows = Noise()  # which rows of a large batch take part in the contrastive loss

    def start_lags(self, lags_s: Tensor) -> None:
        """Begin the learned lags at these (M,), in seconds, where there are any."""
        if self.lags is not None:
            self.lags.start(lags_s)

    def encode(self, batch: Batch) -> Tensor:
        """Codes (B, T, M, F), 0 where absent."""
        return self.encoders(batch)

    def decode(self, codes: Tensor, batch: Batch) -> Output:
        """Route, fuse and predict from codes (B, T, M, F)."""
        diagnostics, present_BTM = {}, batch.present
        if self.lags is not None:
            placed, present_BTM = at_own_times(mask_codes(codes, present_BTM), batch, self.spec.step_s)
            codes, present_BTM = self.lags(placed, present_BTM, batch.valid)
            diagnostics["lags_s"] = self.lags.lags_s()
        codes_BTMF = self.encoders.masked(codes, present_BTM)
        if self.people is not None:
            codes_BTMF = self.people(codes_BTMF, batch.subject)
        z_BTMF, diagnostics["modality_gates"] = self.modality_bank(codes_BTMF)
        e_BTF, diagnostics["fusion_weights"] = self.fusion(z_BTMF, present_BTM)
        if self.emotion_bank is not None:
            e_BTF, diagnostics["emotion_gates"] = self.emotion_bank(e_BTF)
        prediction, raw = self.heads(e_BTF)
        losses = self._alignment_loss(codes_BTMF, present_BTM & batch.valid[..., None])
        return Output(prediction, raw, losses, diagnostics)

    def _alignment_loss(self, codes_BTMF: Tensor, present_BTM: Tensor) -> dict[str, Tensor]:
        """The weighted contrastive term of Eq. 8; nothing when it is off or not training."""
        alignment = self.spec.alignment
        if not self.training or alignment.weight == 0:
            return {}
        return {"alignment": alignment.weight * nt_xent(codes_BTMF, present_BTM, alignment.temperature,
                                                          self.rows.uniform, alignment.max_rows)}


METHOD = HiMoE
