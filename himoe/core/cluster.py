"""A Dask cluster that somebody else has started: tasks go there, what they write comes back.

The address is that of its scheduler: the environment variable HIMOE_SCHEDULER. Whoever reaches a scheduler can run any
code on its workers, so it belongs into a private network, or behind TLS (``docs/cluster.md``).
"""

from __future__ import annotations

import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from himoe.core.errors import InputError, bad_input
from himoe.core.on_worker import Job, identity, identity_there, perform, refusal, refuse, unseen_there
from himoe.core.progress import LINE_S, count_text, note

VARIABLE = "HIMOE_SCHEDULER"
LIMIT_S = 10.0  # for a scheduler's answer
LOGGERS = ("distributed", "distributed.client", "tornado.application")  # what goes wrong is one sentence here
TIMES = 3  # that a task is sent whose data the cluster has lost with a worker
AGAIN = "start the scheduler and its workers, and run again: what is finished is kept"

Done = tuple[int, Any, dict[str, bytes]]  # a task's place, what it gave, the files that it left


def scheduler() -> str:
    """The address of the scheduler that is to be used; "" = none."""
    return os.environ.get(VARIABLE, "")


class Cluster:
    """The workers of the scheduler at *address*; a context manager.

    Raises
    ------
    InputError
        If the address is none, nobody answers there within ``LIMIT_S``, or a worker is not what this process is:
        versions, code, one thread.
    """

    def __init__(self, address: str) -> None:
        self.address = _require_address(address)
        try:
            from distributed import Client
        except ImportError as error:
            raise bad_input(self.address, "no package to talk to a scheduler", "Dask's distributed",
                            'pip install -e ".[cluster]"') from error
        for name in LOGGERS:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            with warnings.catch_warnings(action="ignore"):  # of other versions, which are refused below
                self.client = Client(self.address, timeout=LIMIT_S, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise bad_input(self.address, f"nobody who answers as a scheduler within {LIMIT_S:g} s", "a Dask scheduler",
                            "start one there, or correct the address") from error
        self.identity = identity()
        try:
            self.workers = self._require_alike()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Leave: what is still to be done is dropped, the workers stay."""
        with suppress(Exception):
            self.client.close(timeout=2)

    def dashboard(self) -> str:
        """The address of the scheduler's dashboard; "" = it has none."""
        try:
            return str(self.client.dashboard_link or "")
        except KeyError:
            return ""

    def blind(self, folder: Path, reads: Mapping[str, str]) -> tuple[str, ...]:
        """What the first worker that does not see all of *reads* in *folder* lacks, as arguments of ``bad_input``."""
        found = self._ask(unseen_there, folder=str(folder), reads=dict(reads))
        return next((wrong for wrong in found.values() if wrong), ())

    def map(self, function: Callable[..., Any], shared: Any, tasks: Sequence[Any], label: str,
            reads: Mapping[str, str] | None = None) -> Iterator[Done]:
        """``function(shared, folder, task)`` of every task, as they are done; *shared* goes to each worker once.

        *reads*: what workers read in this process's folder, which they must see (:func:`himoe.core.on_worker.stamp`).

        Raises
        ------
        InputError
            What the function raises; or if a worker does not see the files or is not what it must be, workers die of a
            task, or the scheduler is gone.
        """
        job = Job(_name(function), str(Path.cwd()), dict(reads or {}), self.identity)
        if job.reads:
            refuse(self.blind(Path.cwd(), job.reads))
        shown = self.dashboard()
        note(f"{label}: {count_text(len(tasks), None, 'task')} for {count_text(self.workers, None, 'worker')} of "
             f"{self.address}{f', dashboard: {shown}' if shown else ''}")
        waiting = list(range(len(tasks)))
        for _ in range(TIMES):
            lost: list[int] = []
            yield from self._round(job, shared, tasks, waiting, lost)
            waiting = lost
            if not lost:
                return
        raise bad_input(self.address, f"{count_text(len(waiting), None, 'task')} lost with their workers {TIMES} times",
                        "workers that stay", "look into the workers' logs; is their memory enough?")

    def _round(self, job: Job, shared: Any, tasks: Sequence[Any], waiting: Sequence[int],
               lost: list[int]) -> Iterator[Done]:
        """Send the tasks at *waiting* and give what comes back; those whose data were lost are added to *lost*."""
        from distributed import as_completed

        try:
            [sent] = self.client.scatter([shared], broadcast=True, hash=False)
            futures = {self.client.submit(perform, job, sent, tasks[place], pure=False): place for place in waiting}
            for future in as_completed(list(futures), loop=self.client.loop):
                place = futures.pop(future)
                if future.status == "finished":
                    yield (place, *future.result())
                elif future.status == "error":
                    raise _told(future.exception())
                elif self._gone():
                    raise self._lost()
                else:
                    lost.append(place)
                future.release()
        except (OSError, TimeoutError) as error:
            if isinstance(error, InputError) or not self._gone():
                raise
            raise self._lost() from error

    def _gone(self) -> bool:
        comm = self.client.scheduler_comm
        return self.client.status != "running" or comm is None or comm.closed()

    def _lost(self) -> InputError:
        return bad_input(self.address, "a scheduler that is gone", "one until the work is done", AGAIN)

    def _require_alike(self) -> int:
        """How many workers there are, all of them alike; waits for the first."""
        found = self._ask(identity_there)
        if not found:
            self._wait()
            found = self._ask(identity_there)
        for worker, about in found.items():
            refuse(refusal(worker, about, self.identity))
        return len(found)

    def _wait(self) -> None:
        """Wait for a worker; a task in the queue makes a cluster that grows with its work start one."""
        note(f"{self.address}: no worker yet, waiting for the first")
        first = self.client.submit(identity, pure=False)
        while not first.done():
            with suppress(Exception):  # no time left, or what is wrong with the worker, which is asked next
                first.result(timeout=LINE_S)
            if self._gone():
                raise self._lost()

    def _ask(self, function: Callable[..., Any], **about: Any) -> dict[str, Any]:
        """What *function* gives on every worker, out of turn; a worker that is going is left out."""
        try:
            answers = self.client.run(function, on_error="return", **about)
        except (OSError, TimeoutError) as error:
            raise self._lost() from error
        for worker, answer in answers.items():
            if isinstance(answer, Exception) and not isinstance(answer, OSError):
                raise bad_input(f"worker {worker}", f"no himoe as here ({answer})", self.identity["version of himoe"],
                                "install there what is installed here, and start the worker again") from answer
        return {worker: answer for worker, answer in answers.items() if not isinstance(answer, OSError)}


def _require_address(address: str) -> str:
    if not re.fullmatch(r"[a-z]+://[^\s/]+:\d+", address):
        raise bad_input("the scheduler's address", repr(address), "one such as tcp://10.0.0.1:8786",
                        f"correct {VARIABLE} or --scheduler")
    return address


def _name(function: Callable[..., Any]) -> str:
    """``module:name`` by which a worker finds a function, that of a script under way too."""
    module = function.__module__
    if module == "__main__":
        spec = getattr(sys.modules["__main__"], "__spec__", None)
        module = spec.name if spec else module
    return f"{module}:{function.__qualname__}"


def _told(error: BaseException) -> BaseException:
    """An error of a task; where Dask made it, in words."""
    if type(error).__name__ == "KilledWorker":
        return bad_input("the cluster", f"workers that died of one task, the last {error.args[1].address}",
                         "workers that live", "look into the workers' logs; is their memory enough?")
    return error
