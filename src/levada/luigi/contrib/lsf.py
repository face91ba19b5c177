"""``luigi.contrib.lsf``: tasks whose ``work`` LSF runs on a node, submitted by ``bsub`` and watched by ``bjobs``."""

from __future__ import annotations

import logging
import os
import subprocess

from levada.errors import EngineError
from levada.params import BoolParameter, FloatParameter, IntParameter, StrParameter

from . import lsf_runner
from ._cluster import ERR, OUT, ClusterTask, text

logger = logging.getLogger("luigi-interface")

_WAITING = ("PEND", "PSUSP", "SSUSP", "USUSP", "WAIT", "RUN")


def track_job(job_id: int | str) -> str:
    """The state of a job, as ``bjobs`` names it."""
    return text(subprocess.check_output(["bjobs", "-noheader", "-o", "stat", str(job_id)])).strip()


def kill_job(job_id: int | str) -> None:
    """End a job."""
    subprocess.call(["bkill", str(job_id)])


class LSFJobTask(ClusterTask):
    """Define ``work``. The nodes see ``shared_tmp_dir``, where the task and its code are left for the job."""

    n_cpu_flag = IntParameter(default=2, significant=False)
    shared_tmp_dir = StrParameter(default="/tmp", significant=False)  # noqa: S108 - Luigi's default
    resource_flag = StrParameter(default="mem=8192", significant=False)
    memory_flag = StrParameter(default="8192", significant=False)
    queue_flag = StrParameter(default="queue_name", significant=False)
    runtime_flag = IntParameter(default=60)
    job_name_flag = StrParameter(default="")
    poll_time = FloatParameter(default=5, significant=False, description="seconds between two looks at the job.")
    save_job_info = BoolParameter(default=False, description="leave what was made for the job.")
    extra_bsub_args = StrParameter(default="")

    job_status = ""

    def fetch_task_failures(self) -> list[str]:
        """Lines that the job wrote to stderr."""
        return self._said(ERR).splitlines(keepends=True)

    def fetch_task_output(self) -> list[str]:
        """Lines that it wrote to stdout."""
        return self._said(OUT).splitlines(keepends=True)

    def run(self) -> None:
        """Submit the job, and wait for its end. Raises JobFailed."""
        self._pack(self.shared_tmp_dir, code=True)
        self._run_job()

    def bsub_command(self) -> list[str]:
        """The words that submit it."""
        words = ["bsub", "-q", self.queue_flag, "-n", str(self.n_cpu_flag), "-M", str(self.memory_flag)]
        words += ["-R", f"rusage[{self.resource_flag}]", "-W", str(self.runtime_flag)]
        words += ["-J", self.job_name_flag] if self.job_name_flag else []
        words += ["-o", os.path.join(self.tmp_dir, OUT), "-e", os.path.join(self.tmp_dir, ERR), *self.extra_bsub_args.split()]
        return [*words, "python", os.path.abspath(lsf_runner.__file__), self.tmp_dir, os.getcwd()]

    def _run_job(self) -> None:
        command = self.bsub_command()
        said = text(subprocess.check_output(command, cwd=self.tmp_dir))
        self.job_id = int(said.partition("<")[2].partition(">")[0])  # Job <7> is submitted to queue <night>.
        logger.info("%s: job %d", " ".join(command), self.job_id)
        self._follow(self._ended, self.poll_time, ["bkill", str(self.job_id)])
        self._judge(failed=self.job_status == "EXIT")
        if not self.save_job_info:
            self._clear()

    def _ended(self) -> bool:
        self.job_status = track_job(self.job_id)
        if self.job_status not in (*_WAITING, "DONE", "EXIT"):
            raise EngineError(f"{self}: job {self.job_id} is in the state {self.job_status!r}", hint="`bjobs -l` tells more.")
        return self.job_status in ("DONE", "EXIT")


class LocalLSFJobTask(LSFJobTask):
    """Does its work in the worker, for tests and desks."""

    def run(self) -> None:
        """Do the work."""
        self.init_local()
        self.work()
