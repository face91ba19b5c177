"""Programs of this machine that outlive the worker: a folder each, a supervisor each, and no daemon.

The folder of a program is named after its submission and appears in one step, so none is started twice. Its supervisor, a shell of a
megabyte in a session of its own, holds a lock on ``lock`` for as long as it lives: the kernel tells who is gone, and no process id is
trusted. Files of a folder::

    spec.json   what runs, for people            job    process id of the program, which leads a session of its own
    lock        locked by the supervisor         log    stdout and stderr
    pid         the supervisor's process id      why    why it was ended, if somebody ended it
    exit        exit status, 128 + N for a signal; appears whole when the program has ended
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from levada._model.engines import JobSpec, JobState, JobStatus
from levada.errors import EngineError, EngineUnreachable, JobRefused

GRACE = 10.0  # seconds between SIGTERM and SIGKILL of a program that is cancelled
_OLD = 60.0  # seconds after which a draft that nobody holds is what a killed process left
_SCARCE = {errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT}
_VOID = 86400.0  # ... and those that tell that nothing is to be started
_A_MOMENT = 2.0  # seconds that a supervisor takes at most to note its process id

SUPERVISOR = r"""
folder=$1 grace=$2 seconds=$3; shift 3
echo $$ >"$folder/pid"
later() { ( trap 'kill "$s" 2>/dev/null; exit 0' TERM; sleep "$1" & s=$!; wait "$s"; shift; "$@" ) >/dev/null 2>&1 & }
because() { [ -e "$folder/why" ] || echo "$1" >"$folder/why"; }
too_long() { because "it ran for longer than $seconds s"; kill -TERM $$; }
all() {  # of the job's session, in whichever group: one that has a group of its own, too
    kill "-$1" "-$job" "$job" 2>/dev/null
    for at in /proc/[0-9]*; do
        { read -r line <"$at/stat"; } 2>/dev/null || continue
        set -- "$1" ${line##*) }
        [ "$5" != "$job" ] || kill "-$1" "${at#/proc/}" 2>/dev/null
    done
}
end() { because cancelled; [ -n "$job" ] || return; all TERM; [ -n "$killer" ] || { later "$grace" all KILL; killer=$!; }; }
job= timer= killer=
trap '' HUP INT
trap end TERM
"$@" >>"$folder/log" 2>&1 <&3 &
job=$!
exec 3<&-
[ ! -e "$folder/why" ] || end
if [ "$seconds" != 0 ]; then later "$seconds" too_long; timer=$!; fi
while :; do wait "$job"; code=$?; kill -0 "$job" 2>/dev/null || break; done
[ -z "$timer$killer" ] || kill $timer $killer 2>/dev/null
[ ! -e "$folder/why" ] || all KILL
until echo "$code" >"$folder/exit.part" && mv "$folder/exit.part" "$folder/exit"; do [ -d "$folder" ] && sleep 1 || exit; done
"""

# Runs in the program's place until it is the program: own session, own limits, own variables (from stdin), nothing of ours open.
LAUNCHER = r"""
import os, signal, sys
folder, cwd, memory, *argv = sys.argv[1:]
with open(0, "rb", closefd=False) as given:
    environ = dict(pair.split(b"=", 1) for pair in given.read().split(b"\0") if pair)
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
os.closerange(3, 1 << 16)
os.setsid()
try:
    with open(os.path.join(folder, "job"), "w") as file:
        file.write(str(os.getpid()))
    if os.path.exists(os.path.join(folder, "why")):  # cancelled when we were still a shell that had our supervisor's traps
        os._exit(128 + signal.SIGTERM)
    if memory != "0":
        import resource
        resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
    if cwd:
        os.chdir(cwd)
    for name in ("SIGHUP", "SIGINT", "SIGQUIT", "SIGPIPE", "SIGXFSZ"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    os.execvpe(argv[0], argv, environ)
except (OSError, ValueError) as error:
    sys.stderr.write("levada: cannot start %r%s: %s\n" % (argv[0], " in " + cwd if cwd else "", getattr(error, "strerror", None) or error))
    os._exit(127 if isinstance(error, FileNotFoundError) else 126)
"""


class Programs:
    """The programs of one folder of this host. Safe for threads and for several processes at once."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._swept = False
        self._void: dict[str, str] = {}  # submissions that were looked for and not found, with the mark that was left

    def start(self, job: JobSpec, argv: tuple[str, ...] | None = None, environ: Mapping[str, str] | None = None) -> None:
        """Start it, or do nothing where a program of that submission was started before. argv: in place of the job's own.

        environ: what the program gets before the job's own variables, None for the environment of this process.
        """
        argv = job.argv if argv is None else argv
        if not argv:
            raise JobRefused(f"{job.title}: there is no program to run: command() gave nothing")
        self._sweep()
        place = self.place(job.submission)
        draft = f"{place}.{os.urandom(4).hex()}.draft"
        os.makedirs(draft, 0o700)
        try:
            with _locked(os.path.join(draft, "lock")) as lock:
                with open(os.path.join(draft, "spec.json"), "w") as file:
                    json.dump({"title": job.title, "argv": argv, "folder": job.folder, "started": time.time()}, file)
                try:
                    os.rename(draft, place)
                except OSError:
                    if not os.path.isdir(place):
                        raise
                    if not _is_there(place, "void"):
                        return
                    self._take_away_void(job, place)
                    os.rename(draft, place)
                self._supervise(place, job, argv, {**(os.environ if environ is None else environ), **job.env}, lock)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _supervise(self, place: str, job: JobSpec, argv: tuple[str, ...], environ: dict[str, str], lock: int) -> None:
        launch = [sys.executable, "-I", "-S", "-c", LAUNCHER, place, job.folder or os.getcwd(), str(int(job.memory or 0)), *argv]
        supervise = ["/bin/sh", "-c", SUPERVISOR, "levada-job", place, str(GRACE), _plain(job.seconds or 0), *launch]
        ours = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/bin:/bin", "LEVADA_SUBMISSION": job.submission}
        try:
            with tempfile.TemporaryFile(dir=place) as given:
                given.write(b"\0".join(os.fsencode(f"{name}={value}") for name, value in environ.items()))
                given.seek(0)
                subprocess.run(
                    ["/bin/sh", "-c", 'exec 3<&0; "$@" </dev/null &', "levada-job", *supervise],
                    stdin=given, stdout=lock, stderr=subprocess.DEVNULL,  # what it starts has another stdout: it alone holds the lock
                    cwd="/", env=ours, start_new_session=True, check=True,
                )  # fmt: skip
        except (OSError, ValueError, subprocess.CalledProcessError) as cause:
            shutil.rmtree(place, ignore_errors=True)
            if isinstance(cause, subprocess.CalledProcessError) or getattr(cause, "errno", None) in _SCARCE:
                raise EngineUnreachable(f"{job.title}: cannot be started now: {cause}") from cause
            raise JobRefused(f"{job.title}: cannot be started: {cause}") from cause

    def _sweep(self) -> None:
        """Remove drafts of processes that died; once."""
        if self._swept or not os.path.isdir(self.folder):
            return
        self._swept = True
        for name in os.listdir(self.folder):
            draft = os.path.join(self.folder, name)
            with suppress(OSError):
                age = time.time() - os.stat(draft).st_mtime
                if (name.endswith(".draft") and age > _OLD and not _is_locked(draft)) or (age > _VOID and _is_there(draft, "void")):
                    shutil.rmtree(draft, ignore_errors=True)

    def was_started(self, submission: str) -> bool:
        """Whether a program of that submission was started. If not, none will be by who is about to: a mark is left in its place."""
        place = self.place(submission)
        if not os.path.isdir(place):
            return not self._give_up(submission)
        if _is_there(place, "void"):
            return False
        if _is_there(place, "exit") or _is_there(place, "pid") or _is_locked(place):
            return True
        if _is_there(place, "pid"):  # it began, and ended, between the two looks
            return True
        shutil.rmtree(place, ignore_errors=True)
        return not self._give_up(submission)

    def _give_up(self, submission: str) -> bool:
        """Leave a mark in place of a program; False when one was started meanwhile."""
        place, mark = self.place(submission), os.urandom(8).hex()
        draft = f"{place}.{mark}.draft"
        os.makedirs(draft, 0o700)
        try:
            with open(os.path.join(draft, "void"), "w") as file:
                file.write(mark)
            os.rename(draft, place)
        except OSError:
            if not os.path.isdir(place):
                raise
            return _is_there(place, "void")
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        self._void[submission] = mark
        return True

    def _take_away_void(self, job: JobSpec, place: str) -> None:
        """Our own mark. Raises EngineError for that of another, who has submitted the task anew by now."""
        if _read(place, "void") != self._void.pop(job.submission, None):
            raise EngineError(f"{job.title}: {job.submission} was looked for before it was started, and is not started any more")
        shutil.rmtree(place)

    def status(self, submission: str) -> JobStatus:
        """Where it stands."""
        place = self.place(submission)
        if (ended := self._ended(place)) is not None:
            return ended
        if not os.path.isdir(place):
            return JobStatus(JobState.FORGOTTEN, message=f"its folder {place} is gone")
        if _is_locked(place):
            return JobStatus(JobState.RUNNING)
        if (ended := self._ended(place)) is not None:  # it ended between the two looks
            return ended
        self._end_orphan(submission)
        return JobStatus(JobState.KILLED, message="its supervisor is gone: ended by force, or the machine was started anew")

    def _ended(self, place: str) -> JobStatus | None:
        text = _read(place, "exit").strip()
        if not text:
            return None
        code, why = int(text), _read(place, "why").strip()
        if why:
            return JobStatus(JobState.KILLED, code, why)
        if code > 128 and (name := _signal_name(code - 128)):
            return JobStatus(JobState.KILLED, code, f"ended by {name}")
        return JobStatus(JobState.SUCCEEDED if code == 0 else JobState.FAILED, code)

    def cancel(self, submission: str) -> None:
        """End it and what it started: SIGTERM, SIGKILL after `GRACE` seconds. Harmless when it has ended."""
        place, until = self.place(submission), time.monotonic() + _A_MOMENT
        while _is_locked(place) and not _is_there(place, "exit"):
            pid = _read(place, "pid").strip()
            if pid and _is_of(int(pid), submission):
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGTERM)
                return
            if time.monotonic() > until:
                raise EngineError(
                    f"{place}: has a supervisor that is not seen from here", hint="Another container, perhaps: cancel it there."
                )
            time.sleep(0.01)

    def log(self, submission: str, most: int) -> str:
        """The last bytes of what it has said; "" when nothing."""
        try:
            with open(os.path.join(self.place(submission), "log"), "rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - most))
                return file.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def forget(self, submission: str) -> None:
        """Remove its folder."""
        shutil.rmtree(self.place(submission), ignore_errors=True)

    def place(self, submission: str) -> str:
        """The folder of a program."""
        return os.path.join(self.folder, submission)

    def _end_orphan(self, submission: str) -> None:
        """The program may have outlived its supervisor, and so may the supervisor's timer: kill all that bear the submission's name."""
        import psutil  # type: ignore[import-untyped, unused-ignore]  # its stubs come with the development group

        for process in psutil.process_iter():
            with suppress(OSError, psutil.Error):
                if process.environ().get("LEVADA_SUBMISSION") == submission and process.pid != os.getpid():
                    process.kill()


@contextmanager
def _locked(path: str) -> Iterator[int]:
    """A new file with a lock on it, as a descriptor: whoever inherits it holds the lock, too."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield fd
    finally:
        os.close(fd)


def _is_locked(place: str) -> bool:
    """Whether a supervisor lives."""
    try:
        fd = os.open(os.path.join(place, "lock"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _is_of(pid: int, submission: str) -> bool:
    """Whether a process is of a submission: numbers are used again, and mean others in another container."""
    import psutil  # type: ignore[import-untyped, unused-ignore]  # its stubs come with the development group

    try:
        return bool(psutil.Process(pid).environ().get("LEVADA_SUBMISSION") == submission)
    except (OSError, psutil.Error):
        return False


def _plain(seconds: float) -> str:
    """For ``sleep``, which may not know exponents."""
    return "0" if not seconds else f"{max(seconds, 0.001):.3f}".rstrip("0").rstrip(".")


def _is_there(place: str, name: str) -> bool:
    return os.path.exists(os.path.join(place, name))


def _read(place: str, name: str) -> str:
    try:
        with open(os.path.join(place, name)) as file:
            return file.read()
    except OSError:
        return ""


def _signal_name(number: int) -> str:
    with suppress(ValueError):
        return signal.Signals(number).name
    return ""
