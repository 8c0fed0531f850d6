"""A fitted network as one file for other runtimes: ONNX (``.onnx``), or a program of torch (``.pt2``).

Legend: B sequences, T time steps, M modalities, C channels, W samples per window, D dimensions.
"""

from __future__ import annotations

import copy
import io
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import torch
from torch import Tensor, nn

from himoe.core.errors import bad_input
from himoe.core.files import atomic_path
from himoe.models.batches import CLIP, Batch
from himoe.models.encoders import ModalityEncoders
from himoe.models.methods import method_class, method_names
from himoe.models.methods.base import Method
from himoe.training.costs import random_batch
from himoe.training.description import Description
from himoe.training.model import Model

INSTALL = 'pip install -e ".[export]"'
SUFFIXES = (".onnx", ".pt2")
ANY_LENGTH = ("himoe",)  # the other networks' loops over time and masks of time are written out for one T
TOLERANCE = 1e-4  # of the rating scale, or of a probability: what may lie between torch and the file
TAKE_ALONG = "take the model along with save(folder)"


def export(model: Model, path: Path | str) -> Path:
    """Write *model* as one file, ``.onnx`` or ``.pt2``, and check it against the model.

    Inputs: for each modality, by name, float32 (B, T, C, W), normalised as the model reads it; then ``present``
    (B, T, M) bool. What an absent window holds has no influence. Output: ``prediction`` (B, T, D). B is free; T is
    free for ``himoe``, else the model's ``sequence_length``, and a shorter sequence is padded with steps at which
    nothing is present. The ONNX file's metadata ``himoe`` (JSON) says channels, rates, units and what scales strangers.

    Raises
    ------
    InputError
        For another suffix, a method fitted in closed form, a model with maps or lines of known people, without the
        packages (``.onnx``), or where the file cannot be made or answers otherwise than the model.
    """
    path, form = Path(path), model.description
    check_exportable(form, path)
    if path.suffix == ".onnx":
        packages()
    with atomic_path(path) as made, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about itself
        try:
            program = trace(model)
            difference = write(program, model, made, path.suffix)
        except Exception as error:  # the exporter raises anything
            reason = next(iter(str(error).splitlines()), "no reason given")
            raise bad_input(f"export of {form.method}", f"{type(error).__name__}: {reason}",
                            "a network that torch can export", f"{TAKE_ALONG}, or choose other front ends") from error
        if not difference <= TOLERANCE:
            raise bad_input(f"export of {form.method}", f"a file that differs from the model by {difference:.2g}",
                            f"at most {TOLERANCE:g} of the scale", TAKE_ALONG)
    return path


def check_exportable(form: Description, path: Path) -> None:
    """Refuse what no file could hold."""
    if path.suffix not in SUFFIXES:
        raise bad_input(path, f"the suffix {path.suffix!r}", " or ".join(SUFFIXES), "correct the name")
    if not method_class(form.method).gradient:
        networks = [name for name in method_names() if method_class(name).gradient]
        raise bad_input(f"export of {form.method}", "a method fitted in closed form, with no network to export",
                        f"one of {', '.join(networks)}", TAKE_ALONG)
    if form.model.person_map:
        raise bad_input(f"export of {form.method}", "model.person_map, which reads who a person is",
                        "a model that reads signals alone", f"{TAKE_ALONG}, or fit it without person_map")
    tuned = [one.person for one in form.calibrations if any(one.shift) or any(slope != 1 for slope in one.slope)]
    if tuned:
        raise bad_input(f"export of {form.method}", f"lines of own on the predictions of {', '.join(tuned)}",
                        "a model that answers by signals alone",
                        f"{TAKE_ALONG}, or export the model that was adapted")


def packages() -> ModuleType:
    """onnxruntime, and what torch writes ONNX files with; imported only here."""
    try:
        import onnx  # noqa: F401
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise bad_input("export", f"a missing package ({error})", "onnx, onnxscript and onnxruntime",
                        f"install them: {INSTALL}") from error
    return onnxruntime


class Network(nn.Module):
    """``encode`` and ``decode`` on plain tensors: the windows of each modality, then ``present`` → prediction.

    Absent windows are zeros whose codes are masked, instead of being left out: so no shape depends on a mask, and in
    evaluation mode, in which no encoder looks from one window at another, the prediction is the same.
    """

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = copy.deepcopy(method)
        for encoder in cast(ModalityEncoders, self.method.encoders).encoders.values():
            encoder.rowwise = True  # type: ignore[assignment]

    def forward(self, *inputs: Tensor) -> Tensor:
        """x of each modality (B, T, C, W), present (B, T, M) → prediction (B, T, D)."""
        return predict(self.method, inputs)


def predict(method: Method, inputs: Sequence[Tensor]) -> Tensor:
    """What the method answers to x of each modality, then ``present``, about nobody known."""
    *windows, present = inputs
    spec = method.spec
    unknown = torch.full((*present.shape[:2], len(spec.task.dimensions)), float("nan"))
    nobody = torch.full((present.shape[0],), -1)
    batch = Batch(dict(zip(spec.modalities, windows, strict=True)), present, unknown, present.any(-1), nobody, nobody)
    return method.decode(method.encode(batch), batch).prediction


def trace(model: Model) -> torch.export.ExportedProgram:
    """The network as a program whose B, and T where the method allows it, are free."""
    with torch.no_grad():
        return torch.export.export(Network(model.method).eval(), example(model, 2, 3), dynamic_shapes=free_axes(model))


def free_axes(model: Model) -> Any:
    """The axes of the inputs that are free, by name, as torch's exporters read them."""
    axes = {0: torch.export.Dim("batch", min=1)}
    if steps(model.description) is None:
        axes[1] = torch.export.Dim("time", min=1)
    return ((axes,) * (len(model.description.modalities) + 1),)


def steps(form: Description) -> int | None:
    """The file's T; None where it is free."""
    return None if form.method in ANY_LENGTH else form.sequence_length


def example(model: Model, sequences: int, n_steps: int) -> tuple[Tensor, ...]:
    """Random inputs of the file's T, or of *n_steps* where it is free, a third of the windows absent."""
    batch = random_batch(model.method.spec, sequences, steps(model.description) or n_steps)
    drawn = torch.rand(batch.present.shape, generator=torch.Generator().manual_seed(1))
    return (*batch.x.values(), drawn > 1 / 3)


def write(program: torch.export.ExportedProgram, model: Model, path: Path, suffix: str) -> float:
    """Write the program; gives how far it is from the model (:func:`compare`)."""
    if suffix == ".pt2":
        buffer = io.BytesIO()
        torch.export.save(program, buffer)
        path.write_bytes(buffer.getvalue())
        return compare(model, program.module())
    names = [*model.description.modalities, "present"]
    made = torch.onnx.export(program, dynamo=True, verbose=False, input_names=names, output_names=["prediction"],
                             dynamic_shapes=free_axes(model))
    assert made is not None
    made.model.metadata_props["himoe"] = json.dumps(metadata(model))
    made.save(path, external_data=False)
    session = packages().InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return compare(model, lambda *inputs: torch.from_numpy(session.run(None, {
        name: value.numpy() for name, value in zip(names, inputs, strict=True)})[0]))


def metadata(model: Model) -> dict[str, Any]:
    """What a user of the file has to know: inputs and how they are scaled, outputs, window, data.

    ``mean`` and ``spread`` (C,) are those of all training rows: what scales strangers where ``normalise`` is
    ``training``; where it is ``person``, everybody is scaled by own windows.
    """
    form, normaliser = model.description, model.normaliser
    inputs = {name: {"reads": list(entry.features or entry.channels), "samples": form.shapes[name].samples,
                     "sfreq_hz": entry.sfreq_hz, "unit": entry.unit, "features": bool(entry.features),
                     "mean": normaliser.mean[name][-1].tolist(), "spread": normaliser.spread[name][-1].tolist()}
              for name, entry in form.modalities.items()}
    return {"method": form.method, "inputs": inputs, "clip": CLIP, "normalise": form.normalise,
            "length_s": form.length_s, "step_s": form.step_s, "steps": steps(form), "kind": form.kind,
            "dimensions": list(form.dimensions), "scale": list(form.scale), "thresholds": list(form.thresholds),
            "data": form.data.get("label", "unknown data")}


@torch.no_grad()
def compare(model: Model, answer: Callable[..., Tensor]) -> float:
    """The largest difference between file and model, in units of the scale, on a batch of another size."""
    inputs, form = example(model, 3, 5), model.description
    unit = form.scale[1] - form.scale[0] if form.kind == "regression" else 1.0
    return float((answer(*inputs) - predict(model.method, inputs)).abs().max()) / unit
