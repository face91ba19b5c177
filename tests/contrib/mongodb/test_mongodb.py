"""Markers and documents on a server that speaks MongoDB's protocol (FerretDB over SQLite)."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import levada as lv
from levada._model import forks
from levada._plan.existence import Existence
from levada.contrib.mongodb import MongoCellTarget, MongoCollectionTarget, MongoCountTarget, MongoRangeTarget, MongoTarget, clients
from levada.errors import LeaseLost, TargetError, TargetExists, TargetUnreachable, TargetWriteError
from levada.targets import atomic
from levada.testing.conformance import MarkerConformance
from tests.conftest import extra
from tests.contrib.ports import free_port
from tools.ferretdb import Missing, built

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("mongodb"), pytest.mark.timeout(120)]
pymongo = pytest.importorskip("pymongo", reason="pymongo is not installed (levada[mongodb])")


def listens(port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="session")
def server() -> Iterator[int]:
    """The port of a server; skipped where it was not built, which fails a run of CI."""
    try:
        program = built()
    except Missing as reason:
        pytest.skip(extra(f"no FerretDB: {reason}"))
    folder, port = tempfile.mkdtemp(prefix="levada-ferretdb-", dir="/tmp"), free_port()
    with open(f"{folder}/log", "wb") as log:
        process = subprocess.Popen(
            [
                str(program), f"--listen-addr=127.0.0.1:{port}", "--debug-addr=-", "--telemetry=disable", "--log-level=error",
                "--handler=sqlite", f"--sqlite-url=file:{folder}/", f"--state-dir={folder}",
            ],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"FerretDB did not start:\n{Path(folder, 'log').read_text(errors='replace')[-3000:]}")
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def url(server: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty database."""
    monkeypatch.setattr(clients, "_clients", {})
    monkeypatch.setattr(forks, "_started", {})
    yield f"mongodb://127.0.0.1:{server}/t{uuid.uuid4().hex}"
    for database in clients._clients.values():
        database.client.close()


def test_an_update_exists_when_its_marker_does(url: str) -> None:
    made = MongoTarget(url, "numbers", "first")
    assert not made.exists()
    made.get_collection().insert_one({"number": 1})
    assert not made.exists()
    made.touch()
    assert made.exists()
    assert not MongoTarget(url, "letters", "first").exists()
    with pytest.raises(TargetExists):
        made.touch()
    made.remove()
    made.remove()
    assert not made.exists()
    assert forks.forbidden_by() == ("pymongo",)


def test_a_lease_that_was_lost_sets_no_marker(url: str) -> None:
    def lost() -> None:
        raise LeaseLost("numbers", held="1.1", newest="1.2")

    atomic.set_tag("0badcafe", "1.1", lost)
    try:
        with pytest.raises(LeaseLost):
            MongoTarget(url, "numbers", "first").touch()
    finally:
        atomic.clear_tag()
    assert not MongoTarget(url, "numbers", "first").exists()


def test_ten_thousand_cost_ten_questions(url: str) -> None:
    from pymongo import monitoring

    class Finds(monitoring.CommandListener):
        count = 0

        def started(self, event: monitoring.CommandStartedEvent) -> None:
            self.count += event.command_name == "find"

        def succeeded(self, event: object) -> None: ...

        def failed(self, event: object) -> None: ...

    made = MongoTarget(url, "numbers", "u7")
    made.touch()
    finds = Finds()
    clients.database(url).client.close()
    clients._clients[url] = pymongo.MongoClient(url, event_listeners=[finds]).get_default_database()
    answers = Existence().ask([MongoTarget(url, "numbers", f"u{number}") for number in range(10_000)])
    assert [at for at, answer in enumerate(answers) if answer] == [7]
    assert finds.count == 10


def test_a_server_that_is_away_is_unreachable_and_costs_its_own_targets_alone(url: str) -> None:
    there = MongoTarget(url, "numbers", "first")
    there.touch()
    away_url = f"mongodb://levada:hush@127.0.0.1:{free_port()}/data?serverSelectionTimeoutMS=300"
    away = MongoTarget(away_url, "numbers", "first")
    answers = Existence().ask([away, there])
    assert isinstance(answers[0], TargetUnreachable)
    assert "Is the server up" in str(answers[0])
    assert "hush" not in str(answers[0])
    assert answers[1] is True
    with pytest.raises(TargetWriteError):
        away.touch()
    for target in (MongoCellTarget(away_url, "c", 1, "a"), MongoCollectionTarget(away_url, "c"), MongoCountTarget(away_url, "c", 0)):
        with pytest.raises(TargetUnreachable):
            target.exists()


def test_what_cannot_be_used_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "_started", {})
    for url in ("http://host", "mongodb://127.0.0.1:27017"):
        with pytest.raises(TargetError, match="is no URL of a database of MongoDB"):
            MongoTarget(url, "numbers", "first").exists()
    with pytest.raises(ValueError, match="not empty"):
        MongoTarget("mongodb://host/data", "", "first")
    monkeypatch.setitem(sys.modules, "pymongo", None)
    with pytest.raises(TargetError) as caught:
        MongoTarget("mongodb://host/other", "numbers", "first").exists()
    assert 'pip install "levada[mongodb]"' in str(caught.value)


def test_a_cell_exists_when_it_has_a_value(url: str) -> None:
    cell = MongoCellTarget(url, "days", "2013-01-05", "delays.UA")
    assert not cell.exists()
    cell.write(3.5)
    assert (cell.exists(), cell.read()) == (True, 3.5)
    assert not MongoCellTarget(url, "days", "2013-01-05", "delays.AA").exists()
    cell.write(4)
    assert cell.get_collection().find_one({"_id": "2013-01-05"}) == {"_id": "2013-01-05", "delays": {"UA": 4}}


def test_a_range_exists_when_all_have_the_field(url: str) -> None:
    some = MongoRangeTarget(url, "days", [1, 2, 3], "delay")
    some.write({1: 5, 2: 6, 9: 9})
    assert (some.exists(), some.get_empty_ids(), some.read()) == (False, {3}, {1: 5, 2: 6})
    some.write({3: 7})
    some.write({})
    assert some.exists()
    assert some.get_collection().count_documents({}) == 3


def test_collections_and_numbers_of_documents_are_looked_at(url: str) -> None:
    assert not MongoCollectionTarget(url, "days").exists()
    assert MongoCountTarget(url, "days", 0).exists()
    MongoCellTarget(url, "days", 1, "a").write(1)
    assert MongoCollectionTarget(url, "days").exists()
    assert MongoCountTarget(url, "days", 1).exists()
    assert not MongoCountTarget(url, "days", 2).exists()


class Load(lv.Task):
    url: str

    def output(self) -> MongoTarget:
        return MongoTarget(self.url, "numbers", self.task_id)

    def run(self) -> None:
        self.output().get_collection().insert_one({"number": 1})
        self.output().touch()


def test_a_task_is_done_once(url: str) -> None:
    assert lv.run(Load(url=url)).exit_code == 0
    assert lv.run(Load(url=url)).exit_code == 0
    assert MongoCountTarget(url, "numbers", 1).exists()


class TestMongoTarget(MarkerConformance):
    @pytest.fixture(autouse=True)
    def _url(self, url: str) -> None:
        self.url = url

    def make_target(self, name: str) -> Any:
        return MongoTarget(self.url, "numbers", name)

    def mark(self, target: Any) -> None:
        target.touch()
