"""The commands that look at data before it is used: ``inspect``, ``check`` and ``study new``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

from himoe.cli.values import KNOWN, Commands, add_command, add_layout, by_name, count, path, seconds
from himoe.datasets import DESCRIPTION
from himoe.inspection import WINDOW_S


def add(commands: Commands[argparse.ArgumentParser], cores: int) -> None:
    """Add the commands; *cores* processes read, unless said otherwise."""
    look = add_command(commands, "inspect", "say what a folder or file is",
                       "Say what a raw folder, a data file or a file of this project is.",
                       "himoe inspect recordings")
    look.add_argument("--all", action="store_true", help="read every subject, not only the first one")
    look.add_argument("--write-yaml", action="store_true",
                      help=f"write a {DESCRIPTION} for a folder with recordings of devices, to be edited")
    test = add_command(commands, "check", "list what is wrong with a data set's raw folder",
                       "Read a data set's raw folder whole and list what is wrong with it. "
                       "Exit code 1 if anything is an error.", "himoe check data/DEAP --dataset deap")
    test.add_argument("--window", type=seconds, default=WINDOW_S, metavar="SECONDS",
                      help=f"length of the windows that trials are cut into (default: {WINDOW_S:g})")
    test.add_argument("--strict", action="store_true", help="what is missing counts as an error, too")
    for command, needed in ((look, False), (test, True)):
        command.add_argument("path", type=path, metavar="PATH")
        command.add_argument("--dataset", required=needed, metavar="NAME", help=f"the data set: {KNOWN}")
        add_layout(command)
        _add_jobs(command, cores)
        command.add_argument("--follow-links", action="store_true", help="read links that leave the folder")
        command.add_argument("--json", action="store_true", help="print JSON")
    _add_study(commands, cores)


def _add_study(commands: Commands[argparse.ArgumentParser], cores: int) -> None:
    command = add_command(commands, "study", "write a small study of your own recordings",
                          "himoe study new FOLDER: read the recordings in FOLDER and write a small study of them, a "
                          "params.yaml in a folder of its own.", "himoe study new recordings --into my-study")
    command.add_argument("action", choices=["new"], metavar="new")
    command.add_argument("path", type=path, metavar="FOLDER", help=f"recordings with a {DESCRIPTION}, or a known set")
    command.add_argument("--into", type=path, metavar="PLACE", help="where to write it (default: FOLDER-study)")
    command.add_argument("--dataset", metavar="NAME", help="the data set, where files of several lie there")
    add_layout(command)
    _add_jobs(command, cores)


def _add_jobs(command: argparse.ArgumentParser, cores: int) -> None:
    command.add_argument("--jobs", type=count, default=cores, metavar="N",
                         help="processes that read, one person each (default: one per core)")


COMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    name: by_name("looking", name) for name in ("inspect", "check", "study")}
