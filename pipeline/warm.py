"""``python -m pipeline.warm COMMAND``: run a command whose stages start in a tenth of a second instead of four.

Most of a short stage's time is the import of torch and pandas. This process starts the command (``dvc repro``),
imports them once, when the first stage asks, and for each ``python -m pipeline.<stage> ...`` below it forks itself: the
stage runs in the fork, with the arguments, folder, environment and output of the process that asked. A stage that finds
no such process, or one that has imported other code than what is on disk now, runs by itself.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

IMPORTED = ("himoe.training.running", "himoe.training.masked", "himoe.models.methods.himoe",
            "himoe.prepare.signals", "himoe.prepare.features", "pyarrow.parquet", "safetensors.torch", "scipy.signal",
            "sklearn.linear_model", "joblib", "pydantic.type_adapter")
NO_STAGES = ("pipeline.warm", "pipeline.quick_dvc")  # what stages are started by
# `dvc repro`, as everything here runs it.
REPRO = (sys.executable, "-m", "pipeline.warm", sys.executable, "-m", "pipeline.quick_dvc", "repro")
RUN_IT_YOURSELF = "run it yourself"


def code_stamp(root: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of change of every file of code below *root*."""
    files = sorted(path for package in ("himoe", "pipeline") for path in (root / package).rglob("*.py"))
    return [(str(path), (found := path.stat()).st_size, found.st_mtime_ns) for path in files]


def forward(address: str, argv: Sequence[str]) -> None:
    """Let the process at *address* run ``python -m MODULE ARGUMENTS`` and end with its exit code; or return."""
    place = list(argv).index("-m") if "-m" in argv else -1
    module = argv[place + 1] if 0 <= place < len(argv) - 1 else ""
    if place != 1 or module in NO_STAGES or not hasattr(socket, "send_fds"):
        return
    request = {"module": module, "arguments": list(argv[place + 2:]), "folder": os.getcwd(),
               "environment": dict(os.environ)}
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(address)
            socket.send_fds(client, [json.dumps(request).encode() + b"\n"], [0, 1, 2])
            answer = client.makefile().readline()
        except OSError:
            return
        except KeyboardInterrupt:  # the fork is interrupted too: it belongs to the same terminal
            raise SystemExit(130) from None
    if answer.strip() == RUN_IT_YOURSELF or not answer:
        return
    os._exit(int(answer))


def serve(listener: socket.socket, command: subprocess.Popen[bytes], stamp: list[tuple[str, int, int]]) -> None:
    """Answer requests, one after another, until the command has ended."""
    while command.poll() is None:
        ready, _, _ = select.select([listener], [], [], 0.1)
        if ready:
            _import()
            with listener.accept()[0] as client:
                _answer(client, listener, stamp)


def _import() -> None:
    """Import what stages need; costs nothing from the second call on."""
    with warnings.catch_warnings(action="ignore"):
        for name in IMPORTED:
            __import__(name)


def _answer(client: socket.socket, listener: socket.socket, stamp: list[tuple[str, int, int]]) -> None:
    text, descriptors, _, _ = socket.recv_fds(client, 2**16, 3)
    while text and not text.endswith(b"\n"):
        more = client.recv(2**16)
        text += more or b"\n"
    try:
        request = json.loads(text)
    except ValueError:
        return
    if Path(request["folder"]) != Path.cwd() or code_stamp(Path.cwd()) != stamp:
        client.sendall(f"{RUN_IT_YOURSELF}\n".encode())
    else:
        child = os.fork()
        if child == 0:
            listener.close()
            client.close()
            _run(request, descriptors)
        code = _wait(child, client)
        with contextlib.suppress(OSError):  # who asked may be gone
            client.sendall(f"{code}\n".encode())
    for descriptor in descriptors:
        os.close(descriptor)


def _wait(child: int, client: socket.socket) -> int:
    """The exit code of *child*, which is ended when the process that asked is gone."""
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) & 0xFF
        ready, _, _ = select.select([client], [], [], 0.02)
        if ready and not client.recv(1):
            os.kill(child, signal.SIGTERM)
            time.sleep(0.02)


def _run(request: Mapping[str, object], descriptors: Sequence[int]) -> None:
    """In the fork: become the stage, and end."""
    atexit._clear()  # what was registered so far is for the server's end
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    os.environ.clear()
    os.environ.update(request["environment"])  # type: ignore[call-overload]
    sys.argv = [str(request["module"]), *request["arguments"]]  # type: ignore[misc]
    code = 1
    try:
        runpy.run_module(str(request["module"]), run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        _finish()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _finish() -> None:
    """What an interpreter does at its end: worker processes go, and their files with them."""
    workers = sys.modules.get("joblib.externals.loky.reusable_executor")
    executor = getattr(workers, "_executor", None)
    if executor is not None:
        executor.shutdown(wait=True, kill_workers=True)
    atexit._run_exitfuncs()


def warm(command: Sequence[str]) -> int:
    """Run *command* and serve its stages; the command's exit code."""
    from himoe.core.files import part_path, parts_in  # here: each stage's process imports this module to ask
    from pipeline.stage import PARTS, disk_sentence

    stamp, address = code_stamp(Path.cwd()), part_path(PARTS, "stages")
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(parts_in(PARTS))
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind(str(address))
            listener.listen()
        except OSError as error:
            print(f"error: {disk_sentence(error)}", file=sys.stderr)
            return 1
        try:
            process = subprocess.Popen(command, env={**os.environ, "HIMOE_WARM": str(address)})
            with contextlib.suppress(KeyboardInterrupt):  # the command has had it too, and ends by itself
                serve(listener, process, stamp)
            return process.wait()
        finally:
            address.unlink(missing_ok=True)


if __name__ == "__main__":
    raise SystemExit(warm(sys.argv[1:]))
