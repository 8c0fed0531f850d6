"""Tables of the paper with our numbers beside the published ones.

``load_results`` reads what the evaluate stage wrote, ``build_table`` makes a :class:`Table`,
``to_csv`` and ``to_markdown`` render it.

The parameter block ``reports`` says which run fills which place, one entry a table or figure::

    reports:
      table2:                        # tables whose modalities vary (2, 10): one row a method and modality set,
        - {method: late_fusion, modalities: EEG+PPS, deap: deap-late_fusion, dreamer: dreamer-late_fusion}
        - {method: himoe, modalities: EEG+PPS, deap: deap-himoe, dreamer: dreamer-himoe}   # one run a data set
      table3: {bilstm: deap-bilstm, ianet: deap-ianet, himoe: deap-himoe}   # 3-6, 8, 9: method -> run
      table6: {himoe-no_alignment: deap-himoe-no_alignment, himoe: deap-himoe}
      leak_audit:
        - {label: whole trials held out, run: deap-himoe}
        - {label: windows shuffled, run: deap-himoe-leaky}
      figure2: {himoe: ceap-himoe, late_fusion: ceap-late_fusion}   # method -> run
      figure3: {himoe: deap-himoe, late_fusion: deap-late_fusion}
      figure4a: deap-himoe                                          # one run
      figure4b: [deap-experts1, deap-himoe]                         # runs that differ in emotion experts

Rows the paper has and ``reports`` does not name are printed with the paper's numbers alone, and with what they
would need ("needs FACE").
"""

from himoe.tables.build import TABLES, build_table
from himoe.tables.results import RunResult, load_results, provenance, runs_of, sweep_curve
from himoe.tables.table import Ours, Table, to_csv, to_markdown

__all__ = ["TABLES", "Ours", "RunResult", "Table", "build_table", "load_results", "provenance", "runs_of",
           "sweep_curve", "to_csv", "to_markdown"]
