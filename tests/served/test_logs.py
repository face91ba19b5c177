"""What attempts print and log is to be had from the server."""

from __future__ import annotations

import time

import pytest

from tests.faults.command import ended, soon
from tests.served.conftest import Served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]  # real processes and their waits: CI plays them

TALK = """
import logging, os, sys, time
import levada as lv

class Talk(lv.Task):
    n: int
    password: str = lv.param(default="", secret=True, significant=False)
    lines: int = 0
    def output(self):
        return lv.LocalTarget(f"talk-{self.n}.txt")
    def run(self):
        print("hello from", self.n)
        sys.stdout.write("pass")
        sys.stdout.write("word is " + self.password[:4])
        print(self.password[4:])
        logging.getLogger("mine").warning("a warning")
        sys.stderr.write("to stderr\\n")
        for n in range(self.lines):
            print(n, "x" * 1000)
        while self.n > 90 and not os.path.exists("go"):
            time.sleep(0.02)
        self.output().write_text("x")
"""

SAID = ["hello from {}", "password is ***", "a warning", "to stderr"]


@pytest.fixture
def talking(served: Served) -> Served:
    (served.folder / "talk.py").write_text(TALK)
    return served


@pytest.mark.parametrize("executor", [[], ["--workers", "2"], ["--workers", "2", "--executor", "threads"]])
def test_what_an_attempt_says_is_kept_in_order_with_secrets_masked(talking: Served, executor: list[str]) -> None:
    environ = {"LEVADA_PARAM__Talk__password": "open sesame"}
    run = talking.run("run", "--scheduler", talking.url, *executor, "talk.py", "Talk", "--n", "7", environ=environ)
    assert run.returncode == 0, run.stderr
    assert "password is open sesame" in run.stdout
    said = talking.run("log", "--scheduler", talking.url, "Talk(n=7)").stdout
    places = [said.find(each.format(7)) for each in SAID]
    assert -1 not in places, said
    assert places == sorted(places)
    assert "sesame" not in said
    assert said.count("a warning") == 1


def test_a_log_can_be_read_while_the_attempt_runs(talking: Served) -> None:
    run = talking.start("run", "--scheduler", talking.url, "talk.py", "Talk", "--n", "99")
    assert soon(lambda: "to stderr" in talking.run("log", "--scheduler", talking.url, "Talk(n=99)").stdout, 20, 0.2)
    assert run.poll() is None
    talking.go()
    assert ended(run).returncode == 0


def test_much_output_holds_up_nothing_while_the_server_is_away(talking: Served) -> None:
    """20 MB of text; what finds no room is left out, and the end is there."""
    talking.kill_server()
    began = time.monotonic()
    run = talking.start("run", "--scheduler", talking.url, "talk.py", "Talk", "--n", "5", "--lines", "20000")
    time.sleep(0.5)
    talking.start_server()
    assert ended(run).returncode == 0
    assert time.monotonic() - began < 20
    assert "\n19999 x" in talking.run("log", "--scheduler", talking.url, "Talk(n=5, lines=20000)").stdout
