"""A command's output on this terminal and, line by line without bars and colours, in a log."""

from __future__ import annotations

import contextlib
import io
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b(\[[0-9;?]*)?$")  # whole, or begun at the end
SKIPPED = re.compile(r"Stage '.*' (didn't change, skipping|is cached - skipping run, checking out outputs)")
LOOK_S = 0.2  # without output, until it is asked whether the command still runs
HELD = "Stage '"  # a line that starts so is held back until it is whole: it may be one to leave out


class Screen:
    """Prints to standard output and to *log*; what is on the screen is in the log too."""

    def __init__(self, log: TextIO) -> None:
        self.log = log
        self.partial, self.given = b"", 0  # the line that is not yet whole, and how much of it was shown

    def say(self, text: str = "") -> None:
        """Print lines of our own."""
        print(text, flush=True)
        self._keep(text)

    @contextlib.contextmanager
    def printed(self) -> Iterator[None]:
        """What is printed inside the block is said when it ends well."""
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            yield
        self.say(text.getvalue().rstrip("\n"))

    def run(self, command: Sequence[str], watch: Callable[[str], None]) -> int:
        """Run *command*, show what it prints, tell *watch* each line; its exit code."""
        reader, writer = _channel()
        process = subprocess.Popen(command, stdout=writer, stderr=writer)
        os.close(writer)
        try:
            while True:
                try:
                    # A process that the command left behind may hold its end open for good.
                    if not select.select([reader], [], [], LOOK_S)[0]:
                        if process.poll() is None:
                            continue
                        break
                    data = os.read(reader, 2**16)
                except KeyboardInterrupt:  # the command has had it too, and ends by itself
                    continue
                except OSError:  # how a terminal ends
                    break
                if not data:
                    break
                self.feed(data, watch)
            return _wait(process)
        finally:
            os.close(reader)

    def feed(self, data: bytes, watch: Callable[[str], None]) -> None:
        """Show bytes of a command's output; lines of stages that did not change are left out."""
        self.partial += data
        while b"\n" in self.partial:
            line, _, self.partial = self.partial.partition(b"\n")
            text = plain(line)
            watch(text)
            if self.given or not SKIPPED.fullmatch(text):
                _show(line[self.given:].rstrip(b"\r") + b"\n")
                self._keep(text)
            self.given = 0
        text = plain(self.partial)
        if self.given or not (HELD.startswith(text) or text.startswith(HELD)):
            _show(self.partial[self.given:])
            self.given = len(self.partial)

    def _keep(self, text: str) -> None:
        self.log.write(f"{text}\n")
        self.log.flush()


@contextlib.contextmanager
def open_screen(log: Path) -> Iterator[Screen]:
    """A screen whose lines are added to the file *log*, below the date."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as stream:
        stream.write(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
        yield Screen(stream)


def plain(line: bytes) -> str:
    """What a line shows in the end: without colours, and without what a carriage return has written over."""
    return ESCAPES.sub("", line.decode("utf-8", "replace")).rstrip("\r").rpartition("\r")[2].rstrip()


def _show(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _channel() -> tuple[int, int]:
    """A descriptor to read from and one for the command: a terminal where this is one, so that bars are drawn."""
    if not (sys.stdout.isatty() and sys.stderr.isatty()) or sys.platform == "win32":
        return os.pipe()
    import fcntl
    import pty
    import termios

    reader, writer = pty.openpty()
    size = fcntl.ioctl(sys.stdout.fileno(), termios.TIOCGWINSZ, b"\0" * 8)
    fcntl.ioctl(writer, termios.TIOCSWINSZ, size)
    return reader, writer


def _wait(process: subprocess.Popen[bytes]) -> int:
    while True:
        with contextlib.suppress(KeyboardInterrupt):
            return process.wait()
