"""One thin script per stage: read parameters, call the library, write."""

import os
import sys

# Before NumPy and torch are imported, which read them then: processes share out the cores, not threads.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

if sys.argv[:1] == ["-m"] and "HIMOE_WARM" in os.environ:  # this is `python -m pipeline.<stage> ...` being looked up
    from pipeline.warm import forward

    forward(os.environ["HIMOE_WARM"], sys.orig_argv)
