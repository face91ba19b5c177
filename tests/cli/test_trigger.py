"""`levada trigger`: what modules define, and what a fire would make."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Call

FLOW = """
from datetime import date
import levada as lv

@lv.on(lv.arrival("s3://in/{day}.csv"), name="come", day=lv.path.day)
@lv.schedule("30 2 * * *", zone="Europe/Berlin", day=lv.fire.day - 1)
class Report(lv.Task):
    day: date
    window: int = 7
    token: str = lv.param(default="", secret=True, significant=False)

triggers = [
    lv.trigger(Report, lv.event("changed", bucket="in"), name="changed", day=lv.event.detail.day, most=3, per=60),
    lv.trigger(Report, lv.after(Report, outcome="failed"), name="again", day=lv.ended.day, window=3),
    lv.trigger(Report, lv.every(86400), name="daily", params={"day": lv.fire.previous.day}, jitter=60, start="2024-03-01"),
    lv.trigger(Report, lv.cron("0 6 1 1 *", zone="UTC"), name="off", day=lv.fire.day, paused=True, deadline=60),
]
"""


@pytest.fixture(autouse=True)
def flow(here: Path) -> Path:
    (here / "shop_flow.py").write_text(FLOW)
    return here


def test_all_triggers_are_listed(call: Call) -> None:
    said = call("trigger", "list", "--app", "shop_flow")
    assert said.code == 0
    assert [line.split()[0] for line in said.out.splitlines()] == ["trigger", "Report", "again", "changed", "come", "daily", "off"]
    assert "Report(day={fire.day - 1})" in said.out
    assert "when that happens" in said.out
    assert call("trigger", "shop_flow.py").out == said.out
    listed = {each["name"]: each for each in json.loads(call("trigger", "list", "shop_flow.py", "--json").out)}
    assert listed["Report"]["when"] == {"kind": "cron", "line": "30 2 * * *", "zone": "Europe/Berlin"}
    assert listed["Report"]["module"] == "shop_flow"
    assert listed["come"]["next"] is None


def test_one_trigger_is_shown_with_its_policies(call: Call) -> None:
    out = call("trigger", "show", "changed", "--app", "shop_flow").out
    assert out.splitlines()[0] == "changed (shop_flow)"
    assert "at most 3 in 1 min" in out
    off = call("trigger", "show", "off", "--app", "shop_flow").out
    assert "yes: it does not fire" in off
    assert "then alert" in off
    assert len(json.loads(call("trigger", "show", "daily", "--app", "shop_flow", "--json").out)["next"]) == 3


def test_fire_times_are_shown_in_two_zones_with_what_clocks_do(call: Call) -> None:
    said = call("trigger", "next", "2", "Report", "--app", "shop_flow", "--at", "2024-03-30T12:00", "--zone", "Asia/Tokyo")
    assert said.code == 0
    head, first, second = said.out.splitlines()
    assert head.split() == ["fires", "zone", "Asia/Tokyo", "trigger", "task", "clocks"]
    assert first.startswith(
        "Sun 2024-03-31 03:00 +02:00  Europe/Berlin  Sun 2024-03-31 10:00 +09:00  Report   Report(day=2024-03-30, window=7)"
    )
    assert first.endswith("clocks skip 02:30, fires at 03:00")
    assert second.startswith("Mon 2024-04-01 02:30 +02:00")


def test_all_schedules_that_are_not_paused_are_merged(call: Call) -> None:
    rows = json.loads(call("trigger", "next", "3", "--app", "shop_flow", "--at", "2024-02-29T12:00", "--json").out)
    assert [(row["trigger"], row["at"], row["params"]["day"]) for row in rows] == [
        ("daily", "2024-03-01T00:00:00+00:00", "2024-03-01"),
        ("Report", "2024-03-01T01:30:00+00:00", "2024-02-29"),
        ("daily", "2024-03-02T00:00:00+00:00", "2024-03-01"),
    ]
    assert "2024-03-01T00:00:00" < rows[0]["due"] < "2024-03-01T00:01:00"


def test_what_would_be_wanted_is_told(call: Call, here: Path) -> None:
    at = call("trigger", "test", "Report", "--app", "shop_flow", "--at", "2024-03-31T02:00", "--zone", "UTC")
    assert at.out.splitlines() == [
        "Report wants Report(day=2024-03-30, window=7)",
        "  at Sun 2024-03-31 03:00 +02:00 (Europe/Berlin), Sun 2024-03-31 01:00 +00:00",
        "  clocks skip 02:30, fires at 03:00",
    ]
    assert call("trigger", "test", "--app", "shop_flow", "--at", "2024-05-01T03:00").out == "nothing would fire\n"
    come = call("trigger", "test", "--app", "shop_flow", "--url", "s3://in/2024-01-31.csv")
    assert come.out == "come wants Report(day=2024-01-31, window=7)\n"
    assert call("trigger", "test", "--app", "shop_flow", "--url", "s3://in/a/2024-01-31.csv").out == "nothing would fire\n"
    (here / "event.json").write_text('{"event": "changed", "bucket": "in", "detail": {"day": "2024-01-31"}}')
    assert call("trigger", "test", "--app", "shop_flow", "--event", "event.json").out == "changed wants Report(day=2024-01-31, window=7)\n"
    posted = '{"event": "changed", "id": "17", "fields": {"id": "x", "bucket": "in", "detail.day": "2024-01-31"}, "urls": ["s3://in/a"]}'
    (here / "event.json").write_text(posted)
    assert call("trigger", "test", "--app", "shop_flow", "--event", "event.json").out == "changed wants Report(day=2024-01-31, window=7)\n"
    (here / "event.json").write_text('{"event": "changed", "bucket": "out"}')
    assert call("trigger", "test", "--app", "shop_flow", "--event", "event.json").out == "nothing would fire\n"
    ended = call("trigger", "test", "--app", "shop_flow", "--ended", "Report(day=2024-01-31, window=7)", "--outcome", "failed", "--json")
    assert json.loads(ended.out) == [
        {"trigger": "again", "family": "Report", "params": {"day": "2024-01-31", "window": "3"}, "task": "Report(day=2024-01-31, window=3)"}
    ]
    off = call("trigger", "test", "off", "--app", "shop_flow", "--at", "2024-01-01")
    assert off.out.endswith("but it is paused, and does not fire\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nxt"], "levada trigger has no 'nxt'\n  Did you mean next?"),
        (["list"], "no module was named: use --app"),
        (["list", "x", "shop_flow.py"], "one word too many: 'x'"),
        (["show", "shop_flow.py"], "which trigger?"),
        (["show", "cmoe", "shop_flow.py"], "there is no trigger 'cmoe'\n  Did you mean come?"),
        (["next", "come", "shop_flow.py"], "come has no fire times: it waits for arrival of s3://in/{day}.csv"),
        (["next", "0", "shop_flow.py"], "got 0, expected a number of fire times from 1 to 10000"),
        (["next", "2", "3", "shop_flow.py"], "got '2 3'"),
        (["next", "shop_flow.py", "--zone", "Europe/Lisboa"], "--zone is 'Europe/Lisboa', which is no time zone"),
        (["next", "shop_flow.py", "--at", "soon"], "--at is 'soon'; expected a moment in ISO 8601"),
        (["test", "come", "shop_flow.py", "--at", "2024-01-01"], "come waits for arrival of s3://in/{day}.csv\n  Say what happens: --url."),
        (["test", "shop_flow.py", "--at", "2024-01-01", "--url", "x"], "one of --at, --url, --event and --ended, please"),
        (["test", "shop_flow.py", "--url", "s3://in/soon.csv"], "trigger come: day: 'soon' is not a date; expected YYYY-MM-DD"),
        (["test", "shop_flow.py", "--event", "none.json"], "--event: none.json cannot be read: No such file"),
        (["test", "shop_flow.py", "--event", "shop_flow.py"], "--event: shop_flow.py is no JSON"),
        (["test", "shop_flow.py", "--ended", "Report", "--outcome", "fine"], "--outcome is 'fine', expected done or failed"),
    ],
)
def test_what_cannot_be_meant_is_told_with_what_can(call: Call, words: list[str], told: str) -> None:
    said = call("trigger", *words)
    assert said.code == 2
    assert told in said.err


def test_a_wrong_trigger_is_told_when_its_module_is_imported(call: Call, here: Path) -> None:
    (here / "bad_flow.py").write_text(FLOW.replace("30 2 * * *", "30 2 31 2,4 *"))
    said = call("check", "bad_flow.py")
    assert said.code == 2
    assert "'30 2 31 2,4 *' never fires: no month that it names has such a day" in said.err


def test_two_triggers_of_one_name_are_told_by_check(call: Call, here: Path) -> None:
    (here / "more_flow.py").write_text(FLOW.replace("Report", "More"))
    said = call("check", "shop_flow.py", "more_flow.py")
    assert said.code == 2
    assert "two triggers are called 'come': of More in more_flow and of Report in shop_flow" in said.err


def test_help_names_every_verb(call: Call) -> None:
    out = call("trigger", "--help").out
    assert all(f"\n  {verb}" in out for verb in ("list", "show NAME", "next [N] [NAME]", "test [NAME]"))
