"""Models of braindecode as the EEG front end: built by name, trained and masked as every encoder, or refused."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from himoe.core.errors import InputError
from himoe.core.params import ModelParams
from himoe.models.batches import ModalityShape
from himoe.models.encoders import build_encoder, encode_present
from himoe.models.encoders.braindecode import INSTALL, ChannelDropout, own_dropout
from himoe.models.noise import Dropout, noise_keys

MODEL = ModelParams(features=7, dropout=0.3, eeg_encoder="braindecode:EEGNeX")
SHAPE = ModalityShape(5, 128, 64.0)


@pytest.fixture(scope="module")
def braindecode() -> None:
    pytest.importorskip("braindecode", reason=f"braindecode is not installed: {INSTALL}")


@pytest.mark.slow
@pytest.mark.usefixtures("braindecode")
def test_absent_windows_have_no_influence_and_a_lone_one_is_normalised_by_running_statistics() -> None:
    torch.manual_seed(0)
    encoder = build_encoder("EEG", SHAPE, MODEL)
    assert not encoder.rowwise
    start = {key: value.clone() for key, value in encoder.state_dict().items()}
    x, present = torch.randn(3, 4, 5, 128), torch.rand(3, 4) < 0.6
    assert 2 <= present.sum() < 12
    seen = []
    for windows in (x, torch.where(present[..., None, None], x, float("nan"))):
        encoder.load_state_dict(start)
        encoder.zero_grad()
        codes = encode_present(encoder, windows, present, 7)
        codes.square().sum().backward()
        seen.append([codes.detach(), *(p.grad.clone() for p in encoder.parameters()),
                     *(b.clone() for b in encoder.buffers())])
    assert seen[0][0].shape == (3, 4, 7)
    for clean, other in zip(*seen, strict=True):
        assert torch.isfinite(clean).all()
        assert torch.equal(clean, other)
    assert not all(torch.equal(start[k], v) for k, v in encoder.state_dict().items())  # statistics were taken
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    noise = [value for key, value in encoder.named_buffers() if key in set(noise_keys(encoder))]
    assert len(noise) == 2  # EEGNeX has two dropout layers
    encoder(x[0, :1])
    assert all(torch.equal(before[k], v) for k, v in encoder.state_dict().items())
    assert all(m.training for m in encoder.modules())


@pytest.mark.slow
@pytest.mark.usefixtures("braindecode")
@pytest.mark.parametrize(("name", "shape", "message"), [
    ("EEGNext", SHAPE, r"found 'braindecode:EEGNext', expected one of braindecode's \d+ models, as EEGNeX"),
    ("Deep4Net", ModalityShape(5, 16, 8.0),
     "Deep4Net: found windows of 5 channels x 16 samples at 8 Hz, and .*minimum .*longer"),
    ("DGCNN", SHAPE, "DGCNN: found windows .*chs_info"),
    ("NeuroPose", ModalityShape(16, 512, 64.0), r"an answer of \(2, 512, 7\) to two windows instead of \(2, 7\)")])
def test_what_cannot_be_built_is_one_sentence(name: str, shape: ModalityShape, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        build_encoder("EEG", shape, replace(MODEL, eeg_encoder=f"braindecode:{name}"))
    assert "\n" not in str(caught.value)


def test_without_the_package_the_command_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [key for key in sys.modules if key.split(".")[0] == "braindecode"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "braindecode", None)
    with pytest.raises(InputError, match=r"no such package .* install it: pip install -e \"\.\[braindecode\]\""):
        build_encoder("EEG", SHAPE, MODEL)


@pytest.mark.parametrize("name", ["braindecode:", "braindecode", "EEGNeX", "torch:EEGNeX"])
def test_a_name_without_its_package_or_model_is_no_parameter(name: str) -> None:
    with pytest.raises(InputError, match=r"eegnet or power or bands or braindecode:<model>"):
        ModelParams(eeg_encoder=name)


def test_dropout_layers_are_the_project_s_own() -> None:
    network = own_dropout(nn.Sequential(nn.Dropout(0.5), nn.Sequential(nn.Dropout2d(0.25), nn.ELU())))
    first, second = network[0], network[1][0]
    assert isinstance(first, Dropout)
    assert isinstance(second, ChannelDropout)
    assert (first.kept, second.kept) == (32768, 49152)
    dropped = second(torch.ones(40, 30, 4, 5))
    assert ((dropped == 0).flatten(2).all(-1) == (dropped[..., 0, 0] == 0)).all()  # whole channels
    assert (dropped == 0).float().mean() == pytest.approx(0.25, abs=0.05)
