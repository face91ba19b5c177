"""The engine ``hadoop``: MapReduce applications on YARN, from Hadoop Streaming or from a jar.

Only to submit needs Hadoop's own command, and Java. The submission's name is the application's tag: by it the resource manager
finds a job that a dead process has submitted, and tells of all of them in one answer. What it has forgotten, the history server is
asked for; what neither knows is forgotten. A program that still submits ends with its worker, so none appears after `find` said no.

argv: a jar, or "streaming" for Hadoop Streaming's, and its arguments. Options: ``main`` (class in the jar), ``jobconf`` (a mapping),
``files``, ``archives`` and ``libjars`` (paths or URLs, which the nodes get), ``texts`` (name -> content of small files for them),
``command`` (Hadoop's program, with options if it needs any) and ``streaming_jar``, in the place of the configured ones.
``env`` is that of maps and reduces, ``memory`` and ``cpus`` are those of each of them; ``seconds`` is the application's lifetime.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from levada._model.engines import JobSpec, JobState, JobStatus
from levada.errors import EngineError, EngineUnreachable, JobRefused, LevadaError

from . import places
from .asking import History, Manager, NotThere

SUBMITTED_WITHIN = 55.0  # seconds that Hadoop's command may take until the application is known
_LOOK = 1.0  # seconds between two looks for it
_HANDED_OVER = 15.0  # seconds that nodes are given to hand over their logs
_CONTAINERS = 5  # of which a log is made
OPTIONS = ("main", "jobconf", "files", "archives", "libjars", "texts", "command", "streaming_jar")

_WAITING = frozenset({"NEW", "NEW_SAVING", "SUBMITTED", "ACCEPTED"})
_ENDS = {"SUCCEEDED": JobState.SUCCEEDED, "FAILED": JobState.FAILED, "KILLED": JobState.KILLED}
_AWAY = (  # words of Hadoop's command for servers that may be there in a while
    "ConnectException", "NoRouteToHostException", "ConnectTimeoutException", "SocketTimeoutException", "UnknownHostException",
    "StandbyException", "SafeModeException", "RetriableException", "Connection refused",
)  # fmt: skip
_ODD = re.compile(r"[^\w.-]", re.ASCII)
_DOORSTEP = """
import ctypes, os, sys
try:
    ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG, SIGKILL
except AttributeError:
    pass
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""
"""Becomes Hadoop's command, which dies with us: our successor looks for the application, and none may appear after it found none."""
_REASONS = ("Error Launching job", "Exception in thread", "Exception:", "ERROR", "Error:")


def open_engine(rest: str) -> HadoopEngine:
    """The engine of a cluster: ``hadoop`` for that of the Hadoop configuration, ``hadoop://HOST:8088`` for a resource manager."""
    return HadoopEngine(rest)


class HadoopEngine:
    """The applications of one cluster. A handle is ``APPLICATION SUBMISSION``."""

    name = "hadoop"
    poll_seconds = 3.0

    def __init__(self, rest: str = "") -> None:
        self._rest = rest
        self._user = places.user()
        self._manager = Manager(places.managers(rest), self._user)
        self._clients: dict[str, Client] = {}  # of this process, by submission

    def __repr__(self) -> str:
        return f"<hadoop at {self._manager.address}>"

    def submit(self, job: JobSpec) -> str:
        """Start Hadoop's command and wait until the resource manager knows the application."""
        _check(job)
        with tempfile.TemporaryDirectory(prefix="levada-hadoop-") as folder:
            client = Client(command_line(job, folder))
            try:
                application = self._appeared(job, client)
            except BaseException:
                client.end()
                raise
        self._clients[job.submission] = client
        if job.seconds is not None:
            self._manager.end_at(application, job.seconds)
        return f"{application} {job.submission}"

    def find(self, submission: str) -> str | None:
        """By its tag; by the name of the job, which begins with it, where the resource manager has forgotten it."""
        applications = self._manager.applications([submission])
        if applications:
            return f"{applications[-1]['id']} {submission}"
        jobs = self._history().jobs_named(submission)
        return f"{jobs[-1].replace('job_', 'application_')} {submission}" if jobs else None

    def poll(self, handles: Sequence[str]) -> Sequence[JobStatus]:
        """One question to the resource manager; another to the history server for each that has ended."""
        tags = [_split(handle)[1] for handle in handles]
        known = {application["id"]: application for application in self._manager.applications(tags)}
        return [self._with_client(self._status(_split(handle)[0], known), self._clients.get(_split(handle)[1])) for handle in handles]

    def cancel(self, handle: str) -> None:
        """Have the application killed, with all its containers."""
        with suppress(NotThere):
            self._manager.kill(_split(handle)[0])

    def logs(self, handle: str, *, most: int) -> str:
        """Stderr of maps and reduces, those that failed before others; that of the application's master where there are none.

        "" while it runs: nodes hand their logs over at its end, where the cluster aggregates them (`yarn.log-aggregation-enable`).
        """
        application, submission = _split(handle)
        attempts = self._attempts(application)
        told = self._manager.applications([submission])
        patience = 0.0 if any(one.get("logAggregationStatus") == "DISABLED" for one in told) else _HANDED_OVER
        until = time.monotonic() + patience
        containers = [(f"{one['id']} on {one.get('nodeHttpAddress', '?')}", one["assignedContainerId"]) for one in attempts]
        parts = [self._log(title, container, most, until) for title, container in containers or self._masters(application)]
        return "".join(parts).encode()[-most:].decode("utf-8", "ignore")

    def forget(self, handle: str) -> None:
        """Let go of Hadoop's command, where this process started it."""
        client = self._clients.pop(_split(handle)[1], None)
        if client is not None:
            client.end()

    # -- how it stands

    def _status(self, application: str, known: Mapping[str, dict[str, Any]]) -> JobStatus:
        found = known.get(application)
        if found is None:
            return self._remembered(application)
        state, end = found["state"], found.get("finalStatus", "")
        if state in _WAITING:
            return JobStatus(JobState.PENDING, message=_line(found.get("diagnostics")), url=found.get("trackingUrl") or "")
        if state == "RUNNING":
            return JobStatus(JobState.RUNNING, url=found.get("trackingUrl") or "", progress=found.get("progress", 0.0) / 100)
        final = _ENDS.get(end, JobState.FAILED)
        status = JobStatus(final, url=found.get("trackingUrl") or "", progress=1.0, counts=self._counts(application))
        if final is JobState.SUCCEEDED:
            return status
        return status._replace(exit=self._exit(application), message=_line(found.get("diagnostics")))

    def _with_client(self, status: JobStatus, client: Client | None) -> JobStatus:
        """A jar's main class may do more after its application has ended well; what it says of itself counts."""
        if client is None or status.state is not JobState.SUCCEEDED:
            return status
        end = client.wait(0)
        if end is None:
            return status._replace(state=JobState.RUNNING, message="the application has ended, its main class has not")
        if end == 0:
            return status
        return status._replace(state=JobState.FAILED, exit=end, message=_line(client.said().strip().rpartition("\n")[2]))

    def _remembered(self, application: str) -> JobStatus:
        """What the history server knows of it."""
        history, job = self._history(), _job(application)
        try:
            found = history.job(job)
        except NotThere:
            return JobStatus(JobState.FORGOTTEN, message=f"neither the resource manager nor the history server knows {application}")
        state = _ENDS.get(found.get("state", ""), JobState.FAILED)
        status = JobStatus(state, url=f"{history.address}/jobhistory/job/{job}", progress=1.0, counts=self._counts(application))
        if state is JobState.SUCCEEDED:
            return status
        return status._replace(exit=self._exit(application), message=_line(found.get("diagnostics")))

    def _exit(self, application: str) -> int | None:
        """The exit status of Hadoop Streaming's mapper or reducer that failed; None where it is not to be had."""
        try:
            told = [one.get("diagnostics", "") for one in self._attempts(application) if one["state"] == "FAILED"]
        except LevadaError:
            return None
        found = [re.search(r"subprocess failed with code (\d+)", text) for text in told]
        return next((int(match[1]) for match in found if match), None)

    def _counts(self, application: str) -> dict[str, int]:
        """Nothing where they are not to be had: the end of a job does not depend on them."""
        try:
            return self._history().counters(_job(application))
        except (LevadaError, NotThere):
            return {}

    # -- what it said

    def _attempts(self, application: str) -> list[dict[str, Any]]:
        """The last attempts of some maps and reduces: of those that failed, else of the first ones."""
        history, job = self._history(), _job(application)
        try:
            tasks = history.tasks(job)
            some = [task for task in tasks if task["state"] == "FAILED"] or tasks
            of_tasks = [history.attempts(job, task["id"]) for task in some[:_CONTAINERS]]
        except NotThere:
            return []
        return [one for attempts in of_tasks for one in sorted(attempts, key=lambda one: one["state"] == "FAILED")[-1:]]

    def _masters(self, application: str) -> list[tuple[str, str]]:
        try:
            return [("application master", attempt["containerId"]) for attempt in self._manager.attempts(application)][-1:]
        except NotThere:
            return []

    def _log(self, title: str, container: str, most: int, until: float) -> str:
        while True:
            try:
                said = self._history().log(container, "stderr", most)
                return f"-- {title}\n{said.rstrip()}\n" if said.strip() else ""
            except (NotThere, EngineUnreachable):
                if time.monotonic() > until:
                    return ""
                time.sleep(0.5)

    def _history(self) -> History:
        return History(places.history(self._manager.address), self._user)

    # -- submitting

    def _appeared(self, job: JobSpec, client: Client) -> str:
        """The application, as soon as it is known. Raises JobRefused when the command ended without one, else EngineUnreachable."""
        until = time.monotonic() + SUBMITTED_WITHIN
        while True:
            ended = client.wait(_LOOK) is not None
            applications = self._manager.applications([job.submission])
            if applications:
                return str(applications[-1]["id"])
            if ended:
                raise _refusal(job, client)
            if time.monotonic() > until:
                raise EngineUnreachable(f"{job.title}: no application after {SUBMITTED_WITHIN:g} s", hint=client.said())


class Client:
    """Hadoop's command, as it submits; with a jar of one's own it lives as long as the jar's main class does."""

    def __init__(self, command: list[str]) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _DOORSTEP, str(os.getpid()), *command],
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=subprocess.STDOUT,
                env={**os.environ, "LC_ALL": "C.UTF-8"},  # Java reads its arguments by the locale: cron's is ASCII
            )
        except OSError as cause:
            raise EngineError(f"{command[0]}: cannot be started ({cause})") from cause

    def wait(self, seconds: float) -> int | None:
        """Its exit status, None when it still runs after so long."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.poll()

    def end(self) -> None:
        """End it, if it still runs; what it has submitted goes on."""
        self._process.kill()
        self._process.wait()
        self._said.close()

    def said(self) -> str:
        """The end of what it said."""
        size = os.fstat(self._said.fileno()).st_size
        begin = max(0, size - 4000)
        return os.pread(self._said.fileno(), size - begin, begin).decode("utf-8", "replace")


# -- the command -------------------------------------------------------------------------------


def command_line(job: JobSpec, folder: str) -> list[str]:
    """``hadoop jar ...`` of a job. folder: where small files are written that the nodes get."""
    options, streaming = job.options, job.argv[0] == "streaming"
    jar = places.streaming_jar(str(options.get("streaming_jar") or "")) if streaming else job.argv[0]
    main = [str(options["main"])] if options.get("main") else []
    words = [*places.command(str(options.get("command") or "")), "jar", jar, *main]
    for name, value in _jobconf(job).items():
        words += ["-D", f"{name}={value}"]
    files = [*_texts(options.get("files")), *_written(options.get("texts"), folder)]
    for option, paths in (("-files", files), ("-archives", _texts(options.get("archives"))), ("-libjars", _texts(options.get("libjars")))):
        if paths:
            words += [option, ",".join(as_uri(path, folder) for path in paths)]
    return [*words, *(["-background"] if streaming else []), *job.argv[1:]]


def _jobconf(job: JobSpec) -> dict[str, str]:
    title = " ".join(job.title.split())
    found = {"mapreduce.job.tags": job.submission, "mapreduce.job.name": f"{job.submission} {title[:200]}"}
    for phase in ("map", "reduce"):
        for name, value in job.env.items():
            found[f"mapreduce.{phase}.env.{name}"] = _harmless(job, name, value)
        if job.memory is not None:
            found[f"mapreduce.{phase}.memory.mb"] = str(max(1, job.memory >> 20))
        if job.cpus is not None:
            found[f"mapreduce.{phase}.cpu.vcores"] = str(max(1, round(job.cpus)))
    given: Any = job.options.get("jobconf") or {}
    return {**{str(name): str(value) for name, value in given.items()}, **found}


def _harmless(job: JobSpec, name: str, value: str) -> str:
    if re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) and re.fullmatch(r"[\w .,:;/@+=()\[\]-]*", value):
        return value
    raise JobRefused(
        f"{job.title}: the variable {name}={value!r} would not arrive as it is: YARN writes it into a script",
        hint="That leaves letters, digits, spaces and .,:;/@+=()[]- as they are. Let the job read a file, for others.",
    )


def as_uri(path: str, folder: str) -> str:
    """A path or URL as Hadoop's generic options take it; what stands after "#" is the name that the nodes see.

    Hadoop reads it as an address, several times, and does not quote it in between, so a local path is replaced by a link in ``folder``
    with a plain name. Raises JobRefused for what cannot be replaced.
    """
    place, mark, name = path.partition("#")
    if "://" not in place:
        name = name or os.path.basename(place.rstrip("/"))
        link = os.path.join(folder, f"{len(os.listdir(folder))}-{_ODD.sub('_', os.path.basename(place))}")
        os.symlink(os.path.abspath(place), link)
        place, mark = f"file://{link}", "#"
    if _ODD.search(name) or re.search(r"[\s,#?%]", place):
        raise JobRefused(
            f"{path}: cannot be given to the nodes by that name: Hadoop takes it for an address",
            hint="Names there are of letters, digits, dots, - and _; in a path of HDFS there is no space, comma or %.",
        )
    return f"{place}{mark}{name}"


def _written(texts: Any, folder: str) -> list[str]:
    paths: list[str] = []
    for name, content in (texts or {}).items():
        path = os.path.join(folder, f"text-{len(paths)}")
        with open(path, "x", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(content)
        paths.append(f"{path}#{name}")
    return paths


def _check(job: JobSpec) -> None:
    unknown = sorted(set(job.options) - set(OPTIONS))
    if unknown:
        raise JobRefused(f"{job.title}: hadoop has no option {unknown[0]!r}", hint=f"It knows: {', '.join(sorted(OPTIONS))}.")
    for name in ("jobconf", "texts"):
        if not isinstance(job.options.get(name) or {}, Mapping):
            raise JobRefused(f"{job.title}: option {name!r} of hadoop is {job.options[name]!r}: expected a mapping")
    if not job.argv:
        raise JobRefused(f"{job.title}: there is nothing to run", hint='The first argument is a jar, or "streaming".')
    if job.argv[0] != "streaming" and not os.path.isfile(job.argv[0]):
        hint = 'The first argument is a jar that this process can read, or "streaming".'
        raise JobRefused(f"{job.title}: {job.argv[0]}: there is no such jar here", hint=hint)
    if job.folder:
        raise JobRefused(f"{job.title}: folder is {job.folder!r}, and YARN gives each container its own", hint="Leave `folder` out.")


def _refusal(job: JobSpec, client: Client) -> EngineError:
    text, status = client.said(), client.wait(0)
    lines = text.strip().splitlines() or ["it said nothing"]
    reason = next((line for word in _REASONS for line in lines if word in line), lines[-1])
    message = f"{job.title}: Hadoop's command ended with {status} and submitted nothing: {reason.strip()[:400]}"
    kind = EngineUnreachable if any(word in text for word in _AWAY) else JobRefused
    return kind(message, hint=f"The end of what it said:\n{text}")


# -- words -------------------------------------------------------------------------------------


def _split(handle: str) -> tuple[str, str]:
    application, _, submission = handle.partition(" ")
    if not application.startswith("application_") or not submission:
        raise EngineError(f"{handle!r} is no handle of the engine hadoop", hint="It is APPLICATION SUBMISSION, as `submit` gave it.")
    return application, submission


def _job(application: str) -> str:
    return application.replace("application_", "job_")


def _line(text: object) -> str:
    return " ".join(str(text or "").split())[:500]


def _texts(given: Any) -> Iterable[str]:
    if isinstance(given, str):
        raise JobRefused(f"files, archives and libjars are lists of paths, got {given!r}")
    return [os.fspath(one) for one in given or ()]
