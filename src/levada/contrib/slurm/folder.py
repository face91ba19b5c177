"""The folder of a submission, on a disk that workers and nodes share: scripts, log, whose it is, how it ended.

Each call of sbatch is a *try* with a folder of its own in it. Whose the try is stands in a symbolic link, ``owner``, which is made in
one step and by one alone: by the job when it begins, by the worker that was told the job's number, or by one that looked for the job
and found none. In the last case a job that comes late, from an sbatch that outlived its worker, finds the place taken and ends
without having run. Files::

    TRY/batch    what Slurm is given        TRY/run    variables, folder, program
    TRY/owner    -> number of its job       log        stdout and stderr
    exit         exit status, and "killed" if Slurm had told it to end; appears whole when the program has ended
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from levada._model.engines import JobSpec
from levada._model.values import NamedTuple
from levada.errors import EngineError, EngineUnreachable
from levada.handover.scripts import NOT_RUN, run_script, write_script

NOBODY = "nobody"  # the owner of a try that was given up

BATCH = """\
#!/bin/sh
here={here} try=$here/{name}
ln -s "$SLURM_JOB_ID" "$try/owner" 2>/dev/null
if [ "$(readlink "$try/owner")" != "$SLURM_JOB_ID" ]; then
    echo "levada: not run: $try is not there, or was given up before the job began" >&2
    exit {not_run}
fi
rm -f "$here/exit"
trap killed=killed TERM  # or the program would lose the time that Slurm gives it to end
sh "$try/run"
status=$?
echo $status $killed >"$here/exit.part" && mv -f "$here/exit.part" "$here/exit"
exit $status
"""


class Noted(NamedTuple):
    """How a program ended: its exit status (128 and more: by a signal), and whether Slurm had told it to end."""

    exit: int
    killed: bool


class JobFolder:
    """The folder of one submission; nothing is there before `begin`."""

    def __init__(self, path: str) -> None:
        self.path = path

    @property
    def log(self) -> str:
        """What the job said, stdout and stderr."""
        return f"{self.path}/log"

    def batch(self, attempt: str) -> str:
        """The script that Slurm is given."""
        return f"{self.path}/{attempt}/batch"

    def begin(self, job: JobSpec) -> str:
        """Write the scripts of a new try; its name. Raises JobRefused for what no shell can be told, EngineError where they cannot be."""
        run, attempt = run_script(job), os.urandom(4).hex()
        try:
            os.makedirs(self.path, 0o700, exist_ok=True)
            os.mkdir(f"{self.path}/{attempt}", 0o700)
            write_script(f"{self.path}/{attempt}/run", run)
            write_script(self.batch(attempt), BATCH.format(here=shlex.quote(self.path), name=attempt, not_run=NOT_RUN))
        except OSError as cause:
            raise EngineError(
                f"{self.path}: the job's folder cannot be written: {cause.strerror or cause}",
                hint="Set [slurm] folder to a folder that the hosts of workers and the nodes of the cluster share.",
            ) from cause
        return attempt

    def tries(self) -> dict[str, str | None]:
        """Each try and whose it is: the number of a job, `NOBODY`, or None when that is open. Raises EngineUnreachable."""
        with _reached(self.path):
            try:
                return {found.name: self._owner(found.name) for found in os.scandir(self.path) if found.is_dir()}
            except FileNotFoundError:
                return {}

    def take(self, attempt: str, owner: str) -> str:
        """Let a try belong to the number of a job, or to `NOBODY`, unless it belongs to one; whose it is now. Raises EngineUnreachable."""
        with _reached(self.path):
            try:
                os.symlink(owner, f"{self.path}/{attempt}/owner")
            except FileExistsError:
                return self._owner(attempt) or owner
        return owner

    def _owner(self, attempt: str) -> str | None:
        try:
            return os.readlink(f"{self.path}/{attempt}/owner")
        except FileNotFoundError:
            return None

    def noted(self) -> Noted | None:
        """What the script noted of its end, None where it did not come to that. Raises EngineUnreachable."""
        with _reached(self.path):
            try:
                status, _, killed = Path(self.path, "exit").read_text().strip().partition(" ")
                return Noted(int(status), killed != "")
            except (FileNotFoundError, ValueError):
                return None

    def tail(self, most: int) -> str:
        """The last ``most`` bytes of the log; "" when there is none. Raises EngineUnreachable."""
        with _reached(self.path):
            try:
                with open(self.log, "rb") as log:
                    log.seek(max(0, os.fstat(log.fileno()).st_size - most))
                    return log.read(most).decode("utf-8", "replace")
            except FileNotFoundError:
                return ""

    def remove(self) -> None:
        """Nothing is left of it; harmless when nothing was."""
        shutil.rmtree(self.path, ignore_errors=True)


@contextmanager
def _reached(path: str) -> Iterator[None]:
    """A disk that does not answer is part of a system that does not."""
    try:
        yield
    except OSError as cause:
        raise EngineUnreachable(
            f"{path}: the job's folder cannot be reached: {cause.strerror or cause}",
            hint="[slurm] folder lies on a disk that the hosts of workers and the nodes of the cluster share. Is it mounted?",
        ) from cause
