"""The command line: ``himoe inspect PATH``, ``himoe check PATH --dataset NAME`` and ``himoe study new FOLDER``."""

from __future__ import annotations

import argparse
import io
import json
import os
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from himoe import __version__
from himoe.core.errors import InputError, bad_input
from himoe.core.params import FilterParams
from himoe.datasets import DATASETS
from himoe.datasets.folder import DESCRIPTION
from himoe.inspection.checks import LEVELS, WINDOW_S, check_place
from himoe.inspection.locate import place_of
from himoe.inspection.look import inspect_path
from himoe.inspection.new_study import new_study, project_root, usual_filters
from himoe.inspection.propose import write_description
from himoe.inspection.render import report_text

GOOD, WRONG, NOT_IDENTIFIED = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    0: identified, or nothing wrong but harmless gaps; 1: ``check`` found what is wrong; 2: bad input.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file name may hold bytes that no encoding can print
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    try:
        code = COMMANDS[options.command](options)
        sys.stdout.flush()
        return code
    except InputError as error:
        print(f"himoe {options.command}: {error}", file=sys.stderr)
        return NOT_IDENTIFIED
    except OSError as error:
        if isinstance(error, BrokenPipeError):  # the reader of our output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return GOOD
        print(f"himoe {options.command}: {error.filename}: found a file that cannot be opened ({error.strerror}), "
              "expected one that can be read; check its permissions.", file=sys.stderr)
        return NOT_IDENTIFIED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="himoe", description="Look at emotion-recognition data before it is used.")
    parser.add_argument("--version", action="version", version=f"himoe {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    inspect = commands.add_parser("inspect", help="say what a folder or file is",
                                  description="Say what a raw folder, a data file or a file of this project is.")
    inspect.add_argument("--all", action="store_true", help="read every subject, not only the first one")
    inspect.add_argument("--write-yaml", action="store_true",
                         help=f"write a {DESCRIPTION} for a folder with recordings of devices, to be edited")
    check = commands.add_parser("check", help="list what is wrong with a data set's raw folder",
                                description="Read a data set's raw folder whole and list what is wrong with it. "
                                            "Exit code 1 if anything is an error.")
    check.add_argument("--window", type=_seconds, default=WINDOW_S, metavar="SECONDS",
                       help=f"length of the windows that trials are cut into (default: {WINDOW_S:g})")
    check.add_argument("--strict", action="store_true", help="what is missing counts as an error, too")
    known = f"{' '.join(DATASETS)}, or the name in the folder's {DESCRIPTION}"
    for command, needed in ((inspect, False), (check, True)):
        command.add_argument("path", type=_path, metavar="PATH")
        command.add_argument("--dataset", required=needed, metavar="NAME", help=f"the data set: {known}")
        command.add_argument("--layout", help="which layout, where a set has several (deap: bdf, dat)")
        _add_jobs(command)
        command.add_argument("--follow-links", action="store_true", help="read links that leave the folder")
        command.add_argument("--json", action="store_true", help="print JSON")
    _study_parser(commands)
    return parser


def _study_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    study = commands.add_parser("study", help="write a small study of your own recordings",
                                description="himoe study new FOLDER: read the recordings in FOLDER and write a small "
                                            "study of them, a params.yaml in a folder of its own.")
    study.add_argument("action", choices=["new"], metavar="new")
    study.add_argument("path", type=Path, metavar="FOLDER", help="recordings with a dataset.yaml, or a known data set")
    study.add_argument("--into", type=Path, metavar="PLACE", help="where to write it (default: FOLDER-study)")
    study.add_argument("--dataset", metavar="NAME", help="the data set, where files of several lie there")
    study.add_argument("--layout", help="which layout, where a set has several (deap: bdf, dat)")
    _add_jobs(study)


def _add_jobs(command: argparse.ArgumentParser) -> None:
    command.add_argument("--jobs", type=_jobs, default=cores(), metavar="N",
                         help="processes that read, one person each (default: one per core)")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _jobs(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number from 1 on")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected seconds above 0")
    return seconds


def _path(text: str) -> Path:
    return Path(text).expanduser()  # a ~ in quotes, or after --option=, is not the shell's


def _inspect(options: argparse.Namespace) -> int:
    if options.write_yaml:
        path, text = write_description(options.path)
        print(f"{text}\nwritten: {path}\nEdit what is marked EDIT, then: himoe check {shlex.quote(str(options.path))} "
              "--dataset NAME")
        return GOOD
    reports = inspect_path(options.path, options.dataset, options.layout, options.all, options.jobs,
                           options.follow_links)
    if options.json:
        print(json.dumps(reports, indent=2, allow_nan=False, ensure_ascii=False))
    else:
        print("\n".join(report_text(report) for report in reports), end="")
    return GOOD


def _usual_filters() -> dict[str, FilterParams]:
    """The project's rates and bands; none where the package stands without the project, or its parameters are wrong."""
    try:
        return usual_filters(project_root())
    except (InputError, KeyError):
        return {}


def _check(options: argparse.Namespace) -> int:
    if not options.path.exists():
        raise bad_input(options.path, "no such file or folder", "a data set's raw folder", "check the path")
    place = place_of(options.path, options.dataset, options.layout)
    findings = check_place(replace(place, follow_links=options.follow_links), options.jobs, options.window,
                           _usual_filters())
    counts = Counter(finding.level for finding in findings)
    wrong = counts["error"] > 0 or (options.strict and counts["missing"] > 0)
    if options.json:
        print(json.dumps({"data": place.label, "set": place.dataset.name, "wrong": wrong,
                          "counts": {level: counts[level] for level in LEVELS},
                          "findings": [vars(finding) for finding in findings]}, indent=2, ensure_ascii=False))
        return WRONG if wrong else GOOD
    width = max(map(len, LEVELS))
    for finding in findings:
        print(f"{finding.level:<{width}}  {finding.text}")
    said = ", ".join(f"{counts[level]} {level}{'s' if level != 'missing' and counts[level] != 1 else ''}"
                     for level in LEVELS)
    print(f"{place.label}: {said}{' (missing pieces count as errors)' if options.strict else ''}")
    return WRONG if wrong else GOOD


def _study(options: argparse.Namespace) -> int:
    print(new_study(options.path, options.into, options.dataset, options.layout, options.jobs))
    return GOOD


COMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = {"inspect": _inspect, "check": _check, "study": _study}


if __name__ == "__main__":
    sys.exit(main())
