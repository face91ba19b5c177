"""The engine of Slurm: sbatch, squeue, sacct, scancel.

Laws: a submission has one job that runs, or none (see `folder`); a job is taken for gone only when the controller answered that it
does not know it; a number that came to another job, in a cluster that was made anew, is not taken for ours: the name must fit.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence

from levada._model.engines import JobSpec, JobState, JobStatus
from levada._model.values import NamedTuple
from levada.errors import EngineError, EngineUnreachable, JobRefused

from .commands import run, said, unreachable
from .folder import NOBODY, JobFolder
from .states import signal_name, status_of

NAMED_AT_MOST = 500  # jobs that a question names; with more of them, all of their users are asked for
_FIELDS = "JobID:20|,Name:64|,State:20|,exit_code:12|,Reason:80"
_OURS = ("array", "chdir", "clusters", "error", "job-name", "open-mode", "output", "parsable", "test-only", "wait", "wrap")
_LIMIT_FOR_NOW = re.compile(r"Max\w*Submit|SubmitJobsPer|MaxJobCount")  # reasons by which Slurm counts jobs that are there already


class Handle(NamedTuple):
    """By which a job is found: its number, its name, whose it is (a user's number), and its folder."""

    job: str
    submission: str
    user: int
    folder: str

    def __str__(self) -> str:
        return json.dumps(self._asdict(), ensure_ascii=False)


def read_handle(text: str) -> Handle:
    """Raises EngineError for what is no handle of ours.

    >>> read_handle(str(Handle("12", "count-1", 1000, "/home/ana/.levada/jobs/count-1"))).job
    '12'
    """
    try:
        return Handle(**json.loads(text))
    except (ValueError, TypeError) as cause:
        raise EngineError(f"slurm: {text!r} is no handle of a job of Slurm") from cause


class SlurmEngine:
    """Jobs of one cluster. cluster: its name, where slurmdbd knows several; "" for the one of this host.

    folder: where jobs have their folders, instead of ``[slurm] folder``.
    """

    name = "slurm"
    poll_seconds = 10.0

    def __init__(self, cluster: str = "", *, folder: str | None = None) -> None:
        if not re.fullmatch(r"[\w-]*", cluster):
            raise EngineError(f"slurm://{cluster}: expected the name of a cluster", hint="`sacctmgr show cluster` lists them.")
        self.cluster = cluster
        self._of_cluster = [f"--clusters={cluster}"] if cluster else []
        self._folder = folder
        self._has_accounting = True  # until it says otherwise

    def submit(self, job: JobSpec) -> str:
        """Have sbatch take it. Raises JobRefused, EngineUnreachable, and EngineError for what may be otherwise in a while."""
        words = ["sbatch", "--parsable", *self._of_cluster, *sbatch_options(job)]
        folder = self._folder_of(job.submission)
        attempt = folder.begin(job)
        answer = run(*words, f"--output={folder.log}", "--open-mode=append", folder.batch(attempt))
        if answer.is_away:
            raise unreachable(said(answer))
        if answer.status != 0:
            folder.remove()
            raise _refused(job, said(answer))
        number = answer.out.strip().splitlines()[-1].partition(";")[0]
        handle = self._handle(number, job.submission)
        if folder.take(attempt, number) != number:
            self.cancel(handle)
            raise EngineError(
                f"slurm: {job.submission} ({job.title}) was given up before Slurm had taken it",
                hint="Another worker looked for the job meanwhile and found none. The job ends without having run.",
            )
        return handle

    def find(self, submission: str) -> str | None:
        """The handle of its job. When there is none, none will run by what was submitted so far, even if an sbatch is still under way."""
        folder = self._folder_of(submission)
        tries = folder.tries()
        if all(owner == NOBODY or owner is None for owner in tries.values()):
            known = self._known_by_name(submission)
            for attempt in [attempt for attempt, owner in tries.items() if owner is None]:
                tries[attempt] = folder.take(attempt, known.get(attempt, NOBODY))
            tries = {**known, **tries}
        numbers = [owner for owner in tries.values() if owner is not None and owner != NOBODY]
        return self._handle(numbers[0], submission) if numbers else None

    def poll(self, handles: Sequence[str]) -> Sequence[JobStatus]:
        """One question to the controller; one more, to the accounting, if it has forgotten jobs among them."""
        jobs = [read_handle(handle) for handle in handles]
        found = self._known(jobs) if jobs else {}
        forgotten = [job for job in jobs if job not in found]
        if forgotten:
            found |= self._of_the_past(forgotten)
        return [found[job] for job in jobs]

    def cancel(self, handle: str) -> None:
        """Have its processes ended: SIGTERM, and SIGKILL after Slurm's ``KillWait``."""
        job = read_handle(handle)
        answer = run("scancel", *self._of_cluster, f"--name={job.submission}", job.job)
        if answer.is_away:
            raise unreachable(said(answer))

    def logs(self, handle: str, *, most: int) -> str:
        """The tail of the log in the job's folder, stdout and stderr as they came."""
        return JobFolder(read_handle(handle).folder).tail(most)

    def forget(self, handle: str) -> None:
        """Remove the job's folder."""
        JobFolder(read_handle(handle).folder).remove()

    # -- where and whose

    def _folder_of(self, submission: str) -> JobFolder:
        from levada.config import setting

        jobs = self._folder or str(setting("slurm", "folder", "~/.levada/jobs"))
        return JobFolder(os.path.join(os.path.abspath(os.path.expanduser(jobs)), submission))

    def _handle(self, number: str, submission: str) -> str:
        return str(Handle(number, submission, os.getuid(), self._folder_of(submission).path))

    # -- questions

    def _known_by_name(self, submission: str) -> dict[str, str]:
        """Numbers of the jobs of that name that the controller knows, by their try."""
        fields = "JobID:20|,Command:4200"
        rows = (line.split("|", 1) for line in self._squeue(fields, f"--name={submission}", f"--users={os.getuid()}"))
        return {os.path.basename(os.path.dirname(batch.strip())): number.strip() for number, batch in rows}

    def _known(self, jobs: Sequence[Handle]) -> dict[Handle, JobStatus]:
        """What the controller knows of them; it keeps ended jobs for a while (``MinJobAge``, five minutes as a rule)."""
        words = [f"--users={','.join(sorted({str(job.user) for job in jobs}))}"]
        if len(jobs) <= NAMED_AT_MOST:
            words.append(f"--jobs={','.join(job.job for job in jobs)}")
        rows = [[part.strip() for part in line.split("|", 4)] for line in self._squeue(_FIELDS, *words)]
        told = {(number, name): status_of(state, ending, reason) for number, name, state, ending, reason in rows}
        return {job: told[job.job, job.submission] for job in jobs if (job.job, job.submission) in told}

    def _squeue(self, fields: str, *words: str) -> list[str]:
        answer = run("squeue", *self._of_cluster, "--noheader", "--states=all", f"--Format={fields}", *words)
        if "Invalid job id" in answer.trouble:  # the only one that was asked for is not known
            return []
        if answer.status != 0:
            raise unreachable(said(answer))
        return [line for line in answer.out.splitlines() if "|" in line]  # above them stands the name of the cluster, if one is named

    def _of_the_past(self, jobs: Sequence[Handle]) -> dict[Handle, JobStatus]:
        """How jobs ended that the controller has forgotten: by the accounting, else by what they noted themselves."""
        try:
            found, trouble = self._accounted(jobs), None
        except EngineUnreachable as cause:
            found, trouble = {}, cause
        for job in jobs:
            if job not in found:
                found[job] = _as_noted(job, trouble)
        return found

    def _accounted(self, jobs: Sequence[Handle]) -> dict[Handle, JobStatus]:
        found: dict[Handle, JobStatus] = {}
        for some in _slices(jobs, NAMED_AT_MOST) if self._has_accounting else ():
            numbers = f"--jobs={','.join(job.job for job in some)}"
            answer = run("sacct", *self._of_cluster, "-nPX", "--allusers", numbers, "--format=JobIDRaw,JobName,State,ExitCode")
            if "accounting storage is disabled" in answer.trouble.lower():
                self._has_accounting = False
                break
            if answer.status != 0:
                raise unreachable(said(answer))
            rows = [line.split("|") for line in answer.out.splitlines() if line.count("|") == 3]
            told = {(number, name): status_of(state, ending) for number, name, state, ending in rows}
            found |= {job: told[job.job, job.submission] for job in some if (job.job, job.submission) in told}
        return {job: status for job, status in found.items() if status.state.is_ended}  # a controller that knows no such job is right


def open_engine(rest: str) -> SlurmEngine:
    """The engine of ``slurm`` or ``slurm://CLUSTER``."""
    return SlurmEngine(rest)


def sbatch_options(job: JobSpec) -> list[str]:
    """What sbatch is told of a job, beside its script and log. Raises JobRefused.

    Options of its own come last, so that they win.

    >>> sbatch_options(JobSpec("count-1", "Count(day=1)", ("true",), cpus=1.5, memory=10**9, seconds=90, options={"qos": "low"}))
    ['--job-name=count-1', '--comment=Count(day=1)', '--cpus-per-task=2', '--mem=976563K', '--time=2', '--qos=low']
    """
    words = [f"--job-name={job.submission}", f"--comment={' '.join(job.title.split())[:250]}"]
    if job.folder:
        words.append(f"--chdir={job.folder}")
    for option, amount, unit, suffix in (("cpus-per-task", job.cpus, 1, ""), ("mem", job.memory, 1024, "K"), ("time", job.seconds, 60, "")):
        if amount is not None:
            if not 0 < amount < math.inf:
                raise JobRefused(f"slurm: --{option} cannot be made of {amount!r}", hint="Say more than 0, or None for Slurm's default.")
            words.append(f"--{option}={math.ceil(amount / unit)}{suffix}")
    return words + own_options(job.options)


def own_options(options: Mapping[str, object]) -> list[str]:
    """Long options of sbatch. True: without a value; False, None: not at all.

    >>> own_options({"partition": "gpu", "exclusive": True, "nice": 10, "hold": False})
    ['--partition=gpu', '--exclusive', '--nice=10']
    """
    words = []
    for name, value in options.items():
        if not re.fullmatch(r"[a-z][a-z-]*", name):
            raise JobRefused(
                f"slurm: {name!r} is no long option of sbatch", hint="Write `partition`, `cpus-per-task`, without hyphens before it."
            )
        if any(ours.startswith(name) for ours in _OURS):
            raise JobRefused(
                f"slurm: the option {name!r} cannot be set", hint=f"Levada sets {', '.join(_OURS)} itself; folder is an own attribute."
            )
        if value is None or value is False:
            continue
        if not isinstance(value, str | int | float) or "\0" in str(value):
            raise JobRefused(f"slurm: the option {name!r} is {value!r}, expected a text, a number, True or False")
        words.append(f"--{name}" if value is True else f"--{name}={value}")
    return words


def _refused(job: JobSpec, what: str) -> EngineError:
    text = f"slurm: {job.submission} ({job.title}) was not taken: {what}"
    if _LIMIT_FOR_NOW.search(what):
        return EngineError(text, hint="So many jobs may be there at once. It is tried again as `retry` says.")
    return JobRefused(text, hint="`sinfo` shows partitions, `sbatch --help` options, `sacctmgr show assoc` limits.")


def _as_noted(job: Handle, trouble: EngineUnreachable | None) -> JobStatus:
    """What the job's script noted of its end; where it noted nothing, the trouble with the accounting, or that it is forgotten."""
    noted = JobFolder(job.folder).noted()
    if noted is not None and (noted.killed or signal_name(noted.exit - 128)):
        return JobStatus(JobState.KILLED, message=f"exit status {noted.exit}: it was ended, and Slurm has forgotten why")
    if noted is not None:
        return JobStatus(
            JobState.FAILED if noted.exit else JobState.SUCCEEDED, noted.exit, "Slurm has forgotten it; it noted its end itself"
        )
    if trouble is not None:
        raise trouble
    return JobStatus(JobState.FORGOTTEN, message=f"Slurm does not know job {job.job} any more, and it noted no end")


def _slices(jobs: Sequence[Handle], most: int) -> Iterable[Sequence[Handle]]:
    return (jobs[at : at + most] for at in range(0, len(jobs), most))
