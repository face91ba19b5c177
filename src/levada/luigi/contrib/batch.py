"""``luigi.contrib.batch``: jobs of AWS Batch, handed over as `levada.contrib.aws` does: run once, and known by the submission's name."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from levada.contrib import aws
from levada.errors import EngineError, JobFailed
from levada.params import IntParameter, OptionalParameter, StrParameter

logger = logging.getLogger("luigi-interface")

POLL_TIME = 10
BatchJobException = JobFailed


class BatchTask(aws.BatchTask):
    """Runs a job of a definition that is there. job_queue: None for the first one that takes jobs. job_name, poll_time: not used."""

    job_definition = StrParameter()
    job_name = OptionalParameter(default=None)
    job_queue = OptionalParameter(default=None)
    poll_time = IntParameter(default=POLL_TIME)

    @property
    def parameters(self) -> Mapping[str, str]:
        """Texts that the definition has places for."""
        return {}

    def engine_address(self) -> str:
        """The queue."""
        return f"batch://{self.job_queue or _active_queue()}"

    def options(self) -> Mapping[str, object]:
        """Definition and parameters."""
        return {"job_definition": self.job_definition, "parameters": dict(self.parameters)}


def _active_queue() -> str:
    import boto3  # type: ignore[import-untyped, unused-ignore]

    for queue in boto3.client("batch").describe_job_queues()["jobQueues"]:
        if queue["state"] == "ENABLED" and queue["status"] == "VALID":
            return str(queue["jobQueueName"])
    raise EngineError("AWS Batch has no queue that takes jobs", hint="Enable one, or name it as job_queue.")


def __getattr__(name: str) -> Any:
    if name == "BatchClient":
        raise AttributeError("luigi.contrib.batch.BatchClient is left out: BatchTask speaks to AWS by the engine batch:// of Levada")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
