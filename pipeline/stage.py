"""What every stage shares: its declared parameters, the number of processes, one-sentence errors."""

from __future__ import annotations

import errno
import inspect
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from himoe.core.errors import InputError, bad_input
from himoe.core.files import PART, parts_in
from himoe.core.yaml_files import read_yaml

TODO = dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "make room on the disk and run again")
PARAMS = "params.yaml"
SCRATCH = Path(".himoe")  # finished folds of a run under way, memory maps; never an output
PARTS = SCRATCH / "parts"  # what is being written: no folder that a stage reads ever holds half an output


def stage_params(stage: str) -> dict[str, Any]:
    """The parameters that dvc.yaml declares for *stage* (``name`` or ``name@item``), and no others.

    The same as ``dvc.api.params_show(stages=stage)``, which takes seconds because it resolves every stage.
    """
    params = read_yaml(Path(PARAMS))
    stages = read_yaml(Path("dvc.yaml")).get("stages", {})
    name, _, item = stage.partition("@")
    if name not in stages:
        raise InputError(f"dvc.yaml: found no stage {name!r}, expected one of {', '.join(stages)}; correct the name.")
    body = stages[name]
    variables = dict(params)
    if "foreach" in body:
        items = look_up(params, body["foreach"].strip("${}"), "dvc.yaml: foreach")
        if item not in items:
            raise InputError(f"params.yaml: {body['foreach'].strip('${}')}: found no {item!r}, expected one of "
                             f"{', '.join(map(str, items))}; correct the name or add it.")
        variables |= {"item": items[item], "key": item} if isinstance(items, Mapping) else {"item": item}
        body = body["do"]
    chosen: dict[str, Any] = {}
    for text in body.get("params", []):
        copy_key(params, chosen, fill(text, variables))
    return chosen


def fill(text: str, variables: Mapping[str, Any]) -> str:
    """Replace every ``${a.b}`` in *text*."""
    return re.sub(r"\$\{([^}]+)\}", lambda match: str(look_up(variables, match[1], "dvc.yaml")), text)


def copy_key(source: Mapping[str, Any], target: dict[str, Any], key: str) -> None:
    """Copy the value at a dotted key from one nested mapping to another."""
    value = look_up(source, key, "params.yaml")
    *parents, last = key.split(".")
    for part in parents:
        target = target.setdefault(part, {})
    target[last] = value


def look_up(values: Mapping[str, Any], key: str, where: str) -> Any:
    """The value at a dotted key.

    Raises
    ------
    InputError
        If there is none.
    """
    found: Any = values
    for part in key.split("."):
        if not isinstance(found, Mapping) or part not in found:
            raise InputError(f"{where}: found no key {key!r}, expected a value; add it to params.yaml.")
        found = found[part]
    return found


def jobs() -> int:
    """Worker processes: the environment variable HIMOE_JOBS, else the cores this process may use.

    It is not a parameter because it must not change any result.
    """
    text = os.environ.get("HIMOE_JOBS", "")
    if text and not (text.isdigit() and int(text) >= 1):
        raise InputError(f"HIMOE_JOBS: found {text!r}, expected a whole number of 1 or more; correct it or unset it.")
    return int(text) if text else len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


def main(run: Callable[..., None], options: Sequence[str] = ()) -> None:
    """Call a stage with the command line's arguments; bad input or a full disk ends in one sentence and exit code 1.

    *options* are those that it has; they reach it in their place among the arguments.
    """
    given = sys.argv[1:]
    if {"-h", "--help"} & set(given):
        print(f"{run.__name__} {inspect.signature(run)}\n\n{inspect.getdoc(run)}")
        return
    try:
        require_fitting(run, given, options)
        with parts_in(PARTS):
            run(*given)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except OSError as error:
        print(f"error: {disk_sentence(error)}", file=sys.stderr)
        raise SystemExit(1) from None


def disk_sentence(error: OSError) -> str:
    """What *error* says to a user, who knows outputs by their own names: never by that of an unfinished file."""
    names = [Path(os.fsdecode(name)) for name in (error.filename2, error.filename) if isinstance(name, str | bytes)]
    finished = [name for name in names if not PART.search(name.name)]
    where = finished[0] if finished else names[0].parent if names else "a file of this stage"
    return (f"{where}: found {error.strerror or error}, expected a file that can be read or written; "
            f"{TODO.get(error.errno or 0, 'check the disk and the permissions')}.")


def require_fitting(run: Callable[..., None], given: Sequence[str], options: Sequence[str] = ()) -> None:
    """Refuse arguments that are not those of *run*: too few, too many, or an option that is not one of *options*."""
    wanted = " ".join(name.upper() for name in inspect.signature(run).parameters) or "none"
    try:
        inspect.signature(run).bind(*given)
    except TypeError:
        raise bad_input(f"{run.__name__}: arguments", " ".join(given) or "none", wanted,
                        "call the stage as dvc.yaml does") from None
    for one in given:
        if one.startswith("-") and one not in options:
            raise bad_input(f"{run.__name__}: arguments", one, wanted, "leave the option out")
