"""Real workers and servers that die, end, stop and wake in the middle of shared runs (docs/chaos.md)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .node import Node
from .real import Field
from .storm import storm


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    found = Node(tmp_path / "state", lease=5.0)
    found.start()
    found.wait()
    yield found
    found.kill()


@pytest.mark.ci
def test_what_a_worker_committed_and_did_not_live_to_report_is_found_by_the_next(tmp_path: Path, node: Node) -> None:
    """It is complete, so no plan has it any more; but what stands on it waits for it on the server."""
    ground = Field(tmp_path, node.url, node.token)
    first = ground.run("pipeline:Sum", "--number", "0", CHAOS_DIE="piece-3")
    assert first.ended() == -9
    second = ground.run("pipeline:Sum", "--number", "0")
    assert second.ended() == 0, second.said
    assert len([line for line in ground.events("begin") if line[3] == "piece-3"]) == 1
    assert node.ask("GET", "/v1/status")["counts"]["done"] == 9
    ground.verdict().check()


@pytest.mark.ci
def test_a_task_whose_worker_died_while_it_was_suspended_is_run_by_the_next(tmp_path: Path, node: Node) -> None:
    ground = Field(tmp_path, node.url, node.token, seconds=1.0)
    first = ground.run("pipeline:Nap", "--number", "7")
    assert first.began(), first.said
    first.kill()
    second = ground.run("pipeline:Nap", "--number", "7")
    assert second.ended() == 0, second.said
    ground.verdict().check()


@pytest.mark.ci
def test_what_came_from_outside_is_told_by_the_next_worker_when_the_one_that_waited_for_it_is_dead(tmp_path: Path, node: Node) -> None:
    ground = Field(tmp_path, node.url, node.token, seconds=1.0)
    first = ground.run("pipeline:Import", "--number", "3")
    assert first.began(), first.said
    first.kill()
    (tmp_path / "drop-3").write_text("data\n")
    second = ground.run("pipeline:Import", "--number", "3")
    assert second.ended() == 0, second.said
    ground.verdict().check()


@pytest.mark.ci
@pytest.mark.timeout(240)
def test_runs_reach_their_goal_through_deaths_of_workers_and_servers(tmp_path: Path) -> None:
    found = storm(tmp_path, 2, 1)
    print(found)
    found.verdict.check()
