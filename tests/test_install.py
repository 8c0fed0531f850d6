"""Where torch comes from, and what happens when PyTorch's index is out of reach. Nothing is installed here."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from pipeline_helpers import ROOT

from pipeline import install


@pytest.mark.parametrize("asked, system, gpu, expected", [
    ("", "Linux", False, "cpu"),
    ("", "Linux", True, "default"),
    ("", "Darwin", False, "default"),
    ("cpu", "Linux", True, "cpu"),
    ("cpu", "Darwin", False, "default"),
    ("cuda", "Linux", False, "default"),
    ("default", "Linux", False, "default"),
])
def test_where_torch_comes_from(asked: str, system: str, gpu: bool, expected: str) -> None:
    assert install.torch_source({"HIMOE_TORCH": asked} if asked else {}, system, lambda: gpu) == expected


@pytest.mark.parametrize("asked, system", [("CPU", "Linux"), ("rocm", "Darwin"), ("cuda", "Darwin")])
def test_a_choice_that_cannot_be_had_is_refused_in_one_sentence(asked: str, system: str) -> None:
    with pytest.raises(install.InstallError, match=f"HIMOE_TORCH: found '{asked}'"):
        install.torch_source({"HIMOE_TORCH": asked}, system, lambda: False)


@pytest.mark.parametrize("text, expected", [
    ("#!/bin/sh\necho 'GPU 0: NVIDIA H100'\n", True),
    ("#!/bin/sh\necho 'No devices were found'\n", False),
    ("#!/bin/sh\necho 'GPU 0: NVIDIA H100'\nexit 9\n", False),
    (None, False),
])
def test_a_gpu_is_what_nvidia_smi_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None,
                                        expected: bool) -> None:
    if text is not None:
        (tmp_path / "nvidia-smi").write_text(text, encoding="utf-8")
        (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert install.has_gpu() is expected


# --- the index ----------------------------------------------------------------------------------------------------

class Index(BaseHTTPRequestHandler):
    """Knows the page of torch and no other."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/whl/cpu/torch/" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def index() -> Iterator[str]:
    """Address of a package index on this machine."""
    server = HTTPServer(("127.0.0.1", 0), Index)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/whl"
    server.shutdown()
    server.server_close()


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Commands that would have run; ``pip install`` of torch fails where the list's name says so."""
    ran: list[list[str]] = []

    def record(command: list[str], **_: object) -> SimpleNamespace:
        ran.append(list(command))
        return SimpleNamespace(returncode=1 if "refused" in command else 0)

    monkeypatch.setattr(subprocess, "run", record)
    return ran


def test_an_index_is_asked_once_and_says_why_it_cannot_be_used(index: str) -> None:
    assert install.unreachable(f"{index}/cpu/torch/") == ""
    assert install.unreachable(f"{index}/none/torch/") == "Not Found"
    assert "refused" in install.unreachable("http://127.0.0.1:9/whl/cpu/torch/")


def test_the_cpu_index_is_used_where_it_answers(index: str, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(install, "CPU_INDEX", f"{index}/cpu")
    install.cpu_torch(["pip", "install", "torch"], asked=False)
    assert commands == [["pip", "install", "torch"]]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("page, command, ran", [("none", "torch", 0), ("cpu", "refused", 1)])
def test_without_the_cpu_index_one_sentence_says_so_and_a_wish_for_it_is_an_error(
        index: str, page: str, command: str, ran: int, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(install, "CPU_INDEX", f"{index}/{page}")
    install.cpu_torch(["pip", command], asked=False)
    assert len(commands) == ran
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "CPU-only wheels cannot be had" in said
    with pytest.raises(install.InstallError, match="HIMOE_TORCH=cpu"):
        install.cpu_torch(["pip", command], asked=True)


# --- the commands as a whole --------------------------------------------------------------------------------------

@pytest.mark.parametrize("extra, last", [("", "."), ("dev", ".[dev]")])
def test_torch_is_installed_before_the_rest(extra: str, last: str, tmp_path: Path, index: str,
                                            commands: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("HIMOE_TORCH", "cpu")
    monkeypatch.setattr(install, "CPU_INDEX", f"{index}/cpu")
    monkeypatch.setattr(install, "WARM", ())
    monkeypatch.setattr(install.platform, "system", lambda: "Linux")
    install.install(str(tmp_path / "env"), extra)
    python = str(tmp_path / "env" / "bin" / "python")
    assert commands[0] == [sys.executable, "-m", "venv", str(tmp_path / "env")]
    assert [command[0] for command in commands[1:]] == [python] * 3
    assert commands[2][-4:] == ["--index-url", f"{index}/cpu", *install.requirements(ROOT / "pyproject.toml")]
    assert commands[3][-2:] == ["--editable", last]


def test_it_needs_nothing_that_is_not_there_before_it_ran() -> None:
    """The installer imports the standard library alone; what it compiles exists."""
    text = "import sys; before = set(sys.modules); import pipeline.install; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", text], cwd=ROOT, text=True, capture_output=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded <= set(sys.stdlib_module_names) | {"pipeline"}
    for name in (module for names in install.WARM for module in names):
        assert importlib.util.find_spec(name) is not None, name
