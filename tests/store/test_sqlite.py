"""A store in a file: what is refused, what a full disk does, whose file it is, copies."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from levada._store import sqlite
from levada._store.opening import open_reader, open_store, restore
from levada._store.ports import Answer, Batch, TriggerRow
from levada._store.schema import MIGRATIONS, Migration, newest
from levada._store.sqlite import Connection, SqliteStore, connected
from levada.errors import ConfigError, StoreBroken, StoreBusy, StoreCorrupt, StoreError, StoreFull, StoreNewer, StoreReadOnly

from .places import InFile
from .values import attempt, key, task

as_root = pytest.mark.skipif(sys.platform != "linux" or os.getuid() != 0, reason="by design: only root may mount")

KNOWN = newest(MIGRATIONS)


def digest(path: str | Path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def filled(place: InFile, commits: int = 50) -> SqliteStore:
    store = SqliteStore(place.path, synchronous="normal")
    store.take_over("first")
    for seq in range(1, commits + 1):
        store.commit(Batch(1.0, seq=seq, changes=b"x" * 2000, tasks=[task(seq)], answers=[Answer(key(1), seq, b"%d" % seq)]))
    return store


# -- refused, and left as it is


def test_a_file_that_is_no_database_is_refused_and_left(file_place: InFile) -> None:
    Path(file_place.path).write_bytes(b"dear diary, " * 1000)
    before = digest(file_place.path)
    with pytest.raises(StoreCorrupt, match="not a database"):
        file_place.store().take_over("first")
    assert digest(file_place.path) == before


def test_someone_elses_database_is_refused_and_left(file_place: InFile) -> None:
    other = sqlite3.connect(file_place.path)
    other.execute("create table photos (id integer)")
    other.close()
    before = digest(file_place.path)
    with pytest.raises(StoreCorrupt, match="no store of Levada"):
        file_place.store().take_over("first")
    assert digest(file_place.path) == before


def test_a_damaged_file_is_refused_after_a_crash_and_left(file_place: InFile) -> None:
    store = filled(file_place, 200)
    store.close()
    store = SqliteStore(file_place.path)
    store.take_over("second")
    file_place.kill(store)
    with open(file_place.path, "r+b") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(size // 2 // 4096 * 4096)
        file.write(os.urandom(8 * 4096))
    before = digest(file_place.path)
    with pytest.raises(StoreCorrupt, match="is damaged") as refused:
        file_place.store().take_over("third")
    assert "backup" in (refused.value.hint or "")
    assert digest(file_place.path) == before


def test_a_newer_schema_is_refused_naming_both(file_place: InFile) -> None:
    filled(file_place).close()
    newer = SqliteStore(file_place.path, migrations=[*MIGRATIONS, Migration(7, 7, "create table later (id {int} primary key){strict};\n")])
    newer.take_over("newer")
    newer.close()
    before = digest(file_place.path)
    with pytest.raises(StoreNewer, match=f"schema 7, this Levada knows {KNOWN}"):
        file_place.store().take_over("older")
    assert digest(file_place.path) == before


def test_code_of_the_release_before_works_with_an_expanded_schema(file_place: InFile) -> None:
    """Expand, then contract one release later: the old server goes on between the two."""
    filled(file_place).close()
    wider = Migration(KNOWN + 1, 1, "alter table tasks add column owner {text} not null default '';\n")
    newer = SqliteStore(file_place.path, migrations=[*MIGRATIONS, wider])
    newer.take_over("newer")
    newer.close()
    older = file_place.store()
    older.take_over("older")
    older.commit(Batch(1.0, seq=51, changes=b"y", tasks=[task(51)]))
    assert [row.index for row in older.load().tasks] == list(range(1, 52))


@as_root
def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    filled(InFile(tmp_path)).close()
    with mounted(tmp_path / "disk", "size=8m") as folder:
        (folder / "levada.db").write_bytes((tmp_path / "levada.db").read_bytes())
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        with pytest.raises(StoreReadOnly, match="cannot be written"):
            SqliteStore(str(folder / "levada.db")).take_over("first")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file"):
        SqliteStore(str(tmp_path / "none" / "levada.db")).take_over("first")


def test_the_file_is_our_users_alone(file_place: InFile) -> None:
    store = filled(file_place, 1)
    for path in (file_place.path, file_place.path + "-wal", file_place.path + ".lock"):
        assert os.stat(path).st_mode & 0o077 == 0, path
    store.close()


# -- how it is set


def test_commits_are_flushed_unless_told_otherwise(file_place: InFile) -> None:
    """By default; ``normal`` is chosen; a checkpoint's pieces do not change it for the commits after them."""
    store = SqliteStore(file_place.path)
    store.take_over("first")

    def setting() -> Any:
        return store._link.rows("pragma synchronous")

    store.commit(Batch(1.0, seq=1, changes=b""))
    assert setting() == [(2,)]
    steps = store.checkpoint(1, [("a", b"x" * 3_000_000)])
    next(steps)
    store.commit(Batch(1.0, seq=2, changes=b""))
    assert setting() == [(2,)]
    assert store._link.rows("pragma journal_mode") == [("wal",)]
    store.close()


def test_a_reader_cannot_write(file_place: InFile) -> None:
    store = filled(file_place)
    reader = store.reader()
    with pytest.raises(StoreReadOnly):
        reader._link.run("delete from tasks")
    reader.close()
    assert len(store.task_page(limit=100).rows) == 50
    store.close()


def test_a_store_is_read_without_its_server(file_place: InFile) -> None:
    with pytest.raises(StoreError, match="there is no store"):
        open_reader(file_place.path)
    file_place.kill(filled(file_place))
    reader = open_reader(file_place.path)
    assert reader.tasks_at([50]) == [task(50)]
    reader.close()


def test_heartbeats_move_the_log_into_the_file(file_place: InFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "LOG", 100_000)
    store = filled(file_place, 1)
    for seq in range(2, 400):
        store.commit(Batch(1.0, seq=seq, changes=b"x" * 20_000))
        store.heartbeat()
    assert os.stat(file_place.path + "-wal").st_size < 1_500_000
    assert os.stat(file_place.path).st_size > 5_000_000
    store.close()


# -- whose it is


def test_a_forked_child_does_not_hold_the_store_on(file_place: InFile) -> None:
    store = filled(file_place, 1)
    gate, begun = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(gate[1])
        os.write(begun[1], b"x")
        os.read(gate[0], 1)
        os._exit(0)
    try:
        os.read(begun[0], 1)
        file_place.kill(store)
        assert file_place.store().take_over("next") == 2
    finally:
        os.close(gate[1])
        os.waitpid(child, 0)
        for end in (gate[0], *begun):
            os.close(end)


def test_a_file_that_was_replaced_under_the_server_is_noticed(file_place: InFile) -> None:
    store = filled(file_place, 1)
    store.heartbeat()
    os.rename(file_place.path, file_place.path + ".old")
    with pytest.raises(StoreBroken, match="moved, removed or replaced"):
        store.heartbeat()


def quick(path: str, readonly: bool) -> Connection:
    db = connected(path, readonly)
    db.execute("pragma busy_timeout = 50")
    return db


def test_a_program_that_has_the_file_locked_delays_a_commit_and_harms_nothing(tmp_path: Path) -> None:
    place = InFile(tmp_path, quick)
    store = place.store()
    store.take_over("first")
    shell = sqlite3.connect(place.path, isolation_level=None)
    shell.execute("begin immediate")
    with pytest.raises(StoreBusy, match="another program"):
        store.commit(Batch(1.0, seq=1, changes=b"a"))
    shell.execute("rollback")
    shell.close()
    store.commit(Batch(1.0, seq=1, changes=b"a"))
    assert store.load().seq == 1
    place.close()


# -- no room


class mounted:
    """A small file system in memory."""

    def __init__(self, folder: Path, options: str) -> None:
        self.folder, self.options = folder, options

    def __enter__(self) -> Path:
        self.folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", self.options, "tmpfs", self.folder], check=True)
        return self.folder

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "-l", self.folder], check=True)


def until_full(store: SqliteStore, seq: int) -> int:
    """Commit until there is no room; the last number that was acknowledged."""
    for number in range(seq + 1, seq + 100_000):
        try:
            store.commit(Batch(1.0, seq=number, changes=b"x" * 5000, tasks=[task(number, f"f{number}")], attempts=[attempt(number)]))
        except StoreFull:
            return number - 1
    raise AssertionError("the disk has no end")


@as_root
def test_a_full_disk_undoes_the_commit_and_the_store_goes_on_when_there_is_room(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=3m") as folder:
        (folder / "ballast").write_bytes(b"\0" * 1_000_000)
        place = InFile(folder)
        store = SqliteStore(place.path)
        store.take_over("first")
        last = until_full(store, 0)
        for _ in range(5):
            with pytest.raises(StoreFull, match="no room"):
                store.commit(Batch(1.0, seq=last + 1, changes=b"x" * 50_000, tasks=[task(last + 1)]))
        assert store.load().seq == last
        (folder / "ballast").unlink()
        last = until_full(store, last)
        found = [row.index for row in store.load().tasks]
        assert found == list(range(1, last + 1))
        place.kill(store)
        reader = open_reader(place.path)
        assert len(reader.attempts(limit=100_000).rows) == last
        reader.close()


@as_root
def test_a_server_that_died_on_a_full_disk_starts_once_there_is_room(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=3m") as folder:
        place = InFile(folder)
        store = SqliteStore(place.path)
        store.take_over("first")
        last = until_full(store, 0)
        while True:  # to the last byte
            try:
                with open(folder / "ballast", "ab", buffering=0) as file:
                    file.write(b"\0" * 4096)
            except OSError:
                break
        place.kill(store)
        store = SqliteStore(place.path)
        try:
            store.take_over("second")
            place.kill(store)
        except StoreFull:
            pass
        (folder / "ballast").unlink()
        subprocess.run(["mount", "-o", "remount,size=8m", folder], check=True)
        store = SqliteStore(place.path)
        store.take_over("third")
        loaded = store.load()
        assert (loaded.seq, [row.index for row in loaded.tasks]) == (last, list(range(1, last + 1)))
        store.close()


def no_more_pages(path: str, readonly: bool) -> Connection:
    db = connected(path, readonly)
    db.execute("pragma max_page_count = 150")
    return db


def test_a_file_at_its_limit_is_full(tmp_path: Path) -> None:
    place = InFile(tmp_path, no_more_pages)
    store = SqliteStore(place.path, connect=no_more_pages)
    store.take_over("first")
    last = until_full(store, 0)
    list(store.checkpoint(last, [("a", b"small")]))  # what it lets go is room
    assert until_full(store, last) > last
    store.close()


# -- a disk that fails


class Failing:
    """A connection that fails once at a statement, as SQLite says it."""

    def __init__(self, db: Connection, at: str, code: int) -> None:
        self._db, self._at, self._code = db, at, code

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        if sql == self._at:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = self._code
            raise error
        return self._db.execute(sql, parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (sqlite3.SQLITE_IOERR_FSYNC, StoreBroken),
        (sqlite3.SQLITE_IOERR_WRITE, StoreBroken),
        (sqlite3.SQLITE_FULL, StoreFull),
        (sqlite3.SQLITE_CORRUPT, StoreCorrupt),
        (sqlite3.SQLITE_READONLY, StoreReadOnly),
        (sqlite3.SQLITE_MISUSE, StoreError),
    ],
)
def test_what_the_disk_says_at_a_commit_becomes_an_error_of_ours(tmp_path: Path, code: int, error: type[StoreError]) -> None:
    place = InFile(tmp_path)
    filled(place, 1).close()
    store = SqliteStore(place.path)
    store.take_over("first")
    db = store._link._db  # type: ignore[attr-defined]
    store._link._db = Failing(db, "commit", code)  # type: ignore[attr-defined]
    with pytest.raises(error):
        store.commit(Batch(1.0, seq=2, changes=b"a", tasks=[task(2)]))
    store._link._db = db  # type: ignore[attr-defined]
    assert store.load().seq == 1
    assert [row.index for row in store.load().tasks] == [1]
    store.close()


# -- migrations

STEP = Migration(
    KNOWN + 1,
    KNOWN + 1,
    "create table later (id {int} primary key, text {text} not null){strict};\n"
    "insert into later select idx, params from tasks;\n"
    "alter table tasks add column owner {text} not null default 'nobody';\n"
    "update tasks set owner = 'somebody';\n"
    "drop index tasks_by_family;\n"
    "create index tasks_by_owner on tasks (owner, idx);\n",
)


class Mortal:
    """A connection whose process is killed before its n-th statement."""

    def __init__(self, db: Connection, statements: Iterator[int]) -> None:
        self._db, self._statements = db, statements

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        if next(self._statements, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return self._db.execute(sql, parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)


def in_child(work: Callable[[], object]) -> int:
    """The wait status of a child that does it: 0, or a signal."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1]


def form_of(path: str) -> tuple[int, int, int]:
    """(schema as noted, tables and columns that only the new form has, its rows)."""
    db = sqlite3.connect(path)
    try:
        (schema,) = db.execute("select value from meta where name = 'schema'").fetchone()
        new = [name for (name,) in db.execute("select name from sqlite_master") if name in ("later", "tasks_by_owner")]
        columns = [row[1] for row in db.execute("pragma table_info(tasks)")]
        rows = db.execute("select count(*) from later").fetchone()[0] if "later" in new else 0
        return int(schema), len(new) + ("owner" in columns), rows
    finally:
        db.close()


@pytest.mark.slow
def test_a_crash_at_any_statement_of_a_migration_leaves_the_old_form_or_the_new(tmp_path: Path) -> None:
    original = InFile(tmp_path)
    filled(original, 20).close()
    image = Path(original.path).read_bytes()
    seen = set()
    for statements in range(60):
        folder = tmp_path / str(statements)
        folder.mkdir()
        path = str(folder / "levada.db")
        Path(path).write_bytes(image)
        left = iter(range(statements))
        mortal = SqliteStore(
            path, connect=lambda path, readonly, left=left: Mortal(connected(path, readonly), left), migrations=[*MIGRATIONS, STEP]
        )  # type: ignore[misc]
        ended = in_child(lambda store=mortal: store.take_over("mortal"))  # type: ignore[misc]
        form = form_of(path)
        assert form in {(KNOWN, 0, 0), (KNOWN + 1, 3, 20)}, statements
        seen.add(form)
        healer = SqliteStore(path, migrations=[*MIGRATIONS, STEP])
        healer.take_over("healer")
        assert healer.load().seq == 20
        healer.close()
        assert form_of(path) == (KNOWN + 1, 3, 20)
        if ended == 0:
            break
        assert ended == signal.SIGKILL
    else:
        pytest.fail("the migration never ends")
    assert len(seen) == 2


def test_a_migration_is_preceded_by_a_backup_that_opens_with_the_old_code(file_place: InFile) -> None:
    filled(file_place, 20).close()
    newer = SqliteStore(file_place.path, migrations=[*MIGRATIONS, STEP])
    newer.take_over("newer")
    newer.close()
    older = SqliteStore(f"{file_place.path}.schema-{KNOWN}.bak")
    older.take_over("older")
    assert [row.index for row in older.load().tasks] == list(range(1, 21))
    older.close()


def test_a_store_of_the_first_release_opens_and_keeps_triggers_from_then_on(file_place: InFile) -> None:
    old = SqliteStore(file_place.path, migrations=MIGRATIONS[:1])
    old.take_over("old")
    old.commit(Batch(1.0, seq=1, changes=b"x", tasks=[task(1)]))
    old.close()
    store = file_place.store()
    store.take_over("new")
    store.commit(Batch(2.0, triggers=[TriggerRow("nightly", "{}", "{}")]))
    assert (store.load().seq, store.triggers(), store.last_goal()) == (1, [TriggerRow("nightly", "{}", "{}")], 0)


# -- backup and restore


def test_a_backup_is_of_one_moment_while_commits_go_on(file_place: InFile, tmp_path: Path) -> None:
    store = filled(file_place, 300)
    done = threading.Event()
    threads = [threading.Thread(target=lambda n=n: store.backup(str(tmp_path / f"copy{n}"))) for n in range(3)]  # type: ignore[misc]

    def all_of_them() -> None:
        for thread in threads:
            thread.start()
            thread.join()
        done.set()

    other = threading.Thread(target=all_of_them)
    other.start()
    seq = 300
    while not done.is_set():
        seq += 1
        store.commit(Batch(1.0, seq=seq, changes=b"x" * 2000, tasks=[task(seq)], answers=[Answer(key(1), seq, b"%d" % seq)]))
    other.join()
    store.close()
    for n in range(3):
        restore(str(tmp_path / f"copy{n}"), str(tmp_path / f"restored{n}"))
        copy = SqliteStore(str(tmp_path / f"restored{n}"))
        assert copy.take_over("restored") > 1_000_000
        loaded = copy.load()
        assert loaded.seq >= 300
        assert [row.index for row in loaded.tasks] == list(range(1, loaded.seq + 1))
        assert loaded.sessions[0].number == loaded.seq
        copy.close()


def test_a_backup_replaces_no_file_and_leaves_no_half(file_place: InFile, tmp_path: Path) -> None:
    store = filled(file_place)
    taken = tmp_path / "taken"
    taken.write_text("mine")
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(StoreError, match="a file of that name"):
        store.backup(str(taken))
    with pytest.raises(StoreError, match="cannot be written"):
        store.backup(str(tmp_path / "none" / "copy"))
    assert taken.read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == before
    store.close()


@as_root
def test_a_backup_onto_a_full_disk_leaves_nothing(file_place: InFile, tmp_path: Path) -> None:
    store = filled(file_place, 500)
    with mounted(tmp_path / "disk", "size=200k") as folder:
        with pytest.raises(StoreError, match="cannot be written"):
            store.backup(str(folder / "copy"))
        assert os.listdir(folder) == []
    store.commit(Batch(1.0, seq=501, changes=b"a"))
    store.close()


def test_a_restore_replaces_no_store_and_takes_no_damaged_backup(file_place: InFile, tmp_path: Path) -> None:
    store = filled(file_place)
    copy = str(tmp_path / "copy")
    store.backup(copy)
    with pytest.raises(StoreError, match="there already"):
        restore(copy, file_place.path)
    store.close()
    with open(copy, "r+b") as file:
        file.seek(3 * 4096)
        file.write(os.urandom(3 * 4096))
    with pytest.raises(StoreCorrupt):
        restore(copy, str(tmp_path / "new"))
    assert not os.path.exists(tmp_path / "new")


# -- names


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("a.db", "a.db"),
        ("sqlite:a.db", "a.db"),
        ("sqlite:///a.db", "a.db"),
        ("sqlite:////tmp/a.db", "/tmp/a.db"),
        ("/tmp/ä ?#%.db", "/tmp/ä ?#%.db"),
    ],
)
def test_a_store_is_named_by_path_or_url(url: str, path: str) -> None:
    store = open_store(url)
    assert isinstance(store, SqliteStore)
    assert store._path == os.path.abspath(path)


@pytest.mark.parametrize("url", ["", "sqlite:", "mysql://root:geheim@host/db", "http://host"])
def test_a_name_that_means_no_store_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError, match="names no store") as refused:
        open_store(url)
    assert "geheim" not in str(refused.value)


def test_a_path_may_have_every_character(tmp_path: Path) -> None:
    folder = tmp_path / "a?b#c%20d'e\n"
    folder.mkdir()
    store = open_store(str(folder / "ä ?mode=memory&.db"))
    store.take_over("first")
    store.commit(Batch(1.0, tasks=[task(1)]))
    reader = store.reader()
    assert reader.tasks_at([1]) == [task(1)]
    reader.close()
    store.close()
