"""The engine `local`: programs of this machine that outlive whoever started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from levada.contrib.programs.engine import LocalEngine, open_engine
from levada.errors import EngineError, JobRefused
from levada.handover import JobSpec, JobState
from levada.handover.detached import Programs
from levada.testing.engines import EngineLaws

NAME = f"lv-{os.urandom(8).hex()}-1-1-aaaaaa"  # what bears the name of a lost job is ended on the whole machine


class TestLaws(EngineLaws):
    patience = 30.0

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = str(tmp_path / "programs")

    def make_engine(self) -> LocalEngine:
        return LocalEngine(self.folder)


@pytest.fixture
def engine(tmp_path: Path) -> LocalEngine:
    return LocalEngine(str(tmp_path / "programs"))


def spec(script: str, submission: str = NAME, **more: object) -> JobSpec:
    return JobSpec(submission, "Task()", ("sh", "-c", script), {"LEVADA_SUBMISSION": submission})._replace(**more)


def ended(engine: LocalEngine, handle: str) -> object:
    until = time.monotonic() + 30
    while not (status := engine.poll([handle])[0]).state.is_ended:
        assert time.monotonic() < until, status
        time.sleep(0.02)
    return status


def test_a_program_is_started_once_however_often_it_is_submitted(engine: LocalEngine, tmp_path: Path) -> None:
    job = spec(f"echo ran >> {tmp_path}/ran; sleep 0.2")
    handles = {engine.submit(job) for _ in range(5)}
    assert len(handles) == 1
    ended(engine, handles.pop())
    assert (tmp_path / "ran").read_text() == "ran\n"


def test_what_was_looked_for_and_not_found_is_not_started_by_who_was_about_to(engine: LocalEngine, tmp_path: Path) -> None:
    """A worker that was stopped before its submission, and wakes after another had looked: the other's own submission goes."""
    job = spec(f"echo ran >> {tmp_path}/ran", f"{NAME[:-6]}bbbbbb")
    other = LocalEngine(str(tmp_path / "programs"))
    assert other.find(job.submission) is None
    with pytest.raises(EngineError, match="is not started any more"):
        engine.submit(job)
    ended(other, other.submit(job))
    assert (tmp_path / "ran").read_text() == "ran\n"


def test_a_folder_whose_program_was_never_started_is_given_up(engine: LocalEngine, tmp_path: Path) -> None:
    folder = tmp_path / "programs" / NAME
    folder.mkdir(parents=True)
    (folder / "lock").touch()
    assert engine.find(folder.name) is None
    assert not (folder / "lock").exists()


def test_a_program_whose_supervisor_was_killed_is_killed_too(engine: LocalEngine, tmp_path: Path) -> None:
    handle = engine.submit(spec("sleep 600"))
    place = tmp_path / "programs" / NAME
    until = time.monotonic() + 10
    while not (place / "job").exists() or not (place / "job").read_text():
        assert time.monotonic() < until
        time.sleep(0.02)
    job = int((place / "job").read_text())
    os.kill(int((place / "pid").read_text()), signal.SIGKILL)
    status = ended(engine, handle)
    assert status.state is JobState.KILLED
    assert "supervisor is gone" in status.message
    until = time.monotonic() + 10
    while alive(job):
        assert time.monotonic() < until
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_seconds_end_a_program(engine: LocalEngine) -> None:
    status = ended(engine, engine.submit(spec("sleep 600", seconds=0.3)))
    assert (status.state, status.message) == (JobState.KILLED, "it ran for longer than 0.3 s")


def test_memory_limits_a_program(engine: LocalEngine) -> None:
    job = spec("", argv=(sys.executable, "-c", "x = bytearray(1 << 30)"), memory=256 << 20)
    handle = engine.submit(job)
    assert ended(engine, handle).state is JobState.FAILED
    assert "MemoryError" in engine.logs(handle, most=10_000)


def test_a_signal_is_named(engine: LocalEngine) -> None:
    status = ended(engine, engine.submit(spec("kill -SEGV $$")))
    assert status.state is JobState.KILLED
    assert status.message == "ended by SIGSEGV"


def test_a_program_that_ignores_sigterm_is_killed(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("levada.handover.detached.GRACE", 0.2)
    handle = engine.submit(spec("trap '' TERM; echo deaf; while :; do sleep 0.1; done"))
    while "deaf" not in engine.logs(handle, most=100):
        time.sleep(0.02)
    engine.cancel(handle)
    assert ended(engine, handle).state is JobState.KILLED


def test_a_folder_that_is_not_there_is_said(engine: LocalEngine) -> None:
    handle = engine.submit(spec("true", folder="/no/such/folder"))
    assert ended(engine, handle).exit == 127
    assert "cannot start 'sh' in /no/such/folder: No such file or directory" in engine.logs(handle, most=1000)


def test_no_program_is_refused(engine: LocalEngine) -> None:
    with pytest.raises(JobRefused, match="no program"):
        engine.submit(spec("", argv=()))


def test_a_job_of_another_host_is_not_taken_for_ours(engine: LocalEngine) -> None:
    with pytest.raises(EngineError, match="started at elsewhere:/state"):
        engine.poll(["elsewhere:/state/lv-1"])


def test_local_has_no_address() -> None:
    with pytest.raises(EngineError, match="has no address"):
        open_engine("somewhere")


def test_a_forgotten_program_is_forgotten(engine: LocalEngine) -> None:
    handle = engine.submit(spec("true"))
    ended(engine, handle)
    engine.forget(handle)
    assert engine.poll([handle])[0].state is JobState.FORGOTTEN
    assert engine.find(NAME) is None


SUBMIT = """
import sys
from levada.contrib.programs.engine import LocalEngine
from levada.handover import JobSpec
LocalEngine(sys.argv[1]).submit(JobSpec(sys.argv[2], "Task()", ("sh", "-c", sys.argv[3]), {"LEVADA_SUBMISSION": sys.argv[2]}))
"""


@pytest.mark.parametrize("steps", range(1, 5))
def test_a_submitter_killed_at_any_moment_leaves_a_job_that_runs_once(tmp_path: Path, steps: int) -> None:
    """find() after the kill says whether it runs; if it says no, another submission is the only one."""
    folder, ran = str(tmp_path / "programs"), tmp_path / "ran"
    for number in range(4):
        name = f"lv-{number:016x}-1-1-aaaaaa"
        script = f"echo {number} >> {ran}"
        started = subprocess.Popen([sys.executable, "-c", SUBMIT, folder, name, script])
        time.sleep(0.02 * steps + 0.012 * number)
        started.kill()
        started.wait()
        engine = LocalEngine(folder)
        job = JobSpec(name, "Task()", ("sh", "-c", script), {"LEVADA_SUBMISSION": name})
        handle = engine.find(name) or engine.submit(job)
        assert ended(engine, handle).state is JobState.SUCCEEDED
    assert sorted(ran.read_text().split()) == ["0", "1", "2", "3"]


def test_drafts_of_the_dead_are_swept(tmp_path: Path) -> None:
    draft = tmp_path / "lv-1.0badcafe.draft"
    draft.mkdir()
    (draft / "lock").touch()
    os.utime(draft, (0, 0))
    Programs(str(tmp_path)).start(spec("true"))
    assert not draft.exists()


def test_a_program_runs_where_its_worker_runs_unless_it_names_a_folder(
    engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder, wanted in (("", str(tmp_path)), ("/usr", "/usr")):
        handle = engine.submit(spec("pwd", f"lv-{len(folder):016x}-1-1-aaaaaa", folder=folder))
        ended(engine, handle)
        assert engine.logs(handle, most=1000) == f"{wanted}\n"


def test_the_programs_own_path_and_variables_do_not_disturb_its_supervisor(engine: LocalEngine) -> None:
    job = spec("echo $folder/$seconds", env={"PATH": "/nowhere", "folder": "mine", "seconds": "7", "LEVADA_SUBMISSION": "lv-x"})
    handle = engine.submit(job._replace(argv=("/bin/sh", "-c", "echo $folder/$seconds"), submission="lv-x"))
    assert ended(engine, handle).state is JobState.SUCCEEDED
    assert engine.logs(handle, most=100) == "mine/7\n"


def test_cancel_reaches_groups_of_the_programs_own(engine: LocalEngine, tmp_path: Path) -> None:
    handle = engine.submit(spec(f"timeout 300 sh -c 'echo $$ > {tmp_path}/deep; sleep 300'; true"))
    while not (tmp_path / "deep").exists() or not (tmp_path / "deep").read_text():
        time.sleep(0.02)
    engine.cancel(handle)
    assert ended(engine, handle).state is JobState.KILLED
    until = time.monotonic() + 10
    while alive(int((tmp_path / "deep").read_text())):
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_supervisor_that_was_killed_is_seen_at_once_also_where_a_limit_of_time_runs(engine: LocalEngine, tmp_path: Path) -> None:
    handle = engine.submit(spec("sleep 600", seconds=600))
    place = tmp_path / "programs" / NAME
    while not (place / "job").exists() or not (place / "job").read_text():
        time.sleep(0.02)
    os.kill(int((place / "pid").read_text()), signal.SIGKILL)
    assert ended(engine, handle).state is JobState.KILLED


def test_a_cancel_at_the_very_start_ends_the_program(engine: LocalEngine, tmp_path: Path) -> None:
    for number in range(10):
        name = f"lv-{number:016x}-1-1-aaaaaa"
        handle = engine.submit(spec(f"sleep 600; echo lived >> {tmp_path}/lived", name))
        time.sleep(0.001 * number)
        engine.cancel(handle)
        assert ended(engine, handle).state is JobState.KILLED
