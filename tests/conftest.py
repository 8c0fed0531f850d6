"""Fixtures that tests share."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toysets import make_index, make_meta

from himoe.prepare.windows import write_shard


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny tensors are faster, and sums reproducible, on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def shard_folder(tmp_path: Path) -> Callable[..., Path]:
    """Write a set whose EEG amplitude follows valence and whose EDA level follows arousal; returns the folder."""

    def build(subjects: int = 4, trials: int = 6, windows: int = 5, seed: int = 0, effect: float = 1.0,
              reverse: bool = False) -> Path:
        index = make_index(subjects, trials, windows, seed)
        rng = np.random.default_rng(seed + 1)
        n = len(index)
        gain = 1 + effect * (index["valence"].to_numpy() - 5) / 8
        eeg = rng.standard_normal((n, 3, 64)) * gain[:, None, None]
        eda = 0.1 * rng.standard_normal((n, 1, 16)) + effect * (index["arousal"].to_numpy() - 5)[:, None, None]
        arrays = {"EEG": eeg.astype(np.float32), "EDA": eda.astype(np.float32)}
        folder = tmp_path / f"windows-{seed}-{int(reverse)}"
        names = sorted(index["subject"].unique(), reverse=reverse)
        for name in names:
            rows = np.flatnonzero(index["subject"] == name)
            rows = rows[::-1] if reverse else rows
            part = index.iloc[rows].reset_index(drop=True).assign(completeness_EEG=np.float32(1),
                                                                  completeness_EDA=np.float32(1))
            write_shard(folder / f"{name}.parquet", part, {m: a[rows] for m, a in arrays.items()}, make_meta())
        return folder

    return build


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium without a head, logging its console and its requests."""
    binary, driver = (shutil.which("chromium") or shutil.which("google-chrome")), shutil.which("chromedriver")
    if not (binary and driver):
        pytest.skip("needs chromium and chromedriver (Debian: chromium, chromium-driver)")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(options=options, service=Service(driver))
    yield chrome
    chrome.quit()


def requests(browser: Any) -> list[str]:
    """The addresses asked for since the log was last read."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [message["params"]["request"]["url"] for message in messages
            if message["method"] == "Network.requestWillBeSent"]


@pytest.fixture
def asked_for() -> Callable[[Any], list[str]]:
    """``requests``."""
    return requests
