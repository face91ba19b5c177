"""Several programs at the same moment, without a server: each task runs once, and all of them end well."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.faults.command import Command, ended

LOG = """
import os, time

def note(name):
    fd = os.open("ran.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, (name + chr(10)).encode())
    os.close(fd)
    time.sleep(0.002)
"""

TYPED = """
import datetime
import levada as lv
from log import note

FIRST = datetime.date(2013, 1, 20)


class Drop(lv.ExternalTask):
    day: datetime.date

    def output(self):
        return lv.LocalTarget(f"drop/{self.day}.txt")


class Counted(lv.Task):
    day: datetime.date
    window: int

    def requires(self):
        return [Drop(day=self.day - datetime.timedelta(back)) for back in range(self.window)]

    def output(self):
        return lv.LocalTarget(f"counts/{self.day}-{self.window}.txt")

    def run(self):
        note(f"{self.day}-{self.window}")
        count = sum(len(target.read_text().splitlines()) for target in self.input())
        self.output().write_text(f"{count}")


class RunAll(lv.Task):
    def requires(self):
        for window in [3, 7, 14]:
            for back in range(10):
                yield Counted(day=FIRST - datetime.timedelta(back), window=window)


if __name__ == "__main__":
    raise SystemExit(lv.run(RunAll()).exit_code)
"""

OLD = """
import datetime
import levada as luigi
from log import note

FIRST = datetime.date(2013, 1, 20)


class Drop(luigi.ExternalTask):
    date = luigi.DateParameter()

    def output(self):
        return luigi.LocalTarget(self.date.strftime("drop/%Y-%m-%d.txt"))


class Counted(luigi.Task):
    date = luigi.DateParameter()
    window = luigi.IntParameter()

    def requires(self):
        return [Drop(self.date - datetime.timedelta(i)) for i in range(self.window)]

    def run(self):
        note("%s-%d" % (self.date, self.window))
        count = 0
        for day in self.input():
            with day.open("r") as lines:
                count += sum(1 for _ in lines)
        with self.output().open("w") as out:
            out.write(str(count))

    def output(self):
        return luigi.LocalTarget("counts/%s-%d.txt" % (self.date, self.window))


class RunAll(luigi.Task):
    def requires(self):
        for window in [3, 7, 14]:
            for d in range(10):
                yield Counted(FIRST - datetime.timedelta(d), window)


if __name__ == "__main__":
    luigi.run(main_task_cls=RunAll)
"""

STARTS = {
    "typed, one slot": ["-m", "levada", "run", "typed:RunAll"],
    "typed, a pool": ["-m", "levada", "run", "typed:RunAll", "--workers", "2", "--executor", "processes"],
    "typed, threads": ["-m", "levada", "run", "typed:RunAll", "--workers", "2", "--executor", "threads"],
    "typed, a program": ["typed.py"],
    "old, a program": ["old.py"],
    "old, from the command line": ["-m", "levada", "run", "old:RunAll"],
}


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """A folder with both programs and the drops of 24 days, the n-th with n lines."""
    for name, text in (("log", LOG), ("typed", TYPED), ("old", OLD)):
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "drop").mkdir()
    from datetime import date, timedelta

    for back in range(24):
        (tmp_path / "drop" / f"{date(2013, 1, 20) - timedelta(back)}.txt").write_text("1\n" * (back + 1))
    return Command(tmp_path)


def four_at_once(command: Command, starts: list[list[str]]) -> None:
    """Start them at the same moment: each task runs once, all end with 0, what they made is right."""
    processes = [command.python(*arguments) for arguments in starts]
    results = [ended(process) for process in processes]
    assert [result.returncode for result in results] == [0] * 4, "\n".join(result.stderr for result in results)
    ran = Counter((command.folder / "ran.log").read_text().split())
    assert len(ran) == 30
    assert {name: times for name, times in ran.items() if times > 1} == {}
    for path in (command.folder / "counts").iterdir():
        day, window = 20 - int(path.stem[8:10]), int(path.stem[11:])
        assert int(path.read_text()) == sum(range(day + 1, day + 1 + window))
    assert not list(command.folder.rglob(".*.part"))


@pytest.mark.parametrize("kind", STARTS)
@pytest.mark.slow
def test_four_programs_started_at_once_run_each_task_once(command: Command, kind: str) -> None:
    four_at_once(command, [STARTS[kind]] * 4)


def test_four_programs_of_different_kinds_run_each_task_once(command: Command) -> None:
    four_at_once(command, [STARTS[kind] for kind in ("typed, one slot", "typed, a pool", "typed, threads", "typed, a program")])


@pytest.mark.ci
@pytest.mark.timeout(300)
def test_four_at_once_ten_times_over(command: Command) -> None:
    for kind in [*list(STARTS)[:3], "old, a program"]:
        for _ in range(10):
            for path in [command.folder / "ran.log", *(command.folder / "counts").glob("*")]:
                path.unlink(missing_ok=True)
            four_at_once(command, [STARTS[kind]] * 4)
