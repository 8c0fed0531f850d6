"""The project's structure: import order, file sizes, dvc.yaml against the code, parameters against their readers."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pipeline_helpers import ROOT, tiny_params
from toysets import make_store, write_store

from himoe.datasets import DATASETS
from himoe.figures import FIGURES
from himoe.methods import method_names
from himoe.params import MISSING_TRAINING, PROTOCOLS
from himoe.recordings import MODALITIES
from himoe.simulate.generate import SIMULATORS
from himoe.tables import TABLES, runs_of
from pipeline.closure import import_closure, update

# A module imports from levels to its left, or from its own level.
LEVELS = (
    "errors files progress recordings params disk_array workers", "datasets", "simulate",
    "signals windows folds masks batches recording_files", "encoders features experts alignment", "methods",
    "rundata training inference running", "metrics evaluation", "paper tables figures",
)
LEVEL_OF = {name: level for level, names in enumerate(LEVELS) for name in names.split()}
LIBRARY = sorted((ROOT / "himoe").rglob("*.py"))
SCRIPTS = sorted((ROOT / "pipeline").rglob("*.py"))
MAX_LINES = 400


def imports(path: Path) -> Iterator[str]:
    """Dotted names of everything a file imports, anywhere in it; relative imports are not used."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(path: Path) -> str:
    """The first part of a library file's name: ``datasets`` for himoe/datasets/deap.py."""
    return path.relative_to(ROOT / "himoe").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_imports_only_from_modules_above_it(path: Path) -> None:
    part = part_of(path)
    if part == "__init__":
        assert not [name for name in imports(path) if name.startswith("himoe")]
        return
    assert part in LEVEL_OF, f"{path}: give it a place in LEVELS"
    for name in imports(path):
        if name.startswith("himoe."):
            other = name.split(".")[1]
            assert LEVEL_OF[other] <= LEVEL_OF[part], f"{part} imports {other}, which stands below it"


def test_every_level_names_modules_that_exist() -> None:
    assert set(LEVEL_OF) == {part_of(path) for path in LIBRARY} - {"__init__"}


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_library_knows_nothing_of_dvc_or_the_pipeline(path: Path) -> None:
    assert {name.split(".")[0] for name in imports(path)}.isdisjoint({"dvc", "pipeline"})


def test_files_are_short() -> None:
    lengths = {p.relative_to(ROOT).as_posix(): len(p.read_text(encoding="utf-8").splitlines())
               for p in [*LIBRARY, *SCRIPTS]}
    assert len(lengths) > 50
    assert {name: n for name, n in lengths.items() if n > MAX_LINES} == {}


# --- dvc.yaml against the code ------------------------------------------------------------------------------------

def test_code_deps_are_the_import_closure() -> None:
    assert update(ROOT, check=True) == []


def test_the_closure_follows_lazy_imports_and_packages(tmp_path: Path) -> None:
    files = {"pipeline/__init__.py": "", "pipeline/go.py": "def f() -> None:\n    from himoe.a import thing\n",
             "himoe/__init__.py": "", "himoe/a/__init__.py": "from himoe.a import b\n", "himoe/a/b.py": "import os\n",
             "himoe/unused.py": ""}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert import_closure(tmp_path / "pipeline" / "go.py", tmp_path) == [
        "himoe/__init__.py", "himoe/a/__init__.py", "himoe/a/b.py", "pipeline/go.py"]


def test_a_stale_dep_is_found_and_repaired(tmp_path: Path) -> None:
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "go.py").write_text("", encoding="utf-8")
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n  go:\n    cmd: python -m pipeline.go\n    deps:\n      - data.csv\n      - pipeline/gone.py\n",
        encoding="utf-8")
    assert update(tmp_path, check=True) == ["go"]
    assert "gone" in (tmp_path / "dvc.yaml").read_text(encoding="utf-8")
    assert update(tmp_path, check=False) == ["go"]
    assert update(tmp_path, check=True) == []
    assert yaml.safe_load((tmp_path / "dvc.yaml").read_text(encoding="utf-8"))["stages"]["go"]["deps"] == [
        "data.csv", "pipeline/go.py"]


# --- parameters against their readers -----------------------------------------------------------------------------

class Recorded(dict[str, Any]):
    """A dict that notes the dotted name of every value read from it."""

    def __init__(self, values: dict[str, Any], seen: set[str], prefix: str = "") -> None:
        super().__init__(values)
        self.seen, self.prefix = seen, prefix

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        name = f"{self.prefix}{key}"
        self.seen.add(name)
        return Recorded(value, self.seen, f"{name}.") if isinstance(value, dict) else value

    def get(self, key: str, default: Any = None) -> Any:
        try:
            return self[key]
        except KeyError:
            return default

    def __iter__(self) -> Iterator[str]:  # without it ``{**values}`` would copy without a look
        return iter(list(super().__iter__()))

    def items(self) -> Any:
        return [(key, self[key]) for key in self]

    def values(self) -> Any:
        return [self[key] for key in self]


def declared(stage: str, params: dict[str, Any]) -> list[str]:
    """Parameter names that dvc.yaml declares for *stage*, its variables filled in."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    name, _, item = stage.partition("@")
    body = stages[name].get("do", stages[name])
    fill = {"${item}": item, "${key}": item, "${profile}": params["profile"]}
    names = []
    for text in body.get("params", []):
        for variable, value in fill.items():
            text = text.replace(variable, value)
        assert "$" not in text
        names.append(text)
    return names


def restricted(params: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """Those parts of *params* that are named, as ``dvc.api.params_show`` gives them."""
    chosen: dict[str, Any] = {}
    for name in names:
        source, target = params, chosen
        *parents, last = name.split(".")
        for part in parents:
            source, target = source[part], target.setdefault(part, {})
        target[last] = source[last]
    return chosen


def unread(names: list[str], seen: set[str]) -> list[str]:
    return [name for name in names if name not in seen]


@pytest.fixture
def stage_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a stage's function with only its declared parameters; gives declared names and those read."""
    from pipeline import download, evaluate, figures, preprocess, runs, split, tables, train, window

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HIMOE_JOBS", "1")
    params = tiny_params()
    params["profiles"]["embedded"]["size"]["deap"] = {"subjects": 1, "trials": 2}
    params["deap"]["layout"] = "dat"

    def read(stage: str, function: Any, *arguments: str) -> tuple[list[str], set[str]]:
        names, seen = declared(stage, params), set()

        def recorded(asked: str) -> Recorded:
            assert asked == stage
            return Recorded(restricted(params, names), seen)

        for module in (download, evaluate, figures, preprocess, runs, split, tables, train, window):
            if hasattr(module, "stage_params"):
                monkeypatch.setattr(module, "stage_params", recorded)
        function(*arguments)
        return names, seen

    return read


@pytest.mark.slow
def test_a_stage_reads_the_parameters_it_declares_and_no_others(stage_reads: Any, tmp_path: Path) -> None:
    from pipeline import download, evaluate, figures, preprocess, split, tables, train, window

    windows, folds = "data/windows/deap", "data/folds/deap-trial.csv"
    steps: list[tuple[str, Any, tuple[str, ...]]] = [
        ("download@deap", download.download, ("deap", "data/raw/deap")),
        ("preprocess@deap", preprocess.preprocess, ("deap", "data/raw/deap", "data/signals/deap")),
        ("window@deap", window.window, ("deap", "data/signals/deap", "data/windows-of-deap")),
        ("split@deap-trial", split.split, ("deap-trial", "deap", "trial", windows, folds)),
        ("train_main", train.train, ("main", windows, folds, "runs/main")),
        ("train@deap-mean", train.train, ("deap-mean", windows, folds, "runs/deap-mean")),
    ] + [(stage, evaluate.evaluate, (run, windows, folds, f"runs/{run}", f"evaluations/{run}", f"metrics/{run}.json"))
         for stage, run in (("evaluate_main", "main"), ("evaluate@deap-mean", "deap-mean"))] + [
        ("tables", tables.tables, ("metrics", "evaluations", "reports/tables")),
        ("figures", figures.figures, ("metrics", "evaluations", "reports/figures")),
    ]
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert {stage.partition("@")[0] for stage, _, _ in steps} == set(stages)
    write_store(tmp_path / windows, make_store())  # small and known, in place of what the window stage wrote
    never = {}
    for stage, function, arguments in steps:
        names, seen = stage_reads(stage, function, *arguments)  # an undeclared read is a KeyError here
        if unread(names, seen):
            never[stage] = unread(names, seen)
    assert never == {}


def test_the_recorder_finds_undeclared_and_unread_names() -> None:
    seen: set[str] = set()
    values = Recorded(restricted({"a": {"b": 1, "c": 2}, "d": 3, "e": {"f": 4}}, ["a.b", "e"]), seen)
    with pytest.raises(KeyError):
        values["d"]
    with pytest.raises(KeyError):
        values["a"]["c"]
    assert dict(values["a"]) == {"b": 1}
    assert {**values["a"]} == {"b": 1}
    assert seen == {"a", "a.b"}
    assert unread(["a.b", "e"], seen) == ["e"]


# --- params.yaml and the registries -------------------------------------------------------------------------------

PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
RUNS = {**PARAMS["runs"], "main": PARAMS["main"]}


def test_every_set_in_params_is_registered() -> None:
    assert set(PARAMS["sets"]) <= set(DATASETS)
    assert set(PARAMS["sets"]) <= set(PARAMS)
    for name in PARAMS["sets"]:
        if PARAMS[name]["source"] == "simulate":
            assert name in SIMULATORS
            assert all(name in profile["size"] for profile in PARAMS["profiles"].values())
    assert set(SIMULATORS) <= set(DATASETS)
    assert [dataset.name for dataset in DATASETS.values()] == list(DATASETS)


def test_every_run_names_what_exists() -> None:
    for name, run in RUNS.items():
        assert run["method"] in method_names(), name
        assert run["protocol"] in PROTOCOLS, name
        assert run["set"] in PARAMS["sets"], name
        split = {"set": run["set"], "protocol": run["protocol"]}
        assert PARAMS["splits"].get(f"{run['set']}-{run['protocol']}") == split, name
    for profile in PARAMS["profiles"].values():
        assert profile["training"]["missing"] in MISSING_TRAINING
        assert profile["preprocess"] in PARAMS["preprocess"]


def test_every_split_is_named_after_its_set_and_protocol() -> None:
    assert {key: f"{s['set']}-{s['protocol']}" for key, s in PARAMS["splits"].items()} == {
        key: key for key in PARAMS["splits"]}


def test_every_method_is_used_by_a_run_or_documented() -> None:
    documents = "".join(path.read_text(encoding="utf-8") for path in [*(ROOT / "docs").glob("*.md"),
                                                                      *ROOT.glob("README.md")])
    used = {run["method"] for run in RUNS.values()}
    assert {name for name in method_names() if name not in used and f"`{name}`" not in documents} == set()


def test_every_modality_set_names_modalities() -> None:
    for sets in PARAMS["modality_sets"].values():
        for modalities in sets.values():
            assert set(modalities) <= set(MODALITIES)
    for table in PARAMS["preprocess"].values():
        assert set(table) <= set(MODALITIES)


def test_every_report_is_built_from_runs_that_exist() -> None:
    assert set(PARAMS["reports"]) <= {*TABLES, *FIGURES}
    for name, roles in PARAMS["reports"].items():
        assert set(runs_of(roles)) <= set(RUNS), name


def test_every_run_is_reported() -> None:
    reported = {run for roles in PARAMS["reports"].values() for run in runs_of(roles)}
    assert set(PARAMS["runs"]) - reported == set()


def test_the_recorded_lock_is_not_of_another_machine() -> None:
    """Outputs in dvc.lock are named by relative paths."""
    path = ROOT / "dvc.lock"
    if not path.is_file():
        pytest.skip("no dvc.lock yet: run dvc repro")
    for stage in yaml.safe_load(path.read_text(encoding="utf-8"))["stages"].values():
        for entry in [*stage.get("deps", []), *stage.get("outs", [])]:
            assert not os.path.isabs(entry["path"])
