"""Bringing data in: links, downloads from a server on this machine, provenance."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import logging
import os
import threading
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from himoe.core.errors import InputError
from himoe.core.recordings import Session
from himoe.datasets import fetch
from himoe.datasets.base import Channels, Dataset, Inventory, RemoteFile

SUBJECTS = ("a", "b", "c")
CONTENT = {f"{subject}.json": json.dumps({"values": list(range(n, n + 50))}).encode()
           for n, subject in enumerate(SUBJECTS)}
ARGUMENTS = ("HIMOE_TEST_USER", "HIMOE_TEST_PASSWORD")


def inspect(root: Path, options: Mapping[str, str]) -> Inventory:
    there = tuple(subject for subject in SUBJECTS if (root / "data" / f"{subject}.json").is_file())
    if not there:
        raise InputError(f"{root}: no subject")
    return Inventory(there, tuple(f"data/{s}.json" for s in SUBJECTS if s not in there))


def read(root: Path, subject: str, options: Mapping[str, str]) -> Iterator[Session]:
    yield Session(subject, {}, ())


TOY = Dataset(
    name="toy", title="Toy: a set", citation="Nobody, 2020.", doi="10.0/0", licence="CC0", access="Ask nobody.",
    redistributable=True, dimensions=("valence",), scale=(1.0, 9.0), thresholds=(5.0,),
    modalities={"EDA": Channels(("EDA",), 4.0, "uS")}, inspect=inspect, read=read,
    files=tuple(RemoteFile(f"data/{name}", "http://unused.invalid/" + name, hashlib.sha256(content).hexdigest())
                for name, content in CONTENT.items()),
    patterns=("data/*.json",))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    (root / "data").mkdir(parents=True)
    for name, content in CONTENT.items():
        (root / "data" / name).write_bytes(content)
    (root / "private notes.txt").write_text("not part of the set")
    (root / "data" / "b.bak").write_text("nor this")
    return root


class Server:
    """A web server on this machine whose answers a test can spoil."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes] = {f"/data/{name}": content for name, content in CONTENT.items()}
        self.failures: Counter[str] = Counter()
        self.cut: Counter[str] = Counter()
        self.login: str | None = None
        self.requests: Counter[str] = Counter()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *arguments: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path
        self.requests[path] += 1
        status, body = 200, self.answers.get(path, b"")
        if self.login and handler.headers.get("Authorization") != self.login:
            status = 401
        elif path not in self.answers:
            status = 404
        elif self.failures[path] > 0:
            self.failures[path] -= 1
            status = 503
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if self.cut[path] > 0:
            self.cut[path] -= 1
            body = body[:20]
        handler.wfile.write(body if status == 200 else b"x" * len(body))

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


def nothing_left(out: Path) -> bool:
    return not out.exists() and not list(out.parent.glob(".*.part"))


# --- local ---


def test_local_links_only_what_belongs(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "raw" / "toy"
    fetch.obtain_local(TOY, source, out, {})
    found = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert found == ["data/a.json", "data/b.json", "data/c.json", "provenance.json"]
    assert os.path.samefile(out / "data/a.json", source / "data/a.json")
    assert not (out / "data/a.json").is_symlink()
    assert fetch.read_provenance(out)["source"] == "local"


@pytest.mark.parametrize("refused", [("link",), ("link", "symlink")])
def test_local_falls_back_to_symlink_and_copy(
        source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: tuple[str, ...]) -> None:
    def refuse(*arguments: Any) -> None:
        raise OSError("not on this file system")

    for name in refused:
        monkeypatch.setattr(os, name, refuse)
    out = tmp_path / "raw" / "toy"
    fetch.obtain_local(TOY, source, out, {})
    assert (out / "data/b.json").is_symlink() == ("symlink" not in refused)
    assert (out / "data/b.json").read_bytes() == CONTENT["b.json"]


def test_local_warns_of_missing_files(source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (source / "data/b.json").unlink()
    with caplog.at_level(logging.WARNING):
        fetch.obtain_local(TOY, source, tmp_path / "out", {})
    assert "1 of its files are missing: data/b.json" in caplog.text
    provenance = fetch.read_provenance(tmp_path / "out")
    assert provenance["subjects"] == ["a", "c"]
    assert provenance["missing"] == ["data/b.json"]


def test_local_with_nothing_usable_keeps_what_was_there(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    fetch.obtain_local(TOY, source, out, {})
    before = (out / "provenance.json").read_bytes()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no subject"):
        fetch.obtain_local(TOY, tmp_path / "empty", out, {})
    assert (out / "provenance.json").read_bytes() == before
    with pytest.raises(InputError, match="missing"):
        fetch.obtain_local(TOY, tmp_path / "nowhere", out, {})


@pytest.mark.parametrize("out", [".", "data/out", ".."])
def test_local_refuses_folders_inside_each_other(source: Path, out: str) -> None:
    with pytest.raises(InputError, match="a folder apart"):
        fetch.obtain_local(TOY, source, source / out, {})
    assert (source / "data/a.json").read_bytes() == CONTENT["a.json"]


def test_local_of_an_own_folder(tmp_path: Path) -> None:
    from himoe.datasets import get_dataset

    source = tmp_path / "mine"
    source.mkdir()
    (source / "dataset.yaml").write_text(
        "{name: mine, title: Mine, licence: private, dimensions: [arousal], scale: [0, 1], threshold: 0.5,\n"
        "ratings: r.csv, modalities: {ECG: {file: '{subject}-{trial}.csv', columns: [x], sfreq_hz: 2, unit: mV}}}")
    (source / "r.csv").write_text("subject,trial,arousal\ns,1,0.3\n")
    (source / "s-1.csv").write_text("x\n1\n2\n")
    (source / "thesis.docx").write_text("no")
    fetch.obtain_local(get_dataset("mine", source), source, tmp_path / "out", {})
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "dataset.yaml", "r.csv", "s-1.csv", fetch.PROVENANCE}
    moved = get_dataset("mine", tmp_path / "out")
    assert next(iter(moved.read(tmp_path / "out", "s", {}))).signals["ECG"].data.tolist() == [[1.0, 2.0]]


# --- download ---


def test_download(server: Server, tmp_path: Path) -> None:
    fetch.obtain_download(TOY, tmp_path / "out", server.url)
    assert {name: (tmp_path / "out/data" / name).read_bytes() for name in CONTENT} == CONTENT
    provenance = fetch.read_provenance(tmp_path / "out")
    assert provenance["source"] == "download"
    assert provenance["problems"] == []
    assert set(server.requests.values()) == {1}
    files = tuple(replace(file, url=f"{server.url}/{file.path}") for file in TOY.files)  # the form's own addresses
    fetch.obtain_download(replace(TOY, files=files), tmp_path / "form")
    assert len(list((tmp_path / "form/data").iterdir())) == 3


def test_a_server_that_fails_once_or_cuts_once(server: Server, tmp_path: Path) -> None:
    server.failures["/data/a.json"] = 1
    server.cut["/data/b.json"] = 1
    fetch.obtain_download(TOY, tmp_path / "out", server.url)
    assert server.requests == {"/data/a.json": 2, "/data/b.json": 2, "/data/c.json": 1}
    assert (tmp_path / "out/data/b.json").read_bytes() == CONTENT["b.json"]


@pytest.mark.parametrize("published", [True, False])
def test_truncated_file(server: Server, tmp_path: Path, published: bool) -> None:
    server.cut["/data/c.json"] = 2
    files = tuple(file if published else replace(file, sha256=None) for file in TOY.files)
    with pytest.raises(InputError, match=r"data/c\.json"):
        fetch.obtain_download(replace(TOY, files=files), tmp_path / "out", server.url)
    assert nothing_left(tmp_path / "out")


def test_tampered_file_names_both_hashes(server: Server, tmp_path: Path) -> None:
    server.answers["/data/b.json"] = CONTENT["b.json"].replace(b"7", b"8")
    found = hashlib.sha256(server.answers["/data/b.json"]).hexdigest()
    with pytest.raises(InputError, match=rf"data/b\.json: SHA-256: found {found}, expected {TOY.files[1].sha256}"):
        fetch.obtain_download(TOY, tmp_path / "out", server.url)
    server.answers["/data/b.json"] = CONTENT["b.json"][:-9]  # shortened at the source, without a published hash
    files = tuple(replace(file, sha256=None) for file in TOY.files)
    with pytest.raises(InputError, match=r"b\.json.*not JSON"):
        fetch.obtain_download(replace(TOY, files=files), tmp_path / "out", server.url)
    assert nothing_left(tmp_path / "out")


def test_password(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.login = "Basic " + base64.b64encode(b"anna:secret").decode()
    locked = replace(TOY, credentials=ARGUMENTS)
    for name in ARGUMENTS:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match=r"HIMOE_TEST_USER and HIMOE_TEST_PASSWORD.*Ask nobody"):
        fetch.obtain_download(locked, tmp_path / "out", server.url)
    assert not server.requests
    monkeypatch.setenv(ARGUMENTS[0], "anna")
    monkeypatch.setenv(ARGUMENTS[1], "wrong")
    with pytest.raises(InputError, match=r"access refused.*401.*HIMOE_TEST_USER.*Ask nobody") as caught:
        fetch.obtain_download(locked, tmp_path / "out", server.url)
    assert "wrong" not in str(caught.value)
    assert nothing_left(tmp_path / "out")
    assert server.requests["/data/a.json"] == 1
    monkeypatch.setenv(ARGUMENTS[1], "secret")
    fetch.obtain_download(locked, tmp_path / "out", server.url)
    assert "secret" not in (tmp_path / "out" / fetch.PROVENANCE).read_text()


def test_absent_file_and_dead_server(server: Server, tmp_path: Path) -> None:
    del server.answers["/data/b.json"]
    with pytest.raises(InputError, match=r"no file at .*404.*Ask nobody"):
        fetch.obtain_download(TOY, tmp_path / "out", server.url)
    with pytest.raises(InputError, match="no complete answer"):
        fetch.obtain_download(TOY, tmp_path / "out", "http://127.0.0.1:9")
    assert nothing_left(tmp_path / "out")


def zipped(entries: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return stream.getvalue()


def test_zip_is_unpacked_and_noted_as_unchecked(server: Server, tmp_path: Path) -> None:
    server.answers["/data/all.zip"] = zipped(CONTENT)
    archive = replace(TOY, files=(RemoteFile("data/all.zip", "http://unused.invalid"),))
    fetch.obtain_download(archive, tmp_path / "out", server.url)
    assert sorted(path.name for path in (tmp_path / "out/data").iterdir()) == sorted(CONTENT)
    assert "1 of 1 files have no published SHA-256" in fetch.read_provenance(tmp_path / "out")["problems"][0]


@pytest.mark.parametrize("content, message", [
    (zipped(CONTENT)[:-30], "zip"), (zipped({"../../evil.json": b"{}"}), r"the entry '\.\./\.\./evil\.json'"),
    (zipped(CONTENT).replace(b"values", b"valves", 1), "a broken entry")])
def test_bad_zip(server: Server, tmp_path: Path, content: bytes, message: str) -> None:
    server.answers["/data/all.zip"] = content
    archive = replace(TOY, files=(RemoteFile("data/all.zip", "http://unused.invalid"),))
    with pytest.raises(InputError, match=message):
        fetch.obtain_download(archive, tmp_path / "out", server.url)
    assert nothing_left(tmp_path / "out")
    assert not list(tmp_path.rglob("evil.json"))


def test_a_set_without_files_says_where_to_ask(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no files to download.*Ask nobody.*source: local"):
        fetch.obtain_download(replace(TOY, files=()), tmp_path / "out")


# --- provenance ---


def test_provenance_depends_on_content_only(source: Path, tmp_path: Path) -> None:
    documents = []
    for name in ("one", "two"):
        fetch.obtain_local(TOY, source, tmp_path / name / "toy", {})
        documents.append((tmp_path / name / "toy" / fetch.PROVENANCE).read_text())
    assert documents[0] == documents[1]
    assert str(tmp_path) not in documents[0]
    value = json.loads(documents[0])
    assert list(value) == ["set", "title", "source", "simulated", "label", "licence", "citation", "redistributable",
                           "subjects", "missing", "problems", "files", "bytes", "digest"]
    assert (value["files"], value["bytes"]) == (3, sum(map(len, CONTENT.values())))
    lines = "".join(f"data/{name}\t{len(content)}\t{hashlib.sha256(content).hexdigest()}\n"
                    for name, content in sorted(CONTENT.items()))
    assert value["digest"] == hashlib.sha256(lines.encode()).hexdigest()


def test_provenance_does_not_name_the_folder_it_is_made_in(source: Path, tmp_path: Path) -> None:
    documents = []
    for name in (".toy.1.part", ".toy.22.part"):
        out = tmp_path / name
        fetch.obtain_local(TOY, source, out, {})
        problem = f"{out / 'data' / 'a.csv'}, field: 6 subjects, 23 are published."
        fetch.write_provenance(out, TOY, "local", Inventory(("s01",), (), (problem,)))
        documents.append((out / fetch.PROVENANCE).read_text())
    assert documents[0] == documents[1]
    assert json.loads(documents[0])["problems"] == ["data/a.csv, field: 6 subjects, 23 are published."]


@pytest.mark.parametrize("kind, expected", [
    ("simulate", "Toy (simulated)"), ("local", "Toy (real, local files)"), ("download", "Toy (real, downloaded)")])
def test_labels(source: Path, kind: str, expected: str) -> None:
    fetch.write_provenance(source, TOY, kind, Inventory(("a",)))
    provenance = fetch.read_provenance(source)
    assert fetch.label(provenance) == expected
    assert provenance["simulated"] == (kind == "simulate")
    with pytest.raises(InputError, match="source, simulated"):
        fetch.label({**provenance, "simulated": not provenance["simulated"]})


def test_bad_provenance(source: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'found'"):
        fetch.write_provenance(source, TOY, "found", Inventory(("a",)))
    (tmp_path / fetch.PROVENANCE).write_text('{"set": "toy"}')
    with pytest.raises(InputError, match="incomplete"):
        fetch.read_provenance(tmp_path)


# --- where the local files are ---


def test_source_path(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HIMOE_MY_SET_PATH", raising=False)
    with pytest.raises(InputError, match="parameters or the environment variable HIMOE_MY_SET_PATH"):
        fetch.source_path("my-set", None)
    monkeypatch.setenv("HIMOE_MY_SET_PATH", str(source))
    assert fetch.source_path("my-set", None) == source
    assert fetch.source_path("my-set", str(tmp_path)) == tmp_path
    with pytest.raises(InputError, match="missing"):
        fetch.source_path("my-set", str(tmp_path / "nowhere"))
