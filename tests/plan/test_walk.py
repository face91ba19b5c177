"""The walk: batched, iterative, streaming; and the plan at rest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import levada as lv
from levada._plan.cycles import find_cycle
from levada._plan.plan import make_plan
from levada._plan.walk import GATE, SLICE, Discovery
from levada._plan.why import why


class Made(lv.Task):
    n: int

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget(f"made-{self.n}")

    def run(self) -> None: ...


class Raw(lv.ExternalTask):
    n: int

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget(f"raw-{self.n}")


class Top(lv.Task):
    def requires(self) -> Any:
        return {"made": [Made(1), Made(2)], "raw": Raw(3)}

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget("top")

    def run(self) -> None: ...


def test_a_complete_task_is_not_expanded(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Path("top").touch()
    discovery = Discovery([Top()])
    found = discovery.step()
    assert found is not None
    assert (found.tasks, found.complete) == ([], 1)
    assert discovery.step() is None


def test_a_task_stays_open_until_its_requires_is_exhausted() -> None:
    class Fan(lv.WrapperTask):
        def requires(self) -> Iterator[Any]:
            return (Made(n) for n in range(3 * SLICE))

    discovery = Discovery([Fan()])
    growth = []
    while (found := discovery.step()) is not None:
        assert len(found.tasks) <= 2 * SLICE
        growth += [g for g in found.growth if g.index == 0]
    assert [g.closed for g in growth][-1]
    assert not any(g.closed for g in growth[:-1])
    assert sum(len(g.requires) for g in growth) == 3 * SLICE
    assert discovery.kinds[0] == GATE


def test_what_yields_is_grown_into_the_plan() -> None:
    discovery = Discovery([Made(1)])
    while discovery.step() is not None:
        pass
    discovery.grow(0, [Made(2), Made(3)])
    assert discovery.indices([Made(2), Made(3)]) == [1, 2]


def test_the_plan_says_what_would_be_done_and_what_is_missing(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Path("made-1").touch()
    plan = make_plan([Top()])
    assert {row.family: (row.to_do, row.complete, row.missing, row.blocked) for row in plan.rows()} == {
        "Top": (0, 0, 0, 1),
        "Made": (1, 1, 0, 0),
        "Raw": (0, 0, 1, 0),
    }
    assert plan.exit_code == 10
    assert json.dumps(plan.to_json())
    assert any("Raw(n=3)" in line for line in plan.tree())
    assert "t0 -> t1;" in "\n".join(plan.to_dot())
    Path("made-2").touch()
    assert make_plan([Top()]).exit_code == 3
    Path("raw-3").touch()
    assert make_plan([Top()]).exit_code == 10
    Path("top").touch()
    assert make_plan([Top()]).exit_code == 0


def test_why_leads_to_what_would_end_the_wait(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    answer = why(Top())
    assert answer.verdict == "waiting"
    assert "raw-3" in "\n".join(answer.lines())
    Path("raw-3").touch()
    answer = why(Top())
    assert answer.verdict == "waiting"  # a requirement of it is what could run
    assert "`levada run` would start with it" in answer.remedy
    Path("top").touch()
    assert why(Top()).verdict == "complete"


def test_a_circle_of_a_million_is_found_without_recursion() -> None:
    size = 200_000
    circle = find_cycle(range(size), lambda n: ((n + 1) % size,))
    assert len(circle) == size


def test_a_template_adds_requirements_that_are_no_input() -> None:
    class Need(lv.Task):
        n: int

        def run(self) -> None: ...
        def complete(self) -> bool:
            return False

    class Template(Need):
        def _requires(self) -> Any:
            return [self.requires(), Need(9)]

    class Mine(Template):
        def requires(self) -> Any:
            return Need(1)

    class Delegating(Need):
        def deps(self) -> list[Any]:
            return [*super().deps(), Need(8)]

    walk = Discovery([Mine(0), Delegating(0)])
    while walk.step() is not None:
        pass
    assert sorted(task.n for task in walk.tasks) == [0, 0, 1, 8, 9]
