from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from himoe.core.params import FACE_ADJACENCIES, AlignmentParams, ModelParams
from himoe.models.batches import Batch, ModalityShape, Task
from himoe.models.encoders import ModalityEncoders
from himoe.models.encoders.action_units import AU_NAMES
from himoe.models.encoders.face import FaceEncoder
from himoe.models.methods import method_class
from himoe.models.methods.base import Spec

MODEL = ModelParams(features=7, dropout=0.0, face_units=3)
SHAPE = ModalityShape(19, 5, 2.0)
UNITS = len(AU_NAMES)


def windows(count: int, seed: int = 0, shape: ModalityShape = SHAPE, gaps: float = 0.3) -> torch.Tensor:
    """Windows with frames of zeros, at least one frame known in each."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, shape.channels, shape.samples, generator=generator) + 0.5
    missing = torch.rand(count, shape.samples, generator=generator) < gaps
    missing[:, 1] = False
    return x.masked_fill(missing[:, None], 0.0)


def trained(model: ModelParams = MODEL) -> FaceEncoder:
    """An encoder in double precision whose statistics and weights are nothing special."""
    torch.manual_seed(1)
    encoder = FaceEncoder(SHAPE, model).double()
    for parameter in encoder.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    encoder(windows(40, 9).double())
    return encoder.eval()


def slow_frame(encoder: FaceEncoder, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Textbook steps of one frame (C,) → features after the graph (A, U), activations (A,)."""
    part = {name: value.detach().numpy() for name, value in encoder.state_dict().items()}
    graph = encoder.adjacency().detach().numpy() + np.eye(UNITS)
    root = np.diag(graph.sum(1) ** -0.5)
    nodes = np.zeros((UNITS, encoder.units))
    for unit in range(UNITS):
        for feature in range(encoder.units):
            row = unit * encoder.units + feature
            value = part["heads.weight"][row] @ frame
            value = (value - part["norm.running_mean"][row]) / np.sqrt(part["norm.running_var"][row] + encoder.norm.eps)
            value = value * part["norm.weight"][row] + part["norm.bias"][row]
            nodes[unit, feature] = value if value > 0 else np.expm1(value)
    hidden = root @ graph @ root @ nodes @ part["graph.weight"].T
    hidden = np.where(hidden > 0, hidden, np.expm1(np.minimum(hidden, 0)))
    score = (hidden * part["readout"]).sum(1) + part["readout_bias"]
    return hidden, 1 / (1 + np.exp(-score))


def slow_windows(encoder: FaceEncoder, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, F) and activations (n, A), frame by frame, known ones only."""
    codes, activations = [], []
    for window in x:
        frames = [slow_frame(encoder, frame) for frame in window.T if (frame != 0).any()]
        active = np.mean([a for _, a in frames], 0)
        gated = np.mean([a[:, None] * nodes for nodes, a in frames], 0)
        codes.append(encoder.linear.weight.detach().numpy() @ np.concatenate([gated.ravel(), active])
                     + encoder.linear.bias.detach().numpy())
        activations.append(active)
    return np.stack(codes), np.stack(activations)


@pytest.mark.parametrize("name", FACE_ADJACENCIES)
def test_equals_a_slow_loop_over_frames_and_units(name: str) -> None:
    encoder = trained(ModelParams(features=7, face_units=3, face_adjacency=name))
    x = windows(4).double()
    codes, activations = slow_windows(encoder, x.numpy())
    with torch.no_grad():
        np.testing.assert_allclose(encoder(x).numpy(), codes, rtol=1e-9, atol=1e-12)
        got = encoder.activations(x).numpy()
    assert got.shape == (4, UNITS)
    np.testing.assert_allclose(got, activations, rtol=1e-9, atol=1e-12)
    assert (got > 0).all()
    assert (got < 1).all()
    assert np.ptp(got) > 0.2


def test_zero_frames_change_neither_result_gradient_nor_statistics() -> None:
    """The known frames alone, in windows of the same length, give the same."""
    short = windows(6, gaps=0.0)[..., :2]
    x = torch.cat([torch.zeros(6, 19, 1), short[..., :1], torch.zeros(6, 19, 2), short[..., 1:]], 2)
    results = []
    for data in (short, x):
        torch.manual_seed(0)
        encoder = FaceEncoder(SHAPE, MODEL).train()
        codes = encoder(data)
        codes.square().sum().backward()
        results.append([codes, *(p.grad for p in encoder.parameters()), *encoder.buffers()])
    for first, second in zip(*results, strict=True):
        torch.testing.assert_close(first, second)


@pytest.mark.parametrize("training", [True, False])
def test_a_window_without_a_face_gives_the_bias_and_no_nan(training: bool) -> None:
    encoder = FaceEncoder(SHAPE, MODEL).train(training)
    x = windows(3)
    x[1] = 0.0
    codes = encoder(x)
    codes.sum().backward()
    torch.testing.assert_close(codes[1], encoder.linear.bias)
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters() if p.grad is not None)
    assert (encoder.activations(x)[1] == 0).all()
    assert torch.isfinite(encoder(torch.zeros(2, 19, 5))).all()


def test_a_learned_graph_starts_uniform_is_symmetric_and_gets_a_gradient() -> None:
    model = ModelParams(features=7, face_units=3, face_adjacency="learned")
    torch.manual_seed(0)
    encoder = FaceEncoder(SHAPE, model)
    graph = encoder.adjacency()
    torch.testing.assert_close(graph, (torch.ones(UNITS, UNITS) - torch.eye(UNITS)) / 2)
    encoder(windows(8)).square().sum().backward()
    gradient = encoder.adjacency.logits.grad
    off_diagonal = ~torch.eye(UNITS, dtype=torch.bool)
    assert (gradient[off_diagonal] != 0).all()
    torch.optim.SGD(encoder.parameters(), 1.0).step()
    learned = encoder.adjacency()
    torch.testing.assert_close(learned, learned.T)
    assert (learned.diagonal() == 0).all()
    assert learned.max() <= 1
    assert learned[off_diagonal].std() > 0


def test_can_learn_twenty_windows_by_heart() -> None:
    torch.manual_seed(0)
    model = ModelParams(features=7, dropout=0.0, face_adjacency="learned")
    encoder, head = FaceEncoder(ModalityShape(1280, 8, 2.0), model), nn.Linear(7, 1)
    x, y = windows(20, 1, ModalityShape(1280, 8, 2.0)), torch.randn(20, 1)
    optimiser = torch.optim.Adam([*encoder.parameters(), *head.parameters()], 1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        loss = nn.functional.mse_loss(head(encoder(x)), y)
        loss.backward()
        optimiser.step()
    assert loss < 0.02 * y.var()


SHAPES = {"EDA": ModalityShape(1, 16, 4.0), "FACE": SHAPE}


def batch(present: torch.Tensor, face: torch.Tensor) -> Batch:
    sequences, steps = present.shape[:2]
    eda = torch.randn(sequences, steps, 1, 16, generator=torch.Generator().manual_seed(4))
    return Batch({"EDA": eda, "FACE": face}, present, torch.zeros(sequences, steps, 1), present.any(-1),
                 torch.zeros(sequences, dtype=torch.int64), torch.zeros(sequences, dtype=torch.int64))


def test_diagnostics_are_the_activations_and_change_nothing() -> None:
    encoders = ModalityEncoders(SHAPES, MODEL).train()
    encoders.encoders["FACE"].dropout.eval()
    present = torch.ones(4, 6, 2, dtype=torch.bool)
    present[1, 2, 1] = False
    given = batch(present, windows(24, 3).unflatten(0, (4, 6)))
    before = [b.clone() for b in encoders.buffers()]
    got = encoders.diagnostics(given)["action_units"]
    assert got.shape == (4, 6, UNITS)
    assert not got.requires_grad
    assert encoders.action_units == AU_NAMES
    assert encoders.training
    assert encoders.encoders["FACE"].norm.training
    assert not encoders.encoders["FACE"].dropout.training
    assert all(torch.equal(a, b) for a, b in zip(before, encoders.buffers(), strict=True))
    assert got[1, 2].isnan().all()
    assert got.isnan().sum() == UNITS
    face = encoders.encoders["FACE"].eval()
    torch.testing.assert_close(got[3, 5], face.activations(given.x["FACE"][3, 5][None])[0])


@pytest.mark.parametrize("name,expected", [("himoe", {"action_units"}), ("late_fusion", {"action_units"}),
                                           ("mean", set())])
def test_every_method_lets_one_look_inside(name: str, expected: set[str]) -> None:
    task = Task("regression", ("valence",), (1.0, 9.0), (5.0,))
    method = method_class(name)(Spec(SHAPES, task, MODEL, AlignmentParams())).eval()
    present = torch.ones(2, 3, 2, dtype=torch.bool)
    inside = method.look_inside(batch(present, windows(6).unflatten(0, (2, 3))))
    assert set(inside) == expected
    assert all(value.shape == (2, 3, UNITS) for value in inside.values())
