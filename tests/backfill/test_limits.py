"""Totals that a new session brings along: of backfills alone, once, and within a bound."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from levada._server import work
from levada._wire import messages as w
from levada._wire.problems import Refusal
from tests.server.hosting import S1, S2, served


def test_a_session_says_how_much_there_is_of_a_backfill_s_limit(tmp_path: Path) -> None:
    with served("sqlite", tmp_path) as house:
        house.hello(S1, limits=[w.Amount("backfill-Day", 3)])
        assert house.host.brain.state.total == {"backfill-Day": 3}
        house.again()
        assert house.host.brain.state.total == {"backfill-Day": 3}


def test_a_session_that_comes_back_does_not_undo_what_an_operator_has_set(tmp_path: Path) -> None:
    with served("sqlite", tmp_path) as house:
        house.hello(S1, limits=[w.Amount("backfill-Day", 3)])
        house.host.brain.state.total["backfill-Day"] = 8
        house.hello(S1, limits=[w.Amount("backfill-Day", 3)])
        assert house.host.brain.state.total == {"backfill-Day": 8}
        house.hello(S2, limits=[w.Amount("backfill-Day", 4)])
        assert house.host.brain.state.total == {"backfill-Day": 4}


def test_other_resources_are_for_operators_and_there_is_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served("sqlite", tmp_path) as house:
        with pytest.raises(Refusal, match="not the resource 'hdfs'") as refused:
            house.hello(S1, limits=[w.Amount("hdfs", 100)])
        assert refused.value.status == 403
        assert S1 not in house.host.members
        monkeypatch.setattr(work, "LIMITED", 1)
        house.hello(S1, limits=[w.Amount("backfill-Day", 3)])
        with pytest.raises(Refusal, match="no more are taken"):
            house.hello(S2, limits=[w.Amount("backfill-Other", 3)])
        house.hello(S2, limits=[w.Amount("backfill-Day", 4)])


def test_a_hello_without_limits_is_what_it_was_before() -> None:
    """A server of an older version refuses what it does not know."""

    assert b"limits" not in msgspec.json.encode(w.Hello(session=S1, wire=[1], levada="x"))
