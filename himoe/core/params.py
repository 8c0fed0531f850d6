"""Every parameter, as frozen dataclasses that reject what they do not know.

``params.yaml`` holds the values and says what they do; this file says their types, their bounds
and where each belongs. ``parse(Class, mapping, where)`` (:mod:`himoe.core.parsing`) builds one from a mapping.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from himoe.core.parsing import check
from himoe.core.parsing import parse as parse
from himoe.core.recordings import check_modality

TASKS = ("regression", "classification")
PROTOCOLS = ("trial", "session", "loso", "stimulus", "sequential", "leaky")
FACE_WEIGHTS = ("imagenet", "path", "random")
FACE_DETECTORS = ("haar", "centre")
LABELS = ("auto", "trial", "continuous")
MISSING_TRAINING = ("sampled", "matched", "none")
SIMILARITIES = ("scaled_dot", "cosine")
FACE_ADJACENCIES = ("emfacs", "facs_1978", "learned")
WORLDS = ("additive", "physiological")
EEG_ENCODERS = ("eegnet", "power", "bands")
BRAINDECODE = "braindecode:"  # and a name: that model of the package as the front end of EEG
SIGNAL_ENCODERS = ("cnn", "features")
CONTEXTS = ("none", "kernel")
NORMALISE = ("person", "training")


@dataclass(frozen=True)
class SourceParams:
    """Where one data set's raw files come from; ``follow_links``: links that leave a local folder are meant."""

    source: str
    path: str | None = None
    layout: str | None = None
    redistribute: bool = False
    modalities: tuple[str, ...] | None = None
    follow_links: bool = False

    def __post_init__(self) -> None:
        check(self.source in ("simulate", "local", "download"), "source", self.source, "simulate, local or download")
        for name in self.modalities or ():
            check_modality(name)

    @property
    def options(self) -> dict[str, str]:
        """What a reader is told: the file layout, which modalities to read (None = its usual ones), about links."""
        options = {"layout": self.layout} if self.layout else {}
        options |= {"links": "follow"} if self.follow_links else {}
        return options | ({"modalities": " ".join(self.modalities)} if self.modalities else {})


@dataclass(frozen=True)
class SimulateParams:
    """The simulator's seed, its world (``himoe.simulate``) and one signal-to-noise number."""

    seed: int
    snr: float
    world: str = "physiological"

    def __post_init__(self) -> None:
        check(self.world in WORLDS, "simulate.world", self.world, " or ".join(WORLDS))
        check(self.snr >= 0, "simulate.snr", self.snr, "0 or more")


@dataclass(frozen=True)
class VideoParams:
    """Frame rate and picture size of simulated face videos."""

    fps_hz: float = 50.0
    width_px: int = 720
    height_px: int = 576

    def __post_init__(self) -> None:
        check(self.fps_hz > 0, "size.video.fps_hz", self.fps_hz, "more than 0 Hz")
        for name in ("width_px", "height_px"):
            value = getattr(self, name)
            check(value >= 64 and value % 2 == 0, f"size.video.{name}", value, "an even number of pixels from 64 on")


@dataclass(frozen=True)
class SizeParams:
    """How many subjects and trials are simulated (real data is read as it is); ``video`` None = no face videos."""

    subjects: int
    trials: int
    video: VideoParams | None = None


@dataclass(frozen=True)
class FaceParams:
    """Faces in videos: sampled frames, detection, and the network that turns a frame into features."""

    fps_hz: float = 2.0
    size_px: int = 224
    margin: float = 0.2
    detector: str = "haar"
    min_confidence: float = 0.0
    weights: str = "random"
    path: str | None = None
    seed: int = 0
    batch_frames: int = 32

    def __post_init__(self) -> None:
        check(self.fps_hz > 0, "face.fps_hz", self.fps_hz, "more than 0 Hz")
        check(self.size_px >= 32, "face.size_px", self.size_px, "32 pixels or more")
        check(0 <= self.margin <= 1, "face.margin", self.margin, "a share of the face's width in [0, 1]")
        check(self.detector in FACE_DETECTORS, "face.detector", self.detector, " or ".join(FACE_DETECTORS))
        check(self.weights in FACE_WEIGHTS, "face.weights", self.weights, " or ".join(FACE_WEIGHTS))
        check((self.weights == "path") == (self.path is not None), "face.path", self.path,
               "a file of weights exactly where face.weights is path")
        check(self.batch_frames >= 1, "face.batch_frames", self.batch_frames, "1 or more")


@dataclass(frozen=True)
class FilterParams:
    """One modality's target rate and pass band; None = leave as recorded / open on that side.

    ``cut_at_nyquist``: an upper edge that the target rate cannot hold is lowered to what it can, and said, instead of
    being refused.
    """

    sfreq_hz: float | None = None
    band_hz: tuple[float | None, ...] = (None, None)
    cut_at_nyquist: bool = False

    def __post_init__(self) -> None:
        check(len(self.band_hz) == 2, "band_hz", self.band_hz, "two values [low, high], null = open")
        low, high = self.band_hz
        check(low is None or high is None or 0 <= low < high, "band_hz", self.band_hz, "0 <= low < high")
        check(self.sfreq_hz is None or self.sfreq_hz > 0, "sfreq_hz", self.sfreq_hz, "a rate above 0 Hz")


@dataclass(frozen=True)
class WindowParams:
    """Sliding windows and the label each gets."""

    length_s: float
    step_s: float
    labels: str
    min_completeness: float

    def __post_init__(self) -> None:
        check(self.length_s > 0, "windows.length_s", self.length_s, "more than 0 s")
        check(0 < self.step_s <= self.length_s, "windows.step_s", self.step_s, "more than 0 s, at most length_s")
        check(self.labels in LABELS, "windows.labels", self.labels, " or ".join(LABELS))
        check(0 < self.min_completeness <= 1, "windows.min_completeness", self.min_completeness, "in (0, 1]")


@dataclass(frozen=True)
class SplitParams:
    """Folds; ``people`` = at most so many groups of people for ``loso`` (None = one person per fold).

    ``sequential``: share of each person's trials of a session that come before the tested ones.
    """

    folds: int
    validation: float
    people: int | None = None
    sequential: float = 0.6

    def __post_init__(self) -> None:
        check(self.folds >= 2, "split.folds", self.folds, "2 or more")
        check(0 < self.validation < 1, "split.validation", self.validation, "a share of training trials in (0, 1)")
        check(self.people is None or self.people >= 2, "split.people", self.people, "2 or more, or null")
        check(0 < self.sequential < 1, "split.sequential", self.sequential, "a share of trials in (0, 1)")


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

    features: int = 32
    modality_experts: int = 4
    emotion_experts: int = 8
    expert_hidden: int = 64
    soft_routing: bool = True
    similarity: str = "scaled_dot"
    dropout: float = 0.25
    code_norm: bool = True
    residual: bool = True
    present_only: bool = True
    bounded: bool = True
    person_map: bool = False
    eeg_encoder: str = "eegnet"
    signal_encoder: str = "cnn"
    context: str = "none"
    eeg_filters: int = 8
    eeg_depth: int = 2
    eeg_kernel_s: float = 0.5
    power_filters: int = 6
    power_depth: int = 8
    face_units: int = 8
    face_adjacency: str = "emfacs"

    def __post_init__(self) -> None:
        for name in ("features", "modality_experts", "expert_hidden", "eeg_filters", "eeg_depth",
                     "power_filters", "power_depth", "face_units"):
            check(getattr(self, name) >= 1, f"model.{name}", getattr(self, name), "1 or more")
        check(self.emotion_experts >= 0, "model.emotion_experts", self.emotion_experts, "0 (none) or more")
        for name, known in (("similarity", SIMILARITIES), ("signal_encoder", SIGNAL_ENCODERS), ("context", CONTEXTS)):
            check(getattr(self, name) in known, f"model.{name}", getattr(self, name), " or ".join(known))
        foreign = self.eeg_encoder.startswith(BRAINDECODE) and self.eeg_encoder != BRAINDECODE
        check(foreign or self.eeg_encoder in EEG_ENCODERS, "model.eeg_encoder", self.eeg_encoder,
              f"{' or '.join(EEG_ENCODERS)} or {BRAINDECODE}<model>")
        check(self.face_adjacency in FACE_ADJACENCIES, "model.face_adjacency", self.face_adjacency,
               " or ".join(FACE_ADJACENCIES))
        check(0 <= self.dropout < 1, "model.dropout", self.dropout, "in [0, 1)")
        check(self.eeg_kernel_s > 0, "model.eeg_kernel_s", self.eeg_kernel_s, "more than 0 s")


@dataclass(frozen=True)
class AlignmentParams:
    """Cross-modal alignment (Eq. 1, 7, 8); ``max_lag_s`` > 0 switches the learned lags on."""

    weight: float = 0.1
    temperature: float = 0.5
    max_lag_s: float = 0.0

    def __post_init__(self) -> None:
        check(self.weight >= 0, "alignment.weight", self.weight, "0 or more")
        check(self.temperature > 0, "alignment.temperature", self.temperature, "more than 0")
        check(self.max_lag_s >= 0, "alignment.max_lag_s", self.max_lag_s, "0 or more")


@dataclass(frozen=True)
class SearchParams:
    """The search for a learning rate that every model makes on its own validation rows, the same for every method.

    Each of ``learning_rate`` is trained for ``epochs`` epochs; the best on validation rows goes on. Fewer than two
    values = no search: ``training.learning_rate`` is used.
    """

    learning_rate: tuple[float, ...] = ()
    epochs: int = 5

    def __post_init__(self) -> None:
        check(self.epochs >= 5, "training.search.epochs", self.epochs, "5 or more: fewer say nothing about a rate")
        check(all(rate > 0 for rate in self.learning_rate), "training.search.learning_rate", self.learning_rate,
               "rates above 0")


@dataclass(frozen=True)
class TrainingParams:
    """The schedule, the same for every method.

    ``warmup_steps``: steps over which the learning rate rises to its full value, before it falls along a cosine.
    ``ema``: decay of the running average of weights that is evaluated; 0 = the weights themselves.
    ``models_at_once``: folds, seeds and rates of a run that are fitted as one model where the encoders allow it.
    """

    epochs: int
    batch_sequences: int
    sequence_length: int
    learning_rate: float
    patience: int
    seeds: tuple[int, ...]
    missing: str
    missing_max: float = 0.4
    weight_decay: float = 0.0
    warmup_steps: int = 20
    ema: float = 0.98
    device: str = "auto"
    memory_gib: float = 1.0
    models_at_once: int = 6
    search: SearchParams = field(default_factory=SearchParams)

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_sequences", "sequence_length", "patience", "models_at_once"):
            check(getattr(self, name) >= 1, f"training.{name}", getattr(self, name), "1 or more")
        check(self.learning_rate > 0, "training.learning_rate", self.learning_rate, "more than 0")
        check(len(self.seeds) >= 1, "training.seeds", self.seeds, "at least one seed")
        check(self.missing in MISSING_TRAINING, "training.missing", self.missing, " or ".join(MISSING_TRAINING))
        check(self.warmup_steps >= 0, "training.warmup_steps", self.warmup_steps, "0 or more")
        check(0 <= self.ema < 1, "training.ema", self.ema, "in [0, 1)")
        check(0 <= self.missing_max < 1, "training.missing_max", self.missing_max, "in [0, 1)")
        check(self.device in ("auto", "cpu", "cuda"), "training.device", self.device, "auto, cpu or cuda")


@dataclass(frozen=True)
class MissingParams:
    """The evaluation sweep: missing rates and the seeds of the masks."""

    rates: tuple[float, ...]
    mask_seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        check(all(0 <= rate < 1 for rate in self.rates), "missing.rates", self.rates, "rates in [0, 1)")
        check(len(self.mask_seeds) >= 1, "missing.mask_seeds", self.mask_seeds, "at least one seed")


@dataclass(frozen=True)
class BootstrapParams:
    """Intervals by resampling people and their trials, and tests by swapping two methods' trials.

    ``swaps``: how many random swaps; ``effect``: the difference of scores whose detection ``power`` is about.
    """

    draws: int
    seed: int
    level: float = 0.95
    swaps: int = 4999
    effect: float = 0.05

    def __post_init__(self) -> None:
        check(self.draws >= 1, "bootstrap.draws", self.draws, "1 or more")
        check(self.swaps >= 1, "bootstrap.swaps", self.swaps, "1 or more")
        check(self.effect > 0, "bootstrap.effect", self.effect, "more than 0")
        check(0 < self.level < 1, "bootstrap.level", self.level, "in (0, 1)")


@dataclass(frozen=True)
class ReportParams:
    """What the figures show: the data set, and the two methods beside Hi-MoE in trajectories."""

    figure_set: str
    baselines: tuple[str, ...]

    def __post_init__(self) -> None:
        check(len(self.baselines) >= 1, "report.baselines", self.baselines, "at least one method")


@dataclass(frozen=True)
class RunParams:
    """One run: data set x protocol x task x modalities x method, with what it changes.

    ``model``, ``alignment`` override single keys of the reference values, ``seeds`` the profile's seeds, and
    ``variant`` names what that changes (``seeds`` for more seeds alone); ``shuffle_labels`` permutes labels between
    trials (leak audit). ``normalise``: ``person`` = everybody is scaled by own windows (of training; people not seen
    there by the tested ones, without their labels), ``training`` = by the training windows of everybody.
    """

    set: str
    protocol: str
    method: str
    modalities: tuple[str, ...]
    task: str = "regression"
    variant: str = ""
    model: dict = field(default_factory=dict)
    alignment: dict = field(default_factory=dict)
    shuffle_labels: bool = False
    seeds: tuple[int, ...] = ()
    normalise: str = NORMALISE[0]

    def __post_init__(self) -> None:
        check(self.normalise in NORMALISE, "runs.normalise", self.normalise, " or ".join(NORMALISE))
        changed = bool(self.model or self.alignment or self.seeds or self.normalise != NORMALISE[0])
        check(self.protocol in PROTOCOLS, "runs.protocol", self.protocol, " or ".join(PROTOCOLS))
        check(self.task in TASKS, "runs.task", self.task, " or ".join(TASKS))
        check(bool(self.variant) or not (self.model or self.alignment), "runs.variant", self.variant,
               "a name where model or alignment is overridden")
        check(not self.variant or changed, "runs.variant", self.variant, "no name where nothing is overridden")
        check(len(self.modalities) > 0, "runs.modalities", self.modalities, "at least one modality")
        for name in self.modalities:
            check_modality(name)
        check(len(set(self.modalities)) == len(self.modalities), "runs.modalities", self.modalities, "each once")


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
