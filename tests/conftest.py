"""What every test stands on: a state folder of its own, a clean environment, and an honest CI."""

from __future__ import annotations

import gc
import itertools
import os
import re
import sys
import weakref
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from _pytest.doctest import DoctestModule
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
# time, so that a red run is about the change, and 200; desks draw fresh ones, 50 a run.
settings.register_profile("dev", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("dev"), derandomize=True, max_examples=200, print_blob=True)
settings.load_profile("ci" if IN_CI else "dev")


_number = itertools.count()


@pytest.fixture(scope="session")
def _states(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("states"))


@pytest.fixture(autouse=True)
def _own_state(_states: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has its own state folder and none of the developer's settings."""
    for name in [name for name in os.environ if name.startswith(("LEVADA", "LUIGI"))]:
        monkeypatch.delenv(name)
    own = f"{_states}/{next(_number)}"  # mktemp would read the names of all that were made before
    os.makedirs(f"{own}/state", mode=0o700)
    monkeypatch.setenv("LEVADA_STATE", f"{own}/state")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    if "levada.luigi.interface" in sys.modules:  # pytest's workers have one command line, and must not lock each other out
        locks = vars(sys.modules["levada.luigi.interface"].core)["lock_pid_dir"]
        monkeypatch.setattr(locks, "_default", f"{own}/locks")


@pytest.fixture
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The test's own empty folder, and the current one while it runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# -- tests of old programs and those of the house share a process ----------------------------------

ROOT = Path(__file__).parent.parent

_classes: dict[Any, None] = {}
"""Task classes of this repository's modules, which are imported once: what some test leaves out, others have."""
_last: list[Any] = [None, []]
"""The module of the last test, and what it was shown."""


def _is_old(item: pytest.Item) -> bool:
    return "luigi" in str(item.path.relative_to(ROOT))


def _is_shown(cls: Any, module: str, old: bool) -> bool:
    """Whether a test of that module finds a task class by its name."""
    home = cls.__module__
    if not home.rpartition(".")[2].startswith("test_"):
        return old or "luigi" not in home
    return home == module if old else "luigi" not in home


def _is_of_repository(cls: Any) -> bool:
    file = getattr(sys.modules.get(cls.__module__), "__file__", None) or ""
    return "<locals>" not in cls.__qualname__ and file.startswith(f"{ROOT}{os.sep}")


def _bases() -> list[Any]:
    """The house's own classes, also those for which a class of the annex stands in the registry."""
    from levada.task import Task

    def below(cls: Any) -> Iterator[Any]:
        for each in cls.__subclasses__():
            yield each
            yield from below(each)

    ours = (cls for cls in below(Task) if cls.__module__.startswith("levada.") and "luigi" not in cls.__module__)
    return [cls for cls in dict.fromkeys(ours) if getattr(sys.modules.get(cls.__module__), cls.__qualname__, None) is cls]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Luigi's habits and families are for tests with luigi in the path, whichever test imported the annex; before all fixtures."""
    if "levada.luigi.habits" not in sys.modules:
        return
    from levada.task import registry

    old, module = _is_old(item), getattr(getattr(item, "module", None), "__name__", "")
    there = registry.classes()
    if module != _last[0] or [*map(weakref.ref, there)] != _last[1]:
        _classes.update(dict.fromkeys(filter(_is_of_repository, there)))
        others = there if module == _last[0] else []  # what tests of one file define, their next ones may ask for
        known = dict.fromkeys([*([] if old else _bases()), *_classes, *others])
        registry.replace([cls for cls in known if _is_shown(cls, module, old)])
        _last[:] = module, [*map(weakref.ref, registry.classes())]
    sys.modules["levada.luigi.habits"].keep(old)


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


SLOW = re.compile(rb"^pytestmark = (?:\[.*)?pytest\.mark\.slow\b", re.MULTILINE)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Modules that are slow as a whole are not imported where slow tests are left out, nor are the clients that they bring."""
    left_out = config.option.markexpr in ("not slow", "not slow and not ci") and collection_path.suffix == ".py"
    return True if left_out and SLOW.search(collection_path.read_bytes()) else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected stays: the collector of garbage would only walk it again and again while it grows."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_collect_file() -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Examples that run stand in src: files of tests, and what tests start, are not imported to look for some."""
    return [each for each in (yield) if not isinstance(each, DoctestModule)]


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
