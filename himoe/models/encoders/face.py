"""Encoder of the face: one embedding head an action unit, then a graph convolution over action units.

Legend: n windows, C channels (features of a frame), W frames per window, R known frames of all windows,
A action units, U features a unit, F features.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from himoe.core.params import ModelParams
from himoe.models.batches import ModalityShape
from himoe.models.encoders.action_units import AU_NAMES, LEARNED, adjacency
from himoe.models.encoders.activation import elu
from himoe.models.encoders.batchnorm import BatchNorm
from himoe.models.encoders.packing import pack, unpack
from himoe.models.noise import Dropout


def propagation(adjacency_AA: Tensor) -> Tensor:
    """``D^(-1/2) (A + I) D^(-1/2)``, D the row sums of ``A + I`` (Kipf & Welling 2017, arXiv:1609.02907, Eq. 2)."""
    with_loops = adjacency_AA + torch.eye(len(adjacency_AA), dtype=adjacency_AA.dtype, device=adjacency_AA.device)
    scale = with_loops.sum(1).rsqrt()
    return scale[:, None] * with_loops * scale


class Adjacency(nn.Module):
    """The graph of action units: published (fixed), or learned.

    Learned: ``sigmoid((L + L^T) / 2)`` with diagonal 0; L starts at 0, so every pair starts at 1/2.
    The fixed one is kept with the weights.
    """

    published: Tensor

    def __init__(self, name: str) -> None:
        super().__init__()
        n_units = len(AU_NAMES)
        self.learned = name == LEARNED
        if self.learned:
            self.logits = nn.Parameter(torch.zeros(n_units, n_units))
        else:
            self.register_buffer("published", torch.from_numpy(adjacency(name)).to(torch.get_default_dtype()))

    def forward(self) -> Tensor:
        """Symmetric weights (A, A) in 0..1, diagonal 0."""
        if not self.learned:
            return self.published
        weights = torch.sigmoid((self.logits + self.logits.T) / 2)
        return weights - torch.diag(weights.diagonal())


class FaceEncoder(nn.Module):
    """Frame features of a face: (n, C, W) → (n, F).

    Of every known frame: A heads of U features (one product with a (A·U, C) matrix), batch norm, ELU, dropout;
    one graph convolution over the A units, ``H' = ELU(P H Θ)`` with P from :func:`propagation` (one layer:
    twelve units are at most a few edges apart, and more layers would make them alike); per unit an activation
    ``a = sigmoid(<v, h'> + b)``. The units' features, each times its activation, and the activations are
    averaged over the known frames; dropout; linear. So activations are part of the prediction and are trained.

    A frame that is 0 in every channel has no face and takes no part, also not in batch statistics. A window
    without any known frame gives the code of nothing (the last layer's bias).

    Without labels of action units a head is tied to its name through the graph alone: the names are a hint,
    not a measurement, and with a learned graph they say nothing.
    """

    counted = True

    def __init__(self, shape: ModalityShape, model: ModelParams) -> None:
        super().__init__()
        n_units, self.units = len(AU_NAMES), model.face_units
        self.heads = nn.Linear(shape.channels, n_units * self.units, bias=False)
        self.norm = BatchNorm(n_units * self.units)
        self.dropout = Dropout(model.dropout)
        self.adjacency = Adjacency(model.face_adjacency)
        self.graph = nn.Linear(self.units, self.units, bias=False)
        self.readout = nn.Parameter(torch.randn(n_units, self.units) / self.units**0.5)
        self.readout_bias = nn.Parameter(torch.zeros(n_units))
        self.linear = nn.Linear(n_units * (self.units + 1), model.features)

    def forward(self, x: Tensor, count: Tensor | None = None) -> Tensor:
        """Windows (n, C, W) → features (n, F); ``count``: see :func:`himoe.models.encoders.encode_present`."""
        known = known_frames(x)
        nodes_RAU, active_RA = self._frames(x, known, count)
        gated = (active_RA[..., None] * nodes_RAU).flatten(1)
        pooled = mean_over_frames(torch.cat([gated, active_RA], 1), known)
        return self.linear(self.dropout(pooled))

    def activations(self, x: Tensor) -> Tensor:
        """Windows (n, C, W) → mean activation of every unit over the known frames (n, A), 0..1.

        In the order of ``AU_NAMES``; 0 for a window without any known frame. What an activation means: see the
        class. Uses the module's mode; in evaluation mode nothing is changed.
        """
        known = known_frames(x)
        return mean_over_frames(self._frames(x, known)[1], known)

    def _frames(self, x: Tensor, known: Tensor, count: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Of the known frames: the units' features after the graph (R, A, U), and activations (R, A).

        With ``count`` R = n·W: the known ones are first.
        """
        frames = x.transpose(1, 2)
        if count is None:
            embedded = self._normalise(self.heads(frames[known]), len(x))
        else:
            packed = pack(frames.flatten(0, 1), known.flatten())
            embedded = self.norm(self.heads(packed), torch.where(count < 2, 0, known.sum()))
        embedded = elu(embedded)
        nodes_RAU = self.dropout(embedded).unflatten(1, (-1, self.units))
        nodes_RAU = elu(self.graph(propagation(self.adjacency()) @ nodes_RAU))
        return nodes_RAU, torch.sigmoid((nodes_RAU * self.readout).sum(-1) + self.readout_bias)

    def _normalise(self, embedded: Tensor, n_windows: int) -> Tensor:
        """Batch norm over frames; a lone window's frames would lose its level, so it gets the running statistics."""
        norm = self.norm
        if self.training and n_windows < 2:
            return functional.batch_norm(embedded, norm.running_mean, norm.running_var, norm.weight, norm.bias,
                                         False, 0.0, norm.eps)
        return norm(embedded)


def known_frames(x: Tensor) -> Tensor:
    """Frames (n, W) of windows (n, C, W) that are not 0 in every channel, bool."""
    return (x != 0).any(1)


def mean_over_frames(values: Tensor, known: Tensor) -> Tensor:
    """Mean of ``values`` (R, S) over each window's ``known`` (n, W) frames: (n, S); 0 of none.

    ``values`` has one row for each known frame, or is packed: one row for each frame, the known ones first.
    """
    if len(values) == known.numel():
        frames = unpack(values, known.flatten()).unflatten(0, known.shape)
    else:
        frames = values.new_zeros(*known.shape, values.shape[1])
        frames[known] = values
    return frames.sum(1) / known.sum(1, keepdim=True).clamp(min=1)
