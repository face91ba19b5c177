"""AWS Batch: a job of a queue, described by a job definition that is there already (image, role, volumes), with the task's command.

AWS takes two jobs of one name, so a request whose answer is lost is not repeated: `find` looks for its job by name, and AWS lists a job
some seconds after it was taken. It keeps what became of a job for a week or so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from levada._model.engines import JobSpec, JobState, JobStatus
from levada.errors import JobRefused
from levada.handover.options import Options

from .clients import FROM_OUTSIDE, Clients, Refusal, environment, in_parts, looked_for, no_folder

GROUP = "/aws/batch/job"  # of logs, unless the job definition names another
_LEAST = 60  # seconds that AWS gives a job at least
_STATES = {
    "SUBMITTED": JobState.PENDING,
    "PENDING": JobState.PENDING,
    "RUNNABLE": JobState.PENDING,
    "STARTING": JobState.PENDING,
    "RUNNING": JobState.RUNNING,
    "SUCCEEDED": JobState.SUCCEEDED,
    "FAILED": JobState.FAILED,
}
_KILLED = re.compile(r"OutOfMemory|exceeded timeout|Host EC2 .* terminated|Spot|terminated by user|cancell?ed", re.IGNORECASE)


def open_engine(address: str) -> BatchEngine:
    """The engine of a job queue, by name or ARN. Raises EngineError: no boto3, no queue, or no region."""
    return BatchEngine(address)


class BatchEngine:
    """Jobs of one queue. A handle is the job's ARN."""

    name = "batch"
    poll_seconds = 10.0

    def __init__(self, queue: str) -> None:
        self._queue = queue
        self._clients = Clients(f"batch://{queue}", queue)

    def __repr__(self) -> str:
        return f"<{self._clients.address}>"

    def submit(self, job: JobSpec) -> str:
        """Submit it, with one attempt; its ARN. Raises JobRefused, with AWS's words, or EngineUnreachable."""
        wanted = request(job, self._queue)
        try:
            with self._clients.translated():
                return str(self._clients.of("batch", once=True).submit_job(**wanted)["jobArn"])
        except Refusal as refusal:
            raise refusal.of(job.title, f"Are there a queue {self._queue} and a job definition {wanted['jobDefinition']}?") from refusal

    def find(self, submission: str) -> str | None:
        """The ARN of the job of that name in the queue. None takes some seconds."""
        return looked_for(lambda: self._listed(submission))

    def poll(self, handles: Sequence[str]) -> Sequence[JobStatus]:
        """One question for a hundred jobs."""
        known = {one["jobId"]: one for one in self._described(handles)}
        return [self._status(known.get(self._clients.ours(handle))) for handle in handles]

    def cancel(self, handle: str) -> None:
        """Terminate it; one that has not begun is cancelled."""
        identity = self._clients.ours(handle)
        with self._clients.told():
            self._clients.of("batch").terminate_job(jobId=identity, reason="cancelled by levada")

    def logs(self, handle: str, *, most: int) -> str:
        """The last of its stream in CloudWatch, a MB at most; "" where these credentials may not read it."""
        for job in self._described([handle]):
            container = _container(job)
            if stream := container.get("logStreamName"):
                options = container.get("logConfiguration", {}).get("options", {})
                return self._clients.log(options.get("awslogs-group", GROUP), stream, most)
        return ""

    def forget(self, handle: str) -> None:
        """AWS forgets it by itself."""

    def _listed(self, submission: str) -> str | None:
        with self._clients.told():
            pages = self._clients.of("batch").get_paginator("list_jobs")
            for page in pages.paginate(jobQueue=self._queue, filters=[{"name": "JOB_NAME", "values": [submission]}]):
                for job in page["jobSummaryList"]:
                    return str(job["jobArn"])
        return None

    def _described(self, handles: Sequence[str]) -> list[Mapping[str, Any]]:
        wanted = [self._clients.ours(handle) for handle in handles]
        with self._clients.told():
            client = self._clients.of("batch")
            return [job for part in in_parts(wanted) for job in client.describe_jobs(jobs=part)["jobs"]]

    def _status(self, job: Mapping[str, Any] | None) -> JobStatus:
        if job is None:
            return JobStatus(JobState.FORGOTTEN, message="AWS has no such job any more")
        region = self._clients.region
        return status(job)._replace(url=f"https://{region}.console.aws.amazon.com/batch/home?region={region}#jobs/detail/{job['jobId']}")


def request(job: JobSpec, queue: str) -> dict[str, Any]:
    """What AWS is asked for. Raises JobRefused for what it cannot do."""
    options = Options("batch", job)
    definition = options.text("job_definition")
    overrides = options.mapping("container_overrides")
    wanted: dict[str, Any] = {
        "jobName": job.submission,
        "jobQueue": queue,
        "jobDefinition": definition,
        "parameters": options.labels("parameters"),
        "tags": options.labels("tags"),
        "retryStrategy": {"attempts": 1},  # another attempt is for the task's retries to say
    }
    if share := options.text("share_identifier"):
        wanted["shareIdentifier"] = share
    if (priority := options.whole("priority")) is not None:
        wanted["schedulingPriorityOverride"] = priority
    options.end()
    no_folder(job)
    if not definition:
        raise JobRefused(
            f"{job.title}: no job definition is named", hint='options() gives {"job_definition": "NAME"}, with :REVISION if you like.'
        )
    if job.seconds is not None:
        wanted["timeout"] = {"attemptDurationSeconds": max(_LEAST, math.ceil(job.seconds))}
    if job.argv:
        overrides["command"] = list(job.argv)
    if job.env:
        overrides["environment"] = environment(job)
    if amounts := _amounts(job):
        overrides["resourceRequirements"] = amounts
    wanted["containerOverrides"] = overrides
    return wanted


def _amounts(job: JobSpec) -> list[dict[str, str]]:
    amounts = []
    if job.cpus is not None:
        amounts.append({"type": "VCPU", "value": f"{job.cpus:g}"})
    if job.memory is not None:
        amounts.append({"type": "MEMORY", "value": str(math.ceil(job.memory / (1 << 20)))})
    return amounts


def status(job: Mapping[str, Any]) -> JobStatus:
    """What AWS's description of a job means."""
    container, state = _container(job), _STATES.get(job["status"], JobState.RUNNING)
    words = ": ".join(dict.fromkeys(part for part in (job.get("statusReason"), container.get("reason")) if part))
    number = container.get("exitCode")
    if state is JobState.SUCCEEDED:
        return JobStatus(state, 0 if number is None else number)
    if state is not JobState.FAILED:
        return JobStatus(state, message=words)
    if job.get("isTerminated") or job.get("isCancelled") or _KILLED.search(words):
        return JobStatus(JobState.KILLED, message=words)
    if number in FROM_OUTSIDE:
        return JobStatus(JobState.KILLED, message=f"ended by {FROM_OUTSIDE[number]}: {words}")
    return JobStatus(JobState.FAILED, number, message=words)


def _container(job: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is known of a job's container: of its newest attempt, where AWS tells of attempts alone."""
    known: dict[str, Any] = dict(job.get("container") or {})
    for attempt in (job.get("attempts") or [])[-1:]:
        known = {**known, **attempt.get("container", {})}
    return known
