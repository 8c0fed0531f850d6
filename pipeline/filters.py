"""Rates and bands of a set's modalities: which table of params.yaml is its, and what stands in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from himoe.core.errors import bad_input
from himoe.core.params import FilterParams, parse
from himoe.core.recordings import check_modality
from pipeline.stage import PARAMS


def table_name(tables: Mapping[str, Any], choice: Mapping[str, str], name: str) -> str:
    """The table of rates and bands chosen for a set, else that of ``default``."""
    if not isinstance(choice, Mapping):
        raise bad_input("params.yaml: profiles.*.preprocess", repr(choice), "tables by set, such as {default: quick}",
                        "write it as a mapping")
    table = choice.get(name) or choice.get("default", "")
    if table not in tables:
        raise bad_input(f"params.yaml: profiles.*.preprocess.{name if name in choice else 'default'}", repr(table),
                        " or ".join(tables), "correct the name")
    return table


def filter_table(values: Mapping[str, Any], table: str) -> dict[str, FilterParams]:
    """Rates and bands by modality, as the table of that name holds them."""
    return {check_modality(m): parse(FilterParams, entry, PARAMS, f"preprocess.{table}.{m}")
            for m, entry in values.items()}
