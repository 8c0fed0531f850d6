"""The prose against the tree: links, names, parameters and commands that the pages promise."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
from pathlib import Path

import pytest

from himoe.core.yaml_files import read_yaml

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINK = re.compile(r"\]\(([^)\s]+)\)")
NAME = re.compile(r"(?<![\w/.])((?:himoe|pipeline)(?:\.[A-Za-z_]\w*)+)")
FILE = re.compile(r"(?<![\w/.])((?:himoe|pipeline|tests|docs|reports/real)/[\w/]+\.\w+)")
IMPORT = re.compile(r"^from ((?:himoe|pipeline)[\w.]*) import (.+)$", re.M)
SWITCH = re.compile(r"-S ([\w.]+)=(\S+)")
MAKE = re.compile(r"(?<![\w-])make ((?!it\b)[a-z][a-z-]*)")


def page_names(paths: list[Path]) -> list[str]:
    return [path.relative_to(ROOT).as_posix() for path in paths]


def resolve(dotted: str) -> bool:
    """Whether a dotted name is a module, or an attribute of one."""
    parts = dotted.split(".")
    for depth in range(len(parts), 0, -1):
        name = ".".join(parts[:depth])
        try:
            found = importlib.util.find_spec(name) is not None
        except ModuleNotFoundError:
            found = False
        if found:
            value: object = importlib.import_module(name) if depth < len(parts) else None
            for attribute in parts[depth:]:
                if not hasattr(value, attribute):
                    return False
                value = getattr(value, attribute)
            return True
    return False


def has_key(params: object, dotted: str) -> bool:
    for part in dotted.split("."):
        if not isinstance(params, dict) or part not in params:
            return False
        params = params[part]
    return True


def code_in(text: str) -> str:
    """Fenced blocks and inline code of a page."""
    fenced = re.findall(r"```[a-z]*\n(.*?)```", text, re.S)
    rest = re.sub(r"```.*?```", "", text, flags=re.S)
    return "\n".join([*fenced, *re.findall(r"`([^`]+)`", rest)])


@pytest.mark.parametrize("page", page_names(PAGES))
def test_relative_links_exist(page: str) -> None:
    path = ROOT / page
    targets = [t for t in LINK.findall(path.read_text(encoding="utf-8")) if not re.match(r"[a-z]+:", t)]
    broken = [t for t in targets if not (path.parent / t.split("#")[0]).exists()]
    assert broken == []


@pytest.mark.parametrize("page", page_names(PAGES))
def test_named_modules_and_files_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    code = code_in(text)
    assert sorted({name for name in NAME.findall(code) if not resolve(name)}) == []
    assert sorted({name for name in FILE.findall(code) if not (ROOT / name).is_file()}) == []
    imported = [f"{module}.{name.strip()}" for module, names in IMPORT.findall(code) for name in names.split(",")]
    assert [name for name in imported if not resolve(name)] == []


@pytest.mark.parametrize("page", page_names(PAGES))
def test_switches_are_parameters(page: str) -> None:
    params = read_yaml(ROOT / "params.yaml")
    switches = SWITCH.findall((ROOT / page).read_text(encoding="utf-8"))
    assert [key for key, _ in switches if not has_key(params, key)] == []
    profiles = {value.rstrip("`),.") for key, value in switches if key == "profile"}
    assert profiles <= set(params["profiles"])


@pytest.mark.parametrize("page", page_names(PAGES))
def test_make_targets_exist(page: str) -> None:
    rules = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    wanted = set(MAKE.findall(code_in((ROOT / page).read_text(encoding="utf-8"))))
    assert wanted <= rules


def test_every_parameter_block_is_described() -> None:
    params = read_yaml(ROOT / "params.yaml")
    text = (ROOT / "docs" / "pipeline.md").read_text(encoding="utf-8")
    table = text.split("## Parameters, block by block")[1].split("\n## ")[0]
    described = set(re.findall(r"`([a-z_]+)`", table))
    assert set(params) <= described


def test_every_method_is_described() -> None:
    from himoe.models.methods import method_names

    text = (ROOT / "docs" / "model.md").read_text(encoding="utf-8")
    assert [name for name in method_names() if name != "himoe" and f"`{name}`" not in text] == []


@pytest.mark.parametrize("run", ["deap-himoe", "deap-tacoformer", "deap-features_ridge_person", "dreamer-himoe",
                                 "dreamer-cafnet", "loso-himoe", "loso-features_ridge"])
def test_readme_scores_are_those_of_the_metrics(run: str) -> None:
    metrics = json.loads((ROOT / "metrics" / "runs" / f"{run}.json").read_text(encoding="utf-8"))
    score = f"{metrics['ccc']:.2f} [{metrics['ccc_low']:.2f}, {metrics['ccc_high']:.2f}]"
    assert score in README
