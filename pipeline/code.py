"""Stage ``code``: what each stage's script imports, directly and through others, with digests.

``code/<script>.txt`` lists the files behind ``pipeline/<script>.py``; a stage that depends on it runs again when
one of them changed, and only then. A method's file is loaded by name, so each method has lists of its own:
``code/train-<method>.txt``. Files that are not Python (templates, the paper's numbers) count for the modules that
name their package to ``resources.files`` or ``PackageLoader``.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from himoe.core.files import atomic_path, sha256, write_text
from pipeline.stage import main

PACKAGES = ("himoe", "pipeline")
SCRIPTS = ("plan", "settings", "download", "face", "preprocess", "window", "features", "split", "evaluate", "quality",
           "tables", "figures", "report")
WITH_ONE_METHOD = ("train", "main_run")
WITH_EVERY_METHOD = ("cost",)
READERS = ("files", "PackageLoader")  # functions whose first argument names a package with files to read
# How a stage's process starts, and what is said of it at its end: no output depends on them, so that they are no reason
# to run a stage again.
LEFT_OUT = ("pipeline.warm", "pipeline.finished")


def code(out: str) -> None:
    """Write the lists of this project's files into the folder *out*."""
    with atomic_path(Path(out)) as folder:
        folder.mkdir(parents=True)
        for name, text in code_lists(Path.cwd()).items():
            write_text(folder / f"{name}.txt", text)


def code_lists(root: Path) -> dict[str, str]:
    """Every list by its name: lines of digest and path, sorted by path."""
    scripts = root / "pipeline"
    folder = root / "himoe" / "models" / "methods"
    methods = {path.stem: path for path in sorted(folder.glob("*.py")) if defines_method(path)}
    known: dict[Path, list[Path]] = {}
    files = {name: import_closure([scripts / f"{name}.py"], root, known) for name in SCRIPTS}
    for script in WITH_ONE_METHOD:
        files |= {f"{script}-{name}": import_closure([scripts / f"{script}.py", path], root, known)
                  for name, path in methods.items()}
    for script in WITH_EVERY_METHOD:
        files[script] = import_closure([scripts / f"{script}.py", *methods.values()], root, known)
    digests = {path: sha256(root / path) for path in sorted({path for found in files.values() for path in found})}
    return {name: "".join(f"{digests[path]}  {path}\n" for path in found) for name, found in files.items()}


def defines_method(path: Path) -> bool:
    """Whether a file is a method: it ends in ``METHOD = <its class>`` (found without importing it)."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return any(isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["METHOD"]
               for node in body)


def import_closure(scripts: Sequence[Path], root: Path, known: dict[Path, list[Path]] | None = None) -> list[str]:
    """Files of this project (paths relative to *root*, sorted) that *scripts* import, themselves included.

    *known* holds what each file imports directly, as far as calls before this one have found it.
    """
    known = {} if known is None else known
    root = root.resolve()
    seen: set[Path] = set()
    waiting = [script.resolve() for script in scripts]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        if path not in known:
            known[path] = direct_imports(path, root)
        waiting += known[path]
    return sorted(path.relative_to(root).as_posix() for path in seen)


def direct_imports(path: Path, root: Path) -> list[Path]:
    """The files that one file imports or reads itself; *root* is resolved."""
    if path.suffix != ".py":
        return []
    source = path.read_text(encoding="utf-8")
    found = [*(file for name in read_packages(source) for file in package_data(name, root)),
             *(file for name in imported_names(source) for file in module_files(name, root))]
    return list(dict.fromkeys(found))  # each once: many names share their packages


@cache
def imported_names(source: str) -> tuple[str, ...]:
    """Dotted names of this project's modules that a text imports anywhere, ``from a import b`` as a and a.b."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(name for name in names if name.split(".")[0] in PACKAGES
                 and not any(f"{name}.".startswith(f"{other}.") for other in LEFT_OUT))


@cache
def read_packages(source: str) -> tuple[str, ...]:
    """Dotted names of the packages whose data files a text reads (see ``READERS``)."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    named = [call.args[0].value for call in calls if call.args and isinstance(call.args[0], ast.Constant)
             and ast.unparse(call.func).split(".")[-1] in READERS]
    return tuple(name for name in named if isinstance(name, str) and name.split(".")[0] in PACKAGES)


def package_data(name: str, root: Path) -> list[Path]:
    """The files of a package that are not Python, in its folder and in folders that are no packages themselves."""
    found, folders = [], [root.joinpath(*name.split("."))]
    while folders:
        for path in folders.pop().iterdir():
            if path.is_dir() and path.name != "__pycache__" and not (path / "__init__.py").is_file():
                folders.append(path)
            elif path.is_file() and path.suffix != ".py":
                found.append(path)
    return found


def module_files(name: str, root: Path) -> list[Path]:
    """The files behind a dotted name: the module and every package above it; nothing for a plain attribute."""
    parts, files = name.split("."), []
    for depth in range(1, len(parts) + 1):
        base = root.joinpath(*parts[:depth])
        files += [path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()]
    return files


if __name__ == "__main__":
    main(code)
