"""Luigi's Range tasks, unmodified: what they require, from when to when, and how completeness is asked."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest

import levada as lv
import levada.luigi as luigi
from levada import task
from levada.errors import ParameterError
from levada.luigi.tools.range import RangeByMinutes, RangeDaily, RangeDailyBase, RangeEvent, RangeHourly, RangeMonthly
from tests.cli.conftest import Call

NOW = 1_420_070_400 + 12 * 3600  # noon of 2015-01-01, UTC


class PlainDay(lv.Task):
    day = lv.DateParameter()
    shop = lv.Parameter(default="n")

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget(f"{self.day}-{self.shop}")

    def run(self) -> None:
        self.output().write_text("")


class PlainHour(lv.Task):
    shop = lv.Parameter(default="n")
    hour = lv.DateHourParameter()

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget(f"{self.hour:%Y-%m-%dT%H}")

    def run(self) -> None: ...


class PlainMinute(lv.Task):
    at = lv.DateMinuteParameter()

    def run(self) -> None: ...


class PlainMonth(lv.Task):
    month = lv.MonthParameter()

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget(f"{self.month:%Y-%m}")

    def run(self) -> None: ...


class BulkDay(PlainDay):
    asked: ClassVar[list[Any]] = []

    @classmethod
    def bulk_complete(cls, values: Iterable[date]) -> list[date]:
        found = list(values)
        BulkDay.asked.append((cls, found))
        return [day for day in found if day.day % 2]


def days(wanted: Any) -> list[str]:
    return [f"{one.day:%m-%d}" for one in wanted.requires()]


def touch(*names: str) -> None:
    for name in names:
        Path(name).touch()


@pytest.mark.usefixtures("in_tmp")
class TestDaily:
    def test_stop_is_not_in_the_range_and_what_is_there_is_left_out(self) -> None:
        touch("2014-12-02-n")
        wanted = RangeDaily(of=PlainDay, start=date(2014, 12, 1), stop=date(2014, 12, 5), now=NOW)
        assert days(wanted) == ["12-01", "12-03", "12-04"]
        assert not wanted.complete()
        touch("2014-12-01-n", "2014-12-03-n", "2014-12-04-n")
        assert wanted.complete()

    def test_from_the_oldest_or_the_newest_and_so_many_at_once(self) -> None:
        more: dict[str, Any] = {"of": PlainDay, "start": date(2014, 12, 1), "stop": date(2014, 12, 31), "now": NOW}
        assert days(RangeDaily(task_limit=2, **more)) == ["12-01", "12-02"]
        assert days(RangeDaily(task_limit=2, reverse=True, **more)) == ["12-30", "12-29"]

    def test_without_an_end_it_goes_to_now_and_no_further_back_than_it_is_told(self) -> None:
        assert days(RangeDaily(of=PlainDay, start=date(2014, 12, 30), now=NOW)) == ["12-30", "12-31", "01-01"]
        assert days(RangeDaily(of=PlainDay, start=date(2014, 12, 30), now=NOW, days_forward=1))[-1] == "01-02"
        assert days(RangeDaily(of=PlainDay, start=date(2014, 1, 1), now=NOW, days_back=3)) == ["12-30", "12-31", "01-01"]
        assert days(RangeDaily(of=PlainDay, stop=date(2015, 2, 1), reverse=True, now=NOW, days_back=2)) == ["01-01", "12-31"]

    def test_of_params_and_param_name(self) -> None:
        touch("2014-12-30-s")
        wanted = RangeDaily(
            of=PlainDay, of_params={"shop": "s"}, param_name="day", start=date(2014, 12, 30), stop=date(2015, 1, 1), now=NOW
        )
        assert [(str(one.day), one.shop) for one in wanted.requires()] == [("2014-12-31", "s")]

    def test_a_bulk_complete_of_the_family_is_asked_once(self) -> None:
        BulkDay.asked.clear()
        wanted = RangeDaily(of=BulkDay, of_params={"shop": "s"}, start=date(2014, 12, 1), stop=date(2014, 12, 6), now=NOW)
        assert days(wanted) == ["12-02", "12-04"]
        ((made, asked),) = BulkDay.asked
        assert made(day=asked[0]) is BulkDay(day=date(2014, 12, 1), shop="s")
        assert len(asked) == 5

    def test_a_base_that_somebody_goes_on_from(self) -> None:
        class Mine(RangeDailyBase):
            def missing_datetimes(self, finite_datetimes: list[datetime]) -> list[datetime]:
                return finite_datetimes[:1]

        assert days(Mine(of=PlainDay, start=date(2014, 12, 3), stop=date(2014, 12, 9), now=NOW)) == ["12-03"]

    @pytest.mark.parametrize("given", [{}, {"stop": date(2014, 1, 1)}, {"start": date(2014, 1, 2), "stop": date(2014, 1, 1)}])
    def test_a_range_without_a_beginning_is_refused(self, given: dict[str, Any]) -> None:
        with pytest.raises(ParameterError, match="expected"):
            RangeDaily(of=PlainDay, now=NOW, **given).requires()

    def test_it_tells_how_the_range_stands(self) -> None:
        heard: dict[str, Any] = {}
        for event in (RangeEvent.COMPLETE_COUNT, RangeEvent.COMPLETE_FRACTION, RangeEvent.DELAY):
            RangeDaily.event_handler(event)(lambda family, number, event=event: heard.update({event: (family, number)}))
        touch("2014-12-01-n")
        RangeDaily(of=PlainDay, start=date(2014, 12, 1), stop=date(2014, 12, 5), now=NOW + 1).requires()
        assert list(heard.values()) == [("PlainDay", 3), ("PlainDay", 1), ("PlainDay", 0.25)]
        for event in heard:
            task._handlers.pop(event)


@pytest.mark.usefixtures("in_tmp")
def test_hours_months_and_minutes() -> None:
    hours = RangeHourly(of=PlainHour, param_name="hour", start=datetime(2015, 1, 1, 9), now=NOW)
    assert [one.hour.hour for one in hours.requires()] == [9, 10, 11]
    months = RangeMonthly(of=PlainMonth, start=date(2014, 10, 1), now=NOW)
    assert [one.month.month for one in months.requires()] == [10, 11, 12]
    assert len(RangeMonthly(of=PlainMonth, start=date(2010, 1, 1), now=NOW).requires()) == 13
    minutes = RangeByMinutes(of=PlainMinute, start=datetime(2015, 1, 1, 11, 41), minutes_interval=5, now=NOW)
    assert [one.at.minute for one in minutes.requires()] == [45, 50, 55]
    with pytest.raises(ParameterError, match="divides 60"):
        RangeByMinutes(of=PlainMinute, start=datetime(2015, 1, 1), minutes_interval=7, now=NOW).requires()


def test_nothing_is_required_of_an_empty_range() -> None:
    assert RangeDaily(of=PlainDay, start=date(2016, 1, 1), now=NOW).requires() == []


def test_the_names_are_where_old_programs_look_for_them() -> None:
    assert luigi.tools.range.RangeDaily is RangeDaily  # type: ignore[attr-defined]  # opened by name


OLD = """
import luigi
from luigi.tools.range import RangeDaily

class Report(luigi.Task):
    date = luigi.DateParameter()

    def output(self):
        return luigi.LocalTarget(f"report-{self.date}.txt")

    def run(self):
        with self.output().open("w") as out:
            out.write("x")
"""


@pytest.fixture
def old(here: Path) -> Iterator[Path]:
    (here / "old.py").write_text(OLD)
    yield here
    sys.modules.pop("old", None)


def test_an_old_command_line_makes_what_is_missing(old: Path, call: Call) -> None:
    words = (
        "luigi",
        "--local-scheduler",
        "--module",
        "old",
        "RangeDaily",
        "--of",
        "Report",
        "--start",
        "2014-01-01",
        "--stop",
        "2014-01-11",
    )
    (old / "report-2014-01-05.txt").touch()
    first = call(*words, "--days-back", "99999", "--task-limit", "6")
    assert first.code == 0, first.err
    assert len(list(old.glob("report-*.txt"))) == 7
    assert not (old / "report-2014-01-08.txt").exists()
