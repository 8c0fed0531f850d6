"""Frame features: the network against torchvision's own, its weights and where they may come from."""

from __future__ import annotations

import hashlib
import pickle
import urllib.error
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import efficientnet_b0
from torchvision.transforms import functional as transforms

from himoe.core.errors import InputError
from himoe.core.params import FaceParams
from himoe.prepare.faces import network
from himoe.prepare.faces.network import FrameNetwork, face_device, imagenet_file, random_features


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = efficientnet_b0(weights=None)
        for layer in model.modules():  # scales that a trained network might have
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.running_var.fill_(0.1)
                layer.running_mean.uniform_(-0.1, 0.1)
    return model.eval()


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (11, 40, 40, 3), dtype=np.uint8)


def of_path(path: Path) -> FaceParams:
    return FaceParams(weights="path", path=str(path))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_features_are_what_torchvisions_network_gives_its_classifier(tmp_path: Path, model: torch.nn.Module,
                                                                     crops: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    (torch.save if suffix == ".pth" else save_file)(model.state_dict(), path)
    found = FrameNetwork(of_path(path), "cpu")
    pictures = torch.stack([transforms.normalize(transforms.to_tensor(c), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
                            for c in crops])
    with torch.no_grad():
        expected = model.avgpool(model.features(pictures)).flatten(1).numpy()
    features = found.features(crops)
    assert features.shape == (11, 1280)
    assert features.dtype == np.float32
    assert expected.std() > 1e-6
    np.testing.assert_allclose(features, expected, rtol=1e-3, atol=1e-3 * expected.std())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.label == f"EfficientNet-B0, weights of weights{suffix} (sha256 {digest[:12]})"


def test_the_size_of_a_batch_does_not_matter(crops: np.ndarray) -> None:
    one, many = (FrameNetwork(FaceParams(batch_frames=n), "cpu").features(crops) for n in (1, 32))
    np.testing.assert_allclose(one, many, rtol=1e-3, atol=1e-3 * many.std())
    assert FrameNetwork(FaceParams(), "cpu").features(crops[:0]).shape == (0, 1280)


def test_random_weights_follow_their_seed_and_nothing_else(crops: np.ndarray) -> None:
    first = FrameNetwork(FaceParams(seed=4), "cpu")
    torch.manual_seed(99)
    before = torch.random.get_rng_state()
    again, other = (FrameNetwork(FaceParams(seed=seed), "cpu") for seed in (4, 5))
    assert torch.equal(torch.random.get_rng_state(), before)
    np.testing.assert_array_equal(first.features(crops), again.features(crops))
    assert not np.allclose(first.features(crops), other.features(crops), rtol=0.1)
    assert first.label == "EfficientNet-B0, random weights (seed 4)"


def test_random_weights_are_the_generators_own_numbers() -> None:
    """Uniform numbers of a seed are the same on every machine: the first layer by name, drawn here again."""
    layers = random_features(2)
    names = sorted(name for name, weight in layers.named_parameters() if weight.ndim == 4)
    expected = torch.empty(32, 3, 3, 3).uniform_(-1, 1, generator=torch.Generator().manual_seed(2))
    assert names[0] == "0.0.weight"
    torch.testing.assert_close(layers.get_parameter("0.0.weight"), expected * (6 / 27) ** 0.5)


def test_tensors_that_do_not_fit_are_refused_by_name(tmp_path: Path, model: torch.nn.Module) -> None:
    state = dict(model.state_dict())
    name = "features.0.0.weight"
    damaged = {
        "no such tensor": {key: value for key, value in state.items() if key != name},
        r"shape \(32, 3, 5, 5\), expected \(32, 3, 3, 3\)": {**state, name: torch.zeros(32, 3, 5, 5)},
        "values that are not finite": {**state, name: torch.full((32, 3, 3, 3), torch.nan)},
    }
    for number, (found, values) in enumerate(damaged.items()):
        path = tmp_path / f"w{number}.safetensors"
        save_file(values, path)
        with pytest.raises(InputError, match=rf"w{number}\.safetensors: features\.0\.0\.weight: found {found}"):
            FrameNetwork(of_path(path), "cpu")
    save_file({**state, "features.9.0.weight": torch.zeros(2)}, tmp_path / "more.safetensors")
    with pytest.raises(InputError, match=r"features\.9\.0\.weight: found a tensor that the network does not have"):
        FrameNetwork(of_path(tmp_path / "more.safetensors"), "cpu")


class Harmful:
    """Runs code where it is unpickled without care."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


def test_files_that_are_no_weights_are_refused_and_run_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    torch.save({"a": Harmful(mark)}, tmp_path / "harmful.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Harmful(mark)))
    (tmp_path / "text.pth").write_text("weights", encoding="utf-8")
    (tmp_path / "empty.pth").touch()
    (tmp_path / "text.safetensors").write_text("weights", encoding="utf-8")
    torch.save([torch.zeros(2)], tmp_path / "list.pth")
    for name in ("harmful.pth", "plain.pth", "text.pth", "empty.pth", "text.safetensors", "list.pth"):
        with pytest.raises(InputError, match=rf"{name}: found .*expected a state dict"):
            FrameNetwork(of_path(tmp_path / name), "cpu")
    assert not mark.exists()
    with pytest.raises(InputError, match="missing"):
        FrameNetwork(of_path(tmp_path / "none.pth"), "cpu")


def test_without_a_network_imagenet_weights_are_refused_with_the_way_to_get_them(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(url: str, timeout: float) -> None:
        assert timeout <= 60
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(network.urllib.request, "urlopen", offline)
    with pytest.raises(InputError, match=r"efficientnet_b0_.*no route.*download https://download\.pytorch\.org/.*"
                                         r"or set face\.weights to path or random"):
        FrameNetwork(FaceParams(weights="imagenet"), "cpu")
    assert list(tmp_path.rglob("*.pth*")) == []


def test_imagenet_weights_on_disk_are_used_if_they_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                             model: torch.nn.Module, crops: np.ndarray) -> None:
    torch.save(model.state_dict(), tmp_path / "w.pth")
    content = (tmp_path / "w.pth").read_bytes()
    name = f"efficientnet_b0-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(network, "IMAGENET", SimpleNamespace(url=f"https://example.org/{name}"))
    place = tmp_path / "checkpoints" / name
    place.parent.mkdir()
    place.write_bytes(content)
    found = FrameNetwork(FaceParams(weights="imagenet"), "cpu")
    assert found.label == "EfficientNet-B0, ImageNet weights (torchvision IMAGENET1K_V1)"
    np.testing.assert_array_equal(found.features(crops), FrameNetwork(of_path(place), "cpu").features(crops))
    place.write_bytes(content[:-10])
    with pytest.raises(InputError, match="delete it, so that it is fetched again"):
        imagenet_file()


def test_crops_and_devices_that_do_not_fit_are_refused() -> None:
    frames = FrameNetwork(FaceParams(), "cpu")
    with pytest.raises(InputError, match=r"crops: found shape \(2, 3, 40, 40\) of uint8, expected \(n, S, S, 3\)"):
        frames.features(np.zeros((2, 3, 40, 40), np.uint8))
    with pytest.raises(InputError, match="float32"):
        frames.features(np.zeros((2, 40, 40, 3), np.float32))
    with pytest.raises(InputError, match="auto, cpu or cuda"):
        face_device("tpu")
    if not torch.cuda.is_available():
        assert face_device("auto") == torch.device("cpu")
        with pytest.raises(InputError, match="no CUDA device"):
            face_device("cuda")
