"""Check that dvc.lock was made from this code and these parameters, without needing any data.

Every code list recorded in dvc.lock must be the one the code gives now, and so must the folders that the lists are made
from; every recorded parameter must have the value in params.yaml, every stage of dvc.yaml an entry, and every committed
output its digest.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from himoe.core.yaml_files import read_yaml
from pipeline.code import PACKAGES, code_lists
from pipeline.overlay import look_up, read_study

CODE = "code/"  # what the stage `code` writes; git does not keep it, so it is computed anew
COMMITTED = ("metrics/", "reports/")  # outputs that git keeps
MEASURED = "bench/"  # what git keeps and no stage writes


def lock_problems(lists: Mapping[str, str], folder: Path, names: list[str] | None = None, root: Path | None = None,
                  code: Mapping[str, str | None] | None = None) -> list[str]:
    """What in *folder*'s dvc.lock does not match the code, *folder*'s params.yaml and its committed outputs.

    *lists* are the code lists by name, as :func:`pipeline.code.code_lists` gives them; *names* the stages that
    dvc.yaml defines; None leaves their list and the outputs unchecked. *root* is the project of a study. *code* are the
    digests of the folders that the stage ``code`` reads; None leaves them unchecked.
    """
    lock = read_yaml(folder / "dvc.lock")["stages"]
    params = read_study(folder / "params.yaml", root or folder)[1]
    digests = {f"{CODE}{name}.txt": _md5(text.encode()) for name, text in lists.items()}
    problems = []
    made = {out["path"]: out.get("md5") for stage in lock.values() for out in stage.get("outs", [])}
    if names is not None:
        problems = [f"{name}: in dvc.yaml but not in dvc.lock" for name in names if name not in lock]
        problems += [f"{name}: in dvc.lock but not in dvc.yaml" for name in lock if name not in names]
    for name, stage in lock.items():
        problems += [f"{name}: {problem}" for problem in _code_problems(name, stage, digests, code or {})]
        problems += [f"{name}: {dep['path']} is not what its stage wrote" for dep in stage.get("deps", [])
                     if dep["path"] in made and dep.get("md5") != made[dep["path"]]]
        problems += [f"{name}: {dep['path']} changed since it ran" for dep in stage.get("deps", [])
                     if dep["path"].startswith(MEASURED) and dep.get("md5") != dvc_md5((root or folder) / dep["path"])]
        for key, value in stage.get("params", {}).get("params.yaml", {}).items():
            if look_up(params, key) != value:
                problems.append(f"{name}: parameter {key} changed since it ran")
        for out in stage.get("outs", []) if names is not None else []:
            if out["path"].startswith(COMMITTED) and dvc_md5(folder / out["path"]) != out["md5"]:
                problems.append(f"{name}: {out['path']} is not what it wrote")
    return problems


def _code_problems(name: str, stage: Mapping[str, Any], digests: Mapping[str, str],
                   folders: Mapping[str, str | None]) -> list[str]:
    deps = {dep["path"]: dep.get("md5") for dep in stage.get("deps", [])}
    recorded = {path: md5 for path, md5 in deps.items() if path.startswith(CODE)}
    if name == CODE.rstrip("/"):
        recorded, digests = deps if folders else {}, {path: md5 or "" for path, md5 in folders.items()}
    elif not recorded:
        return ["no code list among its dependencies"]
    return [f"{path}: the code changed since it ran" for path, md5 in recorded.items() if digests.get(path) != md5]


def dvc_md5(path: Path, counts: Callable[[Path], bool] = lambda _: True) -> str | None:
    """DVC's digest of a file, or of a folder (of the sorted list of its files' digests); None if nothing is there.

    *counts* says of a file whether it is one of the folder's (.dvcignore names some that are not).
    """
    if path.is_file():
        return _md5(path.read_bytes())
    if not path.is_dir():
        return None
    files = {p.relative_to(path).as_posix(): p for p in path.rglob("*") if p.is_file() and counts(p)}
    listed = [{"md5": _md5(files[name].read_bytes()), "relpath": name} for name in sorted(files)]
    return _md5(json.dumps(listed, sort_keys=True).encode()) + ".dir"


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def main() -> None:
    """Print what does not match and exit 1, or say that all does."""
    from dvc.repo import Repo

    root = Path(__file__).resolve().parent.parent
    repo = Repo(str(root))
    names = [stage.addressing for stage in repo.index.stages]
    code = {folder: dvc_md5(root / folder, lambda path: not repo.dvcignore.is_ignored_file(str(path)))
            for folder in PACKAGES}
    lists = code_lists(root)
    for lock in sorted(root.glob("reports/*/dvc.lock")):  # needs data that not everybody has: said, not refused
        stale = lock_problems(lists, lock.parent, root=root)
        if stale:
            print(f"{lock.relative_to(root)}: made by an earlier version ({len(stale)} entries differ)")
    problems = lock_problems(lists, root, names, code=code)
    if problems:
        print("\n".join(problems[:40]), file=sys.stderr)
        raise SystemExit(f"error: dvc.lock: {len(problems)} entries do not match; run `make repro` and commit it.")
    print(f"dvc.lock matches code and parameters ({len(names)} stages)")


if __name__ == "__main__":
    main()
