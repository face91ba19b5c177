"""What happens to tasks is written into tables that Luigi's tools read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from levada.luigi import configuration
from levada.luigi.scheduler import Scheduler


@pytest.fixture
def desk(tmp_path: Path) -> Any:
    pytest.importorskip("sqlalchemy")
    configuration.get_config().set("task_history", "db_connection", f"sqlite:///{tmp_path}/history.db")
    desk = Scheduler(record_task_history=True)
    yield desk
    desk.task_history.engine.dispose()
    configuration.get_config().remove_section("task_history")


def test_a_history_tells_when_a_task_was_scheduled_started_and_done(desk: Any) -> None:
    desk.add_task(worker="w", task_id="F_1", family="F", params={"day": "1", "shop": "x"})
    desk.get_work(worker="w", host="here")
    desk.add_task(worker="w", task_id="F_1", status="DONE")
    history = desk.task_history
    with history._session() as session:
        (task,) = history.find_all_by_parameters("F", session, day="1")
        assert [event.event_name for event in task.events] == ["DONE", "RUNNING", "PENDING"]
        assert (task.host, {name: one.value for name, one in task.parameters.items()}) == ("here", {"day": "1", "shop": "x"})
        assert history.find_task_by_task_id("F_1", session) is task is history.find_task_by_id(task.id, session)
        assert list(history.find_all_by_parameters("F", session, day="2")) == []
    assert [one.name for one in history.find_latest_runs()] == ["F"]
    assert len(history.find_all_runs()) == 1
    assert len(history.find_all_events()) == 3
