"""Jobs of a real HTCondor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from levada._model.engines import JobSpec, JobState, JobStatus
from levada.contrib.htcondor import HTCondorEngine
from levada.contrib.htcondor.engine import read_handle
from levada.errors import EngineError, EngineUnreachable, JobRefused
from levada.testing.engines import EngineLaws

from .conftest import answers
from .pool import Pool

SRC = str(Path(__file__).parents[3] / "src")


class TestHTCondor(EngineLaws):
    patience = 100

    @pytest.fixture(autouse=True)
    def _place(self, engine: HTCondorEngine) -> None:
        self.folder = engine._folder

    def make_engine(self) -> HTCondorEngine:
        return HTCondorEngine(folder=self.folder)


def spec(*argv: str, **more: object) -> JobSpec:
    return JobSpec(f"t-{uuid.uuid4().hex[:12]}", 'Count(day="2024-02-29", $(x))', argv, **more)  # type: ignore[arg-type]


def wait_for(condition: Callable[[], object], seconds: float = 100) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(0.2)


def end_of(engine: HTCondorEngine, handle: str) -> JobStatus:
    wait_for(lambda: engine.poll([handle])[0].state.is_ended)
    return engine.poll([handle])[0]


def test_a_job_that_is_forgotten_here_is_in_the_history(engine: HTCondorEngine) -> None:
    handle = engine.submit(spec("sh", "-c", "exit 4"))
    assert end_of(engine, handle) == JobStatus(JobState.FAILED, 4)
    engine.forget(handle)
    assert not Path(read_handle(handle).folder).exists()
    wait_for(lambda: engine.find(read_handle(handle).submission) is None)
    assert engine.poll([handle])[0] == JobStatus(JobState.FAILED, 4)
    other = str(read_handle(handle)._replace(submission="another"))
    assert engine.poll([other])[0].state is JobState.FORGOTTEN


def test_a_job_that_runs_too_long_is_killed(engine: HTCondorEngine) -> None:
    status = end_of(engine, engine.submit(spec("sleep", "1000", seconds=1)))
    assert status.state is JobState.KILLED
    assert "exceeded allowed execute duration" in status.message


def test_a_job_that_is_held_on_purpose_waits(engine: HTCondorEngine) -> None:
    handle = engine.submit(spec("true", options={"hold": True}))
    time.sleep(4)
    status = engine.poll([handle])[0]
    assert status.state is JobState.PENDING
    assert "held" in status.message
    engine.cancel(handle)
    assert end_of(engine, handle).state is JobState.KILLED


def test_a_signal_is_named(engine: HTCondorEngine) -> None:
    assert end_of(engine, engine.submit(spec("sh", "-c", "kill -SEGV $$"))) == JobStatus(JobState.KILLED, message="ended by SIGSEGV")


@pytest.mark.usefixtures("pool")
@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"options": {"executable": "/bin/ls"}}, "cannot be set"),
        ({"options": {"requirements": "a\nb"}}, "one line"),
        ({"options": {"requirements": "(("}}, "was not taken"),
        ({"memory": 0}, "request_memory"),
    ],
)
def test_what_is_wrong_is_refused(engine: HTCondorEngine, more: dict[str, object], said: str) -> None:
    with pytest.raises(JobRefused, match=said):
        engine.submit(spec("true", **more))


DIE = """
import os, signal, sys
from levada._model.engines import JobSpec
from levada.contrib.htcondor import HTCondorEngine
HTCondorEngine(folder=sys.argv[1]).submit(JobSpec(sys.argv[2], "dies", ("sh", "-c", f"echo ran >> '{sys.argv[3]}'")))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_job_is_found_after_its_worker_was_killed(engine: HTCondorEngine, pool: Pool) -> None:
    submission, note = spec().submission, str(pool.folder / "jobs" / uuid.uuid4().hex)
    process = subprocess.run([sys.executable, "-c", DIE, str(engine._folder), submission, note], env={**os.environ, "PYTHONPATH": SRC})
    assert process.returncode == -signal.SIGKILL
    handle = engine.find(submission)
    assert handle is not None
    assert end_of(engine, handle).state is JobState.SUCCEEDED
    assert Path(note).read_text() == "ran\n"


def test_daemons_that_are_away_say_nothing_of_jobs(engine: HTCondorEngine, pool: Pool) -> None:
    handle = engine.submit(spec("sleep", "3"))
    os.seteuid(0)
    pool.stop_daemons()
    os.seteuid(65534)
    try:
        job = spec("true")
        for act in (lambda: engine.poll([handle]), lambda: engine.find("none"), lambda: engine.cancel(handle), lambda: engine.submit(job)):
            with pytest.raises(EngineUnreachable, match="does not answer"):
                act()
    finally:
        os.seteuid(0)
        pool.start()
        os.seteuid(65534)
    answers(engine)
    assert end_of(engine, handle).state is JobState.SUCCEEDED
    assert engine.find(job.submission) is None


def test_no_handle_of_ours_is_told() -> None:
    with pytest.raises(EngineError, match="no handle"):
        HTCondorEngine().poll(["12"])
