"""Scores of whole runs with intervals, comparisons of two runs, and calibration. No module here needs torch.

``sums`` keeps a run's predictions as sums per trial; ``bootstrap``, ``swap`` and ``paired`` are the tests and
intervals made of them; ``compare`` says who is compared with whom.
"""

from himoe.scoring.statistics.bootstrap import hierarchical_counts, percentiles
from himoe.scoring.statistics.calibration import calibration_error, calibration_line
from himoe.scoring.statistics.compare import REFERENCE, TASK_METRIC, compare, compare_pair
from himoe.scoring.statistics.paired import corrected_t, holm, power, smallest_p, wilcoxon
from himoe.scoring.statistics.sums import TrialSums, Windows, arrange, sum_trials
from himoe.scoring.statistics.swap import swap_test

__all__ = ["REFERENCE", "TASK_METRIC", "TrialSums", "Windows", "arrange", "calibration_error", "calibration_line",
           "compare", "compare_pair", "corrected_t", "hierarchical_counts", "holm", "percentiles", "power",
           "smallest_p", "sum_trials", "swap_test", "wilcoxon"]
