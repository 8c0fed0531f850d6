"""Tables of the paper with our numbers beside the published ones, and those that the paper does not have.

``build_table`` makes a :class:`Table` from the runs whose attributes (set, protocol, task, modality set, method,
variant) fit it; ``to_csv``, ``to_markdown`` and ``to_latex`` render it. A new run in params.yaml appears in every
table it fits. Rows the paper has and we have no run for are printed with the paper's numbers alone, and with what
they would need ("needs FACE").
"""

from himoe.report.tables.build import TABLES, build_table
from himoe.report.tables.reading import how_to_read
from himoe.report.tables.render import cell_text, to_csv, to_latex, to_markdown
from himoe.report.tables.table import Cell, Ours, Table

__all__ = ["TABLES", "Cell", "Ours", "Table", "build_table", "cell_text", "how_to_read", "to_csv", "to_latex",
           "to_markdown"]
