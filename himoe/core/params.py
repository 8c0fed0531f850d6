"""Every parameter, as frozen dataclasses that reject what they do not know.

``params.yaml`` holds the values and says what they do; this file says their types, their bounds and where each belongs
(:mod:`himoe.core.parsing` says how). ``parse(Class, mapping, place)`` builds one from a mapping.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

from annotated_types import Ge, Gt, Le, Lt, MinLen, MultipleOf

from himoe.core.parsing import check, checked
from himoe.core.parsing import parse as parse
from himoe.core.recordings import MODALITIES

TaskName = Literal["regression", "classification"]
Protocol = Literal["trial", "session", "loso", "stimulus", "sequential", "leaky"]
Similarity = Literal["scaled_dot", "cosine"]
Adjacency = Literal["emfacs", "facs_1978", "learned"]
World = Literal["additive", "physiological"]
Normalise = Literal["person", "training"]
TASKS: tuple[str, ...] = get_args(TaskName)
PROTOCOLS: tuple[str, ...] = get_args(Protocol)
SIMILARITIES: tuple[str, ...] = get_args(Similarity)
FACE_ADJACENCIES: tuple[str, ...] = get_args(Adjacency)
NORMALISE: tuple[str, ...] = get_args(Normalise)
EEG_ENCODERS = ("eegnet", "power", "bands")
BRAINDECODE = "braindecode:"  # and a name: that model of the package as the front end of EEG

Count = Annotated[int, Ge(1)]
Whole = Annotated[int, Ge(0)]
Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]
Below1 = Annotated[float, Ge(0), Lt(1)]
Share = Annotated[float, Gt(0), Lt(1)]
EvenPixels = Annotated[int, Ge(64), MultipleOf(2), "an even number of pixels from 64 on"]


@checked
@dataclass(frozen=True)
class SourceParams:
    """Where one data set's raw files come from; ``follow_links``: links that leave a local folder are meant."""

    source: Literal["simulate", "local", "download"]
    path: str | None = None
    layout: str | None = None
    redistribute: bool = False
    modalities: tuple[str, ...] | None = None
    follow_links: bool = False

    def __post_init__(self) -> None:
        _check_modalities(self.modalities or ())

    @property
    def options(self) -> dict[str, str]:
        """What a reader is told: the file layout, which modalities to read (None = its usual ones), about links."""
        options = {"layout": self.layout} if self.layout else {}
        options |= {"links": "follow"} if self.follow_links else {}
        return options | ({"modalities": " ".join(self.modalities)} if self.modalities else {})


@checked
@dataclass(frozen=True)
class SimulateParams:
    """The simulator's seed, its world (``himoe.simulate``) and one signal-to-noise number."""

    seed: Whole
    snr: NotNegative
    world: World = "physiological"


@checked
@dataclass(frozen=True)
class VideoParams:
    """Frame rate and picture size of simulated face videos."""

    fps_hz: Positive = 50.0
    width_px: EvenPixels = 720
    height_px: EvenPixels = 576


@checked
@dataclass(frozen=True)
class SizeParams:
    """How many subjects and trials are simulated (real data is read as it is); ``video`` None = no face videos."""

    subjects: Count
    trials: Count
    video: VideoParams | None = None


@checked
@dataclass(frozen=True)
class FaceParams:
    """Faces in videos: sampled frames, detection, and the network that turns a frame into features."""

    fps_hz: Positive = 2.0
    size_px: Annotated[int, Ge(32)] = 224
    margin: Annotated[float, Ge(0), Le(1), "a share of the face's width in [0, 1]"] = 0.2
    detector: Literal["haar", "centre"] = "haar"
    min_confidence: float = 0.0
    weights: Literal["imagenet", "path", "random"] = "random"
    path: str | None = None
    seed: int = 0
    batch_frames: Count = 32

    def __post_init__(self) -> None:
        check((self.weights == "path") == (self.path is not None), "path", self.path,
              "a file of weights exactly where weights is path")


@checked
@dataclass(frozen=True)
class FilterParams:
    """One modality's target rate and pass band; None = leave as recorded / open on that side.

    ``cut_at_nyquist``: an upper edge that the target rate cannot hold is lowered to what it can, and said, instead of
    being refused.
    """

    sfreq_hz: Positive | None = None
    band_hz: Annotated[tuple[float | None, float | None], "two values [low, high], null = open"] = (None, None)
    cut_at_nyquist: bool = False

    def __post_init__(self) -> None:
        low, high = self.band_hz
        check(low is None or high is None or 0 <= low < high, "band_hz", self.band_hz, "0 <= low < high")


@checked
@dataclass(frozen=True)
class WindowParams:
    """Sliding windows and the label each gets."""

    length_s: Positive
    step_s: Positive
    labels: Literal["auto", "trial", "continuous"]
    min_completeness: Annotated[float, Gt(0), Le(1)]

    def __post_init__(self) -> None:
        check(self.step_s <= self.length_s, "step_s", self.step_s, f"at most length_s, {self.length_s:g} s")


@checked
@dataclass(frozen=True)
class SplitParams:
    """Folds; ``people`` = at most so many groups of people for ``loso`` (None = one person per fold).

    ``sequential``: share of each person's trials of a session that come before the tested ones.
    """

    folds: Annotated[int, Ge(2)]
    validation: Annotated[Share, "a share of training trials in (0, 1)"]
    people: Annotated[int, Ge(2)] | None = None
    sequential: Annotated[Share, "a share of trials in (0, 1)"] = 0.6


@checked
@dataclass(frozen=True)
class ModelParams:
    """Hi-MoE's sizes and switches (Eq. 2–6); the encoders' sizes and switches are every method's.

    ``eeg_encoder`` is the front end of EEG (``braindecode:EEGNeX``: that model of braindecode, and so any of its
    models), ``signal_encoder`` that of every other signal but FACE; ``bands`` and
    ``features`` read the cached features of windows (``himoe.prepare.features``) instead of the windows. ``context``
    reads each modality's codes as a sequence. ``residual`` experts answer x + MLP(x). ``present_only``: absent
    modalities have no weight in the fusion; else they take part with their default code. ``bounded`` heads keep to the
    rating scale. ``person_map``: a linear map on the codes of every person known from training.
    """

    features: Count = 32
    modality_experts: Count = 4
    emotion_experts: Annotated[int, Ge(0), "0 (none) or more"] = 8
    expert_hidden: Count = 64
    soft_routing: bool = True
    similarity: Similarity = "scaled_dot"
    dropout: Below1 = 0.25
    code_norm: bool = True
    residual: bool = True
    present_only: bool = True
    bounded: bool = True
    person_map: bool = False
    eeg_encoder: str = "eegnet"
    signal_encoder: Literal["cnn", "features"] = "cnn"
    context: Literal["none", "kernel"] = "none"
    eeg_filters: Count = 8
    eeg_depth: Count = 2
    eeg_kernel_s: Positive = 0.5
    power_filters: Count = 6
    power_depth: Count = 8
    face_units: Count = 8
    face_adjacency: Adjacency = "emfacs"

    def __post_init__(self) -> None:
        foreign = self.eeg_encoder.startswith(BRAINDECODE) and self.eeg_encoder != BRAINDECODE
        check(foreign or self.eeg_encoder in EEG_ENCODERS, "eeg_encoder", self.eeg_encoder,
              f"{' or '.join(EEG_ENCODERS)} or {BRAINDECODE}<model>")


@checked
@dataclass(frozen=True)
class AlignmentParams:
    """Cross-modal alignment (Eq. 1, 7, 8); ``max_lag_s`` > 0 switches the learned lags on.

    ``max_rows``: of a larger batch so many random windows take part in the contrastive loss.
    """

    weight: NotNegative = 0.1
    temperature: Positive = 0.5
    max_lag_s: NotNegative = 0.0
    max_rows: Annotated[int, Ge(2)] = 64


@checked
@dataclass(frozen=True)
class SearchParams:
    """The search for a learning rate that every model makes on its own validation rows, the same for every method.

    Each of ``learning_rate`` is trained for ``epochs`` epochs; the best on validation rows goes on. Fewer than two
    values = no search: ``training.learning_rate`` is used.
    """

    learning_rate: tuple[Positive, ...] = ()
    epochs: Annotated[int, Ge(5), "5 or more: fewer say nothing about a rate"] = 5


@checked
@dataclass(frozen=True)
class AsynchronyParams:
    """Lags drawn at training, anew in every epoch (:mod:`himoe.training.drawing`); the defaults draw none.

    ``lag_s``: everybody's sensor is late by one number from -lag_s to +lag_s; ``person_sd_s``, ``jitter_sd_s``: SD of
    a further lag per person, per trial. Each sensor has its own.
    """

    lag_s: NotNegative = 0.0
    person_sd_s: NotNegative = 0.0
    jitter_sd_s: NotNegative = 0.0

    @property
    def drawn(self) -> bool:
        """Whether anything is."""
        return max(self.lag_s, self.person_sd_s, self.jitter_sd_s) > 0


@checked
@dataclass(frozen=True)
class TrainingParams:
    """The schedule, the same for every method.

    ``warmup_steps``: steps over which the learning rate rises to its full value, before it falls along a cosine.
    ``ema``: decay of the running average of weights that is evaluated; 0 = the weights themselves.
    ``precision``: of products and convolutions in training; weights stay float32. ``compile``: models that are fitted
    as one go through torch's compiler.
    ``models_at_once``: folds, seeds and rates of a run that are fitted as one model where the encoders allow it.
    """

    epochs: Count
    batch_sequences: Count
    sequence_length: Count
    learning_rate: Positive
    patience: Count
    seeds: Annotated[tuple[int, ...], MinLen(1), "at least one seed"]
    missing: Literal["sampled", "matched", "none"]
    missing_max: Below1 = 0.4
    asynchrony: AsynchronyParams = field(default_factory=AsynchronyParams)
    weight_decay: NotNegative = 0.0
    warmup_steps: Whole = 20
    ema: Below1 = 0.98
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["float32", "bfloat16"] = "float32"
    compile: bool = False
    memory_gib: NotNegative = 1.0
    models_at_once: Count = 6
    search: SearchParams = field(default_factory=SearchParams)


@checked
@dataclass(frozen=True)
class MissingParams:
    """The evaluation sweep: missing rates and the seeds of the masks."""

    rates: tuple[Below1, ...]
    mask_seeds: Annotated[tuple[int, ...], MinLen(1), "at least one seed"]


@checked
@dataclass(frozen=True)
class BootstrapParams:
    """Intervals by resampling people and their trials, and tests by swapping two methods' trials.

    ``swaps``: how many random swaps; ``effect``: the difference of scores whose detection ``power`` is about.
    """

    draws: Count
    seed: int
    level: Share = 0.95
    swaps: Count = 4999
    effect: Positive = 0.05


@checked
@dataclass(frozen=True)
class ReportParams:
    """What the figures show: the data set, and the two methods beside Hi-MoE in trajectories."""

    figure_set: str
    baselines: Annotated[tuple[str, ...], MinLen(1), "at least one method"]


@checked
@dataclass(frozen=True)
class RunParams:
    """One run: data set x protocol x task x modalities x method, with what it changes.

    ``model``, ``alignment`` override single keys of the reference values, ``seeds`` the profile's seeds, and
    ``variant`` names what that changes (``seeds`` for more seeds alone); ``shuffle_labels`` permutes labels between
    trials (leak audit). ``normalise``: ``person`` = everybody is scaled by own windows (of training; people not seen
    there by the tested ones, without their labels), ``training`` = by the training windows of everybody.
    """

    set: str
    protocol: Protocol
    method: str
    modalities: Annotated[tuple[str, ...], MinLen(1), "at least one modality"]
    task: TaskName = "regression"
    variant: str = ""
    model: dict = field(default_factory=dict)
    alignment: dict = field(default_factory=dict)
    shuffle_labels: bool = False
    seeds: tuple[int, ...] = ()
    normalise: Normalise = "person"

    def __post_init__(self) -> None:
        changed = bool(self.model or self.alignment or self.seeds or self.normalise != NORMALISE[0])
        check(bool(self.variant) or not (self.model or self.alignment), "variant", self.variant,
              "a name where model or alignment is overridden")
        check(not self.variant or changed, "variant", self.variant, "no name where nothing is overridden")
        _check_modalities(self.modalities)


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides a run's result, resolved."""

    name: str
    run: RunParams
    model: ModelParams
    alignment: AlignmentParams
    training: TrainingParams
    seed: int
    missing: MissingParams
    modality_set: str = ""


def _check_modalities(names: tuple[str, ...]) -> None:
    for name in names:
        check(name in MODALITIES, "modalities", name, "one of " + " ".join(MODALITIES))
    check(len(set(names)) == len(names), "modalities", " ".join(names), "each once")
