"""What the tests of the sequence methods share: parts of a batch, and checks that are the same for each of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import torch

from himoe.batches import Batch
from himoe.methods import build_method
from himoe.methods.base import Method, Spec


def choose(spec: Spec, batch: Batch, names: Sequence[str]) -> tuple[Spec, Batch]:
    """Spec and batch of some of the modalities, in the order of *names*."""
    columns = [spec.modalities.index(name) for name in names]
    return (dataclasses.replace(spec, shapes={name: spec.shapes[name] for name in names}),
            dataclasses.replace(batch, x={name: batch.x[name] for name in names}, present=batch.present[..., columns]))


def part(batch: Batch, sequences: list[int] | slice, steps: slice = slice(None)) -> Batch:
    """Some sequences and steps of a batch."""
    return Batch({m: x[sequences, steps] for m, x in batch.x.items()}, batch.present[sequences, steps],
                 batch.y[sequences, steps], batch.valid[sequences, steps], batch.subject[sequences],
                 batch.stimulus[sequences])


def restless(method: Method) -> Method:
    """All parameters random: biases and layer norms start at 0 and 1, where mistakes would hide."""
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return method.eval()


def check_length_and_gaps(built: Callable[[Spec], Method], spec: Spec, batch: Batch, steps: int) -> None:
    """Finite predictions and gradients of four sequences with *steps* steps, one of them with nothing at all."""
    batch = part(batch, slice(None), slice(steps)).with_present(torch.arange(4)[:, None, None] != 2)
    method = built(spec).train()
    output = method(batch)
    assert output.prediction.shape == (4, steps, len(spec.task.dimensions))
    assert torch.isfinite(output.prediction).all()
    sum(output.losses.values()).backward()
    absent = {name for k, name in enumerate(batch.x) if not batch.present[..., k].any()}
    for name, parameter in method.named_parameters():  # the encoder of a modality that no window has is not run
        assert parameter.grad is not None or absent & set(name.split(".")), name
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name


def check_parts_are_finite(name: str, spec: Spec, batch: Batch) -> None:
    """Finite predictions and gradients of a batch with an empty sequence, and of its first steps alone."""
    batch.present[2] = False  # nothing at all, in a sequence that is not padded
    method = build_method(name, spec)
    for candidate in (batch, part(batch, slice(0, 5), slice(1))):
        output = method(candidate)
        assert output.prediction.shape == (*candidate.valid.shape, len(spec.task.dimensions))
        output.losses["emotion"].backward()
        assert torch.isfinite(output.raw).all()
        assert all(torch.isfinite(p.grad).all() for p in method.parameters() if p.grad is not None)


def check_codes_of_sequences_do_not_meet(method: Method, batch: Batch, **tolerance: float) -> None:
    """Sequences decoded in another order give the same answers."""
    codes, order = method.encode(batch), torch.tensor([3, 7, 0, 5, 1, 6, 2, 4])
    swapped = dataclasses.replace(batch, present=batch.present[order], valid=batch.valid[order])
    torch.testing.assert_close(method.decode(codes[order], swapped).prediction,
                               method.decode(codes, batch).prediction[order], **tolerance)


def check_sequences_do_not_mix(method: Method, batch: Batch, tolerance: float) -> None:
    """Sequences in another order give the same answers."""
    order = [3, 7, 0, 1, 6, 2, 5, 4]
    torch.testing.assert_close(method(part(batch, order)).prediction, method(batch).prediction[order],
                               atol=tolerance, rtol=tolerance)


def check_padding_is_not_read(method: Method, batch: Batch, tolerance: float) -> None:
    """The last sequence (three valid steps of five) answers as if it were cut, even if padding claimed to be there."""
    padded = method(batch).prediction[-1, :3]
    trimmed = method(part(batch, [7], slice(3))).prediction[0]
    torch.testing.assert_close(padded, trimmed, atol=tolerance, rtol=tolerance)
    codes = method.encode(batch)
    junk = torch.where(batch.valid[..., None, None], codes, 9.0)
    claimed = dataclasses.replace(batch, present=batch.present | ~batch.valid[..., None])
    assert torch.equal(method.decode(junk, claimed).prediction[-1, :3], method.decode(codes, batch).prediction[-1, :3])


def check_padding_and_gradient_mode(method: Method, batch: Batch) -> None:
    """Four more steps of padding, whatever their codes, and gradient mode change nothing."""
    codes = torch.cat([method.encode(batch), torch.full((8, 4, 4, 7), 1e3)], 1)
    longer = dataclasses.replace(batch, present=torch.cat([batch.present, torch.zeros(8, 4, 4).bool()], 1),
                                 valid=torch.cat([batch.valid, torch.zeros(8, 4).bool()], 1))
    short = method.decode(codes[:, :5], batch).prediction
    padded = method.decode(codes, longer).prediction[:, :5]
    torch.testing.assert_close(padded[batch.valid], short[batch.valid], atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(method.decode(codes[:, :5], batch).prediction, short, atol=1e-5, rtol=1e-5)


def check_dropout_only_in_training(method: Method, codes: torch.Tensor, batch: Batch) -> None:
    """Two decodings differ while training and are equal afterwards."""
    assert not torch.equal(method.decode(codes, batch).prediction, method.decode(codes, batch).prediction)
    method.eval()
    assert torch.equal(method.decode(codes, batch).prediction, method.decode(codes, batch).prediction)
