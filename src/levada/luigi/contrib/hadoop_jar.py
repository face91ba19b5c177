"""``luigi.contrib.hadoop_jar``: programs in jars, started by ``hadoop jar`` as a child of the attempt, here or on another host.

A class whose ``job_runner`` gives `levada.luigi.contrib.hadoop.DefaultHadoopJobRunner` hands its job over to the engine ``hadoop``.
"""

from __future__ import annotations

import logging
import os
import secrets
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from levada.contrib import hadoop as house
from levada.contrib.hdfs import HdfsTarget
from levada.errors import EngineError

from . import hadoop
from .hdfs.config import load_hadoop_cmd

logger = logging.getLogger("luigi-interface")


class HadoopJarJobError(EngineError):
    """A job that cannot be started as it is described."""

    code = "hadoop-jar"


def fix_paths(job: Any) -> tuple[list[tuple[HdfsTarget, str]], list[str]]:
    """Temporaries with the paths that they are for, and the job's arguments: paths in the place of targets.

    An HdfsTarget that is not there yet is an output, and gets a temporary unless the job says that it is not ``atomic_output``.
    """
    moves, words = [], []
    for one in job.args():
        if isinstance(one, HdfsTarget) and job.atomic_output() and not one.exists():
            final = one.path.rstrip("/")
            made = HdfsTarget(f"{final}-luigi-tmp-{secrets.randbelow(10**10):09d}")
            moves.append((made, final))
            words.append(made.path)
        else:
            words.append(one.path if hasattr(one, "path") else str(one))
    return moves, words


class HadoopJarJobRunner(hadoop.JobRunner):
    """Runs a job by ``hadoop jar``."""

    def run_job(self, job: Any, tracking_url_callback: Callable[[str], Any] | None = None) -> None:
        """Run it to its end, and give its outputs their names. Raises HadoopJobError, HadoopJarJobError."""
        if not job.jar():
            raise HadoopJarJobError(f"{job}: Jar not defined", hint="Let jar() give its path.")
        words = [*load_hadoop_cmd(), "jar", job.jar(), *([job.main()] if job.main() else [])]
        words += [f"-D{conf}" for conf in job.jobconfs()]
        moves, arguments = fix_paths(job)
        words += arguments
        if elsewhere := job.ssh():
            words = _over_ssh(elsewhere, words, job)
        elif not os.path.exists(job.jar()):
            raise HadoopJarJobError(f"{job}: there is no jar {os.path.abspath(job.jar())}")
        hadoop.run_and_track_hadoop_job(words, tracking_url_callback or job.set_tracking_url)
        for made, final in moves:
            made.move(final)


def _over_ssh(elsewhere: Mapping[str, Any], words: Sequence[str], job: object) -> list[str]:
    missing = [name for name in ("host", "key_file", "username") if not elsewhere.get(name)]
    if missing:
        raise HadoopJarJobError(f"{job}: ssh() names no {', '.join(missing)}", hint="It gives host, key_file and username.")
    unchecked = ["-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no"] if elsewhere.get("no_host_key_check") else []
    place = f"{elsewhere['username']}@{elsewhere['host']}"
    return ["ssh", "-i", elsewhere["key_file"], "-o", "BatchMode=yes", *unchecked, place, shlex.join(words)]


class HadoopJarJobTask(hadoop.BaseHadoopJobTask, house.HadoopJarJobTask):
    """A program in a jar: `jar`, perhaps `main`, and `args`, in which targets stand for their paths."""

    def jar(self) -> Any:
        """Path of the jar."""
        return None

    def main(self) -> Any:
        """The main class; None: the one that the jar names."""
        return None

    def job_runner(self) -> Any:
        """By ``hadoop jar``."""
        return HadoopJarJobRunner()

    def atomic_output(self) -> bool:
        """Whether outputs are written under other names, and get their own at the end."""
        return True

    def ssh(self) -> Mapping[str, Any] | None:
        """Where the command runs: ``host``, ``username``, ``key_file`` and perhaps ``no_host_key_check``; None: here."""
        return None

    def args(self) -> Sequence[Any]:
        """Arguments of the program."""
        return []
