"""The page: what it serves and to whom, and how it looks in a browser."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from live_sessions import make_session

import himoe
from himoe.core.errors import InputError
from himoe.live.engine import Estimate, Update, stream
from himoe.live.sources import Replay
from himoe.live.web import Page


@pytest.fixture(scope="module")
def updates(model: himoe.Fitted) -> list[Update]:
    """Without EEG; the EMG is flat, the EDA ends early; one event of 200 letters."""
    session = make_session("p1", 10, "t0")
    emg, eda = session.signals["EMG"], session.signals["EDA"]
    emg.data[:] = 1.0
    part = replace(session, signals={"EMG": emg, "EDA": replace(eda, data=eda.data[:, :260])})
    made = list(stream(model, Replay([part], None, set_name="own")))
    return [*made[:-1], replace(made[-1], events=("<b>x</b>" + 200 * "x",))]


@pytest.fixture
def page(model: himoe.Fitted) -> Iterator[Page]:
    made = Page(model.description, "Toys (simulated)")
    yield made
    made.close()


def get(page: Page, path: str, host: str | None = None) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", page.server.server_address[1], timeout=5)
    connection.request("GET", path, headers={} if host is None else {"Host": host})
    answer = connection.getresponse()
    return answer.status, answer.headers["Content-Type"], answer.read().decode()


def test_it_serves_two_addresses_to_this_machine_alone(page: Page, updates: list[Update]) -> None:
    assert page.address.startswith("http://127.0.0.1:")
    assert json.loads(get(page, "/state.json")[2])["count"] == 0
    for update in updates * 10:
        page.show(update)
    status, kind, text = get(page, "/state.json")
    state = json.loads(text, parse_constant=pytest.fail)  # neither NaN nor Infinity
    assert (status, kind) == (200, "application/json; charset=utf-8")
    assert (state["count"], len(state["trail"]), state["source"]) == (190, 60, "Toys (simulated)")
    assert state["predicted"]["valence"]["value"] == updates[-1].predicted["valence"].value
    assert state["sensors"][0]["late_s"] is None
    assert len(text) < 20_000
    assert get(page, "/")[1] == "text/html; charset=utf-8"
    assert [get(page, path)[0] for path in ("/other", "/../web.py", "/state.json?x")] == [404, 404, 200]
    assert [get(page, "/", host)[0] for host in ("evil.example", "localhost:1", "127.0.0.1")] == [404, 200, 200]
    with pytest.raises(InputError, match="choose another with --web PORT"):
        Page(other_form(), "x", page.server.server_address[1])


def other_form() -> Any:
    """What a page needs to know of a model of three classes."""
    return type("Form", (), {"kind": "classification", "thresholds": (3, 5), "method": "m", "data": {},
                             "dimensions": ("valence",), "step_s": 1.0, "level": 0.9})()


@pytest.mark.parametrize(("kind", "thresholds", "end", "said"), [
    ("regression", (5.0,), 1.0, "Shaded: interval that aims at 90 %."), ("regression", (5.0,), np.nan, ""),
    ("classification", (5.0,), np.nan, "Probability of the higher class."),
    ("classification", (3.0, 6.0), np.nan, "The most probable class.")])
def test_it_says_what_is_drawn(browser: Any, model: himoe.Fitted, updates: list[Update], request: pytest.FixtureRequest,
                               kind: str, thresholds: tuple[float, ...], end: float, said: str) -> None:
    page = Page(replace(model.description, kind=kind, thresholds=thresholds), "Toys (simulated)")
    request.addfinalizer(page.close)
    page.show(replace(updates[0], predicted={"valence": Estimate(1.0, end, end)}))
    browser.get(page.address)
    until = time.monotonic() + 20
    while browser.execute_script("return document.documentElement.dataset.drawn") != "1":
        assert time.monotonic() < until, browser.get_log("browser")
        time.sleep(0.1)
    assert browser.find_element("id", "level").text == said


@pytest.mark.parametrize("width", [375, 1280])
def test_it_shows_plane_sensors_and_events(browser: Any, asked_for: Callable[[Any], list[str]], page: Page,
                                           updates: list[Update], width: int) -> None:
    browser.get("about:blank")  # a page of before asks a server that is gone
    browser.get_log("browser")
    browser.get_log("performance")
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500})
    browser.get(page.address)
    for update in updates:
        page.show(update)
    end = time.monotonic() + 20
    while browser.execute_script("return document.documentElement.dataset.drawn") != str(len(updates)):
        assert time.monotonic() < end, browser.get_log("browser")
        time.sleep(0.1)
    text = browser.execute_script("return document.body.innerText")
    assert "himoe on Toys (simulated)" in text
    assert "trial t0, 22.0 s" in text
    lines = [line.text.replace("\n", " ") for line in browser.find_elements("css selector", "#sensors li")]
    assert [line.split()[0] for line in lines] == ["EEG", "EMG", "EDA"]
    assert "absent" in lines[0]
    assert "alive 100 % 2 of 2 flat" in lines[1].replace("● ", "")
    assert "absent" in lines[2]
    assert "<b>x</b>xxx" in text
    point = browser.execute_script("const c = document.querySelector('#plane .now');"
                                   "return [c.cx.baseVal.value, c.cy.baseVal.value]")
    value, arousal = (updates[-1].predicted[name].value for name in ("valence", "arousal"))
    np.testing.assert_allclose(point, [34 + (value - 1) / 8 * 278, 286 - (arousal - 1) / 8 * 278], atol=1e-3)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.get_log("browser") == []
    assert {address.split("/")[2] for address in asked_for(browser) if address.startswith("http")} == {
        page.address.split("/")[2]}
    page.end()
    while "ended after 19 windows" not in browser.execute_script("return document.body.innerText"):
        assert time.monotonic() < end
        time.sleep(0.1)
