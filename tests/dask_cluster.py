"""A real Dask scheduler and worker processes on this machine's loopback, for tests."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from pipeline_helpers import ROOT, environment

START_S = 90  # a loaded machine is slow
QUIET = {"DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "critical"}


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@dataclass
class DaskCluster:
    """A scheduler and workers of one thread each; a context manager that ends them all."""

    place: Path
    port: int = field(default_factory=free_port)
    code: Path = ROOT
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.start_scheduler()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait()

    def start_scheduler(self) -> None:
        self._start("scheduler", "dask_scheduler", "--host", "127.0.0.1", "--port", str(self.port),
                    "--dashboard-address", "127.0.0.1:0")
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError((self.place / "scheduler.log").read_text(encoding="utf-8"))

    def start_worker(self, name: str, code: Path | None = None, threads: int = 1) -> None:
        """A worker in a folder of its own, where nothing is; *code*: where it finds himoe."""
        self._start(name, "dask_worker", self.address, "--host", "127.0.0.1", "--nthreads", str(threads), "--no-nanny",
                    "--no-dashboard", "--name", name, "--death-timeout", str(START_S), "--local-directory",
                    str(self.place / f"{name}-files"), code=code)

    def heal(self) -> None:
        """Start the scheduler and three workers, as far as they are not there."""
        if "scheduler" not in self.processes:
            for name in list(self.processes):  # they end without their scheduler, but not at once
                self.kill(name)
            self.start_scheduler()
        for number in range(3):
            if f"worker-{number}" not in self.processes:
                self.start_worker(f"worker-{number}")

    def kill(self, name: str) -> None:
        """SIGKILL, as a machine that loses its power."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def _start(self, name: str, module: str, *arguments: str, code: Path | None = None) -> None:
        folder = self.place / name
        folder.mkdir(parents=True, exist_ok=True)
        found = environment(PYTHONPATH=str(code or self.code), **QUIET)
        with open(self.place / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{module}", *arguments], cwd=folder, env=found, stdout=log,
                stderr=log)
