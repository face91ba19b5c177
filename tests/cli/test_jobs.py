"""`levada jobs`: the book of jobs, for people."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.faults.command import Command, soon

FLOW = """
import levada as lv

class Waits(lv.JobTask):
    retry = lv.Retry(attempts=1)
    def output(self):
        return lv.LocalTarget("made.txt")
    def command(self):
        return ["sh", "-c", f"echo waiting; while [ ! -e go ]; do sleep 0.02; done; echo made > '{self.partial(self.output())}'"]
    folder = "HERE"
"""


@pytest.fixture
def command(tmp_path: Path) -> Command:
    (tmp_path / "flow.py").write_text(FLOW.replace("HERE", str(tmp_path)))
    return Command(tmp_path)


def left(command: Command) -> str:
    """The name of a job whose worker was killed."""
    run = command.start("run", "--no-console", "flow.py", "Waits")
    assert soon(lambda: "waiting" in said(command), 20)
    run.kill()
    run.communicate()
    return json.loads(command.run("jobs", "--json").stdout)[0]["submission"]


def said(command: Command) -> str:
    return "".join(path.read_text() for path in command.state.glob("programs/*/log"))


def test_an_empty_book_is_said(command: Command) -> None:
    told = command.run("jobs")
    assert told.returncode == 0
    assert "no jobs are handed over" in told.stdout


@pytest.mark.slow
def test_a_job_is_listed_read_and_cancelled(command: Command) -> None:
    job = left(command)
    listed = command.run("jobs").stdout
    assert job in listed
    assert "Waits()" in listed
    assert "running" in listed
    assert command.run("jobs", "log", job).stdout == "waiting\n"
    assert command.run("jobs", "cancel", "Waits()").returncode == 0
    assert soon(lambda: json.loads(command.run("jobs", "--json").stdout)[0]["state"] == "killed", 20)
    again = command.run("run", "--no-console", "flow.py", "Waits")
    assert again.returncode == 1
    assert "cancelled" in again.stderr
    assert command.run("jobs", "--json").stdout.strip() == "[]"


def test_a_forgotten_job_is_submitted_anew(command: Command) -> None:
    job = left(command)
    assert command.run("jobs", "forget", job).returncode == 0
    (command.folder / "go").touch()
    time.sleep(0.2)
    told = command.run("run", "--no-console", "flow.py", "Waits")
    assert told.returncode == 0, told.stderr
    assert "handed over" in told.stderr


@pytest.mark.slow
def test_jobs_that_ended_while_no_worker_lived_are_cleared_away(command: Command) -> None:
    left(command)
    assert command.run("jobs", "forget", "--ended").returncode == 0
    assert len(json.loads(command.run("jobs", "--json").stdout)) == 1, "it runs"
    (command.folder / "go").touch()
    assert soon(lambda: json.loads(command.run("jobs", "--json").stdout)[0]["state"] == "succeeded", 20)
    told = command.run("jobs", "forget", "--ended")
    assert "1 jobs that had ended are forgotten" in told.stderr
    assert command.run("jobs", "--json").stdout.strip() == "[]"
    assert list(command.state.glob("programs/*")) == []


@pytest.mark.parametrize("words", [["log"], ["log", "nothing"], ["dance", "a"], ["cancel", "a", "b"]])
def test_what_is_no_job_is_told(command: Command, words: list[str]) -> None:
    told = command.run("jobs", *words)
    assert told.returncode == 2
    assert "levada jobs" in told.stderr
