"""``python -m pipeline.readme``: write README's results from the evaluated runs; ``--check`` only compares."""

from __future__ import annotations

from pathlib import Path

from himoe.core.errors import InputError
from himoe.core.files import require_file, write_text
from himoe.report.outcome import readme_block, replace_block
from himoe.report.tables import build_table
from pipeline.reports import load_evaluated
from pipeline.stage import main

README = Path("README.md")


def readme(check: str = "") -> None:
    """Replace the block between README's markers; with ``--check`` raise InputError where it is not up to date."""
    if check not in ("", "--check"):
        raise InputError(f"{check}: expected --check or nothing.")
    found = load_evaluated("report", Path("runs"), Path("scores"), Path("metrics"), Path("bench/cost.csv"))
    claims = build_table("claims", found.results, found.comparisons, found.cost, found.settings)
    text = require_file(README).read_text(encoding="utf-8")
    made = replace_block(text, readme_block(found.results, found.comparisons, claims, found.settings))
    if check and made != text:
        raise InputError(f"{README}: its results are not those of metrics/; run python -m pipeline.readme.")
    if made != text:
        write_text(README, made)


if __name__ == "__main__":
    main(readme, ("--check",))
