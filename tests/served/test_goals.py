"""Goals as people and triggers want them: a server, a resident worker with its agent, and data that comes by and by."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psutil
import pytest

from tests.faults.command import ended, soon
from tests.served.conftest import Served

pytestmark = [pytest.mark.timeout(120), pytest.mark.slow]

WANTED = '''
import datetime, time
import levada as lv
from flow import note, Drop

class Sum(lv.Task):
    """Adds up what was dropped."""
    day: datetime.date
    def requires(self):
        return [Drop(day=self.day - datetime.timedelta(back)) for back in range(2)]
    def output(self):
        return lv.LocalTarget(f"sums/{self.day}.txt")
    def run(self):
        note(f"sum-{self.day}")
        self.output().write_text("VERSION" + "".join(target.read_text() for target in self.input()))

class Long(lv.Task):
    name: str
    def output(self):
        return lv.LocalTarget(f"long-{self.name}.txt")
    def run(self):
        note(f"long-{self.name}")
        time.sleep(60)

class Unlucky(lv.Task):
    retry = lv.Retry(attempts=1)
    def output(self):
        return lv.LocalTarget("unlucky.txt")
    def run(self):
        raise ValueError("no flights today")

@lv.on(lv.every(1.0), at=lv.fire.second, overlap="queue_all", missed="each", name="ticks")
class Tick(lv.Task):
    at: str
    def output(self):
        return lv.LocalTarget(f"ticks/{self.at}.txt")
    def run(self):
        note(f"tick-{self.at}")
        self.output().write_text("x")

@lv.on(lv.arrival("arrived/{what}.csv"), what=lv.path.what, overlap="allow")
class Landed(lv.Task):
    what: str
    def output(self):
        return lv.LocalTarget(f"landed/{self.what}.txt")
    def run(self):
        note(f"landed-{self.what}")
        self.output().write_text("x")
'''


_workers: list[Any] = []


@pytest.fixture
def house(serve: Callable[..., Served]) -> Iterator[Served]:
    """A server whose worker is started by ``resident``."""
    made = serve("--lease", "5")
    write(made)
    yield made
    for worker in _workers:
        worker.kill()
        worker.communicate()
    _workers.clear()


def write(served: Served, version: str = "1", ticks: bool = False) -> None:
    text = WANTED.replace("VERSION", version)
    if not ticks:
        begin, end = text.index("@lv.on(lv.every"), text.index("@lv.on(lv.arrival")
        text = text[:begin] + text[end:]
    part = served.folder / "part"
    part.write_text(text)
    os.replace(part, served.folder / "wanted.py")


def resident(served: Served, *options: str) -> Any:
    found = served.start("worker", "--app", "wanted", "--scheduler", served.url, "--log-level", "info", *options)
    _workers.append(found)
    assert soon(lambda: agents(served), 20, 0.1)
    return found


def agents(served: Served) -> list[int]:
    """Agents that run beside a worker."""
    return [pid for pid in served.alive() if "agent" in words_of(pid)]


def words_of(pid: int) -> list[str]:
    try:
        return list(psutil.Process(pid).cmdline())
    except psutil.Error:
        return []


def goal(served: Served, *words: str) -> Any:
    """What ``levada goal add`` tells."""
    done = served.run("goal", "add", *words, "--scheduler", served.url, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def states(served: Served) -> dict[str, str]:
    """States of goals by their keys."""
    done = served.run("goal", "list", "--scheduler", served.url, "--json")
    assert done.returncode == 0, done.stderr
    return {row["goal"]: row["state"] for row in json.loads(done.stdout)}


def becomes(served: Served, key: str, state: str, seconds: float = 30) -> bool:
    return soon(lambda: states(served).get(key) == state, seconds, 0.2)


def drop(served: Served, day: str) -> None:
    """A file appears whole."""
    part = served.folder / "drop" / ".part"
    part.write_text(f"{day}\n")
    os.replace(part, served.folder / "drop" / f"{day}.txt")


def ran(served: Served, word: str) -> list[str]:
    return [name for name, _ in served.ran() if name.startswith(word)]


def test_a_goal_waits_for_its_data_and_is_made_when_the_last_of_it_comes(house: Served) -> None:
    worker = resident(house)
    key = goal(house, "Sum", "--day", "2030-01-02")["goal"]
    assert becomes(house, key, "parked")
    drop(house, "2030-01-01")
    drop(house, "2030-01-02")
    assert becomes(house, key, "done")
    assert ran(house, "sum") == ["sum-2030-01-02"]
    assert (house.folder / "sums" / "2030-01-02.txt").read_text() == "12030-01-02\n2030-01-01\n"
    worker.terminate()
    assert ended(worker).returncode == 0
    assert soon(lambda: not agents(house), 20)


def test_a_goal_is_unfolded_with_the_code_as_it_stands(house: Served) -> None:
    resident(house)
    assert becomes(house, goal(house, "Sum", "--day", "2013-01-10")["goal"], "done")
    write(house, version="2")
    assert becomes(house, goal(house, "Sum", "--day", "2013-01-08")["goal"], "done")
    text = [(house.folder / "sums" / f"2013-01-{day}.txt").read_text()[0] for day in ("10", "08")]
    assert text[0] == "1"
    # The resident worker has imported the old code, and may have been quicker than the goal's own process.
    assert text[1] in ("1", "2")


def test_a_goal_that_fails_says_why_and_can_be_asked_for_again(house: Served) -> None:
    worker = resident(house, "--goals", "2")
    key = goal(house, "Unlucky")["goal"]
    assert becomes(house, key, "failed", 60), house.run("goal", "show", key, "--scheduler", house.url).stdout
    shown = house.run("goal", "show", key, "--scheduler", house.url).stdout
    assert "ValueError: no flights today" in shown, "whether its own process made it, or the resident one"
    assert "failed" in house.run("goal", "log", key, "--scheduler", house.url).stdout
    again = house.run("goal", "again", key, "--scheduler", house.url, "--json")
    assert json.loads(again.stdout)["new"]
    wrong = house.run("goal", "add", "Sum", "--dya", "2013-01-10", "--scheduler", house.url)
    assert (wrong.returncode, "Did you mean day?" in wrong.stderr) == (2, True)
    mute = house.run("goal", "add", "Nobody", "--scheduler", house.url)
    assert "levada worker --app" in mute.stderr
    worker.terminate()
    assert "Unlucky(): failed: Unlucky()" in ended(worker).stderr


def test_a_cancelled_goal_ends_its_process(house: Served) -> None:
    resident(house, "--goals", "1")
    key = goal(house, "Long", "--name", "a")["goal"]
    assert soon(lambda: ran(house, "long"), 30, 0.1)
    done = house.run("goal", "cancel", key, "--scheduler", house.url)
    assert done.returncode == 0, done.stderr
    assert becomes(house, key, "cancelled", 40)


@pytest.mark.parametrize("victim", ["agent", "worker", "server"])
def test_a_goal_outlives_whoever_dies(house: Served, victim: str) -> None:
    worker = resident(house)
    key = goal(house, "Sum", "--day", "2030-01-02")["goal"]
    assert becomes(house, key, "parked")
    if victim == "agent":
        os.kill(agents(house)[0], signal.SIGKILL)
    elif victim == "worker":
        worker.kill()
        ended(worker)
        assert soon(lambda: not agents(house), 20, 0.1)
        resident(house)
    else:
        house.kill_server()
        house.start_server()
    drop(house, "2030-01-01")
    drop(house, "2030-01-02")
    assert becomes(house, key, "done", 60)
    assert ran(house, "sum") == ["sum-2030-01-02"]


def test_a_schedule_of_the_code_fires_each_time_once_over_deaths_of_the_server(house: Served) -> None:
    write(house, ticks=True)
    resident(house)
    for _ in range(3):
        seen = len(ran(house, "tick"))
        assert soon(lambda seen=seen: len(ran(house, "tick")) > seen + 1, 40, 0.1)  # type: ignore[misc]
        house.kill_server()
        house.start_server()
    seen = len(ran(house, "tick"))
    assert soon(lambda: len(ran(house, "tick")) > seen, 40, 0.1)
    ticks = ran(house, "tick")
    assert len(ticks) == len(set(ticks))
    with closing(sqlite3.connect(house.state / "levada.db")) as store:
        made = [
            json.loads(params)["at"] for (params,) in store.execute("select params from goals where trigger_name = 'ticks' order by id")
        ]
    assert made == sorted(set(made))


def test_each_file_that_lands_fires_once_with_what_its_path_says(house: Served) -> None:
    (house.folder / "arrived").mkdir()
    resident(house)
    for what in ("a", "b"):
        (house.folder / f".{what}").write_text(what)
        os.replace(house.folder / f".{what}", house.folder / "arrived" / f"{what}.csv")
    assert soon(lambda: sorted(ran(house, "landed")) == ["landed-a", "landed-b"], 40, 0.1)
    os.kill(agents(house)[0], signal.SIGKILL)
    (house.folder / ".c").write_text("c")
    os.replace(house.folder / ".c", house.folder / "arrived" / "c.csv")
    assert soon(lambda: sorted(ran(house, "landed")) == ["landed-a", "landed-b", "landed-c"], 40, 0.1)


def test_a_range_is_a_goal(house: Served) -> None:
    resident(house)
    key = goal(house, "Sum", "--day", "2013-01-05..2013-01-08", "--newest-first", "--max-parallel", "2")["goal"]
    assert becomes(house, key, "done", 40)
    assert sorted(ran(house, "sum")) == [f"sum-2013-01-0{day}" for day in range(5, 9)]


def test_a_secret_is_no_part_of_a_goal(house: Served) -> None:
    with open(house.folder / "wanted.py", "a") as file:
        file.write("\n\nclass Vault(lv.Task):\n    password: str = lv.param(secret=True)\n    def run(self):\n        pass\n")
    unknown = goal(house, "Vault", "--password", "hush")["goal"]
    resident(house)
    assert becomes(house, unknown, "failed")
    assert "password is secret" in house.run("goal", "show", unknown, "--scheduler", house.url).stdout
    refused = house.run("goal", "add", "Vault", "--password", "hush", "--scheduler", house.url)
    assert (refused.returncode, "there is no parameter 'password'" in refused.stderr) == (2, True)


def test_a_resident_worker_begins_anew_with_new_code_and_what_is_unfolded_goes_on(house: Served) -> None:
    worker = resident(house)
    key = goal(house, "Sum", "--day", "2030-01-02")["goal"]
    assert becomes(house, key, "parked")
    (agent,) = agents(house)
    write(house, version="2")
    with open(house.folder / "wanted.py", "a") as file:
        file.write("\n\nclass Fresh(Sum):\n    def output(self):\n        return lv.LocalTarget(f'fresh/{self.day}.txt')\n")
    assert soon(
        lambda: "Fresh" in house.run("goal", "add", "Fresh", "--day", "x", "--scheduler", house.url).stderr, 30, 0.5
    )  # it is known now
    fresh = goal(house, "Fresh", "--day", "2013-01-10")["goal"]
    assert becomes(house, fresh, "done", 40), house.run("goal", "show", fresh, "--scheduler", house.url).stdout
    assert (house.folder / "fresh" / "2013-01-10.txt").read_text()[0] == "2"
    assert agents(house) == [agent]
    assert worker.poll() is None
    drop(house, "2030-01-01")
    drop(house, "2030-01-02")
    assert becomes(house, key, "done")
    assert (house.folder / "sums" / "2030-01-02.txt").read_text()[0] == "2"


def test_goals_wait_while_the_code_cannot_be_imported(house: Served) -> None:
    resident(house)
    assert becomes(house, goal(house, "Sum", "--day", "2013-01-08")["goal"], "done")
    good = (house.folder / "wanted.py").read_text()
    (house.folder / "wanted.py").write_text(good + "\n\ndef broken(:\n")
    key = goal(house, "Sum", "--day", "2013-01-10")["goal"]
    shown = lambda: house.run("goal", "show", key, "--scheduler", house.url).stdout  # noqa: E731
    assert soon(lambda: "cannot be imported" in shown(), 30, 0.3), shown()
    assert states(house)[key] == "wanted"
    (house.folder / "wanted.py").write_text(good)
    again = goal(house, "Sum", "--day", "2013-01-12")["goal"]
    assert becomes(house, again, "done", 40)


def test_what_failed_for_one_goal_is_tried_anew_for_another(house: Served) -> None:
    resident(house)
    key = goal(house, "Unlucky")["goal"]
    assert becomes(house, key, "failed", 60)
    with open(house.folder / "wanted.py", "a") as file:
        file.write("\n\nUnlucky.run = lambda self: self.output().write_text('x')\n")
    assert soon(lambda: house.run("goal", "again", key, "--scheduler", house.url) and "done" in states(house).values(), 60, 2.0)


def test_a_file_counts_when_its_writer_has_closed_it(house: Served) -> None:
    drop(house, "2030-01-01")
    resident(house)
    key = goal(house, "Sum", "--day", "2030-01-02")["goal"]
    assert becomes(house, key, "parked")
    with open(house.folder / "drop" / "2030-01-02.txt", "w") as file:
        for _ in range(4):
            file.write("part ")
            file.flush()
            time.sleep(0.5)
    assert becomes(house, key, "done")
    assert "part part part part" in (house.folder / "sums" / "2030-01-02.txt").read_text()
