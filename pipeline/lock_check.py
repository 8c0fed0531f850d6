"""Check that dvc.lock was made from this code and these parameters, without needing any data.

Every code dependency recorded in dvc.lock must have the digest of the file in the tree, every recorded
parameter the value in params.yaml, every stage of dvc.yaml an entry, and every committed output its digest.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import yaml


def lock_problems(root: Path, folder: Path, names: list[str] | None = None) -> list[str]:
    """What in *folder*'s dvc.lock does not match the code below *root* and *folder*'s params.yaml.

    *names* are the stages that dvc.yaml defines; None leaves their list and the outputs unchecked.
    """
    lock = yaml.safe_load((folder / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    problems = []
    if names is not None:
        problems = [f"{name}: in dvc.yaml but not in dvc.lock" for name in names if name not in lock]
        problems += [f"{name}: in dvc.lock but not in dvc.yaml" for name in lock if name not in names]
    for name, stage in lock.items():
        for dep in stage.get("deps", []):
            path = root / dep["path"]
            if dep["path"].endswith(".py") and (not path.is_file() or md5(path) != dep["md5"]):
                problems.append(f"{name}: {dep['path']} changed since it ran")
        for key, value in stage.get("params", {}).get("params.yaml", {}).items():
            if look_up(params, key) != value:
                problems.append(f"{name}: parameter {key} changed since it ran")
        for out in stage.get("outs", []) if names is not None else []:
            path = root / out["path"]
            if path.is_file() and md5(path) != out["md5"]:
                problems.append(f"{name}: {out['path']} is not what it wrote")
    return problems


def md5(path: Path) -> str:
    """DVC's digest of a file."""
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def look_up(params: Any, key: str) -> Any:
    """The value at a dotted key, None if it is not there."""
    for part in key.split("."):
        if not isinstance(params, dict) or part not in params:
            return None
        params = params[part]
    return params


def main() -> None:
    """Print what does not match and exit 1, or say that all does."""
    from dvc.repo import Repo

    root = Path(__file__).resolve().parent.parent
    names = [stage.addressing for stage in Repo(str(root)).index.stages]
    for lock in sorted(root.glob("reports/*/dvc.lock")):  # needs data that not everybody has: said, not refused
        stale = lock_problems(root, lock.parent)
        if stale:
            print(f"{lock.relative_to(root)}: made by an earlier version ({len(stale)} entries differ)")
    problems = lock_problems(root, root, names)
    if problems:
        print("\n".join(problems[:40]), file=sys.stderr)
        raise SystemExit(f"error: dvc.lock: {len(problems)} entries do not match; run `make repro` and commit it.")
    print(f"dvc.lock matches code and parameters ({len(names)} stages)")


if __name__ == "__main__":
    main()
