"""Features of face crops by EfficientNet-B0 up to its global average pool (1280 a crop).

Tan & Le 2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML, arXiv 1905.11946;
torchvision's implementation. Legend: n crops, S side of a crop in pixels, E = 1280 features.
"""

from __future__ import annotations

import math
import pickle
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models import EfficientNet_B0_Weights, efficientnet_b0

from himoe.core.errors import InputError, bad_input
from himoe.core.files import atomic_path, require_file, sha256
from himoe.core.params import FaceParams

IMAGENET = EfficientNet_B0_Weights.IMAGENET1K_V1
# Mean and standard deviation of ImageNet's pixels by colour (0..1), as torchvision's weights were trained with.
PIXEL_MEAN = (0.485, 0.456, 0.406)
PIXEL_SD = (0.229, 0.224, 0.225)
CPU_BATCH = 8  # larger ones leave the processor's cache and are slower
FETCH_TIMEOUT_S = 30.0
RANDOM_GAIN = 0.1  # of random weights' batch norms; see random_features
NOISE_IMAGES, NOISE_SIZE_PX = 16, 96


class FrameNetwork:
    """EfficientNet-B0 in evaluation mode on one device.

    Parameters
    ----------
    params : FaceParams
        ``weights``, ``path``, ``seed``, ``batch_frames``.
    device : str
        ``auto`` (CUDA when there is one), ``cpu`` or ``cuda``.

    Attributes
    ----------
    label : str
        Which weights, for every report that depends on them.

    Raises
    ------
    InputError
        If the weights cannot be had or do not fit, or the device is not there.
    """

    def __init__(self, params: FaceParams, device: str = "auto") -> None:
        self.device = face_device(device)
        layers, self.label = _load(params)
        self._layers = layers.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._batch = params.batch_frames if self.device.type == "cuda" else min(params.batch_frames, CPU_BATCH)

    def features(self, crops: np.ndarray) -> np.ndarray:
        """Map crops (n, S, S, 3) uint8, red green blue, to features (n, E) float32."""
        if crops.ndim != 4 or crops.shape[-1] != 3 or crops.dtype != np.uint8:
            raise bad_input("crops", f"shape {crops.shape} of {crops.dtype}", "(n, S, S, 3) uint8", "convert the array")
        parts = []
        with torch.inference_mode():
            for first in range(0, len(crops), self._batch):
                pixels = torch.from_numpy(crops[first:first + self._batch]).to(self.device)
                parts.append(self._layers(normalise(pixels)).mean((2, 3)).cpu().numpy())
        return np.concatenate(parts) if parts else np.empty((0, 1280), dtype=np.float32)


def face_device(name: str) -> torch.device:
    """``auto`` = CUDA when there is one; ``cuda`` without one is refused."""
    if name not in ("auto", "cpu", "cuda"):
        raise bad_input("device", repr(name), "auto, cpu or cuda", "choose one of these")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device: found 'cuda' but no CUDA device, expected one; set it to auto or cpu.")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def normalise(pixels: Tensor) -> Tensor:
    """(n, S, S, 3) bytes → (n, 3, S, S) in standard deviations of ImageNet's pixels, channels last in memory."""
    mean, sd = (torch.tensor(values, device=pixels.device).view(3, 1, 1) for values in (PIXEL_MEAN, PIXEL_SD))
    return (pixels.permute(0, 3, 1, 2).float() / 255 - mean) / sd


def _load(params: FaceParams) -> tuple[nn.Module, str]:
    if params.weights == "random":
        return random_features(params.seed), f"EfficientNet-B0, random weights (seed {params.seed})"
    layers = _empty_features()
    if params.weights == "imagenet":
        path = imagenet_file()
        label = "EfficientNet-B0, ImageNet weights (torchvision IMAGENET1K_V1)"
    elif params.path is None:
        raise bad_input("face.path", "nothing", "a file of weights, as face.weights is path", "name the file")
    else:
        path = require_file(Path(params.path))
        label = f"EfficientNet-B0, weights of {path.name} (sha256 {sha256(path)[:12]})"
    layers.load_state_dict(checked_state(read_state(path), layers, path), strict=False)
    return layers.eval(), label


def _empty_features() -> nn.Module:
    """The convolutional part, its weights of no meaning yet; PyTorch's global random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        return efficientnet_b0(weights=None).features.eval()


def imagenet_file() -> Path:
    """Torchvision's ImageNet weights: from PyTorch's own cache, else fetched into it.

    Raises
    ------
    InputError
        If they are neither there nor to be had, or the file is not what its name says.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / IMAGENET.url.rsplit("/", 1)[1]
    if not path.is_file():
        try:
            with (urllib.request.urlopen(IMAGENET.url, timeout=FETCH_TIMEOUT_S) as source,
                  atomic_path(path) as temporary):
                temporary.write_bytes(source.read())
        except OSError as error:
            raise bad_input("face.weights: imagenet", f"no file {path}, and fetching it failed ({error})",
                            "torchvision's EfficientNet-B0 weights",
                            f"download {IMAGENET.url} to that place, or set face.weights to path or random") from error
    digest = path.stem.rsplit("-", 1)[1]
    if not sha256(path).startswith(digest):
        raise bad_input(path, f"a file of SHA-256 {sha256(path)[:8]}…", f"{digest}…",
                        "delete it, so that it is fetched again")
    return path


def read_state(path: Path) -> dict[str, Tensor]:
    """Tensors by name from a ``.safetensors`` file or one of ``torch.save``; runs no code from the file.

    Raises
    ------
    InputError
        If the file is missing, or holds anything but tensors by name.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state: Any = (load_file(path) if require_file(path).suffix == ".safetensors"
                      else torch.load(path, map_location="cpu", weights_only=True))
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        if isinstance(error, InputError):
            raise
        raise bad_input(path, f"a file that cannot be read as tensors only ({type(error).__name__})",
                        "a state dict (.pth or .safetensors)", "save the model's state_dict() again") from error
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise bad_input(path, f"a {type(state).__name__} of other things", "a state dict: tensors by name",
                        "save the model's state_dict() again")
    return dict(state)


def checked_state(state: Mapping[str, Tensor], layers: nn.Module, path: Path) -> dict[str, Tensor]:
    """Those of EfficientNet-B0's convolutional part, by name, in shape and finite; its classifier is left out."""
    expected = {name: value for name, value in layers.state_dict().items() if not name.endswith("num_batches_tracked")}
    found = {name.removeprefix("features."): value.float() for name, value in state.items()
             if name.startswith("features.") and not name.endswith("num_batches_tracked")}
    todo = "give a state dict of torchvision's efficientnet_b0"
    for name in sorted(expected.keys() | found.keys()):
        where = f"{path}: features.{name}"
        if name not in found:
            raise bad_input(where, "no such tensor", f"one of shape {tuple(expected[name].shape)}", todo)
        if name not in expected:
            raise bad_input(where, "a tensor that the network does not have", "no such tensor", todo)
        if found[name].shape != expected[name].shape:
            raise bad_input(where, f"shape {tuple(found[name].shape)}", tuple(expected[name].shape), todo)
        if not torch.isfinite(found[name]).all():
            raise bad_input(where, "values that are not finite", "finite weights", todo)
    return found


def random_features(seed: int) -> nn.Module:
    """EfficientNet-B0's convolutional part with random weights that let small changes of a picture through.

    Weights are uniform with variance 2 / fan-in (He et al. 2015, doi 10.1109/ICCV.2015.123), drawn in the order of
    their names from a generator of their own. Batch norms then know nothing: untouched, the signal fades (features
    of about 1e-4 here, 1e-14 with torchvision's own initialisation). Normalised fully, a random network of this
    depth is chaotic: faces that differ little get features that have nothing to do with each other. So each batch
    norm divides by the layer's root mean square on fixed noise images (one number a layer, means left alone) and
    multiplies by ``RANDOM_GAIN``, which keeps the activations near their linear part.
    """
    layers = _empty_features()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, weight in sorted(layers.named_parameters()):
            if weight.ndim == 4:
                weight.uniform_(-1, 1, generator=generator).mul_(math.sqrt(6 / weight[0].numel()))
            else:
                weight.zero_()  # every bias
        _calibrate(layers, normalise(noise_images()))
    return layers.eval()


def _calibrate(layers: nn.Module, pictures: Tensor) -> None:
    """Set batch norms one after the other, each on what those before it let through."""

    def scale(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        layer.running_var.fill_(inputs[0].square().mean())  # type: ignore[operator, union-attr]
        layer.weight.fill_(RANDOM_GAIN)  # type: ignore[operator, union-attr]

    norms = [layer for layer in layers.modules() if isinstance(layer, nn.BatchNorm2d)]
    handles = [layer.register_forward_pre_hook(scale) for layer in norms]
    layers(pictures)
    for handle in handles:
        handle.remove()


def noise_images() -> Tensor:
    """Fixed cloudy noise (16, 96, 96, 3) bytes: colours, and patches of 2, 4, 8 … pixels, coarse ones stronger."""
    generator = torch.Generator().manual_seed(0)
    clouds = torch.zeros(NOISE_IMAGES, 3, NOISE_SIZE_PX, NOISE_SIZE_PX)
    patches = 1
    while patches <= NOISE_SIZE_PX:
        grid = torch.rand(NOISE_IMAGES, 3, patches, patches, generator=generator) - 0.5
        size = (NOISE_SIZE_PX, NOISE_SIZE_PX)
        clouds += nn.functional.interpolate(grid, size, mode="bilinear", align_corners=False) / patches ** 0.5
        patches *= 2
    return (0.5 + 0.4 * clouds).clamp(0, 1).mul(255).to(torch.uint8).permute(0, 2, 3, 1)
