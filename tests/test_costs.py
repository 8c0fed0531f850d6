from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from himoe.core.errors import InputError
from himoe.core.params import AlignmentParams, ModelParams
from himoe.models.batches import Batch, ModalityShape, Task
from himoe.models.encoders.eegnet import fast_length, filter_same
from himoe.models.methods import build_method, method_class, method_names
from himoe.models.methods.base import Method, Output, Spec, count_parameters
from himoe.training import costs
from himoe.training.costs import multiply_adds, random_batch, seconds_per_step, seconds_per_window
from pipeline.cost import chosen_runs

SHAPES = {"EEG": ModalityShape(5, 64, 32.0), "EDA": ModalityShape(1, 16, 4.0), "PPG": ModalityShape(2, 80, 20.0)}
CLOSED_FORM = [name for name in method_names() if not method_class(name).gradient]
WINDOWS = 2 * 3  # of the probes' batch


def make_spec(features: int = 7, kind: str = "regression") -> Spec:
    task = Task(kind, ("valence", "arousal", "dominance", "liking"), (1.0, 9.0), (5.0,))
    return Spec(SHAPES, task, ModelParams(features=features, eeg_filters=3), AlignmentParams())


class Probe(Method):
    """A method whose forward pass is one call."""

    def __init__(self, call: Callable[[], object], *modules: nn.Module) -> None:
        super().__init__(make_spec())
        self.call, self.parts = call, nn.ModuleList(modules)

    def encode(self, batch: Batch) -> Tensor:
        return batch.x["EDA"]

    def decode(self, codes: Tensor, batch: Batch) -> Output:
        self.call()
        return Output(codes, codes)


def counted(call: Callable[[], object], *modules: nn.Module) -> int:
    """Multiply-adds of one call: those of a window times the windows."""
    per_window = multiply_adds(Probe(call, *modules), random_batch(make_spec(), 2, 3))
    assert per_window is not None
    return per_window * WINDOWS


def test_products_and_convolutions() -> None:
    linear, conv = nn.Linear(5, 7), nn.Conv1d(4, 6, 9, stride=2, groups=2)
    assert counted(lambda: linear(torch.zeros(6, 11, 5)), linear) == 6 * 11 * 5 * 7
    steps = (40 - 9) // 2 + 1
    assert counted(lambda: conv(torch.zeros(3, 4, 40)), conv) == 3 * steps * 6 * (4 // 2) * 9
    assert counted(lambda: torch.einsum("btm,btmf->btf", torch.ones(2, 3, 5), torch.ones(2, 3, 5, 7))) == 2 * 3 * 5 * 7
    assert counted(lambda: torch.ones(6, 4, 5) @ torch.ones(5)) == 6 * 4 * 5
    assert counted(lambda: torch.ones(12) @ torch.ones(12)) == 12
    assert counted(lambda: torch.tanh(torch.ones(6, 5)) * 2 + 1) == 0  # elementwise work does not count


@pytest.mark.parametrize("kind,gates", [(nn.LSTM, 4), (nn.GRU, 3)])
@pytest.mark.parametrize("packed", [False, True])
def test_recurrent_layers(kind: type[nn.LSTM | nn.GRU], gates: int, packed: bool) -> None:
    x = torch.zeros(6, 11, 5)
    sequences = nn.utils.rnn.pack_padded_sequence(x, torch.full((6,), 11), batch_first=True) if packed else x
    plain = kind(5, 7, batch_first=True)
    assert counted(lambda: plain(sequences), plain) == 6 * 11 * gates * (5 + 7) * 7
    deep = kind(5, 7, num_layers=2, bidirectional=True, batch_first=True)
    assert counted(lambda: deep(sequences), deep) == 6 * 11 * gates * 2 * ((5 + 7) * 7 + (14 + 7) * 7)


@pytest.mark.parametrize("fastpath", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_attention(masked: bool, fastpath: bool) -> None:
    mha = nn.MultiheadAttention(8, 2, batch_first=True)
    query, keys = torch.randn(6, 3, 8), torch.randn(6, 5, 8)
    mask = torch.tensor([False, True, False, False, True]).expand(6, 5) if masked else None
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(fastpath)
    try:
        across = counted(lambda: mha(query, keys, keys, key_padding_mask=mask, need_weights=False), mha)
        within = counted(lambda: mha(keys, keys, keys, key_padding_mask=mask, need_weights=False), mha)
        assert torch.backends.mha.get_fastpath_enabled() == fastpath
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
    # Projections of queries and answers, of keys and values; scores and sums over all features.
    assert across == 6 * (2 * 3 * 8 * 8 + 2 * 5 * 8 * 8 + 2 * 3 * 5 * 8)
    assert within == 6 * (2 * 5 * 8 * 8 + 2 * 5 * 8 * 8 + 2 * 5 * 5 * 8)


def test_encoder_layer_and_functional_attention() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 24, batch_first=True)
    expected = 6 * (4 * 5 * 8 * 8 + 2 * 5 * 5 * 8 + 2 * 5 * 8 * 24)
    assert counted(lambda: layer(torch.randn(6, 5, 8)), layer) == expected
    q, k = torch.randn(6, 2, 3, 4), torch.randn(6, 2, 5, 4)
    assert counted(lambda: nn.functional.scaled_dot_product_attention(q, k, k)) == 6 * 2 * 2 * 3 * 5 * 4


def test_spectral_filter() -> None:
    n = fast_length(64 + 15 - 7)  # as long as nothing wraps round
    x, taps = torch.randn(6, 3, 2, 64), torch.randn(3, 15)
    signals, filters, bins = 6 * 3 * 2, 3, n // 2 + 1
    transform = 2.5 * n * math.log2(n)
    flops = signals * 2 * transform + filters * transform + signals * bins * 6
    assert counted(lambda: filter_same(x, taps)) == pytest.approx(flops / 2, abs=WINDOWS)


@pytest.mark.parametrize("name", CLOSED_FORM)
def test_closed_forms_have_no_count(name: str) -> None:
    method = build_method(name, make_spec())
    assert count_parameters(method) is None
    assert multiply_adds(method, random_batch(make_spec(), 2, 3)) is None


def test_late_fusion_by_hand() -> None:
    spec = replace(make_spec(6), shapes={"TEMP": ModalityShape(1, 9, 2.0), "EDA": ModalityShape(1, 16, 4.0)})
    method = build_method("late_fusion", spec)
    lstm, heads, votes = 4 * (6 + 6) * 6, 6 * 4, 2 * 4
    # A window's samples and 3 statistics go to 64 units; its rise is one product of the samples with time.
    windows = sum((samples + 3) * 64 + (64 + 3) * 6 + samples for samples in (9, 16))
    assert multiply_adds(method, random_batch(spec, 2, 3)) == windows + 2 * (lstm + heads) + votes
    decoder = 2 * (lstm + 4 * 6 + heads + 4)  # one bias per gate
    encoders = sum((samples + 3) * 64 + 2 * 64 + (64 + 3) * 6 + 6 for samples in (9, 16))
    assert count_parameters(method) == encoders + decoder
    method.encoders.requires_grad_(False)
    assert count_parameters(method) == decoder


def test_counting_and_timing_leave_no_trace() -> None:
    spec = make_spec()
    batch = random_batch(spec, 2, 3)
    method = build_method("himoe", spec).train()
    method.heads.eval()  # a module that is not in its parent's mode
    modes = [module.training for module in method.modules()]
    state = {name: value.clone() for name, value in method.state_dict().items()}
    threads, fastpath = torch.get_num_threads(), torch.backends.mha.get_fastpath_enabled()
    torch.set_num_threads(2)
    try:
        assert multiply_adds(method, batch) == multiply_adds(method, batch)
        assert seconds_per_window(method, batch, repeats=1) > 0
        with pytest.raises(RuntimeError):
            seconds_per_window(Probe(lambda: torch.ones(2) @ torch.ones(3)), batch)
        with pytest.raises(RuntimeError):
            multiply_adds(Probe(lambda: torch.ones(2) @ torch.ones(3)), batch)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert torch.backends.mha.get_fastpath_enabled() == fastpath
    assert [module.training for module in method.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in method.state_dict().items())


def test_seconds_are_the_median_of_the_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, bool, bool]] = []
    pauses, clock = iter([7.0, 600.0, 3.0, 1.0]), [0.0]  # the warm-up is not timed; one slow pass does not count
    monkeypatch.setattr(costs.time, "perf_counter", lambda: clock[0])

    def call() -> None:
        seen.append((torch.get_num_threads(), torch.is_grad_enabled(), probe.training))
        clock[0] += next(pauses)

    probe = Probe(call)
    assert seconds_per_window(probe, random_batch(make_spec(), 2, 3), repeats=3) == 3.0 / WINDOWS
    assert seen == [(1, False, False)] * 4
    with pytest.raises(InputError, match="repeats: found 0"):
        seconds_per_window(probe, random_batch(make_spec(), 2, 3), repeats=0)


def test_seconds_per_step_are_of_a_pass_there_and_back_in_training_mode() -> None:
    spec = make_spec()
    network = build_method("late_fusion", spec)
    network.eval()
    seen: list[bool] = []
    network.register_forward_hook(lambda module, inputs, output: seen.append(module.training))
    batch = random_batch(spec, 2, 3)
    assert seconds_per_step(network, batch, repeats=2) > 0
    assert seen == [True] * 3
    assert not network.training
    assert all(p.grad is not None for p in network.parameters() if p.requires_grad)


def test_runs_of_classes_are_measured_where_their_front_ends_are_compared() -> None:
    line = {"method": "himoe", "modalities": "EEG", "set": "seed", "task": "classification"}
    runs = {"seed": line, "seed-front": {**line, "variant": "front_eegnet"},
            "deap": {**line, "set": "deap", "task": "regression"}, "deap-class": {**line, "set": "deap"},
            "deap-experts": {**line, "set": "deap", "task": "regression", "variant": "experts4"},
            "amigos": {**line, "set": "amigos"}}
    assert [name for name, _ in chosen_runs(runs).values()] == ["seed", "seed-front", "deap"]
    assert [name for name, _ in chosen_runs({"seed": line}).values()] == []
