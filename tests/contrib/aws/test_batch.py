"""Jobs of AWS Batch, as moto plays it with containers of a real engine; and what AWS's own words mean."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from levada.contrib.aws import batch, clients
from levada.contrib.aws.batch import BatchEngine, open_engine, request, status
from levada.errors import EngineError, EngineUnreachable, JobRefused
from levada.handover import JobSpec, JobState, JobStatus
from levada.testing.engines import EngineLaws

from .conftest import Aws

Job = Callable[..., JobSpec]
ARN = "arn:aws:batch:eu-west-1:123456789012:job/"
DEFINED: dict[str, object] = {"job_definition": "busybox"}


class TestLaws(EngineLaws):
    patience = 120.0
    options = DEFINED

    @pytest.fixture(autouse=True)
    def _queue(self, aws: Aws, queue: str) -> None:
        self.queue = queue

    def make_engine(self) -> BatchEngine:
        return open_engine(self.queue)


@pytest.fixture
def engine(aws: Aws, queue: str) -> BatchEngine:
    return open_engine(queue)


def end_of(engine: BatchEngine, handle: str) -> JobStatus:
    deadline = time.monotonic() + 120
    while True:
        (found,) = engine.poll([handle])
        if found.state.is_ended:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


# -- what AWS is asked for ----------------------------------------------------------------------------


def test_a_job_is_asked_for_as_it_is_described(job: Job) -> None:
    options = {
        **DEFINED, "parameters": {"day": "1"}, "tags": {"team": "data"}, "share_identifier": "A", "priority": 3,
        "container_overrides": {"instanceType": "m5.large", "command": ["theirs"]},
    }  # fmt: skip
    wanted = job("sh", "-c", "true", cpus=0.5, memory=(64 << 20) + 1, seconds=5.0, env={"A": "b"}, options=options)
    assert request(wanted, "short") == {
        "jobName": wanted.submission,
        "jobQueue": "short",
        "jobDefinition": "busybox",
        "parameters": {"day": "1"},
        "tags": {"team": "data"},
        "shareIdentifier": "A",
        "schedulingPriorityOverride": 3,
        "retryStrategy": {"attempts": 1},
        "timeout": {"attemptDurationSeconds": 60},
        "containerOverrides": {
            "instanceType": "m5.large",
            "command": ["sh", "-c", "true"],
            "environment": [{"name": "A", "value": "b"}],
            "resourceRequirements": [{"type": "VCPU", "value": "0.5"}, {"type": "MEMORY", "value": "65"}],
        },
    }


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"options": {}}, "no job definition is named"),
        ({"options": {**DEFINED, "job_defintion": "x"}}, "Did you mean 'job_definition'"),
        ({"options": {**DEFINED, "priority": "high"}}, "is 'high': expected a whole number"),
        ({"options": DEFINED, "folder": "/tmp"}, "is to run in /tmp"),
    ],
)
def test_what_cannot_be_is_refused(job: Job, more: dict[str, Any], says: str) -> None:
    with pytest.raises(JobRefused, match=says):
        request(job("true", **more), "short")


# -- what AWS says ------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["SUBMITTED", "PENDING", "RUNNABLE", "STARTING"])
def test_a_job_that_has_not_begun_is_pending(word: str) -> None:
    assert status({"status": word, "statusReason": "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"}) == JobStatus(
        JobState.PENDING, message="MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT"
    )


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ({"statusReason": "Essential container in task exited", "container": {"exitCode": 3}}, (JobState.FAILED, 3)),
        ({"statusReason": "Essential container in task exited", "attempts": [{"container": {"exitCode": 4}}]}, (JobState.FAILED, 4)),
        ({"container": {"exitCode": 137, "reason": "OutOfMemoryError: Container killed due to memory usage"}}, (JobState.KILLED, None)),
        ({"container": {"exitCode": 137}}, (JobState.KILLED, None)),
        ({"statusReason": "Job attempt duration exceeded timeout"}, (JobState.KILLED, None)),
        ({"statusReason": "Host EC2 (instance i-0abc) terminated."}, (JobState.KILLED, None)),
        ({"statusReason": "cancelled by levada", "isTerminated": True, "container": {"exitCode": 143}}, (JobState.KILLED, None)),
        ({"statusReason": "Task failed to start", "container": {"reason": "CannotPullContainerError: no"}}, (JobState.FAILED, None)),
    ],
)
def test_a_job_that_failed_says_whether_it_was_by_itself(told: dict[str, Any], meant: tuple[JobState, int | None]) -> None:
    found = status({"status": "FAILED", **told})
    assert (found.state, found.exit) == meant
    assert found.message


# -- with the server ----------------------------------------------------------------------------------


def test_a_job_runs_with_its_environment_and_what_it_said_is_told(engine: BatchEngine, job: Job) -> None:
    handle = engine.submit(job("sh", "-c", "echo $GREETING; exit 7", env={"GREETING": "hello"}, options=DEFINED))
    found = end_of(engine, handle)
    assert (found.state, found.exit) == (JobState.FAILED, 7)
    assert engine.logs(handle, most=1000) == "hello\n"
    assert handle.rpartition("/")[2] in found.url


SUBMIT_AND_DIE = """\
import os, signal, sys
from levada.handover import JobSpec, open_engine
job = JobSpec(sys.argv[2], "Dies()", ("sh", "-c", "sleep 1; exit 4"), options={"job_definition": "busybox"})
open_engine(f"batch://{sys.argv[1]}").submit(job)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_job_outlives_the_process_that_submitted_it_and_is_found_by_another(engine: BatchEngine, queue: str, job: Job) -> None:
    name = job().submission
    died = subprocess.run([sys.executable, "-c", SUBMIT_AND_DIE, queue, name], timeout=120)
    assert died.returncode == -signal.SIGKILL
    handle = engine.find(name)
    assert handle is not None
    assert end_of(engine, handle).exit == 4


def test_a_job_that_aws_does_not_list_yet_is_found(job: Job) -> None:
    from botocore.stub import Stubber

    engine = open_engine("short")
    with Stubber(engine._clients.of("batch")) as stub:
        stub.add_response("list_jobs", {"jobSummaryList": []})
        stub.add_response("list_jobs", {"jobSummaryList": [{"jobArn": f"{ARN}j1", "jobId": "j1", "jobName": "a"}]})
        assert engine.find("a") == f"{ARN}j1"


def test_more_jobs_than_aws_describes_at_once_are_asked_for_in_parts(engine: BatchEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    client = engine._clients.of("batch")
    describe = client.describe_jobs
    monkeypatch.setattr(client, "describe_jobs", lambda jobs: asked.append(len(jobs)) or describe(jobs=jobs))
    statuses = engine.poll([f"{ARN}00000000-0000-0000-0000-{number:012}" for number in range(250)])
    assert {found.state for found in statuses} == {JobState.FORGOTTEN}
    assert asked == [100, 100, 50]


def test_a_queue_or_definition_that_is_not_there_is_refused_in_the_words_of_aws(engine: BatchEngine, job: Job) -> None:
    with pytest.raises(JobRefused, match="nosuch"):
        engine.submit(job("true", options={"job_definition": "nosuch"}))
    with pytest.raises(JobRefused, match="elsewhere"):
        open_engine("elsewhere").submit(job("true", options=DEFINED))
    with pytest.raises(EngineUnreachable, match="elsewhere"):
        open_engine("elsewhere").find("a")


# -- not answered -------------------------------------------------------------------------------------


def test_aws_that_is_away_is_unreachable_and_a_submission_is_sent_once(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second request could start a second job: AWS takes two of one name."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setattr(clients, "READING", 0.3)
        engine = open_engine("short")
        with pytest.raises(EngineUnreachable, match="no answer"):
            engine.submit(job("true", options=DEFINED))
        server.settimeout(1)
        server.accept()[0].close()
        with pytest.raises(TimeoutError):
            server.accept()
    with pytest.raises(EngineUnreachable, match="no answer"):
        engine.poll([f"{ARN}a"])


@pytest.mark.parametrize(("code", "number"), [("ThrottlingException", 400), ("TooManyRequestsException", 429), ("ServerException", 500)])
def test_aws_that_is_busy_is_unreachable(job: Job, code: str, number: int) -> None:
    from botocore.stub import Stubber

    engine = open_engine("short")
    with Stubber(engine._clients.of("batch", once=True)) as stub, pytest.raises(EngineUnreachable, match=code):
        stub.add_client_error("submit_job", code, "slowly", number)
        engine.submit(job("true", options=DEFINED))


def test_no_credentials_say_nothing_of_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(EngineUnreachable, match="credentials"):
        open_engine("short").poll([f"{ARN}a"])


def test_a_job_of_another_region_is_not_taken_for_one_that_is_gone() -> None:
    with pytest.raises(EngineError, match="was started in us-west-2, and batch://short leads to eu-west-1"):
        open_engine("short").poll(["arn:aws:batch:us-west-2:123456789012:job/j1"])


def test_an_address_without_queue_or_region_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineError, match="batch://QUEUE"):
        open_engine("")
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(EngineError, match="Set AWS_REGION"):
        open_engine("short")
    assert open_engine("arn:aws:batch:us-west-2:123456789012:job-queue/short")._clients.region == "us-west-2"


def test_what_is_sent_and_read_is_as_aws_publishes_it(job: Job) -> None:
    """botocore checks both against AWS's own description of its service."""
    from botocore.stub import Stubber

    engine, wanted = open_engine("short"), job("true", cpus=1, memory=1 << 30, seconds=600.0, options=DEFINED)
    with Stubber(engine._clients.of("batch", once=True)) as stub:
        stub.add_response("submit_job", {"jobName": wanted.submission, "jobId": "j1", "jobArn": f"{ARN}j1"}, request(wanted, "short"))
        assert engine.submit(wanted) == f"{ARN}j1"
    with Stubber(engine._clients.of("batch")) as stub:
        told = {
            "jobName": "a", "jobId": "j1", "jobQueue": "q", "jobDefinition": "d", "startedAt": 0, "status": "FAILED",
            "statusReason": "Essential container in task exited", "container": {"exitCode": 2, "logStreamName": "d/default/1"},
        }  # fmt: skip
        stub.add_response("describe_jobs", {"jobs": [told]}, {"jobs": ["j1"]})
        assert engine.poll([f"{ARN}j1"])[0].exit == 2
        stub.add_response("terminate_job", {}, {"jobId": "j1", "reason": "cancelled by levada"})
        engine.cancel(f"{ARN}j1")
        stub.add_response("describe_jobs", {"jobs": [told]}, {"jobs": ["j1"]})
        with Stubber(engine._clients.of("logs")) as logs:
            events = [{"timestamp": 0, "message": "one", "ingestionTime": 0}, {"timestamp": 1, "message": "two", "ingestionTime": 1}]
            where = {"logGroupName": batch.GROUP, "logStreamName": "d/default/1", "startFromHead": False, "limit": 10_000}
            logs.add_response("get_log_events", {"events": events}, where)
            assert engine.logs(f"{ARN}j1", most=6) == "e\ntwo\n"
