"""Elastic Container Service: a task of a task definition that is there already, with the job's command for one of its containers.

AWS itself judges that a submission is taken once (`clientToken`). It keeps a stopped task for an hour: one that nobody asked after for
so long is forgotten.
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

_PENDING = ("PROVISIONING", "PENDING", "ACTIVATING")
CANCELLED = "cancelled by levada"
_KILLED = ("UserInitiated", "SpotInterruption", "TerminationNotice", "ServiceSchedulerInitiated")
_NO_ROOM = re.compile(r"^RESOURCE:|^AGENT$|capacity is unavailable", re.IGNORECASE)  # another try may help


def open_engine(address: str) -> ECSEngine:
    """The engine of a cluster, by name or ARN. Raises EngineError: no boto3, no cluster, or no region."""
    return ECSEngine(address)


class ECSEngine:
    """Tasks of one cluster. A handle is the task's ARN."""

    name = "ecs"
    poll_seconds = 10.0

    def __init__(self, cluster: str) -> None:
        self._cluster = cluster
        self._clients = Clients(f"ecs://{cluster}", cluster)

    def __repr__(self) -> str:
        return f"<{self._clients.address}>"

    def submit(self, job: JobSpec) -> str:
        """Run it; its ARN. Raises JobRefused, with AWS's words, or EngineUnreachable, also where the cluster has no room now."""
        wanted = request(job, self._cluster)
        hint = f"Are there a cluster {self._cluster} and a task definition {wanted['taskDefinition']}?"
        try:
            with self._clients.translated():
                self._name_container(wanted)
                answer = self._clients.of("ecs").run_task(**wanted)
        except Refusal as refusal:
            raise refusal.of(job.title, hint) from refusal
        for task in answer["tasks"]:
            return str(task["taskArn"])
        reasons = (
            "; ".join(": ".join(filter(None, (one.get("reason"), one.get("detail")))) for one in answer["failures"]) or "no reason given"
        )
        if any(_NO_ROOM.search(one.get("reason") or "") for one in answer["failures"]):
            raise self._clients.unreachable(f"the cluster has no room for {job.title}: {reasons}")
        raise JobRefused(f"{job.title}: AWS refused it: {reasons}", hint=hint)

    def find(self, submission: str) -> str | None:
        """The ARN of the task that was started under that name, if it runs or stopped within the hour. None takes some seconds."""
        return looked_for(lambda: self._listed(submission))

    def poll(self, handles: Sequence[str]) -> Sequence[JobStatus]:
        """One question for a hundred tasks."""
        known = {one["taskArn"]: one for one in self._described(handles)}
        return [self._status(known.get(handle)) for handle in handles]

    def cancel(self, handle: str) -> None:
        """Stop it: SIGTERM, and SIGKILL 30 seconds later as a rule."""
        if any(one["lastStatus"] != "STOPPED" for one in self._described([handle])):
            with self._clients.told():
                self._clients.of("ecs").stop_task(cluster=self._cluster, task=handle, reason=CANCELLED)

    def logs(self, handle: str, *, most: int) -> str:
        """The last of its stream in CloudWatch, a MB at most; "" where it logs elsewhere, or these credentials may not read it."""
        for task in self._described([handle]):
            try:
                with self._clients.translated():
                    defined = self._definition(task["taskDefinitionArn"])
            except Refusal:
                return ""
            name = _main(task)
            container = next((one for one in defined if one["name"] == name), defined[0])
            options = container.get("logConfiguration", {}).get("options", {})
            if "awslogs-group" in options and "awslogs-stream-prefix" in options:
                stream = f"{options['awslogs-stream-prefix']}/{container['name']}/{handle.rpartition('/')[2]}"
                return self._clients.log(options["awslogs-group"], stream, most)
        return ""

    def forget(self, handle: str) -> None:
        """AWS forgets it by itself."""

    # -- what the verbs are made of ------------------------------------------------------------

    def _listed(self, submission: str) -> str | None:
        with self._clients.told():
            client = self._clients.of("ecs")
            for wanted in ("RUNNING", "STOPPED"):
                for arn in client.list_tasks(cluster=self._cluster, startedBy=submission, desiredStatus=wanted)["taskArns"]:
                    return str(arn)
        return None

    def _described(self, handles: Sequence[str]) -> list[Mapping[str, Any]]:
        for handle in handles:
            self._clients.ours(handle)
        with self._clients.told():
            client = self._clients.of("ecs")
            return [task for part in in_parts(handles) for task in client.describe_tasks(cluster=self._cluster, tasks=part)["tasks"]]

    def _definition(self, name: str) -> list[Mapping[str, Any]]:
        """The containers of a task definition."""
        answer = self._clients.of("ecs").describe_task_definition(taskDefinition=name)
        return list(answer["taskDefinition"]["containerDefinitions"])

    def _name_container(self, wanted: dict[str, Any]) -> None:
        """Where the job names no container, its words are for the definition's first one."""
        for override in wanted["overrides"].get("containerOverrides", ()):
            if not override["name"]:
                override["name"] = self._definition(wanted["taskDefinition"])[0]["name"]

    def _status(self, task: Mapping[str, Any] | None) -> JobStatus:
        if task is None:
            return JobStatus(JobState.FORGOTTEN, message="AWS has no such task any more: it keeps stopped ones for an hour")
        region, cluster = self._clients.region, self._cluster.rpartition("/")[2]
        here = (
            f"https://{region}.console.aws.amazon.com/ecs/v2/clusters/{cluster}/tasks/{task['taskArn'].rpartition('/')[2]}?region={region}"
        )
        return status(task)._replace(url=here)


def request(job: JobSpec, cluster: str) -> dict[str, Any]:
    """What AWS is asked for. Raises JobRefused for what it cannot do."""
    options = Options("ecs", job)
    wanted: dict[str, Any] = {
        **options.mapping("request"),
        "cluster": cluster,
        "taskDefinition": options.text("task_definition"),
        "startedBy": job.submission,
        "clientToken": job.submission,
        "count": 1,
        "tags": [{"key": key, "value": value} for key, value in options.labels("tags").items()],
    }
    for option, field in (("launch_type", "launchType"), ("platform_version", "platformVersion")):
        if text := options.text(option):
            wanted[field] = text
    if providers := options.mappings("capacity_providers"):
        wanted["capacityProviderStrategy"] = providers
    if network := options.mapping("network"):
        wanted["networkConfiguration"] = {"awsvpcConfiguration": network}
    container, overrides = options.text("container"), options.mapping("overrides")
    options.end()
    no_folder(job)
    if not wanted["taskDefinition"]:
        raise JobRefused(
            f"{job.title}: no task definition is named", hint='options() gives {"task_definition": "NAME"}, with :REVISION if you like.'
        )
    if job.seconds is not None:
        raise JobRefused(
            f"{job.title}: may take {job.seconds:g} s, and ECS stops no task after a time",
            hint="Leave `seconds` out, and give the task a `timeout`: the job is cancelled then.",
        )
    if ours := _override(job):
        given = overrides.get("containerOverrides")
        known = given if isinstance(given, list) else []
        same: dict[str, Any] = next((one for one in known if one.get("name") == container), {})
        others = [one for one in known if one.get("name") != container]
        overrides["containerOverrides"] = [_merged({"name": container, **same}, ours), *others]
    wanted["overrides"] = overrides
    return wanted


def _merged(given: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """What the job says, over what its options say of the same container; variables of both."""
    names = {one["name"] for one in ours.get("environment", ())}
    kept = [one for one in given.get("environment", ()) if one.get("name") not in names]
    merged = {**given, **ours}
    return {**merged, "environment": [*kept, *ours.get("environment", ())]} if kept else merged


def _override(job: JobSpec) -> dict[str, Any]:
    ours: dict[str, Any] = {}
    if job.argv:
        ours["command"] = list(job.argv)
    if job.env:
        ours["environment"] = environment(job)
    if job.cpus is not None:
        ours["cpu"] = math.ceil(job.cpus * 1024)
    if job.memory is not None:
        ours["memory"] = math.ceil(job.memory / (1 << 20))
    return ours


def status(task: Mapping[str, Any]) -> JobStatus:
    """What AWS's description of a task means."""
    last = task["lastStatus"]
    if last != "STOPPED":
        return JobStatus(JobState.PENDING if last in _PENDING else JobState.RUNNING)
    name, containers = _main(task), task.get("containers") or []
    container = next((one for one in containers if one.get("name") == name), containers[0] if containers else {})
    words = ": ".join(dict.fromkeys(part for part in (task.get("stoppedReason"), container.get("reason")) if part))
    number = container.get("exitCode")
    if task.get("stopCode") in _KILLED or "OutOfMemory" in words or CANCELLED in words:
        return JobStatus(JobState.KILLED, message=words)
    if number in FROM_OUTSIDE:
        return JobStatus(JobState.KILLED, message=f"ended by {FROM_OUTSIDE[number]}: {words}")
    return JobStatus(JobState.SUCCEEDED if number == 0 else JobState.FAILED, number, message="" if number == 0 else words)


def _main(task: Mapping[str, Any]) -> str:
    """The container that the job's command was for; "" where none was named."""
    overrides = task.get("overrides", {}).get("containerOverrides") or [{}]
    return str(overrides[0].get("name") or "")
