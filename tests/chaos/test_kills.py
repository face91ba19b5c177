"""kill -9 of the server under load (docs/chaos.md): nothing acknowledged is lost, nothing is done again."""

from __future__ import annotations

from pathlib import Path

import pytest

from .kills import kill_the_server, start_with


@pytest.mark.slow
def test_a_killed_server_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    found = kill_the_server(tmp_path, 3, 1)
    found.verdict.check()
    assert found.verdict.events["done"] >= 20, found


@pytest.mark.ci
@pytest.mark.timeout(240)
def test_a_server_killed_fifty_times_under_load_loses_and_repeats_nothing(tmp_path: Path) -> None:
    found = kill_the_server(tmp_path, 50, 2)
    print(found)
    found.verdict.check()
    assert found.verdict.events["done"] >= 1000, found  # it was a proof
    assert found.verdict.regranted >= 20, found


@pytest.mark.ci
@pytest.mark.timeout(120)
def test_a_killed_server_on_postgresql_loses_nothing_either(tmp_path: Path, postgres: str) -> None:
    found = kill_the_server(tmp_path, 10, 3, store=f"{postgres}&schema=kills")
    print(found)
    found.verdict.check()


@pytest.mark.ci
@pytest.mark.timeout(120)
def test_a_server_with_a_hundred_thousand_tasks_is_ready_soon_after_a_kill(tmp_path: Path) -> None:
    seconds = start_with(tmp_path, 100_000)
    print(f"100,000 tasks: ready in {', '.join(f'{each:.2f}' for each in seconds)} s")
    assert min(seconds) < 3.0  # the goal is 1 s on a machine with nothing else to do
