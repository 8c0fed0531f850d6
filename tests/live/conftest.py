"""One small model for all tests of what is live."""

from __future__ import annotations

import pytest
from live_sessions import make_model

import himoe


@pytest.fixture(scope="session")
def model() -> himoe.Fitted:
    """Hi-MoE of p0, p1 and p2: EEG, EMG and EDA."""
    return make_model()
