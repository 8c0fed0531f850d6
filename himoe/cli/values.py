"""What arguments of several commands share: their values, and how a command is described."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from pathlib import Path

from himoe.datasets import DESCRIPTION, NAMES

EXAMPLE = "example:"
Commands = argparse._SubParsersAction  # of argparse.ArgumentParser
KNOWN = f"{' '.join(NAMES)}, or the name in the folder's {DESCRIPTION}"


class Help(argparse.HelpFormatter):
    """Help whose example stays on one line, to be copied."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith(EXAMPLE) else super()._fill_text(text, width, indent)


def by_name(module: str, name: str) -> Callable[[argparse.Namespace], int]:
    """A command of ``himoe.commands``: no code, or its exit code. Its module is loaded by its name, when the command is
    given: PyTorch, pandas and SciPy take seconds, which ``himoe --help`` should not wait for."""
    def command(options: argparse.Namespace) -> int:
        return getattr(importlib.import_module(f"himoe.commands.{module}"), name)(options) or 0
    return command


def add_command(commands: Commands[argparse.ArgumentParser], name: str, short: str, text: str, example: str
                ) -> argparse.ArgumentParser:
    """A command with what it does, in a line and in full, and an example that can be typed."""
    return commands.add_parser(name, help=short, description=text, epilog=f"{EXAMPLE}\n  {example}",
                               formatter_class=Help)


def add_folder(command: argparse.ArgumentParser) -> None:
    """A raw folder, and which set and layout it holds."""
    command.add_argument("folder", type=path, metavar="FOLDER",
                         help=f"recordings with a {DESCRIPTION}, or the raw folder of a known data set")
    command.add_argument("--dataset", metavar="NAME", help=f"the data set, where files of several lie there: {KNOWN}")
    add_layout(command)


def add_layout(command: argparse.ArgumentParser) -> None:
    """Which layout of a set is meant."""
    command.add_argument("--layout", help="which layout, where a set has several (deap: bdf, dat)")


def count(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number from 1 on")
    return int(text)


def seconds(text: str) -> float:
    """Seconds above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected seconds above 0")
    return value


def path(text: str) -> Path:
    """A path; a ``~`` in quotes, or after ``--option=``, is not the shell's."""
    return Path(text).expanduser()
