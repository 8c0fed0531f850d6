"""dvc.lock after a kill while it was being written: whole again, with all that can be saved.

Below ``make repro`` it is replaced as a whole (``pipeline.quick_dvc``). ``dvc repro`` alone writes over it, for half a
second a stage, and a kill then leaves its first part, or nothing, with which DVC does not start again.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from himoe.core.errors import InputError
from himoe.core.files import write_text
from himoe.core.yaml_files import parse_yaml
from pipeline.stage import SCRATCH

LOCK = Path("dvc.lock")
KEPT = SCRATCH / "dvc.lock"  # a copy of the last one that was written whole
HEAD = "schema: '2.0'\nstages:\n"
ENTRY = re.compile(r"^  (\S.*):\n((?:   .*\n)+)", re.MULTILINE)


def mend() -> str:
    """Put dvc.lock right if it is half a file; what was done, in one sentence, or "".

    Its whole entries are kept. The others are those of the last whole copy, else of the last commit. An entry from
    before only makes DVC look whether the stage's files are still those, so none can make a result wrong.
    """
    text = _read(LOCK)
    if text is None or is_whole(text):
        return ""
    there = {match[1]: match[2] for match in ENTRY.finditer(text) if re.match(r"  \S", text[match.end():])}
    sources = ((KEPT, _read(KEPT)), ("git's last commit", _committed()))
    name, base = next(((name, found) for name, found in sources if found and is_whole(found)), ("", ""))
    write_text(LOCK, HEAD + "".join(f"  {stage}:\n{lines}" for stage, lines in {**entries(base), **there}.items()))
    rest = f"; the others were taken from {name}" if name else ""
    return (f"dvc.lock: found half a file, as a kill leaves it while DVC writes; {len(there)} whole entries in it were "
            f"kept{rest}. What is finished is not run again, but for what DVC can find neither there nor in its cache.")


def is_whole(text: str) -> bool:
    """Whether a *text* is that of a dvc.lock with all that belongs to an entry in each."""
    try:
        lock = parse_yaml(text, LOCK) if text.endswith("\n") else None
    except InputError:
        return False
    return isinstance(lock, Mapping) and "schema" in lock and isinstance(lock.get("stages"), Mapping) and all(
        isinstance(entry, Mapping) and "cmd" in entry and _is_listing(entry.get("deps", []))
        and _is_listing(entry.get("outs", [])) for entry in lock["stages"].values())


def _is_listing(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, Mapping) and "path" in one for one in value)


def entries(text: str) -> dict[str, str]:
    """The lines of every stage by its name, in order."""
    return {match[1]: match[2] for match in ENTRY.finditer(text)}


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _committed() -> str | None:
    try:
        done = subprocess.run(["git", "show", f"HEAD:./{LOCK}"], capture_output=True, check=False)
    except OSError:
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None
