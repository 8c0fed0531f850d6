"""The project's structure: import order, dvc.yaml against the code, parameters against their readers."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pipeline_helpers import ROOT, environment, tiny_params
from toysets import make_store, write_store

from himoe.core.errors import InputError
from himoe.core.files import read_json
from himoe.core.params import AlignmentParams, FaceParams, ModelParams, RunParams, TrainingParams, parse
from himoe.core.recordings import MODALITIES, expand_modalities
from himoe.core.yaml_files import read_yaml
from himoe.datasets import DATASETS
from himoe.models.methods import method_class, method_names
from himoe.scoring.paper import paper_rows
from himoe.simulate.registry import SIMULATORS
from pipeline.code import PACKAGES, WITH_ONE_METHOD, code_lists, import_closure
from pipeline.stage import fill

# A room imports from rooms to its left, or from itself.
ROOMS = ("core", "datasets", "simulate", "prepare", "models", "scoring", "training", "live", "report", "inspection",
         "commands", "cli")
# What reads results and writes tables, figures and pages starts without torch.
WITHOUT_TORCH = ("core", "datasets", "simulate", "scoring", "report", "inspection", "cli")
SCRIPTS_WITHOUT_TORCH = ("code", "plan", "settings", "preprocess", "window", "features", "split", "evaluate", "quality",
                         "tables", "figures", "report")
LEVEL_OF = {name: level for level, name in enumerate(ROOMS)}
LIBRARY = sorted((ROOT / "himoe").rglob("*.py"))
SCRIPTS = sorted((ROOT / "pipeline").rglob("*.py"))


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


def test_a_room_imports_only_from_rooms_above_it_and_nothing_of_dvc_or_the_pipeline() -> None:
    wrong = []
    for path in LIBRARY:
        part = part_of(path)
        level = LEVEL_OF.get(part, -1)  # himoe/__init__.py imports nothing of the library; a new room has no place yet
        for name in imports(path):
            package, _, rest = name.partition(".")
            if package in ("dvc", "pipeline") or (package == "himoe" and rest not in ("", "__version__")
                                                  and LEVEL_OF[rest.partition(".")[0]] > level):
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert wrong == []
    assert set(LEVEL_OF) == {part_of(path) for path in LIBRARY} - {"__init__"}


def test_what_prints_and_draws_needs_no_torch() -> None:
    """Following every import, also those inside functions."""
    parts = [path for path in LIBRARY if part_of(path) in WITHOUT_TORCH]
    scripts = [ROOT / "pipeline" / f"{name}.py" for name in SCRIPTS_WITHOUT_TORCH]
    assert len(parts) > 20
    files = [ROOT / file for file in import_closure([*parts, *scripts], ROOT) if file.endswith(".py")]
    with_torch = [path.relative_to(ROOT).as_posix() for path in files
                  if {name.split(".")[0] for name in imports(path)} & {"torch", "safetensors", "torchvision"}]
    assert with_torch == []


@pytest.mark.nightly
def test_the_scripts_that_print_and_draw_really_start_without_torch() -> None:
    """Following what Python loads, other packages included."""
    text = "; ".join([*(f"import pipeline.{name}" for name in SCRIPTS_WITHOUT_TORCH), "import sys",
                      "print('torch' in sys.modules, 'himoe.report.page' in sys.modules)"])
    done = subprocess.run([sys.executable, "-c", text], cwd=ROOT, env=environment(), text=True, capture_output=True,
                          timeout=600, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_worker_processes_are_made_in_one_place() -> None:
    pools = {"joblib", "multiprocessing", "concurrent", "dask", "distributed"}
    makers = [path.relative_to(ROOT).as_posix() for path in [*LIBRARY, *SCRIPTS]
              if {name.split(".")[0] for name in imports(path) if not name.startswith("concurrent.futures.thread")}
              & pools]
    assert makers == ["himoe/core/cluster.py", "himoe/core/on_worker.py", "himoe/core/workers.py"]


# --- dvc.yaml against the code ------------------------------------------------------------------------------------

STAGES: dict[str, Any] = read_yaml(ROOT / "dvc.yaml")["stages"]


def body_of(name: str) -> dict[str, Any]:
    """A stage's body, or the one that its items share."""
    return STAGES[name].get("do", STAGES[name])


def script_of(name: str) -> str:
    """The script in a stage's command."""
    found = re.match(r"python -m pipeline\.(\w+)( |$)", body_of(name)["cmd"])
    assert found is not None, name
    return found[1]


def paths_of(entries: list[Any]) -> list[str]:
    """Paths of outs, with or without settings."""
    return [path for entry in entries for path in ([entry] if isinstance(entry, str) else entry)]


def test_a_stage_depends_on_the_code_of_its_own_script_and_the_code_stage_on_all() -> None:
    scripts = {script_of(name) for name in STAGES}
    assert {name.partition("-")[0] for name in code_lists(ROOT)} == scripts - {"code"}
    assert all((ROOT / "pipeline" / f"{script}.py").is_file() for script in scripts)
    for name in set(STAGES) - {"code"}:
        script, run = script_of(name), "item" if "foreach" in STAGES[name] else "main"
        expected = f"code/{script}-${{{run}.method}}.txt" if script in WITH_ONE_METHOD else f"code/{script}.txt"
        assert [dep for dep in body_of(name)["deps"] if dep.startswith(("code", *PACKAGES))] == [expected], name
    assert set(STAGES["code"]) == {"desc", "cmd", "deps", "outs"}  # no parameters
    assert (STAGES["code"]["deps"], STAGES["code"]["outs"]) == (list(PACKAGES), ["code"])


def outputs_of(name: str) -> list[str]:
    """What a stage writes."""
    return paths_of([*body_of(name).get("outs", []), *body_of(name).get("metrics", [])])


@pytest.mark.parametrize("name", sorted(set(STAGES) - {"code"}))
def test_what_a_command_reads_is_a_dependency_and_what_it_writes_an_output(name: str) -> None:
    """An argument is an output, a dependency, or a folder above dependencies; each dependency is in one."""
    body, outputs = body_of(name), outputs_of(name)
    assert outputs
    assert set(outputs) <= set(body["cmd"].split())
    read = [word for word in body["cmd"].split()[3:] if word not in outputs]
    deps = [dep for dep in body["deps"] if not dep.startswith("code/")]
    assert all(any(dep == word or dep.startswith(f"{word}/") for word in read) for dep in deps)
    names = [word for word in read if not any(dep == word or dep.startswith(f"{word}/") for dep in deps)]
    of_one_item = ("download", "face", "preprocess", "window", "features", "split", "train")
    assert names == {**{key: ["${key}"] for key in of_one_item}, }.get(name, [])


def test_git_ignores_what_the_remote_keeps_and_no_result() -> None:
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    outputs = [path for name in STAGES for path in outputs_of(name)]
    assert {path.partition("/")[0] for path in outputs if f"/{path.partition('/')[0]}/" not in ignored} == {
        "metrics", "reports"}


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
    name, _, item = stage.partition("@")
    return [fill(text, {**params, "key": item}) for text in body_of(name).get("params", [])]


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
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HIMOE_JOBS", "1")
    monkeypatch.setattr(import_module("himoe.report.figures.style"), "DPI", 30)  # who reads what is asked, not the look
    params = tiny_params()
    params["profiles"]["embedded"]["size"]["deap"].update(subjects=1, trials=2)
    del params["runs"]["face-himoe"]  # the windows of this test are toys without FACE
    scripts = [import_module(f"pipeline.{path.stem}") for path in SCRIPTS if path.stem != "stage"]
    readers = [script for script in scripts if hasattr(script, "stage_params")]

    def read(stage: str, *arguments: str) -> tuple[list[str], set[str]]:
        names, seen = declared(stage, params), set()

        def recorded(asked: str) -> Recorded:
            assert asked == stage
            return Recorded(restricted(params, names), seen)

        for script in readers:
            monkeypatch.setattr(script, "stage_params", recorded)
        name = script_of(stage.partition("@")[0])
        getattr(import_module(f"pipeline.{name}"), name)(*arguments)
        return names, seen

    return read


@pytest.mark.nightly
def test_a_stage_reads_the_parameters_it_declares_and_no_others(stage_reads: Any, tmp_path: Path) -> None:
    windows, features, folds = "data/windows/deap", "data/features/deap", "data/folds/deap"
    shared, measured = "settings/runs", "bench/cost.csv"
    table, page = f"{folds}/trial.csv", ("reports/index.html", "reports/README.md", "reports/figures")
    steps: dict[str, tuple[str, ...]] = {
        "plan": ("settings/protocols", "settings/filters", "settings/lines.json"),
        "download@deap": ("deap", "data/raw/deap"),
        "face@deap": ("deap", "data/raw/deap", "data/faces/deap"),
        "preprocess@deap": ("deap", "data/raw/deap", "data/faces/deap", "settings/filters/deap.json",
                            "data/signals/deap"),
        "window@deap": ("deap", "data/signals/deap", "windows-of-deap"),
        "features@deap": ("deap", windows, features),
        "split@deap": ("deap", windows, folds, "settings/protocols/deap.txt"),
        "settings": ("settings/lines.json", shared, "settings/main.json"),
        **{f"train@deap-{method}": (f"deap-{method}", windows, features, table, f"runs/deap-{method}",
                                    f"{shared}/deap-{method}.json")
           for method in ("himoe", "late_fusion", "mean")},
        "main_run": ("settings/main.json", shared, "runs", windows, features, table, "main/run", "main/evaluation",
                     "metrics/main.json"),
        "evaluate": ("runs", "settings/lines.json", "scores", "metrics/runs", "metrics/comparisons.csv"),
        "cost": ("data/windows", "data/features", shared, "metrics/cost.csv"),
        "quality": ("data/signals", "data/windows", "metrics/quality.csv", "reports/quality.html", "reports/quality"),
        "tables": ("runs", "scores", "metrics", measured, "reports/tables"),
        "figures": ("runs", "scores", "metrics", measured, "reports/figures"),
        "report": ("runs", "scores", "metrics", measured, *page),
    }
    assert {stage.partition("@")[0] for stage in steps} == set(STAGES) - {"code"}
    write_store(tmp_path / windows, make_store())  # small and known, in place of what the window stage wrote
    never = {}
    for stage, arguments in steps.items():
        names, seen = stage_reads(stage, *arguments)  # an undeclared read is a KeyError here
        if unread(names, seen):
            never[stage] = unread(names, seen)
    assert never == {}
    tracks = read_json(tmp_path / "data/faces/deap/faces.json")["videos"]
    assert {name: entry["problem"] for name, entry in tracks.items()} == {"s01/v01": None, "s01/v02": None}


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

PARAMS = read_yaml(ROOT / "params.yaml")  # refuses a name that stands there twice
EXTENDED = read_yaml(ROOT / "reports" / "extended" / "params.yaml")["runs"]  # the rows that the default leaves out
RUNS = {**PARAMS["runs"], "main": PARAMS["main"]}


def modalities_of(run: dict[str, Any]) -> tuple[str, ...]:
    """A run's modalities, of those its data set has."""
    return expand_modalities(run["modalities"], DATASETS[run["set"]].modalities)


def test_every_set_in_params_is_registered() -> None:
    assert set(PARAMS["sets"]) <= set(DATASETS)
    for name, source in PARAMS["sets"].items():
        if source["source"] == "simulate":
            assert name in SIMULATORS
            assert all(name in profile["size"] for profile in PARAMS["profiles"].values())
    assert set(SIMULATORS) <= set(DATASETS)
    assert [dataset.name for dataset in DATASETS.values()] == list(DATASETS)


def test_a_run_names_what_exists() -> None:
    for name, run in RUNS.items():
        assert run["set"] in PARAMS["sets"], name
        assert run["method"] in method_names(), name
        made = parse(RunParams, {**run, "modalities": modalities_of(run)}, "params.yaml", name)
        parse(ModelParams, {**PARAMS["reference"]["model"], **made.model}, "params.yaml", f"{name}.model")
        alignment = {**PARAMS["reference"]["alignment"], **made.alignment}
        parse(AlignmentParams, alignment, "params.yaml", f"{name}.alignment")


def test_no_run_stands_there_twice() -> None:
    assert "main" not in PARAMS["runs"]
    lines = [json.dumps(parse_line(run), sort_keys=True) for run in PARAMS["runs"].values()]
    assert sorted(lines) == sorted(set(lines))


def parse_line(run: dict[str, Any]) -> dict[str, Any]:
    """A run's line without the name of its variant, its defaults filled in and its modalities expanded."""
    defaults = {"task": "regression", "model": {}, "alignment": {}, "shuffle_labels": False}
    return {**defaults, **run, "modalities": modalities_of(run), "variant": ""}


def test_every_profile_names_what_exists() -> None:
    for profile in PARAMS["profiles"].values():
        parse(TrainingParams, profile["training"], "training")
        assert "default" in profile["preprocess"]
        assert set(profile["preprocess"].values()) <= set(PARAMS["preprocess"])
        assert set(profile["preprocess"]) - {"default"} <= set(DATASETS)
        parse(FaceParams, profile["face"], "face")
    for table in PARAMS["preprocess"].values():
        assert set(table) <= set(MODALITIES)


def test_every_method_is_used_by_a_run() -> None:
    assert {run["method"] for run in [*PARAMS["runs"].values(), *EXTENDED.values()]} == set(method_names())


def test_table_2_has_a_run_of_every_network_for_every_modality_set_that_the_data_can_give() -> None:
    wanted = set()
    for (data_set, modalities), _ in paper_rows(2).groupby(["dataset", "modalities"]):
        try:
            expand_modalities(modalities, DATASETS[data_set].modalities)
        except InputError:
            continue
        wanted |= {(data_set, modalities, name) for name in method_names() if method_class(name).gradient}
    assert len(wanted) >= 3 * 8
    there = {(run["set"], run["modalities"], run["method"]) for run in [*PARAMS["runs"].values(), *EXTENDED.values()]
             if run["protocol"] == "trial" and run.get("task", "regression") == "regression" and not run.get("variant")
             and not run.get("shuffle_labels")}
    assert wanted - there == set()


def test_figures_show_a_set_and_methods_that_have_runs() -> None:
    chosen = PARAMS["report"]
    shown = {run["method"] for run in PARAMS["runs"].values()
             if run["set"] == chosen["figure_set"] and run["protocol"] == "trial"}
    assert {"himoe", *chosen["baselines"]} <= shown


def test_the_recorded_lock_is_not_of_another_machine() -> None:
    """Outputs in dvc.lock are named by relative paths."""
    path = ROOT / "dvc.lock"
    if not path.is_file():
        pytest.skip("no dvc.lock yet: run dvc repro")
    for stage in read_yaml(path)["stages"].values():
        for entry in [*stage.get("deps", []), *stage.get("outs", [])]:
            assert not os.path.isabs(entry["path"])
