"""The workloads as Levada tasks, run by ``levada.run`` with its defaults: locks, attempt records, failure handling."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import shape
from child import Section
from shape import done

import levada as lv
from levada.targets import MemoryStore


class Leaf(lv.Task):
    at: int

    def complete(self) -> bool:
        return done[self.at] == 1

    def run(self) -> None:
        done[self.at] = 1


class Fan(lv.WrapperTask):
    size: int

    def requires(self) -> list[Leaf]:
        return [Leaf(at) for at in range(self.size)]


class Link(lv.Task):
    at: int

    def requires(self) -> list[Link]:
        return [Link(self.at - 1)] if self.at else []

    def complete(self) -> bool:
        return done[self.at] == 1

    def run(self) -> None:
        done[self.at] = 1


class Node(lv.Task):
    layer: int
    place: int

    def requires(self) -> list[Node]:
        above = self.layer - 1
        if above < 0:
            return []
        return [Node(above, (self.place + edge) % shape.WIDTH) for edge in range(shape.EDGES)]

    def complete(self) -> bool:
        return done[self.layer * shape.WIDTH + self.place] == 1

    def run(self) -> None:
        done[self.layer * shape.WIDTH + self.place] = 1


class Layers(lv.WrapperTask):
    size: int

    def requires(self) -> list[Node]:
        return [Node(self.size // shape.WIDTH - 1, place) for place in range(shape.WIDTH)]


def _run(root: lv.Task, size: int, section: Section, **options: Any) -> dict[str, Any]:
    shape.prepare(size)
    with section:
        result = lv.run(root, **options)
    if not result:
        raise SystemExit(f"the run ended with {result.status}: {result!r:.2000}")
    if options.get("workers", 1) == 1:
        shape.must_be_done(size)
    elif result.done < size:
        raise SystemExit(f"only {result.done} of {size} tasks ran")
    return {}


def fan(size: int, section: Section) -> dict[str, Any]:
    """One root over so many tasks."""
    return _run(Fan(size), size, section)


def chain(size: int, section: Section) -> dict[str, Any]:
    """So many tasks, each needing the one before."""
    return _run(Link(size - 1), size, section)


def layered(size: int, section: Section) -> dict[str, Any]:
    """Layers of 100, each task needing ten of the layer above."""
    return _run(Layers(size), size, section)


def pool(size: int, section: Section) -> dict[str, Any]:
    """As ``fan`` on two pool processes."""
    return _run(Fan(size), size, section, workers=2, executor="processes")


# -- what is complete already ------------------------------------------------------------------


class Made(lv.Task):
    at: int

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget(shape.made(self.at))

    def run(self) -> None:
        raise RuntimeError(f"{self.at} was complete")


class AllMade(lv.WrapperTask):
    size: int

    def requires(self) -> Iterator[Made]:
        return (Made(at) for at in range(self.size))


def all_complete(size: int, section: Section) -> dict[str, Any]:
    """So many local targets that are all there; further figure: us a target of the existence question alone."""
    _run(AllMade(size), 0, section)
    from levada._plan.existence import Existence

    targets = [lv.LocalTarget(shape.made(at)) for at in range(size)]
    start = time.process_time()
    if not all(answer is True for answer in Existence().ask(targets)):
        raise SystemExit("not all targets were found")
    return {"listed_us": (time.process_time() - start) / size * 1e6}


def backfill_complete(size: int, section: Section) -> dict[str, Any]:
    """A range of so many local targets that are all there."""
    with section:
        result = lv.backfill(Made, at=lv.span(0, size - 1))
    if not result or result.already != size:
        raise SystemExit(f"the backfill ended with {result!r:.2000}")
    return {}


def backfill_newest(size: int, section: Section) -> dict[str, Any]:
    """A range of so many tasks that are all missing, the newest first, eight at once at most."""
    shape.prepare(size)
    with section:
        result = lv.backfill(Leaf, at=lv.span(0, size - 1), newest_first=True, max_parallel=8)
    if not result:
        raise SystemExit(f"the backfill ended with {result!r:.2000}")
    shape.must_be_done(size)
    return {}


_store = MemoryStore(remote=True)


class Far(lv.Task):
    at: int

    def output(self) -> lv.MemoryTarget:
        return lv.MemoryTarget(f"far/{self.at // 1000:04}/{self.at % 1000:03}", store=_store)

    def run(self) -> None:
        raise RuntimeError(f"{self.at} was complete")


class AllFar(lv.WrapperTask):
    size: int

    def requires(self) -> Iterator[Far]:
        return (Far(at) for at in range(self.size))


def remote_complete(size: int, section: Section) -> dict[str, Any]:
    """So many targets of a store that claims to be remote, all there; further figure: calls to the store."""
    for at in range(size):
        Far(at).output().write_text("")
    _store.calls.clear()
    _run(AllFar(size), 0, section)
    return {"calls": sum(_store.calls.values())}


class RootWithOutput(lv.Task):
    size: int

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget(f"{shape.folder()}/root.txt")

    def requires(self) -> list[Leaf]:
        return [Leaf(at) for at in range(self.size)]


def root_complete(size: int, section: Section) -> dict[str, Any]:
    """The wanted task is there; below it are so many that nobody needs to look at."""
    RootWithOutput(size).output().write_text("there")
    return _run(RootWithOutput(size), 0, section)


# -- tasks that write --------------------------------------------------------------------------


class Write(lv.Task):
    at: int
    durable: bool

    def output(self) -> lv.LocalTarget:
        kind = "levada" if self.durable else "levada-scratch"
        return lv.LocalTarget(f"{shape.folder()}/{kind}/{self.at}.txt", durable=self.durable)

    def run(self) -> None:
        with self.output().open("w") as file:
            file.write("done\n")
        done[self.at] = 1


class Writes(lv.WrapperTask):
    size: int
    durable: bool

    def requires(self) -> list[Write]:
        return [Write(at, self.durable) for at in range(self.size)]


def write(size: int, section: Section) -> dict[str, Any]:
    """A small file a task, whole or absent, on the disk before the task is done."""
    os.mkdir(f"{shape.folder()}/levada")
    return _run(Writes(size, True), size, section)


def write_scratch(size: int, section: Section) -> dict[str, Any]:
    """As ``write`` with ``durable=False``."""
    os.mkdir(f"{shape.folder()}/levada-scratch")
    return _run(Writes(size, False), size, section)


# -- how soon it starts ------------------------------------------------------------------------

_first: list[float] = []


class Streamed(lv.Task):
    at: int

    def complete(self) -> bool:
        return done[self.at] == 1

    def run(self) -> None:
        if not _first:
            _first.append(time.perf_counter())
        done[self.at] = 1


class Stream(lv.WrapperTask):
    size: int

    def requires(self) -> Iterator[Streamed]:
        return (Streamed(at) for at in range(self.size))


def first_start(size: int, section: Section) -> dict[str, Any]:
    """A fan whose tasks come out of a generator; further figure: seconds until the first ``run``."""
    start = time.perf_counter()
    _run(Stream(size), size, section)
    return {"first": _first[0] - start}
