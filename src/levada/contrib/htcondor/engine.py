"""The engine of HTCondor: jobs in the queue of a schedd, by the client ``htcondor2``.

Laws: a job is in the queue whole or not at all, since a schedd commits a submission in one transaction; it stays there when it has
ended, until its outcome is recorded; a held job that nobody holds on purpose is removed, so that what is told as ended cannot run again.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from signal import Signals
from threading import Lock
from typing import Any, TypeVar

from levada._model.engines import JobSpec, JobState, JobStatus
from levada._model.values import NamedTuple
from levada.errors import EngineError, EngineUnreachable, JobRefused
from levada.handover.scripts import run_script, write_script

T = TypeVar("T")
NAMED_AT_MOST = 500  # jobs that a question names; with more of them, all of ours are asked for
ON_PURPOSE = (1, 15)  # codes of holds that a person wanted: condor_hold, submitted on hold
_FIELDS = [
    "ClusterId",
    "LevadaSubmission",
    "JobStatus",
    "ExitBySignal",
    "ExitCode",
    "ExitSignal",
    "HoldReason",
    "LastHoldReason",
    "RemoveReason",
]
_OPTIONS = re.compile(
    r"request_\w+|require_gpus|gpus_\w+|requirements|rank|priority|nice_user|accounting_group(_user)?|concurrency_limits|getenv|hold"
    r"|(container|docker)_image|universe|transfer_(input|output)_files|should_transfer_files|notification|notify_user|max_idle|my\.\w+",
    re.IGNORECASE,
)
_calls = Lock()  # the client does not say that it is safe for threads


class Handle(NamedTuple):
    """By which a job is found: its number (cluster), its name, its folder."""

    job: int
    submission: str
    folder: str

    def __str__(self) -> str:
        return json.dumps(self._asdict(), ensure_ascii=False)

    @property
    def constraint(self) -> str:
        """What is true of this job alone."""
        return f"(ClusterId == {self.job} && LevadaSubmission == {quoted(self.submission)})"


def read_handle(text: str) -> Handle:
    """Raises EngineError for what is no handle of ours."""
    try:
        return Handle(**json.loads(text))
    except (ValueError, TypeError) as cause:
        raise EngineError(f"htcondor: {text!r} is no handle of a job of HTCondor") from cause


class HTCondorEngine:
    """Jobs of one schedd. schedd: its name, "" for the one of this host.

    folder: where jobs have their scripts and logs, instead of ``[htcondor] folder``; the schedd must see it.
    """

    name = "htcondor"
    poll_seconds = 10.0

    def __init__(self, schedd: str = "", *, folder: str | None = None) -> None:
        self._name = schedd
        self._folder = folder

    def submit(self, job: JobSpec) -> str:
        """Put it into the queue. Raises JobRefused, EngineUnreachable."""
        commands = submit_commands(job)
        script, folder = run_script(job), self._folder_of(job.submission)
        try:
            os.makedirs(folder, 0o700, exist_ok=True)
            if not os.path.exists(f"{folder}/run"):
                write_script(f"{folder}/run", script.replace("\n", "\nexec 2>&1\n", 1))
        except OSError as cause:
            raise EngineError(
                f"{folder}: the job's folder cannot be written: {cause.strerror or cause}",
                hint="Set [htcondor] folder to a folder that the worker and the schedd see.",
            ) from cause
        places = {"initialdir": _literal(folder), "executable": _literal(f"{folder}/run"), "output": _literal(f"{folder}/log")}
        number = self._ask(lambda schedd: schedd.submit(_client().Submit({**commands, **places})).cluster(), job)
        return str(Handle(number, job.submission, folder))

    def find(self, submission: str) -> str | None:
        """The handle of the job in the queue."""
        ads = self._queue(f"LevadaSubmission == {quoted(submission)}")
        return str(Handle(int(ads[0]["ClusterId"]), submission, self._folder_of(submission))) if ads else None

    def poll(self, handles: Sequence[str]) -> Sequence[JobStatus]:
        """One question to the schedd; one more, to its history, if jobs are not in the queue any more."""
        jobs = [read_handle(handle) for handle in handles]
        if not jobs:
            return []
        named = " || ".join(job.constraint for job in jobs)
        found = _by_job(self._queue(named if len(jobs) <= NAMED_AT_MOST else "LevadaSubmission =!= undefined"))
        gone = " || ".join(job.constraint for job in jobs if (job.job, job.submission) not in found)
        if gone:
            found |= _by_job(self._ask(lambda schedd: schedd.history(gone, _FIELDS, len(jobs))))
        return [status_of(found.get((job.job, job.submission)), job) for job in jobs]

    def cancel(self, handle: str) -> None:
        """Have it removed: its processes get SIGTERM, and SIGKILL later, as the pool says."""
        going_on = f"{read_handle(handle).constraint} && JobStatus =!= 3 && JobStatus =!= 4"
        self._ask(lambda schedd: schedd.act(_client().JobAction.Remove, going_on, "cancelled"))

    def logs(self, handle: str, *, most: int) -> str:
        """The tail of the log in the job's folder, as far as it has arrived there."""
        try:
            with open(f"{read_handle(handle).folder}/log", "rb") as log:
                log.seek(max(0, os.fstat(log.fileno()).st_size - most))
                return log.read(most).decode("utf-8", "replace")
        except FileNotFoundError:
            return ""
        except OSError as cause:
            raise EngineUnreachable(f"htcondor: the log of a job cannot be read: {cause}") from cause

    def forget(self, handle: str) -> None:
        """Let it leave the queue, and remove its folder."""
        job = read_handle(handle)
        if self._queue(job.constraint):
            self._ask(lambda schedd: schedd.edit(job.constraint, "LeaveJobInQueue", "false"))
        shutil.rmtree(job.folder, ignore_errors=True)

    def _folder_of(self, submission: str) -> str:
        from levada.config import setting

        jobs = self._folder or str(setting("htcondor", "folder", "~/.levada/jobs"))
        return os.path.join(os.path.abspath(os.path.expanduser(jobs)), submission)

    def _queue(self, constraint: str) -> list[Mapping[str, Any]]:
        return self._ask(lambda schedd: schedd.query(constraint, _FIELDS))

    def _ask(self, question: Callable[[Any], T], job: JobSpec | None = None) -> T:
        """job: the one that is submitted, which may be refused."""
        client = _client()
        with _calls:
            try:
                schedd = client.Schedd(client.Collector().locate(client.DaemonType.Schedd, self._name)) if self._name else client.Schedd()
            except Exception as cause:
                raise self._away(cause) from cause
            try:
                return question(schedd)
            except Exception as cause:
                if job is not None and not _LOST.search(str(cause)):
                    raise JobRefused(f"htcondor: {job.submission} ({job.title}) was not taken: {cause}") from cause
                raise self._away(cause) from cause

    def _away(self, cause: Exception) -> EngineUnreachable:
        return EngineUnreachable(
            f"htcondor: the schedd {self._name or 'of this host'} does not answer: {str(cause).strip() or type(cause).__name__}",
            hint="Is it up? `condor_status -schedd` tells. CONDOR_CONFIG names the configuration that the client reads.",
        )


_LOST = re.compile(r"connect|timed? ?out|locate|unable to find|address|communicat|not running|commit", re.IGNORECASE)


def open_engine(rest: str) -> HTCondorEngine:
    """The engine of ``htcondor`` or ``htcondor://SCHEDD``."""
    _client()
    return HTCondorEngine(rest)


def _client() -> Any:
    """The client, imported when first used: it reads the pool's configuration then. Raises EngineError."""
    from importlib import import_module

    try:
        return import_module("htcondor2")  # it has no types
    except ImportError as cause:
        raise EngineError(f"htcondor: the client is not there ({cause})", hint='pip install "levada[htcondor]"') from cause


def submit_commands(job: JobSpec) -> dict[str, str]:
    """What the queue is told of a job, beside its script and log. Raises JobRefused.

    >>> commands = submit_commands(JobSpec("count-1", "Count(day=1)", ("true",), cpus=1.5, memory=10**9))
    >>> commands["request_cpus"], commands["request_memory"], commands["My.LevadaSubmission"]
    ('2', '954', '"count-1"')
    """
    held = f"JobStatus == 5 && {' && '.join(f'HoldReasonCode =!= {code}' for code in ON_PURPOSE)}"
    commands = {
        "batch_name": _literal(" ".join(job.title.split())[:200]),
        "My.LevadaSubmission": quoted(job.submission),
        "leave_in_queue": "true",
        "stream_output": "true",
        "periodic_remove": held,
    }
    for name, amount, unit in (
        ("request_cpus", job.cpus, 1),
        ("request_memory", job.memory, 1 << 20),
        ("allowed_execute_duration", job.seconds, 1),
    ):
        if amount is not None:
            if not 0 < amount < math.inf:
                raise JobRefused(f"htcondor: {name} cannot be made of {amount!r}", hint="Say more than 0, or None for the pool's default.")
            commands[name] = str(math.ceil(amount / unit))
    for name, value in job.options.items():
        if not _OPTIONS.fullmatch(name):
            hint = (
                "requirements, rank, priority, request_gpus, accounting_group, container_image, getenv, My.ATTRIBUTE and their like can be."
            )
            raise JobRefused(f"htcondor: the submit command {name!r} cannot be set", hint=hint)
        if "\n" in str(value):
            raise JobRefused(f"htcondor: {name} is {value!r}, expected one line")
        if value is not None:
            commands[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return commands


def status_of(ad: Mapping[str, Any] | None, job: Handle) -> JobStatus:
    """A job's status from its ad in the queue or the history; None: it is in neither."""
    if ad is None:
        return JobStatus(JobState.FORGOTTEN, message=f"HTCondor does not know job {job.job} any more")
    state = int(ad["JobStatus"])
    if state == 1:
        return JobStatus(JobState.PENDING, message="idle")
    if state == 5:
        return JobStatus(JobState.PENDING, message=f"held: {ad.get('HoldReason', '')}")
    if state == 3:
        why, held = str(ad.get("RemoveReason", "")), ad.get("HoldReason", ad.get("LastHoldReason"))
        return JobStatus(JobState.KILLED, message=f"held: {held}" if held and "PeriodicRemove" in why else f"removed: {why}")
    if state != 4:
        return JobStatus(JobState.RUNNING, message={6: "its output is transferred", 7: "suspended"}.get(state, ""))
    if ad.get("ExitBySignal"):
        return JobStatus(JobState.KILLED, message=f"ended by {Signals(int(ad['ExitSignal'])).name}")
    code = int(ad.get("ExitCode", 0))
    return JobStatus(JobState.FAILED if code else JobState.SUCCEEDED, code)


def quoted(text: str) -> str:
    """A text of the language of ads.

    >>> print(quoted('a "b"'))
    "a \\"b\\""
    """
    inner = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{inner}"'


def _literal(text: str) -> str:
    """A text in which the language of submissions replaces nothing."""
    return text.replace("$", "$(DOLLAR)")


def _by_job(ads: Iterable[Mapping[str, Any]]) -> dict[tuple[int, str], Mapping[str, Any]]:
    return {(int(ad["ClusterId"]), str(ad.get("LevadaSubmission"))): ad for ad in ads}
