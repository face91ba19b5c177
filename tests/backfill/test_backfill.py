"""``levada backfill`` and ``levada.backfill`` without a server."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

import levada as lv
from levada._plan.shaping import LIMIT, Shape, limit_of
from levada.cli import backfill
from levada.errors import ParameterError, RunError
from tests.backfill.conftest import FLOW, most_at_once, ran
from tests.cli.conftest import Call
from tests.faults.command import Command, soon

WEEK = "2013-01-01..2013-01-07"


@pytest.fixture
def flow(shop: Path) -> Any:
    """The module with the tasks, imported."""
    sys.path.insert(0, str(shop))
    import flow  # type: ignore[import-not-found]

    return flow


def test_only_what_is_missing_is_made(shop: Path, call: Call) -> None:
    first = call("backfill", "flow.py", "Day", "--day", "2013-01-03..2013-01-05", "--no-console")
    assert (first.code, "made      6 tasks: Day 3, Raw 3" in first.err) == (0, True), first.err
    assert first.err.startswith("levada: Day(day=2013-01-03..2013-01-05): done (")

    second = call("backfill", "flow.py", "Day", "--day", WEEK, "--no-console", "--json")
    told = json.loads(second.out)
    assert (second.code, told["done_by_family"], told["already"]) == (0, {"Raw": 4, "Day": 4}, 3)
    assert Counter(word[1:] for word in ran(shop) if word[0] == "+").most_common(1)[0][1] == 1

    third = call("backfill", "flow.py", "Day", "--day", WEEK)
    assert (third.code, "nothing to do, 7 tasks complete" in third.err) == (0, True), third.err


def test_a_preview_counts_and_runs_nothing(shop: Path, call: Call) -> None:
    call("backfill", "flow.py", "Day", "--day", "2013-01-01..2013-01-02", "--no-console")
    before = ran(shop)
    said = call("backfill", "flow.py", "Day", "--day", WEEK, "--preview")
    assert said.code == 10
    assert said.out.splitlines() == [
        "Day(day=2013-01-01..2013-01-07):",
        "  partitions  7",
        "  complete    2",
        "  missing     5",
        "  first missing: Day(day=2013-01-03, shop=north)",
        "  last missing:  Day(day=2013-01-07, shop=north)",
        "  and Raw: 5 to do",
        "5 partitions to do.",
    ]
    told = json.loads(call("backfill", "flow.py", "Day", "--day", WEEK, "--preview", "--json", "--newest-first").out)
    assert {name: told[name] for name in ("range", "partitions", "complete", "missing", "to_do", "blocked", "first", "last")} == {
        "range": "Day(day=2013-01-01..2013-01-07)", "partitions": 7, "complete": 2, "missing": 5, "to_do": 5, "blocked": 0,
        "first": "Day(day=2013-01-03, shop=north)", "last": "Day(day=2013-01-07, shop=north)",
    }  # fmt: skip
    assert ran(shop) == before


def test_a_preview_of_what_is_there_ends_with_0(shop: Path, call: Call) -> None:
    call("backfill", "flow.py", "Day", "--day", WEEK, "--no-console")
    said = call("backfill", "flow.py", "Day", "--day", WEEK, "--preview")
    assert (said.code, said.out.splitlines()[-1]) == (0, "Nothing to do.")


def test_a_preview_tells_what_waits_for_others(shop: Path, call: Call) -> None:
    (shop / "drop").mkdir()
    (shop / "drop" / "2013-01-02.txt").write_text("")
    said = call("backfill", "flow.py", "Taken", "--day", "2013-01-01..2013-01-03", "--preview")
    assert said.code == 10
    assert "  of them blocked  2" in said.out
    assert "  and Drop: 2 missing, made by others" in said.out
    (shop / "drop" / "2013-01-02.txt").unlink()
    said = call("backfill", "flow.py", "Taken", "--day", "2013-01-01..2013-01-03", "--preview")
    assert (said.code, said.out.splitlines()[-1]) == (3, "Nothing can be done now: all that is missing waits for others.")


def test_a_partition_that_waits_or_fails_stops_no_other(shop: Path, call: Call) -> None:
    (shop / "drop").mkdir()
    (shop / "drop" / "2013-01-02.txt").write_text("")
    said = call("backfill", "flow.py", "Taken", "--day", "2013-01-01..2013-01-03", "--no-console", "--json")
    told = json.loads(said.out)
    assert (said.code, told["done"], told["missing"], told["blocked"]) == (3, 1, 2, 2)

    (shop / "bad-2013-01-02").touch()
    said = call("backfill", "flow.py", "Day", "--day", WEEK, "--no-console")
    assert said.code == 1
    assert "made      13 tasks: Raw 7, Day 6" in said.err
    assert "failed    1 task" in said.err
    assert "blocked" not in said.err  # the range itself is nobody's work
    (shop / "bad-2013-01-02").unlink()
    assert call("backfill", "flow.py", "Day", "--day", WEEK, "--no-console").code == 0


def test_the_newest_is_made_first_with_what_it_needs(shop: Path, call: Call) -> None:
    assert call("backfill", "flow.py", "Day", "--day", "2013-01-01..2013-03-31", "--newest-first", "--no-console").code == 0
    days = [word[1:11] for word in ran(shop) if word[0] == "+"]
    places = {day: at for at, day in enumerate(sorted(days, reverse=True))}
    assert days[0] == "2013-03-31"
    assert ran(shop)[0] == "raw/2013-03-31"
    assert max(abs(places[day] - at) for at, day in enumerate(days)) <= 16  # a worker takes some at a time
    assert sum(abs(places[day] - at) for at, day in enumerate(days)) / len(days) < 8


def test_so_many_partitions_run_at_once_and_no_more(shop: Path, call: Call) -> None:
    words = ("--day", "2013-01-01..2013-01-12", "--pause", "0.05", "--workers", "6", "--executor", "threads", "--no-console")
    assert call("backfill", "flow.py", "Day", *words, "--max-parallel", "2").code == 0
    assert most_at_once(ran(shop)) == 2


def test_values_that_are_no_range_are_what_they_are_for_run(shop: Path, call: Call) -> None:
    said = call("backfill", "flow.py", "Day", "--day", "2013-01-01,2013-01-03", "--shop", "a..b,c", "--no-console")
    assert (said.code, sorted(path.name for path in (shop / "day").iterdir())) == (0, ["2013-01-01-a..b,c.txt", "2013-01-03-a..b,c.txt"])


def test_ranges_may_come_from_a_file_and_from_the_configuration(shop: Path, call: Call) -> None:
    (shop / "range.toml").write_text('day = ["2013-01-01", "2013-02-01..2013-02-02"]\nshop = "s"\n')
    said = call("backfill", "flow.py", "Day", "--param-file", "range.toml", "--preview", "--json")
    assert json.loads(said.out)["partitions"] == 3
    (shop / "levada.toml").write_text('[params.Day]\nshop = "west"\n')
    said = call("backfill", "flow.py", "Day", "--day", "2013-01-01", "--preview", "--json")
    assert json.loads(said.out)["first"] == "Day(day=2013-01-01, shop=west)"


def test_a_secret_stays_out_of_the_text_of_a_range(shop: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOOR", "sesame")
    said = call("backfill", "flow.py", "Locked", "--day", "2013-01-01..2013-01-02", "--key", "secret://env/DOOR", "--no-console", "--json")
    assert said.code == 0, said.err
    assert (shop / "locked" / "2013-01-02.txt").read_text() == "sesame"
    assert "sesame" not in said.out + said.err
    with pytest.raises(ParameterError, match="key is secret"):
        lv.partitions(sys.modules["flow"].Locked, day="2013-01-01", key="sesame")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--day", "2013-02-01..2013-01-01"], "Write 2013-01-01..2013-02-01"),
        (["--day", "2013-02-01.."], "FIRST..LAST"),
        ([], "no value for day"),
        (["--day", "2013-01-01..2013-01-02", "--max-parallel", "0"], "--max-parallel: got 0, expected 1 or more"),
        (["--day", "2013-01-01..2013-01-02", "--max-parallel", "two"], "got 'two', expected N"),
        (["--dya", "2013-01-01"], "Did you mean --day?"),
    ],
)
def test_what_is_wrong_is_told_before_anything_starts(shop: Path, call: Call, words: list[str], text: str) -> None:
    said = call("backfill", "flow.py", "Day", *words)
    assert (said.code, text in said.err, ran(shop)) == (2, True, []), said.err


def test_a_limit_that_would_limit_nothing_is_refused(shop: Path, call: Call) -> None:
    said = call("backfill", "flow.py", "Group", "--day", WEEK, "--max-parallel", "2")
    assert (said.code, "Group has no run()" in said.err) == (2, True)
    assert call("backfill", "flow.py", "Group", "--day", WEEK, "--no-console").code == 0


def test_a_range_is_a_task_like_any_other(shop: Path, call: Call) -> None:
    over = json.dumps({"day": "2013-01-01..2013-01-03"})
    said = call("run", "-m", "flow.py", "-m", "levada.ranges", "levada.Partitions", "--of", "Day", "--over", over, "--no-console", "--json")
    assert (said.code, json.loads(said.out)["done_by_family"]) == (0, {"Raw": 3, "Day": 3}), said.err
    said = call("run", "-m", "flow.py", "levada.ranges:Partitions", "--of", "Dya", "--over", over, "--no-console")
    assert (said.code, "no task Dya was imported" in said.err) == (4, True), said.err


def test_a_preview_of_a_range_that_cannot_be_walked_counts_nothing_as_there(shop: Path, call: Call) -> None:
    (shop / "odd.py").write_text(ODD)
    said = call("backfill", "odd.py", "Odd", "--n", "1..5", "--preview")
    assert said.code == 4
    assert "  complete         0" in said.out
    assert "The plan has 1 fault; 0 partitions to do" in said.out
    assert "no threes" in said.err


ODD = """
import levada as lv

class Odd(lv.Task):
    n: int
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.n == 3:
            raise ValueError("no threes")
    def output(self):
        return lv.LocalTarget(f"odd-{self.n}")
    def run(self): ...
"""


def test_the_page_names_every_option_of_its_own() -> None:
    page = (Path(__file__).parents[2] / "docs" / "backfill.md").read_text()
    assert [option.name for option in backfill.OPTIONS[:3] if f"| `{option.name}" not in page] == []


# -- in code -------------------------------------------------------------------------------------


def test_a_program_backfills_as_the_command_does(flow: Any, shop: Path) -> None:
    result = lv.backfill(
        flow.Day, day=lv.span(date(2013, 1, 1), date(2013, 1, 5)), shop=lv.each("n", "s"), newest_first=True, max_parallel=4
    )
    assert (bool(result), result.done_by_family, result.wanted) == (
        True,
        {"Raw": 5, "Day": 10},
        "Day(day=2013-01-01..2013-01-05, shop=n,s)",
    )
    again = lv.backfill(lv.partitions(flow.Day, day=WEEK, shop="n"), workers=1)
    assert (again.done, again.already) == (4, 5)
    assert lv.run(lv.partitions(flow.Day, day=WEEK, shop="n")).already == 7


def test_a_task_may_require_a_range(flow: Any, shop: Path) -> None:
    class Month(lv.Task):
        month = lv.MonthParameter()

        def requires(self) -> Any:
            return lv.partitions(flow.Day, day=lv.span(self.month, self.month.replace(day=28)))

        def output(self) -> lv.LocalTarget:
            return lv.LocalTarget(f"month-{self.month:%Y-%m}")

        def run(self) -> None:
            self.output().write_text(str(len(list(self.requires().requires()))))

    assert lv.run(Month(date(2013, 2, 1))).done_by_family == {"Raw": 28, "Day": 28, "Month": 1}
    assert (shop / "month-2013-02").read_text() == "28"


def test_options_of_a_run_that_are_no_parameters_are_options(flow: Any, shop: Path) -> None:
    assert lv.backfill(flow.Raw, day="2013-01-01", history=False, workers=2, executor="threads").done == 1
    with pytest.raises(ParameterError, match="no parameter wrokers"):
        lv.backfill(flow.Raw, day="2013-01-01", wrokers=2)
    with pytest.raises(RunError, match="max_parallel must be 1 or more, got 0"):
        lv.backfill(flow.Raw, day="2013-01-01", max_parallel=0)


# -- priorities ----------------------------------------------------------------------------------


def fitted(total: int, own: int, partitions: int) -> list[int]:
    from levada._model.spec import Policy

    shape, policy = Shape("Day", in_order=True, total=total), Policy("Day")
    assert shape.fit(0, -1, Policy("levada.Partitions"), 0) == (Policy("levada.Partitions"), -LIMIT)
    return [shape.fit(at, 0, policy, own)[1] for at in range(1, partitions + 1)]


@pytest.mark.parametrize(("total", "own"), [(10, 0), (10, 1000), (2 * LIMIT, 0), (10_000_000, -LIMIT + 5), (10, LIMIT), (10, -LIMIT)])
def test_priorities_fall_within_what_there_is_and_never_rise(total: int, own: int) -> None:
    found = fitted(total, own, min(total, 3000))
    assert found == sorted(found, reverse=True)
    assert found[0] == own
    assert found[-1] >= -LIMIT
    if total <= own + LIMIT:
        assert len(set(found)) == len(found)


def test_what_a_partition_needs_has_its_place() -> None:
    from levada._model.spec import Policy

    shape = Shape("Day", in_order=True, total=3)
    shape.fit(0, -1, Policy("levada.Partitions"), 0)
    found = [shape.fit(at, parent, Policy("x"), 5)[1] for at, parent in ((1, 0), (2, 0), (3, 2), (4, 3), (5, 0), (6, 1))]
    assert found == [5, 4, 4, 4, 3, 5]


def test_a_limit_is_added_to_what_a_task_holds_anyway() -> None:
    from levada._model.spec import Policy

    shape = Shape("Day", limit=3)
    policy = Policy("Day", (("zoo", 2),))
    limited = shape.fit(1, 0, policy, 7)
    assert limited == (policy._replace(resources=(("backfill-Day", 1), ("zoo", 2))), 7)
    assert shape.fit(2, 0, policy, 7)[0] is limited[0]
    assert shape.fit(3, 0, Policy("Raw"), 7) == (Policy("Raw"), 7)
    assert (shape.limits, len(limit_of("x" * 600))) == ({"backfill-Day": 3}, 512)


# -- killed --------------------------------------------------------------------------------------


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    made = Command(tmp_path)
    (tmp_path / "flow.py").write_text(FLOW)
    yield made
    for pid in made.alive():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.slow
def test_what_a_killed_backfill_made_is_not_made_again(command: Command, workers: str) -> None:
    words = ("backfill", "flow.py", "Day", "--day", "2013-01-01..2013-03-31", "--no-console", "--workers", workers, "--newest-first")
    first = command.start(*words, "--pause", "0.03")
    assert soon(lambda: sum(word[0] == "-" for word in ran(command.folder)) >= 10, 30)
    first.kill()
    first.communicate()
    assert soon(lambda: not command.alive(), 10)
    before = list(ran(command.folder))
    whole = {path.name for path in (command.folder / "day").iterdir() if path.name.endswith(".txt")}
    assert 10 <= len(whole) < 90

    second = command.run(*words, "--json")
    told = json.loads(second.stdout)
    assert second.returncode == 0, second.stderr
    after = ran(command.folder)[len(before) :]
    assert {word[1:] + ".txt" for word in after if word[0] == "+"} & whole == set()
    assert told["done_by_family"]["Day"] == 90 - len(whole)
    days = {f"{date(2013, 1, 1) + timedelta(at)}-north.txt" for at in range(90)}
    assert {path.name for path in (command.folder / "day").iterdir() if path.name.endswith(".txt")} == days


def test_two_at_once_make_each_partition_once(command: Command) -> None:
    words = ("backfill", "flow.py", "Day", "--day", "2013-01-01..2013-01-31", "--pause", "0.02", "--no-console", "--json")
    results = [started.communicate() for started in [command.start(*words) for _ in range(2)]]
    made = [json.loads(out)["done"] for out, _ in results]
    assert sum(made) == 62
    assert set(Counter(word for word in ran(command.folder) if word[0] != "-").values()) == {1}
