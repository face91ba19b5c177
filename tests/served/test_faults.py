"""Workers and servers that die, stop and come back in the middle of shared runs."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.faults.command import ended, soon
from tests.served.conftest import Served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]  # real processes and their waits: CI plays them


@pytest.mark.parametrize("executor", [[], ["--workers", "2"]])
def test_another_worker_finishes_what_a_killed_one_had_begun(served: Served, executor: list[str]) -> None:
    first = served.start_task(*executor, "Slow", "--name", "one")
    assert soon(lambda: served.ran(), 20)
    second = served.start_task("--json", "Slow", "--name", "one")
    first.kill()
    first.communicate()
    served.go()
    told = ended(second)
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["done"] == 1
    assert len(served.ran()) == 2


@pytest.mark.parametrize("executor", [[], ["--workers", "2"]])
def test_a_worker_that_slept_through_its_lease_is_refused_and_replaces_nothing(served: Served, executor: list[str]) -> None:
    """The whole family is stopped, keeper included: as if the machine had been suspended."""
    first = served.start_task(*executor, "Slow", "--name", "one")
    assert soon(lambda: served.ran(), 20)
    family = served.alive()
    family.remove(served.server.pid)
    for pid in family:
        os.kill(pid, signal.SIGSTOP)
    second = served.start_task("--json", "Slow", "--name", "one")
    assert soon(lambda: len(served.ran()) == 2, 30)
    served.go()
    told = ended(second)
    assert told.returncode == 0, told.stderr
    made = (served.folder / "slow-one.txt").read_text()
    for pid in family:
        os.kill(pid, signal.SIGCONT)
    late = ended(first)
    assert late.returncode == 0, late.stderr
    assert "lease was lost" in late.stderr
    assert "others    1 task made by other workers" in late.stderr
    assert (served.folder / "slow-one.txt").read_text() == made
    assert made == str(served.ran()[1][1])


def test_a_server_that_is_killed_and_comes_back_loses_and_repeats_nothing(served: Served) -> None:
    runs = [served.start_task("--json", "RunAll", "--pause", "0.1") for _ in range(2)]
    for least in (3, 12):
        assert soon(lambda least=least: len(served.ran()) >= least, 30)
        served.kill_server()
        served.start_server()
    results = [ended(run) for run in runs]
    assert [each.returncode for each in results] == [0, 0], [each.stderr for each in results]
    assert set(Counter(name for name, _ in served.ran()).values()) == {1}
    assert sum(json.loads(each.stdout)["done"] for each in results) == 30


@pytest.mark.ci
def test_a_short_absence_of_the_server_freezes_an_attempt_and_costs_only_time(served: Served) -> None:
    run = served.start_task("--json", "Slow", "--name", "one")
    assert soon(lambda: served.ran(), 20)
    served.kill_server()
    assert soon(lambda: _state(run.pid) == "T", 20)
    served.go()
    served.start_server()
    told = ended(run)
    assert told.returncode == 0, told.stderr
    assert (json.loads(told.stdout)["done"], len(served.ran())) == (1, 1)


@pytest.mark.ci
def test_an_attempt_that_may_continue_commits_when_the_server_is_back(served: Served) -> None:
    run = served.start_task("--json", "--cut-off", "continue", "Slow", "--name", "one")
    assert soon(lambda: served.ran(), 20)
    served.kill_server()
    time.sleep(5.5)  # the lease may have lapsed by now
    served.go()
    assert not soon(lambda: (served.folder / "slow-one.txt").exists(), 1.5)
    assert _state(run.pid) != "T"
    served.start_server()
    assert ended(run).returncode == 0
    assert len(served.ran()) == 1


@pytest.mark.ci
def test_a_server_that_never_comes_back_ends_an_idle_run_with_69(served: Served) -> None:
    first = served.start_task("Slow", "--name", "one")
    assert soon(lambda: served.ran(), 20)
    waiting = served.start_task("--patience", "2", "After")
    assert not soon(lambda: waiting.poll() is not None, 1.5)
    served.kill_server()
    told = ended(waiting)
    assert told.returncode == 69, told.stderr
    assert "nothing runs here" in told.stderr
    served.go()
    served.start_server()
    assert ended(first).returncode == 0


@pytest.mark.ci
def test_a_server_with_another_lease_is_heeded(serve: Callable[..., Served]) -> None:
    """The keeper renews by the server's lease: a task that takes longer is not granted again."""
    served = serve("--lease", "5")
    first = served.start_task("Slow", "--name", "one")
    assert soon(lambda: served.ran(), 20)
    second = served.start_task("Slow", "--name", "one")
    assert not soon(lambda: len(served.ran()) > 1, 8)
    served.go()
    assert [ended(first).returncode, ended(second).returncode] == [0, 0]


def _state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0]
