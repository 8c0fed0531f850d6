"""Stage ``split``: write who is tested when, for one data set under every protocol, and audit it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from himoe.core.checksums import write_sums
from himoe.core.errors import InputError, bad_input
from himoe.core.files import atomic_path, require_file, write_text
from himoe.core.params import PROTOCOLS, SplitParams, parse
from himoe.prepare.folds import ROLES, make_folds, require_honest
from himoe.prepare.unrated import describe_unrated
from himoe.prepare.windows import read_shard
from pipeline.stage import PARAMS, main, stage_params


def split(name: str, windows: str, out: str, plan: str = "") -> None:
    """Write the fold tables of data set *name* to the folder *out*; trials without a label are in none.

    A protocol that the data does not allow (people held out with two people) leaves a text that says why, and is
    refused where a run needs it. *plan* is the file of the plan stage that says which protocols are needed.
    """
    params = stage_params(f"split@{name}")
    profile = params["profile"]
    settings = parse(SplitParams, params["profiles"][profile]["split"], PARAMS, f"profiles.{profile}.split")
    index = pd.concat([read_shard(path, ())[0] for path in sorted(Path(windows).glob("*.parquet"))],
                      ignore_index=True)
    with atomic_path(Path(out)) as folder:
        folder.mkdir(parents=True)
        for protocol in PROTOCOLS:
            try:
                folds = make_folds(index, protocol, settings, params["seed"])
                require_roles(folds)
            except InputError as error:
                write_text(folder / f"{protocol}.txt", f"{name}, {protocol}: {error}\n")
                continue
            require_honest(index, folds, protocol)
            text = io.StringIO()
            folds.to_csv(text, index=False, lineterminator="\n")
            write_text(folder / f"{protocol}.csv", text.getvalue())
        if not any(folder.glob("*.csv")):
            reasons = (path.read_text(encoding="utf-8").strip() for path in sorted(folder.glob("*.txt")))
            raise InputError(f"{windows}: no protocol can split this set: {' '.join(reasons)}")
        if plan:
            require_wanted(name, folder, require_file(Path(plan)).read_text(encoding="utf-8").split())
        unrated = describe_unrated(Path(windows))
        if unrated:
            note = f"{name}: without a label, kept for prediction and left out of the folds: {unrated}."
            write_text(folder / "unrated.txt", f"{note}\n")
            print(note)
        write_sums(folder)


def require_wanted(name: str, folder: Path, wanted: Sequence[str]) -> None:
    """Refuse the first protocol of *wanted* that has no fold table in *folder*."""
    for protocol in wanted:
        why = folder / f"{protocol}.txt"
        if why.is_file():
            reason = why.read_text(encoding="utf-8").strip().removeprefix(f"{name}, {protocol}: ").rstrip(".")
            possible = [one for one in PROTOCOLS if (folder / f"{one}.csv").is_file()]
            raise bad_input(f"params.yaml: main and runs of set {name}",
                            f"protocol {protocol!r}, which {name} does not allow ({reason})",
                            f"one that it allows ({', '.join(possible)})", "change them, or rate or record more")


def require_roles(folds: pd.DataFrame) -> None:
    """Refuse folds with nothing to train, to validate or to test with: too little was there to deal out."""
    for fold, part in folds.groupby("fold"):
        empty = [role for role in ROLES if role not in set(part["role"])]
        if empty:
            raise bad_input(f"fold {fold}", f"nothing for {' and '.join(empty)}", "some for " + ", ".join(ROLES),
                            "use more data or another protocol")


if __name__ == "__main__":
    main(split)
