"""The commands that look at data before it is used: ``inspect``, ``check`` and ``study new``."""

from __future__ import annotations

import argparse
import json
import shlex
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

from himoe.cli.values import KNOWN, Commands, add_command, add_layout, count, path, seconds
from himoe.core.errors import InputError, bad_input
from himoe.core.params import FilterParams
from himoe.datasets.folder import DESCRIPTION
from himoe.inspection.checks import LEVELS, WINDOW_S, check_place
from himoe.inspection.locate import place_of
from himoe.inspection.look import inspect_path
from himoe.inspection.propose import write_description
from himoe.inspection.render import report_text

GOOD, WRONG = 0, 1


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


def inspect(options: argparse.Namespace) -> int:
    """``himoe inspect``."""
    if options.write_yaml:
        written, text = write_description(options.path)
        print(f"{text}\nwritten: {written}\nEdit what is marked EDIT, then: himoe check "
              f"{shlex.quote(str(options.path))} --dataset NAME")
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
    from himoe.inspection.new_study import project_root, usual_filters

    try:
        return usual_filters(project_root())
    except (InputError, KeyError):
        return {}


def check(options: argparse.Namespace) -> int:
    """``himoe check``."""
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


def study(options: argparse.Namespace) -> int:
    """``himoe study new``."""
    from himoe.inspection.new_study import new_study

    print(new_study(options.path, options.into, options.dataset, options.layout, options.jobs))
    return GOOD


COMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = {"inspect": inspect, "check": check, "study": study}
