"""The rows of the central scheduler: a real server's process under load, luigid beside it (docs/benchmarks.md says what each means)."""

from __future__ import annotations

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from . import growth, programs, servers, table, triggers
from .client import Client, keys_of, percentile
from .load import Crew, Figures, Shape, Step, crew, load, luigi_crew
from .measure import Broken
from .workloads import LONG, NORMAL, QUICK

SIZES = {QUICK: (1_000, 10_000), NORMAL: (1_000, 10_000, 100_000), LONG: (1_000, 10_000, 100_000, 1_000_000)}
LUIGI_SIZES = {QUICK: (300, 1_000), NORMAL: (300, 1_000), LONG: (300, 1_000, 3_000)}
LEAST = {QUICK: 0.5, NORMAL: 2.0, LONG: 2.0}  # seconds of claims at one size
IDLE = {QUICK: 3.0, NORMAL: 10.0, LONG: 20.0}  # seconds
WORKERS, BATCH = 8, 256  # claims in a request: what a worker of ours asks for at first
SAFE = ("--synchronous", "normal")

HEAD = ("central scheduler", "Levada", "luigid", "luigid/Levada", "goal")
WIDTHS = (50, 13, 18, 13, 0)

Line = tuple[str, str, str, str, str]


class LuigiLoad(NamedTuple):
    """Seconds that luigid took for all claims of a size: wall, and CPU of its process; latencies of single requests."""

    wall: float
    cpu: float
    latencies: list[float]


class Rows:
    """One run of the rows that were asked for. luigi: the interpreter that has luigid, or None."""

    def __init__(self, mode: str, luigi: str | None, notes: list[str], figures: list[dict[str, object]]) -> None:
        self.mode, self._luigi, self._notes, self._figures = mode, luigi, notes, figures
        self._costs: dict[tuple[str, int], float] = {}
        self._theirs: dict[bool, dict[int, LuigiLoad]] = {}

    def print(self, only: list[str]) -> None:
        """Measure and print, a row at a time."""
        print(f"\n{table.row(HEAD, WIDTHS)}", flush=True)
        for name, lines in ROWS.items():
            if only and name not in only:
                continue
            try:
                for line in lines(self):
                    print(table.row(line, WIDTHS), flush=True)
            except Broken as reason:
                self._notes.append(f"{name}: {reason}")

    def _note(self, workload: str, n: int, **figures: Any) -> None:
        self._figures.append({"workload": workload, "n": n, **figures})

    # -- luigid

    def _luigid(self, shared: bool = False) -> dict[int, LuigiLoad]:
        """By size; measured once, when a row first wants it."""
        if shared not in self._theirs:
            self._theirs[shared] = {}
            for size in LUIGI_SIZES[self.mode] if self._luigi else ():
                took = self._theirs[shared][size] = _luigi_load(str(self._luigi), Shape(size, WORKERS, shared=shared))
                self._note("luigid", size, wall=took.wall, cpu=took.cpu, shared=shared)
        return self._theirs[shared]

    def _theirs_at(self, size: int, of: Callable[[LuigiLoad], float], shared: bool) -> tuple[float | None, str]:
        """(seconds for all claims, how they were found)."""
        known = {n: of(took) for n, took in self._luigid(shared).items()}
        if size in known or not shared:  # up to here luigid shows nothing of its square where each worker has a few tasks of its own
            return known.get(size), ""
        return growth.fitted(known, size), " (fitted)"

    # -- claims

    def _claims(self, name: str, text: str, options: tuple[str, ...], goals: tuple[str, str], *, shared: bool = False) -> Iterator[Line]:
        """Rate and cost at each size."""
        for size in SIZES[self.mode][: 2 if shared else None]:
            figures = load(Shape(size, WORKERS, BATCH, shared), *options, least=LEAST[self.mode])
            self._costs[name, size] = figures.cost
            self._note(name, size, rate=figures.rate, cost=figures.cost, rounds=len(figures.walls), register=figures.register.wall)
            yield from self._claims_at(f"{text}, {size:,}", size, figures, goals, shared)

    def _claims_at(self, text: str, size: int, figures: Figures, goals: tuple[str, str], shared: bool = False) -> Iterator[Line]:
        wall, mark = self._theirs_at(size, lambda took: took.wall, shared)
        theirs = None if wall is None else size / wall
        yield (text, _rate(figures.rate), _rate(theirs) + (mark if theirs else ""), table.ratio(figures.rate, theirs), goals[0])
        cpu, mark = self._theirs_at(size, lambda took: took.cpu, shared)
        cost = None if cpu is None else cpu / size
        ours = figures.cost
        yield ("  server CPU a claim", table.seconds(ours), table.seconds(cost) + (mark if cost else ""), table.ratio(cost, ours), goals[1])

    def _growth(self) -> Iterator[Line]:
        """Costs of the largest size over those of the smallest: as they are, and where both need as many requests a claim."""
        low, high = SIZES[self.mode][0], SIZES[self.mode][-1]
        first = self._costs["claims", low]
        share = low // WORKERS
        requests = -(-share // BATCH) + 1  # the last one only reports
        cost = load(Shape(high, WORKERS, share // requests), *SAFE, least=LEAST[self.mode]).cost
        ratio, equal = self._costs["claims", high] / first, cost / first
        self._note("claims_growth", high, ratio=ratio, equal=equal, over=low)
        known = {n: took.cpu / n for n, took in self._luigid().items()}
        theirs = f"{known[max(known)] / known[min(known)]:.2f}" if len(known) > 1 else "-"
        goal = f"goal <= 1.2 (luigid: {max(known):,} over {min(known):,})" if len(known) > 1 else "goal <= 1.2"
        yield (f"  growth: CPU a claim, {high:,} over {low:,}", f"{ratio:.2f}", theirs, "", goal)
        yield ("  the same, with as many requests a claim", f"{equal:.2f}", "-", "-", "")

    def claims(self) -> Iterator[Line]:
        yield from self._claims("claims", f"claims, batches of {BATCH}, NORMAL", SAFE, ("goal >= 100,000/s", "goal <= 5 us"))
        yield from self._growth()

    def claims_full(self) -> Iterator[Line]:
        return self._claims("claims_full", f"claims, batches of {BATCH}, FULL", (), ("goal >= 20,000/s", ""))

    def shared(self) -> Iterator[Line]:
        """All sessions want the same tasks."""
        return self._claims("shared", f"claims, {WORKERS} sessions want the same", SAFE, ("", ""), shared=True)

    def one_claim(self) -> Iterator[Line]:
        """A request for each claim, which reports the one before."""
        for size in (1_000, 20_000) if self.mode != LONG else (1_000, 20_000, 100_000):
            figures = load(Shape(size, WORKERS, 1), *SAFE, least=LEAST[self.mode])
            self._note("one_claim", size, rate=figures.rate, cost=figures.cost, p50=_p(figures, 0.5), p99=_p(figures, 0.99))
            yield from self._claims_at(f"one claim a request, NORMAL, {size:,}", size, figures, ("goal >= 5,000/s", ""))
            known = self._luigid().get(size)
            theirs = _p50_p99(known.latencies) if known else "-"
            yield ("  p50, p99 of a request", _p50_p99(figures.latencies), theirs, "", "goal p99 <= 10 ms")

    # -- registering

    def register(self) -> Iterator[Line]:
        """One program registers, others ask meanwhile."""
        for size in SIZES[self.mode][1:]:
            stop = multiprocessing.get_context("fork").Event()
            with servers.levada(*SAFE) as server, crew(server, 1) as program, _prober(server, stop) as prober:
                prober.start("probe", [None])
                step = program.all("register", [range(size)])
                stop.set()
                (asked,), _ = prober.wait()
                yield from self._registered(size, step, *asked)

    def _registered(self, size: int, step: Step, work: list[float], urgent: list[float]) -> Iterator[Line]:
        self._note("register", size, wall=step.wall, cpu=step.cpu, other_p99=percentile(work, 0.99), other_most=max(work))
        goal = f"goal <= {30 * size / 1e6:g} s"
        yield (f"registering, one program, NORMAL, {size:,}", table.seconds(step.wall), "-", "-", goal)
        yield ("  server CPU a task", table.seconds(step.cpu / size), "-", "-", "")
        yield ("  a claim of another client meanwhile, p99", table.seconds(percentile(work, 0.99)), "", "", "goal <= 100 ms")
        yield ("  its longest, and p99 of renewals", f"{max(work) * 1e3:.0f}, {percentile(urgent, 0.99) * 1e3:.1f} ms", "", "", "")

    # -- memory and rest

    def server_memory(self) -> Iterator[Line]:
        """What a task that waits, and one that is done, takes of the server's memory."""
        size = max(SIZES[self.mode][-1], 300_000 if self.mode != QUICK else 50_000)  # of few, most would be the server's own caches
        few = size // 5
        with servers.levada(*SAFE) as server:
            client = Client(server.port, server.token, f"{1:032x}")
            client.hello()
            _behind_a_gate(client, range(few))
            client.work_off(1_000)
            first = server.rss()
            _behind_a_gate(client, range(few, size))
            waiting = server.rss()
            if client.work_off(1_000) != size - few:
                raise Broken("not all tasks were granted")
            done = server.rss()
            client.close()
        a_waiting, a_done = (waiting - first) / (size - few), (done - first) / (size - few)
        self._note("server_memory", size, waiting=a_waiting, done=a_done)
        yield (f"memory a waiting task, {size:,}", f"{a_waiting:,.0f} B", "-", "-", "goal <= 400 B")
        yield ("  a done task", f"{a_done:,.0f} B", "-", "-", "goal <= 400 B")

    def idle(self) -> Iterator[Line]:
        """A server that nobody asks."""
        seconds = IDLE[self.mode]
        ours, theirs = self._idle(servers.levada(), seconds), self._idle(servers.luigid(self._luigi), seconds) if self._luigi else None
        self._note("idle", 0, levada=ours, luigid=theirs)
        yield ("idle server: memory", _mib(ours[0]), _mib(theirs[0]) if theirs else "-", "", "goal <= 60 MB")
        cpu = [f"{took[1] * 1e3:.2f} ms" if took else "-" for took in (ours, theirs)]
        yield ("  CPU a second", *cpu, "", "goal: none that a process table shows (1 ms)")  # type: ignore[misc]  # two cells

    @staticmethod
    def _idle(serving: Any, seconds: float) -> tuple[int, float]:
        with serving as server:
            time.sleep(3.0)  # it has started
            cpu = server.cpu()
            time.sleep(seconds)
            return server.rss(), (server.cpu() - cpu) / seconds

    # -- triggers

    def triggers(self) -> Iterator[Line]:
        """Schedules that fire and places that are watched."""
        took = triggers.measured(IDLE[self.mode] * 6, *SAFE)
        self._note("triggers", triggers.SCHEDULES, **took._asdict())
        places = triggers.GOALS * triggers.PLACES
        yield (f"{triggers.SCHEDULES:,} schedules, {places:,} watched places", f"{took.share:.1%} of a core", "-", "-", "goal <= 10 %")
        yield ("  of it with no arrivals", f"{took.quiet:.1%}", "-", "-", f"({took.fires:,} goals made, {took.arrivals:,} arrivals told)")
        yield ("  memory; start with all that", f"{_mib(took.rss)}, {table.seconds(took.start)}", "-", "-", "")
        yield ("  defining the schedules, in one message", table.seconds(took.defined), "-", "-", "")

    # -- reading under load

    def reading(self) -> Iterator[Line]:
        """Claims, one a request, while somebody reads every page, of a server that knows many more tasks."""
        size = SIZES[self.mode][-1]
        claims = 4_000
        stop = multiprocessing.get_context("fork").Event()
        with servers.levada(*SAFE) as server, crew(server, WORKERS) as workers, crew(server, 1) as others, _reader(server, stop) as reader:
            others.all("register", [range(claims, claims + size)])
            shares = Shape(claims, WORKERS).shares()
            workers.all("register", shares)
            alone = workers.all("work_off", [1] * WORKERS)
            workers.all("register", shares, reopen=True)
            reader.start("read", [None])
            read = workers.all("work_off", [1] * WORKERS)
            stop.set()
            (pages,), latencies = reader.wait()
        rates = [claims / step.wall for step in (alone, read)]
        self._note("reading", size, alone=alone.wall, read=read.wall, pages=pages, p99=percentile(read.latencies, 0.99))
        yield (f"claims while all of {size:,} tasks are read", _rate(rates[1]), "-", "-", f"({_rate(rates[0])} with no reader)")
        yield (
            "  p50, p99 of a claim",
            _p50_p99(read.latencies),
            "-",
            "",
            f"goal p99 <= 10 ms ({_p50_p99(alone.latencies)} with no reader)",
        )
        text = f"{pages:,} pages"
        yield ("  pages meanwhile; p50, p99 of a page", _p50_p99(latencies), "-", "", text)

    # -- programs

    def programs(self) -> Iterator[Line]:
        """Programs that want the same."""
        starts = [programs.together(1, 1_000, made=999) for _ in range(2)]  # imports, session, discovery; nearly nothing to run
        begun = min(took.cpu + took.server for took in starts)
        kinds = ((0, 0, "no-op"), (2, 0, "waiting 2 ms"), (0, 10, "computing 10 ms"))
        for wait, work, kind in kinds[: 2 if self.mode == QUICK else 3]:
            alone = programs.together(1, 1_000, wait=wait, work=work)
            many = programs.together(WORKERS, 1_000, wait=wait, work=work)
            self._note("programs", 1_000, wait=wait, work=work, start=begun, alone=alone._asdict(), many=many._asdict())
            wall = f"goal: never slower than one alone ({table.seconds(alone.wall)})"
            yield (f"{WORKERS} programs want the same 1,000 tasks, {kind}", table.seconds(many.wall), "-", "-", wall)
            total, one = many.cpu + many.server, alone.cpu + alone.server
            text = f"goal <= 1.5 (one: {table.seconds(one)}; with a task to do in place of 1,000: {table.seconds(begun)})"
            yield ("  CPU in all, over that of one alone", f"{total / one:.2f}", "-", "-", text)
            yield (
                "  tasks that ran twice; HTTP calls",
                f"{many.twice}; {many.calls.total():,}",
                "-",
                "-",
                f"goal: none ({_told(many.calls)})",
            )

    def catch_up(self) -> Iterator[Line]:
        """A cron line that finds one of many tasks missing."""
        took = programs.together(1, 5_000, made=4_999)
        self._note("catch_up", 5_000, **took._asdict())
        yield ("catch-up: 5,000 tasks, 1 missing: CPU in all", table.seconds(took.cpu + took.server), "-", "-", "goal <= 0.25 s")
        yield ("  HTTP calls", str(took.calls.total()), "-", "-", f"goal: 1 in 1,000 tasks, and those of a session ({_told(took.calls)})")


def _luigi_load(python: str, shape: Shape) -> LuigiLoad:
    with servers.luigid(python) as server, luigi_crew(server, shape.workers) as workers:
        workers.all("register", shape.shares())
        step = workers.all("work_off", [None] * shape.workers)
        if step.made != shape.tasks:
            raise Broken(f"luigid granted {step.made:,} of {shape.tasks:,} tasks")
        return LuigiLoad(step.wall, step.cpu, step.latencies)


def _behind_a_gate(client: Client, share: range) -> None:
    """Register tasks that all need the first one of them."""
    (gate,) = keys_of(share[:1])
    client.register(share[:1])
    client.register(share[1:], gate)


class Prober(Client):
    """Asks small things, now and then."""

    stop: Any

    def probe(self) -> tuple[list[float], list[float]]:
        """Seconds of (claims that get nothing, renewals of nothing)."""
        while not self.stop.is_set():
            self.numbered(b"/v1/sync", room=1)
            self.post(b"/v1/renew", held=[])
            time.sleep(0.003)
        return self.latencies[::2], self.latencies[1::2]


class Reader(Client):
    """Reads what people read, as fast as it comes."""

    stop: Any

    def read(self) -> int:
        """Pages that were read."""
        count, after = 0, ""
        while not self.stop.is_set():
            if not after:
                self.get("/v1/status")
            after = self.get(f"/v1/tasks?limit=1000&after={after}")["next"] or ""
            count += 1
        return count


def _prober(server: servers.Server, stop: Any) -> Any:
    return _one_of(Prober, server, stop)


def _reader(server: servers.Server, stop: Any) -> Any:
    return _one_of(Reader, server, stop)


class _one_of:
    """A crew of one client of a kind, which goes on until the event is set."""

    def __init__(self, kind: type[Any], server: servers.Server, stop: Any) -> None:
        def make(number: int) -> Any:
            client = kind(server.port, server.token, f"{id(stop) & 0xFFFF:016x}{number:016x}")
            client.stop = stop
            client.hello()
            return client

        self._crew = Crew(server, 1, make)

    def __enter__(self) -> Crew:
        return self._crew

    def __exit__(self, *error: object) -> None:
        self._crew.end()


ROWS: dict[str, Callable[[Rows], Iterator[Line]]] = {
    "claims": Rows.claims,
    "claims_full": Rows.claims_full,
    "shared": Rows.shared,
    "one_claim": Rows.one_claim,
    "register": Rows.register,
    "server_memory": Rows.server_memory,
    "idle": Rows.idle,
    "triggers": Rows.triggers,
    "reading": Rows.reading,
    "programs": Rows.programs,
    "catch_up": Rows.catch_up,
}


def _told(calls: Counter[str]) -> str:
    return ", ".join(f"{count:,} {route}" for route, count in calls.most_common())


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}/s"


def _p(figures: Figures, share: float) -> float:
    return percentile(figures.latencies, share)


def _p50_p99(latencies: list[float]) -> str:
    return f"{percentile(latencies, 0.5) * 1e3:.1f}, {percentile(latencies, 0.99) * 1e3:.1f} ms"


def _mib(value: int) -> str:
    return f"{value / 1e6:.0f} MB"
