"""A server with HTTP in front of it, and an agent that does what a test says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from levada._wire import triggers as t
from tests.cli.test_server import Serving
from tests.server.hosting import Place

AGENT = "a" * 32


class Manned(Serving):
    """A server, whose only agent offers ``Report(day)`` and ``Hourly(hour, shop="north")`` where it has joined."""

    def join(self) -> None:
        families = [
            t.Family("Report", "shop", [("day", "date", False)]),
            t.Family("Hourly", "shop", [("hour", "hour", False), ("shop", "text", True)]),
        ]
        self.ask(t.Offer(AGENT, families, [], ["shop"], "w.example", 7))

    def take(self, *held: str) -> list[str]:
        """Keys of the goals that it is given now."""
        return [goal[0] for goal in self.ask(t.Take(AGENT, 10, list(held))).goals]

    def report(self, goal: str, state: str, reason: str = "", **more: Any) -> None:
        assert self.ask(t.ReportGoal(AGENT, goal, state, reason, **more)).known

    def goals(self, **asked: Any) -> list[Any]:
        return list(self.ask(t.Goals(**asked)).goals)

    def ends(self, state: str, reason: str = "", **more: Any) -> str:
        """Take the oldest goal, and end it so; its key."""
        key = self.take()[0]
        self.report(key, state, reason, **more)
        return key


def manned(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Manned:
    """One, which the command line finds by the environment."""
    made = Manned(Place("sqlite", folder))
    monkeypatch.setenv("LEVADA_SCHEDULER", f"http://127.0.0.1:{made.web.port}")
    monkeypatch.setenv("LEVADA_TOKEN", made.token.text)
    made.join()
    return made
