"""Context in time against a literal loop, what it may not see, and the maps of known people."""

from __future__ import annotations

import math

import torch

from himoe.models.encoders.people import PersonMaps
from himoe.models.encoders.sequence import PACE, REACH, SequenceContext

B, T, M, F = 3, 11, 2, 8


def context() -> SequenceContext:
    torch.manual_seed(0)
    made = SequenceContext(M, F, 0.0)
    torch.nn.init.normal_(made.logits_MHG, std=0.1)
    return made


def test_codes_are_the_kernels_average_over_present_steps() -> None:
    made = context()
    present = torch.rand(B, T, M) < 0.6
    present[0, :, 1] = False
    codes = torch.randn(B, T, M, F) * present[..., None]
    found = made(codes, present)
    for b in range(B):
        for m in range(M):
            for t in range(T):
                steps = [s for s in range(T) if present[b, s, m]]
                mixed = torch.zeros(F)
                for h in range(4):
                    logits = [PACE * made.logits_MHG[m, h, max(-REACH, min(REACH, s - t)) + REACH] for s in steps]
                    logits = [float(value.detach()) for value in logits]
                    total = sum(math.exp(value) for value in logits)
                    for s, value in zip(steps, logits, strict=True):
                        mixed[2 * h:2 * h + 2] += math.exp(value) / total * codes[b, s, m, 2 * h:2 * h + 2]
                expected = codes[b, t, m] + mixed @ made.out_MFF[m]
                torch.testing.assert_close(found[b, t, m], expected, atol=1e-5, rtol=1e-5)


def test_nothing_of_a_modality_stays_nothing() -> None:
    present = torch.ones(B, T, M, dtype=torch.bool)
    present[..., 1] = False
    codes = torch.randn(B, T, M, F) * present[..., None]
    assert (context()(codes, present)[..., 1, :] == 0).all()


def test_every_known_person_has_a_map_and_nobody_else() -> None:
    maps = PersonMaps(4, M, F)
    codes = torch.randn(B, T, M, F)
    assert torch.equal(maps(codes, torch.tensor([0, 3, 2])), codes)
    torch.nn.init.normal_(maps.maps_GMFF)
    found = maps(codes, torch.tensor([3, -1, 7]))
    expected = torch.stack([codes[0, :, m] + codes[0, :, m] @ maps.maps_GMFF[3, m] for m in range(M)], 1)
    torch.testing.assert_close(found[0], expected)
    assert torch.equal(found[1:], codes[1:])
