"""A network's weights moved a little towards few rated trials, by the gradients of its predictions.

The mean predictions of k trials change with a move m of the weights as ``p + J m``, J being their gradients. The move
that is sought is the ridge solution ``m = J' (J J' + pull I)^-1 (rated - p)``: the smallest one for what it mends. It
needs J once, and with it every trial can be predicted from the others without another gradient (kernel ridge
regression with the tangent kernel J J'; Jacot, Gabriel & Hongler 2018, arXiv:1806.07572). What is moved is behind the
encoders, so windows are encoded once.

Legend: n windows, k trials, D dimensions, R = k D rows, B sequences, T time steps, I inputs and O outputs of a weight.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from himoe.models.batches import Batch, combine
from himoe.models.methods.base import Heads, Method
from himoe.training.inference import EncodedFold

RANK = 2
PRIOR_TRIALS = 4.0  # the pull towards the model counts for that many trials


class Decoder(nn.Module):
    """A method's decoding alone, as a module that can be called with other weights."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, codes: Tensor, batch: Batch) -> Tensor:
        """Predictions (B, T, D)."""
        return self.method.decode(codes, batch).prediction


@dataclass(frozen=True)
class Tangent:
    """Gradients of the mean predictions of k trials.

    ``heads`` {name: (R, ...)} by the heads' weights; ``right`` {name: (R, ..., RANK, O)} by the right part of a change
    ``left @ right`` of every other matrix behind the encoders, ``left`` {name: (..., I, RANK)} being the directions
    along which the predictions change most. No label has a part in it.
    """

    heads: Mapping[str, Tensor]
    left: Mapping[str, Tensor]
    right: Mapping[str, Tensor]

    @classmethod
    def of(cls, encoded: EncodedFold, weights: np.ndarray) -> Tangent:
        """From windows encoded under the mask of what is there, and each trial's share of them (k, n, D)."""
        found = _gradients(encoded, torch.from_numpy(weights).float())
        modules = encoded.method.named_modules()
        inside = tuple(f"method.{name}." for name, module in modules if isinstance(module, Heads))
        heads = {name: value for name, value in found.items() if name.startswith(inside)}
        others = {name: value for name, value in found.items() if name not in heads and value.dim() > 2}
        left = {name: _directions(value) for name, value in others.items()}
        return cls(heads, left, {name: left[name].mT @ value for name, value in others.items()})

    def kernel(self, low_rank: bool) -> np.ndarray:
        """J J' (R, R), of the heads alone or with *low_rank* of the other matrices."""
        parts = [*self.heads.values(), *(self.right.values() if low_rank else ())]
        rows = [part.flatten(1).double() for part in parts]
        return np.asarray(sum((row @ row.mT).numpy() for row in rows))

    def move(self, coefficients: np.ndarray, low_rank: bool) -> dict[str, Tensor]:
        """J' times coefficients (R,), as what is added to each weight of the method."""
        factor = torch.from_numpy(coefficients).float()
        found = {name: torch.tensordot(factor, value, 1) for name, value in self.heads.items()}
        if low_rank:
            found |= {name: self.left[name] @ torch.tensordot(factor, value, 1) for name, value in self.right.items()}
        return {name.removeprefix("method."): value for name, value in found.items()}


def _gradients(encoded: EncodedFold, weights: Tensor) -> dict[str, Tensor]:
    """Gradients (R, ...) of each trial's weighted mean prediction by every weight behind the encoders."""
    decoder = Decoder(encoded.method).eval()
    start = {name: value.detach().clone().requires_grad_() for name, value in decoder.named_parameters()
             if not name.startswith("method.encoders.")}
    batches, codes = zip(*encoded.batches, strict=True)
    batch, code = combine(torch.cat, list(batches)), torch.cat(list(codes))
    valid = torch.from_numpy(np.concatenate(encoded.places) >= 0)
    spread = weights.new_zeros(len(weights), *valid.shape, weights.shape[2])
    spread[:, valid] = weights
    rows: list[tuple[Tensor | None, ...]] = []
    for share in spread:
        own = share.flatten(1).any(1)
        predicted = functional_call(decoder, start, (code[own], _sequences(batch, own)))
        means = (share[own] * predicted).sum((0, 1))
        rows += [torch.autograd.grad(mean, list(start.values()), retain_graph=True, allow_unused=True)
                 for mean in means]
    found = {}
    for (name, value), column in zip(start.items(), zip(*rows, strict=True), strict=True):
        found[name] = torch.stack([torch.zeros_like(value) if part is None else part for part in column])
    return found


def _sequences(batch: Batch, chosen: Tensor) -> Batch:
    """Those sequences of a batch, flags (B,)."""
    return combine(lambda parts: parts[0][chosen], [batch])


def _directions(gradients: Tensor) -> Tensor:
    """The first RANK directions (..., I, RANK) of the inputs' side of gradients (R, ..., I, O)."""
    second = (gradients @ gradients.mT).sum(0)
    return torch.linalg.eigh(second.double())[1][..., -RANK:].to(gradients.dtype)


def ridge(kernel: np.ndarray, rest: np.ndarray, known: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Coefficients (R,) of the move that brings trials' means closer by *rest* (k, D), where *known* (k, D).

    *slope* (D,) is by how much a prediction's change shows in what is compared with ratings. The pull is PRIOR_TRIALS
    times the mean squared length of a gradient: one trial alone would be mended by 1 / (1 + PRIOR_TRIALS).
    """
    rows = np.flatnonzero(known)
    factor = np.broadcast_to(slope, known.shape).reshape(-1)[rows]
    inner = kernel[np.ix_(rows, rows)]
    found = np.zeros(known.size)
    if len(rows):
        pull = PRIOR_TRIALS * max(float(np.diag(inner).mean()), 1e-12)
        solved = np.linalg.solve(inner * np.outer(factor, factor) + pull * np.eye(len(rows)), rest.reshape(-1)[rows])
        found[rows] = factor * solved
    return found
