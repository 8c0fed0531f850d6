"""A table's renderings: CSV at full precision, Markdown and LaTeX as printed."""

from __future__ import annotations

import csv
import io
import math

from himoe.report.tables.table import Cell, Ours, Table
from himoe.scoring.paper import PaperValue

NOTHING = "—"
# Characters that LaTeX reads as commands or that its usual fonts lack. Brackets and stars are braced because
# a row end (\\) takes what follows it for its own argument.
_LATEX = str.maketrans({
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''", "[": "{[}", "]": "{]}", "*": "{*}", "±": r"$\pm$", "−": "$-$", "—": "---",
    "–": "--", "×": r"$\times$", "≤": r"$\leq$", "²": "$^2$", "σ": r"$\sigma$", "Δ": r"$\Delta$", "μ": r"$\mu$",
    "ŷ": r"$\hat{y}$", "†": r"\dag{}", "°": r"$^\circ$", "µ": r"$\mu$", "…": r"\ldots{}",
})


def to_markdown(table: Table) -> str:
    """Title, table and notes as Markdown; ours as ``mean ± SD [low, high]``."""
    lines = [f"### {table.title}", "", _line(table.columns), _line(["---"] * len(table.columns))]
    lines += [_line([cell_text(cell) for cell in row]) for row in table.rows]
    if table.notes:
        lines += ["", "Notes", ""] + [f"- {note}" for note in table.notes]
    return "\n".join(lines) + "\n"


def to_csv(table: Table) -> str:
    """The same cells at full precision; SD and interval of our numbers in columns of their own."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    header: list[str] = []
    columns: list[list[str]] = []
    for j, name in enumerate(table.columns):
        cells = [row[j] for row in table.rows]
        header.append(name)
        columns.append([_plain(cell.mean if isinstance(cell, Ours) else cell) for cell in cells])
        for part in ("sd", "low", "high"):
            values = [getattr(cell, part) if isinstance(cell, Ours) else None for cell in cells]
            if any(value is not None for value in values):
                header.append(f"{name} {part}")
                columns.append([_plain(value) for value in values])
    writer.writerow(header)
    writer.writerows(zip(*columns, strict=True))
    return stream.getvalue()


def to_latex(table: Table) -> str:
    r"""A ``longtable`` with the title as caption and the notes as a list, for ``\input``.

    The document needs the packages ``booktabs`` and ``longtable``.
    """
    layout = "".join("l" if any(isinstance(row[j], str) for row in table.rows) else "r"
                     for j in range(len(table.columns)))
    head = " & ".join(latex_text(column) for column in table.columns) + r" \\"
    lines = [r"\begingroup", r"\footnotesize", rf"\begin{{longtable}}{{{layout}}}",
             rf"\caption{{{latex_text(table.title)}}}\label{{tab:{table.name}}} \\",
             r"\toprule", head, r"\midrule", r"\endfirsthead", r"\toprule", head, r"\midrule", r"\endhead",
             r"\bottomrule", r"\endfoot"]
    lines += [" & ".join(latex_text(cell_text(cell)) for cell in row) + r" \\" for row in table.rows]
    lines.append(r"\end{longtable}")
    if table.notes:
        lines += [r"\begin{itemize}", *(rf"\item {latex_text(note)}" for note in table.notes), r"\end{itemize}"]
    return "\n".join([*lines, r"\endgroup"]) + "\n"


def latex_text(text: str) -> str:
    """Text in which LaTeX sees no command."""
    return text.translate(_LATEX)


def cell_text(cell: Cell) -> str:
    """One cell as printed."""
    if cell is None:
        return NOTHING
    if isinstance(cell, Ours):
        return _ours(cell)
    if isinstance(cell, PaperValue):
        return f"{cell.value:g}" + ("*" if cell.reproduced else "")
    return f"{cell:.4g}" if isinstance(cell, float) else str(cell)


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _ours(cell: Ours) -> str:
    if cell.mean is None:
        return "undefined"
    text = _fixed(cell.mean, cell.digits)
    if cell.sd is not None:
        text += f" ± {_fixed(cell.sd, cell.digits)}"
    if cell.low is not None and cell.high is not None:
        text += f" [{_fixed(cell.low, cell.digits)}, {_fixed(cell.high, cell.digits)}]"
    return text


def _fixed(value: float, digits: int) -> str:
    """Never "-0.000"."""
    return f"{round(value, digits) + 0.0:.{digits}f}"


def _plain(cell: Cell) -> str:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if isinstance(cell, PaperValue):
        return repr(cell.value)
    return repr(cell) if isinstance(cell, float) else str(cell)
