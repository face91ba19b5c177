"""A store in PostgreSQL: deaths, pauses and silence of servers, as a standby sees them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from levada._store.opening import open_reader, open_store, restore
from levada._store.ports import Answer, Batch, Store
from levada._store.schema import MIGRATIONS, Migration, newest
from levada.errors import ConfigError, Deposed, StoreBroken, StoreBusy, StoreError, StoreNewer, StoreReadOnly

from .conftest import Database, _programs
from .places import InDatabase
from .values import attempt, audit, chunk, key, session, task, token

pytest.importorskip("psycopg", reason="psycopg is not installed")

from levada._store.postgres import PostgresStore
from levada._store.sqlite import SqliteStore

ROOT = Path(__file__).parents[2]

KNOWN = newest(MIGRATIONS)


def begun(place: InDatabase, owner: str = "first") -> PostgresStore:
    store = place.store()
    assert isinstance(store, PostgresStore)
    store.take_over(owner)
    return store


def test_a_silent_server_is_deposed_and_told_so(database_place: InDatabase) -> None:
    """Its process and its connection live, but nothing has been heard of it."""
    first = begun(database_place)
    first.commit(Batch(1.0, seq=1, changes=b"a"))
    time.sleep(0.3)
    second = database_place.store()
    assert second.take_over("second", stale=0.2, wait=2.0) == 2
    with pytest.raises(Deposed, match="epoch 1 is void, a server with epoch 2"):
        first.commit(Batch(1.0, seq=2, changes=b"late"))
    second.commit(Batch(1.0, seq=2, changes=b"b"))
    assert list(second.load().journal) == [(1, b"a"), (2, b"b")]


def test_a_server_that_is_heard_of_is_not_deposed(database_place: InDatabase) -> None:
    first = begun(database_place)
    second = database_place.store()
    for _ in range(6):
        time.sleep(0.1)
        first.heartbeat()
        with pytest.raises(StoreBusy, match="first"):
            second.take_over("second", stale=0.4)
    first.commit(Batch(1.0, seq=1, changes=b"a"))


def test_a_server_that_was_silent_with_its_database_is_not_deposed(database_place: InDatabase) -> None:
    """After the database itself had stopped, both are heard again at the same moment: the holder is looked at twice."""
    first = begun(database_place)
    time.sleep(0.5)
    beats = [threading.Timer(0.05 * number, first.heartbeat) for number in range(1, 16)]
    for beat in beats:
        beat.start()
    with pytest.raises(StoreBusy, match="first"):
        database_place.store().take_over("second", stale=0.3, wait=0.6)
    for beat in beats:
        beat.join()
    first.commit(Batch(1.0, seq=1, changes=b"a"))


def test_a_server_stopped_in_the_middle_of_a_commit_cannot_end_it_after_a_takeover(database_place: InDatabase) -> None:
    """It holds the row of the holder; the standby ends its session and goes first."""
    first = begun(database_place)
    with pytest.raises(StoreError), first._committing() as link:
        link.run("insert into journal (seq, changes) values (1, 'late')")
        time.sleep(0.3)
        second = database_place.store()
        started = time.monotonic()
        assert second.take_over("second", stale=0.2, wait=5.0) == 2
        assert time.monotonic() - started < 3.0
    assert list(second.load().journal) == []


def test_two_standbys_never_both_take_over(database_place: InDatabase) -> None:
    first = begun(database_place)
    second, third = database_place.store(), database_place.store()
    database_place.kill(first)
    assert second.take_over("second") == 2
    with pytest.raises(StoreBusy, match="second"):
        third.take_over("third")
    database_place.kill(second)
    assert third.take_over("third") == 3


def test_a_lost_connection_is_told_and_a_restart_finds_all(database_place: InDatabase) -> None:
    first = begun(database_place)
    first.commit(Batch(1.0, seq=1, changes=b"a"))
    other = begun(InDatabase(database_place.url))  # another schema of the same database is another store
    pid = first._link.db.info.backend_pid  # type: ignore[attr-defined]
    other._link.run("select pg_terminate_backend(?)", (pid,))
    with pytest.raises(StoreBroken, match="cannot be reached"):
        first.commit(Batch(1.0, seq=2, changes=b"b"))
    second = begun(database_place, "second")
    assert list(second.load().journal) == [(1, b"a")]
    other.close()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "paused"])
def test_a_standby_takes_over_within_seconds_of_a_death_or_a_pause(database_place: InDatabase, how: signal.Signals) -> None:
    """And what the first server had acknowledged is all there; waking up, it commits nothing."""
    words = [sys.executable, str(Path(__file__).with_name("committer.py")), database_place.url]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT / "src")}) as child:
        assert child.stdout is not None
        while not child.stdout.readline().startswith("20"):
            pass
        child.send_signal(how)
        started = time.monotonic()
        standby = database_place.store()
        assert standby.take_over("standby", wait=10.0, stale=1.0) == 2
        assert time.monotonic() - started < 5.0
        seq = standby.load().seq
        child.send_signal(signal.SIGCONT)
        with contextlib.suppress(BrokenPipeError):
            lines = child.stdout.read().splitlines()
        child.wait(10)
    assert child.returncode != 0
    assert all(int(line) <= seq for line in lines if line), "a deposed server acknowledged a commit"
    assert standby.load().seq == seq


@pytest.mark.slow
def test_a_standby_outlives_a_restart_of_the_database() -> None:
    programs = _programs()
    if programs is None:
        pytest.skip("there is no PostgreSQL (Debian: apt-get install postgresql)")
    server = Database(programs)
    server.start()
    try:
        first, standby, epochs = PostgresStore(server.url), PostgresStore(server.url), list[int]()
        assert first.take_over("first") == 1
        ending = threading.Event()
        waiting = threading.Thread(target=lambda: epochs.append(standby.take_over("standby", wait=None, stopped=ending.is_set)))
        waiting.start()
        time.sleep(1.0)
        server.restart()
        waiting.join(20)
        ending.set()
        assert epochs == [2]
        with pytest.raises((StoreBroken, Deposed)):
            first.heartbeat()
        assert standby.load().seq == 0
        standby.close()
    finally:
        server.stop()


def test_a_newer_schema_is_refused_naming_both(database_place: InDatabase) -> None:
    begun(database_place).close()
    newer = PostgresStore(
        database_place.url, migrations=[*MIGRATIONS, Migration(7, 7, "create table later (id {int} primary key){strict};\n")]
    )
    newer.take_over("newer")
    newer.close()
    with pytest.raises(StoreNewer, match=f"schema 7, this Levada knows {KNOWN}"):
        database_place.store().take_over("older")


def test_a_migration_that_fails_half_way_leaves_the_old_form(database_place: InDatabase) -> None:
    first = begun(database_place)
    first.commit(Batch(1.0, seq=1, changes=b"a"))
    first.close()
    wrong = Migration(KNOWN + 1, 1, "create table later (id {int} primary key){strict};\nselect 1 / 0;\n")
    with pytest.raises(StoreError, match="division by zero"):
        PostgresStore(database_place.url, migrations=[*MIGRATIONS, wrong]).take_over("newer")
    older = begun(database_place, "older")
    assert list(older.load().journal) == [(1, b"a")]
    assert not older._link.has_table("later")


def test_a_reader_cannot_write(database_place: InDatabase) -> None:
    store = begun(database_place)
    reader = store.reader()
    with pytest.raises(StoreReadOnly):
        reader._link.run("delete from tasks")
    reader.close()


def test_a_database_that_is_not_there_is_told_without_the_password(tmp_path: Path) -> None:
    store = open_store(f"postgresql://levada:geheim@/nowhere?host={tmp_path}&port=1")
    with pytest.raises(StoreBroken, match="cannot be reached") as refused:
        store.take_over("first")
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize("schema", ["a b", "A", "x;drop table y", "ä", "a" * 64])
def test_a_schema_with_a_doubtful_name_is_refused(schema: str) -> None:
    with pytest.raises(ConfigError, match="cannot be the name of a schema"):
        open_store(f"postgresql://levada@host/db?schema={schema}")


def test_there_is_no_reader_where_there_is_no_store(database_place: InDatabase) -> None:
    with pytest.raises(StoreError, match="there is no store"):
        open_reader(database_place.url)


# -- copies between the kinds


def told(store: Store) -> tuple[object, ...]:
    loaded = store.load()
    return (
        loaded.seq, loaded.snapshot, loaded.parts, loaded.sessions, list(loaded.journal), list(loaded.tasks),
        store.attempts(limit=100), store.audit(), store.log(key(1), 1, 1), store.answer_of("k"), store.tokens(),
    )  # fmt: skip


def test_a_backup_of_a_database_opens_as_a_file_and_the_other_way_round(database_place: InDatabase, tmp_path: Path) -> None:
    store = begun(database_place)
    for seq in range(1, 30):
        store.commit(
            Batch(
                1.0, seq=seq, changes=b"\x00%d" % seq, tasks=[task(seq), task(seq + 1000, "other", None)], sessions=[session(seq)],
                answers=[Answer(key(1), seq, b"x")], attempts=[attempt(seq), attempt(seq, exit="user", error="ü")], logs=[chunk(seq)],
                audit=[audit(seq)], idempotency=[("k", b"first")],
            )
        )  # fmt: skip
    store.put_token(token("t"))
    list(store.checkpoint(20, [("a", b"\x00" * 3_000_000), ("b", b"")]))
    before = told(store)
    store.backup(str(tmp_path / "copy"))
    with pytest.raises(StoreError, match="a file of that name"):
        store.backup(str(tmp_path / "copy"))
    with pytest.raises(StoreError, match="already"):
        restore(str(tmp_path / "copy"), database_place.url)
    assert told(store) == before

    restore(str(tmp_path / "copy"), str(tmp_path / "file"))
    file = SqliteStore(str(tmp_path / "file"))
    assert file.take_over("file") == 1_000_002
    assert told(file) == before
    file.close()

    elsewhere = InDatabase(database_place.url)
    restore(str(tmp_path / "copy"), elsewhere.url)
    copy = begun(elsewhere)
    assert told(copy) == before
    copy.commit(Batch(1.0, seq=30, changes=b"on", attempts=[attempt(99)], audit=[audit(99)]))
    assert copy.audit(limit=1)[0].id == 30
    elsewhere.close()
