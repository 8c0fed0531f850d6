"""Which files a stage's script imports, directly and through others: what its ``deps`` must list.

``python -m pipeline.closure`` brings the ``.py`` entries of dvc.yaml's ``deps`` up to date;
``python -m pipeline.closure --check`` fails if they are not.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

PACKAGES = ("himoe", "pipeline")


def import_closure(script: Path, root: Path) -> list[str]:
    """Files of this project (paths relative to *root*, sorted) that *script* imports, itself included."""
    seen: set[Path] = set()
    waiting = [script.resolve()]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        waiting += [found for name in imported_names(path) for found in module_files(name, root)]
    return sorted(path.relative_to(root.resolve()).as_posix() for path in seen)


def imported_names(path: Path) -> list[str]:
    """Dotted names of this project's modules that a file imports anywhere, ``from a import b`` as a and a.b."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [name for name in names if name.split(".")[0] in PACKAGES]


def module_files(name: str, root: Path) -> list[Path]:
    """The files behind a dotted name: the module and every package above it; nothing for a plain attribute."""
    parts, files = name.split("."), []
    for depth in range(1, len(parts) + 1):
        base = root.resolve().joinpath(*parts[:depth])
        files += [path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()]
    return files


def stage_script(stage: dict[str, Any], root: Path) -> Path:
    """The script that a stage of dvc.yaml runs, from ``python -m pipeline.<script>`` in its command."""
    command = stage.get("do", stage)["cmd"].split()
    return root.joinpath(*command[command.index("-m") + 1].split(".")).with_suffix(".py")


def update(root: Path, check: bool) -> list[str]:
    """Stages of dvc.yaml whose code ``deps`` differ from their closure; written anew unless *check*."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    path = root / "dvc.yaml"
    document = yaml.load(path.read_text(encoding="utf-8"))
    changed = []
    for name, stage in document["stages"].items():
        body = stage.get("do", stage)
        data = [dep for dep in body["deps"] if not dep.endswith(".py")]
        wanted = [*data, *import_closure(stage_script(stage, root), root)]
        if list(body["deps"]) != wanted:
            changed.append(name)
            body["deps"] = wanted
    if changed and not check:
        with open(path, "w", encoding="utf-8", newline="\n") as stream:
            yaml.dump(document, stream)
    return changed


if __name__ == "__main__":
    stale = update(Path(__file__).resolve().parent.parent, "--check" in sys.argv)
    if stale and "--check" in sys.argv:
        names = ", ".join(stale)
        raise SystemExit(f"dvc.yaml: the code deps of {names} are out of date; run python -m pipeline.closure")
