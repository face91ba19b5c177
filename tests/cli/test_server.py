"""The operators' commands against a real server: what they say, what they change, and that scripts can read it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import msgspec
import pytest

from levada._server.host import Host, Rules
from levada._server.http.serve import WebServer
from levada._server.http.settings import Bind, Settings
from levada._server.http.tokens import new_token
from levada._store.opening import open_store
from levada._store.ports import TokenRow
from levada._wire import messages as w
from levada.cli.history import when
from tests.cli.conftest import Call
from tests.server.hosting import Place, Served, key

OPERATORS = [
    "cancel",
    "retry",
    "forgive",
    "invalidate",
    "done",
    "priority",
    "pause",
    "resume",
    "drain",
    "resource",
    "tasks",
    "workers",
    "resources",
    "audit",
]


class Serving(Served):
    """A host as the other tests have it, with HTTP in front. One token lets all in."""

    def _start(self) -> None:
        self.token = new_token()
        self.host = Host(open_store(str(self.place.folder / "levada.db"), synchronous="normal"), Rules(), version="9.9")
        own = TokenRow("own", self.token.digest, "admin", "", "", 1.0, None, None, None)
        self.host.tokens.replace([own])
        self.web = WebServer(self.host, Settings(binds=(Bind("127.0.0.1", 0),)), version="9.9")
        self.web.start()
        self.host.start("test", own_token=own, loop=self.web.loop)

    def stop(self) -> None:
        self.host.stop()
        self.web.stop()


@pytest.fixture
def server(here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Task 1 needs task 0, and so does 2; named by their day."""
    made = Serving(Place("sqlite", tmp_path_factory.mktemp("server")))
    monkeypatch.setenv("LEVADA_SCHEDULER", f"http://127.0.0.1:{made.web.port}")
    monkeypatch.setenv("LEVADA_TOKEN", made.token.text)
    made.add({0: [], 1: [0], 2: [0]}, "flights.Sum", params=lambda one: f'{{"day": "2013-01-0{one}", "n": "7"}}', resources=[["disk", 1]])
    yield made
    made.stop()


@pytest.mark.parametrize("command", OPERATORS)
def test_each_command_of_operators_has_help(here: Path, call: Call, command: str) -> None:
    said = call(command, "--help")
    assert said.code == 0
    assert said.out.startswith(f"Usage: levada {command}")
    assert "--scheduler" in said.out
    assert "--json" in said.out


@pytest.mark.parametrize("command", OPERATORS)
def test_without_a_server_these_commands_say_how_to_name_one(here: Path, call: Call, command: str) -> None:
    words = {"drain": ["w"], "resource": ["disk", "3"], "priority": ["x", "3"]}.get(command, ["x"] if command in OPERATORS[:5] else [])
    said = call(command, *words)
    assert (said.code, "which server?" in said.err, "LEVADA_SCHEDULER" in said.err) == (2, True, True)
    assert "levada up --app MODULE" in said.err


def test_status_tells_of_the_server_and_its_families(server: Serving, call: Call) -> None:
    said = call("status")
    assert said.code == 0
    assert "running; levada 9.9, epoch 1" in said.out
    assert "1 worker, 3 tasks" in said.out
    assert said.out.splitlines()[-1].split() == ["flights.Sum", "2", "1"]
    seen = json.loads(call("status", "--json").out)
    assert (seen["counts"]["waiting"], seen["families"][0]["family"]) == (2, "flights.Sum")


def test_status_without_a_server_is_that_of_the_state_folder(server: Serving, call: Call) -> None:
    said = call("status", "--scheduler", "none")
    assert (said.code, "no run was recorded yet" in said.out) == (0, True)


def test_tasks_are_named_by_key_start_of_a_key_or_name(server: Serving, call: Call) -> None:
    for word, number in ((key(1), 1), ("flights.Sum(day=2013-01-01, n=7)", 1), ("2013-01-02", 2), ("flights.Sum(day=2013-01-02)", 2)):
        said = call("priority", word, "-5", "--json")
        assert said.code == 0, said.err
        assert json.loads(said.out)["key"] == key(number)
    assert "may mean 3 tasks" in call("cancel", "2013-01").err
    assert "the server has no task 'nowhere'" in call("cancel", "nowhere").err
    assert "may mean 3 tasks" in call("cancel", "flights.Sum").err, "a family of which nothing has run yet"
    for second in ("2013-01", "nowhere", "f" * 32):
        assert call("cancel", key(1), second).code == 2
        assert server.status(1) == "waiting", "nothing is done where one of several is not found"
    assert "no task has the key" in call("cancel", "f" * 32).err


def named(number: int) -> str:
    return f"{key(number)} flights.Sum(day=2013-01-0{number}, n=7)"


def test_commands_say_what_was_and_what_is(server: Serving, call: Call) -> None:
    said = call("cancel", key(1), key(2), "--reason", "late").out
    assert said == f"{named(1)}: cancelled (was waiting)\n{named(2)}: cancelled (was waiting)\n"
    assert call("cancel", key(1)).out == f"{named(1)}: is cancelled, nothing was changed\n"
    assert call("retry", key(1)).out == f"{named(1)}: waiting (was cancelled)\n"
    assert call("done", key(0)).out == f"{named(0)}: done (was ready)\n"
    said = call("invalidate", key(0)).out
    assert said.startswith(f"{named(0)}: ready (was done)\n")
    assert "remove or move them" in said, "what still stands is found complete by the next plan"
    assert "remove or move them" not in call("invalidate", key(0)).out, "nothing was changed"
    assert call("forgive", key(0)).out == f"{named(0)}: ready; its failures count no more\n"
    assert call("priority", key(0), "9").out == f"{named(0)}: priority 9 (was 0)\n"
    assert "the priority 99999999 is out of range; expected -1,048,576 to 1,048,576" in call("priority", key(0), "99999999").err
    server.claim()
    said = call("cancel", key(0)).out
    assert said.startswith(f"{named(0)}: running; its worker is asked to stop.")
    assert "(inline) it ends by itself" in said
    assert json.loads(call("retry", key(2), "--json").out) == {
        "key": key(2),
        "task": "flights.Sum(day=2013-01-02, n=7)",
        "before": "cancelled",
        "status": "waiting",
        "epoch": 1,
    }
    assert [line.reason for line in server.trail()][:2] == ["late", "late"]


def test_families_are_commanded_as_a_whole(server: Serving, call: Call) -> None:
    assert call("cancel", "--family", "flights.Sum", "--status", "waiting").out == "flights.Sum: 2 tasks cancelled\n"
    assert json.loads(call("retry", "--family", "flights.Sum", "--json").out) == {"family": "flights.Sum", "changed": 2, "unchanged": 0}
    assert "no task of a family 'Nobody'" in call("cancel", "--family", "Nobody").err
    assert call("cancel", "--family", "flights.Sum", key(0)).code == 2
    assert "which task?" in call("cancel", "--status", "failed").err
    wrong = call("cancel", "--family", "flights.Sum", "--status", "wating")
    assert (wrong.code, "Did you mean waiting?" in wrong.err) == (2, True)


def test_the_whole_is_governed(server: Serving, call: Call) -> None:
    assert "paused (was running)" in call("pause").out
    assert "paused: nothing is granted" in call("status").out
    assert json.loads(call("resume", "--json").out)["after"] == "running"
    assert call("resource", "disk", "3").out == "disk: 3 (was 1)\n"
    assert call("resources").out.splitlines()[1].split() == ["disk", "3", "0", "0"]
    assert "expected a whole number" in call("resource", "disk", "-3", "--json").err or call("resource", "disk", "x").code == 2
    row = call("workers").out.splitlines()[1].split()
    assert row[:4] == ["w.example", "7", "111111111111", "0"]
    assert "draining, 0 still run" in call("drain", "w.example").out
    assert json.loads(call("workers", "--json").out)[0]["draining"] is True
    assert "no worker is 'nobody'" in call("drain", "nobody").err


def test_why_is_told_by_the_server(server: Serving, call: Call) -> None:
    said = call("why", key(1))
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[0] == "flights.Sum(day=2013-01-01, n=7): waiting: waits for 1 of its requirements"
    assert lines[1].startswith("  flights.Sum(day=2013-01-00, n=7): ready")
    assert lines[-1].startswith("  -> ")
    assert json.loads(call("why", "flights.Sum(day=2013-01-01, n=7)", "--json").out)["facts"][1]["key"] == key(0)
    assert call("why", "2013-01-01").out == said.out, "without a module the server tells which is meant"
    assert "may mean 3 tasks" in call("why", "flights.Sum").err
    assert "the server has no task 'nowhere'" in call("why", "nowhere").err


def test_tasks_are_listed_by_status_family_and_text(server: Serving, call: Call) -> None:
    server.add({one: [] for one in range(10, 1300)}, "Many", params=lambda one: f'{{"n": "{one}"}}')
    said = call("tasks", "--family", "flights.Sum")
    assert said.code == 0
    assert [line.split()[0] for line in said.out.splitlines()] == ["status", "ready", "waiting", "waiting"]
    assert "flights.Sum(day=2013-01-01, n=7)" in said.out
    assert "waits for 1 of its requirements" in said.out
    assert [row["key"] for row in json.loads(call("tasks", "--status", "waiting", "--json").out)] == [key(1), key(2)]
    assert [row["key"] for row in json.loads(call("tasks", "--search", "2013-01-02", "--json").out)] == [key(2)]
    assert len(json.loads(call("tasks", "--limit", "5000", "--json").out)) == 1293, "page after page"
    assert len(json.loads(call("tasks", "--json").out)) == 20
    assert "There are more" in call("tasks").out
    assert "There are more" not in call("tasks", "--limit", "1293").out
    assert call("tasks", "--status", "failed").out.startswith("no such task")
    assert "Did you mean failed?" in call("tasks", "--status", "faild").err
    assert "no task of a family 'Nobody'" in call("tasks", "--family", "Nobody").err


def test_the_history_is_in_the_order_of_ends_not_of_reports(server: Serving, call: Call) -> None:
    """A worker that could not reach the server for a while reports late what ended long ago."""
    server.claim()

    def attempt(started: float, seconds: float, ended: str) -> Any:
        return msgspec.convert([key(0), "flights.Sum", "{}", int(started), started, seconds, ended], w.AttemptItem)

    for one in (attempt(300.0, 1.0, "ok"), attempt(100.0, 250.0, "user"), attempt(200.0, 1.0, "ok")):
        server.work(w.Sync, attempts=[one])
    rows = json.loads(call("history", "--json").out)
    assert [row["started"] for row in rows] == [100.0, 300.0, 200.0]
    assert [row["started"] for row in json.loads(call("history", key(0), "--limit", "1", "--json").out)] == [100.0]


def test_a_task_that_needs_what_there_is_nothing_of_is_told_so(server: Serving, call: Call) -> None:
    call("resource", "disk", "0")
    said = call("why", key(0)).out
    assert "short of disk: there is none, its total is 0" in said
    assert "`levada resource disk 1`, or more" in said
    assert "0 of 0" not in said


def test_what_is_tried_again_tells_one_time(server: Serving, call: Call) -> None:
    server.claim()
    server.fail(0, final=False)
    first, last = call("why", key(0)).out.splitlines()
    assert "; runs again in " in first
    assert "when that time is over" in last


def test_a_copy_of_a_store_is_never_that_of_another_machine(server: Serving, call: Call, here: Path) -> None:
    """The one of the state folder would be copied, while the server that is named has another."""
    said = call("backup", "create", "--to", "copy.db")
    assert (said.code, "the server that is named is http://127.0.0.1" in said.err, "--store" in said.err) == (2, True, True)
    assert not (here / "copy.db").exists()
    store = str(server.place.folder / "levada.db")
    held = call("backup", "create", "--to", "copy.db", "--store", store)
    assert (held.code, "Leave --to out" in held.err) == (75, True), held.err
    (here / "whole.db").touch()
    there = call("backup", "restore", "whole.db", "--store", store)
    assert (there.code, f"{store} is there already" in there.err) == (2, True), there.err
    absent = call("backup", "create", "--to", "copy.db", "--scheduler", "none")
    assert (absent.code, "there is no store" in absent.err) == (2, True)
    server.host.store.backup(str(here / "store.db"))
    made = call("backup", "create", "--to", "copy.db", "--store", "store.db")
    assert (made.code, "a copy of store.db" in made.out) == (0, True), made.err


@pytest.mark.parametrize(("command", "actions"), [("token", ("create", "list", "revoke ID")), ("backup", ("create", "restore FILE"))])
def test_help_of_a_command_that_is_several_shows_them(here: Path, call: Call, command: str, actions: tuple[str, ...]) -> None:
    said = call(command, "--help").out
    assert said.startswith(f"Usage: levada {command} {actions[0]}|")
    assert all(f"\n  {action} " in said for action in actions)


def test_history_and_log_tell_of_a_failure(server: Serving, call: Call) -> None:
    server.claim()
    server.ask(w.Logs(session="1" * 32, chunks=[w.LogItem(key(0), 1, 1, 0, "begun\x1b[2J\nhalf")]), token="w")
    server.fail(0, "Traceback (most recent call last):\n  File 'a.py', line 3, in run\nValueError: no flights\n")

    assert "ValueError: no flights" in call("history").out
    assert "no failed attempt" not in call("history", key(0), "--failed").out
    assert json.loads(call("history", "--json", "--limit", "1").out)[0]["exit"] == "user"
    said = call("log", key(0)).out
    assert said.startswith("begun\\x1b[2J\nhalf\n")
    assert said.rstrip().endswith("ValueError: no flights")
    assert f"raised after 2.0 s of work (started {when(1.0)} " in said
    seen = json.loads(call("log", key(0), "--json").out)
    assert (seen["text"], seen["ended"], seen["attempt"]["exit"]) == ("begun\x1b[2J\nhalf", True, "user")
    assert "was never started" in call("log", key(1)).err


def test_a_log_is_found_by_family_that_of_the_newest_failure_first(server: Serving, call: Call) -> None:
    server.add({5: [], 6: [], 7: []}, "A")
    server.claim(9)
    for number in (5, 6):
        server.ask(w.Logs(session="1" * 32, chunks=[w.LogItem(key(number), 1, 1, 0, f"begun {number}\n")]), token="w")
        server.fail(number)
    server.done(7)
    said = call("log", "A")
    assert (said.code, said.out.startswith("begun 6\n")) == (0, True), said
    assert "ValueError: no flights" in said.out
    assert json.loads(call("log", "A", "--json").out)["text"] == "begun 6\n"
    nobody = call("log", "Nobody")
    assert (nobody.code, "the server has no task 'Nobody'" in nobody.err) == (2, True)


def test_a_log_is_followed_until_the_attempt_is_over(server: Serving, call: Call) -> None:
    server.claim()

    def work() -> None:
        for at, text in ((0, "one\n"), (4, "two\n")):
            time.sleep(0.2)
            server.ask(w.Logs(session="1" * 32, chunks=[w.LogItem(key(0), 1, 1, at, text)]), token="w")
        time.sleep(0.2)
        server.done(0)

    worker = Thread(target=work)
    worker.start()
    said = call("log", "-f", key(0))
    worker.join()
    assert (said.code, said.out) == (0, "one\ntwo\n")


def test_who_follows_a_log_waits_for_a_server_that_starts_anew(server: Serving, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    from levada._client.transport import Transport
    from levada.cli.remote import TRIES
    from levada.errors import ServerUnreachable

    server.claim()
    server.ask(w.Logs(session="1" * 32, chunks=[w.LogItem(key(0), 1, 1, 0, "one\n")]), token="w")
    real, asked = Transport.call, list[str]()

    def away(self: Transport, path: str, *args: Any, **more: Any) -> bytes:
        if path.startswith("/v1/log/"):
            asked.append(path)
            if len(asked) == 1 + TRIES:
                server.done(0)
            if 1 < len(asked) <= 1 + TRIES:
                raise ServerUnreachable("nobody is there")
        return real(self, path, *args, **more)

    monkeypatch.setattr(Transport, "call", away)
    monkeypatch.setattr("levada.cli.remote._pause", lambda seconds: None)
    said = call("log", "-f", key(0))
    assert (said.code, said.out, said.err) == (0, "one\n", "levada: nobody is there; waiting for it\n")
    assert len(asked) == TRIES + 2


def test_who_follows_without_a_server_is_told(here: Path, call: Call) -> None:
    assert "--follow needs a server" in call("log", "-f", "Sum").err


def test_runs_without_a_server_are_told_apart_from_the_server_that_runs_here(here: Path, call: Call) -> None:
    """Also after it was killed: then there is none."""
    info = here / "own" / "server.json"
    info.parent.mkdir(mode=0o700, exist_ok=True)
    info.write_text(json.dumps({"addresses": ["http://127.0.0.1:1", f"unix:{info.parent}/server.sock"], "pid": os.getpid()}))
    own = ("--state", str(info.parent))
    assert "`--scheduler http://127.0.0.1:1` asks the server that runs here" in call("status", *own).err
    assert call("history", "--scheduler", "none", *own).err == ""
    assert "is http://127.0.0.1:1" in call("log", "-f", "Sum", *own).err
    info.write_text(json.dumps({"addresses": ["http://127.0.0.1:1"], "pid": 2**22 + 1}))
    assert call("status", *own).err == ""


def test_the_audit_trail_is_exported_as_json_lines(server: Serving, call: Call) -> None:
    call("pause", "--reason", "disk")
    rows = [json.loads(line) for line in call("audit", "--json").out.splitlines()]
    assert (rows[0]["action"], rows[0]["reason"], len(rows[0]["chain"])) == ("pause", "disk", 64)
    assert "pause" in call("audit").out


def test_a_wrong_token_and_an_absent_server_are_told(server: Serving, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEVADA_TOKEN", "lvd_" + "x" * 43)
    assert call("status").code == 2
    monkeypatch.delenv("LEVADA_TOKEN")
    assert "a token is needed" in call("pause").err
    monkeypatch.setattr("levada.cli.remote._pause", lambda seconds: None)
    said = call("pause", "--scheduler", "http://127.0.0.1:9")
    assert (said.code, "does not answer" in said.err) == (69, True)


@pytest.mark.parametrize(("status", "code"), [(200, 69), (404, 2), (501, 69)])
@pytest.mark.parametrize("command", ["status", "tasks", "pause", "workers", "goal list"])
def test_a_stranger_at_the_address_is_told_of(stranger: Callable[[int], str], call: Call, command: str, status: int, code: int) -> None:
    """A page of another program is no answer, and no fault of ours."""
    said = call(*command.split(), "--scheduler", stranger(status))
    assert (said.code, "Something else than a levada server listens there" in said.err) == (code, True), said.err


@pytest.fixture
def stranger() -> Iterator[Callable[[int], str]]:
    """Another program's server, that answers everything with a page and this status; its address."""
    servers: list[HTTPServer] = []

    def start(status: int) -> str:
        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(b"<html>hello</html>")

            do_POST = do_GET

            def log_message(self, format: str, *args: object) -> None:
                pass

        servers.append(HTTPServer(("127.0.0.1", 0), Page))
        Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_command_whose_answer_was_lost_has_one_effect(server: Serving, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    from levada._client.transport import Transport
    from levada.errors import ServerUnreachable

    real, lost = Transport.call, list[Any]()

    def losing(self: Transport, path: str, *args: Any, **more: Any) -> bytes:
        answer = real(self, path, *args, **more)
        if path.endswith("/cancel") and not lost:
            lost.append(answer)
            raise ServerUnreachable("the answer was lost")
        return answer

    monkeypatch.setattr(Transport, "call", losing)
    monkeypatch.setattr("levada.cli.remote._pause", lambda seconds: None)
    assert call("cancel", key(1)).out == f"{named(1)}: cancelled (was waiting)\n"
    assert [line.action for line in server.trail()] == ["cancel"]
