"""`levada trigger` towards a server, and `levada event`: each verb, and each thing that people get wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Call
from .manned import AGENT, Manned, manned

NIGHTLY = ("trigger", "add", "nightly", "Report", "--cron", "30 2 * * *", "--zone", "Europe/Berlin", "--param", "day={fire.day - 1}")


@pytest.fixture
def server(here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Manned]:
    made = manned(monkeypatch, tmp_path_factory.mktemp("server"))
    yield made
    made.stop()


@pytest.mark.parametrize("command", ["trigger", "event", "agent", "worker"])
def test_each_of_these_commands_has_help(here: Path, call: Call, command: str) -> None:
    said = call(command, "--help")
    assert (said.code, said.out.startswith(f"Usage: levada {command}")) == (0, True)
    if command == "trigger":
        assert all(f"\n  {verb} " in said.out for verb in ("add NAME FAMILY", "pause NAME", "resume NAME", "remove NAME", "fire NAME"))


def test_a_trigger_is_added_listed_shown_and_removed(server: Manned, call: Call) -> None:
    assert "the server has no triggers" in call("trigger").out
    assert call(*NIGHTLY).out == "nightly: added\n"
    assert call(*NIGHTLY).out == "nightly: unchanged\n"
    assert call(*NIGHTLY, "--overlap", "queue_all", "--rate", "10/3600", "--deadline", "60").out == "nightly: changed\n"
    head, row = call("trigger", "list").out.splitlines()
    assert head.split() == ["trigger", "task", "when", "next", "fires", "live", "problem"]
    assert row.startswith("nightly  Report(day={fire.day - 1})  30 2 * * * (Europe/Berlin)")
    shown = call("trigger", "show", "nightly").out
    assert shown.startswith("nightly (by command)\n")
    assert "queue_all" in shown
    assert "at most 10 in 1 h 0 min" in shown
    assert len(call("trigger", "next", "3", "nightly").out.splitlines()) == 4
    assert "nightly wants Report(day=2024-01-30)" in call("trigger", "test", "nightly", "--at", "2024-01-31T02:30").out
    assert call("trigger", "remove", "nightly").out == "nightly: removed\n"
    assert "the server has no triggers" in call("trigger", "list").out


def test_json_is_for_programs_everywhere(server: Manned, call: Call) -> None:
    added = json.loads(call(*NIGHTLY, "--json").out)
    assert (added["after"], added["trigger"]["name"]) == ("added", "nightly")
    assert json.loads(call("trigger", "list", "--json").out)[0]["spec"]["params"] == {"day": "{fire.day - 1}"}
    assert json.loads(call("trigger", "show", "nightly", "--json").out)["family"] == "Report"
    assert json.loads(call("trigger", "pause", "nightly", "--json").out)["trigger"]["paused"] is True
    assert json.loads(call("trigger", "resume", "nightly", "--json").out)["after"] == "active"
    assert len(json.loads(call("trigger", "next", "2", "--json").out)) == 2
    fired = json.loads(call("trigger", "fire", "nightly", "--at", "2024-01-31T02:30", "--json").out)
    assert (fired["new"], fired["offered"], fired["params"]) == (True, True, {"day": "2024-01-30"})
    assert json.loads(call("event", "nobody", "--json").out)["fired"] == []
    assert json.loads(call("trigger", "remove", "nightly", "--json").out)["after"] == "removed"


@pytest.mark.parametrize(
    ("words", "when"),
    [
        ("--every 5", "every 5 s (UTC)"),
        ("--every 3600", "every 1 h 0 min (UTC)"),
        ("--rule DTSTART:20240101T060000\\nRRULE:FREQ=DAILY --zone UTC", "DTSTART:20240101T060000 RRULE:FREQ=DAILY (UTC)"),
        ("--arrival s3://in/{day}.csv --interval 5", "arrival of s3://in/{day}.csv"),
        ("--on-event changed --where bucket=in", "event changed bucket=in"),
        ("--after Hourly --after trigger:other --any-of", "after Hourly or trigger:other is done"),
    ],
)
def test_there_is_a_trigger_for_everything_that_happens(server: Manned, call: Call, words: str, when: str) -> None:
    if words.startswith("--rule"):
        pytest.importorskip("dateutil")
    said = call("trigger", "add", "one", "Report", "--param", "day=2024-01-31", *words.split())
    assert (said.code, said.out) == (0, "one: added\n"), said.err
    assert when in call("trigger", "list").out


def test_a_pattern_of_this_folder_is_told_as_a_whole_path(server: Manned, call: Call, here: Path) -> None:
    """The worker that watches it has another folder, and no shell that knows ``~``."""
    for given, told in (
        ("in/{day}.csv", f"{here}/in/{{day}}.csv"),
        ("~/{day}.csv", f"{here}/home/{{day}}.csv"),
        ("/in/{day}", "/in/{day}"),
    ):
        call("trigger", "add", "one", "Report", "--arrival", given, "--param", "day={path.day}")
        assert f"arrival of {told} " in call("trigger", "list").out


def test_a_trigger_is_moved_as_json(server: Manned, call: Call, here: Path) -> None:
    call(*NIGHTLY, "--missed", "each")
    (here / "nightly.json").write_text(call("trigger", "show", "nightly", "--json").out)
    call("trigger", "remove", "nightly")
    assert call("trigger", "add", "--spec", "nightly.json").out == "nightly: added\n"
    assert "each" in call("trigger", "show", "nightly").out


ADD = "trigger add one Report "


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("trigger lst", "Did you mean list?"),
        ("trigger add", "got nothing"),
        ("trigger add one", "got one\n"),
        ("trigger add one Report", "got nothing that says when"),
        (ADD + "--every 5 --on-event x", "got --every and --on-event"),
        (ADD + "--cron @daily", "--cron needs --zone"),
        (ADD + "--cron @daily --zone Europe/Lisboa", "which is no time zone"),
        (ADD + "--cron @dialy --zone UTC --param day=2024-01-31", "@dialy"),
        (ADD + "--cron @daily --zone UTC", "trigger one: day has no default and no value here\n  Say what it is to be at each fire"),
        (ADD + "--cron @daily --zone UTC --param day={fire.hour}", "Write day={fire.day}."),
        (ADD + "--cron @daily --zone UTC --param day", "--param: got 'day', expected NAME=TEXT"),
        (ADD + "--cron @daily --zone UTC --param dya=1 --param day=2024-01-31", "Did you mean day?"),
        (ADD + "--every 0 --param day=2024-01-31", "seconds is 0.0; expected seconds, 1 or more"),
        (ADD + "--every nan --param day=2024-01-31", "--every: got 'nan', expected SECONDS"),
        (ADD + "--every 5 --jitter inf --param day=2024-01-31", "--jitter: got 'inf', expected SECONDS"),
        (ADD + "--arrival s3://in/{x}.csv --interval 0 --param day={path.x}", "interval is 0"),
        (ADD + "--every 5 --param day=2024-01-31 --overlap maybe", "expected skip, queue_one"),
        (ADD + "--every 5 --param day=2024-01-31 --missed maybe", "expected skip, last"),
        (ADD + "--every 5 --param day=2024-01-31 --on-deadline maybe", "expected alert, fail"),
        (ADD + "--every 5 --param day=2024-01-31 --rate 5", "expected N/SECONDS"),
        (ADD + "--every 5 --param day=2024-01-31 --start heute", "start is 'heute'"),
        (ADD + "--on-event x --where y --param day=2024-01-31", "--where: got 'y', expected NAME=TEXT"),
        ("trigger add o/e Report --every 5 --param day=2024-01-31", "expected letters, digits"),
        ("trigger add --spec absent.json", "absent.json cannot be read"),
        ("trigger show", "which trigger?"),
        ("trigger show nihgtly", "there is no trigger 'nihgtly'"),
        ("trigger pause", "expected one name"),
        ("trigger pause one two", "got one two, expected one name"),
        ("trigger pause nihgtly", "Did you mean nightly?"),
        ("trigger resume nihgtly", "Did you mean nightly?"),
        ("trigger remove nihgtly", "Did you mean nightly?"),
        ("trigger fire nihgtly", "Did you mean nightly?"),
        ("trigger fire nightly --at heute", "expected a moment in ISO 8601"),
        ("trigger next 0", "expected a number of fire times"),
        ("event", "got nothing"),
        ("event a b", "got a b"),
        ("event a --field b", "--field: got 'b', expected NAME=TEXT"),
    ],
)
def test_what_is_wrong_is_said_and_changes_nothing(server: Manned, call: Call, words: str, said: str) -> None:
    call(*NIGHTLY)
    before = call("trigger", "list", "--json").out
    told = call(*words.split())
    assert (told.code, told.out) == (2, "")
    assert said in told.err
    assert call("trigger", "list", "--json").out == before
    assert server.goals() == []


def test_without_a_server_they_say_how_to_name_one(here: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in (("pause", "x"), ("resume", "x"), ("remove", "x"), ("fire", "x"), ("add", "x", "Report", "--every", "5")):
        said = call("trigger", *words)
        assert (said.code, "which server?" in said.err) == (2, True), words
    assert "which server?" in call("event", "x").err
    assert "--app MODULE" in call("trigger", "list").err
    monkeypatch.setattr("levada.cli.remote._pause", lambda seconds: None)
    for command in (("trigger", "pause", "x"), ("trigger", "list"), ("event", "x")):
        away = call(*command, "--scheduler", "http://127.0.0.1:9")
        assert (away.code, "does not answer" in away.err) == (69, True), command


def test_a_family_that_no_worker_offers_is_said_at_once(server: Manned, call: Call) -> None:
    said = call("trigger", "add", "one", "Reports", "--every", "5")
    assert (said.code, said.out) == (0, "one: added\n")
    assert "no worker offers Reports: Did you mean Report?" in said.err
    assert "no worker offers Reports" in call("trigger", "list").out


def test_what_a_trigger_comes_after_in_vain_is_its_problem(server: Manned, call: Call) -> None:
    add = ("trigger", "add", "one", "shop:Report", "--param", "day=2024-01-31", "--after")
    said = call(*add, "Hourly", "--after", "Huorly")
    assert (said.code, said.out) == (0, "one: added\n")
    assert "it comes after Huorly: no worker offers Huorly: Did you mean Hourly?" in said.err
    assert "it comes after Huorly" in call("trigger", "list").out
    assert call(*add, "Hourly(hour=2024-01-01T05)").err == ""
    assert "it comes after trigger nope, which is not there" in call(*add, "trigger:nope").err
    assert "it comes after trigger nope" in call("trigger", "show", "one").out
    call(*NIGHTLY)
    assert call(*add, "trigger:nightly").err == ""


def test_what_is_paused_does_not_fire_until_it_is_resumed(server: Manned, call: Call) -> None:
    call("trigger", "add", "one", "Report", "--on-event", "come", "--param", "day={event.day}")
    assert call("trigger", "pause", "one").out == "one: paused\n"
    assert "paused" in call("trigger", "list").out
    assert call("event", "come", "--field", "day=2024-01-31").out == "fired: nothing\n"
    assert call("trigger", "resume", "one").out == "one: active\n"
    assert call("event", "come", "--field", "day=2024-01-31").out == "fired: one\n"


def test_a_fire_by_hand_is_that_of_its_moment_and_made_once(server: Manned, call: Call) -> None:
    call(*NIGHTLY)
    assert call("trigger", "fire", "nightly", "--at", "2024-01-31T02:30").out == "goal 1: Report(day=2024-01-30): wanted\n"
    again = call("trigger", "fire", "nightly", "--at", "2024-01-31T02:30")
    assert (again.code, "has fired for 2024-01-31T01:30:00Z" in again.err, "levada goal again" in again.err) == (2, True, True)
    said = call("trigger", "fire", "nightly", "--param", "day=2024-02-29")
    assert said.out == "goal 2: Report(day=2024-02-29): wanted\n"


def test_what_only_an_event_tells_is_given_by_hand(server: Manned, call: Call) -> None:
    call("trigger", "add", "one", "Report", "--on-event", "come", "--param", "day={event.day}")
    said = call("trigger", "fire", "one")
    assert (said.code, "levada trigger fire NAME --param name=value" in said.err) == (2, True)
    assert call("trigger", "fire", "one", "--param", "day=2024-01-31").code == 0


def test_one_event_has_one_effect(server: Manned, call: Call) -> None:
    call("trigger", "add", "one", "Report", "--on-event", "come", "--param", "day={event.day}", "--where", "bucket=in")
    words = ("event", "come", "--field", "day=2024-01-31", "--field", "bucket=in", "--id", "17")
    assert [call(*words).out for _ in range(2)] == ["fired: one\n", "fired: nothing\n"]
    assert call("event", "come", "--field", "day=2024-01-31", "--field", "bucket=out").out == "fired: nothing\n"
    assert len(server.goals()) == 1


def test_an_event_that_some_triggers_cannot_use_fires_the_others(server: Manned, call: Call) -> None:
    """Refused as a whole it would be posted again, and those would fire twice."""
    call("trigger", "add", "unfit", "Report", "--on-event", "come", "--param", "day={event.day}")
    alone = call("event", "come")
    assert (alone.code, "trigger unfit: {event.day} cannot be filled in" in alone.err) == (2, True)
    call("trigger", "add", "fit", "Report", "--on-event", "come", "--param", "day=2024-01-31")
    assert call("event", "come").out == "fired: fit\n"
    assert len(server.goals()) == 1


def test_an_event_lets_its_places_be_looked_at(server: Manned, call: Call) -> None:
    from levada._wire import triggers as t

    call("trigger", "add", "one", "Report", "--arrival", "s3://in/{day}.csv", "--param", "day={path.day}")
    watch = server.ask(t.Take(AGENT, 0)).watches
    assert [entry[1:3] for entry in watch] == [["+", "s3://in/{day}.csv"]]
    assert call("event", "put", "--url", "s3://in/2024-01-31.csv").out == "fired: nothing\n"
    assert [entry[1:3] for entry in server.ask(t.Take(AGENT, 0, since=watch[-1][0])).watches] == [["!", "s3://in/2024-01-31.csv"]]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("agent", "which modules?"),
        ("agent here", "levada agent takes no 'here'"),
        ("agent --app shop --goals x", "--goals: got 'x', expected a whole number of 0 or more"),
        ("agent --app shop --goals -1", "--goals: got '-1'"),
        ("agent --app shop --poll nan", "--poll: got 'nan', expected seconds, 0 or more"),
        ("worker", "which modules?"),
        ("worker --app shop --goals -1", "--goals: got '-1'"),
        ("worker --app shop --poll -1", "--poll: got '-1'"),
        ("worker --app no_such_shop", "there is no module 'no_such_shop'"),
    ],
)
def test_agents_and_workers_say_what_is_wrong(server: Manned, call: Call, words: str, said: str) -> None:
    told = call(*words.split())
    assert (told.code, said in told.err) == (2, True), told.err


def test_an_agent_whose_token_is_refused_ends_as_a_worker_does(
    server: Manned, call: Call, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "shop.py").write_text("")
    monkeypatch.setattr("levada.cli.agent._listen", lambda agent: None)  # signals are the test's
    monkeypatch.setenv("LEVADA_TOKEN", "lvd_" + "x" * 43)
    told = call("agent", "--app", "shop", "--state", "state")
    assert (told.code, "the token is not accepted" in told.err, "--role worker" in told.err) == (2, True, True), told.err
    assert not [thread for thread in threading.enumerate() if thread.name == "levada-watch"]
