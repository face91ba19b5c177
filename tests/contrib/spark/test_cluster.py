"""Applications on a real standalone cluster, their drivers here or there; the master's own list says what ran how often."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from levada import config
from levada.config.settings import load
from levada.contrib.spark.engine import SparkEngine
from levada.errors import EngineUnreachable, JobRefused
from levada.handover import JobSpec, JobState, JobStatus
from tests.contrib.ports import free_port
from tests.faults.command import ROOT, Command, ended, soon

from .cluster import Cluster, wait_for
from .test_applications import fences, wait_until_it_ran
from .test_laws import SHELL

NAME = f"lv-{os.urandom(8).hex()}-1-1-aaaaaa"


@pytest.fixture
def jobs(program: Command, cluster: Cluster) -> Command:
    shutil.copy(Path(__file__).with_name("jobs.py"), program.folder)
    program.environ |= cluster.settings()
    return program


@pytest.fixture
def engine(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SparkEngine:
    monkeypatch.setattr(config, "_current", load(cluster.settings(), str(tmp_path)))
    (tmp_path / "shell.py").write_text(SHELL)
    return SparkEngine(cluster.url, str(tmp_path / "jobs"))


def spec(folder: Path, script: str, *words: str, submission: str = NAME) -> JobSpec:
    """A driver in the cluster that runs a shell."""
    options = {"deploy_mode": "cluster", "driver_memory": "256m"}
    return JobSpec(submission, "Täsk(of='cluster')", (str(folder / "shell.py"), script, *words), options=options)


def end_of(engine: SparkEngine, handle: str) -> JobStatus:
    until = time.monotonic() + 300
    while not (status := engine.poll([handle])[0]).state.is_ended:
        assert time.monotonic() < until, status
        time.sleep(0.1)
    return status


@pytest.mark.parametrize("family", ["Slow", "SlowInCluster"])
def test_an_application_survives_its_worker_and_runs_once(jobs: Command, cluster: Cluster, family: str) -> None:
    title, drivers = f"Ünïcode and space in {family}", len(cluster.drivers())
    here = {"SLOW_HERE": str(jobs.folder)}
    words = ["run", "--module", "jobs", family, "--title", title]
    first = jobs.start(*words, environ=here)
    wait_until_it_ran(jobs, first)
    followed_by = fences(jobs)
    first.kill()
    ended(first)
    second = jobs.start(*words, environ=here)
    assert soon(lambda: fences(jobs) != followed_by, 200)
    (jobs.folder / "go").touch()
    done = ended(second, 400)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (jobs.folder / f"{title}.done").read_text() == "45 ein Wort — und 'noch' eins "
    assert (jobs.folder / "ran").read_text() == f"{title}\n"
    assert len(cluster.applications(f"{family}(title={title})")) == 1
    assert len(cluster.drivers()) - drivers == (family == "SlowInCluster")


def test_a_driver_in_the_cluster_that_raises_shows_its_traceback(jobs: Command) -> None:
    done = jobs.run("run", "--module", "jobs", "FailsInCluster", "--where=executor", timeout=400)
    assert done.returncode != 0
    assert "ZeroDivisionError: integer division or modulo by zero" in done.stdout + done.stderr
    assert "jobs.py" in jobs.run("log", "FailsInCluster").stdout


def test_a_cancelled_driver_is_killed(engine: SparkEngine, tmp_path: Path) -> None:
    handle = engine.submit(spec(tmp_path, 'touch "$1"; sleep 60', str(tmp_path / "runs")))
    wait_for((tmp_path / "runs").exists, 300)
    assert engine.poll([handle])[0].state is JobState.RUNNING
    engine.cancel(handle)
    assert end_of(engine, handle).state is JobState.KILLED
    engine.cancel(handle)
    assert engine.poll([handle])[0].state is JobState.KILLED


def test_words_and_variables_reach_a_driver_in_the_cluster(engine: SparkEngine, tmp_path: Path) -> None:
    words = ("with space", "quote'\"`$HOME", "ümläut-日本語-🌊", "", "new\nline", "-rf")
    script = 'printf "<%s>" "$@"; printf "[%s]" "$ODD"; echo said-to-stderr >&2; exit 3'
    handle = engine.submit(spec(tmp_path, script, *words)._replace(env={"ODD": "ü 'x'\nline", "LC_ALL": "C.UTF-8"}))
    status = end_of(engine, handle)
    said = engine.logs(handle, most=50_000)
    assert status.state is JobState.FAILED
    assert "".join(f"<{word}>" for word in words) + "[ü 'x'\nline]" in said
    assert "said-to-stderr" in said
    assert len(engine.logs(handle, most=10)) <= 10


SUBMIT = """
import sys
from tests.contrib.spark.test_cluster import spec
from pathlib import Path
from levada import config
from levada.config.settings import load
from levada.contrib.spark.engine import SparkEngine
config.use(load({"LEVADA_SPARK__REST": sys.argv[2]}, "/"))
SparkEngine(sys.argv[1], sys.argv[3] + "/jobs").submit(spec(Path(sys.argv[3]), "exit 0", submission=sys.argv[4]))
"""


def test_a_submitter_killed_at_any_moment_leaves_one_driver(engine: SparkEngine, cluster: Cluster, tmp_path: Path) -> None:
    before = len(cluster.drivers())
    for number in range(6):
        name = f"lv-{number:016x}-1-1-aaaaaa"
        command = [sys.executable, "-c", SUBMIT, cluster.url, cluster.rest, str(tmp_path), name]
        started = subprocess.Popen(command, cwd=ROOT)
        wait_for((tmp_path / "jobs").exists)
        time.sleep(0.08 * number)
        started.kill()
        started.wait()
        handle = engine.find(name) or engine.submit(spec(tmp_path, "exit 0", submission=name))
        assert engine.find(name) == handle
        assert end_of(engine, handle).state is JobState.SUCCEEDED
    assert len(cluster.drivers()) - before == 6


def test_a_master_that_is_away_says_nothing_of_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setattr(config, "_current", load({"LEVADA_SPARK__REST": away}, str(tmp_path)))
    engine = SparkEngine("spark://127.0.0.1:1", str(tmp_path / "jobs"))
    with pytest.raises(EngineUnreachable, match="Connection refused"):
        engine.submit(spec(tmp_path, "true"))
    assert engine.find(NAME) is None
    with pytest.raises(EngineUnreachable, match="Connection refused"):
        engine.poll([f"driver {NAME} here driver-1 {away}"])


def test_a_master_that_began_anew_has_forgotten_its_drivers(engine: SparkEngine, cluster: Cluster, tmp_path: Path) -> None:
    handle = engine.submit(spec(tmp_path, "exit 0"))
    end_of(engine, handle)
    cluster.kill_master()
    with pytest.raises(EngineUnreachable):
        engine.poll([handle])
    cluster.start_master()
    wait_for(lambda: reached(engine, handle), 200)
    assert engine.poll([handle])[0].state is JobState.FORGOTTEN
    wait_for(lambda: cluster.state()["aliveworkers"] == 1, 200)


def reached(engine: SparkEngine, handle: str) -> bool:
    try:
        engine.poll([handle])
    except EngineUnreachable:
        return False
    return True


@pytest.mark.parametrize(
    ("master", "mode", "why"),
    [
        ("yarn", "cluster", "only standalone clusters"),
        ("", "cluster", "that nobody named"),
        ("yarn", "klient", "expected client or cluster"),
    ],
)
def test_a_deploy_mode_that_is_not_there_is_refused(tmp_path: Path, master: str, mode: str, why: str) -> None:
    job = spec(tmp_path, "true")._replace(options={"deploy_mode": mode})
    with pytest.raises(JobRefused, match=why):
        SparkEngine(master, str(tmp_path)).submit(job)
