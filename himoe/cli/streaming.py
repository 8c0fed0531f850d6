"""The command that predicts while sensors send: ``stream``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

from himoe.cli.values import KNOWN, Commands, add_command, add_layout, by_name, path, seconds

PORT = 8765


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = add_command(commands, "stream", "predict while sensors send",
                          "Predict every step of a model while its sensors send: over Lab Streaming Layer, or a "
                          "recording played back. Ctrl-C ends it.",
                          "himoe stream my-model --replay recordings --speed 10 --web")
    command.add_argument("model", type=path, metavar="MODEL", help="a model's folder")
    command.add_argument("--replay", type=path, metavar="PATH",
                         help="play recordings back: a folder as for himoe predict, or one file of a device")
    command.add_argument("--dataset", metavar="NAME", help=f"the folder's data set: {KNOWN}")
    add_layout(command)
    command.add_argument("--speed", type=speed, default=1.0, metavar="TIMES",
                         help="so many times real time, or max (default: 1)")
    command.add_argument("--person", metavar="NAME",
                         help="who is played back (default: the first); over LSL: somebody whom the model knows")
    command.add_argument("--trial", metavar="NAME", help="only this trial is played back (default: all)")
    command.add_argument("--lsl", nargs="?", const="", metavar="NAMES",
                         help="read Lab Streaming Layer (the default), streams found by type, or EDA=NAME,EEG=NAME")
    command.add_argument("--drop", metavar="NAMES", help="sensors to do without: EEG, EEG+EDA, PPS, ...")
    command.add_argument("--wait", type=seconds, metavar="SECONDS",
                         help="how long a window waits for late sensors (default: 0.25)")
    command.add_argument("--out", type=path, metavar="FILE", help="table to write as well, .csv or .parquet")
    command.add_argument("--outlet", metavar="NAME", help="send predictions as a stream of Lab Streaming Layer, too")
    command.add_argument("--web", nargs="?", type=port, const=PORT, metavar="PORT",
                         help=f"show a page on this machine (default port: {PORT})")
    command.add_argument("--quiet", action="store_true", help="print no predictions")


def speed(text: str) -> float | None:
    """A number above 0; ``max`` = as fast as it goes (None)."""
    if text == "max":
        return None
    try:
        return seconds(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number above 0, or max") from error


def port(text: str) -> int:
    """A port of this machine; 0 = any free one."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a port from 0 to 65535")
    return int(text)


COMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = {"stream": by_name("streaming", "stream")}
