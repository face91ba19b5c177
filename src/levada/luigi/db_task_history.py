"""Luigi's ``luigi.db_task_history``: what happens to tasks, in three tables of any database that SQLAlchemy knows.

The tables are those that Luigi made, so a history goes on where Luigi stopped. ``levada history`` needs none of this.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy
import sqlalchemy.orm
from sqlalchemy import ForeignKey, String, Text
from sqlalchemy.orm import Mapped, attribute_keyed_dict, mapped_column, relationship

from . import configuration, task_history
from .task_status import DONE, FAILED, PENDING, RUNNING

logger = logging.getLogger("luigi-interface")


class Base(sqlalchemy.orm.DeclarativeBase):
    """The tables."""


class TaskParameter(Base):
    """A parameter of a task."""

    __tablename__ = "task_parameters"
    task_id: Mapped[int] = mapped_column(ForeignKey("tasks.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    value: Mapped[str | None] = mapped_column(Text)

    def __repr__(self) -> str:
        return f"TaskParameter({self.task_id}, {self.name}={self.value!r})"


class TaskEvent(Base):
    """A moment at which a task was scheduled, started, done or failed; local time, as Luigi writes it."""

    __tablename__ = "task_events"
    id: Mapped[int] = mapped_column(primary_key=True)
    task_id: Mapped[int | None] = mapped_column(ForeignKey("tasks.id"), index=True)
    event_name: Mapped[str | None] = mapped_column(String(20))
    ts: Mapped[datetime.datetime] = mapped_column(sqlalchemy.TIMESTAMP, index=True)
    task: Mapped[TaskRecord] = relationship(back_populates="events")

    def __repr__(self) -> str:
        return f"TaskEvent({self.task_id}, {self.event_name} at {self.ts})"


class TaskRecord(Base):
    """A task, with its ``parameters`` by name and its ``events``, the newest first."""

    __tablename__ = "tasks"
    id: Mapped[int] = mapped_column(primary_key=True)
    task_id: Mapped[str | None] = mapped_column(String(200), index=True)
    name: Mapped[str | None] = mapped_column(String(128), index=True)
    host: Mapped[str | None] = mapped_column(String(128))
    parameters: Mapped[dict[str, TaskParameter]] = relationship(collection_class=attribute_keyed_dict("name"), cascade="all, delete-orphan")
    events: Mapped[list[TaskEvent]] = relationship(order_by="desc(TaskEvent.ts), desc(TaskEvent.id)", back_populates="task")

    def __repr__(self) -> str:
        return f"TaskRecord({self.name} on {self.host})"


class DbTaskHistory(task_history.TaskHistory):
    """Writes to the database that ``db_connection`` of the section ``[task_history]`` names."""

    CURRENT_SOURCE_VERSION = 1

    def __init__(self) -> None:
        self.engine = sqlalchemy.create_engine(configuration.get_config().get("task_history", "db_connection"))
        self.session_factory = sqlalchemy.orm.sessionmaker(bind=self.engine, expire_on_commit=False)
        Base.metadata.create_all(self.engine)
        self.tasks: dict[str, task_history.StoredTask] = {}
        _upgrade_schema(self.engine)

    @contextmanager
    def _session(self, session: Any = None) -> Iterator[Any]:
        """A session that commits at its end; one that is given goes on."""
        if session:
            yield session
            return
        with self.session_factory.begin() as own:
            yield own

    # -- what the scheduler tells

    def task_scheduled(self, task: Any) -> None:
        """A worker wants a task to run."""
        self._write(task, PENDING)

    def task_finished(self, task: Any, successful: bool) -> None:
        """A task is done, or has failed."""
        self._write(task, DONE if successful else FAILED)

    def task_started(self, task: Any, worker_host: str | None) -> None:
        """A task was given to a worker on a host."""
        self._write(task, RUNNING, worker_host)

    def _write(self, task: Any, status: str, host: str | None = None) -> None:
        known = self.tasks.setdefault(task.id, task_history.StoredTask(task, status))
        known.status, known.host = status, host or known.host
        with self._session() as session:
            record = None if known.record_id is None else session.get(TaskRecord, known.record_id)
            if record is None:
                record = TaskRecord(task_id=task.id, name=known.task_family)
                record.parameters = {name: TaskParameter(name=name, value=str(value)) for name, value in known.parameters.items()}
                session.add(record)
            if known.host:
                record.host = known.host
            record.events.append(TaskEvent(event_name=status, ts=datetime.datetime.now()))
            session.flush()
            known.record_id = record.id

    # -- what people ask

    def find_all_by_parameters(self, task_name: str, session: Any = None, **task_params: Any) -> Iterator[TaskRecord]:
        """Tasks of a family with these values, by their events' time."""
        with self._session(session) as own:
            query = own.query(TaskRecord).join(TaskEvent).filter(TaskRecord.name == task_name)
            for name, value in task_params.items():
                one = sqlalchemy.orm.aliased(TaskParameter)
                query = query.join(one).filter(one.name == name, one.value == value)
            yield from query.order_by(TaskEvent.ts)

    def find_all_by_name(self, task_name: str, session: Any = None) -> Iterator[TaskRecord]:
        """Tasks of a family."""
        return self.find_all_by_parameters(task_name, session)

    def find_latest_runs(self, session: Any = None) -> list[TaskRecord]:
        """Tasks that something happened to in the last 24 hours."""
        with self._session(session) as own:
            since = datetime.datetime.now() - datetime.timedelta(days=1)
            query = own.query(TaskRecord).join(TaskEvent).filter(TaskEvent.ts >= since)
            found = query.group_by(TaskRecord.id, TaskEvent.event_name, TaskEvent.ts).order_by(TaskEvent.ts.desc()).all()
            return list(found)

    def find_all_runs(self, session: Any = None) -> list[TaskRecord]:
        """All tasks."""
        with self._session(session) as own:
            return list(own.query(TaskRecord).all())

    def find_all_events(self, session: Any = None) -> list[TaskEvent]:
        """All events."""
        with self._session(session) as own:
            return list(own.query(TaskEvent).all())

    def find_task_by_id(self, id: int, session: Any = None) -> TaskRecord | None:
        """One task by the number of its row."""
        with self._session(session) as own:
            found: TaskRecord | None = own.get(TaskRecord, id)
            return found

    def find_task_by_task_id(self, task_id: str, session: Any = None) -> TaskRecord:
        """The newest row of a task id. Raises IndexError where there is none."""
        with self._session(session) as own:
            found: TaskRecord = own.query(TaskRecord).filter(TaskRecord.task_id == task_id).order_by(TaskRecord.id).all()[-1]
            return found


_WIDER = {
    "mysql": "ALTER TABLE task_parameters MODIFY COLUMN value TEXT",
    "mssql": "ALTER TABLE task_parameters ALTER COLUMN value TEXT",
    "postgresql": "ALTER TABLE task_parameters ALTER COLUMN value TYPE TEXT",
}
"""Old tables held at most 256 characters of a value."""


def _upgrade_schema(engine: sqlalchemy.Engine) -> None:
    """Bring tables of Luigi's early versions to the shape that is used here."""
    inspector = sqlalchemy.inspect(engine)
    values = next(column for column in inspector.get_columns("task_parameters") if column["name"] == "value")
    with engine.begin() as connection:
        if "task_id" not in {column["name"] for column in inspector.get_columns("tasks")}:
            logger.warning("the table of tasks is of an old version: it gets the column task_id")
            connection.execute(sqlalchemy.text("ALTER TABLE tasks ADD COLUMN task_id VARCHAR(200)"))
            connection.execute(sqlalchemy.text("CREATE INDEX ix_task_id ON tasks (task_id)"))
        if not isinstance(values["type"], sqlalchemy.Text) and engine.dialect.name in _WIDER:
            connection.execute(sqlalchemy.text(_WIDER[engine.dialect.name]))
