"""The Python of an example page: its blocks run in order, and what each prints stands below it."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

EXAMPLE = "example"  # a block of it stands below the comment `run: example`
BLOCK = re.compile(r"<!-- run: example -->\n```python\n(?P<code>.*?)```\n(?:\n```text\n.*?```\n)?", re.DOTALL)


def run_example(page: str, text: str, folder: Path) -> str:
    """*text* with what its blocks print now; they share one namespace and the empty *folder* as working folder.

    What a block raises is passed on; its traceback names *page* and line.
    """
    namespace: dict[str, Any] = {"__name__": "__main__"}

    def run(found: re.Match[str]) -> str:
        above = text[:found.start("code")].count("\n")
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile("\n" * above + found["code"], page, "exec"), namespace)  # the page's own code
        lines = [line.rstrip() for line in said.getvalue().splitlines()]
        below = "\n```text\n" + "\n".join(lines) + "\n```\n" if lines else ""
        return f"<!-- run: example -->\n```python\n{found['code']}```\n{below}"

    with contextlib.chdir(folder):
        return BLOCK.sub(run, text)
