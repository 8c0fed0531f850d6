"""One training epoch of Hi-MoE at its default size: batched expert banks against experts in loops.

``python -m bench.training VARIANT OPTIONS`` runs one variant with JSON options and prints one JSON line.
Sizes are those of params.yaml (``reference``, ``preprocess.usual``, ``profiles.embedded``) with DEAP's channels.
Both share the encoders' code, so what differs is the banks, the fusion and the contrastive loss.

Legend: B sequences, T time steps, M modalities, K modality experts, L emotion experts, F features, H hidden units.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from himoe.core.params import AlignmentParams, ModelParams, TrainingParams, parse
from himoe.core.yaml_files import read_yaml
from himoe.datasets import get_dataset
from himoe.models.batches import Batch, ModalityShape, Task
from himoe.models.methods.base import Spec, emotion_loss
from himoe.models.methods.himoe import HiMoE
from himoe.prepare.features import feature_names

PARAMS = Path(__file__).resolve().parents[1] / "params.yaml"
PRESENT_SHARE = 0.8
MAX_GRADIENT_NORM = 5.0

Losses = dict[str, Tensor]
Net = Any  # HiMoE or PlainHiMoE


def default_spec(dropout: float | None = None, rates: str = "usual") -> tuple[Spec, TrainingParams]:
    """The default model on DEAP's windows (EEGNet and CNNs as front ends), and the default schedule.

    *rates* names the filters of params.yaml (``preprocess``) whose rates the windows have.
    """
    params = read_yaml(PARAMS)
    dataset, length_s = get_dataset("deap"), params["windows"]["length_s"]
    filters = params["preprocess"][rates]  # sensors; FACE has no filter
    sfreqs_hz = {m: filters[m]["sfreq_hz"] for m in dataset.modalities if m in filters}
    shapes = {m: ModalityShape(len(dataset.modalities[m].names), round(length_s * sfreq_hz), float(sfreq_hz))
              for m, sfreq_hz in sfreqs_hz.items()}
    model = parse(ModelParams, {**params["reference"]["model"], "eeg_encoder": "eegnet", "signal_encoder": "cnn"},
                  PARAMS, "reference.model")
    if dropout is not None:
        model = dataclasses.replace(model, dropout=dropout)
    task = Task("regression", dataset.dimensions, dataset.scale, dataset.thresholds)
    alignment = parse(AlignmentParams, params["reference"]["alignment"], PARAMS, "reference.alignment")
    training = parse(TrainingParams, params["profiles"]["embedded"]["training"], PARAMS, "profiles.embedded.training")
    return Spec(shapes, task, model, alignment), training


def as_features(spec: Spec) -> Spec:
    """The same sensors, read as features of windows, as the tables' runs have it."""
    shapes = {m: ModalityShape(len(feature_names(m, s.channels, s.samples, s.sfreq_hz)), 1, s.sfreq_hz)
              for m, s in spec.shapes.items()}
    return dataclasses.replace(spec, shapes=shapes, model=dataclasses.replace(
        spec.model, eeg_encoder="bands", signal_encoder="features"))


def random_batch(spec: Spec, sequences: int, steps: int, generator: torch.Generator) -> Batch:
    """Noise of the right shape; each modality is there with probability ``PRESENT_SHARE``."""
    x = {name: torch.randn(sequences, steps, shape.channels, shape.samples, generator=generator)
         for name, shape in spec.shapes.items()}
    present = torch.rand(sequences, steps, len(x), generator=generator) < PRESENT_SHARE
    y = 5 + torch.randn(sequences, steps, len(spec.task.dimensions), generator=generator)
    codes = torch.arange(sequences)
    return Batch(x, present, y, torch.ones(sequences, steps, dtype=torch.bool), codes, codes)


def _expert(w1_FH: Tensor, b1_H: Tensor, w2_HF: Tensor, b2_F: Tensor) -> nn.Sequential:
    """A two-layer expert with these weights."""
    first, second = nn.Linear(*w1_FH.shape), nn.Linear(*w2_HF.shape)
    with torch.no_grad():
        for target, source in ((first.weight, w1_FH.T), (first.bias, b1_H), (second.weight, w2_HF.T),
                               (second.bias, b2_F)):
            target.copy_(source)
    return nn.Sequential(first, nn.GELU(), second)


class PlainHiMoE(nn.Module):
    """Hi-MoE as its equations read: a module an expert, loops over modalities and experts (Eq. 1–8).

    Takes the weights of *like* (soft routing, scaled dot product, no lags), so outputs can be compared.
    """

    def __init__(self, like: HiMoE) -> None:
        super().__init__()
        bank, emotion = like.modality_bank, like.emotion_bank
        if emotion is None or like.lags is not None or not bank.soft_routing or emotion.similarity != "scaled_dot" \
                or not (bank.residual and emotion.residual and like.fusion.present_only):
            raise ValueError("PlainHiMoE is written for the default method only")
        self.alignment = like.spec.alignment
        self.encoders, self.heads = copy.deepcopy(like.encoders), copy.deepcopy(like.heads)
        n_modalities, n_experts, n_features = bank.gate_weight_MKF.shape
        self.gates = nn.ModuleList(nn.Linear(n_features, n_experts) for _ in range(n_modalities))
        with torch.no_grad():
            gate: Any
            for m, gate in enumerate(self.gates):
                gate.weight.copy_(bank.gate_weight_MKF[m])
                gate.bias.copy_(bank.gate_bias_MK[m])
        self.experts = nn.ModuleList(
            nn.ModuleList(_expert(bank.w1_MKFH[m, k], bank.b1_MKH[m, k], bank.w2_MKHF[m, k], bank.b2_MKF[m, k])
                          for k in range(n_experts)) for m in range(n_modalities))
        self.query_F = nn.Parameter(like.fusion.query_F.detach().clone())
        self.emotion_experts = nn.ModuleList(
            _expert(emotion.w1_LFH[i], emotion.b1_LH[i], emotion.w2_LHF[i], emotion.b2_LF[i])
            for i in range(len(emotion.b1_LH)))

    def encode(self, batch: Batch) -> Tensor:
        """Codes (B, T, M, F), 0 where absent."""
        return self.encoders(batch)

    def decode(self, codes_BTMF: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Losses]:
        """Codes → prediction (B, T, D), raw (B, T, D, Q), the weighted contrastive loss."""
        codes_BTMF = self.encoders.masked(codes_BTMF, batch.present)
        outputs = []
        gate: nn.Module
        experts: Any
        for m, (gate, experts) in enumerate(zip(self.gates, self.experts, strict=True)):
            code_BTF = codes_BTMF[:, :, m]
            weights_BTK = torch.softmax(gate(code_BTF), -1)
            z_BTF = torch.zeros_like(code_BTF)
            for k, expert in enumerate(experts):
                z_BTF = z_BTF + weights_BTK[..., k, None] * (code_BTF + expert(code_BTF))
            outputs.append(z_BTF)
        scores = torch.stack([z @ self.query_F / math.sqrt(z.shape[-1]) for z in outputs], -1)
        silent = ~batch.present & batch.present.any(-1, keepdim=True)
        attention_BTM = torch.softmax(scores.masked_fill(silent, -torch.inf), -1)
        fused_BTF = sum((attention_BTM[..., m, None] * z for m, z in enumerate(outputs)), torch.zeros(()))
        answers = [fused_BTF + expert(fused_BTF) for expert in self.emotion_experts]
        phi = torch.stack([(fused_BTF * y).sum(-1) / math.sqrt(y.shape[-1]) for y in answers], -1)
        beta_BTL = torch.softmax(phi, -1)
        emotion_BTF = sum((beta_BTL[..., i, None] * y for i, y in enumerate(answers)), torch.zeros(()))
        prediction, raw = self.heads(emotion_BTF)
        loss = plain_nt_xent(codes_BTMF, batch.present, self.alignment.temperature)
        return prediction, raw, {"alignment": self.alignment.weight * loss}


def plain_nt_xent(codes_BTMF: Tensor, present_BTM: Tensor, temperature: float) -> Tensor:
    """NT-Xent, one pair of modalities after the other; for each the 2N × 2N cosine similarities and cross-entropy."""
    codes_NMF, present_NM = codes_BTMF.flatten(0, 1), present_BTM.flatten(0, 1)
    losses = []
    for i in range(codes_NMF.shape[1]):
        for j in range(i + 1, codes_NMF.shape[1]):
            rows = present_NM[:, i] & present_NM[:, j]
            n = int(rows.sum())
            if n < 2:
                continue
            unit = functional.normalize(torch.cat([codes_NMF[rows, i], codes_NMF[rows, j]]), dim=-1)
            similarity = unit @ unit.T / temperature
            similarity = similarity.masked_fill(torch.eye(2 * n, dtype=torch.bool), -torch.inf)
            positive = torch.arange(2 * n).roll(n)
            losses.append(functional.cross_entropy(similarity, positive))
    return torch.stack(losses).mean() if losses else codes_BTMF.sum() * 0.0


def _decode(model: Net, codes: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Losses]:
    if isinstance(model, PlainHiMoE):
        return model.decode(codes, batch)
    output = model.decode(codes, batch)
    return output.prediction, output.raw, dict(output.losses)


def total_loss(model: Net, batch: Batch, task: Task, codes: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Prediction (B, T, D) and the sum of the losses (Eq. 8)."""
    codes = model.encode(batch) if codes is None else codes
    prediction, raw, losses = _decode(model, codes, batch)
    return prediction, emotion_loss(raw, batch.y, task, torch.ones(len(task.dimensions))) + sum(losses.values())


def build(variant: str, spec: Spec) -> Net:
    """``ours`` or ``plain``, the same initial weights."""
    torch.manual_seed(0)
    method = HiMoE(spec)
    return (method if variant == "ours" else PlainHiMoE(method)).train()


def epoch(model: str, batches: int, sequences: int | None = None) -> dict[str, Any]:
    """Forward, backward, clipping and Adam over *batches* batches, after one step that is not timed.

    ``banks_ms``: a step of everything behind the encoders alone (forward and backward from fixed codes).
    """
    torch.set_num_threads(1)
    spec, schedule = default_spec()
    generator = torch.Generator().manual_seed(0)
    data = [random_batch(spec, sequences or schedule.batch_sequences, schedule.sequence_length, generator)
            for _ in range(batches)]
    net = build(model, spec)
    optimizer = torch.optim.Adam(net.parameters(), schedule.learning_rate)

    def step(batch: Batch) -> float:
        _, loss = total_loss(net, batch, spec.task)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), MAX_GRADIENT_NORM)
        optimizer.step()
        return float(loss.detach())

    step(data[0])
    start = time.perf_counter()
    loss = sum(step(batch) for batch in data) / batches
    work_s = time.perf_counter() - start
    return {"work_s": work_s, "ms_per_step": 1e3 * work_s / batches, "loss": loss,
            "banks_ms": _banks_ms(net, data, spec.task)}


def _banks_ms(net: Net, data: list[Batch], task: Task) -> float:
    """Milliseconds a step behind the encoders."""
    with torch.no_grad():
        codes = [net.encode(batch) for batch in data]
    total_loss(net, data[0], task, codes[0].requires_grad_())[1].backward()
    start = time.perf_counter()
    for batch, code in zip(data, codes, strict=True):
        total_loss(net, batch, task, code.requires_grad_())[1].backward()
    return 1e3 * (time.perf_counter() - start) / len(data)


def check(sequences: int | None = None) -> dict[str, Any]:
    """Prove that both give the same predictions, losses and gradients (same weights, no dropout)."""
    torch.set_num_threads(1)
    spec, schedule = default_spec(dropout=0.0)
    batch = random_batch(spec, sequences or schedule.batch_sequences, schedule.sequence_length,
                         torch.Generator().manual_seed(0))
    # The loops know no bound on the rows of the contrastive loss.
    spec = dataclasses.replace(spec, alignment=dataclasses.replace(spec.alignment, max_rows=batch.valid.numel()))
    results = []
    for variant in ("ours", "plain"):
        net = build(variant, spec)
        prediction, loss = total_loss(net, batch, spec.task)
        loss.backward()
        gradient = torch.cat([p.grad.flatten() for p in net.encoders.parameters() if p.grad is not None])
        results.append((prediction.detach(), loss.detach(), gradient))
    for mine, reference in zip(*results, strict=True):
        scale = float(reference.abs().max())
        torch.testing.assert_close(mine, reference, atol=1e-4 * scale, rtol=1e-4)
    return {"largest_difference": float((results[0][0] - results[1][0]).abs().max())}


VARIANTS: dict[str, Callable[..., dict[str, Any]]] = {"epoch": epoch, "check": check}

if __name__ == "__main__":
    print(json.dumps(VARIANTS[sys.argv[1]](**json.loads(sys.argv[2]))))
