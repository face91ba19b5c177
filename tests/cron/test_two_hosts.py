"""Cron on two hosts starts the same programs each minute: each task runs once, and a mail means that something is wrong."""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.chaos.nets import can_cut
from tests.contrib.ports import free_port
from tests.faults.command import soon
from tests.served.conftest import Served
from tests.served.second_host import Hosts, second_host

from .daemon import CRON, Cron, can_fire

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("cron"),
    pytest.mark.timeout(300),
    pytest.mark.skipif(not can_fire() or not can_cut(), reason=f"by design: needs root, {CRON} and namespaces"),
]

PROGRAM = """
import time
import levada as lv
from flow import RunAll, note

SLOW = 75  # seconds: longer than the minute between two starts

class Slow(lv.Task):
    part: int
    def output(self):
        return lv.LocalTarget(f"slow/{self.part}.txt")
    def run(self):
        note(f"slow-{self.part}")
        time.sleep(SLOW)
        self.output().write_text("x")

class SlowAll(lv.WrapperTask):
    def requires(self):
        return [Slow(part=1), Slow(part=2)]

class Wrong(lv.Task):
    retry = lv.Retry(attempts=1)
    def output(self):
        return lv.LocalTarget("wrong.txt")
    def run(self):
        note("wrong")
        raise ValueError("no flights today")
"""
FAMILIES = ("RunAll", "SlowAll", "Wrong")
FIRES = 3  # minutes
PAGE = Path(__file__).parents[2] / "docs" / "cron.md"


class Ended(NamedTuple):
    """A line of cron's that has ended."""

    host: str
    family: str
    code: int
    began: int
    ended: int


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    with second_host() as made:
        yield made


def crontab(served: Served, host: str) -> list[str]:
    """The line of the page for each family, with a note of how it ended behind it."""
    lines = []
    for family in FAMILIES:
        run = line_of_the_page().replace("/srv/flights", str(served.folder)).replace("pipeline Report", f"cronned {family}")
        note = f"e=$?; echo {host} {family} $e $b $(date +\\%s) >> {served.folder}/ends.log; exit $e"
        lines.append(f"* * * * * root b=$(date +\\%s); {run}; {note}")
    return lines


def line_of_the_page() -> str:
    """The command of the first crontab in docs/cron.md."""
    found = re.search(r"^\* \* \* \* \*  (.*)$", PAGE.read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def ends(served: Served) -> list[Ended]:
    try:
        lines = (served.folder / "ends.log").read_text().splitlines()
    except FileNotFoundError:
        return []
    return [Ended(host, family, int(code), int(began), int(ended)) for host, family, code, began, ended in map(str.split, lines)]


def test_each_task_runs_once_though_cron_starts_all_on_two_hosts_each_minute(tmp_path: Path, hosts: Hosts) -> None:
    port = free_port()
    served = Served(tmp_path, "--lease", "10", "--bind", f"{hosts.address}:{port}", "--behind-proxy")
    crons: list[Cron] = []
    try:
        (tmp_path / "cronned.py").write_text(PROGRAM)
        made = served.run("token", "create", "--role", "worker", "--label", "cron", "--to", str(tmp_path / "worker.token"))
        assert made.returncode == 0, made.stderr
        for host, wrap in (("one", ()), ("two", hosts.second)):
            environ = {
                "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
                "MAILTO": "ops@example.org",
                "PYTHONPATH": served.environ["PYTHONPATH"],
                "FAULTS_MARK": served.mark,
                "LEVADA_SCHEDULER": f"http://{hosts.address}:{port}",
                "LEVADA_LEVADA__TOKEN_FILE": str(tmp_path / "worker.token"),
                "LEVADA_STATE": str(tmp_path / f"state-{host}"),
            }
            crons.append(Cron(tmp_path / f"cron-{host}", environ, crontab(served, host), wrap))
        assert soon(lambda: all_fired(served), 260, 0.5), (ends(served), [cron.said() for cron in crons])
    finally:
        for cron in crons:
            cron.close()
        time.sleep(0.5)
        served.close()
    judge(served, crons)


def all_fired(served: Served) -> bool:
    seen = Counter((each.host, each.family) for each in ends(served))
    return len(seen) == 2 * len(FAMILIES) and min(seen.values()) >= FIRES


def judge(served: Served, crons: list[Cron]) -> None:
    ran = Counter(name for name, _ in served.ran())
    assert set(ran.values()) == {1}, {name: count for name, count in ran.items() if count > 1}
    assert len(ran) == 30 + 2 + 1  # counts, slow ones, and the wrong one: once in all these minutes
    codes = {(each.family, each.code) for each in ends(served)}
    assert codes == {("RunAll", 0), ("SlowAll", 0), ("Wrong", 1)}
    slow = sorted((each.began, each.ended) for each in ends(served) if each.family == "SlowAll")
    assert any(later[0] < first[1] for first, later in zip(slow, slow[2:], strict=False)), "a minute's run overlaps that of the next"
    starts = {family: Counter(each.began // 60 for each in ends(served) if each.family == family) for family in FAMILIES}
    assert any(count == 2 for count in starts["RunAll"].values()), "both hosts started in the same minute"
    for cron in crons:
        mails = cron.mails()
        assert mails
        assert all("ValueError: no flights today" in mail or "Wrong()" in mail for mail in mails), mails
