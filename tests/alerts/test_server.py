"""A server in a process of its own, a mail server and a web server: what goes wrong is told once."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.alerts.sinks import Mails, Posts, mail_sink, web_sink
from tests.faults.command import soon
from tests.served.conftest import Served

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180), pytest.mark.xdist_group("alerts")]

TASKS = """
import os
import levada as lv

class Load(lv.Task):
    number: int
    owners = ("ana",)
    retry = lv.Retry(attempts=1)
    def output(self):
        return lv.LocalTarget(f"load/{self.number}.txt")
    def run(self):
        if not os.path.exists("well"):
            raise ValueError(f"no table for {self.number}")
        self.output().write_text("x")

class Loads(lv.WrapperTask):
    count: int
    def requires(self):
        return [Load(number=number) for number in range(self.count)]
"""

CONFIG = """
[alerts]
to = ["{post}"]
window = {window}
url = "https://levada.example.org/"

[alerts.owners]
ana = ["{mail}", "{post}"]
"""


@pytest.fixture
def sinks() -> Iterator[tuple[Mails, str, Posts, str]]:
    with mail_sink() as (mails, mail), web_sink() as (posts, post):
        yield mails, mail, posts, post


@pytest.fixture
def place(tmp_path: Path, sinks: tuple[Mails, str, Posts, str]) -> Iterator[Callable[..., Served]]:
    made: list[Served] = []

    def make(window: float = 1.0) -> Served:
        config = tmp_path / "levada.toml"
        config.write_text(CONFIG.format(mail=sinks[1], post=sinks[3], window=window))
        config.chmod(0o600)
        made.append(Served(tmp_path, "--log-level", "debug"))
        (tmp_path / "flow.py").write_text(TASKS)
        return made[-1]

    yield make
    for each in made:
        each.close()


def kept(served: Served) -> tuple[int, int]:
    """How often the one cause was told, as the store has it, and how many messages were not sent."""
    with closing(sqlite3.connect(f"file:{served.state}/levada.db?mode=ro", uri=True)) as db:
        rows = db.execute("select value from meta where name = 'host.alerts'").fetchall()
    if not rows:
        return (0, 0)
    told = json.loads(rows[0][0])
    causes = json.loads(told["grouping"])["causes"]
    return (causes[0][9] if causes else 0, len(told["letters"]))


def test_a_failure_is_one_mail_and_one_post_and_so_is_its_end(place: Callable[..., Served], sinks: tuple[Mails, str, Posts, str]) -> None:
    mails, _, posts, _ = sinks
    served = place()
    assert served.run_task("Load", "--number", "7").returncode == 1
    assert soon(lambda: bool(mails.got and posts.got), 30)
    title = "[levada] Load(number=7) failed: ValueError: no table for 7"
    assert [(to, subject) for to, subject, _ in mails.got] == [(["ops@example.org"], title)]
    for words in ("raise ValueError", "Its log: levada log ", "https://levada.example.org/"):
        assert words in mails.got[0][2]
    assert posts.titles == [title]
    (served.folder / "well").touch()
    assert served.run("retry", "--scheduler", served.url, "--family", "Load").returncode == 0
    assert served.run_task("Load", "--number", "7").returncode == 0
    assert soon(lambda: len(mails.got) == len(posts.got) == 2, 30)
    assert posts.titles[1] == mails.got[1][1] == "[levada] recovered: Load"
    log = (served.folder / "server.log").read_text()
    assert not [word for word in ("hunter22", "token0815") if word in log]


def test_a_thousand_that_fail_alike_are_one_message_and_after_a_kill_it_is_quiet(
    place: Callable[..., Served], sinks: tuple[Mails, str, Posts, str]
) -> None:
    mails, _, posts, _ = sinks
    served = place(window=15.0)
    assert served.run_task("Loads", "--count", "1000").returncode == 1
    assert soon(lambda: bool(mails.got), 60)
    assert posts.titles == [mails.got[0][1]]
    assert mails.got[0][1].startswith("[levada] Load failed (1,000 times): ValueError: no table for ")
    assert soon(lambda: bool(posts.got), 10)
    assert soon(lambda: kept(served) == (1, 0), 20)
    served.kill_server()
    served.start_server()
    (served.folder / "well").touch()
    assert served.run("retry", "--scheduler", served.url, "--family", "Load").returncode == 0
    assert served.run_task("Loads", "--count", "1000").returncode == 0
    assert soon(lambda: len(mails.got) == 2, 30)
    assert mails.got[1][1] == "[levada] recovered: Load (1,000 times)"
    assert len(posts.got) == 2
