"""A run on a Dask cluster, which the tests start on this machine: the bytes of a run here, whatever dies meanwhile."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dask_cluster import DaskCluster, free_port
from pipeline_helpers import ROOT, no_faces, stage, workbench
from test_cli_models import write_recordings
from toysets import file_bytes, make_config, make_data, make_store, write_feature_store, write_store

from himoe.cli import main
from himoe.core import cluster as core_cluster
from himoe.core.checksums import folder_digest
from himoe.core.cluster import VARIABLE, Cluster, scheduler
from himoe.core.errors import InputError
from himoe.core.on_worker import shards_stamp, stamp
from himoe.core.params import RunConfig
from himoe.core.workers import map_written, own_gpu
from himoe.training import running
from himoe.training.rundata import RunData, load_run_data
from himoe.training.running import train_run

pytestmark = pytest.mark.slow  # a scheduler and its workers are started

pytest.importorskip("distributed")


@dataclass(frozen=True)
class Project:
    """A folder with shards, and the run on them as it is made without a cluster."""

    folder: Path
    config: RunConfig
    data: RunData
    inputs: dict[str, str]
    expected: dict[str, bytes]

    def train(self, place: Path) -> dict[str, bytes]:
        train_run(self.config, self.data, place / "out", place / "kept", self.inputs, 1)
        return file_bytes(place / "out")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Three folds and two seeds in groups of two, so that each of three workers has one."""
    folder, windows, features = tmp_path_factory.mktemp("project"), Path("data/windows"), Path("data/features")
    config = make_config(seeds=(0, 1), epochs=6, models_at_once=2, patience=9,
                         model={"eeg_encoder": "bands", "signal_encoder": "features"})
    store = make_store(4, 6, 5)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_feature_store(features, write_store(windows, store))
        table = make_data(config, store, n_folds=3).folds
        data = load_run_data(config, windows, features, table, 0.5, Path("maps"))
        inputs = {str(features): folder_digest(features, "*.parquet"), "folds": "b", "code": "c"}
        train_run(config, data, Path("out"), Path("kept"), inputs, 1)
    return Project(folder, config, data, inputs, file_bytes(folder / "out"))


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    with DaskCluster(tmp_path_factory.mktemp("cluster")) as made:
        yield made


@pytest.fixture
def dask(processes: DaskCluster, project: Project, monkeypatch: pytest.MonkeyPatch) -> DaskCluster:
    """A scheduler and three workers; this process is in the project's folder and is told of them."""
    processes.heal()
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv(VARIABLE, processes.address)
    with Cluster(processes.address) as found:
        found.client.wait_for_workers(3, timeout=90)
    return processes


@pytest.fixture
def after_first(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Have something done when the first model has come back."""
    def plan(act: Callable[[], None]) -> None:
        def acting(items: Iterable[Any], *_: Any) -> Iterator[Any]:
            for place, item in enumerate(items):
                if place == 0:
                    act()
                yield item
        monkeypatch.setattr(running, "progress", acting)
    return plan


def test_workers_that_see_the_shards_read_them_and_the_run_has_the_bytes_of_one_made_here(
    dask: DaskCluster, project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert project.train(tmp_path) == project.expected
    told = capsys.readouterr().err
    assert f"toy-run: 3 tasks for 3 workers of {dask.address}, dashboard: http://127.0.0.1:" in told
    assert "are sent" not in told
    assert len(list((tmp_path / "kept").iterdir())) == 6


def test_workers_without_the_shards_are_named_and_get_the_windows_and_the_bytes_are_the_same(
    dask: DaskCluster, project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = {**project.inputs, "data/features": "0" * 64}  # as if theirs were older than these
    blind = Project(project.folder, project.config, project.data, other, {})
    assert blind.train(tmp_path) == project.expected
    assert (f"toy-run: the windows are sent to the workers, because {project.folder}/data/features on worker "
            "tcp://127.0.0.1:") in capsys.readouterr().err


def test_a_worker_killed_in_the_middle_changes_no_byte(
    dask: DaskCluster, project: Project, tmp_path: Path, after_first: Callable[[Callable[[], None]], None]
) -> None:
    after_first(lambda: [dask.kill(name) for name in ("worker-0", "worker-1")] and None)
    assert project.train(tmp_path) == project.expected


@pytest.mark.nightly
def test_when_the_scheduler_dies_finished_models_are_kept_and_the_next_run_goes_on(
    dask: DaskCluster, project: Project, tmp_path: Path, after_first: Callable[[Callable[[], None]], None],
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core_cluster, "LIMIT_S", 2.0)
    after_first(lambda: dask.kill("scheduler"))
    with pytest.raises(InputError, match=rf"^{dask.address}: found a scheduler that is gone, .* is kept\.$"):
        project.train(tmp_path)
    kept = len(list((tmp_path / "kept").iterdir()))
    assert kept >= 2
    assert not (tmp_path / "out").exists()
    monkeypatch.undo()
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv(VARIABLE, dask.address)
    dask.heal()
    assert project.train(tmp_path) == project.expected
    assert f"{kept} of 6 models kept from before" in capsys.readouterr().err


def test_a_model_is_fitted_there_as_it_is_here(dask: DaskCluster, tmp_path: Path,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(write_recordings(tmp_path / "recordings"))
    arguments = ["fit", folder, "--method", "late_fusion", "--epochs", "2"]
    assert main([*arguments, "--out", str(tmp_path / "there"), "--scheduler", dask.address]) == 0
    monkeypatch.delenv(VARIABLE)
    assert main([*arguments, "--out", str(tmp_path / "here")]) == 0
    assert file_bytes(tmp_path / "there") == file_bytes(tmp_path / "here")


@pytest.mark.nightly
def test_the_stages_preprocess_and_window_write_there_what_they_write_here(dask: DaskCluster, tmp_path: Path) -> None:
    """By the stages' own scripts, two people; workers see the folder because it is this machine's."""
    project = workbench(tmp_path / "bench")
    no_faces(project)
    for script, *arguments in (["plan", "settings/protocols", "settings/filters", "settings/lines.json"],
                               ["download", "deap", "data/raw/deap"]):
        assert stage(project, script, *arguments).returncode == 0
    read = ["deap", "data/raw/deap", "data/faces/deap", "settings/filters/deap.json"]
    for script, given, out in (("preprocess", read, "signals"), ("window", ["deap", "signals-here"], "windows")):
        assert stage(project, script, *given, f"{out}-here").returncode == 0
        done = stage(project, script, *given, f"{out}-there", **{VARIABLE: dask.address})
        assert done.returncode == 0, done.stderr
        assert f"{script} deap: 2 tasks for 3 workers of {dask.address}" in done.stderr
        assert file_bytes(project / f"{out}-there") == file_bytes(project / f"{out}-here")
    stopped = stage(project, "window", "deap", "signals-here", "windows-again",
                    **{VARIABLE: f"tcp://127.0.0.1:{free_port()}"})
    assert (stopped.returncode, stopped.stderr.count("\n")) == (1, 1)
    assert "nobody who answers as a scheduler within 10 s" in stopped.stderr


def other_himoe(folder: Path) -> Path:
    """A copy of the code whose package says that it is another version."""
    for name in ("himoe", "pipeline"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    about = folder / "himoe-0.0.9.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: himoe\nVersion: 0.0.9\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("wrong", ["version", "code", "threads"])
def test_a_worker_that_is_not_as_here_is_refused_in_one_sentence(wrong: str, dask: DaskCluster, tmp_path: Path) -> None:
    code = other_himoe(tmp_path / "code") if wrong != "threads" else ROOT
    if wrong == "code":
        shutil.rmtree(code / "himoe-0.0.9.dist-info")
        with (code / "himoe" / "core" / "errors.py").open("a", encoding="utf-8") as stream:
            stream.write("# changed\n")
    with Cluster(dask.address) as before:
        dask.start_worker("other", code, threads=3 if wrong == "threads" else 1)
        before.client.wait_for_workers(4, timeout=90)
    expected = {"version": "version of himoe: found 0.0.9, expected 0.1.0, as here; install",
                "code": "code of himoe: found [0-9a-f]{12}, expected [0-9a-f]{12}, as here; install",
                "threads": "threads: found 3, expected 1, as here; start workers with --nthreads 1"}[wrong]
    try:
        with pytest.raises(InputError, match=rf"^worker tcp://127.0.0.1:\d+: {expected}[^\n]*\.$"):
            Cluster(dask.address)
    finally:
        dask.kill("other")


def nothing(shared: object, out: Path, task: object) -> None:
    """Never called."""


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="needs a path that is another in each process")
def test_a_worker_without_the_data_is_told_with_path_and_address(dask: DaskCluster, project: Project) -> None:
    """Each worker stands in an empty folder of its own."""
    here = "/proc/self/cwd/data/windows"
    with pytest.raises(InputError, match=rf"^{here} on worker tcp://127.0.0.1:\d+ \(.+\): found nothing, expected what "
                                         r"is here[^\n]*; share the project's folder[^\n]*\.$"):
        list(map_written(nothing, None, project.folder, ["s1"], 1, "window toy", [here]))
    with pytest.raises(InputError, match="found other shards than here"), Cluster(scheduler()) as found:
        list(found.map(nothing, None, [1], "toy", {"data/windows": shards_stamp("0" * 64)}))


def test_an_address_that_is_none_or_does_not_answer_is_said_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core_cluster, "LIMIT_S", 0.5)
    address = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(InputError, match=rf"^{address}: found nobody who answers as a scheduler within 0.5 s, "):
        Cluster(address)
    with pytest.raises(InputError, match=r"^the scheduler's address: found '10.0.0.1', expected one such as tcp://"):
        Cluster("10.0.0.1")


def test_a_stamp_sees_names_sizes_and_times(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    file = tmp_path / "a" / "b" / "one.bin"
    file.write_bytes(b"123")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    found = [stamp(tmp_path / "a"), stamp(tmp_path / "link")]
    assert found[0] == found[1]
    file.write_bytes(b"1234")
    found.append(stamp(tmp_path / "a"))
    file.rename(file.with_name("two.bin"))
    found.append(stamp(tmp_path / "a"))
    assert len(set(found)) == 3


def test_processes_here_share_the_gpus_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getpid", lambda: 11)
    assert own_gpu(4) == 3
    monkeypatch.setattr("himoe.core.on_worker._AT_WORK", ["tcp://10.0.0.1:1"])
    assert own_gpu(4) == 0
