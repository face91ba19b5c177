"""Tasks of ECS, as moto keeps them (it runs none); and what AWS's own words mean."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from levada.contrib.aws.ecs import ECSEngine, open_engine, request, status
from levada.errors import EngineUnreachable, JobRefused
from levada.handover import JobSpec, JobState

from .conftest import Aws

Job = Callable[..., JobSpec]
DEFINED: dict[str, object] = {"task_definition": "busybox", "launch_type": "FARGATE"}
ARN = "arn:aws:ecs:eu-west-1:123456789012:task/here/0123"


def test_what_the_options_say_of_the_jobs_own_container_stays(job: Job) -> None:
    theirs = {"name": "main", "cpu": 256, "environment": [{"name": "A", "value": "theirs"}, {"name": "C", "value": "d"}]}
    options = {**DEFINED, "container": "main", "overrides": {"containerOverrides": [theirs]}}
    (found,) = request(job("true", env={"A": "b"}, options=options), "here")["overrides"]["containerOverrides"]
    assert found == {
        "name": "main", "cpu": 256, "command": ["true"], "environment": [{"name": "C", "value": "d"}, {"name": "A", "value": "b"}],
    }  # fmt: skip


def test_further_fields_of_the_request_go_with_it(job: Job) -> None:
    more = {"propagateTags": "TASK_DEFINITION", "cluster": "another"}
    found = request(job("true", options={**DEFINED, "request": more}), "here")
    assert (found["propagateTags"], found["cluster"]) == ("TASK_DEFINITION", "here")


@pytest.fixture
def engine(aws: Aws, cluster: str) -> ECSEngine:
    return open_engine(cluster)


# -- what AWS is asked for ----------------------------------------------------------------------------


def test_a_job_is_asked_for_as_it_is_described(job: Job) -> None:
    options = {
        "task_definition": "busybox:3", "container": "main", "platform_version": "1.4.0", "tags": {"team": "data"},
        "capacity_providers": [{"capacityProvider": "FARGATE_SPOT"}], "network": {"subnets": ["subnet-1"], "assignPublicIp": "ENABLED"},
        "overrides": {"taskRoleArn": "arn:r", "containerOverrides": [{"name": "side", "command": ["x"]}]},
    }  # fmt: skip
    wanted = job("sh", "-c", "true", cpus=0.5, memory=64 << 20, env={"A": "b"}, options=options)
    assert request(wanted, "here") == {
        "cluster": "here",
        "taskDefinition": "busybox:3",
        "startedBy": wanted.submission,
        "clientToken": wanted.submission,
        "count": 1,
        "tags": [{"key": "team", "value": "data"}],
        "platformVersion": "1.4.0",
        "capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT"}],
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"], "assignPublicIp": "ENABLED"}},
        "overrides": {
            "taskRoleArn": "arn:r",
            "containerOverrides": [
                {
                    "name": "main",
                    "command": ["sh", "-c", "true"],
                    "environment": [{"name": "A", "value": "b"}],
                    "cpu": 512,
                    "memory": 64,
                },
                {"name": "side", "command": ["x"]},
            ],
        },
    }


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"options": {}}, "no task definition is named"),
        ({"options": {**DEFINED, "subnets": ["x"]}}, "no option 'subnets'"),
        ({"options": DEFINED, "folder": "/tmp"}, "is to run in /tmp"),
        ({"options": DEFINED, "seconds": 60.0}, "may take 60 s"),
    ],
)
def test_what_cannot_be_is_refused(job: Job, more: dict[str, Any], says: str) -> None:
    with pytest.raises(JobRefused, match=says):
        request(job("true", **more), "here")


# -- what AWS says ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "state"),
    [("PROVISIONING", JobState.PENDING), ("PENDING", JobState.PENDING), ("ACTIVATING", JobState.PENDING), ("RUNNING", JobState.RUNNING)]
    + [(word, JobState.RUNNING) for word in ("DEACTIVATING", "STOPPING", "DEPROVISIONING")],
)
def test_a_task_is_over_when_it_has_stopped(word: str, state: JobState) -> None:
    assert status({"lastStatus": word}).state is state


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ({"stopCode": "EssentialContainerExited", "containers": [{"name": "main", "exitCode": 0}]}, (JobState.SUCCEEDED, 0)),
        ({"stopCode": "EssentialContainerExited", "containers": [{"name": "main", "exitCode": 3}]}, (JobState.FAILED, 3)),
        (
            {
                "overrides": {"containerOverrides": [{"name": "main"}]},
                "containers": [{"name": "side", "exitCode": 0}, {"name": "main", "exitCode": 5}],
            },
            (JobState.FAILED, 5),
        ),
        ({"containers": [{"name": "main", "exitCode": 137, "reason": "OutOfMemoryError: Container killed"}]}, (JobState.KILLED, None)),
        ({"containers": [{"name": "main", "exitCode": 143}]}, (JobState.KILLED, None)),
        ({"stopCode": "UserInitiated", "stoppedReason": "cancelled by levada"}, (JobState.KILLED, None)),
        ({"stopCode": "SpotInterruption", "stoppedReason": "Your Spot Task was interrupted."}, (JobState.KILLED, None)),
        (
            {"stopCode": "TaskFailedToStart", "containers": [{"name": "main", "reason": "CannotPullContainerError"}]},
            (JobState.FAILED, None),
        ),
        ({"containers": []}, (JobState.FAILED, None)),
    ],
)
def test_a_stopped_task_says_how_it_ended(told: dict[str, Any], meant: tuple[JobState, int | None]) -> None:
    found = status({"lastStatus": "STOPPED", "stoppedReason": "Essential container in task exited", **told})
    assert (found.state, found.exit) == meant
    assert bool(found.message) is (found.state is not JobState.SUCCEEDED)


# -- with the server ----------------------------------------------------------------------------------


def test_a_task_is_run_found_followed_and_stopped(aws: Aws, engine: ECSEngine, job: Job) -> None:
    wanted = job("sh", "-c", "true", env={"A": "b"}, options=DEFINED)
    assert engine.find(wanted.submission) is None
    handle = engine.submit(wanted)
    assert engine.find(wanted.submission) == handle
    (found,) = aws.client("ecs").describe_tasks(cluster="here", tasks=[handle])["tasks"]
    assert found["overrides"]["containerOverrides"][0]["name"] == "main", "where none is named, the words are for the first one"
    assert not engine.poll([handle])[0].state.is_ended
    engine.cancel(handle)
    (ended,) = engine.poll([handle])
    assert ended.state is JobState.KILLED
    assert "cancelled by levada" in ended.message
    assert handle.rpartition("/")[2] in ended.url
    engine.cancel(handle)
    assert engine.find(wanted.submission) == handle, "also when it has stopped"


def test_what_a_task_said_is_read_where_its_definition_logs(aws: Aws, engine: ECSEngine, job: Job) -> None:
    handle = engine.submit(job("true", options=DEFINED))
    assert engine.logs(handle, most=100) == ""
    logs, stream = aws.client("logs"), f"run/main/{handle.rpartition('/')[2]}"
    logs.create_log_group(logGroupName="/ecs/busybox")
    logs.create_log_stream(logGroupName="/ecs/busybox", logStreamName=stream)
    logs.put_log_events(
        logGroupName="/ecs/busybox", logStreamName=stream, logEvents=[{"timestamp": int(time.time() * 1000), "message": "olá"}]
    )
    assert engine.logs(handle, most=100) == "olá\n"
    assert engine.logs(handle, most=2) == "\n", "half a letter is none"


def test_a_definition_or_cluster_that_is_not_there_is_refused_in_the_words_of_aws(engine: ECSEngine, job: Job) -> None:
    with pytest.raises(JobRefused, match="task definition"):
        engine.submit(job("true", options={"task_definition": "nosuch"}))
    with pytest.raises(JobRefused, match="Cluster not found"):
        open_engine("elsewhere").submit(job("true", options=DEFINED))


def test_a_task_that_aws_has_forgotten_is_forgotten(engine: ECSEngine) -> None:
    assert engine.poll([ARN])[0].state is JobState.FORGOTTEN
    assert engine.logs(ARN, most=10) == ""
    engine.cancel(ARN)


# -- as AWS publishes it ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        ("RESOURCE:MEMORY", EngineUnreachable),
        ("Capacity is unavailable at this time. Please try again later", EngineUnreachable),
        ("ATTRIBUTE", JobRefused),
    ],
)
def test_a_cluster_without_room_is_asked_again_and_one_that_never_fits_is_not(job: Job, reason: str, error: type[Exception]) -> None:
    from botocore.stub import Stubber

    engine = open_engine("here")
    with Stubber(engine._clients.of("ecs")) as stub, pytest.raises(error, match=reason):
        stub.add_response("run_task", {"tasks": [], "failures": [{"arn": ARN, "reason": reason}]})
        engine.submit(job(options=DEFINED))


def test_what_is_sent_and_read_is_as_aws_publishes_it(job: Job) -> None:
    """botocore checks both against AWS's own description of its service."""
    from botocore.stub import Stubber

    engine, wanted = open_engine("here"), job("true", options={**DEFINED, "container": "main"})
    told = {
        "taskArn": ARN, "lastStatus": "STOPPED", "stopCode": "EssentialContainerExited", "stoppedReason": "exited",
        "overrides": {"containerOverrides": [{"name": "main"}]}, "containers": [{"name": "main", "exitCode": 2}],
    }  # fmt: skip
    with Stubber(engine._clients.of("ecs")) as stub:
        stub.add_response("run_task", {"tasks": [{"taskArn": ARN}], "failures": []}, request(wanted, "here"))
        assert engine.submit(wanted) == ARN
        stub.add_response("list_tasks", {"taskArns": []}, {"cluster": "here", "startedBy": "a", "desiredStatus": "RUNNING"})
        stub.add_response("list_tasks", {"taskArns": [ARN]}, {"cluster": "here", "startedBy": "a", "desiredStatus": "STOPPED"})
        assert engine.find("a") == ARN
        stub.add_response("describe_tasks", {"tasks": [told], "failures": []}, {"cluster": "here", "tasks": [ARN]})
        assert engine.poll([ARN])[0].exit == 2
