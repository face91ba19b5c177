"""Containers as jobs: one is made under the submission's name, started, looked at, and removed when its outcome is recorded.

Laws: a name is taken once, which Docker itself judges, so a submission that is repeated finds the container of the first one; one that
was made and not started (its maker died in between) is started by who finds it. Containers are not removed by themselves (`AutoRemove` is
not for jobs): their exit status would be lost with them.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from levada._model.engines import JobSpec, JobState, JobStatus
from levada.errors import EngineError, EngineUnreachable, JobRefused

from .container import LABEL, container

if TYPE_CHECKING:
    from docker import APIClient

T = TypeVar("T")

ANSWER = 30  # seconds until a question is given up
GRACE = 5  # seconds between SIGTERM and SIGKILL
_NOT_YET = ("created", "configured", "initialized")
_OVER = ("exited", "dead")  # Podman's "stopped" comes before: it is still being cleared up, and cannot be removed
_AWAY = (429, 502, 503, 504)
_FROM_OUTSIDE = {137: "SIGKILL", 143: "SIGTERM"}  # the first process of a container cannot send itself these


def open_engine(address: str) -> DockerEngine:
    """The engine of an address: "" (DOCKER_HOST and what belongs to it, else the local socket), a host, or the path of a socket.

    Raises EngineError where the package docker is not there, or the address or environment cannot be used.
    """
    try:
        import docker  # noqa: F401
    except ImportError as cause:
        raise EngineError("docker: needs the package docker, which is not installed", hint='pip install "levada[docker]"') from cause
    return DockerEngine(address)


class DockerEngine:
    """Jobs in containers. A handle is where the engine listens, and the container's id.

    ``submit`` takes as long as its image takes to be pulled, where it is not there yet.
    """

    name = "docker"
    poll_seconds = 2.0

    def __init__(self, address: str) -> None:
        self.address = f"docker://{address}" if address else "docker"
        self._where = _base_url(address)
        self._place = _place(self._where or os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")
        self._lock = Lock()
        self._made: APIClient | None = None
        self._process = 0

    def __repr__(self) -> str:
        return f"<{self.address}>"

    def submit(self, job: JobSpec) -> str:
        """Make and start the container. Raises JobRefused, with Docker's words, or EngineUnreachable."""
        wanted, client = container(job), self._client()
        if wanted.pull == "always":
            self._pull(job, wanted.image)
        try:
            made = self._ask(lambda: client.create_container_from_config(wanted.config, job.submission))
        except _Refusal as refusal:
            there = self.find(job.submission)  # another try of this submission was taken
            if there is not None:
                return there
            if refusal.status != 404 or wanted.pull == "never":
                raise refusal.of(job.title, f"Is there an image {wanted.image}? `docker image ls` tells.") from refusal
            self._pull(job, wanted.image)
            made = self._take(job, lambda: client.create_container_from_config(wanted.config, job.submission))
        self._start(made["Id"], job.title)
        return self._handle(made["Id"])

    def find(self, submission: str) -> str | None:
        """The container of that name; it is started where its maker did not come so far."""
        found = self._inspect(submission)
        if found is None:
            return None
        if found["State"]["Status"] in _NOT_YET:
            self._start(found["Id"], submission)
        return self._handle(found["Id"])

    def poll(self, handles: Sequence[str]) -> Sequence[JobStatus]:
        """One listing for all, and a question for each that has ended."""
        ours = [self._ours(handle) for handle in handles]
        client = self._client()
        try:
            listed = self._ask(lambda: client.containers(all=True, filters={"label": [LABEL]}))
        except _Refusal as refusal:  # it says nothing of any job
            raise self._unreachable(str(refusal)) from refusal
        known = {one["Id"]: one for one in listed}
        return [self._status(known.get(one)) for one in ours]

    def cancel(self, handle: str) -> None:
        """SIGTERM, and SIGKILL 5 seconds later; what was never started is removed."""
        ours, client = self._ours(handle), self._client()
        found = self._inspect(ours)
        status = "gone" if found is None else found["State"]["Status"]
        if status in _NOT_YET:
            self._remove(ours)
        elif status not in ("gone", *_OVER):
            self._harmless(lambda: client.stop(ours, timeout=GRACE))

    def logs(self, handle: str, *, most: int) -> str:
        """The last of stdout and stderr; "" where the engine's logging driver keeps none to be read. All of it is read for that."""
        ours, client, kept = self._ours(handle), self._client(), bytearray()

        def read() -> None:
            for piece in client.logs(ours, stdout=True, stderr=True, stream=True, follow=False):
                kept.extend(piece)
                del kept[: max(0, len(kept) - most)]

        self._harmless(read)
        return kept.decode(errors="ignore")

    def forget(self, handle: str) -> None:
        """Remove the container and its nameless volumes, unless it runs."""
        self._remove(self._ours(handle))

    # -- what the verbs are made of ------------------------------------------------------------

    def _handle(self, identity: str) -> str:
        return f"{self._place}/{identity}"

    def _ours(self, handle: str) -> str:
        """The id of a container of this engine: another engine would say of it that there is none."""
        place, _, identity = handle.rpartition("/")
        if place != self._place:
            raise EngineError(
                f"job {identity[:12]} is a container of the engine at {place}, and {self.address} leads to {self._place} here",
                hint="Follow it where the same address leads there, or write the address out: docker://HOST:PORT.",
            )
        return identity

    def _status(self, listed: Mapping[str, Any] | None) -> JobStatus:
        if listed is None:
            return JobStatus(JobState.FORGOTTEN, message="the engine has no such container any more")
        state = listed["State"]
        if state in _NOT_YET:
            return JobStatus(JobState.PENDING, message="the container is made, and not started yet")
        if state not in _OVER:
            return JobStatus(JobState.RUNNING, message=listed.get("Status") or "")
        found = self._inspect(listed["Id"])
        return self._status(None) if found is None else _ended(found["State"], found["HostConfig"].get("Memory") or 0)

    def _start(self, handle: str, title: str) -> None:
        client = self._client()
        try:
            self._ask(lambda: client.start(handle))
        except _Refusal as refusal:
            self._harmless(lambda: client.remove_container(handle, v=True))
            raise refusal.of(title, "Is its command in the image, and are its volumes on the engine's machine?") from refusal

    def _pull(self, job: JobSpec, image: str) -> None:
        client = self._client()
        name, _, tag = image.rpartition(":")
        if not name or "/" in tag or "@" in image:  # no tag, or a digest
            name, tag = image, "" if "@" in image else "latest"

        def pull() -> None:
            for line in client.pull(name, tag=tag or None, stream=True, decode=True):
                if "error" in line:
                    raise _pull_error(str(line["error"]))

        try:
            self._ask(pull)
        except _Refusal as refusal:
            raise refusal.of(job.title, f"May the engine pull {image}, and is it spelled so?") from refusal

    def _take(self, job: JobSpec, act: Callable[[], T]) -> T:
        try:
            return self._ask(act)
        except _Refusal as refusal:
            raise refusal.of(job.title, "Docker's own words say what it did not like.") from refusal

    def _inspect(self, name: str) -> Mapping[str, Any] | None:
        client = self._client()
        try:
            found: Mapping[str, Any] = self._ask(lambda: client.inspect_container(name))
        except _Refusal as refusal:
            if refusal.status == 404:
                return None
            raise self._unreachable(str(refusal)) from refusal  # it says nothing of the job
        return found

    def _remove(self, handle: str) -> None:
        client = self._client()
        try:
            self._ask(lambda: client.remove_container(handle, v=True))
        except _Refusal as refusal:
            if refusal.status not in (404, 409):  # gone, or just going, or running
                raise EngineError(f"{self.address}: the container {handle[:12]} was not removed: {refusal}") from refusal

    def _harmless(self, act: Callable[[], object]) -> None:
        """Do it where it can be done: what is gone, or is just going, is left alone."""
        try:
            self._ask(act)
        except _Refusal:
            return

    def _ask(self, act: Callable[[], T]) -> T:
        """What the client answers. Raises EngineUnreachable, or _Refusal where Docker said no."""
        import requests
        from docker.errors import APIError, DockerException

        try:
            return act()
        except APIError as cause:
            status = cause.response.status_code if cause.response is not None else 500
            words = str(cause.explanation or cause)
            if status in _AWAY:
                raise self._unreachable(words) from cause
            raise _Refusal(status, words) from cause
        except _NotPulled as cause:
            raise EngineUnreachable(
                f"{self.address}: a registry did not answer: {cause}", hint="Try again; is the image in one that is up?"
            ) from cause
        except (requests.exceptions.RequestException, DockerException, OSError) as cause:
            raise self._unreachable(str(cause)) from cause

    def _unreachable(self, words: str) -> EngineUnreachable:
        return EngineUnreachable(
            f"{self.address}: no answer: {' '.join(words.split())[:300]}",
            hint="Does the engine run, and may this user speak to it? `docker version` tells.",
        )

    def _client(self) -> APIClient:
        """The client of this process: a forked child does not share its parent's connections."""
        with self._lock:
            if self._made is None or self._process != os.getpid():
                self._made, self._process = self._make(), os.getpid()
            return self._made

    def _make(self) -> APIClient:
        import docker
        from docker.errors import DockerException
        from docker.utils import kwargs_from_env

        try:
            given = kwargs_from_env()
            if self._where:
                given["base_url"] = self._where
            return docker.APIClient(version="auto", timeout=ANSWER, **given)  # asks the engine which version of the interface it speaks
        except (DockerException, ValueError, OSError) as cause:
            if "server API version" in str(cause):
                raise self._unreachable(str(cause)) from cause
            raise EngineError(
                f"{self.address}: cannot be used: {cause}", hint="Look at DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH."
            ) from cause


class _Refusal(Exception):
    """Docker answered, and said no."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words.strip()[:1000])
        self.status = status

    def of(self, title: str, hint: str) -> JobRefused:
        return JobRefused(f"{title}: Docker refused it: {self}", hint=hint)


class _NotPulled(Exception):
    """A registry could not be asked for an image."""


def _pull_error(words: str) -> Exception:
    """What became of a pull: a registry that knows no such image is a refusal, one that is away is not."""
    return _Refusal(404, words) if re.search(r"denied|unauthorized|not found|unknown|invalid", words, re.IGNORECASE) else _NotPulled(words)


def _base_url(address: str) -> str:
    """Where the engine listens, as Docker's client wants it; "" for its own choice."""
    if not address:
        return ""
    if address.startswith("/"):
        return f"unix://{address}"
    return f"tcp://{address}" if ":" in address else f"tcp://{address}:{2376 if os.environ.get('DOCKER_TLS_VERIFY') else 2375}"


def _place(url: str) -> str:
    """Where an engine is for any host: a socket is one of this host.

    >>> _place("tcp://node7:2375/")
    'tcp://node7:2375'
    """
    kind, _, path = url.partition("://")
    return f"unix://{socket.gethostname()}{path}" if kind.endswith("unix") else url.rstrip("/")


def _ended(state: Mapping[str, Any], memory: int) -> JobStatus:
    status = int(state["ExitCode"])
    if state.get("OOMKilled"):
        return JobStatus(JobState.KILLED, message=f"out of memory: it may take {memory:,} bytes" if memory else "out of memory")
    if status in _FROM_OUTSIDE:
        perhaps = f": by a person, or for memory, of which it may take {memory:,} bytes" if memory and status == 137 else ""
        return JobStatus(JobState.KILLED, message=f"ended by {_FROM_OUTSIDE[status]}{perhaps}")
    if status == 0 and not state.get("Error"):
        return JobStatus(JobState.SUCCEEDED, 0)
    return JobStatus(JobState.FAILED, status, message=state.get("Error") or f"exit status {status}")
