"""moto's server, started as a program, with what AWS tells of a job's end: moto knows the exit status, and leaves it out there."""

from __future__ import annotations

import sys
from typing import Any

from moto.batch.models import Job
from moto.server import main


def described(job: Job, as_moto_does: Any = Job.describe) -> dict[str, Any]:
    told: dict[str, Any] = as_moto_does(job)
    if job.exit_code is not None:
        told["container"]["exitCode"] = job.exit_code
    return told


if __name__ == "__main__":
    Job.describe = described  # type: ignore[method-assign]  # as said above
    main(sys.argv[1:])
