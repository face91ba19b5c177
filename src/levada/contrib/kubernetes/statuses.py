"""What a Job and its pod say of themselves, in the words of the port.

The Job decides whether it is over; its pod tells how, and why it waits. Kubernetes goes on trying to pull an image and to place
a pod for ever, so such a job is pending, and says why; its ``seconds`` count from the beginning, waiting included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from levada._model.engines import JobState, JobStatus

Thing = Mapping[str, Any]

NO_POD = JobStatus(JobState.PENDING, message="it has no pod yet: `kubectl describe job` tells why, if that lasts")
_FROM_OUTSIDE = {137: "SIGKILL", 143: "SIGTERM"}  # the first process of a container cannot send itself these
_SCHEDULED_AWAY = ("Evicted", "Preempting", "NodeLost", "NodeShutdown", "Terminated", "NodeAffinity", "Shutdown")


def status(job: Thing, pods: Sequence[Thing]) -> JobStatus:
    """How a job stands; pods: those that it made, which may be none any more."""
    pod = max(pods, key=lambda one: one["metadata"].get("creationTimestamp") or "", default=None)
    said = {one["type"]: one for one in job.get("status", {}).get("conditions") or () if one.get("status") == "True"}
    if "Complete" in said:
        return JobStatus(JobState.SUCCEEDED, 0)
    if "Failed" in said:
        return _failed(said["Failed"], pod)
    if "deletionTimestamp" in job["metadata"]:
        return JobStatus(JobState.RUNNING, message="it was cancelled, and its pod is being ended")
    if "Suspended" in said:
        return JobStatus(JobState.PENDING, message=f"suspended: {said['Suspended'].get('message') or 'by its cluster'}")
    if pod is None:
        return NO_POD
    if pod.get("status", {}).get("phase", "Pending") == "Pending":
        return JobStatus(JobState.PENDING, message=_waits(pod))
    return JobStatus(JobState.RUNNING)


def _failed(failed: Thing, pod: Thing | None) -> JobStatus:
    if failed.get("reason") == "DeadlineExceeded":
        return JobStatus(JobState.KILLED, message=words("DeadlineExceeded", failed.get("message")))
    if pod is None:
        return JobStatus(JobState.KILLED, message=f"its pod was removed: {words(failed.get('reason'), failed.get('message'))}")
    found = pod.get("status", {})
    if found.get("reason") in _SCHEDULED_AWAY:
        return JobStatus(JobState.KILLED, message=words(found["reason"], found.get("message")))
    for one in found.get("conditions") or ():
        if one["type"] == "DisruptionTarget" and one["status"] == "True":
            return JobStatus(JobState.KILLED, message=words(one.get("reason"), one.get("message")))
    for ended in _ended(pod):
        return _as_ended(ended)
    return JobStatus(
        JobState.FAILED, message=words(found.get("reason") or failed.get("reason"), found.get("message") or failed.get("message"))
    )


def _ended(pod: Thing) -> list[Thing]:
    """What is known of containers that ended badly: the job's own first."""
    order = {one["name"]: place for place, one in enumerate(pod["spec"]["containers"])}
    found = [*(pod["status"].get("containerStatuses") or ()), *(pod["status"].get("initContainerStatuses") or ())]
    states = [(order.get(one["name"], len(order)), one["state"]["terminated"]) for one in found if "terminated" in one.get("state", {})]
    return [one for _, one in sorted(states, key=lambda pair: pair[0]) if one.get("exitCode")]


def _as_ended(ended: Thing) -> JobStatus:
    number = int(ended["exitCode"])
    if ended.get("reason") == "OOMKilled":
        return JobStatus(JobState.KILLED, message="OOMKilled: out of memory")
    if number in _FROM_OUTSIDE:
        return JobStatus(JobState.KILLED, message=f"ended by {_FROM_OUTSIDE[number]}")
    reason = "" if ended.get("reason") == "Error" else ended.get("reason")
    return JobStatus(JobState.FAILED, number, message=words(reason, ended.get("message")) or f"exit status {number}")


def _waits(pod: Thing) -> str:
    """Why a pod is pending; "" when it is just about to begin."""
    found = pod.get("status", {})
    for one in [*(found.get("initContainerStatuses") or ()), *(found.get("containerStatuses") or ())]:
        waiting = one.get("state", {}).get("waiting")
        if waiting and waiting.get("reason") not in ("ContainerCreating", "PodInitializing"):
            return words(waiting.get("reason"), waiting.get("message"))
    for one in found.get("conditions") or ():
        if one["type"] == "PodScheduled" and one["status"] == "False":
            return words(one.get("reason"), one.get("message"))
    return ""


def words(reason: str | None, message: str | None) -> str:
    """A reason and its message in one line."""
    return " ".join(": ".join(part for part in (reason, message) if part).split())[:500]
