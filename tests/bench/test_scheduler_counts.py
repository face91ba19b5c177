"""What the central scheduler writes and is asked for, counted: at N tasks and at 4 N, on the real host without sockets."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

import levada as lv
from levada._client.transport import Transport
from levada._server.host import Host
from levada._server.http.settings import Bind, Settings
from levada._server.process import Plan, Server
from levada._store.memory import MemoryStore
from levada._store.ports import Batch
from levada._wire import kinds
from levada._wire import messages as w
from tests.bench import test_counts as graphs
from tests.bench.test_counts import MOST, calls_of
from tests.server.hosting import Place, Served, key

N = 500
BATCH = 100


class CountingStore(MemoryStore):
    """A store that keeps the batches it was given."""

    batches: list[Batch]

    def commit(self, batch: Batch) -> None:
        self.batches.append(batch)
        super().commit(batch)

    def journal(self) -> int:
        """Bytes of all changes."""
        return sum(len(batch.changes or b"") for batch in self.batches)

    def rows(self) -> int:
        """Rows beside the journal."""
        kinds = ("tasks", "forgotten", "sessions", "answers", "closed", "attempts", "logs", "cuts", "audit", "idempotency")
        return sum(len(getattr(batch, kind)) for batch in self.batches for kind in kinds)

    def answers(self) -> int:
        """Bytes of the answers that are kept for a repetition."""
        return sum(len(session.answer) for batch in self.batches for session in batch.sessions)


class CountingPlace(Place):
    def __init__(self) -> None:
        super().__init__("memory", Path())
        self.counting: CountingStore

    def store(self) -> CountingStore:
        self.counting = CountingStore(self.disk)
        self.counting.batches = []
        return self.counting


@contextmanager
def counted() -> Iterator[tuple[Served, CountingStore]]:
    place = CountingPlace()
    house = Served(place)
    try:
        house.hello()
        place.counting.batches.clear()
        yield house, place.counting
    finally:
        house.host.stop()


def register(house: Served, size: int) -> int:
    """Messages that it took."""
    for first in range(0, size, BATCH):
        house.add({one: [] for one in range(first, first + BATCH)})
    return size // BATCH


def work_off(house: Served, batch: int = BATCH) -> int:
    """Requests that it took until all is done."""
    done: list[Any] = []
    for requests in range(1, 100_000):
        answer = house.work(w.Sync, room=batch, done=done)
        done = [kinds.Held(*row[:3]) for row in answer.get("granted", ())]
        if not done:
            assert not answer.get("unfinished", 0)
            return requests
    raise AssertionError("the tasks do not end")


@pytest.mark.parametrize("batch", [1, BATCH])
def test_a_request_for_claims_is_one_commit_however_many_it_claims(batch: int) -> None:
    with counted() as (house, store):
        register(house, N)
        store.batches.clear()
        requests = work_off(house, batch)
        assert requests == N // batch + 1
        assert requests - 1 <= len(store.batches) <= requests


def test_a_claim_and_its_report_write_few_bytes_and_no_row_of_their_own() -> None:
    """Journal of some bytes a task; the rows are those of the session that was answered."""
    with counted() as (house, store):
        register(house, N)
        store.batches.clear()
        requests = work_off(house)
        print(f"{store.journal() / N:.1f} bytes of journal a claim, {store.answers() / N:.1f} of answers, {store.rows()} rows")
        assert store.rows() <= requests
        assert store.journal() <= 12 * N
        assert store.answers() <= 70 * N


def test_what_a_claim_writes_does_not_grow_with_the_tasks_that_are_known() -> None:
    written = []
    for size in (2 * N, 8 * N):  # beyond the numbers that take a byte less in the journal
        with counted() as (house, store):
            register(house, size)
            store.batches.clear()
            work_off(house)
            written.append((store.journal(), store.rows(), len(store.batches)))
    assert all(many / few <= MOST for few, many in zip(*written, strict=True)), written


def test_registering_writes_a_row_a_task_and_a_commit_a_message() -> None:
    written = []
    for size in (N, 4 * N):
        with counted() as (house, store):
            messages = register(house, size)
            assert len(store.batches) == messages
            assert store.rows() == size + messages
            written.append(store.journal())
    print(f"{written[1] / (4 * N):.1f} bytes of journal a registered task")
    assert written[1] / written[0] <= MOST
    assert written[1] <= 40 * 4 * N


def test_a_question_with_nothing_to_say_writes_nothing() -> None:
    with counted() as (house, store):
        for _ in range(20):
            assert house.claim(room=BATCH) == []
        house.ask(w.Renew(session="1" * 32, held=[]), role="worker", token="w")
        assert store.batches == []


def test_renewals_write_nothing() -> None:
    with counted() as (house, store):
        register(house, BATCH)
        answer = house.work(w.Sync, room=BATCH)
        store.batches.clear()
        held = [kinds.Held(*row[:3]) for row in answer.granted]
        for _ in range(5):
            house.ask(w.Renew(session="1" * 32, held=held), role="worker", token="w")
        assert store.batches == []


def handled(house: Served, kind: Any, **fields: Any) -> int:
    """Calls of functions that one request costs the host, from its handler to what the store gets."""
    from levada._server import work
    from levada._server.http.port import Call
    from levada._server.http.tokens import Identity
    from levada._wire.routes import BY_REQUEST

    host: Host = house.host
    request = kind(session="1" * 32, seq=next(house.numbers["1" * 32]), **fields)
    call = Call(BY_REQUEST[kind], request, Identity("worker", "w", "", ""), size=0, deliver=lambda *_: None)

    def serve() -> None:
        desk = host._desk()
        work.HANDLERS[kind](desk, call)
        batch = host._batch(desk)
        if batch is not None:
            host.store.commit(batch)

    return calls_of(serve)


def test_a_claim_costs_as_many_calls_on_a_server_with_many_tasks() -> None:
    """The same hundred claims and reports: with N tasks, and with 16 N and most of them done."""
    costs = []
    for size in (2 * BATCH, 32 * BATCH):
        with counted() as (house, _):
            register(house, size)
            for _ in range(size // BATCH - 2):
                granted = house.work(w.Sync, room=BATCH).granted
                house.work(w.Sync, done=[kinds.Held(*row[:3]) for row in granted])
            granted = house.work(w.Sync, room=BATCH).granted
            costs.append(handled(house, w.Sync, room=BATCH, done=[kinds.Held(*row[:3]) for row in granted]))
    print(f"{costs[0] / BATCH:.1f} calls a claim and report, {costs[1] / BATCH:.1f} on the larger server")
    assert costs[1] <= costs[0] * 1.1
    assert costs[0] <= 40 * BATCH


def test_a_registered_task_costs_as_many_calls_in_a_large_plan() -> None:
    costs = []
    for size in (BATCH, 32 * BATCH):
        with counted() as (house, _):
            register(house, size)
            keys = [key(size + one) for one in range(BATCH)]
            costs.append(
                handled(
                    house,
                    w.AddTasks,
                    policies=[msgspec.convert({"family": "A"}, w.PolicySpec)],
                    tasks=[msgspec.convert([one, 0, "{}"], w.TaskItem) for one in keys],
                    growth=[msgspec.convert([one, "", True], w.GrowthItem) for one in keys],
                )
            )
    print(f"{costs[0] / BATCH:.1f} calls a task, {costs[1] / BATCH:.1f} in the larger plan")
    assert costs[1] <= costs[0] * 1.1
    assert costs[0] <= 60 * BATCH


# -- what the client asks -----------------------------------------------------------------------


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a server in this process."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    made = Server(Plan(str(folder), "9.9", settings=Settings(binds=(Bind("127.0.0.1", 0),)), synchronous="normal"))
    ready = threading.Event()
    thread = threading.Thread(target=made.serve, args=(ready.set,), daemon=True)
    thread.start()
    assert ready.wait(20)
    yield made.web.addresses[0]
    made.stop()
    thread.join(20)


@contextmanager
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Requests of clients, by path."""
    paths: Counter[str] = Counter()
    real = Transport.begin

    def begin(self: Transport, path: str, *more: Any, **named: Any) -> Any:
        paths[path] += 1
        return real(self, path, *more, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Transport, "begin", begin)
        yield paths


def test_a_plan_is_registered_and_made_in_few_requests(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []
    for size in (N, 4 * N):
        graphs.done[:] = bytes(size)
        with asked(monkeypatch) as paths:
            assert lv.run(graphs.Fan(size), scheduler=server, state=str(tmp_path / "state"))
        assert graphs.done.count(1) == size
        counts.append(paths.total())
        print(size, dict(paths))
        assert paths["/v1/tasks"] <= size / 1000 + 5
        assert paths["/v1/sync"] <= size / 20 + 15
    assert counts[1] / counts[0] <= MOST


def test_a_plan_that_is_nearly_complete_costs_a_handful_of_requests(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One message in a thousand tasks, one claim and report each for what was missing and for the root."""
    size = 8 * N
    graphs.done[:] = b"\1" * size
    graphs.done[size // 2] = 0
    with asked(monkeypatch) as paths:
        assert lv.run(graphs.Fan(size), scheduler=server, state=str(tmp_path / "state"))
    assert paths["/v1/tasks"] <= size / 1000 + 1
    assert paths.total() <= size / 1000 + 10, paths
