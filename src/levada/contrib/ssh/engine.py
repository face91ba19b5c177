"""The engine ``ssh://user@host:port``: programs on another host, which go on when the connection, or the worker, is gone.

The far host needs POSIX sh, and no Python. A job is a folder in ``~/.levada/jobs`` there, named after its submission (`shell`
tells what is in it), so any process on any host that may log in finds it again. Who claimed it runs it, once.
"""

from __future__ import annotations

import math
import os
import re
import signal
from collections.abc import Sequence
from contextlib import suppress

import asyncssh  # noqa: F401 - so that who opens the engine without it is told what to install

from levada._model.engines import JobSpec, JobState, JobStatus
from levada.errors import ConfigError, EngineError, EngineUnreachable, JobRefused

from . import shell
from .client import Done, Place, read_place
from .commands import run

FOLDER = ".levada/jobs"  # below the user's home on the host
ANSWER = 50.0  # seconds for one verb, a new connection included

_HANDLE = re.compile(r"/[^\0\n]*/[a-z][a-z0-9-]{0,62}")
_REST_OF_CHARACTER = re.compile(rb"\A[\x80-\xbf]{1,3}")
_SUBMISSION = re.compile(r"[a-z][a-z0-9-]{0,62}")


def open_engine(rest: str) -> SshEngine:
    """The engine of ``user@host:port``; nothing is asked yet. Raises EngineError for what names no host."""
    try:
        return SshEngine(read_place(rest, f"ssh://{rest}"))
    except ConfigError as cause:
        raise EngineError(cause.message, hint=cause.hint) from cause


class SshEngine:
    """Jobs of one user of one host. Safe for threads.

    cpus says nothing here; memory limits the address space of each process; seconds is kept by the job's supervisor. There are no
    options. A job runs in the user's home unless it names a folder, with the environment that sshd gives to commands and its own.
    """

    name = "ssh"
    poll_seconds = 2.0

    def __init__(self, place: Place, folder: str = FOLDER) -> None:
        self.place, self.folder = place, folder
        self._void: dict[str, str] = {}  # submissions that were looked for and not found, with the mark that was left

    def __repr__(self) -> str:
        return f"<ssh://{self.place}>"

    def submit(self, job: JobSpec) -> str:
        """Start it; the folder of the job on the host. A submission that is there already is found, not started again."""
        self._check(job)
        nonce = os.urandom(8).hex()
        script = shell.submit(
            job.submission, self.folder, job.argv, nonce=nonce, env=job.env, where=job.folder, title=job.title,
            memory=job.memory, seconds=None if job.seconds is None else max(1, math.ceil(job.seconds)),
            void=self._void.get(job.submission, "-"),
        )  # fmt: skip
        owner, folder = self._told(self._run(script, again=True, refuse=True)).split(" ", 1)
        if owner == "void":
            raise JobRefused(
                f"ssh://{self.place}: {job.submission} was looked for before it was there, and is not started any more",
                hint="Submit it under another name.",
            )
        self._void.pop(job.submission, None)
        return folder

    def find(self, submission: str) -> str | None:
        """The folder of the job of that name; None: there is none, and one that was on its way to the host is not started any more."""
        if not _SUBMISSION.fullmatch(submission):
            return None
        owner, rest = self._told(self._run(shell.find(submission, self.folder, void=os.urandom(8).hex()), again=True)).split(" ", 1)
        if owner == "void":
            self._void[submission] = rest
            return None
        return rest

    def poll(self, handles: Sequence[str]) -> Sequence[JobStatus]:
        """How jobs stand; one command for all of them."""
        known = [handle for handle in handles if _HANDLE.fullmatch(handle)]
        lines = _lines(self._run(shell.poll(known), again=True)) if known else []
        if len(lines) != len(known):
            raise self._silent(f"{len(known)} jobs were asked for, and {len(lines)} told of")
        told = dict(zip(known, lines, strict=True))
        return [_status(told.get(handle, "gone"), self.place) for handle in handles]

    def cancel(self, handle: str) -> None:
        """SIGTERM to all processes of the job's session; after ten seconds SIGKILL to those that are left."""
        if _HANDLE.fullmatch(handle):
            for line in _lines(self._run(shell.cancel(handle), again=True)):
                raise self._silent(_elsewhere(line))

    def logs(self, handle: str, *, most: int) -> str:
        """The last bytes of what it wrote to stdout and stderr, in the order in which it did."""
        if not _HANDLE.fullmatch(handle):
            return ""
        out = self._run(shell.logs(handle, max(0, most)), again=True).out
        said = out.partition(f"{shell.MARK} log\n".encode())[2]
        return _REST_OF_CHARACTER.sub(b"", said).decode("utf-8", "replace")

    def forget(self, handle: str) -> None:
        """Remove the job's folder."""
        if _HANDLE.fullmatch(handle):
            self._run(shell.forget(handle), again=True)

    # -- the far side --------------------------------------------------------------------------

    def _run(self, script: bytes, *, again: bool, refuse: bool = False) -> Done:
        done = run(self.place, shell.COMMAND, script, again=again, seconds=ANSWER)
        if done.status == 0:
            return done
        said = done.err.decode("utf-8", "replace").strip().splitlines()
        reason = said[-1] if said else f"its shell ended with {done.status}"
        if refuse and done.status == shell.REFUSED:
            hint = f"A job has a folder in ~/{FOLDER} of the host: may this user write there, and is there room?"
            raise JobRefused(f"ssh://{self.place}: the job was not started: {reason}", hint=hint)
        raise self._silent(reason)

    def _told(self, done: Done) -> str:
        lines = _lines(done)
        if len(lines) != 1 or " " not in lines[0]:
            raise self._silent("its shell said nothing of the job")
        return lines[0]

    def _silent(self, reason: str) -> EngineUnreachable:
        hint = "Does the login shell there run `sh`? `ssh HOST true` shows what it says."
        return EngineUnreachable(f"ssh://{self.place}: {reason}", hint=f"Nothing is known of its jobs; they go on. {hint}")

    def _check(self, job: JobSpec) -> None:
        faults = []
        if not _SUBMISSION.fullmatch(job.submission):
            faults.append(f"a submission is named by [a-z0-9-], from a letter on, at most 63, got {job.submission!r}")
        if not job.argv:
            faults.append("there is no program to run: command() gave nothing")
        if job.options:
            faults.append(f"it has no options, got {', '.join(sorted(job.options))}")
        faults += [f"a shell takes no variable {name!r}" for name in job.env if not shell.is_name(name)]
        if any("\0" in text for text in (*job.argv, *job.env.values(), job.folder)):
            faults.append("no argument, folder or value of the environment may hold a zero byte")
        if faults:
            raise JobRefused(f"{job.title}: ssh://{self.place} does not take it: {'; '.join(faults)}")


def _lines(done: Done) -> list[str]:
    """What the script said to us."""
    text = done.out.decode("utf-8", "surrogateescape")
    return [line.removeprefix(shell.MARK).strip() for line in text.split("\n") if line.startswith(shell.MARK)]


def _status(line: str, place: Place) -> JobStatus:
    """What a line of `shell.poll` says."""
    word, *rest = line.split()
    if word == "ended":
        return _ended(int(rest[0]), rest[1])
    if word == "elsewhere":
        return JobStatus(JobState.RUNNING, message=_elsewhere(line))
    if word == "orphan":
        return JobStatus(JobState.RUNNING, message="what supervised it was killed: its exit status will not be known")
    if word == "running":
        return JobStatus(JobState.RUNNING)
    if word == "rebooted":
        return JobStatus(JobState.KILLED, message=f"{place.host} was started anew while it ran")
    if word == "killed":
        why = "cancelled" if rest == ["cancelled"] else "it was killed together with what supervised it (out of memory?)"
        return JobStatus(JobState.KILLED, message=why)
    return JobStatus(JobState.FORGOTTEN, message=f"its folder on {place.host} is gone")


def _ended(status: int, why: str) -> JobStatus:
    if status == 0:
        return JobStatus(JobState.SUCCEEDED, exit=0)
    if why == "cancelled":
        return JobStatus(JobState.KILLED, status, "cancelled")
    if why == "timed-out":
        return JobStatus(JobState.KILLED, status, "it ran for longer than it may")
    if status > 128 and (name := _signal_name(status - 128)):
        return JobStatus(JobState.KILLED, status, f"ended by {name}")
    return JobStatus(JobState.FAILED, exit=status, message=_MEANT.get(status, ""))


_MEANT = {126: "its program cannot be run", 127: "its program, or the folder that it runs in, is not there"}


def _signal_name(number: int) -> str:
    with suppress(ValueError):
        return signal.Signals(number).name
    return ""


def _elsewhere(line: str) -> str:
    _, there, here = line.split()
    return f"the job is on {there}, and this address led to {here}: name that host"
