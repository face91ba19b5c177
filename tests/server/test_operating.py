"""Commands of people: each changes what it says, leaves one line, comes twice with one effect, and outlives the server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from levada._server import operating, work
from levada._wire import messages as w
from levada._wire import operators as o
from levada._wire.routes import ROUTES
from tests.server.hosting import KINDS, S1, S2, Served, heard, key, refusal, served


@pytest.fixture(params=KINDS)
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    with served(request.param, tmp_path) as made:
        yield made


def ready(house: Served) -> None:
    house.add({0: []})


def failed(house: Served) -> None:
    house.add({0: []}, retry={"attempts": 1})
    house.claim()
    house.fail(0)


def disabled(house: Served) -> None:
    house.add({0: []}, disabled=True)


def running(house: Served) -> None:
    ready(house)
    house.claim()


def done(house: Served) -> None:
    running(house)
    house.done(0)


def cancelled(house: Served) -> None:
    ready(house)
    house.ask(o.Cancel(key(0)))


COMMANDS = [
    (ready, o.Cancel, "ready", "cancelled"),
    (running, o.Cancel, "running", "running"),
    (failed, o.Retry, "failed", "ready"),
    (cancelled, o.Retry, "cancelled", "ready"),
    (disabled, o.Forgive, "disabled", "ready"),
    (failed, o.Forgive, "failed", "ready"),
    (done, o.Invalidate, "done", "ready"),
    (ready, o.MarkDone, "ready", "done"),
    (failed, o.MarkDone, "failed", "done"),
    (done, o.Cancel, "done", "done"),
    (running, o.MarkDone, "running", "running"),
]


def test_every_route_of_the_host_has_its_handler() -> None:
    lanes = [route for route in ROUTES if route.lane.name != "WEB"]
    assert [repr(route) for route in lanes if route.request not in work.HANDLERS and route.request not in operating.HANDLERS] == []


@pytest.mark.parametrize(("standing", "command", "before", "after"), COMMANDS)
def test_a_command_about_a_task_changes_what_it_says_and_leaves_one_line(
    house: Served, standing: Callable[[Served], None], command: Any, before: str, after: str
) -> None:
    standing(house)
    lines = len(house.trail())

    answer = house.ask(command(key(0), reason="because"))

    assert (answer.key, answer.before, answer.status) == (key(0), before, after)
    assert house.status(0) == after
    trail = house.trail()
    assert len(trail) == lines + 1
    line = trail[-1]
    assert (line.subject, line.before, line.after, line.reason, line.token) == (key(0), before, after, "because", "t1")


def test_an_invalidation_holds_only_for_what_was_seen(house: Served) -> None:
    """Between the look and the command somebody may have been granted the task; then nothing changes, and no line is left."""
    done(house)
    seen = house.ask(o.Task(key(0)))
    assert (seen.generation, seen.number) == (1, 1)
    for generation, number in ((2, 1), (1, 0)):
        assert refusal(lambda g=generation, n=number: house.ask(o.Invalidate(key(0), generation=g, number=n))) == "conflict"
    assert (house.status(0), house.trail()) == ("done", [])

    assert house.ask(o.Invalidate(key(0), generation=1, number=1), repeat="again").status == "ready"
    assert house.ask(o.Invalidate(key(0), generation=1, number=1), repeat="again").status == "ready"  # its answer had been lost
    assert len(house.trail()) == 1
    assert refusal(lambda: house.ask(o.Invalidate(key(0), generation=2, number=1))) == "conflict"  # it waits already
    house.again()
    assert house.ask(o.Task(key(0))).generation == 2


def test_a_running_task_that_is_cancelled_is_told_to_its_worker(house: Served) -> None:
    running(house)
    house.ask(o.Cancel(key(0)))
    assert house.work(w.Sync).cancel == [key(0)]


def test_a_claim_that_waits_hears_of_what_an_operator_sets_going(house: Served) -> None:
    failed(house)
    house.add({1: []}, "B")
    house.claim()
    waits = house.begin(w.Sync(session=S1, seq=next(house.numbers[S1]), room=1, wait=30.0), role="worker", token="w")

    house.ask(o.Retry(key(0)))

    assert [row[0] for row in heard(waits, 5.0).granted] == [key(0)]


def test_priorities_resources_pause_and_drain_change_what_is_granted(house: Served) -> None:
    house.add({0: [], 1: [], 2: []}, resources=[["disk", 1]])
    assert house.ask(o.SetPriority(key(2), 5)) == {"epoch": 1, "before": "0", "after": "5"}
    assert house.ask(o.SetResource("disk", 2)) == {"epoch": 1, "before": "1", "after": "2"}
    assert house.ask(o.Pause()) == {"epoch": 1, "before": "running", "after": "paused"}
    assert house.claim(room=3) == []
    assert house.ask(o.Resume()).after == "running"
    assert house.claim(room=3) == [2, 0]
    house.ask(o.SetResource("disk", 9))
    assert house.ask(o.DrainWorker(S1)).after == "draining"
    assert house.claim(room=3) == []
    actions = [line.action for line in house.trail()]
    assert actions == ["set-priority", "set-resource", "pause", "resume", "set-resource", "drain-worker"]


def test_who_is_not_known_is_refused_and_leaves_no_line(house: Served) -> None:
    house.add({0: []})
    assert refusal(lambda: house.ask(o.Cancel(key(9)))) == "not-found"
    assert refusal(lambda: house.ask(o.DrainWorker(S2))) == "not-found"
    assert refusal(lambda: house.ask(o.CancelFamily("Nobody"))) == "not-found"
    assert refusal(lambda: house.ask(o.RevokeToken("nobody"))) == "not-found"
    assert refusal(lambda: house.ask(o.Tasks(after="x"))) == "invalid-message"
    assert house.trail() == []


# -- families


def test_a_family_is_worked_through_in_bounded_pieces(house: Served) -> None:
    for first in range(0, 2_000, 500):
        house.add({task: [] for task in range(first, first + 500)}, "Big" if first < 1_500 else "Other")
    changed, after, calls = 0, "", 0
    while True:
        answer = house.ask(o.CancelFamily("Big", after=after))
        assert answer.changed + answer.unchanged <= operating.PIECE
        changed, calls = changed + answer.changed, calls + 1
        if answer.next is None:
            break
        after = answer.next

    assert (changed, calls) == (1_500, 4)
    counts = {row.family: row.counts for row in house.ask(o.Families()).families}
    assert counts == {"Big": {"cancelled": 1_500}, "Other": {"ready": 500}}
    assert house.ask(o.RetryFamily("Big", limit=10)).changed == 10
    assert len(house.trail()) == calls + 1


def test_a_command_for_a_family_can_be_for_one_status(house: Served) -> None:
    house.add({0: [], 1: [], 2: [0]})
    house.claim()
    assert house.ask(o.CancelFamily("A", status="waiting")) == {"changed": 1, "unchanged": 0, "next": None, "epoch": 1}
    assert [house.status(one) for one in range(3)] == ["running", "ready", "cancelled"]
    assert house.ask(o.RetryFamily("A", status="running")) == {"changed": 0, "unchanged": 1, "next": None, "epoch": 1}
    assert house.ask(o.InvalidateFamily("A")).changed == 1
    assert house.ask(o.ForgiveFamily("A")).changed == 0


# -- once, and for good


def test_a_command_with_its_key_has_one_effect_and_one_answer(house: Served) -> None:
    ready(house)
    first = house.ask(o.Cancel(key(0)), repeat="k1")
    house.ask(o.Retry(key(0)))

    assert house.ask(o.Cancel(key(0)), repeat="k1") == first
    assert house.status(0) == "ready"
    assert [line.action for line in house.trail()] == ["cancel", "retry"]
    assert refusal(lambda: house.ask(o.Cancel(key(0), reason="x"), repeat="k1")) == "key-reused"
    assert house.ask(o.Cancel(key(0)), repeat="k1", token="t2").status == "cancelled", "keys of two tokens are two"


def test_a_command_that_comes_twice_in_one_drain_has_one_effect(house: Served) -> None:
    ready(house)
    waiting = [house.begin(o.SetPriority(key(0), 5), repeat="k") for _ in range(20)]
    assert {str(heard(one)) for one in waiting} == {str({"epoch": 1, "before": "0", "after": "5"})}
    assert len(house.trail()) == 1


def test_what_was_refused_may_be_asked_again_with_the_same_key(house: Served) -> None:
    assert refusal(lambda: house.ask(o.Cancel(key(0)), repeat="k")) == "not-found"
    ready(house)
    assert house.ask(o.Cancel(key(0)), repeat="k").status == "cancelled"


def test_a_restart_keeps_what_operators_said(house: Served) -> None:
    house.add({0: [], 1: []}, resources=[["disk", 1]])
    house.ask(o.SetPriority(key(1), 7))
    house.ask(o.SetResource("disk", 3))
    house.ask(o.Pause(), repeat="k")
    house.ask(o.DrainWorker(S1))
    token = house.ask(o.CreateToken("viewer", label="wall"))
    revoked = house.ask(o.CreateToken("operator", days=1.0))
    house.ask(o.RevokeToken(revoked.id))
    trail = house.trail()

    house.again()

    assert house.trail() == trail
    assert house.ask(o.Overview()).paused
    assert house.ask(o.Task(key(1))).task.priority == 7
    assert house.ask(o.Resources()).resources == [{"name": "disk", "total": 3, "used": 0, "waiting": 0}]
    assert [row.draining for row in house.ask(o.Workers()).workers] == [True]
    assert house.ask(o.Pause(), repeat="k").before == "running", "the first answer, not that of a second command"
    assert house.host.tokens.find(token.token) is not None
    assert house.host.tokens.find(revoked.token) is None


# -- tokens


def test_a_token_counts_from_its_answer_until_it_is_revoked(house: Served) -> None:
    made = house.ask(o.CreateToken("operator", label="cron", namespace="etl", days=30.0))
    row = house.host.tokens.find(made.token)
    assert row is not None
    assert (row.role, row.label, row.namespace) == ("operator", "cron", "etl")
    listed = {one.id: one for one in house.ask(o.Tokens()).tokens}
    assert (listed[made.id].role, listed[made.id].revoked) == ("operator", False)

    assert house.ask(o.RevokeToken(made.id)) == {"epoch": 1, "before": "valid", "after": "revoked"}

    assert house.host.tokens.find(made.token) is None
    assert house.ask(o.RevokeToken(made.id)).before == "revoked"
    assert made.token not in str(house.ask(o.Audit())) + str(house.ask(o.Tokens()))


def test_tokens_are_told_page_by_page(house: Served) -> None:
    made = {house.ask(o.CreateToken("viewer", label=str(number))).id for number in range(5)}
    seen, after = set[str](), ""
    while True:
        page = house.ask(o.Tokens(limit=2, after=after))
        seen |= {one.id for one in page.tokens}
        if page.next is None:
            break
        after = page.next
    assert seen == made


# -- backups


def test_a_backup_is_a_whole_store_and_leaves_its_line(tmp_path: Path) -> None:
    from levada._store.opening import open_reader

    with served("sqlite", tmp_path) as house:
        house.add({0: [], 1: []})
        answer = house.ask(o.Backup(), repeat="k")
        path = tmp_path / "backups" / answer.name
        reader = open_reader(str(path))
        assert [row.key.hex() for row in reader.tasks_at([0, 1])] == [key(0), key(1)]
        reader.close()
        assert path.stat().st_size == answer.bytes
        assert path.parent.stat().st_mode & 0o777 == 0o700
        line = house.trail()[-1]
        assert (line.action, line.subject) == ("backup", answer.name)
        assert house.ask(o.Backup(), repeat="k") == answer
        assert len(list(path.parent.iterdir())) == 1


def test_one_backup_is_written_at_a_time(tmp_path: Path) -> None:
    with served("sqlite", tmp_path) as house:
        ready(house)
        both = [house.begin(o.Backup()) for _ in range(2)]
        codes = [refusal(lambda one=one: heard(one)) for one in both]  # type: ignore[misc]
        assert sorted(codes) == ["conflict", "not refused"]


def test_a_store_without_a_folder_has_no_backup(tmp_path: Path) -> None:
    with served("memory", tmp_path) as house:
        assert refusal(lambda: house.ask(o.Backup())) == "conflict"
        assert house.trail() == []
