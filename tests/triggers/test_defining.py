"""Triggers as authors write them: what comes out as data, and what is refused where it is written."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Any

import pytest

import levada as lv
from levada._model.triggers import After, Arrival, Cron, Event, Every, Rule, Trigger
from levada.errors import DefinitionError
from levada.triggers import kinds_of, triggers_of


class Colour(Enum):
    RED = 1


class Report(lv.Task):
    day: date
    window: int = 7


class Every_(lv.Task):
    month: date = lv.MonthParameter(default=date(2024, 1, 1))  # type: ignore[assignment]
    hour: datetime = lv.DateHourParameter(default=datetime(2024, 1, 1))  # type: ignore[assignment]
    at: datetime = datetime(2024, 1, 1)
    span: Any = lv.DateIntervalParameter(default=lv.DateInterval.parse("2024-W01"))
    shop: str = ""
    start: str = ""
    maybe: date | None = None
    colour: Colour = Colour.RED
    shops: tuple[str, ...] = ()


LISBON = lv.cron("0 6 * * *", zone="Europe/Lisbon")
START = "DTSTART:20240101T060000"


def of(when: Any) -> Trigger:
    return lv.trigger(Report, when, day=lv.fire.day)


def by_line(line: str, zone: str = "UTC") -> Trigger:
    return of(lv.cron(line, zone=zone))


def by_rule(text: str, zone: str = "UTC") -> Trigger:
    return of(lv.rrule(text, zone=zone))


def test_a_schedule_is_said_beside_the_task() -> None:
    @lv.schedule("0 6 * * *", zone="Europe/Lisbon", day=lv.fire.day - 1, window=3, jitter=timedelta(minutes=1), overlap="queue_one")
    class Daily(lv.Task):
        day: date
        window: int = 7

    (made,) = triggers_of_class(Daily)
    assert made == Trigger(
        "Daily",
        "Daily",
        (("day", "{fire.day - 1}"), ("window", "3")),
        Cron("0 6 * * *", "Europe/Lisbon"),
        __name__,
        60.0,
        overlap="queue_one",
    )
    assert Daily(day=date(2024, 1, 1)).window == 7


def triggers_of_class(cls: Any) -> tuple[Trigger, ...]:
    return tuple(cls.__dict__["_triggers_defined"])


def test_several_triggers_of_a_task_have_names() -> None:
    @lv.on(lv.arrival("s3://in/{day}.csv"), name="come", day=lv.path.day)
    @lv.schedule("0 6 * * *", zone="UTC", day=lv.fire.day - 1)
    class Twice(lv.Task):
        day: date

    assert [each.name for each in triggers_of_class(Twice)] == ["come", "Twice"]
    with pytest.raises(DefinitionError, match="two triggers are called 'Twice': Twice has two of it\n"):
        lv.on(lv.every(60), day=lv.fire.day)(Twice)


def test_a_subclass_has_no_trigger_of_its_base() -> None:
    @lv.schedule("0 6 * * *", zone="UTC")
    class Base(lv.Task):
        pass

    class Derived(Base):
        pass

    assert "_triggers_defined" not in Derived.__dict__


def test_each_kind_of_parameter_takes_the_fact_that_fits() -> None:
    params = {
        "month": lv.fire.month - 1,
        "hour": lv.fire.hour,
        "at": lv.fire.time,
        "span": lv.fire.week - 1,
        "shop": f"north {lv.fire.previous.day}",
        "start": "{{}}",
        "maybe": lv.fire.day,
        "shops": ["a", "{b}"],
    }
    made = lv.trigger(Every_, LISBON, params=params, start=datetime(2024, 1, 1, 6), end="2025-01-01")
    assert dict(made.params) == {
        "month": "{fire.month - 1}",
        "hour": "{fire.hour}",
        "at": "{fire.time}",
        "span": "{fire.week - 1}",
        "shop": "north {fire.previous.day}",
        "start": "{{}}",
        "maybe": "{fire.day}",
        "shops": '["a", "{{b}}"]',
    }
    assert (made.start, made.end) == ("2024-01-01T06:00:00", "2025-01-01")
    assert kinds_of(Every_) == {
        "month": ("month", True),
        "hour": ("hour", True),
        "at": ("datetime", True),
        "span": ("interval", True),
        "shop": ("text", True),
        "start": ("text", True),
        "maybe": ("date?", True),
        "colour": ("", True),
        "shops": ("", True),
    }


def test_what_can_be_waited_for() -> None:
    assert lv.every(timedelta(hours=1), zone="Asia/Kathmandu", at=date(2024, 1, 1)) == Every(3600.0, "Asia/Kathmandu", "2024-01-01")
    assert lv.rrule("DTSTART:20240101T060000\nRRULE:FREQ=DAILY", zone="UTC") == Rule("DTSTART:20240101T060000\nRRULE:FREQ=DAILY", "UTC")
    assert lv.arrival("in/{day}.csv", interval=timedelta(minutes=1)) == Arrival("in/{day}.csv", 60.0)
    assert lv.event("changed", bucket="in") == Event("changed", (("bucket", "in"),))
    daily = lv.trigger(Report, LISBON, day=lv.fire.day, name="daily")
    whose = lv.after(Report, Report(day=date(2024, 1, 31)), daily, "Other", outcome="ended", any_of=True)
    assert whose == After(("Report", "Report(day=2024-01-31, window=7)", "trigger:daily", "Other"), "ended", True)
    made = lv.trigger(Report, whose, day=lv.ended.day, window=2)
    assert made.params == (("day", "{ended.day}"), ("window", "2"))
    assert lv.trigger(Report, lv.event("changed"), day=lv.event["object-day"]).params == (("day", "{event.object-day}"),)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: lv.trigger(Report, LISBON), "no value here\n  Say what it is to be at each fire, as in day={fire.day}."),
        (lambda: lv.trigger(Report, LISBON, dya=lv.fire.day), "no parameter 'dya'; the parameters are day, window\n  Did you mean day"),
        (lambda: lv.trigger(Report, LISBON, day=lv.fire.day, window=lv.fire.day), "window is a whole number, and {fire.day} is a day"),
        (lambda: lv.trigger(Report, LISBON, day=lv.fire.hour), "day is a day, and {fire.hour} is an hour\n  Write day={fire.day}."),
        (lambda: lv.trigger(Report, LISBON, day=lv.path.day), "{path.day} is of an arrival, as in {path.day}, and this trigger has 'fire'"),
        (lambda: lv.trigger(Report, LISBON, day=lv.fire), "parameter day is all of fire; expected one of its facts"),
        (lambda: lv.trigger(Report, LISBON, day="2024-02-30"), "'2024-02-30'"),
        (lambda: lv.trigger(Report, LISBON, day=7), "day: 7 is not a date"),
        (lambda: lv.trigger(Report, LISBON, day=lv.fire.day, window="seven"), "window is a whole number, and 'seven' is none"),
        (lambda: lv.trigger(Every_, LISBON, maybe=lv.fire.month), "maybe is a day, and {fire.month} is a month"),
        (lambda: lv.trigger(Every_, LISBON, colour=lv.fire.day), "colour is '{fire.day}', which at some fire is '2024-01-02'"),
        (lambda: lv.trigger(Every_, LISBON, shops=lv.fire.day), "shops is '{fire.day}'"),
        (lambda: lv.trigger(Report, lv.arrival("in/{day}.csv"), day=lv.path.dya), "'path' has no 'dya'\n  Did you mean {path.day}"),
        (lambda: lv.trigger(Report, lv.arrival("in/{day"), day=lv.path.day), "pattern is 'in/{day'; expected a URL or a path"),
        (lambda: by_line("0 6 * * *", "Europe/Lisboa"), "Did you mean Europe/Lisbon"),
        (lambda: lv.schedule("0 6 * * *", day=lv.fire.day), "schedule('0 6 * * *') needs a zone: on whose clocks?\n  As in zone="),  # type: ignore[call-arg]
        (lambda: lv.cron("0 6 * * *"), "cron('0 6 * * *') needs a zone"),  # type: ignore[call-arg]
        (lambda: lv.rrule(START), "needs a zone: on whose clocks?"),  # type: ignore[call-arg]
        (lambda: by_line("0 6 30 2 *"), "'0 6 30 2 *' never fires: no month that it names has such a day"),
        (lambda: by_line("0 6 */31 2 MON#2"), "never fires"),
        (lambda: by_line("0 25 * * *"), "'0 25 * * *': the hour is '25'; expected 0-23"),
        (lambda: by_line("0 6 * *"), "has 4 fields; expected five: minute, hour"),
        (lambda: by_line("@reboot"), "Words there are, too: @hourly"),
        (lambda: of(lv.every(0.1)), "seconds is 0.1; expected seconds, 1 or more"),
        (lambda: by_rule("RRULE:FREQ=DAILY"), "expected a line DTSTART:20240101T060000"),
        (lambda: by_rule(f"{START}\nRRULE:FREQ=DALY"), "dateutil says: "),
        (lambda: by_rule(f"{START}Z\nRRULE:FREQ=DAILY", "Asia/Tokyo"), "of the zone Asia/Tokyo"),
        (lambda: by_rule(f"{START}\nRRULE:FREQ=DAILY;UNTIL=20230101T000000"), "never fires"),
        (lambda: of("0 6 * * *"), "when is '0 6 * * *'; expected cron(...), every(...)"),
        (lambda: lv.trigger("Report", LISBON), "a trigger is of a task class, got 'Report'"),  # type: ignore[arg-type]
        (lambda: lv.trigger(Report, LISBON, day=lv.fire.day, overlap="skp"), "overlap is 'skp'; expected skip"),  # type: ignore[arg-type]
        (lambda: lv.trigger(Report, LISBON, day=lv.fire.day, name="a b"), "name is 'a b'; expected letters"),
        (lambda: lv.trigger(Report, LISBON, day=lv.fire.day, end="soon"), "end is 'soon'; expected a moment"),
        (lambda: lv.fire.dya, "there is no fire.dya\n  Did you mean fire.day"),
        (lambda: lv.fire.day - timedelta(1), "expected a whole number of its own units"),
        (lambda: f"{lv.fire.day:%Y}", "cannot be written as '%Y'"),
        (lambda: lv.after(7), "after(7): expected a task class"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_where_it_is_written(make: Callable[[], object], told: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        make()
    assert told in str(caught.value)


def test_a_kind_of_an_authors_own_reads_as_it_likes() -> None:
    class Quarter(lv.DateParameter):
        def parse(self, text: str) -> date:
            year, quarter = text.split("q")
            return date(int(year), int(quarter) * 3 - 2, 1)

    class Quarterly(lv.Task):
        quarter = Quarter()

    assert lv.trigger(Quarterly, LISBON, quarter="{fire.year}q1").params == (("quarter", "{fire.year}q1"),)
    with pytest.raises(DefinitionError, match="which at some fire is '2024-01-02'"):
        lv.trigger(Quarterly, LISBON, quarter=lv.fire.day)


def test_a_secret_is_no_part_of_a_trigger() -> None:
    class Closed(lv.Task):
        token: str = lv.param(secret=True)

    assert lv.trigger(Closed, LISBON).params == ()
    with pytest.raises(DefinitionError, match="token is secret, and triggers are kept as plain text\n  Set it in") as caught:
        lv.trigger(Closed, LISBON, token="sesame")
    assert "sesame" not in str(caught.value)


@pytest.fixture
def modules() -> Iterator[Callable[..., types.ModuleType]]:
    made: list[str] = []

    def module(name: str, **values: object) -> types.ModuleType:
        new = types.ModuleType(name)
        vars(new).update(values)
        sys.modules[name] = new
        made.append(name)
        return new

    yield module
    for name in made:
        del sys.modules[name]


def test_triggers_of_modules_are_those_of_their_classes_and_lists(modules: Callable[..., types.ModuleType]) -> None:
    class Nightly(lv.Task):
        __module__ = "shops_.night"

    lv.schedule("0 0 * * *", zone="UTC")(Nightly)
    listed = lv.trigger(Report, LISBON, day=lv.fire.day - 1, name="b")
    modules("shops_", triggers=[listed], Nightly=Nightly)
    modules("shops_.night", Nightly=Nightly, triggers=["of a database"])
    modules("shops_more", triggers=[listed])
    assert [(each.name, each.module) for each in triggers_of(["shops_"])] == [("Nightly", "shops_.night"), ("b", "shops_")]
    assert triggers_of([]) == []


def test_two_triggers_of_one_name_are_refused(modules: Callable[..., types.ModuleType]) -> None:
    modules("shops_a", triggers=[lv.trigger(Report, LISBON, day=lv.fire.day)])
    modules("shops_b", triggers=[lv.trigger(Report, LISBON, day=lv.fire.day - 1)])
    with pytest.raises(DefinitionError, match="called 'Report': of Report in shops_a and of Report in shops_b"):
        triggers_of(["shops_a", "shops_b"])


def test_a_task_in_the_list_of_triggers_is_told(modules: Callable[..., types.ModuleType]) -> None:
    modules("shops_c", triggers=[Report])
    with pytest.raises(DefinitionError, match=r"shops_c.triggers holds .*Report.*; expected lv.trigger"):
        triggers_of(["shops_c"])


def test_a_rule_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dateutil.rrule", None)
    with pytest.raises(DefinitionError, match=r"recurrence rules need python-dateutil.*\n  pip install 'levada\[rrule\]'"):
        by_rule(f"{START}\nRRULE:FREQ=DAILY")
