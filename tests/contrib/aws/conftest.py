"""AWS as moto plays it: its Batch runs jobs in containers of a real engine, its ECS keeps tasks without running them."""

from __future__ import annotations

import os
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from levada.handover import JobSpec
from tests.contrib.docker.podman import IMAGE, podman
from tests.contrib.objects.servers import running, speaks
from tests.contrib.ports import free_ports

KEYS = {
    "AWS_ACCESS_KEY_ID": "levada",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret",
    "AWS_REGION": "eu-west-1",
    "AWS_DEFAULT_REGION": "eu-west-1",
}


class Aws(NamedTuple):
    """A server that plays AWS. environment: by which clients find it."""

    port: int
    environment: dict[str, str]

    def client(self, service: str) -> Any:
        import boto3

        return boto3.client(service, region_name="eu-west-1", endpoint_url=f"http://127.0.0.1:{self.port}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs the engine of containers runs in one process, so that there is one."""
    for item in items:
        if "aws" in getattr(item, "fixturenames", ()) and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.xdist_group("podman"))
            item.add_marker(pytest.mark.timeout(240))


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """None of the developer's own credentials."""
    pytest.importorskip("boto3", reason="boto3 is not installed (levada[aws])")
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("levada.contrib.aws.clients.SETTLING", 0.1)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def server() -> Iterator[Aws]:
    pytest.importorskip("moto", reason='there is no moto (pip install "moto[s3]" flask flask-cors docker)')
    with podman() as engine, tempfile.TemporaryDirectory(prefix="levada-aws-") as folder:
        (port,) = free_ports(1)
        environment = {**KEYS, "DOCKER_HOST": f"unix://{engine.socket}", "MOTO_DOCKER_NETWORK_MODE": "host"}
        command = [sys.executable, str(Path(__file__).with_name("moto_server.py")), "-H", "127.0.0.1", "-p", str(port)]
        with running(command, folder, lambda: speaks(f"http://127.0.0.1:{port}/moto-api/"), environment):
            yield Aws(port, {**KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"})


@pytest.fixture
def aws(server: Aws, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """The server, to which the environment of the test leads."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return server


@pytest.fixture(scope="session")
def queue(server: Aws) -> str:
    """A queue of Batch; there is a job definition "busybox", too."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in KEYS.items():
            patch.setenv(name, value)
        batch = server.client("batch")
        role = server.client("iam").create_role(RoleName="batch", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        where = batch.create_compute_environment(
            computeEnvironmentName="here", type="UNMANAGED", state="ENABLED", serviceRole=role
        )["computeEnvironmentArn"]  # fmt: skip
        batch.create_job_queue(
            jobQueueName="short", state="ENABLED", priority=1, computeEnvironmentOrder=[{"order": 1, "computeEnvironment": where}]
        )
        wanted = [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"}]
        batch.register_job_definition(
            jobDefinitionName="busybox", type="container",
            containerProperties={"image": IMAGE, "command": ["true"], "resourceRequirements": wanted},
        )  # fmt: skip
    return "short"


@pytest.fixture(scope="session")
def cluster(server: Aws) -> str:
    """A cluster of ECS; there is a task definition "busybox" with two containers, too."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in KEYS.items():
            patch.setenv(name, value)
        ecs = server.client("ecs")
        ecs.create_cluster(clusterName="here")
        logs = {"logDriver": "awslogs", "options": {"awslogs-group": "/ecs/busybox", "awslogs-stream-prefix": "run"}}
        containers = [
            {"name": "main", "image": IMAGE, "memory": 128, "logConfiguration": logs},
            {"name": "side", "image": IMAGE, "memory": 64},
        ]
        ecs.register_task_definition(family="busybox", containerDefinitions=containers, cpu="256", memory="512")
    return "here"


@pytest.fixture
def job() -> Callable[..., JobSpec]:
    """Makes jobs under new names."""

    def make(*argv: str, options: dict[str, object] | None = None, **more: object) -> JobSpec:
        name = f"levada-{uuid.uuid4().hex[:12]}"
        return JobSpec(name, f"Test({name})", argv, options=options or {}, **more)  # type: ignore[arg-type]

    return make
