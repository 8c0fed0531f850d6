"""``python -m himoe.cli``: the same as the command ``himoe``."""

import sys

from himoe.cli import main

sys.exit(main())
