"""Counts in the place of times: what N tasks cost and what 4 N cost, so that nothing quadratic comes in unseen.

A ratio of 4 is linear, 16 is quadratic; fixed costs push it below 4. The figures in seconds are ``make bench``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import levada as lv
from levada.targets import MemoryStore

N = 300
MOST = 4.6
WIDTH, EDGES = 20, 5

done = bytearray()


class Flagged(lv.Task):
    at: int

    def complete(self) -> bool:
        return done[self.at] == 1

    def run(self) -> None:
        done[self.at] = 1


class Leaf(Flagged):
    pass


class Fan(lv.WrapperTask):
    size: int

    def requires(self) -> list[Leaf]:
        return [Leaf(at) for at in range(self.size)]


class Link(Flagged):
    def requires(self) -> list[Link]:
        return [Link(self.at - 1)] if self.at else []


class Node(Flagged):
    def requires(self) -> list[Node]:
        layer, place = divmod(self.at, WIDTH)
        return [Node((layer - 1) * WIDTH + (place + edge) % WIDTH) for edge in range(EDGES)] if layer else []


class Layers(lv.WrapperTask):
    size: int

    def requires(self) -> list[Node]:
        return [Node(at) for at in range(self.size - WIDTH, self.size)]


GRAPHS: dict[str, Callable[[int], lv.Task]] = {"fan": Fan, "chain": lambda size: Link(size - 1), "layers": Layers}


def make(graph: str, size: int) -> None:
    """Run so many tasks, none of them done before."""
    done[:] = bytes(size)
    assert lv.run(GRAPHS[graph](size))
    assert done.count(1) == size


@pytest.fixture(autouse=True)
def _everything_is_imported() -> None:
    make("fan", 3)


def calls_of(work: Callable[[], object]) -> int:
    """Calls of Python functions and of functions written in C."""
    count = 0

    def note(frame: FrameType, event: str, detail: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def counting(calls: Counter[str], name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, counted under a name."""

    def counted(*args: Any, **options: Any) -> Any:
        calls[name] += 1
        return real(*args, **options)

    return counted


@pytest.mark.parametrize("graph", GRAPHS)
def test_four_times_the_tasks_take_four_times_the_calls(graph: str) -> None:
    few, many = (calls_of(lambda size=size: make(graph, size)) for size in (N, 4 * N))
    print(f"{graph}: {(many - few) / (3 * N):.0f} calls a task")
    assert many / few <= MOST


@pytest.mark.parametrize("graph", GRAPHS)
def test_four_times_the_tasks_take_four_times_the_memory(graph: str) -> None:
    peaks = []
    for size in (N, 4 * N):
        tracemalloc.start()
        try:
            make(graph, size)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    print(f"{graph}: {(peaks[1] - peaks[0]) / (3 * N):.0f} bytes a task")
    assert peaks[1] / peaks[0] <= MOST


def test_a_fan_is_registered_and_claimed_in_few_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slice carries a thousand tasks; a claim takes as many as are run in a moment."""
    from levada._server.embedded import Embedded

    messages: Counter[str] = Counter()
    for name in ("add", "sync"):
        monkeypatch.setattr(Embedded, name, counting(messages, name, getattr(Embedded, name)))
    make("fan", 4 * N)
    print(dict(messages))
    assert messages["add"] <= 4 * N / 500 + 5
    assert messages["sync"] <= 4 * N / 20 + 10


def test_attempts_are_written_in_few_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    from levada._store.history import History

    batches: list[int] = []
    real = History.add

    def counted(self: History, attempts: Any) -> None:
        attempts = list(attempts)
        batches.append(len(attempts))
        real(self, attempts)

    monkeypatch.setattr(History, "add", counted)
    make("fan", 4 * N)
    assert sum(batches) == 4 * N
    assert len(batches) <= 3


# -- what is complete already ------------------------------------------------------------------


class Made(lv.Task):
    folder: str
    at: int

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget(f"{self.folder}/{self.at // 200}/{self.at % 200}")

    def run(self) -> None:
        raise AssertionError("it was complete")


class AllMade(lv.WrapperTask):
    folder: str
    size: int

    def requires(self) -> Iterator[Made]:
        return (Made(self.folder, at) for at in range(self.size))


def file_calls_of(monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> Counter[str]:
    """Calls of the functions that ask the file system."""
    calls: Counter[str] = Counter()
    with monkeypatch.context() as patch:
        for name in ("stat", "lstat", "scandir", "listdir"):
            patch.setattr(os, name, counting(calls, name, getattr(os, name)))
        work()
    return calls


def test_complete_local_targets_are_found_by_a_listing_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = 4 * N
    folders = size // 200
    for at in range(size):
        path = tmp_path / str(at // 200) / str(at % 200)
        path.parent.mkdir(exist_ok=True)
        path.touch()
    calls = file_calls_of(monkeypatch, lambda: lv.run(AllMade(str(tmp_path), size)))
    print(dict(calls))
    assert calls["scandir"] + calls["listdir"] <= folders + 1
    assert calls["stat"] + calls["lstat"] <= 20 * folders


_store = MemoryStore(remote=True)


class Far(lv.Task):
    at: int

    def output(self) -> lv.MemoryTarget:
        return lv.MemoryTarget(f"far/{self.at // 1000}/{self.at % 1000}", store=_store)

    def run(self) -> None:
        raise AssertionError("it was complete")


class AllFar(lv.WrapperTask):
    size: int

    def requires(self) -> Iterator[Far]:
        return (Far(at) for at in range(self.size))


def test_complete_remote_targets_cost_a_call_per_thousand_and_folder() -> None:
    size, folders = 5_000, 5
    for at in range(size):
        Far(at).output().write_text("")
    _store.calls.clear()
    result = lv.run(AllFar(size))
    assert result
    assert result.done == 0
    assert sum(_store.calls.values()) <= size / 1000 + folders, _store.calls


class Rooted(lv.Task):
    path: str

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget(self.path)

    def requires(self) -> list[Leaf]:
        raise AssertionError("nobody needs to know")


def test_a_complete_root_costs_one_question_whatever_is_below_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Rooted(str(tmp_path / "there"))
    root.output().write_text("")
    calls = file_calls_of(monkeypatch, lambda: lv.run(root))
    assert sum(calls.values()) == 1, calls
    assert calls_of(lambda: lv.run(root)) < 400


# -- instructions, where they can be counted -----------------------------------------------------

PROGRAM = """
import sys, with_levada as tasks
from child import Section
for graph in (tasks.fan, tasks.chain, tasks.layered):
    graph(100, Section())
    graph(int(sys.argv[1]), Section())
"""
ROOT = Path(__file__).parents[2]


def instructions_of(size: int, folder: Path) -> int:
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT / "bench" / "engines")])
    env = os.environ | {
        "PYTHONPATH": paths,
        "PYTHONHASHSEED": "0",
        "LEVADA_STATE": str(folder / f"state-{size}"),
        "BENCH_FOLDER": str(folder),
    }
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable, "-c", PROGRAM, str(size)]
    ended = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, errors="replace", check=True)
    found = re.search(r"Collected\s*:\s*(\d+)", ended.stderr)
    assert found, ended.stderr[-500:]
    return int(found[1])


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="by design: no valgrind on this machine")
def test_one_more_task_takes_the_same_instructions_in_a_large_run(tmp_path: Path) -> None:
    """Finds loops inside functions written in C, which calls do not show."""
    instructions_of(100, tmp_path)  # compiles what is new
    small, middle, large = (instructions_of(size, tmp_path) for size in (100, 400, 1600))
    early, late = (middle - small) / 900, (large - middle) / 3600
    print(f"{early:,.0f} instructions a task at {400}, {late:,.0f} at {1600}")
    assert late / early <= MOST / 4
