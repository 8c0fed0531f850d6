from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from himoe.core.errors import InputError
from himoe.core.params import ModelParams
from himoe.models.batches import Batch, ModalityShape
from himoe.models.encoders import ModalityEncoders, build_encoder, encode_present, mask_codes
from himoe.models.encoders.eegnet import EEGNet
from himoe.models.encoders.face import FaceEncoder
from himoe.models.encoders.features import FeatureEncoder
from himoe.models.encoders.power import PowerNet
from himoe.models.encoders.small import SmallCNN, WindowMLP

MODEL = ModelParams(features=7, dropout=0.0, code_norm=False)


@pytest.mark.parametrize("modality,changes,shape,expected", [
    ("EEG", {}, ModalityShape(14, 256, 64.0), EEGNet), ("EEG", {}, ModalityShape(4, 20, 5.0), WindowMLP),
    ("EEG", {"eeg_encoder": "power"}, ModalityShape(14, 256, 64.0), PowerNet),
    ("EEG", {"eeg_encoder": "power"}, ModalityShape(14, 20, 5.0), WindowMLP),
    ("EEG", {"eeg_encoder": "bands"}, ModalityShape(59, 1, 0.25), FeatureEncoder),
    ("EDA", {}, ModalityShape(1, 512, 128.0), SmallCNN), ("EDA", {}, ModalityShape(1, 16, 4.0), WindowMLP),
    ("EDA", {"signal_encoder": "features"}, ModalityShape(5, 1, 0.25), FeatureEncoder),
    ("EDA", {"eeg_encoder": "bands"}, ModalityShape(1, 512, 128.0), SmallCNN),
    ("HR", {}, ModalityShape(1, 1, 1.0), WindowMLP), ("HEAD", {}, ModalityShape(6, 100, 25.0), SmallCNN),
    ("FACE", {}, ModalityShape(20, 100, 25.0), FaceEncoder),
    ("FACE", {"signal_encoder": "features"}, ModalityShape(20, 100, 25.0), FaceEncoder)])
def test_encoder_by_name_modality_and_length(modality: str, changes: dict, shape: ModalityShape,
                                             expected: type) -> None:
    encoder = build_encoder(modality, shape, replace(MODEL, **changes))
    assert type(encoder) is expected
    assert encoder(torch.randn(3, shape.channels, shape.samples)).shape == (3, 7)


def test_unknown_modality_and_empty_shape_are_refused() -> None:
    with pytest.raises(InputError, match="'EKG'"):
        build_encoder("EKG", ModalityShape(1, 64, 64.0), MODEL)
    with pytest.raises(InputError, match="0 samples"):
        build_encoder("ECG", ModalityShape(1, 0, 64.0), MODEL)


SHAPES = {"EEG": ModalityShape(5, 64, 32.0), "EOG": ModalityShape(2, 80, 20.0), "EDA": ModalityShape(1, 16, 4.0),
          "FACE": ModalityShape(19, 5, 2.0)}


def _batch(present: torch.Tensor, x: dict[str, torch.Tensor]) -> Batch:
    n_sequences, n_steps = present.shape[:2]
    return Batch(x, present, torch.zeros(n_sequences, n_steps, 1), present.any(-1),
                 torch.zeros(n_sequences, dtype=torch.int64), torch.zeros(n_sequences, dtype=torch.int64))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("poison", [float("nan"), 1e30])
def test_absent_windows_have_no_influence(poison: float, training: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    present = torch.rand(4, 6, 4, generator=generator) > 0.4
    clean = {m: torch.randn(4, 6, s.channels, s.samples, generator=generator) for m, s in SHAPES.items()}
    poisoned = {m: torch.where(present[:, :, i, None, None], x, poison) for i, (m, x) in enumerate(clean.items())}
    results = []
    for x in (clean, poisoned):
        torch.manual_seed(0)
        encoders = ModalityEncoders(SHAPES, MODEL).train(training)
        codes = encoders(_batch(present, x))
        (codes ** 2).sum().backward()
        results.append((codes, [p.grad for p in encoders.parameters()], list(encoders.buffers())))
    (codes, grads, buffers), (codes_2, grads_2, buffers_2) = results
    assert codes.shape == (4, 6, 4, 7)
    assert (codes[~present] == 0).all()
    assert (codes[present].abs().sum(-1) > 0).all()
    assert torch.equal(codes, codes_2)
    for first, second in zip([*grads, *buffers], [*grads_2, *buffers_2], strict=True):
        assert torch.isfinite(first).all()
        assert torch.equal(first, second)


@pytest.mark.parametrize("modality", list(SHAPES))
def test_one_present_window_uses_running_statistics(modality: str) -> None:
    shape = SHAPES[modality]
    encoder = build_encoder(modality, shape, MODEL)
    encoder(torch.randn(8, shape.channels, shape.samples) * 2 + 1)
    before = [b.clone() for b in encoder.buffers()]
    present = torch.zeros(2, 3, dtype=torch.bool)
    present[1, 2] = True
    x = torch.randn(2, 3, shape.channels, shape.samples)
    codes = encode_present(encoder, x, present, 7)
    codes.sum().backward()
    assert all(torch.equal(a, b) for a, b in zip(before, encoder.buffers(), strict=True))
    encoder.eval()
    torch.testing.assert_close(codes[1, 2], encoder(x[1, 2][None])[0])


def test_no_present_window_gives_zeros() -> None:
    encoder = build_encoder("EDA", SHAPES["EDA"], MODEL)
    codes = encode_present(encoder, torch.full((2, 3, 1, 16), float("nan")), torch.zeros(2, 3, dtype=torch.bool), 7)
    assert torch.equal(codes, torch.zeros(2, 3, 7))


def test_wrong_batches_are_refused() -> None:
    encoders = ModalityEncoders(SHAPES, MODEL)
    present = torch.ones(2, 3, 4, dtype=torch.bool)
    x = {m: torch.zeros(2, 3, s.channels, s.samples) for m, s in SHAPES.items()}
    with pytest.raises(InputError, match="FACE EDA EOG EEG"):
        encoders(_batch(present, dict(reversed(x.items()))))
    with pytest.raises(InputError, match="'EOG'"):
        encoders(_batch(present, {**x, "EOG": torch.zeros(2, 3, 2, 81)}))


def test_mask_codes_removes_nan() -> None:
    present = torch.tensor([[[True, False]]])
    codes = torch.tensor([[[[1.0, 2.0], [float("nan"), 3.0]]]])
    assert mask_codes(codes, present).tolist() == [[[[1.0, 2.0], [0.0, 0.0]]]]


def test_code_norm_is_a_layer_norm() -> None:
    """Zeros stay zeros, so an absent modality still says nothing."""
    generator = torch.Generator().manual_seed(3)
    present = torch.rand(4, 6, 4, generator=generator) > 0.4
    batch = _batch(present, {m: torch.randn(4, 6, s.channels, s.samples, generator=generator)
                             for m, s in SHAPES.items()})
    plain = ModalityEncoders(SHAPES, MODEL).eval()
    normed = ModalityEncoders(SHAPES, replace(MODEL, code_norm=True)).eval()
    before = plain(batch)
    normed.load_state_dict(plain.state_dict())
    centred = before - before.mean(-1, keepdim=True)
    expected = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(normed(batch), expected)
    assert (normed(batch)[~batch.present] == 0).all()
