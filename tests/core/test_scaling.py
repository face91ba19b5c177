"""The cost of a task does not grow with the number of tasks. Counted, not timed: calls of functions and bytes."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from types import FrameType

import pytest

from levada._core import Brain
from levada._model import messages as m
from levada._model.messages import SessionId
from levada._model.spec import Growth, Policy, TaskSpec

W1 = SessionId("w1")
WIDE, EDGES = 50, 10


def plan(tasks: int, policy: Policy, priority: int) -> list[m.AddTasks]:
    """Layers of 50 tasks with ten requirements each in the layer before."""
    found = []
    for first in range(0, tasks, 1_000):
        chunk = range(first, min(tasks, first + 1_000))
        specs = [TaskSpec(index, policy, priority * (index % 7)) for index in chunk]
        growth = [
            Growth(index, tuple(range(index // WIDE * WIDE - EDGES, index // WIDE * WIDE)) if index >= WIDE else ()) for index in chunk
        ]
        found.append(m.AddTasks(W1, specs, growth))
    return found


def play(brain: Brain, messages: list[m.AddTasks]) -> int:
    """Run all of it; how many tasks became done."""
    for message in messages:
        brain.handle(message, 0.0)
    done: list[tuple[int, m.Fence]] = []
    total = 0
    while True:
        _, reply = brain.handle(m.Sync(W1, done=done, room=100), 0.0)
        done = [(grant.index, grant.fence) for grant in reply.granted]
        total += len(done)
        if not done:
            return total


def calls(work: Callable[[], object]) -> int:
    """How many functions were called, those written in C included."""
    count = 0

    def seen(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(seen)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


SHAPES = {  # policy, priority, at most so many calls a task with ten edges on each side
    "plain": (Policy("Plain"), 0, 60),
    "with resources": (Policy("Db", resources=(("db", 1),)), 0, 130),
    "with priorities": (Policy("Ranked"), 1, 140),
    "with leases": (Policy("Plain"), 0, 80),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_four_times_the_tasks_cost_four_times_the_calls(shape: str) -> None:
    policy, priority, limit = SHAPES[shape]
    counted = []
    for tasks in (1_000, 4_000):
        brain, messages = Brain(lease=60.0 if shape == "with leases" else float("inf")), plan(tasks, policy, priority)
        brain.handle(m.SetResource("db", 20), 0.0)
        counted.append(calls(lambda brain=brain, messages=messages: play(brain, messages)))  # type: ignore[misc]
        assert sum(brain.progress().counts) == brain.progress().counts[4] == tasks
    assert counted[1] / counted[0] < 4.4
    assert counted[1] / 4_000 < limit


def test_a_chain_costs_the_same_at_any_length() -> None:
    counted = []
    for tasks in (500, 2_000):
        specs = [TaskSpec(index, Policy("Link")) for index in range(tasks)]
        growth = [Growth(index, (index + 1,) if index + 1 < tasks else ()) for index in range(tasks)]
        counted.append(calls(lambda specs=specs, growth=growth: play(Brain(), [m.AddTasks(W1, specs, growth)])))  # type: ignore[misc]
    assert counted[1] / counted[0] < 4.2


def test_one_claim_among_many_ready_tasks_looks_at_few() -> None:
    """A line for a short resource, a thousand cancelled entries: no claim looks at all of them."""
    counted = []
    for tasks in (1_000, 4_000):
        brain = Brain()
        policies = [Policy("Db", resources=(("db", 1),)), Policy("Disk", resources=(("disk", 9),))]
        specs = [TaskSpec(index, policies[index % 2]) for index in range(tasks)]
        brain.handle(m.AddTasks(W1, specs, [Growth(index, ()) for index in range(tasks)]), 0.0)
        _, reply = brain.handle(m.Sync(W1, room=5), 0.0)
        assert [grant.index for grant in reply.granted] == [0]
        report = m.Sync(W1, done=[(0, reply.granted[0].fence)], room=5)
        counted.append(calls(lambda brain=brain, report=report: brain.handle(report, 0.0)))  # type: ignore[misc]
    assert counted[1] <= counted[0] + 10


def test_a_task_with_ten_edges_on_each_side_takes_at_most_250_bytes() -> None:
    messages = plan(10_000, Policy("Plain"), 0)
    tracemalloc.start()
    try:
        brain = Brain()
        assert play(brain, messages) == 10_000
        assert tracemalloc.get_traced_memory()[0] / 10_000 < 250
    finally:
        tracemalloc.stop()
