"""The report: one HTML page that opens without a network, and its tables as Markdown.

``build_page`` and ``build_readme`` give the texts; ``BLOCKS`` lists the charts.
"""

from himoe.report.blocks import BLOCKS
from himoe.report.page import build_page, build_readme

__all__ = ["BLOCKS", "build_page", "build_readme"]
