"""Jobs in containers of a real engine (Podman's, which speaks Docker's interface)."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from levada.contrib.docker import DockerEngine, open_engine
from levada.contrib.docker import engine as engines
from levada.contrib.docker.container import container
from levada.errors import EngineError, EngineUnreachable, JobRefused
from levada.handover import JobSpec, JobState, JobStatus
from levada.handover import open_engine as by_address
from levada.testing.engines import EngineLaws

from .podman import IMAGE, Podman

# The client leaves sockets open that it could not connect; they are found at any later moment.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
Job = Callable[..., JobSpec]


class TestLaws(EngineLaws):
    patience = 120.0
    options = {"image": IMAGE}

    @pytest.fixture(autouse=True)
    def _service(self, service: Podman) -> None:
        self.service = service

    def make_engine(self) -> DockerEngine:
        return open_engine(self.service.socket)


def end_of(engine: DockerEngine, handle: str) -> JobStatus:
    deadline = time.monotonic() + 120
    while True:
        (status,) = engine.poll([handle])
        if status.state.is_ended or time.monotonic() > deadline:
            return status
        time.sleep(0.1)


# -- what a job gets, and what is told of it ----------------------------------------------------------


def test_a_jobs_exit_status_and_words_are_told(engine: DockerEngine, job: Job) -> None:
    handle = engine.submit(job("sh", "-c", "echo out; echo err >&2; exit 3"))
    assert end_of(engine, handle) == JobStatus(JobState.FAILED, 3, "exit status 3")
    assert {"out", "err"} <= set(engine.logs(handle, most=1000).split())


def test_a_job_that_ends_well_has_succeeded(engine: DockerEngine, job: Job) -> None:
    assert end_of(engine, engine.submit(job("true"))) == JobStatus(JobState.SUCCEEDED, 0)


def test_a_job_gets_its_environment_folder_and_volumes(engine: DockerEngine, job: Job, service: Podman) -> None:
    (service.folder / "shared").mkdir(exist_ok=True)
    volumes = [f"{service.folder}/shared:/data"]
    words = 'echo "$GREETING $(pwd)" > /data/said'
    handle = engine.submit(job("sh", "-c", words, env={"GREETING": "bom dia, ção"}, folder="/tmp", options={"volumes": volumes}))
    assert end_of(engine, handle).state is JobState.SUCCEEDED
    assert (service.folder / "shared" / "said").read_text() == "bom dia, ção /tmp\n"


def test_of_a_long_log_the_end_is_told(engine: DockerEngine, job: Job) -> None:
    handle = engine.submit(job("sh", "-c", "i=0; while [ $i -lt 500 ]; do echo line $i; i=$((i+1)); done"))
    end_of(engine, handle)
    assert engine.logs(handle, most=9) == "line 499\n"


def test_an_entrypoint_stands_before_the_arguments(engine: DockerEngine, job: Job) -> None:
    handle = engine.submit(job("a b", "c", options={"entrypoint": "echo x"}))
    end_of(engine, handle)
    assert "x a b c" in engine.logs(handle, most=100)


def test_a_job_that_takes_too_much_memory_is_killed(engine: DockerEngine, job: Job) -> None:
    status = end_of(engine, engine.submit(job("sh", "-c", "a=0123456789; while :; do a=$a$a; done", memory=16 << 20)))
    assert status.state is JobState.KILLED
    assert "memory" in status.message
    assert "16,777,216" in status.message


def test_the_engine_is_told_what_a_job_may_take(engine: DockerEngine, job: Job) -> None:
    wanted = job("true", memory=64 << 20, cpus=0.5, options={"user": "65534", "network": "none", "labels": {"team": "data"}})
    handle = engine.submit(wanted)
    found = engine._client().inspect_container(engine._ours(handle))
    assert found["HostConfig"]["Memory"] == 64 << 20
    assert found["HostConfig"]["NanoCpus"] == 500_000_000
    assert found["HostConfig"]["NetworkMode"] == "none"
    assert found["Config"]["User"] == "65534"
    assert found["Config"]["Labels"]["team"] == "data"
    assert found["Config"]["Labels"]["levada/title"] == wanted.title


# -- once, whatever happens ---------------------------------------------------------------------------


def test_a_submission_that_is_repeated_runs_once(engine: DockerEngine, job: Job, service: Podman) -> None:
    marks = service.folder / "marks"
    wanted = job("sh", "-c", f"echo once >> {marks}", options={"volumes": [f"{service.folder}:{service.folder}"]})
    first = engine.submit(wanted)
    assert engine.submit(wanted) == first
    assert end_of(engine, first).state is JobState.SUCCEEDED
    assert engine.submit(wanted) == first
    assert marks.read_text() == "once\n"


SUBMIT_AND_DIE = """\
import os, signal, sys
from levada.handover import JobSpec, open_engine
address, name, image = sys.argv[1:]
open_engine(address).submit(JobSpec(name, "Dies()", ("sh", "-c", "sleep 1; echo outlived; exit 4"), options={"image": image}))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_job_outlives_the_process_that_submitted_it_and_is_found_by_another(service: Podman, engine: DockerEngine, job: Job) -> None:
    name = job().submission
    died = subprocess.run([sys.executable, "-c", SUBMIT_AND_DIE, service.address, name, IMAGE], timeout=120)
    assert died.returncode == -signal.SIGKILL
    handle = engine.find(name)
    assert handle is not None
    assert end_of(engine, handle).exit == 4
    assert "outlived" in engine.logs(handle, most=100)


def test_a_container_whose_maker_died_before_it_was_started_is_started_by_who_finds_it(engine: DockerEngine, job: Job) -> None:
    wanted = job("echo", "late")
    made = engine._client().create_container_from_config(container(wanted).config, wanted.submission)
    assert engine.poll([engine._handle(made["Id"])])[0].state is JobState.PENDING
    handle = engine.find(wanted.submission)
    assert handle == engine._handle(made["Id"])
    assert end_of(engine, handle).state is JobState.SUCCEEDED


def test_what_was_never_submitted_is_surely_not_there(engine: DockerEngine, job: Job) -> None:
    assert engine.find(job().submission) is None
    assert engine.poll([engine._handle("0" * 64)])[0].state is JobState.FORGOTTEN
    assert engine.logs(engine._handle("0" * 64), most=100) == ""


def test_a_forked_child_speaks_to_the_engine_by_itself(engine: DockerEngine, job: Job) -> None:
    handle = engine.submit(job("true"))
    end_of(engine, handle)
    before = engine._client()

    def look() -> None:
        ours = engine._client() is not before and engine.poll([handle])[0].state is JobState.SUCCEEDED
        os._exit(0 if ours else 1)

    child = multiprocessing.get_context("fork").Process(target=look)
    child.start()
    child.join()
    assert child.exitcode == 0
    assert engine._client() is before


# -- the end ------------------------------------------------------------------------------------------


def test_a_cancelled_job_is_ended_with_all_that_it_started(engine: DockerEngine, job: Job) -> None:
    handle = engine.submit(job("sh", "-c", "sleep 8642 & sleep 8642"))
    assert engine.poll([handle])[0].state is JobState.RUNNING
    engine.cancel(handle)
    status = end_of(engine, handle)
    assert (status.state, status.exit) == (JobState.KILLED, None)
    assert "SIG" in status.message
    assert not _processes("sleep\x008642")


def test_cancelling_what_is_over_changes_nothing(engine: DockerEngine, job: Job) -> None:
    handle = engine.submit(job("false"))
    assert end_of(engine, handle).exit == 1
    engine.cancel(handle)
    assert end_of(engine, handle).exit == 1
    engine.forget(handle)
    engine.cancel(handle)


def test_what_is_forgotten_leaves_nothing_behind(engine: DockerEngine, job: Job) -> None:
    wanted = job("true")
    handle = engine.submit(wanted)
    end_of(engine, handle)
    engine.forget(handle)
    engine.forget(handle)
    assert engine.poll([handle])[0].state is JobState.FORGOTTEN
    assert engine.find(wanted.submission) is None


def test_many_jobs_are_polled_by_one_listing_in_the_order_asked_for(
    engine: DockerEngine, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    handles = [engine.submit(job("sh", "-c", f"exit {number}")) for number in range(4)]
    for handle in handles:
        end_of(engine, handle)
    asked: list[str] = []
    client = engine._client()
    listing = client.containers
    monkeypatch.setattr(client, "containers", lambda **words: asked.append("list") or listing(**words))
    assert [status.exit for status in engine.poll([*reversed(handles), engine._handle("nobody")])] == [3, 2, 1, 0, None]
    assert asked == ["list"]


# -- refused, or not answered -------------------------------------------------------------------------


def test_an_image_that_is_not_there_is_refused_where_it_must_not_be_pulled(engine: DockerEngine, job: Job) -> None:
    with pytest.raises(JobRefused, match="nosuch/image"):
        engine.submit(job("true", options={"image": "nosuch/image:1", "pull": "never"}))


def test_a_registry_that_is_away_says_nothing_of_the_job(engine: DockerEngine, job: Job) -> None:
    wanted = job("true", options={"image": "127.0.0.1:9/nosuch:1"})
    with pytest.raises(EngineUnreachable, match="registry"):
        engine.submit(wanted)
    assert engine.find(wanted.submission) is None


def test_a_command_that_is_not_in_the_image_is_refused_and_leaves_no_container(engine: DockerEngine, job: Job) -> None:
    wanted = job("nosuchprogram")
    with pytest.raises(JobRefused, match="nosuchprogram"):
        engine.submit(wanted)
    assert engine._inspect(wanted.submission) is None


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"imgae": "x"}, "no option 'imgae'"),
        ({"image": 3}, "is 3: expected a text"),
        ({"image": ""}, "no image is named"),
        ({"volumes": "a:b"}, "expected a list of texts"),
        ({"labels": {"a": 1}}, "expected a mapping of texts to texts"),
        ({"pull": "sometimes"}, "one of missing, always, never"),
    ],
)
def test_a_wrong_option_is_refused_by_name(job: Job, options: dict[str, object], says: str) -> None:
    with pytest.raises(JobRefused, match=says):
        container(job("true", options=options))


@pytest.mark.parametrize(("more", "says"), [({"seconds": 60.0}, "may take 60 s"), ({"memory": 1000}, "1,000 bytes of memory")])
def test_what_docker_cannot_do_is_refused(job: Job, more: dict[str, Any], says: str) -> None:
    with pytest.raises(JobRefused, match=says):
        container(job("true", **more))


def test_an_engine_that_is_not_there_is_unreachable(tmp_path: Path, job: Job) -> None:
    engine = by_address(f"docker://{tmp_path}/nobody.sock")
    assert isinstance(engine, DockerEngine)
    one = engine._handle("a")
    for ask in (lambda: engine.submit(job("true")), lambda: engine.find("a"), lambda: engine.poll([one]), lambda: engine.cancel(one)):
        with pytest.raises(EngineUnreachable, match="no answer"):
            ask()
    gc.collect()


def test_an_engine_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "ANSWER", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        engine = open_engine(f"127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(EngineUnreachable, match="no answer"):
            engine.find("a")


def test_a_container_of_another_engine_is_not_taken_for_one_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A book may be shared by hosts, and their local sockets lead to several engines."""
    theirs = open_engine("node7:2375")._handle("abc")
    with pytest.raises(EngineError, match="at tcp://node7:2375, and docker leads to unix://"):
        open_engine("").poll([theirs])


def test_certificates_that_are_missing_are_told_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    with pytest.raises(EngineError, match="cannot be used"):
        open_engine("127.0.0.1").find("a")


def _processes(words: str) -> list[str]:
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and words in Path(f"/proc/{name}/cmdline").read_text():
                found.append(name)
        except OSError:
            continue
    return found
