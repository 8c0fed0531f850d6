"""What ``himoe inspect``, ``check`` and ``study new`` do."""

from __future__ import annotations

import argparse
import json
import shlex
from collections import Counter
from dataclasses import replace

from himoe.core.errors import InputError, bad_input
from himoe.core.params import FilterParams
from himoe.inspection.checks import LEVELS, check_place
from himoe.inspection.locate import place_of
from himoe.inspection.look import inspect_path
from himoe.inspection.propose import write_description
from himoe.inspection.render import report_text

GOOD, WRONG = 0, 1


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
