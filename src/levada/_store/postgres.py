"""A store in a PostgreSQL database, for those who run one: the way to a warm standby on another host.

Laws: who may write is the epoch in the row ``holder``, which each commit locks and compares; a server that was
paused, cut off or deposed can commit nothing from the moment another has raised it. Each epoch has an advisory
lock that its server's session holds, so that a death is seen at once; a server that hangs is seen by its
silence, judged by the database's clock alone. All tables live in a schema of their own (``?schema=NAME``,
``levada`` by default). A connection that was lost is not mended: the process ends, and its restart finds
every commit that had returned. Connect to the database itself, or through a pool that keeps sessions.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import lru_cache
from hashlib import blake2b
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

try:
    import psycopg
    from psycopg import errors
    from psycopg.conninfo import conninfo_to_dict
except ImportError as cause:
    from ..errors import ConfigError

    raise ConfigError("a store in PostgreSQL needs psycopg, which is not installed", hint='pip install "levada[postgres]"') from cause

from ..errors import ConfigError, Deposed, StoreBroken, StoreBusy, StoreCorrupt, StoreError, StoreFull, StoreReadOnly
from .copying import copy_rows, new_file, raise_epoch
from .link import Link, Row, Values, check_schema, migrate
from .ports import KEPT, STALE, Batch, Retention
from .reading import SqlReading
from .schema import APPLICATION, MIGRATIONS, POSTGRES_TYPES, Migration
from .sqlite import SqliteLink, connected
from .writing import SqlWriting

LOOK = 0.25
"""Seconds between two looks at a holder."""
BEAT = 1.0
"""Seconds between heartbeats while a load keeps the host from sending them."""
NOW = "extract(epoch from clock_timestamp())"
SETTINGS = "set search_path to {schema}; set synchronous_commit to {synchronous}; set idle_in_transaction_session_timeout to '5s'"
PUT_TASKS = (
    "insert into tasks (idx, key, family, params, module) select * from unnest(%b::bigint[], %b::bytea[], %b::bigint[], %b::text[], "
    "%b::bigint[]) on conflict (idx) do update set key = excluded.key, family = excluded.family, params = excluded.params, "
    "module = excluded.module"
)

ENDING = 1.0  # seconds for which a holder that has just left may still seem to be there: its session ends a little later


class Place:
    """Where a store is: what libpq is told, the schema, and a name for people without the password."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query))
        self.schema = query.pop("schema", "levada")
        if not re.fullmatch("[a-z_][a-z0-9_]{0,62}", self.schema):
            raise ConfigError(f"{self.schema!r} cannot be the name of a schema", hint="Use lower-case letters, digits and underscores.")
        self.conninfo = urlunsplit(parts._replace(query=urlencode(query)))
        try:
            told = conninfo_to_dict(self.conninfo)
        except psycopg.Error as cause:
            raise ConfigError(f"the URL of the store cannot be read: {cause}", hint="postgresql://USER@HOST:PORT/DATABASE") from None
        where = f"{told.get('host') or 'localhost'}{':' + str(told['port']) if told.get('port') else ''}"
        self.text = f"postgresql://{where}/{told.get('dbname') or told.get('user') or ''} (schema {self.schema})"
        self.lock = int.from_bytes(blake2b(self.schema.encode(), digest_size=4, person=b"levada").digest(), "big", signed=True)

    def connect(self, *, synchronous: str = "on", readonly: bool = False) -> psycopg.Connection[Row]:
        """A connection that commits each statement by itself, and finds our tables only. Raises StoreErrors."""
        with _translating(self.text):
            db = psycopg.connect(self.conninfo, autocommit=True, connect_timeout=5, application_name="levada", tcp_user_timeout=10_000)
            db.execute(SETTINGS.format(schema=self.schema, synchronous=synchronous).encode())
            if readonly:
                db.execute("set default_transaction_read_only to on; set statement_timeout to '60s'")
            return db


@lru_cache(256)
def _spelled(statement: str) -> bytes:
    return statement.replace("?", "%s").encode()


class PostgresLink:
    """``Link`` over a connection."""

    types = POSTGRES_TYPES
    contains = "strpos(t.params, ?) > 0"
    alive = f"update holder set beat = {NOW} returning epoch"  # noqa: S608 - ours

    def __init__(self, place: Place, db: psycopg.Connection[Row]) -> None:
        self.place = place.text
        self.db = db

    def rows(self, query: str, values: Values = ()) -> list[Row]:
        try:
            return self.db.execute(_spelled(query), values or None).fetchall()
        except psycopg.Error as cause:
            raise translated(self.place, cause) from cause

    def stream(self, query: str, values: Values = ()) -> Iterator[Row]:
        """Through a cursor of the server's; within a transaction."""
        with _translating(self.place), self.db.cursor(name="stream") as cursor:
            cursor.itersize = 1000
            yield from cursor.execute(_spelled(query), values or None)

    def run(self, statement: str, values: Values = ()) -> int:
        try:
            return self.db.execute(_spelled(statement), values or None).rowcount
        except psycopg.Error as cause:
            raise translated(self.place, cause) from cause

    def many(self, statement: str, rows: Iterable[Values]) -> None:
        with _translating(self.place), self.db.cursor() as cursor:
            cursor.executemany(_spelled(statement), rows)

    def has_table(self, name: str) -> bool:
        return bool(self.rows("select 1 where to_regclass(?) is not null", (name,)))

    @contextmanager
    def transaction(self, *, durable: bool = True, flush: bool = False) -> Iterator[None]:
        level = "on" if flush else None if durable else "off"
        self.run("begin" if level is None else f"begin; set local synchronous_commit to {level}")
        try:
            yield
            self.run("commit")
        except BaseException:
            if not self.db.closed and self.db.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                self.run("rollback")
            raise

    def close(self) -> None:
        self.db.close()


class PostgresReader(SqlReading):
    """``Reading`` over a connection of its own that cannot write."""

    kind = "postgresql"

    def __init__(self, url: str | Place) -> None:
        place = url if isinstance(url, Place) else Place(url)
        link = PostgresLink(place, place.connect(readonly=True))
        super().__init__(link)
        if not link.has_table("meta"):
            link.close()
            raise StoreError(f"there is no store at {place.text}", hint="A server makes it at its first start.")

    def facts(self) -> dict[str, str | int]:
        return super().facts() | _facts(self._link)


class PostgresStore(SqlWriting):
    """``Store`` in a database. synchronous: ``"normal"`` may lose the last commits when the database's host dies."""

    kind = "postgresql"

    def __init__(
        self,
        url: str,
        *,
        synchronous: str = "full",
        retention: Retention = KEPT,
        migrations: Sequence[Migration] = MIGRATIONS,
    ) -> None:
        super().__init__(retention)
        self._place = Place(url)
        self._synchronous = "on" if synchronous == "full" else "off"
        self._migrations = migrations
        self._silent_at: tuple[int, float] | None = None  # epoch and last word of a holder that was silent when we looked last
        self._beaten = 0.0  # monotonic clock, at the last sign of life

    # -- whose it is

    def take_over(self, owner: str, *, wait: float | None = 0.0, stale: float = STALE, stopped: Callable[[], bool] | None = None) -> int:
        if self._opened is not None:
            raise RuntimeError("the store was taken over before")
        end = None if wait is None else time.monotonic() + max(wait, min(ENDING, stale / 3))
        link = self._connected()
        try:
            while (holder := self._try(link, owner, stale, patient=wait is None)) is not None:
                if (stopped and stopped()) or (end is not None and time.monotonic() >= end):
                    raise StoreBusy(self._place.text, holder)
                time.sleep(LOOK)
                if link.db.closed:
                    link = self._again(link)
            self._remember(link)
        except BaseException:
            link.close()
            raise
        return self._epoch

    def _connected(self) -> PostgresLink:
        return PostgresLink(self._place, self._place.connect(synchronous=self._synchronous))

    def _again(self, link: PostgresLink) -> PostgresLink:
        """A new connection in the place of one that is gone, or that very one while the database is away."""
        try:
            return self._connected()
        except StoreBroken:
            return link

    def _try(self, link: PostgresLink, owner: str, stale: float, *, patient: bool) -> str | None:
        """Become the holder, or say who is. patient: a database that is away, as while it starts anew, is asked again later."""
        try:
            return self._try_now(link, owner, stale)
        except StoreBroken as away:
            if patient and link.db.closed:
                return str(away)
            raise

    def _try_now(self, link: PostgresLink, owner: str, stale: float) -> str | None:
        if not _take(link, self._place.lock, 0):  # one at a time tries
            return "a server that is about to take over"
        try:
            if self._exists(link) and check_schema(link, self._migrations):
                if (holder := self._held_by(link, stale)) is not None:
                    return holder
                self._raise(link, owner)  # first of all: from here on the old one cannot commit
                migrate(link, self._migrations, before=lambda _schema: None)
            else:
                migrate(link, self._migrations, before=lambda _schema: None)
                self._raise(link, owner)
        except StoreBusy as busy:
            return busy.holder
        finally:
            if not link.db.closed:
                link.rows("select pg_advisory_unlock(?, ?)", (self._place.lock, 0))
        return None

    def _exists(self, link: PostgresLink) -> bool:
        if not link.rows("select 1 from pg_namespace where nspname = ?", (self._place.schema,)):
            link.run(f"create schema {self._place.schema}")
        return link.has_table("meta")

    def _held_by(self, link: PostgresLink, stale: float) -> str | None:
        """The living holder; None where it left, died, or was silent for too long (then its session is ended).

        Too long is seen twice: after the database itself had stopped, a healthy holder looks silent until its next word arrives.
        """
        ((epoch, owner, beat, silent, backend),) = link.rows(f"select epoch, owner, beat, {NOW} - beat, backend from holder")  # noqa: S608 - ours
        if _take(link, self._place.lock, epoch):
            link.rows("select pg_advisory_unlock(?, ?)", (self._place.lock, _key(epoch)))
            return None
        if silent <= stale or self._silent_at != (epoch, beat):
            self._silent_at = (epoch, beat) if silent > stale else None
            return str(owner)
        link.rows("select pg_terminate_backend(pid) from pg_stat_activity where pid = ? and application_name = 'levada'", (backend,))
        return None

    def _raise(self, link: PostgresLink, owner: str) -> None:
        """The next epoch, and its lock. Raises StoreBusy when the old holder is in the middle of a commit and cannot be ended."""
        with link.transaction(flush=True):  # two lives of one epoch would give the same fences
            link.run("set local lock_timeout to '2s'")
            ((epoch,),) = link.rows(
                f"update holder set epoch = epoch + 1, owner = ?, clean = 0, beat = {NOW}, backend = pg_backend_pid() returning epoch",  # noqa: S608
                (owner,),
            )
            _take(link, self._place.lock, epoch)
        self._epoch = epoch

    @contextmanager
    def _committing(self, *, durable: bool = True, flush: bool = False) -> Iterator[Link]:
        try:
            with super()._committing(durable=durable, flush=flush) as link:
                yield link
        except StoreBroken:
            if newest := self._newest_epoch():
                raise Deposed(self._place.text, epoch=self._epoch, newest=newest) from None
            raise
        self._beaten = time.monotonic()

    def _newest_epoch(self) -> int | None:
        """The epoch of another server that took over, as a new connection sees it; None when none did, or there is no answer."""
        try:
            with closing(PostgresLink(self._place, self._place.connect(readonly=True))) as link:
                ((epoch,),) = link.rows("select epoch from holder")
        except StoreError:
            return None
        return int(epoch) if epoch != self._epoch else None

    def heartbeat(self) -> None:
        with self._committing(durable=False):
            pass

    def _loading(self) -> None:
        if time.monotonic() - self._beaten > BEAT:
            self.heartbeat()

    # -- the rest of a store

    def _write_tasks(self, link: Link, batch: Batch, fresh: Sequence[str]) -> None:
        """All rows of a batch as one statement with five arrays: a tenth of what a statement for each costs."""
        super()._write_tasks(link, batch._replace(tasks=()), fresh)
        if batch.tasks:
            names = self._names
            rows = {row[0]: row for row in batch.tasks}.values()
            indexes, keys, families, params, modules = zip(*rows, strict=True)
            values = (list(indexes), list(keys), [names[one] for one in families], list(params), [names[one] for one in modules])
            link.run(PUT_TASKS, values)

    def reader(self) -> PostgresReader:
        return PostgresReader(self._place)

    def backup(self, path: str) -> None:
        with (
            new_file(path) as part,
            closing(PostgresLink(self._place, self._place.connect(readonly=True))) as source,
            closing(SqliteLink(part, connected, readonly=False)) as target,
        ):
            migrate(target, MIGRATIONS, before=lambda _schema: None, first=(f"pragma application_id = {APPLICATION}",))
            source.run("begin isolation level repeatable read read only")
            with target.transaction():
                copy_rows(source, target)

    def facts(self) -> dict[str, str | int]:
        return super().facts() | _facts(self._link)

    def close(self) -> None:
        try:
            if self._opened is not None:
                with self._committing() as link:
                    link.run("update holder set clean = 1")
        except StoreError:
            pass  # the lock goes with the connection
        finally:
            super().close()


def restored(source: Link, url: str) -> None:
    """A store of the rows of another one, in a schema that has none yet. Raises StoreError where there is one."""
    place = Place(url)
    with closing(PostgresLink(place, place.connect())) as link, link.transaction():
        if link.has_table("meta"):
            raise StoreError(f"there is a store at {place.text} already", hint="Name another schema: ...?schema=NAME")
        link.run(f"create schema if not exists {place.schema}")
        for step in MIGRATIONS:
            for statement in step.statements_for(link.types):
                link.run(statement)
        copy_rows(source, link)
        raise_epoch(link)


def _facts(link: Link) -> dict[str, str | int]:
    ((version, size),) = link.rows("select current_setting('server_version'), pg_database_size(current_database())")
    return {"engine": f"PostgreSQL {version}", "bytes": size}


def _key(epoch: int) -> int:
    """An epoch as the second half of an advisory lock's name, a signed 32-bit number."""
    return int(epoch) % (1 << 31)


def _take(link: Link, lock: int, epoch: int) -> bool:
    return bool(link.rows("select pg_try_advisory_lock(?, ?)", (lock, _key(epoch)))[0][0])


# -- what the database says, in our words


@contextmanager
def _translating(place: str) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as cause:
        raise translated(place, cause) from cause


KNOWN: tuple[tuple[tuple[type[psycopg.Error], ...], type[StoreError], str], ...] = (
    ((errors.DiskFull,), StoreFull, "Make room on the database's disk; the server goes on by itself."),
    (
        (errors.InsufficientPrivilege, errors.ReadOnlySqlTransaction),
        StoreReadOnly,
        "Give this role the right to make and use the schema, on the database's primary.",
    ),
    ((errors.DataCorrupted, errors.IndexCorrupted), StoreCorrupt, "Look at the database's log; restore a backup into a new schema."),
)


def translated(place: str, cause: psycopg.Error) -> StoreError:
    """A StoreError for what psycopg or the database said."""
    text = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
    if isinstance(cause, errors.LockNotAvailable):
        return StoreBusy(place, "a server in the middle of a commit")
    for classes, error, hint in KNOWN:
        if isinstance(cause, classes):
            return error(f"{place}: {text}", hint=hint)
    state = cause.sqlstate or ""
    if isinstance(cause, (psycopg.OperationalError, psycopg.InterfaceError)) or state[:2] in ("08", "57", "58", "XX", "53"):
        return StoreBroken(f"{place} cannot be reached or fails: {text}", hint="Look at the database and its log; then start again.")
    return StoreError(f"{place} refused a statement: {text}", hint="This is a fault of Levada or of values that it let through.")
