"""Slurm's commands: run without what the environment would change in their answers, and what their complaints mean.

Laws: a command ends, or is ended, within a minute; no answer is never taken for an answer.
"""

from __future__ import annotations

import os
import re
import subprocess

from levada._model.values import NamedTuple
from levada.errors import EngineError, EngineUnreachable

ANSWER = 50.0  # seconds that a command may take; it asks again by itself meanwhile, for 9 to 18 where nobody listens
_KEPT = ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_JWT")  # where the controller is, and who asks
_CHANGES_ANSWERS = ("SLURM_", "SQUEUE_", "SACCT_", "SCANCEL_")  # also those of a job that the worker runs in
_CHANGES_JOBS = ("SBATCH_WAIT", "SBATCH_ARRAY_INX", "SBATCH_CLUSTERS", "SBATCH_TEST_ONLY")
_AWAY = re.compile(
    r"unable to contact|unable to connect|socket timed out|timed out|zero bytes were transmitted|connection (refused|reset|timed out)"
    r"|temporarily (unable|unavailable)|standby mode|not responding|authentication error|munge|configuration (source|file)"
    r"|communication (connection|shutdown)|no route to host|transport endpoint|cluster .* not found",
    re.IGNORECASE,
)


class Answer(NamedTuple):
    """What a command said, and its exit status."""

    status: int
    out: str
    trouble: str

    @property
    def is_away(self) -> bool:
        """Whether it complains that somebody did not answer it."""
        return self.status != 0 and bool(_AWAY.search(self.trouble))


def run(*words: str) -> Answer:
    """A command to its end. Raises EngineError where it is not there, EngineUnreachable when it takes more than `ANSWER` seconds."""
    try:
        done = subprocess.run(words, env=_environ(), stdin=subprocess.DEVNULL, capture_output=True, timeout=ANSWER)
    except OSError as cause:
        raise EngineError(
            f"slurm: {words[0]} cannot be run on this host: {cause.strerror or cause}",
            hint="Slurm's commands must be on the PATH of the worker (Debian: slurm-client).",
        ) from cause
    except subprocess.TimeoutExpired as cause:
        raise unreachable(f"{words[0]} got no answer within {ANSWER:g} s") from cause
    return Answer(done.returncode, _text(done.stdout), _text(done.stderr).strip())


def said(answer: Answer) -> str:
    """The complaint in one line.

    >>> said(Answer(1, "", "sbatch: error: Batch job submission failed: Invalid partition name specified\\n"))
    'Batch job submission failed: Invalid partition name specified'
    """
    lines = (re.sub(r"^\w+: (error|fatal): ", "", line).strip() for line in answer.trouble.splitlines())
    return "; ".join(line for line in lines if line and not line.startswith("Try ")) or f"exit status {answer.status}"


def unreachable(what: str) -> EngineUnreachable:
    """The error of a question that Slurm did not answer."""
    return EngineUnreachable(
        f"slurm: {what}",
        hint="Is slurmctld up? `scontrol ping` tells. Jobs go on without it, and are asked for again.",
    )


def _environ() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or not (name.startswith(_CHANGES_ANSWERS) or name in _CHANGES_JOBS)
    }


def _text(answer: bytes) -> str:
    return answer.decode("utf-8", "replace")
