"""Every method behind one contract; the registry is the dict below."""

from __future__ import annotations

from himoe.errors import bad_input
from himoe.methods.base import Method, Spec
from himoe.methods.features_gbdt import FeaturesGBDT
from himoe.methods.himoe import HiMoE
from himoe.methods.late_fusion import LateFusion
from himoe.methods.mean import Mean, MeanStimulus, MeanSubject

METHODS: dict[str, type[Method]] = {
    "himoe": HiMoE,
    "late_fusion": LateFusion,
    "features_gbdt": FeaturesGBDT,
    "mean": Mean,
    "mean_subject": MeanSubject,
    "mean_stimulus": MeanStimulus,
}


def build_method(name: str, spec: Spec) -> Method:
    """Build the method registered as *name*.

    Raises
    ------
    InputError
        If there is no such method, or *spec* names no modality or no dimension.
    """
    if name not in METHODS:
        raise bad_input("method", repr(name), "one of " + ", ".join(METHODS), "correct the name")
    if not spec.shapes or not spec.task.dimensions:
        raise bad_input(f"method {name}", f"{len(spec.shapes)} modalities and {len(spec.task.dimensions)} dimensions",
                        "at least one of each", "choose modalities and dimensions the data has")
    return METHODS[name](spec)
