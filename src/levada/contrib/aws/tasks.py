"""Jobs of AWS as tasks, in Luigi's spelling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from levada.handover.task import JobTask


class BatchTask(JobTask):
    """Runs a job of AWS Batch, once.

    job_queue, job_definition: names or ARNs. job_parameters: texts that the definition has places for. `command` goes before the
    definition's; none is the definition's own.
    """

    job_queue: ClassVar[Any] = ""
    job_definition: ClassVar[Any] = ""
    job_parameters: ClassVar[Any] = {}

    def engine_address(self) -> str:
        """The queue."""
        return f"batch://{self.job_queue}"

    def command(self) -> Sequence[str]:
        """None: the job definition's."""
        return ()

    def options(self) -> Mapping[str, object]:
        """Job definition and parameters."""
        return {"job_definition": str(self.job_definition), "parameters": dict(self.job_parameters)}


class ECSTask(JobTask):
    """Runs a task of ECS, once.

    cluster, task_def_arn: names or ARNs. launch_type: "FARGATE", "EC2", or "" for the cluster's own. network: of the task
    (``awsvpcConfiguration``). `command` goes before that of the definition's first container; none is its own.
    """

    cluster: ClassVar[Any] = "default"
    task_def_arn: ClassVar[Any] = ""
    launch_type: ClassVar[Any] = ""
    network: ClassVar[Any] = {}

    def engine_address(self) -> str:
        """The cluster."""
        return f"ecs://{self.cluster}"

    def command(self) -> Sequence[str]:
        """None: the task definition's."""
        return ()

    def options(self) -> Mapping[str, object]:
        """Task definition, launch type and network."""
        return {"task_definition": str(self.task_def_arn), "launch_type": str(self.launch_type), "network": dict(self.network)}
