"""Fixtures that tests share."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from quick import RECORD, Recorder, choose_quick, longest_first


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of ``make test-quick`` and ``make test-seconds``."""
    group = parser.getgroup("himoe")
    group.addoption("--quick", action="store_true", help="leave out what takes long by tests/seconds.txt")
    group.addoption("--record-seconds", action="store_true", help="write tests/seconds.txt anew from what runs")


def pytest_configure(config: pytest.Config) -> None:
    """The record is written by the process that hears of every test; of files, xdist keeps the order they come in."""
    config.option.loadscopereorder = False
    if config.getoption("--record-seconds") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(RECORD))


@pytest.hookimpl(trylast=True)  # after -k and -m
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of what was collected only the quick part, if asked for; among several processes the longest file first."""
    if config.getoption("--quick"):
        choose_quick(config, items)
    if hasattr(config, "workerinput"):
        longest_first(items)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny tensors are faster, and sums reproducible, on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session", autouse=True)
def own_scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests, and the processes they start and kill, leave in the system's temporary folder goes with pytest's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("scratch")))
        patch.setenv("TMPDIR", tempfile.gettempdir())
        yield


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
