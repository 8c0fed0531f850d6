"""Every command of README and docs is run by the docs build or by a test, or says why not; its output is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pipeline_helpers import ROOT

from himoe.core.errors import InputError
from pipeline import docs
from pipeline.docs import KINDS, PLACES, Block, blocks, pages
from pipeline.docs_python import EXAMPLE

NAMES = [path.relative_to(ROOT).as_posix() for path in pages(ROOT)]
COMMAND = re.compile(r"^(\$ |(make|dvc|himoe|git|python|pip|source|sha256sum) )", re.MULTILINE)
RUNNABLE = ("bash", "console", "python")


def blocks_of(name: str) -> list[Block]:
    return [block for _, block in blocks((ROOT / name).read_text(encoding="utf-8"))]


def library_example() -> str:
    """README's Python."""
    [block] = [block for block in blocks_of("README.md") if block.language == "python"]
    return block.text


def unaccounted(block: Block) -> str:
    """What is wrong with a block's comment, or nothing."""
    if block.language not in RUNNABLE:
        return "commands in a block of another language" if COMMAND.search(block.text) and not block.language else ""
    if block.kind == "run":
        return "" if docs.LAST.sub("", block.what) in (*PLACES, EXAMPLE) else f"no place {block.what!r}"
    if block.kind == "tested":
        path, _, test = block.what.partition("::")
        there = (ROOT / path).is_file() and f"def {test}(" in (ROOT / path).read_text(encoding="utf-8")
        return "" if test and there else f"no test {block.what!r}"
    if block.kind == "log":
        return "" if docs.ENDS.search(block.what) else f"no lines said in {block.what!r}"
    return "" if block.kind == "not run" and len(block.what.split()) >= 5 else "no comment that says who runs it"


@pytest.mark.parametrize("name", NAMES)
def test_every_command_is_run_or_says_why_not(name: str) -> None:
    assert [(problem, block.text) for block in blocks_of(name) if (problem := unaccounted(block))] == []


def test_a_block_that_nobody_runs_is_found() -> None:
    lacking = ["```bash\nmake x\n```\n", "```\ndvc pull\n```\n", "<!-- run: nowhere -->\n```bash\nmake x\n```\n",
               "<!-- tested: tests/test_docs.py::test_of_nothing -->\n```bash\nmake x\n```\n",
               "<!-- not run: no -->\n```bash\nmake x\n```\n", "<!-- a remark -->\n```console\n$ make x\n```\n"]
    assert all(unaccounted(block) for text in lacking for _, block in blocks(text))
    assert [block.kind for _, block in blocks("<!-- not run: x -->\n```bash\nmake x  # y\n```\n")] == ["not run"]


def test_what_is_pasted_is_there() -> None:
    pasted = [(name, block) for name in NAMES for block in blocks_of(name)
              if block.language == "console" and block.kind in ("run", "log")]
    assert len(pasted) >= 6
    assert [name for name, block in pasted if not re.search(r"^(?!\$ ).", block.text, re.MULTILINE)] == []
    assert {block.kind for name in NAMES for block in blocks_of(name)} - {""} == set(KINDS)


def test_commands_are_read_without_prompts_comments_and_outputs() -> None:
    assert Block("console", "$ one -a 1   # why\nits output\n$ two\n", "run", "x").commands == ["one -a 1", "two"]
    assert Block("bash", "one   # why\n\n# a line\ntwo\n", "run", "x").commands == ["one", "two"]


def test_what_commands_print_is_pasted_with_the_reader_s_paths(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text("1\n2\n3\n", encoding="utf-8")
    made = docs.run_block(tmp_path, tmp_path, Block("console", "$ cat /data/a.txt\nold\n$ ls -d /data/*\n", "run", "x"))
    assert made == "$ cat /data/a.txt\n1\n2\n3\n$ ls -d /data/*\n/data/a.txt\n"
    cut = Block("console", "$ cat /data/a.txt   # all\n", "run", "x, last 1 line")
    assert docs.run_block(tmp_path, tmp_path, cut) == "$ cat /data/a.txt\n...\n3\n"
    with pytest.raises(InputError, match="exit code 3, expected 0"):
        docs.run_block(tmp_path, tmp_path, Block("bash", "exit 3\n", "run", "x"))
    with pytest.raises(InputError, match="ZeroDivisionError"):
        docs.run_block(tmp_path, tmp_path, Block("python", "1 / 0\n", "run", "x"))


def test_the_ends_of_a_log_are_pasted_where_they_are_asked_for(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("a\nb\nc\nd\n", encoding="utf-8")
    page = ("<!-- log: long, first 1 and last 2 lines -->\n```console\nold\n```\n"
            "<!-- not run: x -->\n```bash\nold\n```\n")
    assert docs.paste_log(page, "long", log) == page.replace("console\nold\n", "console\na\n...\nc\nd\n")
    assert docs.paste_log(page, "other", log) == page


@pytest.mark.slow
def test_the_page_on_inspection_is_what_the_commands_print(tmp_path: Path) -> None:
    page = ROOT / "docs" / "inspect.md"
    text = page.read_text(encoding="utf-8")
    assert docs.run_page(ROOT, page, text, tmp_path) == text


@pytest.mark.slow
def test_the_page_on_own_data_is_what_the_commands_print(tmp_path: Path) -> None:
    """Its own dataset.yaml, files to match, and all but the training."""
    text = (ROOT / "docs" / "your-own-data.md").read_text(encoding="utf-8")
    first = next(block for _, block in blocks(text) if block.kind == "run")
    assert len(first.commands) == 2
    assert docs.run_block(PLACES["recordings"](ROOT, tmp_path), tmp_path, first) == first.text
