"""Jobs of shared runs: programs of this machine, whose workers die, stop and are stopped."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.command import Command, ended, soon
from tests.served.conftest import Served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]  # real processes and their waits: CI plays them

JOBS = '''
import os, time
import levada as lv

HERE = os.path.dirname(os.path.abspath(__file__))

class Job(lv.JobTask):
    """Says that it ran, waits for leave, and makes its output."""
    name: str
    def output(self):
        return lv.LocalTarget(f"job-{self.name}.txt")
    def command(self):
        return ["sh", "-c",
            f"echo {self.name} $$ >> ran.log; while [ ! -e go ]; do sleep 0.02; done; echo made > '{self.partial(self.output())}'"]
    folder = HERE

class Many(lv.WrapperTask):
    size: int = 30
    def requires(self):
        return [Job(name=f"{number}") for number in range(self.size)]

class Quick(lv.Task):
    at: int
    def output(self):
        return lv.LocalTarget(f"quick-{self.at}.txt")
    def run(self):
        time.sleep(0.1)
        self.output().write_text("quick")

class Beside(lv.WrapperTask):
    """Jobs that wait, and tasks of the worker's own."""
    def requires(self):
        return [Job(name=f"{number}") for number in range(5)] + [Quick(at=number) for number in range(5)]

class Failing(lv.JobTask):
    retry = lv.Retry(attempts=1)
    def output(self):
        return lv.LocalTarget("never.txt")
    def command(self):
        return ["sh", "-c", "echo what went wrong >&2; exit 3"]

class Late(Job):
    timeout = 1
    retry = lv.Retry(attempts=1)
'''


@pytest.fixture
def jobs(served: Served) -> Served:
    (served.folder / "flow.py").write_text(JOBS)
    return served


def started(command: Command) -> list[str]:
    try:
        return (command.folder / "ran.log").read_text().splitlines()
    except FileNotFoundError:
        return []


def programs(command: Command) -> list[str]:
    """Jobs whose program lives."""
    return [line for line in started(command) if Path(f"/proc/{line.split()[1]}").exists()]


@pytest.mark.parametrize("executor", [[], ["--workers", "2"]])
def test_a_job_outlives_its_worker_and_the_next_one_goes_on_with_it(jobs: Served, executor: list[str]) -> None:
    first = jobs.start_task(*executor, "Job", "--name", "a")
    assert soon(lambda: started(jobs), 20)
    first.kill()
    first.communicate()
    second = jobs.start_task("--json", "Job", "--name", "a")
    time.sleep(0.5)
    jobs.go()
    told = ended(second)
    assert told.returncode == 0, told.stderr
    assert len(started(jobs)) == 1
    assert json.loads(told.stdout)["done"] == 1


def test_two_workers_share_jobs_and_each_runs_once(jobs: Served) -> None:
    jobs.go()
    runs = [jobs.start_task("--json", "Many") for _ in range(2)]
    results = [ended(run) for run in runs]
    assert [result.returncode for result in results] == [0, 0], results
    assert Counter(line.split()[0] for line in started(jobs)) == {f"{number}": 1 for number in range(30)}


def test_jobs_take_no_slots_of_the_worker(jobs: Served) -> None:
    run = jobs.start_task("--json", "Beside")
    assert soon(lambda: len(started(jobs)) == 5 and len(list(jobs.folder.glob("quick-*.txt"))) == 5, 30)
    jobs.go()
    assert ended(run).returncode == 0


def test_at_sigterm_jobs_are_handed_back_at_once_and_go_on(jobs: Served) -> None:
    first = jobs.start_task("Many", "--size", "3")
    assert soon(lambda: len(started(jobs)) == 3, 20)
    began = time.monotonic()
    first.terminate()
    told = ended(first)
    assert time.monotonic() - began < 15, "it does not wait for the jobs"
    assert told.returncode == 143
    assert "the next run of this task goes on with it" in told.stderr
    second = jobs.start_task("--json", "Many", "--size", "3")
    time.sleep(0.3)
    jobs.go()
    assert ended(second).returncode == 0
    assert len(started(jobs)) == 3


def test_a_second_interrupt_cancels_jobs(jobs: Served) -> None:
    run = jobs.start_task("Job", "--name", "a")
    assert soon(lambda: programs(jobs), 20)
    run.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert run.poll() is None
    assert programs(jobs), "the first one lets jobs end"
    run.send_signal(signal.SIGINT)
    assert ended(run).returncode == 130
    assert soon(lambda: not programs(jobs), 10)


def test_levada_cancel_ends_the_job(jobs: Served) -> None:
    run = jobs.start_task("Job", "--name", "a")
    assert soon(lambda: programs(jobs), 20)
    told = jobs.run("cancel", "--scheduler", jobs.url, "Job(name=a)")
    assert told.returncode == 0, told.stderr
    assert soon(lambda: not programs(jobs), 20)
    assert ended(run).returncode != 0


def test_a_timeout_ends_the_job(jobs: Served) -> None:
    run = jobs.start_task("Late", "--name", "a")
    told = ended(run)
    assert told.returncode == 1
    assert "timeout" in told.stderr
    assert soon(lambda: not programs(jobs), 10)


def test_a_failure_shows_what_the_job_said(jobs: Served) -> None:
    told = jobs.run_task("Failing")
    assert told.returncode == 1
    assert "exit status 3" in told.stderr
    assert "what went wrong" in told.stderr
    log = jobs.run("log", "--scheduler", jobs.url, "Failing()")
    assert "what went wrong" in log.stdout


def test_without_a_server_a_killed_run_is_gone_on_with_too(tmp_path: Path) -> None:
    command = Command(tmp_path)
    (tmp_path / "flow.py").write_text(JOBS)
    first = command.start("run", "--no-console", "flow.py", "Many", "--size", "8")
    assert soon(lambda: len(started(command)) >= 4, 20)
    first.kill()
    first.communicate()
    (tmp_path / "go").touch()
    told = command.run("run", "--no-console", "--json", "flow.py", "Many", "--size", "8")
    assert told.returncode == 0, told.stderr
    assert Counter(line.split()[0] for line in started(command)) == {f"{number}": 1 for number in range(8)}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_workers_that_are_killed_again_and_again_run_each_job_once(jobs: Served) -> None:
    """Sixty jobs, a kill -9 every third of a second: the programs' own lines tell that none ran twice."""
    jobs.go()
    kills = 0
    while True:
        run = jobs.start_task("--json", "Many", "--size", "60")
        time.sleep(0.35 + 0.05 * (kills % 5))
        if run.poll() is not None:
            assert ended(run).returncode == 0
            break
        run.kill()
        run.communicate()
        kills += 1
        if kills > 12:
            assert ended(jobs.start_task("Many", "--size", "60"), 120).returncode == 0
            break
    assert Counter(line.split()[0] for line in started(jobs)) == {f"{number}": 1 for number in range(60)}
