"""The workloads as Luigi tasks, run by ``luigi.build`` with its local scheduler and one worker."""

from __future__ import annotations

import logging
import mmap
import os
import time
from typing import Any

import luigi  # type: ignore[import-not-found]  # lives in an environment of its own
import shape
from child import Section
from shape import done

logging.disable(logging.CRITICAL)


class Leaf(luigi.Task):  # type: ignore[misc]  # unknown to the checker, as above; so are the others
    at = luigi.IntParameter()

    def complete(self) -> bool:
        return bool(done[self.at])

    def run(self) -> None:
        done[self.at] = 1


class Fan(luigi.WrapperTask):  # type: ignore[misc]
    size = luigi.IntParameter()

    def requires(self) -> list[Leaf]:
        return [Leaf(at) for at in range(self.size)]


class Link(luigi.Task):  # type: ignore[misc]
    at = luigi.IntParameter()

    def requires(self) -> list[Link]:
        return [Link(self.at - 1)] if self.at else []

    def complete(self) -> bool:
        return bool(done[self.at])

    def run(self) -> None:
        done[self.at] = 1


class Node(luigi.Task):  # type: ignore[misc]
    layer = luigi.IntParameter()
    place = luigi.IntParameter()

    def requires(self) -> list[Node]:
        above = self.layer - 1
        if above < 0:
            return []
        return [Node(above, (self.place + edge) % shape.WIDTH) for edge in range(shape.EDGES)]

    def complete(self) -> bool:
        return bool(done[self.layer * shape.WIDTH + self.place])

    def run(self) -> None:
        done[self.layer * shape.WIDTH + self.place] = 1


class Layers(luigi.WrapperTask):  # type: ignore[misc]
    size = luigi.IntParameter()

    def requires(self) -> list[Node]:
        return [Node(self.size // shape.WIDTH - 1, place) for place in range(shape.WIDTH)]


def _run(root: Any, size: int, section: Section, **options: Any) -> dict[str, Any]:
    shape.prepare(size)
    with section:
        well = luigi.build([root], local_scheduler=True, no_lock=True, log_level="CRITICAL", **options)
    if not well:
        raise SystemExit("luigi.build failed")
    if options.get("workers", 1) == 1:
        shape.must_be_done(size)
    return {}


def fan(size: int, section: Section) -> dict[str, Any]:
    return _run(Fan(size), size, section)


def chain(size: int, section: Section) -> dict[str, Any]:
    return _run(Link(size - 1), size, section)


def layered(size: int, section: Section) -> dict[str, Any]:
    return _run(Layers(size), size, section)


def pool(size: int, section: Section) -> dict[str, Any]:
    """Each task runs in a fork of its own, so the flags stand in memory that processes share."""
    global _shared
    _shared = mmap.mmap(-1, size)
    _run(Fork(size), size, section, workers=2)
    if _shared[:].count(1) != size:
        raise SystemExit(f"only {_shared[:].count(1)} of {size} tasks ran")
    return {}


_shared: mmap.mmap


class Forked(luigi.Task):  # type: ignore[misc]
    at = luigi.IntParameter()

    def complete(self) -> bool:
        return bool(_shared[self.at])

    def run(self) -> None:
        _shared[self.at] = 1


class Fork(luigi.WrapperTask):  # type: ignore[misc]
    size = luigi.IntParameter()

    def requires(self) -> list[Forked]:
        return [Forked(at) for at in range(self.size)]


class Made(luigi.Task):  # type: ignore[misc]
    at = luigi.IntParameter()

    def output(self) -> Any:
        return luigi.LocalTarget(shape.made(self.at))


class AllMade(luigi.Task):  # type: ignore[misc]
    """Not a WrapperTask: that one would ask for each file twice."""

    size = luigi.IntParameter()

    def requires(self) -> list[Made]:
        return [Made(at) for at in range(self.size)]

    def complete(self) -> bool:
        return False


def all_complete(size: int, section: Section) -> dict[str, Any]:
    return _run(AllMade(size), 0, section)


class RootWithOutput(luigi.Task):  # type: ignore[misc]
    size = luigi.IntParameter()

    def output(self) -> Any:
        return luigi.LocalTarget(f"{shape.folder()}/root-luigi.txt")

    def requires(self) -> list[Leaf]:
        return [Leaf(at) for at in range(self.size)]


def root_complete(size: int, section: Section) -> dict[str, Any]:
    with RootWithOutput(size).output().open("w") as file:
        file.write("there")
    return _run(RootWithOutput(size), 0, section)


class Write(luigi.Task):  # type: ignore[misc]
    at = luigi.IntParameter()

    def output(self) -> Any:
        return luigi.LocalTarget(f"{shape.folder()}/luigi/{self.at}.txt")

    def run(self) -> None:
        with self.output().open("w") as file:
            file.write("done\n")
        done[self.at] = 1


class Writes(luigi.WrapperTask):  # type: ignore[misc]
    size = luigi.IntParameter()

    def requires(self) -> list[Write]:
        return [Write(at) for at in range(self.size)]


def write_scratch(size: int, section: Section) -> dict[str, Any]:
    """Luigi never syncs: its writes stand beside ``durable=False``."""
    os.mkdir(f"{shape.folder()}/luigi")
    return _run(Writes(size), size, section)


_first: list[float] = []


class Streamed(Leaf):
    def run(self) -> None:
        if not _first:
            _first.append(time.perf_counter())
        done[self.at] = 1


class Stream(luigi.WrapperTask):  # type: ignore[misc]
    size = luigi.IntParameter()

    def requires(self) -> Any:
        return (Streamed(at) for at in range(self.size))


def first_start(size: int, section: Section) -> dict[str, Any]:
    start = time.perf_counter()
    _run(Stream(size), size, section)
    return {"first": _first[0] - start}
