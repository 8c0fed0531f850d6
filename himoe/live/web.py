"""A small page on this machine: the valence–arousal plane and every sensor's state, from the standard library alone."""

from __future__ import annotations

import json
import math
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any

from himoe.core.errors import bad_input
from himoe.live.engine import Update
from himoe.training.description import Description

HOST = "127.0.0.1"
NAMES = ("127.0.0.1", "localhost")  # a page of another name that leads here gets nothing
TRAIL, EVENTS = 60, 30  # predictions and events that are kept for the page
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:"


class Server(ThreadingHTTPServer):
    """A reader who leaves in the middle of an answer is no error."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing on the terminal."""


class Page:
    """Serves the newest prediction on *port* of this machine only (0 = any free one).

    Raises
    ------
    InputError
        If the port is taken.
    """

    def __init__(self, form: Description, source: str, port: int = 0) -> None:
        high = form.scale[1] if form.kind == "regression" else len(form.thresholds)
        low = form.scale[0] if form.kind == "regression" else 0
        self.trail: deque[dict[str, float]] = deque(maxlen=TRAIL)
        self.events: deque[str] = deque(maxlen=EVENTS)
        self.state: dict[str, Any] = {
            "source": source, "method": form.method, "data": str(form.data.get("label", "")), "scale": [low, high],
            "dimensions": list(form.dimensions), "step_s": form.step_s, "level": form.level, "count": 0, "ended": False,
            "classes": 0 if form.kind == "regression" else len(form.thresholds) + 1}
        self.text = json.dumps(self.state)
        page = resources.files("himoe.live").joinpath("page.html").read_text(encoding="utf-8")
        try:
            self.server = Server((HOST, port), _handler(self, page))
        except OSError as error:
            raise bad_input(f"port {port}", f"it taken ({error.strerror})", "a free one",
                            "choose another with --web PORT") from error
        self.address = f"http://{HOST}:{self.server.server_address[1]}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def show(self, update: Update) -> None:
        """Keep one prediction for the page."""
        self.events.extend(update.events)
        predicted = {name: {"value": one.value, "low": one.low, "high": one.high}
                     for name, one in update.predicted.items()}
        if predicted:
            self.trail.append({name: one.value for name, one in update.predicted.items()})
        part = update.part
        self.state |= {
            "count": self.state["count"] + 1, "time_s": update.start_s + update.length_s, "subject": part.subject,
            "trial": part.trial, "predicted": predicted, "trail": list(self.trail), "events": list(self.events),
            "latency_ms": 1000 * update.latency_s, "sensors": [vars(line) for line in update.sensors]}
        self.text = json.dumps(_finite(self.state))

    def end(self) -> None:
        """Say on the page that nothing more will come; it stays."""
        self.state["ended"] = True
        self.text = json.dumps(_finite(self.state))

    def close(self) -> None:
        """Stop serving."""
        self.server.shutdown()
        self.server.server_close()


def _finite(values: Any) -> Any:
    """JSON has no NaN and no infinity: null."""
    if isinstance(values, dict):
        return {key: _finite(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_finite(value) for value in values]
    return None if isinstance(values, float) and not math.isfinite(values) else values


def _handler(page: Page, text: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Two addresses, nothing else."""

        def do_GET(self) -> None:
            name = self.headers.get("Host", "").rsplit(":", 1)[0]
            found = {"/": (text, "text/html"), "/state.json": (page.text, "application/json")}.get(
                self.path.partition("?")[0]) if name in NAMES else None
            body, kind = found or ("", "text/plain")
            data = body.encode()
            self.send_response(200 if found else 404)
            for header, value in (("Content-Type", f"{kind}; charset=utf-8"), ("Content-Length", str(len(data))),
                                  ("Cache-Control", "no-store"), ("Content-Security-Policy", POLICY),
                                  ("X-Content-Type-Options", "nosniff")):
                self.send_header(header, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """The terminal is for predictions."""

    return Handler
