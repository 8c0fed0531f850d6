"""``python -m pipeline.quick_dvc ARGUMENTS``: DVC, which reads YAML once and dvc.lock quickly, and replaces it whole.

DVC 3.67 puts each stage's entry into dvc.lock with a parser that keeps comments (there are none): half a second per
stage at 4,000 lines, a tenth of that with the other parser. And it writes over the file: a kill in that moment leaves
half of it, with which DVC does not start again (``pipeline.mend`` is for that). It also parses params.yaml again for
every stage that has parameters: a quarter of the time in which ``dvc repro`` finds that nothing is to be done. Plain
``dvc`` leaves the same bytes.
"""

from __future__ import annotations

import pickle
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from himoe.core.files import atomic_path
from pipeline.mend import KEPT, LOCK


def improve(dvcfile: Any) -> None:
    """Give DVC's module *dvcfile* another way to change dvc.lock; one that has no such function stays as it is."""
    from dvc.utils.serialize import dump_yaml, load_yaml

    usual = getattr(dvcfile, "modify_yaml", None)
    if usual is None:
        return

    @contextmanager
    def modify_yaml(path: str, fs: Any = None) -> Iterator[Any]:
        place = Path(path)
        if place.name != LOCK.name:
            with usual(path, fs=fs) as data:
                yield data
            return
        data = load_yaml(path) if place.exists() else {}
        yield data
        with atomic_path(place, durable=True) as copy:
            dump_yaml(str(copy), data)
        kept = place.parent / KEPT
        kept.parent.mkdir(exist_ok=True)
        shutil.copyfile(place, kept)

    dvcfile.modify_yaml = modify_yaml


def remember(module: Any) -> None:
    """Give DVC's *module* a parser of YAML that parses a file's text again when it is another one: a text gives the
    same data. One that has no such function stays as it is."""
    usual = getattr(module, "parse_yaml", None)
    if usual is None:
        return
    known: dict[str, tuple[str, bytes]] = {}

    def parse_yaml(text: str, path: str, *others: Any, **options: Any) -> Any:
        if others or options.get("typ", "safe") != "safe":
            return usual(text, path, *others, **options)
        if path not in known or known[path][0] != text:
            known[path] = text, pickle.dumps(usual(text, path, **options))
        return pickle.loads(known[path][1])  # each time another object: who gets it may change it

    module.parse_yaml = parse_yaml


if __name__ == "__main__":
    from dvc import dvcfile
    from dvc.cli import main
    from dvc.utils import strictyaml
    from dvc.utils.serialize import _yaml

    improve(dvcfile)
    for module in (_yaml, strictyaml):
        remember(module)
    raise SystemExit(main(sys.argv[1:]))
