from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from reference import attend, choose, restless
from torch import Tensor

from himoe.models.batches import Batch
from himoe.models.methods import build_method
from himoe.models.methods._times import time_code
from himoe.models.methods.base import Spec
from himoe.models.methods.cafnet import CrossAttention, split_sides


def test_sides() -> None:
    assert split_sides(("EEG", "FACE")) == ([0], [1])
    assert split_sides(("ECG", "FACE", "EEG", "EDA")) == ([2], [0, 1, 3])
    assert split_sides(("ECG", "FACE", "EDA")) == ([0], [1, 2])
    assert split_sides(("EEG",)) == split_sides(("FACE",)) == ([0], [0])


def ask(block: CrossAttention, query: Tensor, keys: Tensor) -> Tensor:
    """The block for one query (F,) and the keys that are there (K, F): norms behind, not before."""
    there = torch.ones(len(keys), dtype=torch.bool)
    hidden = block.norm(query + attend(block.attention, 0, query[None], keys, there)[0])
    return block.last_norm(hidden + block.network[3](torch.relu(block.network[0](hidden))))


@torch.no_grad()
@pytest.mark.parametrize("names", [["EEG", "EDA", "PPG", "TEMP"], ["EDA", "PPG", "EEG"], ["PPG", "TEMP"], ["EDA"]])
def test_prediction_is_both_sides_answers_concatenated(names: list[str], make_spec: Callable[..., Spec],
                                                       make_batch: Callable[..., Batch]) -> None:
    spec, batch = choose(make_spec(model={"features": 6}), make_batch(share=0.6), names)
    torch.manual_seed(0)
    method = restless(build_method("cafnet", spec))
    assert method.first_asks.attention.heads == 2
    codes = method.encode(batch)
    tokens = codes + time_code(torch.arange(5), 6)[:, None]
    prediction = method.decode(codes, batch).prediction
    sides = split_sides(spec.modalities)
    for b in (0, 4, 7):  # a step without any modality; two steps of padding
        there = batch.present[b]
        for t in range(5):
            pooled = []
            for block, own, other in zip((method.first_asks, method.second_asks), sides, sides[::-1], strict=True):
                keys = tokens[b][:, other][there[:, other]]
                voters = [m for m in own if there[t, m]] or own
                pooled.append(sum(ask(block, tokens[b, t, m], keys) for m in voters) / len(voters))
            torch.testing.assert_close(prediction[b, t], method.heads(torch.cat(pooled))[0], atol=1e-4, rtol=1e-4)
