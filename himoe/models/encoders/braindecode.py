"""Any model of braindecode as the front end of EEG, by name: ``eeg_encoder: braindecode:EEGNeX``.

Legend: n windows, C channels, W samples per window, F features.
"""

from __future__ import annotations

import difflib
import inspect
import warnings
from types import ModuleType

import torch
from torch import Tensor, nn

from himoe.core.errors import InputError, bad_input
from himoe.core.params import BRAINDECODE, ModelParams
from himoe.models.batches import ModalityShape
from himoe.models.noise import Dropout

INSTALL = 'pip install -e ".[braindecode]"'
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
CHANNEL_DROPOUTS = (nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


class BraindecodeEncoder(nn.Module):
    """A model of braindecode (Schirrmeister et al. 2017, doi 10.1002/hbm.23730, and later): (n, C, W) → (n, F).

    Built with its own defaults for C channels, W samples and the rate, F outputs and ``model.dropout``. Its dropout
    layers draw from :class:`himoe.models.noise.Noise`, as every network's do. Most of these models take statistics over
    a batch, so it is never ``rowwise``; a lone window in training is normalised by the running statistics.

    Raises
    ------
    InputError
        Without the package, for a name that it does not know, or a model that cannot read such windows or does not
        answer with one vector per window.
    """

    rowwise = False

    def __init__(self, shape: ModalityShape, model: ModelParams) -> None:
        super().__init__()
        self.network = own_dropout(build(model.eeg_encoder.removeprefix(BRAINDECODE), shape, model))

    def forward(self, x: Tensor) -> Tensor:
        """Windows (n, C, W) → features (n, F)."""
        norms = [m for m in self.modules() if isinstance(m, BATCH_NORMS) and m.training] if len(x) < 2 else []
        for norm in norms:
            norm.eval()
        codes = self.network(x)
        for norm in norms:
            norm.train()
        return codes


def build(name: str, shape: ModalityShape, model: ModelParams) -> nn.Module:
    """The model *name* for windows of *shape*, tried on two windows of zeros."""
    cls = find(name)
    sizes = {"n_chans": shape.channels, "n_times": shape.samples, "sfreq": shape.sfreq_hz, "n_outputs": model.features}
    if "drop_prob" in inspect.signature(cls).parameters:
        sizes["drop_prob"] = model.dropout
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.filterwarnings("error", ".*smaller than the minimum")  # else it quietly builds a smaller model
            network = cls(**sizes)
            answer = network.eval()(torch.zeros(2, shape.channels, shape.samples))
    except Exception as error:  # whatever the package raises of a shape it cannot read
        raise unusable(name, shape, f"{type(error).__name__}: {error}") from error
    found = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
    if found != (2, model.features):
        raise unusable(name, shape, f"an answer of {found} to two windows instead of (2, {model.features})")
    return network.train()


def find(name: str) -> type[nn.Module]:
    """The class of braindecode's model *name*."""
    known = package().models_dict
    if name not in known:
        lower = {one.lower(): one for one in known}
        close = [lower[one] for one in difflib.get_close_matches(name.lower(), lower, 3, 0.3)] or ["EEGNeX"]
        raise bad_input("model.eeg_encoder", repr(f"{BRAINDECODE}{name}"),
                        f"one of braindecode's {len(known)} models, as {', '.join(close)}", "correct the name")
    return known[name]


def package() -> ModuleType:
    """braindecode's registry of models, imported at its first use (it takes seconds)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of names that MNE is about to drop
            import braindecode.models.util as registry
    except ImportError as error:
        raise bad_input("model.eeg_encoder", f"a model of braindecode, and no such package ({error})",
                        "the package braindecode", f"install it: {INSTALL}") from error
    return registry


def unusable(name: str, shape: ModalityShape, reason: str) -> InputError:
    """What to say of a model that cannot read windows of *shape*."""
    return bad_input(f"model.eeg_encoder {BRAINDECODE}{name}",
                     f"windows of {shape.channels} channels x {shape.samples} samples at {shape.sfreq_hz:g} Hz, and "
                     f"{reason}", "windows that this model reads, and one answer per window",
                     "make windows longer (windows.length_s), raise the rate, or choose another front end")


class ChannelDropout(Dropout):
    """As ``nn.Dropout2d``: whole channels of (n, S, ...) are dropped."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape from two axes on."""
        return x * super().forward(x.new_ones(*x.shape[:2], *(1 for _ in x.shape[2:])))


def own_dropout(network: nn.Module) -> nn.Module:
    """The same network, in place, with dropout layers whose numbers depend on nothing but their key."""
    for parent in list(network.modules()):
        for name, module in parent.named_children():
            if isinstance(module, nn.Dropout):
                setattr(parent, name, Dropout(module.p))
            elif isinstance(module, CHANNEL_DROPOUTS):
                setattr(parent, name, ChannelDropout(module.p))
    return network
