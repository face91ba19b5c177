"""Backfills that share a real server: one limit over all workers, each partition once, also after a kill."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.backfill.conftest import FLOW, most_at_once, ran
from tests.faults.command import ended, soon
from tests.served.conftest import Served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120), pytest.mark.xdist_group("backfill-served")]
MONTH = "2013-01-01..2013-01-31"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path, "--lease", "5")
    (tmp_path / "flow.py").write_text(FLOW)
    yield made
    made.close()


def backfill(served: Served, *words: str, environ: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    return served.start("backfill", "--scheduler", served.url, "--no-console", "flow.py", "Day", *words, environ=environ)


def days(folder: Path) -> Counter[str]:
    return Counter(word[1:] for word in ran(folder) if word[0] == "+")


def test_two_processes_at_once_make_each_partition_once_within_one_limit(served: Served) -> None:
    words = ("--day", MONTH, "--pause", "0.05", "--max-parallel", "3", "--json", "--workers", "3", "--executor", "threads")
    results = [ended(run) for run in [backfill(served, *words) for _ in range(2)]]
    assert [result.returncode for result in results] == [0, 0], [result.stderr for result in results]
    told = [json.loads(result.stdout) for result in results]
    assert sum(each["done"] for each in told) == 62
    assert (len(days(served.folder)), set(days(served.folder).values())) == (31, {1})
    assert 2 <= most_at_once(ran(served.folder)) <= 3
    rows = json.loads(served.run("resources", "--scheduler", served.url, "--json").stdout)
    assert [(row["name"], row["total"]) for row in rows] == [("backfill-Day", 3)]


def test_a_limit_counts_for_what_a_backfill_without_one_had_left(served: Served) -> None:
    """The server knows the partitions from the first call, without a limit; the second says that there is one."""
    words = ("--day", MONTH, "--workers", "4", "--executor", "threads")
    first = backfill(served, *words, "--pause", "0.3")
    assert soon(lambda: len(days(served.folder)) >= 2, 30)
    first.kill()
    first.communicate()
    assert soon(lambda: not [pid for pid in served.alive() if pid != served.server.pid], 20)
    before = len(ran(served.folder))
    second = ended(backfill(served, *words, "--pause", "0.05", "--max-parallel", "2", "--json"))
    assert second.returncode == 0, second.stderr
    assert most_at_once(ran(served.folder)[before:]) == 2
    assert len(days(served.folder)) == 31


def test_the_newest_is_made_first(served: Served) -> None:
    run = ended(backfill(served, "--day", MONTH, "--newest-first", "--max-parallel", "2", "--pause", "0.01"))
    assert run.returncode == 0, run.stderr
    order = [word[1:11] for word in ran(served.folder) if word[0] == "+"]
    places = {day: at for at, day in enumerate(sorted(order, reverse=True))}
    assert order[0] == "2013-01-31"
    assert max(abs(places[day] - at) for at, day in enumerate(order)) <= 12


def test_a_worker_s_token_is_enough_for_a_limit(served: Served) -> None:
    made = served.run("token", "create", "--role", "worker", "--label", "w", "--to", "worker.token")
    assert made.returncode == 0, made.stderr
    token = (served.folder / "worker.token").read_text().strip()
    refused = served.run("resource", "backfill-Day", "7", "--scheduler", served.url, environ={"LEVADA_TOKEN": token})
    assert refused.returncode != 0
    run = ended(backfill(served, "--day", "2013-01-01..2013-01-04", "--max-parallel", "2", environ={"LEVADA_TOKEN": token}))
    assert run.returncode == 0, run.stderr
    rows = json.loads(served.run("resources", "--scheduler", served.url, "--json").stdout)
    assert [(row["name"], row["total"]) for row in rows] == [("backfill-Day", 2)]


def test_a_killed_backfill_is_resumed_by_another(served: Served) -> None:
    words = ("--day", MONTH, "--json", "--newest-first")
    first = backfill(served, *words, "--pause", "0.05")
    assert soon(lambda: sum(word[0] == "-" for word in ran(served.folder)) >= 5, 30)
    first.kill()
    first.communicate()
    whole = {path.name for path in (served.folder / "day").iterdir() if path.name.endswith(".txt")}
    before = len(ran(served.folder))
    second = ended(backfill(served, *words))
    assert second.returncode == 0, second.stderr
    again = {word[1:] + ".txt" for word in ran(served.folder)[before:] if word[0] == "+"}
    assert again & whole == set()
    assert len(days(served.folder)) == 31
    third = ended(backfill(served, "--day", MONTH))
    assert "nothing to do" in third.stderr


def test_a_limit_counts_for_resident_workers_too(served: Served) -> None:
    (served.folder / "slow").touch()  # assistants build no task from parameters that do not count, as --pause
    resident = served.start("worker", "--scheduler", served.url, "--app", "flow", "--workers", "4", "--executor", "threads")
    assert soon(lambda: json.loads(served.run("workers", "--scheduler", served.url, "--json").stdout), 20, 0.2)
    run = ended(backfill(served, "-m", "flow", "--day", MONTH, "--max-parallel", "3", "--json"))
    told = json.loads(run.stdout)
    assert run.returncode == 0, run.stderr
    assert (told["done"] + told["elsewhere"], told["elsewhere"] > 0) == (62, True)
    resident.terminate()
    resident.communicate()
    assert 2 <= most_at_once(ran(served.folder)) <= 3
