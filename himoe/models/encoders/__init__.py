"""Which encoder serves which modality, and the encoding of present windows only.

Legend: B sequences, T time steps, M modalities, n windows, C channels, W samples per window, F features,
A action units.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from himoe.core.errors import bad_input
from himoe.core.params import BRAINDECODE, ModelParams
from himoe.core.recordings import check_modality
from himoe.models.batches import Batch, ModalityShape
from himoe.models.encoders.action_units import AU_NAMES
from himoe.models.encoders.braindecode import BraindecodeEncoder
from himoe.models.encoders.eegnet import EEGNet
from himoe.models.encoders.face import FaceEncoder
from himoe.models.encoders.features import FeatureEncoder
from himoe.models.encoders.packing import pack, unpack
from himoe.models.encoders.power import PowerNet
from himoe.models.encoders.sequence import SequenceContext
from himoe.models.encoders.small import MIN_CNN_SAMPLES, SmallCNN, WindowMLP

EncoderClass = Callable[[ModalityShape, ModelParams], nn.Module]

MIN_EEGNET_SAMPLES = 32

EEG_FRONT_ENDS: dict[str, tuple[EncoderClass, int]] = {
    "eegnet": (EEGNet, MIN_EEGNET_SAMPLES),
    "power": (PowerNet, MIN_EEGNET_SAMPLES),
    "bands": (FeatureEncoder, 1),
}
SIGNAL_FRONT_ENDS: dict[str, tuple[EncoderClass, int]] = {
    "cnn": (SmallCNN, MIN_CNN_SAMPLES),
    "features": (FeatureEncoder, 1),
}


def front_end(modality: str, model: ModelParams) -> tuple[EncoderClass, int]:
    """The encoder of one modality and the fewest samples per window it can take."""
    if modality == "FACE":
        return FaceEncoder, 1
    if modality == "EEG" and model.eeg_encoder.startswith(BRAINDECODE):
        return BraindecodeEncoder, 1  # it says itself what it cannot read: nothing takes its place
    return EEG_FRONT_ENDS[model.eeg_encoder] if modality == "EEG" else SIGNAL_FRONT_ENDS[model.signal_encoder]


def build_encoder(modality: str, shape: ModalityShape, model: ModelParams) -> nn.Module:
    """Build the encoder (n, C, W) → (n, F) of one modality.

    EEG: what ``model.eeg_encoder`` names. FACE: :class:`FaceEncoder`. Others: what ``model.signal_encoder`` names.
    Windows too short for it get :class:`SmallCNN` from 64 samples on, else :class:`WindowMLP`.

    Raises
    ------
    InputError
        For an unknown modality or an empty shape.
    """
    check_modality(modality)
    if shape.channels < 1 or shape.samples < 1:
        raise bad_input(f"shape of {modality}", f"{shape.channels} channels x {shape.samples} samples",
                        "at least 1 x 1", "leave the modality out or make its windows longer")
    own, min_samples = front_end(modality, model)
    if shape.samples >= min_samples:
        return own(shape, model)
    return SmallCNN(shape, model) if shape.samples >= MIN_CNN_SAMPLES else WindowMLP(shape, model)


def encode_present(encoder: nn.Module, x: Tensor, present: Tensor, features: int, one_shape: bool = False) -> Tensor:
    """Encode present windows only: ``x`` (B, T, C, W), ``present`` (B, T) bool → (B, T, F), 0 where absent.

    Absent windows never enter the encoder, so whatever they hold (NaN included) changes neither values,
    gradients nor batch statistics.

    No shape depends on ``present`` where an encoder is ``rowwise`` (each window's code is its own), or with
    *one_shape* where it is ``counted``: it takes all B·T windows, those that are there first, and their ``count``,
    so that its statistics are of them alone. The answer is the same to rounding.
    """
    if getattr(encoder, "rowwise", False):  # one fixed shape, so that many models can run as one
        codes = encoder(torch.where(present[..., None, None], x, 0.0).flatten(0, 1)).unflatten(0, x.shape[:2])
        return torch.where(present[..., None], codes, 0.0)
    windows = x.flatten(0, 1)
    if one_shape:
        there = present.flatten()
        return unpack(encoder(pack(windows, there), there.sum()), there).unflatten(0, x.shape[:2])
    rows = present.flatten().nonzero().squeeze(1)
    codes = x.new_zeros(windows.shape[0], features)
    if len(rows) > 0:
        encoded = encoder(windows if len(rows) == len(windows) else windows[rows])
        codes = codes.index_copy(0, rows, encoded.to(codes.dtype))
    return codes.unflatten(0, x.shape[:2])


def mask_codes(codes: Tensor, present: Tensor) -> Tensor:
    """Codes (B, T, M, F) with 0 where ``present`` (B, T, M) is False."""
    return torch.where(present[..., None], codes, torch.zeros((), dtype=codes.dtype, device=codes.device))


class ModalityEncoders(nn.Module):
    """One encoder per modality, no parameters shared: batch → codes (B, T, M, F).

    ``model.code_norm`` puts a layer norm without parameters on every code (Ba et al. 2016, arXiv:1607.06450), so
    that a window with a burst cannot throw what follows. ``model.context`` lets
    each modality's codes know their neighbours in time (:meth:`masked`). With ``one_shape``, which says how and not
    what, no shape depends on what is present: see :func:`encode_present`.
    """

    one_shape = False

    def __init__(self, shapes: Mapping[str, ModalityShape], model: ModelParams) -> None:
        super().__init__()
        self.shapes = dict(shapes)
        self.features = model.features
        self.code_norm = model.code_norm
        self.encoders = nn.ModuleDict({name: build_encoder(name, shape, model) for name, shape in shapes.items()})
        self.context = (SequenceContext(len(self.shapes), model.features, model.dropout)
                        if model.context == "kernel" else None)

    def forward(self, batch: Batch) -> Tensor:
        """Codes in the order of the shapes; 0 where a modality is absent.

        Raises
        ------
        InputError
            If the batch's modalities, their order or their shapes are not those the encoders were built for.
        """
        if tuple(batch.x) != tuple(self.shapes):
            raise bad_input("batch.x", " ".join(batch.x), " ".join(self.shapes), "give the modalities in this order")
        codes = []
        for index, (name, shape) in enumerate(self.shapes.items()):
            x = batch.x[name]
            if x.shape[2:] != (shape.channels, shape.samples):
                raise bad_input(f"batch.x[{name!r}]", f"windows of {tuple(x.shape[2:])}",
                                f"({shape.channels}, {shape.samples})", "build the method from the data's own shapes")
            codes.append(encode_present(self.encoders[name], x, batch.present[..., index], self.features,
                                        self.one_shape))
        codes_BTMF = torch.stack(codes, 2)
        return functional.layer_norm(codes_BTMF, (self.features,)) if self.code_norm else codes_BTMF

    def masked(self, codes: Tensor, present: Tensor) -> Tensor:
        """Codes (B, T, M, F) of the modalities that ``present`` (B, T, M) admits, in context; 0 where absent.

        Every network decodes from these: what a mask takes away is gone before codes learn of their neighbours.
        """
        kept = mask_codes(codes, present)
        return kept if self.context is None else mask_codes(self.context(kept, present), present)

    @property
    def action_units(self) -> tuple[str, ...]:
        """Names of the A action units that :meth:`diagnostics` gives; none without FACE."""
        return AU_NAMES if "FACE" in self.shapes else ()

    def diagnostics(self, batch: Batch) -> dict[str, Tensor]:
        """What the encoders see: ``action_units`` (B, T, A) in 0..1, NaN where FACE is absent; empty without FACE.

        Computed as in evaluation mode and without gradient; changes nothing. What the numbers mean:
        :class:`FaceEncoder`.
        """
        if "FACE" not in self.shapes:
            return {}
        present = batch.present[..., list(self.shapes).index("FACE")]
        x = batch.x["FACE"]
        values = torch.full((*present.shape, len(AU_NAMES)), float("nan"), dtype=x.dtype, device=x.device)
        if present.any():
            values[present] = _activations(cast(FaceEncoder, self.encoders["FACE"]), x[present])
        return {"action_units": values}


@torch.no_grad()
def _activations(encoder: FaceEncoder, windows: Tensor) -> Tensor:
    """Activations (n, A) in evaluation mode; afterwards every part is in the mode it was in."""
    modes = [(module, module.training) for module in encoder.modules()]
    encoder.eval()
    try:
        return encoder.activations(windows)
    finally:
        for module, training in modes:
            module.training = training
