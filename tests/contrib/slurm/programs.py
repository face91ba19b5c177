"""What tests start as processes of their own: `python programs.py WHAT ARGUMENTS`."""

from __future__ import annotations

import os
import signal
import sys

from levada._model.engines import JobSpec
from levada.contrib.slurm import SlurmEngine
from levada.contrib.slurm import engine as module


def die(step: str, folder: str, submission: str, note: str) -> None:
    """Submit a job that notes that it ran, and die by SIGKILL at a step of that."""
    run = module.run

    def doomed(*words: str) -> object:
        if step == "before sbatch":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = run(*words)
        if step == "after sbatch":
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    module.run = doomed  # type: ignore[assignment]
    SlurmEngine(folder=folder).submit(JobSpec(submission, "dies", ("sh", "-c", f"echo ran >> '{note}'")))
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
