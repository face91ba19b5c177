"""Workers inside one allocation of a real Slurm, by the script of docs/jobs.md: many tasks are one job."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.command import ROOT, Command, ended
from tests.served.conftest import Served

from .cluster import Cluster, wait_for


@pytest.fixture
def served(slurm: Cluster, tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path)  # a lease of a minute: clusters that start beside us keep processes from their turn for seconds
    served.environ |= slurm.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = served.run("token", "create", "--role", "worker", "--label", "pilots", "--to", "worker.token")
    assert done.returncode == 0, done.stderr
    yield served
    served.close()


def workers_sh(served: Served) -> str:
    """What the page shows, for a small cluster and this server."""
    page = (ROOT / "docs" / "jobs.md").read_text()
    found = re.search(r"```sh\n(#!/bin/sh\n#SBATCH .*?)```", page, re.DOTALL)
    assert found is not None
    script = found[1]
    for shown, here in {
        "--ntasks=16": "--ntasks=2", "--cpus-per-task=4": "--cpus-per-task=1", "https://etl.example:8782": served.url,
        "pipeline.py -w 4 --goals 0": "flow.py -w 1 --goals 0",
    }.items():  # fmt: skip
        assert shown in script
        script = script.replace(shown, here)
    return script


def sbatch(served: Served, script: str) -> str:
    """Its number."""
    (served.folder / "workers.sh").write_text(script)
    return ended(Command._start(served, ["sbatch", "--parsable", "workers.sh"], None)).stdout.strip()


def state(slurm: Cluster, number: str) -> str:
    return slurm.run("squeue", "--noheader", "--states=all", f"--jobs={number}", "--format=%T").strip()


def test_two_workers_of_one_allocation_do_what_another_wants(slurm: Cluster, served: Served) -> None:
    number = sbatch(served, workers_sh(served))
    wait_for(lambda: len(json.loads(served.run("workers", "--scheduler", served.url, "--json").stdout)) == 2)
    done = served.run_task("RunAll", "--pause", "0.4")
    assert done.returncode == 0, done.stdout + done.stderr

    ran = served.ran()
    assert len(ran) == len({name for name, _ in ran}) == 30
    assert len({pid for _, pid in ran}) == 3, "the run that wanted them, and the two workers"

    slurm.run("scancel", number)
    wait_for(lambda: state(slurm, number) == "CANCELLED")


def test_runs_of_one_allocation_share_a_plan_and_end_with_it(slurm: Cluster, served: Served) -> None:
    script = workers_sh(served).replace("levada worker --app flow.py -w 1 --goals 0", "levada run --no-console flow.py RunAll --pause 0.2")
    number = sbatch(served, script)
    wait_for(
        lambda: slurm.run("squeue", "--noheader", "--states=all", f"--jobs={number}", "--format=%T").strip() in ("COMPLETED", "FAILED")
    )
    said = (served.folder / f"slurm-{number}.out").read_text()
    assert slurm.run("squeue", "--noheader", "--states=all", f"--jobs={number}", "--format=%T").strip() == "COMPLETED", said
    ran = served.ran()
    assert len(ran) == len({name for name, _ in ran}) == 30
    assert len({pid for _, pid in ran}) == 2
