"""Tasks whose ``work`` a batch system of commands runs (SGE, LSF): what travels to the node, and how the job is followed.

The job ends with the attempt. Engines that outlive the worker are `levada.contrib.slurm` and its like; these systems have none.
"""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from levada._model.control import listening
from levada.contrib.hadoop.shipping import prepare, set_state, state_of
from levada.errors import JobFailed
from levada.handover.shipping import archive_of, entry_of, secrets_of, task_of
from levada.task import Task

logger = logging.getLogger("luigi-interface")

TASK = "levada-task.json"
CODE = "levada-code.zip"  # its name is in the runners, too, which begin without any module of ours
DONE = "job.done"
OUT, ERR = "job.out", "job.err"


class ClusterTask(Task):
    """A task with a ``work`` that runs on a node, from a folder that it sees, too."""

    tmp_dir = ""
    job_id = 0

    def init_local(self) -> None:
        """Called before the job is submitted. What it sets on ``self`` reaches the node, if it is plain data."""

    def work(self) -> None:
        """What is done on the node."""

    # -- what a batch system's own class uses

    def _pack(self, base: str, *, code: bool) -> None:
        """Make `tmp_dir`: the task as text, for no other user to read, and perhaps its code."""
        self.tmp_dir = os.path.join(base, f"{self.task_id}-{random.getrandbits(64):016x}".replace("/", "-")[:255])
        os.makedirs(self.tmp_dir, mode=0o700)
        prepare(self)
        described = {"entry": entry_of(self), "secrets": secrets_of(self), "state": state_of(self)}
        file = os.open(os.path.join(self.tmp_dir, TASK), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "w", encoding="utf-8") as stream:
            json.dump(described, stream)
        if code:
            os.rename(archive_of(type(self), self.tmp_dir), os.path.join(self.tmp_dir, CODE))

    def _follow(self, ended: Callable[[], bool], seconds: float, cancel: Sequence[str]) -> None:
        """Look again and again until it has ended. cancel: the command that ends it, if the attempt is interrupted."""
        control = listening()
        try:
            while True:
                control.wait(seconds)
                if ended():
                    return
        except BaseException:
            with suppress(OSError):
                subprocess.call(list(cancel))
            raise

    def _judge(self, *, failed: bool = False) -> None:
        """Raise JobFailed where the job is known to have failed. Where nothing is known, the outputs tell."""
        if os.path.exists(os.path.join(self.tmp_dir, DONE)) and not failed:
            return
        said = self._said(ERR)
        if failed or said:
            raise JobFailed(f"{self}: job {self.job_id} failed", hint=f"It said last:\n{said[-4000:]}" if said else f"See {self.tmp_dir}.")

    def _said(self, name: str) -> str:
        try:
            with open(os.path.join(self.tmp_dir, name), encoding="utf-8", errors="replace") as file:
                return "".join(line for line in file if line.strip() != "stdin: is not a tty")
        except FileNotFoundError:
            return ""

    def _clear(self) -> None:
        if self.tmp_dir:
            shutil.rmtree(self.tmp_dir, ignore_errors=True)


def run_on_node(arguments: Sequence[str]) -> int:
    """Do the work of the task in the folder that the first argument names; a second one is a folder with modules."""
    logging.basicConfig(level=logging.WARNING)
    folder, *more = [one for one in arguments if not one.startswith("--")]
    sys.path += more
    with open(os.path.join(folder, TASK), encoding="utf-8") as stream:
        described = json.load(stream)
    task = task_of(described["entry"], described["secrets"])
    set_state(task, described["state"])
    task.work()
    open(os.path.join(folder, DONE), "w").close()
    return 0


def text(said: Any) -> str:
    """What a command said."""
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
