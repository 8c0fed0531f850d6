"""``python -m pipeline.docs``: run the commands of README and docs, and paste what they print into the pages.

Every fenced block of commands stands below a comment that says how it is kept true:

- ``<!-- run: PLACE -->``: run here, in a place that ``PLACES`` prepares. In a ``console`` block each line
  ``$ command`` is followed by what it printed, of which ``PLACE, last N lines`` keeps the end; ``bash`` and
  ``python`` blocks are run and stay as they are, but those of ``run: example``: they run in order in one namespace,
  in an empty folder, and what each prints is pasted as a ``text`` block below it (``pipeline/docs_python.py``).
- ``<!-- tested: tests/FILE.py::TEST -->``: that test reads the page and runs the block.
- ``<!-- log: NAME, first N and last M lines -->``: from the log of a long run:
  ``python -m pipeline.docs NAME LOGFILE``.
- ``<!-- not run: REASON -->``.

Pages may say ``/data`` and ``ssh://server/path``; here they are folders of a temporary place. Five minutes on two
cores.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from himoe.core.errors import InputError
from himoe.core.files import require_file, write_text
from pipeline import docs_example
from pipeline.docs_example import call
from pipeline.docs_python import EXAMPLE, run_example
from pipeline.stage import main

PLACES: dict[str, Callable[[Path, Path], Path]] = {
    "recordings": docs_example.recordings, "deap": docs_example.raw_deap, "project": docs_example.project,
    "clone": docs_example.clone,
}
KINDS = ("run", "tested", "log", "not run")
BLOCK = re.compile(r"(?:<!-- (?P<mark>[^\n]*) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)```\n", re.DOTALL)
LAST = re.compile(r", last (\d+) lines?$")
ENDS = re.compile(r", first (\d+) and last (\d+) lines$")
CUT = "..."


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: ``kind`` and ``what`` are its comment's, empty without one."""

    language: str
    text: str
    kind: str
    what: str

    @property
    def commands(self) -> list[str]:
        """The block's commands, without comments."""
        prompt = "$ " if self.language == "console" else ""
        lines = [line.removeprefix(prompt) for line in self.text.splitlines() if line.startswith(prompt)]
        return [line for line in (re.sub(r"(^|\s+)#.*", "", line) for line in lines) if line]


def pages(root: Path) -> list[Path]:
    """README, the pages in docs and the examples."""
    return [root / "README.md", *sorted((root / "docs").glob("*.md")), *sorted((root / "docs/examples").glob("*.md"))]


def blocks(text: str) -> Iterator[tuple[re.Match[str], Block]]:
    """The fenced blocks of a page and where they are."""
    for found in BLOCK.finditer(text):
        kind, _, what = (found["mark"] or "").partition(": ")
        known = kind in KINDS
        yield found, Block(found["language"], found["text"], kind if known else "", what if known else "")


def docs(name: str = "", log: str = "") -> None:
    """Run every block marked ``run`` and paste; with *name* and *log* paste the ends of that log instead."""
    root = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        for page in pages(root):
            text = require_file(page).read_text(encoding="utf-8")
            made = paste_log(text, name, Path(log)) if name else run_page(root, page, text, Path(folder).resolve())
            if made != text:
                write_text(page, made)
                print(f"{page.relative_to(root)}: written")


def run_page(root: Path, page: Path, text: str, place: Path) -> str:
    """*text* with the output of its ``console`` blocks as it is now; every block marked ``run`` is run."""
    shutil.rmtree(place / "data", ignore_errors=True)  # a study is never written over: each page begins anew
    ready: dict[str, Path] = {}
    if any(block.what == EXAMPLE for _, block in blocks(text)):
        folder = place / EXAMPLE / page.stem
        folder.mkdir(parents=True)
        text = run_example(page.name, text, folder)
    for found, block in blocks(text):
        if block.kind != "run" or block.what == EXAMPLE:
            continue
        name = LAST.sub("", block.what)
        if name not in PLACES:
            raise InputError(f"{page}: found run: {name!r}, expected one of {', '.join(PLACES)}; correct the comment.")
        if name not in ready:
            ready[name] = PLACES[name](root, place)
        started = time.monotonic()
        made = run_block(ready[name], place, block)
        print(f"{time.monotonic() - started:6.1f} s  {page.name}: {block.text.splitlines()[0]}", flush=True)
        text = text.replace(found[0], found[0].replace(f"\n{block.text}```", f"\n{made}```"))
    return text


def run_block(work: Path, place: Path, block: Block) -> str:
    """The block's text after it was run in *work*."""
    if block.language == "python":
        call(work, place, "python -", there(block.text, place))
        return block.text
    last = LAST.search(block.what)
    lines = []
    for command in block.commands:
        printed = back(call(work, place, there(command, place)), place).rstrip().splitlines()
        lines += [f"$ {command}", *ends(printed, 0, int(last[1]) if last else len(printed))]
    return "\n".join(lines) + "\n" if block.language == "console" else block.text


def paste_log(text: str, name: str, log: Path) -> str:
    """*text* with the first and last lines of *log* in the block marked ``log: name, first N and last M lines``."""
    for found, block in blocks(text):
        asked = ENDS.search(block.what)
        if block.kind == "log" and asked and ENDS.sub("", block.what) == name:
            lines = require_file(log).read_text(encoding="utf-8").rstrip().splitlines()
            made = "\n".join(ends(lines, int(asked[1]), int(asked[2]))) + "\n"
            text = text.replace(found[0], found[0].replace(f"\n{block.text}```", f"\n{made}```"))
    return text


def ends(lines: Sequence[str], first: int, last: int) -> list[str]:
    """The first and last of *lines*, with a mark for what is left out."""
    if len(lines) <= first + last:
        return [line.rstrip() for line in lines]
    return [line.rstrip() for line in [*lines[:first], CUT, *lines[len(lines) - last:]]]


def there(text: str, place: Path) -> str:
    """A page's paths as they are here."""
    return text.replace("/data/", f"{place}/data/").replace("ssh://server/path", f"{place}/remote")


def back(text: str, place: Path) -> str:
    """What was printed here as a reader would see it."""
    return text.replace(f"{place}/remote", "ssh://server/path").replace(f"{place}/data", "/data").replace(
        f"{place}/", "")


if __name__ == "__main__":
    main(docs)
