"""Resident workers, ``levada up``, tokens and backups, as people start them."""

from __future__ import annotations

import json
import os
import re
import signal
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

import levada
from levada._served import module_of
from tests.faults.command import ended, soon
from tests.served.conftest import Served, free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]  # real processes and their waits: CI plays them

OTHER = """
import levada as lv
from flow import note

class Elsewhere(lv.Task):
    n: int
    def output(self):
        return lv.LocalTarget(f"elsewhere-{self.n}.txt")
    def run(self):
        note(f"elsewhere-{self.n}")
        self.output().write_text("x")
"""

TWO = """
import levada as lv
from flow import Slow

class Two(lv.WrapperTask):
    def requires(self):
        return [Slow(name="one"), Slow(name="two")]
"""


def assistant(served: Served, *options: str) -> Any:
    found = served.start("worker", "--scheduler", served.url, "--log-level", "info", *options)
    assert soon(lambda: json.loads(served.run("workers", "--scheduler", served.url, "--json").stdout), 20, 0.2)
    return found


def lines_of(served: Served, pid: int) -> list[str]:
    return [name for name, each in served.ran() if each == pid]


@pytest.mark.parametrize("executor", [[], ["--workers", "2"]])
def test_an_assistant_runs_tasks_of_its_modules_and_ends_with_sigterm(served: Served, executor: list[str]) -> None:
    helper = assistant(served, "--app", "flow", *executor)
    run = served.run_task("--json", "RunAll", "--pause", "0.1")
    told = json.loads(run.stdout)
    assert (run.returncode, told["done"] + told["elsewhere"]) == (0, 30), run.stderr
    assert told["elsewhere"] > 0
    helper.terminate()
    assert ended(helper).returncode == 0


def test_an_assistant_takes_no_tasks_of_other_modules(served: Served) -> None:
    (served.folder / "other.py").write_text(OTHER)
    helper = assistant(served, "--app", "flow.py")
    for n in range(3):
        run = served.run("run", "--scheduler", served.url, "other.py", "Elsewhere", "--n", str(n))
        assert run.returncode == 0, run.stderr
    helper.terminate()
    said = ended(helper)
    assert "Elsewhere" not in said.stderr
    assert not lines_of(served, helper.pid)


def test_only_tasks_that_an_assistant_can_build_are_offered() -> None:
    """Neither what holds a secret, nor what has a value that is not part of its identity, nor what lives in a program."""

    class Plain(levada.Task):
        day: int
        note: str = levada.param(default="", significant=False)

    class Keyed(levada.Task):
        key: str = levada.param(default="", secret=True, significant=False)

    assert module_of(Plain(day=1)) == __name__
    assert module_of(Plain(day=1, note="x")) is None
    assert module_of(Keyed()) is None
    Plain.__module__ = "__main__"
    assert module_of(Plain(day=2)) is None


def test_an_assistant_waits_for_a_server_that_is_away(served: Served) -> None:
    helper = assistant(served, "--app", "flow")
    served.kill_server()
    served.start_server()
    run = served.start_task("Slow", "--name", "one")
    second = served.start_task("Slow", "--name", "two")
    assert soon(lambda: len(served.ran()) == 2, 30)
    served.go()
    assert [ended(run).returncode, ended(second).returncode] == [0, 0]
    helper.terminate()
    assert ended(helper).returncode == 0


@pytest.mark.ci
def test_an_assistant_hands_back_what_it_cannot_end_in_time(served: Served) -> None:
    """Its drain is over after the grace; the run that wants the task makes it then."""
    helper = assistant(served, "--app", "flow", "--grace", "0.2")
    run = served.start_task("RunAll", "--pause", "0.5")
    assert soon(lambda: lines_of(served, helper.pid), 20)
    helper.terminate()
    assert ended(helper).returncode == 0
    assert ended(run).returncode == 0


def test_no_module_named_is_refused(served: Served) -> None:
    said = served.run("worker", "--scheduler", served.url)
    assert said.returncode == 2
    assert "--app MODULE" in said.stderr


def test_up_starts_server_and_worker_and_ends_both(serve: Callable[..., Served]) -> None:
    served = serve()
    served.server.terminate()
    served.server.wait()
    port = free_port()
    up = served.start("up", "--app", "flow.py", "--bind", f"127.0.0.1:{port}", "--bind", served.socket)
    assert up.stderr is not None
    link = next(found.group() for line in up.stderr if (found := re.search(r"http://\S+once=\S+", line)))
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(), Stay())
    assert opener.open(link).status in (200, 302, 303)
    run = served.run("run", "--scheduler", served.socket, "--json", "flow.py", "RunAll", "--pause", "0.1")
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["elsewhere"] > 0
    up.send_signal(signal.SIGINT)
    assert ended(up).returncode == 0
    assert served.alive() == []


def test_a_second_signal_to_up_cancels_what_its_worker_runs(serve: Callable[..., Served]) -> None:
    """As the worker says. Of two tasks it runs one, since the run has a single slot."""
    served = serve()
    served.server.terminate()
    served.server.wait()
    up = served.start(
        "up", "--app", "flow.py", "--bind", f"127.0.0.1:{served.port}", "--bind", served.socket, environ={"LEVADA_RUN__GRACE": "1000"}
    )
    assert soon(lambda: json.loads(served.run("workers", "--json").stdout or "[]"), 20, 0.2)
    (served.folder / "two.py").write_text(TWO)
    run = served.start("run", "--scheduler", served.socket, "--no-console", "two.py", "Two")
    assert soon(lambda: len(served.ran()) == 2, 20)
    assert up.stderr is not None
    up.send_signal(signal.SIGINT)
    while "once more to cancel" not in (line := up.stderr.readline()):
        assert line, "it ended by itself"
    up.send_signal(signal.SIGINT)
    assert soon(lambda: up.poll() is not None, 20)
    assert ended(up).returncode == 0
    run.kill()
    ended(run)


def test_who_kills_up_ends_server_and_worker_too(serve: Callable[..., Served]) -> None:
    served = serve()
    served.server.terminate()
    served.server.wait()
    up = served.start("up", "--app", "flow.py", "--bind", f"127.0.0.1:{free_port()}", "--bind", served.socket)
    assert soon(lambda: json.loads(served.run("workers", "--json").stdout or "[]"), 20, 0.2)
    up.kill()
    ended(up)
    assert soon(lambda: served.alive() == [], 30, 0.1)


@pytest.mark.parametrize("command", ["server", "up"])
def test_a_state_folder_on_the_command_line_is_the_one_that_is_served(served: Served, command: str) -> None:
    """LEVADA_STATE names the folder of the server that runs already."""
    other = served.folder / "other"
    second = served.start(command, "--state", "other", "--bind", f"127.0.0.1:{free_port()}", "--bind", f"unix:{other}/server.sock")
    assert soon((other / "server.json").exists, 20), second.stderr
    asked = served.start("worker", "--app", "flow", "--state", "other")
    assert asked.stderr is not None
    assert f"of the server at unix:{other}/server.sock" in asked.stderr.readline()
    assert soon(lambda: json.loads(served.run("workers", "--state", "other", "--json").stdout), 20, 0.2)
    for process in (asked, second):
        process.terminate()
        assert ended(process).returncode == 0


def test_a_server_that_listens_for_others_keeps_the_socket_of_its_folder(served: Served) -> None:
    """Its own commands come in there: a certificate is for the name that others call it by."""
    other = served.folder / "other"
    second = served.start("server", "--state", "other", "--bind", f"127.0.0.1:{free_port()}")
    assert soon((other / "server.json").exists, 20), second.stderr
    assert f"unix:{other}/server.sock" in json.loads((other / "server.json").read_text())["addresses"]
    assert served.run("token", "create", "--role", "worker", "--state", "other").returncode == 0
    second.terminate()
    assert ended(second).returncode == 0


def test_up_without_modules_says_that_it_has_no_worker_and_its_link_leads_to_a_page(serve: Callable[..., Served]) -> None:
    served = serve()
    served.server.terminate()
    served.server.wait()
    up = served.start("up", "--bind", f"127.0.0.1:{free_port()}", "--bind", served.socket)
    assert up.stderr is not None
    link = next(found.group() for line in up.stderr if (found := re.search(r"http://\S+once=\S+", line)))
    assert "no worker runs here: name modules by --app MODULE" in up.stderr.readline()
    page = urllib.request.build_opener(urllib.request.HTTPCookieProcessor()).open(link)
    assert (page.status, "<h1>Levada</h1>" in page.read().decode()) == (200, True)
    up.send_signal(signal.SIGINT)
    assert ended(up).returncode == 0


class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        return None

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        return fp

    http_error_303 = http_error_302


def test_a_token_that_was_made_lets_in_until_it_is_revoked(served: Served) -> None:
    made = served.run("token", "create", "--label", "nightly", "--json")
    token = json.loads(made.stdout)
    environ = {"LEVADA_TOKEN": token["token"], "LEVADA_STATE": str(served.folder / "elsewhere")}
    assert served.run_task("RunAll", "--pause", "0", environ=environ).returncode == 0
    listed = served.run("token", "list")
    assert token["id"] in listed.stdout
    assert "nightly" in listed.stdout
    assert token["token"] not in listed.stdout
    assert served.run("token", "revoke", token["id"]).returncode == 0
    refused = served.run_task("Counted", "--day", "2013-01-20", "--window", "5", environ=environ)
    assert refused.returncode == 2
    assert "not accepted" in refused.stderr


def test_a_token_that_goes_to_a_file_is_not_shown_and_is_the_users_own(served: Served) -> None:
    made = served.run("token", "create", "--to", "token.txt")
    assert made.returncode == 0
    assert "lvd_" not in made.stdout + made.stderr
    path = served.folder / "token.txt"
    assert os.stat(path).st_mode & 0o777 == 0o600
    environ = {"LEVADA_LEVADA__TOKEN_FILE": str(path), "LEVADA_STATE": str(served.folder / "elsewhere")}
    assert served.run_task("RunAll", "--pause", "0", environ=environ).returncode == 0
    assert served.run("token", "create", "--to", "token.txt").returncode == 2


def test_a_store_that_is_restored_goes_on_above_all_fences_of_before(served: Served) -> None:
    assert served.run_task("RunAll", "--pause", "0").returncode == 0
    name = json.loads(served.run("backup", "create", "--json").stdout)["name"]
    copy = next(served.state.rglob(name))
    served.server.terminate()
    served.server.wait()
    for path in served.state.glob("levada.db*"):
        path.rename(served.folder / path.name)
    said = served.run("backup", "restore", str(copy))
    assert said.returncode == 0, said.stderr
    again = served.run("backup", "restore", str(copy))
    assert again.returncode == 2
    assert "is there already" in again.stderr
    served.start_server()
    (served.folder / "counts" / "2013-01-20-3.txt").unlink()
    assert served.run_task("RunAll", "--pause", "0").returncode == 0
    assert len(served.ran()) == 31


def test_no_copy_is_made_of_a_store_that_a_server_holds(served: Served) -> None:
    said = served.run("backup", "create", "--to", "copy.db")
    assert said.returncode == 75
    assert str(served.server.pid) in said.stderr
    assert not (served.folder / "copy.db").exists()
