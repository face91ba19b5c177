"""A load on a server: processes that register tasks, claim them in batches and report them done, over real sockets.

Latencies are those of single requests. ``python -m bench.load TASKS [WORKERS [BATCH [OPTIONS OF THE SERVER]]]`` runs one load.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import Any, NamedTuple

from . import servers
from .client import Client, Luigi, percentile
from .measure import Broken
from .servers import Server

PATIENCE = 900.0  # seconds for one step of all workers
ROUNDS = 20


class Shape(NamedTuple):
    """tasks: in all. workers: sessions, each with its own share. batch: claims in one request. shared: all register the same tasks."""

    tasks: int
    workers: int = 8
    batch: int = 100
    shared: bool = False

    def shares(self, number: int = 0) -> list[range]:
        """The tasks of each worker in a round; those of another round are others."""
        first = self.tasks * number
        if self.shared:
            return [range(first, first + self.tasks)] * self.workers
        edges = [first + self.tasks * number // self.workers for number in range(self.workers + 1)]
        return [range(first, last) for first, last in pairwise(edges)]


class Step(NamedTuple):
    """What one step of all workers took: wall and CPU seconds (of the server), what each gave back, latencies of all requests."""

    wall: float
    cpu: float
    results: list[Any]
    latencies: list[float]

    @property
    def made(self) -> int:
        """Tasks done, of all workers."""
        return sum(self.results)


class Crew:
    """Worker processes that do the same step at the same time. make: gives the client of a number, in its process."""

    def __init__(self, server: Server, workers: int, make: Callable[[int], Any]) -> None:
        self._server = server
        context = multiprocessing.get_context("fork")
        self._pipes, self._processes = [], []
        for number in range(workers):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, make, number), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def start(self, step: str, arguments: list[Any], **options: Any) -> float:
        """Let each worker call this method of its client with an argument of its own; when they began."""
        began = time.perf_counter()
        for pipe, argument in zip(self._pipes, arguments, strict=True):
            pipe.send((step, argument, options))
        return began

    def wait(self) -> tuple[list[Any], list[float]]:
        """(results, latencies) of the step that was started. Raises Broken."""
        results, latencies = [], []
        for pipe in self._pipes:
            if not pipe.poll(PATIENCE):
                raise Broken(f"a worker of the load did not end with its step in {PATIENCE:g} s")
            good, result, took = _received(pipe)
            if not good:
                raise Broken(f"a worker of the load ended with {result}")
            results.append(result)
            latencies += took
        return results, latencies

    def all(self, step: str, arguments: list[Any], **options: Any) -> Step:
        """One step of all."""
        cpu = self._server.cpu()
        began = self.start(step, arguments, **options)
        results, latencies = self.wait()
        return Step(time.perf_counter() - began, self._server.cpu() - cpu, results, latencies)

    def end(self) -> None:
        """Let the processes go."""
        for pipe in self._pipes:
            with suppress(OSError):  # it has ended by itself
                pipe.send(None)
            pipe.close()
        for process in self._processes:
            process.join(5)
            if process.is_alive():
                process.kill()
                process.join()


def _received(pipe: Any) -> Any:
    try:
        return pipe.recv()
    except EOFError:
        return False, "nothing said", []


def _serve(pipe: Any, make: Callable[[int], Any], number: int) -> None:
    """A worker process: steps, until it is told to end."""
    try:
        client = make(number)
        while (order := pipe.recv()) is not None:
            step, argument, options = order
            client.latencies.clear()
            result = getattr(client, step)(argument, **options) if argument is not None else getattr(client, step)(**options)
            pipe.send((True, result, client.latencies))
    except EOFError:
        pass
    except Exception as error:
        pipe.send((False, f"{type(error).__name__}: {error}", []))
    os._exit(0)  # nothing of the parent's is to be tidied up here


@contextmanager
def crew(server: Server, workers: int) -> Iterator[Crew]:
    """Workers of our server, their sessions open; a token each, as machines have, for a token has a rate."""
    admin = Client(server.port, server.token, "")
    tokens = [admin.token() for _ in range(workers)]
    admin.close()

    def make(number: int) -> Client:
        client = Client(server.port, tokens[number], f"{os.getpid():016x}{number:016x}")
        client.hello()
        return client

    crew = Crew(server, workers, make)
    try:
        yield crew
    finally:
        crew.end()


@contextmanager
def luigi_crew(server: Server, workers: int) -> Iterator[Crew]:
    """Workers of luigid."""
    crew = Crew(server, workers, lambda number: Luigi(server.port, f"worker-{number}"))
    try:
        yield crew
    finally:
        crew.end()


class Figures(NamedTuple):
    """A load of ``rounds`` rounds: the steps, each the sum of all rounds or (walls, cpus) of each, and bytes of the server at the end."""

    register: Step
    walls: list[float]
    cpus: list[float]
    latencies: list[float]
    granted: int  # in each round
    rss: int

    @property
    def rate(self) -> float:
        """Claims a second: the median of the rounds."""
        return self.granted / percentile(self.walls, 0.5)

    @property
    def cost(self) -> float:
        """CPU seconds of the server for a claim and its report: the median of the rounds."""
        return percentile(self.cpus, 0.5) / self.granted


def load(shape: Shape, *options: str, least: float = 0.0) -> Figures:
    """A load against a new server. least: seconds of claims, for which as many new tasks come again, ROUNDS times at most.

    New ones: what is granted a second time is flushed to the disk, also with ``synchronous=normal``.
    """
    with servers.levada(*options) as server, crew(server, shape.workers) as workers:
        batches = [shape.batch] * shape.workers
        register = workers.all("register", shape.shares())
        steps = [workers.all("work_off", batches)]
        while sum(step.wall for step in steps) < least and len(steps) < ROUNDS:
            workers.all("register", shape.shares(len(steps)))
            steps.append(workers.all("work_off", batches))
        for step in steps:
            if step.made != shape.tasks:
                raise Broken(f"{step.made:,} of {shape.tasks:,} tasks were granted")
        latencies = [latency for step in steps for latency in step.latencies]
        return Figures(register, [step.wall for step in steps], [step.cpu for step in steps], latencies, shape.tasks, server.rss())


def main() -> None:
    """One load, told in a line."""
    tasks, workers, batch, *options = [*sys.argv[1:], *("10000", "8", "100")[len(sys.argv) - 1 :]]
    figures = load(Shape(int(tasks), int(workers), int(batch)), *options, least=1.0)
    print(
        f"{int(tasks):,} tasks, {workers} workers, batches of {batch}: registered in {figures.register.wall:.2f} s "
        f"({figures.register.cpu / int(tasks) * 1e6:.1f} us a task), {figures.rate:,.0f} claims/s, "
        f"{figures.cost * 1e6:.1f} us of server CPU a claim, p50 {percentile(figures.latencies, 0.5) * 1e3:.1f} ms, "
        f"p99 {percentile(figures.latencies, 0.99) * 1e3:.1f} ms, {figures.rss >> 20} MiB, {len(figures.walls)} rounds"
    )


if __name__ == "__main__":
    main()
