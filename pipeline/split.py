"""Stage ``split``: write who is tested when, for one data set and protocol, and audit it."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd

from himoe.files import write_text
from himoe.folds import make_folds, require_honest
from himoe.params import SplitParams, parse
from himoe.windows import read_shard
from pipeline.stage import main, stage_params


def split(key: str, name: str, protocol: str, windows: str, out: str) -> None:
    """Write the fold table of data set *name* under *protocol* to *out*."""
    params = stage_params(f"split@{key}")
    profile = params["profile"]
    settings = parse(SplitParams, params["profiles"][profile]["split"], f"profiles.{profile}.split")
    index = pd.concat([read_shard(path, ())[0] for path in sorted(Path(windows).glob("*.parquet"))],
                      ignore_index=True)
    folds = make_folds(index, protocol, settings, params["seed"])
    require_honest(index, folds, protocol)
    text = io.StringIO()
    folds.to_csv(text, index=False, lineterminator="\n")
    write_text(Path(out), text.getvalue())


if __name__ == "__main__":
    main(split)
