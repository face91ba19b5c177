"""`levada goal`: each verb, and each thing that people get wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from levada._wire import triggers as t
from tests.faults.command import soon

from .conftest import Call
from .manned import AGENT, Manned, manned

ADD = ("goal", "add", "Report", "--day", "2024-01-31")


@pytest.fixture
def server(here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Manned]:
    made = manned(monkeypatch, tmp_path_factory.mktemp("server"))
    yield made
    made.stop()


def test_help_shows_what_can_be_done(here: Path, call: Call) -> None:
    said = call("goal", "--help")
    assert said.code == 0
    assert said.out.startswith("Usage: levada goal add FAMILY")
    assert all(f"\n  {verb} " in said.out for verb in ("add FAMILY", "list", "show GOAL", "log GOAL", "again GOAL", "cancel GOAL ..."))


def test_a_goal_is_added_listed_and_shown(server: Manned, call: Call) -> None:
    said = call(*ADD, "--reason", "quarterly figures")
    assert (said.code, said.out, said.err) == (0, "goal 1: Report(day=2024-01-31): wanted\n", "")
    head, row = call("goal", "list").out.splitlines()
    assert head.split() == ["goal", "state", "since", "task", "why"]
    assert row.split()[:2] == ["1", "wanted"]
    assert row.endswith("Report(day=2024-01-31)  waits for a worker with room")
    (key,) = server.take()
    server.report(key, "parked", "2 missing: A, B", missing=["s3://in/a", "s3://in/b\x1b"], counts={"missing": 2})
    shown = call("goal", "show", "1").out.splitlines()
    assert shown[0] == "goal 1: Report(day=2024-01-31)"
    assert ["asked", "by", "the", "owner", "of", "the", "server"] in [line.split() for line in shown]
    assert ["state", "parked"] in [line.split() for line in shown]
    assert shown[-3:] == ["missing (2):", "  s3://in/a", "  s3://in/b\\x1b"]
    for word in (key, key[:5], "1"):
        assert json.loads(call("goal", "show", word, "--json").out)["goal"] == key
    assert server.trail()[-1].reason == "quarterly figures"


def test_a_place_that_cannot_be_asked_is_said_where_a_goal_waits_for_it(server: Manned, call: Call) -> None:
    call(*ADD)
    server.ends("parked", "1 missing: A", missing=["s3://in/drop/a"])
    server.ask(t.Take(AGENT, 0, troubles={"s3://in/drop": "access denied", "s3://other": "no such bucket"}))
    assert call("goal", "list").out.rstrip().endswith("1 missing: A (s3://in/drop: access denied)")
    server.ask(t.Take(AGENT, 0))
    assert call("goal", "list").out.rstrip().endswith("1 missing: A")


def test_json_is_for_programs_everywhere(server: Manned, call: Call) -> None:
    added = json.loads(call(*ADD, "--json").out)
    assert (added["new"], added["offered"], added["state"], added["params"]) == (True, True, "wanted", {"day": "2024-01-31"})
    assert json.loads(call("goal", "list", "--json").out)[0]["goal"] == added["goal"]
    assert json.loads(call("goal", "cancel", "1", "--json").out) == {
        "goal": added["goal"], "epoch": 1, "before": "wanted", "after": "cancelled",
    }  # fmt: skip
    assert json.loads(call("goal", "again", "1", "--json").out)["number"] == 2
    assert json.loads(call("goal", "list", "--status", "failed", "--json").out) == []


def test_one_goal_is_made_for_a_cause(server: Manned, call: Call) -> None:
    assert call(*ADD, "--cause", "march").out == "goal 1: Report(day=2024-01-31): wanted\n"
    said = call(*ADD, "--cause", "march")
    assert (said.code, said.out) == (0, "goal 1: Report(day=2024-01-31): wanted (it was wanted before, for this cause)\n")


def test_a_family_that_no_worker_offers_is_said_at_once(server: Manned, call: Call) -> None:
    said = call("goal", "add", "Reprot", "--day", "x")
    assert (said.code, said.out) == (0, "goal 1: Reprot(day=x): wanted\n")
    assert "no worker offers Reprot: Did you mean Report? Else start `levada worker --app MODULE`" in said.err
    assert "no worker offers Nobody: start `levada worker --app MODULE`" in call("goal", "add", "Nobody").err
    assert "no worker offers Nobody" in call("goal", "list").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("goal", "what is to be done?"),
        ("goal ad Report", "Did you mean add?"),
        ("goal add", "got no family, expected one family"),
        ("goal add Report Other", "got Report Other, expected one family"),
        ("goal add Report", "day has no default and no value here\n  Say what it is to be, as in day=2013-01-31."),
        ("goal add Report --day heute", "parameter day is a day, and 'heute' is none"),
        (
            "goal add Report --day 2024-01-31 --dedline 5",
            "there is no parameter 'dedline'; the parameters are day\n  Did you mean --deadline?",
        ),
        ("goal add Report --day 2024-01-31 --max-paralel=5", "Did you mean --max-parallel?"),
        ("goal add Report --day 2024-02-31", "parameter day is a day, and '2024-02-31' is none"),
        ("goal add Hourly --hour 2024-02-01T24", "parameter hour is an hour, and '2024-02-01T24' is none"),
        ("goal add Report --day 2024-02-01..2024-02-31", "'2024-02-31' is none"),
        ("goal add Report --day 2024-02-01..", "'' is none"),
        ("goal add Report --day 2024-02-01..2024-02-05/x", "'x' is no step"),
        ("goal add Report --day 2024-02-01..2024-02-05/0d", "'0d' is no step"),
        ("goal add Report --day 2024-02-05..2024-02-01", "Write day=2024-02-01..2024-02-05; --newest-first begins at its end."),
        ("goal add Report --day 2024-02-05,heute..morgen", "'heute' is none"),
        ("goal add Report --dya 2024-02-01..2024-02-05", "Did you mean day?"),
        ("goal add Hourly --shop a..b", "hour has no default and no value here"),
        ("goal add Report(2024-03-05)", "cannot read 'Report(2024-03-05)' as a task\n  Write Report, or Report(name=value, ...)."),
        ("goal add Report(day=2024-03-05", "cannot read 'Report(day=2024-03-05' as a task"),
        ("goal add shop:Report(day=2024-02-31)", "'2024-02-31' is none"),
        ("goal add shop:", "cannot read 'shop:' as a task"),
        ("goal add Report --day 2024-01-31 --dya 2", "Did you mean day?"),
        ("goal add Report --day", "--day needs a value"),
        ("goal add Report --day 2024-01-31 --deadline nan", "--deadline: got 'nan', expected SECONDS"),
        ("goal add Report --day 2024-01-31 --deadline -1", "--deadline: got '-1', expected SECONDS"),
        ("goal add Report --day 2024-01-01..2024-01-31 --max-parallel 0", "--max-parallel: got '0', expected N"),
        ("goal list --limit 0", "--limit: got '0', expected N"),
        ("goal list --limit ten", "--limit: got 'ten', expected N"),
        ("goal list 1", "takes no '1'"),
        ("goal list --status don", "expected one of wanted, running"),
        ("goal list --day 3", "there is no option --day"),
        ("goal show", "which goal?"),
        ("goal show 1 2", "which goal?"),
        ("goal show 99", "no goal '99'"),
        ("goal show zz", "no goal 'zz'"),
        ("goal show " + "f" * 32, "there is no goal " + "f" * 32),
        ("goal log 99", "no goal '99'"),
        ("goal cancel", "which goal?"),
        ("goal cancel 99", "no goal '99'"),
        ("goal again 99", "no goal '99'"),
    ],
)
def test_what_is_wrong_is_said_and_changes_nothing(server: Manned, call: Call, words: str, said: str) -> None:
    told = call(*words.split())
    assert (told.code, told.out) == (2, "")
    assert said in told.err
    assert server.goals() == []


def test_without_a_server_it_says_how_to_name_one(here: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    for words in (("add", "Report"), ("list",), ("show", "1"), ("log", "1"), ("cancel", "1"), ("again", "1")):
        said = call("goal", *words)
        assert (said.code, "which server?" in said.err) == (2, True), words
    monkeypatch.setattr("levada.cli.remote._pause", lambda seconds: None)
    away = call("goal", "list", "--scheduler", "http://127.0.0.1:9")
    assert (away.code, "does not answer" in away.err) == (69, True)


def test_lists_are_short_and_say_that_there_is_more(server: Manned, call: Call) -> None:
    for day in range(1, 8):
        server.ask(t.AddGoal("Report", {"day": f"2024-01-0{day}"}))
    server.ends("done")
    server.ask(t.AddGoal("Hourly", {"hour": "2024-01-01T05"}))
    lines = call("goal", "list", "--limit", "3").out.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["8", "7", "6"]
    assert lines[4].startswith("There are more: --limit N")
    assert "There are more" not in call("goal", "list", "--limit", "8").out
    assert len(json.loads(call("goal", "list", "--live", "--json").out)) == 7
    assert [row["number"] for row in json.loads(call("goal", "list", "--status", "done", "--json").out)] == [1]
    assert [row["number"] for row in json.loads(call("goal", "list", "--family", "Hourly", "--json").out)] == [8]
    assert call("goal", "list", "--trigger", "nightly").err == "no goal fits\n"


@pytest.mark.parametrize(
    "words", ["shop:Report --day 2024-03-05", "Report(day=2024-03-05)", "shop:Report(day=2024-03-04) --day=2024-03-05"]
)
def test_a_task_is_spelled_as_for_a_run(server: Manned, call: Call, words: str) -> None:
    assert call("goal", "add", *words.split()).out == "goal 1: Report(day=2024-03-05): wanted\n"


@pytest.mark.parametrize(
    "day", ["2024-01-01..2024-01-01", "2024-01-01..2024-12-31/7", "2024-01-01..2024-12-31/2w", "2024-1-1..2024-1-9,2024-03-01"]
)
def test_ranges_and_lists_of_them_are_taken(server: Manned, call: Call, day: str) -> None:
    assert call("goal", "add", "Report", "--day", day).out == f"goal 1: Report(day={day}): wanted\n"
    assert call("goal", "add", "Hourly", "--hour", "2024-01-01T00..2024-01-02T23", "--shop", "b..a").code == 0


def test_an_empty_list_says_how_goals_come(server: Manned, call: Call) -> None:
    assert "nothing was wanted yet: `levada goal add FAMILY`" in call("goal", "list").err


def test_a_goal_is_cancelled_once_and_asked_for_again(server: Manned, call: Call) -> None:
    for _ in range(2):
        call(*ADD)
    said = call("goal", "cancel", "1", "2", "--reason", "late")
    assert said.out == "goal 1: cancelled (was wanted)\ngoal 2: cancelled (was wanted)\n"
    assert call("goal", "cancel", "1").out == "goal 1: is cancelled, nothing was changed\n"
    assert call("goal", "again", "1").out == "goal 3: Report(day=2024-01-31): wanted\n"
    (key,) = server.take()
    assert call("goal", "cancel", "3").out == "goal 3: cancelling (was running)\n"
    server.report(key, "again", "stopped")
    assert call("goal", "cancel", "3").out == "goal 3: is cancelled, nothing was changed\n"
    call(*ADD)
    server.ends("parked", "1 missing: A", missing=["s3://in/a"])
    assert call("goal", "again", "4").out == "goal 4: Report(day=2024-01-31): wanted (looked at again)\n"


@pytest.mark.parametrize(("end", "code"), [("done", 0), ("failed", 1)])
@pytest.mark.slow
def test_waiting_ends_with_the_goal_and_says_what_it_waits_for(server: Manned, call: Call, end: str, code: int) -> None:
    def work() -> None:
        assert soon(lambda: server.goals(live=True), 10, 0.05)
        key = server.ends("parked", "1 missing: A", missing=["s3://in/a"])
        seen = len(asked)
        assert soon(lambda: len(asked) > seen + 1, 10, 0.05)
        server.ask(t.AskGoalAgain(key))
        assert soon(lambda: server.take() == [key], 10, 0.05)
        server.report(key, end, "as it ends\nin two lines")

    asked: list[str] = []
    from levada.cli.remote import Remote

    get = Remote.get

    def counting(self: Remote, path: str, **more: object) -> object:
        asked.append(path.rpartition("/")[2])
        return get(self, path, **more)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Remote, "get", counting)
        agent = Thread(target=work)
        agent.start()
        said = call(*ADD, "--wait")
        agent.join()
    assert (said.code, said.out) == (code, f"goal 1: Report(day=2024-01-31): {end}\n")
    assert "goal 1: parked: 1 missing: A\n" in said.err
    assert said.err.endswith("  as it ends\n")


def test_waiting_for_a_goal_that_is_cancelled_ends_with_one(server: Manned, call: Call) -> None:
    def cancel() -> None:
        assert soon(lambda: server.goals(live=True), 10, 0.05)
        server.ask(t.CancelGoal(server.goals()[0].goal))

    other = Thread(target=cancel)
    other.start()
    said = call(*ADD, "--wait", "--json")
    other.join()
    assert (said.code, json.loads(said.out)["state"]) == (1, "cancelled")


def test_waiting_goes_on_while_the_server_is_away_for_a_while(server: Manned, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    from levada.cli.remote import Remote
    from levada.errors import ServerUnreachable

    server.ask(t.AddGoal("Report", {"day": "2024-01-31"}, cause="march"))
    server.ends("done", "complete")
    real, lost = Remote.get, list[str]()

    def losing(self: Remote, path: str, **more: object) -> object:
        if len(lost) < 3:
            lost.append(path)
            raise ServerUnreachable("the server does not answer")
        return real(self, path, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Remote, "get", losing)
    monkeypatch.setattr("levada.cli.goal.LOOK", 0.01)
    said = call(*ADD, "--cause", "march", "--wait")
    assert (said.code, said.err.count("waiting goes on"), len(lost)) == (0, 1, 3)
    monkeypatch.setattr("levada.cli.goal.PATIENCE", 0.0)
    lost.clear()
    assert call(*ADD, "--cause", "march", "--wait").code == 69


def test_ctrl_c_ends_the_waiting_and_not_the_goal(server: Manned, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("levada.cli.goal.time.sleep", stop)
    said = call(*ADD, "--wait")
    assert (said.code, "interrupted" in said.err) == (130, True)
    monkeypatch.undo()
    (goal,) = server.goals()
    assert goal.state == "wanted"
    assert f"the goal goes on. `levada goal show {goal.goal[:8]}` tells how it stands, `levada goal cancel" in said.err


def test_what_its_process_printed_is_shown_where_it_ran(server: Manned, call: Call, here: Path) -> None:
    call(*ADD)
    key = server.ends("failed", "ValueError: no flights")
    absent = call("goal", "log", "1", "--state", "state")
    assert (absent.code, "there is no such file" in absent.err, "machine of w.example pid 7" in absent.err) == (2, True, True)
    (here / "state" / "goals").mkdir(parents=True)
    (here / "state" / "goals" / f"{key}.log").write_text("begun\x1b[2J\nended\n")
    assert call("goal", "log", "1", "--state", "state").out == "begun\\x1b[2J\nended\n"
    told = json.loads(call("goal", "log", key[:6], "--state", "state", "--json").out)
    assert (told["goal"], told["text"]) == (key, "begun\x1b[2J\nended\n")


def test_a_goal_that_nobody_has_unfolded_has_no_log_yet(server: Manned, call: Call) -> None:
    call(*ADD)
    said = call("goal", "log", "1", "--state", "state")
    assert (said.code, "goal 1 was not unfolded yet" in said.err, "waits for a worker with room" in said.err) == (2, True, True)


def test_a_goal_is_found_by_its_task(server: Manned, call: Call) -> None:
    call(*ADD)
    for word in ("Report", "shop:Report", "Report(day=2024-01-31)"):
        said = call("goal", "show", word)
        assert (said.out.splitlines()[0], said.err) == ("goal 1: Report(day=2024-01-31)", "")
    call("goal", "add", "Report(day=2024-02-01)")
    said = call("goal", "show", "Report")
    assert (said.out.splitlines()[0], "2 goals of Report; this is the newest" in said.err) == ("goal 2: Report(day=2024-02-01)", True)
    for act in ("cancel", "again"):
        said = call("goal", act, "Report")
        assert (said.code, f"2 goals of Report: 2, 1\n  Say which: levada goal {act} NUMBER." in said.err) == (2, True)
    assert call("goal", "cancel", "Report(day=2024-01-31)").out == "goal 1: cancelled (was wanted)\n"
    assert call("goal", "cancel", "Report").out == "goal 2: cancelled (was wanted)\n"  # the only one that has not ended
    assert call("goal", "again", "Report(day=2024-01-31)").out == "goal 3: Report(day=2024-01-31): wanted\n"
    assert "no goal 'Report(day=2024-03-01)'" in call("goal", "show", "Report(day=2024-03-01)").err
    assert "no goal 'Week'" in call("goal", "cancel", "Week").err


def test_a_deadline_is_shown(server: Manned, call: Call) -> None:
    call(*ADD, "--deadline", "3600", "--fail")
    assert "deadline" in call("goal", "show", "1").out
    assert json.loads(call("goal", "show", "1", "--json").out)["deadline"] > 0


def test_a_deadline_that_was_missed_is_said_everywhere(server: Manned, call: Call) -> None:
    call(*ADD, "--deadline", "0")
    assert "; waits for a worker with room" in call("goal", "list").out
    assert " its deadline passed " in call("goal", "list").out
    assert json.loads(call("goal", "list", "--json").out)[0]["late"] >= 0
    assert " UTC: its deadline passed " in call("goal", "show", "1").out
    call("goal", "cancel", "1")
    assert " after its deadline\n" in call("goal", "show", "1").out


def test_a_range_is_handed_on_as_one(server: Manned, call: Call) -> None:
    said = call("goal", "add", "Report", "--day", "2024-01-01..2024-01-31", "--newest-first", "--max-parallel", "4", "--json")
    assert json.loads(said.out)["options"] == {"range": "yes", "newest_first": "yes", "max_parallel": "4"}
