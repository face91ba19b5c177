"""What every test stands on: a state folder of its own, a clean environment, and an honest CI."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

IN_CI = bool(os.environ.get("CI"))
BY_DESIGN = "by design:"
"""A skip whose reason begins so is meant (another platform, say); any other one fails a CI run."""


def extra(reason: str) -> str:
    """The reason of a skip of a server that takes long to build: ``EXTRA_SERVERS=1 .ci/run`` brings those, and wants them then."""
    return reason if os.environ.get("EXTRA_SERVERS") else f"{BY_DESIGN} {reason}; EXTRA_SERVERS=1 .ci/run brings it"


takes_minutes = pytest.mark.skipif(
    not os.environ.get("EXTRA_SERVERS"), reason=f"{BY_DESIGN} takes minutes; EXTRA_SERVERS=1 .ci/run plays it"
)
"""Laws that jobs of twenty seconds each are held to; what matters most of them has shorter tests of its own."""

# Machines that share their cores make any deadline a coin toss. CI plays the same examples every
# time, so that a red run is about the change; fresh examples are drawn on desks.
settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("dev"), derandomize=True, max_examples=200, print_blob=True)
settings.load_profile("ci" if IN_CI else "dev")


@pytest.fixture(autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has its own state folder and none of the developer's settings."""
    for name in [name for name in os.environ if name.startswith(("LEVADA", "LUIGI"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LEVADA_STATE", str(tmp_path_factory.mktemp("state")))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)


@pytest.fixture(autouse=True)
def _own_habits(request: pytest.FixtureRequest) -> None:
    """Luigi's habits are for tests whose file has luigi in its name alone, whichever test imported the annex."""
    if "levada.luigi.habits" in sys.modules:
        sys.modules["levada.luigi.habits"].keep("luigi" in str(request.path.relative_to(Path(__file__).parent)))


@pytest.fixture
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The test's own empty folder, and the current one while it runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# -- in CI a test that does not run is a failure ---------------------------------------------------


def unmeant(report: pytest.TestReport | pytest.CollectReport) -> str | None:
    """The reason of a skip that nobody meant, or None."""
    if not report.skipped or hasattr(report, "wasxfail"):
        return None
    where = report.longrepr
    reason = where[2] if isinstance(where, tuple) else str(where)
    reason = reason.removeprefix("Skipped: ")
    return None if reason.startswith(BY_DESIGN) else reason


class NoSilentSkips:
    """Collects skips and turns the session red when one was not by design."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if reason := unmeant(report):
            self.found.append(f"{report.nodeid}: {reason}")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if reason := unmeant(report):
            self.found.append(f"{report.nodeid}: {reason}")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.found and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.found:
            terminalreporter.section("skipped, but not by design: in CI that is a failure", red=True)
            for line in self.found:
                terminalreporter.line(line)


def pytest_configure(config: pytest.Config) -> None:
    # xdist's workers send their reports to the controller, where they are judged once.
    if IN_CI and not hasattr(config, "workerinput"):
        config.pluginmanager.register(NoSilentSkips(), "no-silent-skips")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that share a server run in one process: xdist 3.8 marks them in a way that pytest 9.2 does not see any more."""
    if not getattr(config.option, "loadgroup", False):
        return
    for item in items:
        names = sorted({str(mark.args[0]) for mark in item.iter_markers("xdist_group")})
        suffix = f"@{'_'.join(names)}"
        if names and not item.nodeid.endswith(suffix) and hasattr(item, "_id"):
            item._id = type(item._id).parse(item.nodeid + suffix)
