"""The command line: look at data (``inspect``, ``check``, ``study``), make and use a model (``fit``, ``predict``,
``score``, ``explain``, ``stream``), and a first look (``demo``)."""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from himoe import __version__
from himoe.cli import looking, modelling, streaming
from himoe.core.errors import InputError

GOOD, BAD_INPUT, STOPPED = 0, 2, 130
COMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    **looking.COMMANDS, **modelling.COMMANDS, **streaming.COMMANDS}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    0: done, identified, or nothing wrong but harmless gaps; 1: ``check`` found what is wrong; 2: bad input; 130:
    stopped by the user.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file name may hold bytes that no encoding can print
            stream.reconfigure(errors="backslashreplace")
    options = parser().parse_args(arguments)
    try:
        with _stopped_by_signals():
            code = COMMANDS[options.command](options)
            sys.stdout.flush()
        return code
    except InputError as error:
        print(f"himoe {options.command}: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print(f"himoe {options.command}: stopped; nothing half-finished is left.", file=sys.stderr)
        return STOPPED
    except OSError as error:
        if isinstance(error, BrokenPipeError):  # the reader of our output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return GOOD
        print(f"himoe {options.command}: {error.filename}: found a file that cannot be opened ({error.strerror}), "
              "expected one that can be read; check its permissions.", file=sys.stderr)
        return BAD_INPUT


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """What `kill`, a service's stop and a closed terminal send stops a command as Ctrl-C does, not where it stands.

    A stream finishes its table; nothing half-written stays beside a file. Who ignores a signal (nohup) goes on to.
    """
    names = ("SIGTERM", "SIGHUP") if threading.current_thread() is threading.main_thread() else ()
    numbers = [number for number in (getattr(signal, name, None) for name in names)
               if number is not None and signal.getsignal(number) == signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def parser() -> argparse.ArgumentParser:
    """What can be typed."""
    made = argparse.ArgumentParser(
        prog="himoe", epilog="example: himoe demo; each command has its own --help",
        description="Emotion recognition from whatever sensors are alive: look at recordings, fit a model, use it.")
    made.add_argument("--version", action="version", version=f"himoe {__version__}")
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    looking.add(commands, cores())
    modelling.add(commands)
    streaming.add(commands)
    return made


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
