"""The working copy of a study: this project's code, other parameters, the same cache."""

from __future__ import annotations

from pathlib import Path

import pytest
from pipeline_helpers import ROOT, environment, run_ok, tiny_params, write_params

from pipeline import study
from pipeline.stage import read_yaml


def test_a_working_copy_has_this_code_other_parameters_and_the_shared_cache(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in environment().items():
        monkeypatch.setenv(key, value)
    params = tiny_params()
    write_params(tmp_path, params)
    work = tmp_path / "work"
    (work / "himoe").mkdir(parents=True)
    (work / "himoe" / "gone.py").write_text("", encoding="utf-8")  # left by an earlier version
    study.prepare(ROOT, work, tmp_path / "params.yaml", tmp_path / "dvc.lock")
    for package in ("himoe", "pipeline"):
        copied, own = ({path.relative_to(root): path.read_bytes() for path in (root / package).rglob("*")
                        if path.is_file() and "__pycache__" not in path.parts} for root in (work, ROOT))
        assert copied == own
    for name in ("dvc.yaml", ".dvcignore"):
        assert (work / name).read_bytes() == (ROOT / name).read_bytes()
    assert read_yaml(work / "params.yaml") == params
    assert not (work / "dvc.lock").exists()
    assert Path(run_ok(work, "dvc", "config", "cache.dir").strip()).resolve() == (ROOT / ".dvc" / "cache").resolve()


def test_what_a_study_brings_back_are_outputs_of_stages() -> None:
    stages = read_yaml(ROOT / "dvc.yaml")["stages"].values()
    outputs = [next(iter(out)) for stage in stages for out in [*stage.get("outs", []), *stage.get("metrics", [])]
               if isinstance(out, dict)]
    for name in study.RESULTS:
        assert any(out == name or out.startswith(f"{name}/") for out in outputs), name
