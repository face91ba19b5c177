"""The engine ``spark``: applications by spark-submit, with the master that a job or ``[spark] master`` names.

``spark://HOST:PORT`` is the engine of the standalone cluster there.

Client deploy mode: the driver is a program of this host that outlives the worker. Cluster deploy mode (standalone clusters): the master
starts the driver on one of its workers, by running spark-submit there. So that a worker that dies meanwhile leaves no driver that
nobody knows, the request is sent by a program that outlives it, too, and notes the answer (`posting`).

``memory`` and ``cpus`` are the driver's; ``seconds`` is kept in client mode alone.
"""

from __future__ import annotations

import json
import math
import os
import re
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from typing import cast

from levada._model.engines import JobSpec, JobState, JobStatus
from levada._model.values import NamedTuple
from levada.config import setting
from levada.errors import EngineError, EngineUnreachable, JobRefused, headline
from levada.handover.book import state
from levada.handover.detached import Programs

from .finding import spark_submit
from .master import Master, rest_addresses
from .posting import ADDRESSES, REQUEST, Answer
from .runner import URL_MARK

OPTIONS = ("master", "deploy_mode", "spark_submit", "conf", "driver_memory", "driver_cores", "supervise")
TAKEN = 45.0  # seconds that the master may take to accept a driver
_LEVADA = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
_URLS = (re.compile(re.escape(URL_MARK) + r"(\S+)"), re.compile(r"SparkUI.* started at (http\S+)"))
_GLANCE = 64 * 1024  # bytes of a log that are looked through


class Handle(NamedTuple):
    """A driver: a program of this host, or one of a cluster. As text its parts, with spaces between and "-" for what is empty."""

    kind: str  # "program"; "driver" of the masters at ``rest``; "lost", when it is not known whether they took it
    submission: str
    host: str  # where the record of it is
    driver: str = ""
    rest: str = ""


class SparkEngine:
    """Applications of one master; "" for the configured one, or the one that the job names. folder: where records of jobs are kept."""

    name = "spark"
    poll_seconds = 2.0
    of_one_host = True  # what submits is a program here, also where the driver runs in a cluster

    def __init__(self, master: str, folder: str) -> None:
        self._master = master
        self._drivers = Programs(os.path.join(folder, "drivers"))
        self._posts = Programs(os.path.join(folder, "posts"))
        self._host = socket.gethostname()
        self._urls: dict[str, str] = {}

    # -- starting

    def submit(self, job: JobSpec) -> str:
        """Start spark-submit here, or have the master start it."""
        unknown = [name for name in job.options if name not in OPTIONS]
        if unknown:
            raise JobRefused(f"{job.title}: the engine spark has no option {unknown[0]!r}", hint=f"It has {', '.join(OPTIONS)}.")
        mode = job.options.get("deploy_mode", "client")
        if mode == "client":
            self._drivers.start(job._replace(memory=None, folder=job.folder or os.getcwd()), self._client_command(job))
            return self._started(job.submission)
        if mode == "cluster":
            return self._submit_to_cluster(job)
        raise JobRefused(f"{job.title}: deploy_mode is {mode!r}, expected client or cluster")

    def _client_command(self, job: JobSpec) -> tuple[str, ...]:
        program = spark_submit(str(job.options.get("spark_submit", "")))
        master = self._master_of(job)
        memory = _memory_of(job)
        words = [program, *(["--master", master] if master else []), "--deploy-mode", "client"]
        return (*words, *(["--driver-memory", memory] if memory else []), *_told(job), *job.argv)

    def _master_of(self, job: JobSpec) -> str:
        return str(job.options.get("master") or self._master or setting("spark", "master") or "")

    def _submit_to_cluster(self, job: JobSpec) -> str:
        master = self._master_of(job)
        if not master.startswith("spark://"):
            raise JobRefused(
                f"{job.title}: cluster deploy mode with the master {master or 'that nobody named'}: only standalone clusters take drivers",
                hint='Set master = "spark://HOST:PORT", or deploy_mode = "client".',
            )
        if job.seconds is not None:
            raise JobRefused(
                f"{job.title}: a standalone cluster ends no driver after {job.seconds:g} s", hint="Set the task's `timeout` instead."
            )
        addresses = rest_addresses(master, str(setting("spark", "rest") or ""))
        path = [_LEVADA, *filter(None, [os.environ.get("PYTHONPATH")])]  # it does not run in this folder, nor need Levada be installed
        variables = {ADDRESSES: ",".join(addresses), REQUEST: json.dumps(_request(job, master)), "PYTHONPATH": os.pathsep.join(path)}
        poster = job._replace(env={**variables, "LEVADA_SUBMISSION": job.submission}, folder="", memory=None)
        self._posts.start(poster, (sys.executable, "-m", "levada.contrib.spark.posting"))
        answer = self._answer(job.submission)
        if not answer.refused and not answer.away:
            return self._taken(job.submission, answer)
        self._posts.forget(job.submission)
        raise JobRefused(f"{job.title}: {answer.refused}") if answer.refused else EngineUnreachable(answer.away)

    def _answer(self, submission: str) -> Answer:
        """What the master said to the program that asked it. Raises EngineUnreachable while there is no answer."""
        until = time.monotonic() + TAKEN
        while not (status := self._posts.status(submission)).state.is_ended:
            if time.monotonic() > until:
                raise EngineUnreachable(f"the master has not answered for {TAKEN:g} s to the request for {submission}")
            time.sleep(0.05)
        said = self._posts.log(submission, _GLANCE)
        return Answer.read(said) or Answer(lost=status.message or said.strip().rpartition("\n")[2])

    def _started(self, submission: str) -> str:
        return _written(Handle("program", submission, self._host))

    def _taken(self, submission: str, answer: Answer) -> str:
        return _written(Handle("driver" if answer.driver else "lost", submission, self._host, answer.driver, answer.rest))

    def find(self, submission: str) -> str | None:
        """By the records of this host."""
        if self._drivers.was_started(submission):
            return self._started(submission)
        if not self._posts.was_started(submission):
            return None
        answer = self._answer(submission)
        if answer.refused or answer.away:
            self._posts.forget(submission)
            return None
        return self._taken(submission, answer)

    # -- following

    def poll(self, handles: Sequence[str]) -> Sequence[JobStatus]:
        """By a file each, or a question to the master each."""
        return [self._status(_read(handle)) for handle in handles]

    def _status(self, handle: Handle) -> JobStatus:
        if handle.kind == "driver":
            return _explained(_master_at(handle).status(handle.driver)[0], handle)
        submission = self._ours(handle)
        if handle.kind == "lost":
            return JobStatus(JobState.FAILED, message=f"it is not known whether the master took it: {self._answer(submission).lost}")
        status = self._drivers.status(submission)
        if status.state is JobState.FAILED:
            return status._replace(message=_reason(self._drivers.log(submission, _GLANCE)))
        return status if status.state.is_ended else status._replace(url=self._url_of(submission))

    def _url_of(self, submission: str) -> str:
        if submission not in self._urls:
            said = self._drivers.log(submission, _GLANCE)
            found = next((match[1] for pattern in _URLS if (match := pattern.search(said))), "")
            if not found:
                return ""
            self._urls[submission] = found
        return self._urls[submission]

    def cancel(self, handle: str) -> None:
        """End the driver; its executors end with it."""
        job = _read(handle)
        if job.kind == "driver":
            _master_at(job).kill(job.driver)
        elif job.kind == "program":
            self._drivers.cancel(self._ours(job))

    def logs(self, handle: str, *, most: int) -> str:
        """What spark-submit and the driver have said; of a driver in the cluster, what its worker has of it."""
        job = _read(handle)
        if job.kind == "driver":
            return _driver_log(job, most)
        return self._drivers.log(self._ours(job), most) if job.kind == "program" else ""

    def forget(self, handle: str) -> None:
        """Remove the record of this host."""
        job = _read(handle)
        if job.host == self._host:
            self._urls.pop(job.submission, None)
            self._posts.forget(job.submission)
            self._drivers.forget(job.submission)

    def _ours(self, handle: Handle) -> str:
        if handle.host != self._host:
            raise EngineError(
                f"it was started on the host {handle.host!r}, this is {self._host!r}: it is followed there only",
                hint=f"Start a worker there. If that host is gone for good: `levada jobs forget {handle.submission}`.",
            )
        return handle.submission


def open_engine(rest: str) -> SparkEngine:
    """The engine of ``spark`` or ``spark://HOST:PORT``."""
    return SparkEngine(f"spark://{rest}" if rest else "", os.path.join(state(), "spark"))


# -- what is said to Spark ---------------------------------------------------------------------


def _told(job: JobSpec) -> list[str]:
    """Name and configuration; the submission is among it, so that people find one by the other."""
    conf = {**_conf(job), "spark.levada.submission": job.submission}
    return ["--name", job.title, *(word for name, value in conf.items() for word in ("--conf", f"{name}={value}"))]


def _conf(job: JobSpec) -> Mapping[str, str]:
    return cast("Mapping[str, str]", job.options.get("conf", {}))


def _memory_of(job: JobSpec) -> str:
    """As Spark writes it; "" for its own default."""
    given = str(job.options.get("driver_memory") or "")
    return given or ("" if job.memory is None else f"{max(1, math.ceil(job.memory / 2**20))}m")


def _request(job: JobSpec, master: str) -> dict[str, object]:
    """For the master: run spark-submit, as it were in client mode, in the driver that one of the workers starts."""
    cores = job.options.get("driver_cores") or (math.ceil(job.cpus) if job.cpus else "")
    properties = {
        "spark.driver.memory": _memory_of(job),
        "spark.driver.cores": str(cores),
        "spark.driver.supervise": "true" if job.options.get("supervise") else "",
    }
    return {
        "appResource": "",
        "mainClass": "org.apache.spark.deploy.SparkSubmit",
        "appArgs": ["--master", master, "--deploy-mode", "client", *_told(job), *job.argv],
        "environmentVariables": dict(job.env),
        "sparkProperties": {
            **_conf(job), "spark.master": master, "spark.app.name": job.title, **{name: text for name, text in properties.items() if text},
        },
    }  # fmt: skip


# -- what it said ------------------------------------------------------------------------------


def _reason(said: str) -> str:
    """The line of a log that tells why a driver failed, "" where none does.

    >>> _reason("INFO up\\nTraceback (most recent call last):\\n  File 'a.py', line 3\\nValueError: no flights\\nINFO down\\n")
    'ValueError: no flights'
    """
    at = said.rfind("Traceback (most recent call last)")
    if at >= 0:
        return headline(said[at:])
    lines = [line for line in said.splitlines() if line.startswith(("Exception in thread", "Error:", "JAVA_HOME", "levada: cannot start"))]
    return lines[-1] if lines else ""


def _written(handle: Handle) -> str:
    return " ".join(word or "-" for word in handle)


def _read(handle: str) -> Handle:
    return Handle(*("" if word == "-" else word for word in handle.split(" ")))


def _master_at(handle: Handle) -> Master:
    return Master(handle.rest.split(","))


def _driver_log(handle: Handle, most: int) -> str:
    return _master_at(handle).log(handle.driver, str(setting("spark", "ui") or ""), most=most)


def _explained(status: JobStatus, handle: Handle) -> JobStatus:
    """With the reason that the driver itself gave, where its log can be had."""
    if status.state is not JobState.FAILED:
        return status
    try:
        return status._replace(message=_reason(_driver_log(handle, _GLANCE)) or status.message)
    except EngineUnreachable:
        return status
