"""From a URL to an engine of SQLAlchemy: one a process, with a pool of connections; what databases raise, in our words.

A forked child never touches connections of its parent, and frees none of them. Foreign errors are translated here
and nowhere else; of a URL nothing is shown that could be its password.
"""

from __future__ import annotations

import os
import re
from threading import Lock
from typing import TYPE_CHECKING

from levada._model import forks
from levada.errors import TargetError, TargetUnreachable, TargetWriteError

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

PATIENCE = 10  # seconds that a server may take to let us in
LOCKED = 60  # seconds that SQLite waits for another writer
_DRIVERS = {"postgresql": "psycopg", "postgres": "psycopg", "mysql": "pymysql", "mariadb": "pymysql"}
"""What speaks to a database whose URL names no driver."""
_PACKAGES = {  # dialect -> what has to be installed
    "postgresql": "levada[sql,postgres]",
    "mysql": "levada[mysql]",
    "mariadb": "levada[mysql]",
    "duckdb": "levada[duckdb]",
    "redshift": "sqlalchemy-redshift",
    "snowflake": "snowflake-sqlalchemy",
    "bigquery": "sqlalchemy-bigquery",
    "trino": "trino[sqlalchemy]",
    "presto": "pyhive[presto]",
    "hive": "pyhive[hive]",
    "databricks": "databricks-sqlalchemy",
    "clickhouse": "clickhouse-sqlalchemy",
}
_WITHOUT_THREADS = frozenset({"sqlite", "postgresql", "mysql", "mariadb"})
"""Dialects whose drivers live through a fork; others may have threads, which do not."""
_KEEPING = frozenset({*_WITHOUT_THREADS, "duckdb", "mssql", "oracle", "redshift", "snowflake", "cockroachdb"})
"""Dialects that undo a transaction as a whole."""

_engines: dict[str, Engine] = {}
_inherited: list[dict[str, Engine]] = []
"""Engines of the process that this one was forked from: kept, since some drivers say goodbye on a connection when it is freed."""
_making = Lock()


def _forked() -> None:
    global _engines, _making
    _inherited.append(_engines)
    _engines, _making = {}, Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def engine_for(url: str) -> Engine:
    """The engine of this process for a URL; nothing is connected yet.

    Raises TargetError: SQLAlchemy or the driver is not installed, or the URL is none.
    """
    found = _engines.get(url)
    if found is None:
        with _making:
            found = _engines.get(url) or _make(url)
            _engines[url] = found
    return found


def shown(url: str) -> str:
    """The URL as people may see it: without its password; where it cannot be read, no more than its beginning."""
    try:
        from sqlalchemy.engine import make_url  # where old versions have it, too

        return make_url(url).render_as_string(hide_password=True)
    except Exception:
        return f"{url.partition(':')[0]}:..." if ":" in url else "(a URL that cannot be read)"


def _parsed(url: str) -> URL:
    from sqlalchemy import make_url

    parsed = make_url(url)
    driver = _DRIVERS.get(parsed.drivername)
    if driver is None:
        return parsed
    dialect = "postgresql" if parsed.drivername == "postgres" else parsed.drivername
    return parsed.set(drivername=f"{dialect}+{driver}")


def _make(url: str) -> Engine:
    try:
        import sqlalchemy
        from sqlalchemy.exc import ArgumentError, NoSuchModuleError
        from sqlalchemy.pool import NullPool
    except ImportError as cause:
        raise TargetError("a table was asked for, and SQLAlchemy is not installed", hint='pip install "levada[sql]"') from cause
    try:
        parsed = _parsed(url)
        dialect = parsed.get_backend_name()
        arguments = _arguments(parsed)
        if dialect == "duckdb":  # its file belongs to the process that has it open
            made = sqlalchemy.create_engine(parsed, connect_args=arguments, poolclass=NullPool)
        else:
            made = sqlalchemy.create_engine(parsed, connect_args=arguments, pool_pre_ping=True)
    except (ImportError, NoSuchModuleError) as cause:
        raise _not_installed(url, cause) from cause
    except (ArgumentError, ValueError, TypeError) as cause:
        raise TargetError(f"{shown(url)}: is no URL of a database: {type(cause).__name__}", hint=_LOOKS_LIKE) from None
    mind_forks(made)
    return made


def mind_forks(engine: Engine) -> None:
    """Say that nothing may be forked from here on, where the engine's driver may have threads."""
    if engine.dialect.name not in _WITHOUT_THREADS:
        forks.forbid(engine.dialect.name)


_LOOKS_LIKE = "It looks like postgresql://USER@HOST/DATABASE, or sqlite:///PATH."


def _not_installed(url: str, cause: Exception) -> TargetError:
    dialect = url.partition(":")[0].partition("+")[0]
    package = _PACKAGES.get(dialect) or getattr(cause, "name", None)
    hint = (
        f'pip install "{package}"'
        if package
        else f"Is a dialect of SQLAlchemy called {dialect!r}? Dialects come with packages, see docs/sql.md."
    )
    return TargetError(f"{shown(url)}: what speaks to this database is not installed ({cause})", hint=hint)


def _arguments(url: URL) -> dict[str, object]:
    """What the driver is told unless the URL says it: servers that are away are known to be so after some seconds."""
    driver = url.get_driver_name()
    if driver in ("psycopg", "psycopg2", "pymysql", "mysqldb"):
        return {} if "connect_timeout" in url.query else {"connect_timeout": PATIENCE}
    if url.get_backend_name() == "sqlite" and driver == "pysqlite":
        return {} if "timeout" in url.query else {"timeout": LOCKED}
    return {}


# -- errors --------------------------------------------------------------------------------------


def words(cause: BaseException) -> str:
    """What the database said, without the statement and its values, which may be secret."""
    cause = getattr(cause, "orig", None) or cause
    match cause.args:
        case (int(number), str(text)):  # as pymysql says it
            said = f"{text} ({number})"
        case _:
            said = str(cause)
    context = getattr(getattr(cause, "diag", None), "context", None)
    lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith(("[SQL", "[parameters", "(Background"))]
    if context and context not in said:
        lines.append(context.splitlines()[0])
    return " | ".join(lines)[:500] or type(cause).__name__


_HINTS = (
    (r"password|authenticat|Access denied|pg_hba|role .* not exist", "Look at user and password: in the URL, or in ~/.pgpass."),
    (r"database .* does not exist|Unknown database", "Look at the name of the database in the URL."),
    (r"permission denied|denied to user|readonly|read-only", "The user of the URL lacks a right."),
    (r"unable to open database file", "Is the folder of the file there?"),
    (r"set lock on file|database is locked", "Another process has the file open for writing: let one at a time do so (a resource)."),
    (r"disk is full|No space left|disk full", "Make room, and run the task again."),
)  # fmt: skip


def _hint(text: str, otherwise: str) -> str:
    return next((hint for pattern, hint in _HINTS if re.search(pattern, text, re.IGNORECASE)), otherwise)


def unreachable(target: object, cause: BaseException) -> TargetUnreachable:
    """The error for a question that was not answered."""
    text = words(cause)
    return TargetUnreachable(target, text, hint=_hint(text, "Is the database up, and are host and port of its URL right?"))


def write_error(target: object, cause: BaseException, engine: Engine) -> TargetError:
    """The error for a write that the database did not take: TargetWriteError where another try may help."""
    text = words(cause)
    undone = "Nothing of this transaction is there." if engine.dialect.name in _KEEPING else "What was written before may be there."
    kind = TargetError if _is_authors(cause) else TargetWriteError
    return kind(f"{target}: {text}", hint=_hint(text, undone))


_AUTHORS = ("22", "23", "42")  # classes of SQLSTATE: values, constraints, statements


def _is_authors(cause: BaseException) -> bool:
    """Whether the statement or its values are to blame, so that another try would end alike."""
    from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError, SQLAlchemyError

    if isinstance(cause, (DataError, IntegrityError, NotSupportedError, ProgrammingError)):
        return True
    if isinstance(cause, SQLAlchemyError) and not isinstance(cause, DBAPIError):
        return True  # refused before it was sent
    driver = cause.orig if isinstance(cause, DBAPIError) else cause
    return (getattr(driver, "sqlstate", None) or "")[:2] in _AUTHORS or getattr(driver, "sqlite_errorname", "") == "SQLITE_ERROR"


def read_error(url: str, cause: BaseException) -> TargetError:
    """The error for a query: of a database that is away, or of one that refuses."""
    from sqlalchemy.exc import InterfaceError, OperationalError

    if isinstance(cause, (InterfaceError, OperationalError)):
        return unreachable(shown(url), cause)
    return TargetError(f"{shown(url)}: {words(cause)}", hint="Look at the statement: the database refused it.")


def is_foreign(error: BaseException, engine: Engine) -> bool:
    """Whether an error is SQLAlchemy's, or the driver's own."""
    from sqlalchemy.exc import SQLAlchemyError

    driver = engine.dialect.dbapi
    return isinstance(error, SQLAlchemyError) or (driver is not None and isinstance(error, driver.Error))


def undo(connection: Connection, error: BaseException) -> None:
    """Roll back; a connection on which that fails, or that is lost already, goes back to no pool."""
    try:
        if not connection.closed and not connection.invalidated:
            connection.rollback()
    except Exception:
        connection.invalidate(error if isinstance(error, Exception) else None)
