"""What every kind of store keeps to: memory, SQLite (by both of its libraries), PostgreSQL."""

from __future__ import annotations

import pytest

from levada._store.ports import PIECE, Answer, Batch, GoalRow, LogCut, Retention, SessionRow, Store, TriggerRow
from levada.errors import Deposed, StoreBusy

from .places import InMemory, Place
from .values import attempt, audit, chunk, goal, key, session, task, token


@pytest.fixture
def store(place: Place) -> Store:
    made = place.store()
    made.take_over("first")
    return made


def again(place: Place, store: Store) -> Store:
    """The server died, and another one is there."""
    place.kill(store)
    made = place.store()
    made.take_over("next")
    return made


def journal_of(store: Store) -> list[tuple[int, bytes]]:
    return list(store.load().journal)


# -- whose it is


def test_a_new_store_has_nothing_and_epoch_one(place: Place) -> None:
    store = place.store()
    assert store.take_over("first") == 1
    loaded = store.load()
    assert (loaded.seq, loaded.snapshot, loaded.parts, loaded.sessions) == (0, 0, {}, [])
    assert (list(loaded.journal), list(loaded.tasks)) == ([], [])


@pytest.mark.parametrize("clean", [True, False], ids=["closed", "killed"])
def test_the_epoch_rises_with_each_server(place: Place, store: Store, clean: bool) -> None:
    for epoch in (2, 3, 4):
        store.close() if clean else place.kill(store)
        store = place.store()
        assert store.take_over("next") == epoch


def test_a_second_server_is_told_who_holds_the_store(place: Place, store: Store) -> None:
    second = place.store()
    with pytest.raises(StoreBusy, match="first"):
        second.take_over("second")
    store.commit(Batch(1.0, seq=1, changes=b"a"))  # unharmed
    store.close()
    assert second.take_over("second") == 2
    assert journal_of(second) == [(1, b"a")]


def test_a_standby_waits_until_the_server_is_gone(place: Place, store: Store) -> None:
    looks = []

    def stopped() -> bool:
        looks.append(1)
        if len(looks) == 2:
            place.kill(store)
        return len(looks) > 50

    assert place.store().take_over("standby", wait=None, stopped=stopped) == 2
    assert len(looks) == 2


def test_a_standby_can_be_stopped(place: Place, store: Store) -> None:
    with pytest.raises(StoreBusy):
        place.store().take_over("standby", wait=None, stopped=lambda: True)


def test_nothing_is_done_before_takeover_or_after_close(place: Place, store: Store) -> None:
    with pytest.raises(RuntimeError, match="take_over"):
        place.store().commit(Batch(1.0))
    store.close()
    store.close()
    with pytest.raises(RuntimeError, match="take_over"):
        store.load()


# -- commit and load


def test_what_was_committed_is_there_after_a_death(place: Place, store: Store) -> None:
    rows = [task(0), task(1, "demo.Other", None), task(5)]
    store.commit(Batch(7.0, seq=1, changes=b"\x00one\xff", tasks=rows, sessions=[session(1)], answers=[Answer(key(1), 1, b"first")]))
    store.commit(Batch(8.0, seq=3, changes=b"", answers=[Answer(key(1), 2, b"\x00second")]))
    loaded = again(place, store).load()
    assert loaded.seq == 3
    assert loaded.sessions == [SessionRow(key(1), 2, b"\x00second", 8.0, '{"host":"a"}')]
    assert list(loaded.journal) == [(1, b"\x00one\xff"), (3, b"")]
    assert list(loaded.tasks) == rows


def test_a_seq_that_does_not_rise_is_refused_as_a_whole(store: Store) -> None:
    store.commit(Batch(1.0, seq=4, changes=b"a"))
    for seq in (4, 3, 0):
        with pytest.raises(ValueError, match="does not rise"):
            store.commit(Batch(1.0, seq=seq, changes=b"b", tasks=[task(1)]))
    assert list(store.load().tasks) == []
    store.commit(Batch(1.0, tasks=[task(1)]))  # without changes there is no seq
    assert store.load().seq == 4


def test_a_batch_that_cannot_be_written_leaves_nothing(place: Place, store: Store) -> None:
    """One wrong value anywhere undoes the whole batch, and what the store remembers of it."""
    wrong = attempt(1)._replace(key=b"short")
    batch = Batch(1.0, seq=1, changes=b"a", tasks=[task(1, "never.Seen")], sessions=[session(1)], attempts=[attempt(2), wrong])
    with pytest.raises(ValueError, match="16 bytes"):
        store.commit(batch)
    store.commit(Batch(1.0, seq=1, changes=b"b", tasks=[task(2, "other.Family"), task(3, "never.Seen")], attempts=[attempt(3)]))
    loaded = again(place, store).load()
    assert loaded.sessions == []
    assert list(loaded.journal) == [(1, b"b")]
    assert [row.family for row in loaded.tasks] == ["other.Family", "never.Seen"]


def test_a_task_row_can_be_replaced_and_forgotten(place: Place, store: Store) -> None:
    store.commit(Batch(1.0, tasks=[task(1), task(2), task(3)]))
    changed = task(2, "demo.Renamed")._replace(params="{}", module=None)
    store.commit(Batch(1.0, tasks=[changed], forgotten=[1, 99]))
    assert list(again(place, store).load().tasks) == [changed, task(3)]


def test_many_tasks_come_back_in_order_and_share_their_names(place: Place, store: Store) -> None:
    rows = [task(index, f"demo.F{index % 7}") for index in range(12_000)]
    for at in range(0, len(rows), 1000):
        store.commit(Batch(1.0, tasks=rows[at : at + 1000]))
    found = list(again(place, store).load().tasks)
    assert found == rows
    assert len({id(row.family) for row in found}) <= 7 or isinstance(place, InMemory)


def test_a_session_that_answers_before_it_is_known_is_made(store: Store) -> None:
    store.commit(Batch(3.0, answers=[Answer(key(9), 1, b"x")]))
    assert store.load().sessions == [SessionRow(key(9), 1, b"x", 3.0, "")]


def test_marks_of_tasks_are_kept_and_replaced(place: Place, store: Store) -> None:
    store.commit(Batch(1.0, tasks=[task(0), task(1), task(2)], marks=[(2, "two"), (0, "none")]))
    store.commit(Batch(2.0, marks=[(0, "zero")]))
    assert list(again(place, store).marks()) == [(0, "zero"), (2, "two")]


def test_an_index_that_serves_a_new_task_has_the_mark_of_that_one(store: Store) -> None:
    store.commit(Batch(1.0, tasks=[task(0), task(1)], marks=[(0, "old"), (1, "gone")]))
    store.commit(Batch(2.0, tasks=[task(0, "demo.New")], forgotten=[0, 1], marks=[(0, "another's")]))
    assert list(store.marks()) == [(0, "another's")]


def test_closed_sessions_are_forgotten(place: Place, store: Store) -> None:
    store.commit(Batch(1.0, sessions=[session(1), session(2)]))
    store.commit(Batch(2.0, answers=[Answer(key(1), 1, b"bye")], closed=[key(1), key(7)]))
    assert [row.id for row in again(place, store).load().sessions] == [key(2)]


# -- snapshots


def parts_of(seq: int, size: int = 2 * PIECE + 17) -> list[tuple[str, bytes]]:
    return [("columns", bytes([seq]) * size), ("empty", b""), ("names", b"abc")]


def test_a_checkpoint_replaces_the_journal_up_to_it(place: Place, store: Store) -> None:
    for seq in range(1, 200):
        store.commit(Batch(1.0, seq=seq, changes=b"%d" % seq))
    steps = list(store.checkpoint(197, parts_of(7)))
    assert steps[-1] == 2 * PIECE + 20
    loaded = again(place, store).load()
    assert (loaded.seq, loaded.snapshot) == (199, 197)
    assert loaded.parts == dict(parts_of(7))
    assert list(loaded.journal) == [(198, b"198"), (199, b"199")]


def test_each_step_of_a_checkpoint_is_bounded_and_commits_come_between(place: Place, store: Store) -> None:
    store.commit(Batch(1.0, seq=1, changes=b"a"))
    written = 0
    for seq, size in enumerate(store.checkpoint(1, parts_of(1)), start=2):
        assert size - written <= PIECE
        written = size
        store.commit(Batch(1.0, seq=seq, changes=b"b"))
    loaded = again(place, store).load()
    assert loaded.parts == dict(parts_of(1))
    assert [number for number, _ in loaded.journal] == list(range(2, loaded.seq + 1))


@pytest.mark.parametrize("steps", range(1, 5))
def test_a_checkpoint_that_was_cut_short_leaves_the_old_snapshot_and_no_waste(place: Place, store: Store, steps: int) -> None:
    store.commit(Batch(1.0, seq=1, changes=b"a"))
    list(store.checkpoint(1, parts_of(1)))
    store.commit(Batch(1.0, seq=2, changes=b"b"))
    begun = store.checkpoint(2, [("p", b"x" * 5 * PIECE)])
    for _ in range(steps):
        next(begun)
    store = again(place, store)
    loaded = store.load()
    assert (loaded.snapshot, loaded.parts, list(loaded.journal)) == (1, dict(parts_of(1)), [(2, b"b")])
    list(store.checkpoint(2, parts_of(2)))
    assert again(place, store).load().parts == dict(parts_of(2))


def test_a_checkpoint_of_a_story_that_was_not_committed_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="nothing was committed with seq 1"):
        list(store.checkpoint(1, parts_of(1)))


def test_a_snapshot_may_be_written_again_at_the_same_seq(place: Place, store: Store) -> None:
    store.commit(Batch(1.0, seq=1, changes=b"a"))
    list(store.checkpoint(1, parts_of(1)))
    list(store.checkpoint(1, parts_of(3)))
    assert again(place, store).load().parts == dict(parts_of(3))


# -- deposed


def test_a_deposed_server_can_write_nothing(place: Place, store: Store) -> None:
    """Its hold is void though its process lives: a pause, a cut connection, an operator's second server."""
    place.depose(store)
    for write in (
        lambda: store.commit(Batch(1.0, seq=1, changes=b"late", tasks=[task(1)])),
        lambda: store.put_token(token("t")),
        lambda: store.touch_tokens([("t", 1.0)]),
        lambda: store.revoke_token("t", 1.0),
        lambda: list(store.checkpoint(0, [("a", b"b")])),
    ):
        with pytest.raises(Deposed, match="epoch 1 is void, a server with epoch 9"):
            write()
    loaded = again(place, store).load()
    assert (loaded.seq, list(loaded.tasks), loaded.parts) == (0, [], {})


# -- attempts


def test_attempts_come_back_as_they_were_newest_first(place: Place, store: Store) -> None:
    rows = [attempt(n, of=n % 3, exit="user" if n % 4 == 0 else "ok", error="Traceback ü\nline" if n % 4 == 0 else "") for n in range(40)]
    for at in range(0, 40, 8):
        store.commit(Batch(1.0, attempts=rows[at : at + 8]))
    store = again(place, store)
    store.commit(Batch(1.0, attempts=[attempt(100)]))
    page = store.attempts(limit=100)
    assert page.next is None
    assert page.rows[0].attempt == attempt(100)
    assert sorted(one.attempt for one in page.rows) == sorted([*rows, attempt(100)])
    ids = [one.id for one in page.rows]
    assert ids == sorted(set(ids), reverse=True)


@pytest.mark.parametrize("failed", [False, True])
@pytest.mark.parametrize("family", [None, "demo.A"])
def test_pages_of_attempts_join_without_gap_or_overlap(store: Store, failed: bool, family: str | None) -> None:
    rows = [attempt(n, exit="user" if n % 3 == 0 else "ok", family=f"demo.{'AB'[n % 2]}") for n in range(60)]
    for at in range(0, 60, 7):
        store.commit(Batch(1.0, attempts=rows[at : at + 7]))
    found, before = [], None
    for _ in range(100):
        page = store.attempts(family=family, failed=failed, before=before, limit=4)
        found += page.rows
        before = page.next
        if before is None:
            break
    wanted = [row for row in rows if (not failed or row.exit == "user") and family in (None, row.family)]
    assert sorted(one.attempt for one in found) == sorted(wanted)
    assert [one.id for one in found] == sorted((one.id for one in found), reverse=True)


def test_the_history_of_a_task_has_failures_and_successes(store: Store) -> None:
    store.commit(Batch(1.0, attempts=[attempt(1, of=5, exit="oom"), attempt(1, of=6), attempt(2, of=5)]))
    store.commit(Batch(1.0, attempts=[attempt(3, of=6), attempt(3, of=5), attempt(4, of=5)]))
    assert [one.attempt.number for one in store.attempts_of(key(5))] == [4, 3, 1, 2]
    assert [one.attempt.number for one in store.attempts_of(key(5), limit=2)] == [4, 3]
    assert store.attempts_of(key(77)) == []


def test_nul_in_what_programs_print_does_not_stop_a_commit(store: Store) -> None:
    store.commit(Batch(1.0, attempts=[attempt(1, exit="user", error="a\0b")], logs=[chunk(0, "x\0y")]))
    assert store.attempts_of(key(1))[0].attempt.error == "a\N{REPLACEMENT CHARACTER}b"
    assert store.log(key(1), 1, 1)[0].text == "x\N{REPLACEMENT CHARACTER}y"


# -- tasks for pages


def test_tasks_are_found_by_index(store: Store) -> None:
    store.commit(Batch(1.0, tasks=[task(n) for n in range(10)]))
    assert store.tasks_at([7, 3, 99, 3]) == [task(3), task(7)]
    assert store.tasks_at([]) == []
    assert store.tasks_at(range(2000)) == [task(n) for n in range(10)]


def test_pages_of_tasks_join_without_gap_or_overlap(store: Store) -> None:
    store.commit(Batch(1.0, tasks=[task(n, f"demo.{'AB'[n % 2]}") for n in range(20)]))
    first = store.task_page(family="demo.B", limit=6)
    assert [row.index for row in first.rows] == [1, 3, 5, 7, 9, 11]
    assert first.next == 11
    last = store.task_page(family="demo.B", after=11, limit=6)
    assert ([row.index for row in last.rows], last.next) == ([13, 15, 17, 19], None)
    assert store.task_page(family="demo.None").rows == []
    assert len(store.task_page().rows) == 20


def test_tasks_are_found_by_a_part_of_their_parameters(store: Store) -> None:
    store.commit(Batch(1.0, tasks=[task(n, f"demo.{'AB'[n % 2]}") for n in range(60)]))
    assert [row.index for row in store.task_page(containing='-02-05"').rows] == [4, 32]
    assert [row.index for row in store.task_page(containing="Käse 🧀", family="demo.A", limit=2).rows] == [0, 2]
    assert store.task_page(containing="%").rows == []


# -- logs


def test_a_log_is_read_from_an_offset_on(store: Store) -> None:
    store.commit(Batch(1.0, logs=[chunk(0, "one\n"), chunk(4, "two\n"), chunk(0, "other", number=2)]))
    store.commit(Batch(2.0, logs=[chunk(8, "three\n", at=2.0), chunk(4, "again", at=2.0)]))
    assert [one.text for one in store.log(key(1), 1, 1)] == ["one\n", "two\n", "three\n"]
    assert store.log(key(1), 1, 1, offset=8) == [chunk(8, "three\n", at=2.0)]
    assert [one.offset for one in store.log(key(1), 1, 1, limit=2)] == [0, 4]
    assert [(size.number, size.chunks, size.end, size.at) for size in store.logs_of(key(1))] == [(2, 1, 0, 1.0), (1, 3, 8, 2.0)]


def test_the_middle_of_a_log_can_go(store: Store) -> None:
    store.commit(Batch(1.0, logs=[chunk(at) for at in range(0, 50, 5)]))
    store.commit(Batch(1.0, cuts=[LogCut(key(1), 1, 1, 10, 40)]))
    assert [one.offset for one in store.log(key(1), 1, 1)] == [0, 5, 40, 45]


# -- operators


def test_the_first_answer_to_an_operators_command_stays(place: Place, store: Store) -> None:
    store.commit(Batch(1.0, idempotency=[("k", b"first")]))
    store.commit(Batch(1.0, idempotency=[("k", b"second"), ("l", b"")]))
    store = again(place, store)
    assert (store.answer_of("k"), store.answer_of("l"), store.answer_of("m")) == (b"first", b"", None)


def test_the_audit_trail_is_numbered_without_gap(place: Place, store: Store) -> None:
    store.commit(Batch(1.0, audit=[audit(1), audit(2)]))
    store = again(place, store)
    store.commit(Batch(1.0, audit=[audit(3)]))
    lines = store.audit()
    assert [(line.id, line.row) for line in lines] == [(3, audit(3)), (2, audit(2)), (1, audit(1))]
    assert [line.id for line in store.audit(before=3, limit=1)] == [2]


def test_tokens_are_kept_revoked_and_touched(place: Place, store: Store) -> None:
    store.put_token(token("a", 2.0))
    store.put_token(token("b", 1.0)._replace(expires=9.0))
    store.put_token(token("a", 2.0)._replace(label="renamed"))
    store.touch_tokens([("a", 5.0), ("none", 6.0)])
    assert store.revoke_token("b", 7.0)
    assert not store.revoke_token("b", 8.0)
    assert not store.revoke_token("none", 8.0)
    assert again(place, store).tokens() == [
        token("b", 1.0)._replace(expires=9.0, revoked=7.0),
        token("a", 2.0)._replace(label="renamed", used=5.0),
    ]


def test_tokens_of_a_batch_are_written_with_it(place: Place, store: Store) -> None:
    store.commit(Batch(1.0, audit=[audit(1)], tokens=[token("a", 2.0)]))
    store.commit(Batch(2.0, audit=[audit(2)], tokens=[token("a", 2.0)._replace(revoked=2.0), token("b", 3.0)]))
    store = again(place, store)
    assert store.tokens() == [token("a", 2.0)._replace(revoked=2.0), token("b", 3.0)]
    assert len(store.audit()) == 2


# -- triggers and goals


def test_triggers_are_written_replaced_and_removed(place: Place, store: Store) -> None:
    store.commit(Batch(1.0, triggers=[TriggerRow("b", "{}", "1"), TriggerRow("a", "{}", "2")]))
    store.commit(Batch(2.0, untriggered=["a", "none"], triggers=[TriggerRow("b", '{"x":1}', "3"), TriggerRow("c", "{}", "")]))
    assert again(place, store).triggers() == [TriggerRow("b", '{"x":1}', "3"), TriggerRow("c", "{}", "")]


def test_a_goal_is_written_once_and_then_moves(place: Place, store: Store) -> None:
    store.commit(Batch(1.0, goals=[goal(1), goal(2)]))
    store.commit(Batch(2.0, goals=[goal(1)._replace(state="done", ended=2.0, data="{}", family="other")]))
    store = again(place, store)
    assert store.live_goals() == [goal(2)]
    assert store.goals_at([goal(2).key, goal(1).key, b"?" * 16]) == [goal(1)._replace(state="done", ended=2.0, data="{}"), goal(2)]
    assert store.last_goal() == 2


@pytest.mark.parametrize("asked", [{}, {"trigger": ""}, {"family": "F1"}, {"state": "parked", "trigger": "nightly"}])
def test_pages_of_goals_join_without_gap_or_overlap(store: Store, asked: dict[str, str]) -> None:
    rows = [goal(n, trigger="" if n % 3 else "nightly", family=f"F{n % 2}", state="parked" if n % 5 else "done") for n in range(1, 41)]
    store.commit(Batch(1.0, goals=rows))
    found: list[GoalRow] = []
    before: int | None = None
    while found == [] or before is not None:
        page = store.goals(before=before, limit=3, **asked)  # type: ignore[arg-type]  # names of texts
        found += page.rows
        before = page.next
    assert found == [row for row in reversed(rows) if all(getattr(row, name) == value for name, value in asked.items())]


def test_ended_goals_go_and_live_ones_stay(place: Place, store: Store) -> None:
    place.kill(store)
    store = place.store(Retention(goals_age=10, goals=5))
    store.take_over("short")
    store.commit(Batch(1.0, goals=[goal(n, ended=0.0 if n == 2 else float(n)) for n in range(1, 21)]))
    pruned(store, 20.0)
    assert [row.number for row in store.goals(limit=100).rows] == [20, 19, 18, 17, 16, 2]
    pruned(store, 1e6)
    assert [row.number for row in store.goals(limit=100).rows] == [20, 2]


# -- retention


def pruned(store: Store, now: float) -> int:
    for turns in range(1000):
        if not store.prune(now):
            return turns
    raise AssertionError("pruning does not end")


def test_rows_over_their_age_go_and_the_newest_stays(place: Place, store: Store) -> None:
    place.kill(store)
    store = place.store(Retention(attempts_age=10, audit_age=10, logs_age=10, idempotency_age=10))
    store.take_over("short")
    for at in (1.0, 2.0, 50.0):
        store.commit(
            Batch(
                at,
                attempts=[attempt(int(at)), attempt(int(at), exit="user")],
                audit=[audit(int(at), at)],
                logs=[chunk(int(at), at=at)],
                idempotency=[(str(at), b"x")],
            )
        )
    pruned(store, 55.0)
    assert {one.attempt.number for one in store.attempts().rows} == {50}
    assert [line.row.at for line in store.audit()] == [50.0]
    assert [one.offset for one in store.log(key(1), 1, 1)] == [50]
    assert (store.answer_of("1.0"), store.answer_of("50.0")) == (None, b"x")
    pruned(store, 1000.0)
    assert [line.row.at for line in store.audit()] == [50.0]


def test_rows_over_their_number_go(place: Place, store: Store) -> None:
    place.kill(store)
    store = place.store(Retention(attempts=10, audit=3, logs=4, idempotency=2))
    store.take_over("small")
    for n in range(1, 31):
        store.commit(
            Batch(
                1.0,
                attempts=[attempt(n, exit="ok" if n % 2 else "user")],
                audit=[audit(n)],
                logs=[chunk(n)],
                idempotency=[(str(n), b"x")],
            )
        )
    pruned(store, 2.0)
    assert [one.attempt.number for one in store.attempts(limit=100).rows] == list(range(30, 20, -1))
    assert [line.id for line in store.audit()] == [30, 29, 28]
    assert [one.offset for one in store.log(key(1), 1, 1)] == [27, 28, 29, 30]
    assert [store.answer_of(str(n)) for n in (28, 29, 30)] == [None, b"x", b"x"]


def test_pruning_much_takes_many_bounded_turns(place: Place, store: Store) -> None:
    place.kill(store)
    store = place.store(Retention(audit=1))
    store.take_over("small")
    store.commit(Batch(1.0, audit=[audit(n) for n in range(3500)]))
    assert 3 <= pruned(store, 2.0) <= 5
    assert [line.id for line in store.audit()] == [3500]


# -- readers


def test_a_reader_sees_what_was_committed_before_its_question(store: Store) -> None:
    reader = store.reader()
    assert reader.tasks_at([1]) == []
    store.commit(Batch(1.0, tasks=[task(1)], audit=[audit(1)]))
    assert reader.tasks_at([1]) == [task(1)]
    assert reader.facts()["epoch"] == 1
    assert reader.facts()["owner"] == "first"
    reader.close()
    reader.close()
