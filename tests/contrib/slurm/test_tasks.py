"""Tasks that hand their work to a real Slurm: whatever becomes of the worker, its accounting knows of one job that ran."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.command import Command

from .cluster import Cluster, wait_for

FLOW = """
import levada as lv

class Sorted(lv.JobTask):
    name: str
    engine = "slurm"
    cpus, memory, seconds = 1, 50 << 20, 600
    retry = lv.Retry(attempts=3, first=0.05)

    def output(self):
        return lv.LocalTarget(f"sorted {self.name}.txt")

    def command(self):
        script = 'echo "$LEVADA_SUBMISSION" >> ran.log; while [ ! -e go ]; do sleep 0.05; done; sort raw.txt > "$1"; echo said'
        return ["sh", "-c", script, "sh", self.partial(self.output())]

    def options(self):
        return {"nice": 5}

class Broken(lv.JobTask):
    engine = "slurm"
    retry = lv.Retry(attempts=1)

    def output(self):
        return lv.LocalTarget("never.txt")

    def command(self):
        return ["sh", "-c", "echo no such table >&2; exit 3"]
"""


@pytest.fixture
def command(accounted: Cluster, tmp_path: Path) -> Iterator[Command]:
    command = Command(tmp_path, **accounted.environ)
    (tmp_path / "flow.py").write_text(FLOW)
    (tmp_path / "raw.txt").write_text("b\na\n")
    yield command
    for pid in command.alive():
        os.kill(pid, signal.SIGKILL)


def ran(command: Command) -> list[str]:
    """The submissions whose job began, as the jobs themselves wrote it down."""
    try:
        return (command.folder / "ran.log").read_text().split()
    except FileNotFoundError:
        return []


def accounted_jobs(cluster: Cluster, submission: str) -> list[str]:
    """States and exit statuses of all jobs of that name, as the accounting tells."""
    said = cluster.run("sacct", "-nPX", "--starttime=now-1hour", f"--name={submission}", "--format=State,ExitCode")
    return sorted(line for line in said.splitlines() if "|" in line)


def test_a_task_runs_as_a_job_and_its_log_is_that_of_the_attempt(accounted: Cluster, command: Command) -> None:
    command.folder.joinpath("go").touch()
    done = command.run("run", "--no-console", "flow.py", "Sorted", "--name", "ü")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "said" in (done.stdout + done.stderr).splitlines()
    assert (command.folder / "sorted ü.txt").read_text() == "a\nb\n"
    (submission,) = ran(command)
    wait_for(lambda: accounted_jobs(accounted, submission) == ["COMPLETED|0:0"])
    assert list((command.folder / ".levada" / "jobs").iterdir()) == []


def test_a_job_that_fails_is_told_with_the_end_of_its_log(command: Command) -> None:
    done = command.run("run", "--no-console", "flow.py", "Broken")
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "no such table" in said
    assert "3" in said


KILLERS = {
    "before sbatch": 'kill -9 "$PPID"; exit 1',
    "while sbatch is on its way": 'kill -9 "$PPID"; while [ ! -e late ]; do sleep 0.05; done',
    "before its answer": '"$real" "$@" >/dev/null; kill -9 "$PPID"; exit 1',
}


@pytest.mark.parametrize("moment", [*KILLERS, "while the job runs"])
def test_a_job_runs_once_when_its_worker_is_killed(accounted: Cluster, command: Command, moment: str) -> None:
    folder = command.folder
    words = ("run", "--no-console", "flow.py", "Sorted", "--name", "one")
    first = command.start(*words, environ=killing(folder, KILLERS.get(moment, "")))
    if moment == "while the job runs":
        wait_for(lambda: ran(command))
        first.kill()
    assert killed(first)

    second = command.start(*words)
    wait_for(lambda: ran(command))
    (folder / "late").touch()
    if moment == "while sbatch is on its way":
        wait_for(lambda: "FAILED 75:0" in states(accounted, folder))
    (folder / "go").touch()
    out, err = second.communicate(timeout=60)
    assert second.returncode == 0, out + err
    assert (folder / "sorted one.txt").read_text() == "a\nb\n"
    assert len(ran(command)) == 1
    wait_for(lambda: accounted_jobs(accounted, ran(command)[0])[:1] == ["COMPLETED|0:0"])
    assert states(accounted, folder).count("COMPLETED 0:0") == 1


def killed(process: subprocess.Popen[str]) -> bool:
    """Whether SIGKILL ended it, waited for; what holds its pipes may live on."""
    status = process.wait(60)
    for pipe in (process.stdout, process.stderr):
        assert pipe is not None
        pipe.close()
    return status == -signal.SIGKILL


def states(cluster: Cluster, folder: Path) -> list[str]:
    """States of all jobs that were handed over from a folder, as the accounting tells."""
    said = cluster.run("sacct", "-nPX", "--starttime=now-1hour", "--format=State,ExitCode,WorkDir")
    lines = (line.split("|") for line in said.splitlines())
    return [f"{state} {status}" for state, status, place in lines if place == str(folder)]


def killing(folder: Path, script: str) -> dict[str, str]:
    """An sbatch that kills who calls it."""
    if not script:
        return {}
    shims = folder / "shims"
    shims.mkdir()
    (shims / "sbatch").write_text(f'#!/bin/sh\nreal={shutil.which("sbatch")}\n{script}\nexec "$real" "$@"\n')
    (shims / "sbatch").chmod(0o755)
    return {"PATH": f"{shims}{os.pathsep}{os.environ['PATH']}"}
