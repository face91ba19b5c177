"""``luigi.contrib.sge``: tasks whose ``work`` Sun Grid Engine runs on a node, submitted by ``qsub`` and watched by ``qstat``."""

from __future__ import annotations

import logging
import os
import shlex
import subprocess

from levada.errors import EngineError
from levada.params import BoolParameter, IntParameter, OptionalParameter, StrParameter

from . import sge_runner
from ._cluster import ERR, OUT, ClusterTask, text

logger = logging.getLogger("luigi-interface")

POLL_TIME = 5  # seconds


def _parse_qstat_state(qstat_out: str, job_id: int) -> str:
    """The state of a job in what ``qstat`` says; "u" where it is not listed."""
    for line in qstat_out.partition("\n---")[2].splitlines()[1:]:
        words = line.split()
        if len(words) > 4 and words[0] == str(job_id):
            return words[4]
    return "u"


def _parse_qsub_job_id(qsub_out: str) -> int:
    """The number in ``Your job 7 ("name") has been submitted``."""
    return int(qsub_out.split()[2])


def _build_qsub_command(cmd: str, job_name: str, outfile: str, errfile: str, pe: str, n_cpu: int) -> str:
    """The line for a shell that submits a command."""
    options = ["-o", f":{outfile}", "-e", f":{errfile}", "-V", "-r", "y", "-pe", pe, str(n_cpu), "-N", job_name]
    return f"echo {shlex.quote(cmd)} | qsub {shlex.join(options)}"


class SGEJobTask(ClusterTask):
    """Define ``work``. The nodes see ``shared_tmp_dir``, where the task and its code are left for the job."""

    n_cpu = IntParameter(default=2, significant=False)
    shared_tmp_dir = StrParameter(default="/home", significant=False)
    parallel_env = StrParameter(default="orte", significant=False)
    job_name_format = OptionalParameter(default=None, significant=False, description="name of the job, as {task_family}_{n_cpu}.")
    job_name = OptionalParameter(default=None, significant=False, description="name of the job.")
    run_locally = BoolParameter(significant=False, description="do the work in the worker.")
    poll_time = IntParameter(default=POLL_TIME, significant=False, description="seconds between two looks at the job.")
    dont_remove_tmp_dir = BoolParameter(significant=False, description="leave what was made for the job.")
    no_tarball = BoolParameter(significant=False, description="the nodes have the code already.")

    def run(self) -> None:
        """Submit the job, and wait for its end. Raises JobFailed."""
        if self.run_locally:
            self.work()
            return
        self._pack(self.shared_tmp_dir, code=not self.no_tarball)
        self._run_job()

    def _name(self) -> str:
        given = {name: getattr(self, name) for name, _ in self.get_params()}
        return self.job_name or (self.job_name_format or "{task_family}").format(**{**given, "task_family": self.task_family})

    def _run_job(self) -> None:
        words = ["python", os.path.abspath(sge_runner.__file__), self.tmp_dir, os.getcwd(), *(["--no-tarball"] if self.no_tarball else [])]
        out, err = (os.path.join(self.tmp_dir, name) for name in (OUT, ERR))
        command = _build_qsub_command(shlex.join(words), self._name(), out, err, self.parallel_env, self.n_cpu)
        self.job_id = _parse_qsub_job_id(text(subprocess.check_output(command, shell=True)))  # noqa: S602 - a pipe, of quoted words
        logger.debug("%s: job %d", command, self.job_id)
        self._track_job()
        self._judge()
        if not self.dont_remove_tmp_dir:
            self._clear()

    def _track_job(self) -> None:
        self._follow(self._ended, self.poll_time, ["qdel", str(self.job_id)])

    def _ended(self) -> bool:
        state = _parse_qstat_state(text(subprocess.check_output(["qstat"])), self.job_id)
        if "E" in state:
            self._judge(failed=True)
        if state not in ("r", "qw", "t", "u"):
            raise EngineError(f"{self}: job {self.job_id} is in the state {state!r}", hint="`qstat -j` tells more.")
        return state in ("t", "u")


class LocalSGEJobTask(SGEJobTask):
    """Does its work in the worker, for tests and desks."""

    def run(self) -> None:
        """Do the work."""
        self.work()
