"""What tests start as processes of their own: `python programs.py WHAT ARGUMENTS`."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

import levada as lv
from levada.contrib.sql import CopyToTable, SqlTarget, query


class Load(CopyToTable):
    url: str
    count: int
    kill_at: int = lv.param(default=-1, significant=False)
    name: str = "first"

    table = "numbers"
    columns = [("number", sa.Integer), ("square", sa.BigInteger), ("name", sa.String(50))]
    resources = {"database": 1}

    def update_id(self) -> str:
        return self.name

    def rows(self) -> Iterator[Any]:
        for number in range(self.count):
            if number == self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            yield number, number * number, "x" * 30


def load(url: str, count: str, kill_at: str, name: str = "first") -> None:
    """Load so many rows, and die by SIGKILL before one of them; print the peak of memory."""
    Load(url=url, count=int(count), kill_at=int(kill_at), name=name).run()
    print(json.dumps({"kilobytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))


def fork(url: str) -> None:
    """Use a database, and then in children that were forked from here, at once; their parent's transaction goes on meanwhile."""
    target = SqlTarget(url, "numbers", "parent")
    children = []
    with target.writing() as connection:
        for number in range(4):
            pid = os.fork()
            if pid == 0:
                status = 1
                try:
                    assert not SqlTarget(url, "numbers", f"child {number}").exists()
                    assert list(query(url, "select 1")) == [(1,)]
                    status = 0
                finally:
                    os._exit(status)
            children.append(pid)
        assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
        assert connection.execute(sa.text("select 2")).scalar() == 2
    assert target.exists()
    print("ended")


def pool(url: str) -> None:
    """Eight loads into one table, from two processes."""
    tasks = [Load(url=url, count=1000, name=f"load {number}") for number in range(8)]
    sys.exit(lv.run(tasks, workers=2, executor="processes").exit_code)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
