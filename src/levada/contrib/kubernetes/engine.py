"""Jobs of Kubernetes: each a ``batch/v1`` Job named by its submission, with one pod and one try.

Laws: a name is taken once, which the cluster itself judges, so a submission that is repeated finds the job of the first one; a
job that failed is not started again by its cluster (`backoffLimit: 0`), since that is for whoever wanted it to say.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from levada._model.engines import JobSpec, JobState, JobStatus
from levada.errors import EngineUnreachable, JobRefused

from .api import PAGE, Api, Refusal
from .manifest import LABEL, manifest
from .statuses import NO_POD, status, words

_BY_NAME = 40  # jobs that are asked for by their names; more are picked out of all of ours
_LINES = 10_000  # of a log that are asked for; more would be read only to be thrown away


def open_engine(address: str) -> KubernetesEngine:
    """The engine of ``context/namespace``; either may be left out. Raises EngineError: no lightkube, no configuration, no such context."""
    return KubernetesEngine(address)


class KubernetesEngine:
    """Jobs in one namespace of a cluster. A handle is ``namespace/name``."""

    name = "k8s"
    poll_seconds = 5.0

    def __init__(self, address: str) -> None:
        self._api = Api(address)

    def __repr__(self) -> str:
        return f"<{self._api.address}>"

    def submit(self, job: JobSpec) -> str:
        """Make the Job. Raises JobRefused, with the cluster's words, or EngineUnreachable."""
        body = manifest(job)
        try:
            self._api.ask("POST", _jobs(self._api.namespace), {"fieldValidation": "Strict"}, body)
        except Refusal as refusal:
            if refusal.reason == "Conflict":  # something that the job counts on was changed by another at this moment
                raise self._api.unreachable(str(refusal)) from refusal
            if refusal.reason != "AlreadyExists":
                raise JobRefused(f"{job.title}: the cluster refused it: {refusal}", hint=_next_step(refusal, self._api)) from refusal
        return self._handle(job.submission)

    def find(self, submission: str) -> str | None:
        """The handle of the Job of that name."""
        handle = self._handle(submission)
        return None if self._job(handle) is None else handle

    def poll(self, handles: Sequence[str]) -> Sequence[JobStatus]:
        """Two listings, of jobs and of their pods, however many there are (in one namespace); a third where a job has no pod."""
        known: dict[str, JobStatus] = {}
        for namespace in {handle.partition("/")[0] for handle in handles}:
            known |= self._statuses(namespace, [handle for handle in handles if handle.startswith(f"{namespace}/")])
        return [known[handle] for handle in handles]

    def cancel(self, handle: str) -> None:
        """Delete a Job that has not ended, its pod first (which has its own grace period, 30 seconds as a rule)."""
        job = self._job(handle)
        if job is not None and not status(job, []).state.is_ended:
            self._delete(handle, "Foreground")

    def logs(self, handle: str, *, most: int) -> str:
        """The last of what the pod's first container said, at most 10,000 lines; "" before it begins and after the pod is gone."""
        namespace, name = _split(handle)
        pods = self._listed(_pods(namespace), _selector([name]))
        if not pods:
            return ""
        pod = max(pods, key=lambda one: one["metadata"].get("creationTimestamp") or "")
        wanted = {"container": pod["spec"]["containers"][0]["name"], "tailLines": _LINES}
        try:
            said = self._api.tail(f"{_pods(namespace)}/{pod['metadata']['name']}/log", wanted, most)
        except Refusal:  # it has not begun, or is gone
            return ""
        return said.decode(errors="ignore")

    def forget(self, handle: str) -> None:
        """Delete the Job with its pod."""
        self._delete(handle, "Background")

    # -- what the verbs are made of ------------------------------------------------------------

    def _handle(self, submission: str) -> str:
        return f"{self._api.namespace}/{submission}"

    def _statuses(self, namespace: str, handles: Sequence[str]) -> dict[str, JobStatus]:
        selector, pods = _selector([_split(handle)[1] for handle in handles]), defaultdict(list)
        jobs = {one["metadata"]["name"]: one for one in self._listed(_jobs(namespace), selector)}
        for pod in self._listed(_pods(namespace), selector):
            pods[pod["metadata"]["labels"][LABEL]].append(pod)
        names = {handle: _split(handle)[1] for handle in handles}
        told = {handle: status(jobs[name], pods[name]) if name in jobs else _FORGOTTEN for handle, name in names.items()}
        if any(one is NO_POD for one in told.values()):
            why = self._warnings(namespace)
            told |= {handle: one._replace(message=why.get(names[handle], one.message)) for handle, one in told.items() if one is NO_POD}
        return told

    def _warnings(self, namespace: str) -> dict[str, str]:
        """What the cluster last warned of each job, as far as these credentials may read it (`list` events)."""
        wanted = {"fieldSelector": "involvedObject.kind=Job,type=Warning", "limit": PAGE}
        try:
            events = self._api.ask("GET", f"/api/v1/namespaces/{namespace}/events", wanted)["items"]
        except Refusal:
            return {}
        events.sort(key=lambda one: one.get("lastTimestamp") or "")
        return {one["involvedObject"]["name"]: words(one.get("reason"), one.get("message")) for one in events}

    def _job(self, handle: str) -> Mapping[str, Any] | None:
        try:
            found: Mapping[str, Any] = self._api.ask("GET", _path(handle))
        except Refusal as refusal:
            if refusal.status == 404:
                return None
            raise self._not_told(refusal) from refusal
        return found

    def _listed(self, path: str, selector: str) -> list[Mapping[str, Any]]:
        try:
            return list(self._api.list(path, selector))
        except Refusal as refusal:
            raise self._not_told(refusal) from refusal

    def _delete(self, handle: str, order: str) -> None:
        try:
            self._api.ask("DELETE", _path(handle), {"propagationPolicy": order})
        except Refusal as refusal:
            if refusal.status != 404:
                raise self._not_told(refusal) from refusal

    def _not_told(self, refusal: Refusal) -> EngineUnreachable:
        """A question that may not be asked: nothing is known of the job."""
        return self._api.unreachable(str(refusal))


_FORGOTTEN = JobStatus(JobState.FORGOTTEN, message="the cluster has no such job any more")


def _jobs(namespace: str) -> str:
    return f"/apis/batch/v1/namespaces/{namespace}/jobs"


def _pods(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods"


def _split(handle: str) -> tuple[str, str]:
    namespace, _, name = handle.partition("/")
    return namespace, name


def _path(handle: str) -> str:
    namespace, name = _split(handle)
    return f"{_jobs(namespace)}/{name}"


def _selector(names: Sequence[str]) -> str:
    return f"{LABEL} in ({','.join(sorted(set(names)))})" if len(names) <= _BY_NAME else LABEL


def _next_step(refusal: Refusal, api: Api) -> str:
    if refusal.status == 403:
        return f"May these credentials make jobs in {api.namespace}, and is its quota not used up? `kubectl auth can-i create jobs` tells."
    if refusal.status == 404:
        return f"Is there a namespace {api.namespace}? The address names it: k8s://CONTEXT/NAMESPACE."
    return "Change what the cluster names in the task's options()."
