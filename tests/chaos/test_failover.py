"""A standby takes over from a server that dies or hangs (docs/chaos.md); the old one does nothing any more."""

from __future__ import annotations

from pathlib import Path

import pytest

from .failover import Pair, fail_over
from .node import Refused, ask


@pytest.mark.slow
def test_a_standby_on_the_same_file_takes_over_at_once_when_the_server_is_killed(tmp_path: Path) -> None:
    found = fail_over(tmp_path, str(tmp_path / "levada.db"), kills=1, hangs=0)
    found.verdict.check()
    assert max(found.killed) < 5.0
    assert found.verdict.events["lost"] == 0, "no attempt was harmed"


def test_a_standby_sends_workers_elsewhere_instead_of_calling_their_tokens_wrong(tmp_path: Path) -> None:
    """It has not read the store, so it cannot know them."""
    pair = Pair(tmp_path, str(tmp_path / "levada.db"))
    try:
        with pytest.raises(Refused) as no:
            ask(pair.second.address, pair.token, "POST", "/v1/hello", {"session": "0" * 32, "wire": [1], "levada": "chaos"})
        assert (no.value.status, no.value.code) == (503, "not-ready")
        pair.first.kill()
        pair.swap()
        assert ask(pair.first.address, pair.token, "GET", "/v1/whoami")["role"] == "worker"
    finally:
        pair.close()


@pytest.mark.ci
@pytest.mark.timeout(240)
def test_a_standby_on_postgresql_takes_over_from_dead_and_from_hanging_servers(tmp_path: Path, postgres: str) -> None:
    found = fail_over(tmp_path, f"{postgres}&schema=failover", kills=3, hangs=2)
    print(found)
    found.verdict.check()
    assert max(found.killed) < 5.0
    assert len(found.said) == 6
    assert found.verdict.events["lost"] == 0, "no attempt was harmed"
