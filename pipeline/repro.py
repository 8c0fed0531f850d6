"""``make repro``: say what will happen, run ``dvc repro``, say what it came to; all of it also in a log.

Arguments are stages, as ``dvc repro`` takes them; nothing is foretold then.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from threading import Thread

from himoe.core.errors import InputError
from himoe.core.progress import duration_text
from pipeline import pace
from pipeline.forecast import Forecast, forecast
from pipeline.mend import mend
from pipeline.screen import Screen, open_screen
from pipeline.seconds import note_seconds
from pipeline.stage import SCRATCH, disk_sentence
from pipeline.warm import REPRO

LOG = SCRATCH / "repro.log"
RUNNING, OTHER = re.compile(r"Running stage '(.*)':"), re.compile(r"Stage '(.*)' ")
KEPT = re.compile(r"\b[1-9]\d*( of \d+ \w+)? kept from before$")  # "0 kept from before" is a stage that began anew
UNLINKED = re.compile(r"No possible cache link types for '(.*)'")  # DVC's words where it may not write
INTERRUPTED = 130


class Watch:
    """What DVC's lines and the stages' say: which stage runs, what each took, the last error."""

    def __init__(self) -> None:
        self.stage, self.since, self.resumed = "", 0.0, False
        self.taken: dict[str, float] = {}
        self.error = self.last = self.refusal = ""

    def __call__(self, line: str) -> None:
        """Take notice of a line of the output."""
        started = RUNNING.fullmatch(line)
        if started or OTHER.match(line):
            self.ended()
        if started:
            self.stage, self.since, self.resumed = started[1], time.monotonic(), False
            self.error = self.last = ""
        elif line.startswith("ERROR: "):
            self.refusal = self.refusal or line.removeprefix("ERROR: ")
        elif line.startswith("error: "):
            self.error = line.removeprefix("error: ")
        elif line.strip() and not self.refusal:
            self.last = line.strip()
        self.resumed |= bool(KEPT.search(line))

    def ended(self) -> None:
        """The stage under way is done; one that went on from before says nothing about the time it takes."""
        if self.stage and not self.resumed:
            self.taken[self.stage] = time.monotonic() - self.since
        self.stage = ""

    def reason(self) -> str:
        """Why it stopped, in one sentence: the stage's own, else its last line, else DVC's."""
        found = UNLINKED.search(self.refusal)
        refusal = found and f"{found[1]}: found no way to put files there, expected one; check disk and permissions"
        return (self.error or (self.last if self.stage else "") or refusal or self.refusal
                or "no reason was given").rstrip(".")


def repro(stages: Sequence[str], screen: Screen) -> int:
    """Run the pipeline and talk about it; the exit code of ``dvc repro``."""
    started, mended = time.monotonic(), mend()
    if mended:
        screen.say(mended)
    found = None if stages else _forecast(screen)
    imports = Thread(target=_import_outcome, daemon=True)
    if found is not None and not found.stages:
        imports.start()  # it will be needed in a moment, and there is a core to spare
    watch = Watch()
    try:
        code = screen.run([*REPRO, *stages], watch)
    finally:
        pace.end()
    took = duration_text(time.monotonic() - started)
    if code == 0:
        watch.ended()
        if watch.taken:
            note_seconds(watch.taken)
        screen.say(f"\n{len(watch.taken)} stages run in {took}." if watch.taken else f"\nNothing to do ({took}).")
        _outcome(screen)
    elif code in (INTERRUPTED, -2):
        screen.say(f"\nInterrupted after {took}. What is finished is kept: make repro goes on from there.")
    else:
        where = f"at stage {watch.stage} " if watch.stage else ""
        screen.say(f"\nStopped {where}after {took}: {watch.reason()}.\nWhat is finished is kept: put that right, then "
                   "make repro goes on from there.")
    screen.say(f"All of this is in {LOG}.")
    return code


def _forecast(screen: Screen) -> Forecast | None:
    """Say what will happen. A mistake in params.yaml is left for DVC and the stages to name."""
    try:
        found = forecast()
    except InputError:
        return None
    screen.say(f"{found.text()}\nLog: {LOG}.\n")
    if found.stages:
        pace.begin(found.by_stage)
    return found


def _import_outcome() -> None:
    import pipeline.outcome  # noqa: F401


def _outcome(screen: Screen) -> None:
    from pipeline.outcome import outcome

    with screen.printed():
        outcome()


def main() -> None:
    """Run it and end with its exit code."""
    try:
        with open_screen(LOG) as screen:
            code = repro(sys.argv[1:], screen)
    except OSError as error:
        raise SystemExit(f"error: {disk_sentence(error)}") from None
    raise SystemExit(code if code >= 0 else INTERRUPTED)


if __name__ == "__main__":
    main()
