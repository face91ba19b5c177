"""Jobs on a real Slurm: taken once, found again, ended in every way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from levada._model.engines import Engine, JobState, JobStatus
from levada.contrib.slurm import SlurmEngine
from levada.contrib.slurm import engine as module
from levada.contrib.slurm.engine import read_handle
from levada.contrib.slurm.folder import NOBODY, JobFolder
from levada.errors import EngineError, EngineUnreachable, JobRefused

from .cluster import Cluster, wait_for
from .jobs import counted, end_of, spec

ROOT = Path(__file__).parents[3]
PROGRAMS = str(Path(__file__).with_name("programs.py"))


def test_a_job_runs_and_its_end_and_log_are_told(slurm: Cluster, engine: SlurmEngine) -> None:
    checked: Engine = engine
    job = spec("sh", "-c", "echo out; echo err >&2")
    handle = checked.submit(job)
    assert end_of(engine, handle) == JobStatus(JobState.SUCCEEDED, 0)
    assert sorted(engine.logs(handle, most=1000).split()) == ["err", "out"]
    assert engine.logs(handle, most=3) in ("ut\n", "rr\n")
    told = slurm.run("scontrol", "show", "job", read_handle(handle).job)
    assert f"JobName={job.submission}" in told
    assert "Comment=Count(day=2024-02-29)" in told
    engine.forget(handle)
    assert engine.logs(handle, most=100) == ""
    engine.forget(handle)


@pytest.mark.usefixtures("slurm")
def test_an_exit_status_is_told(engine: SlurmEngine) -> None:
    assert end_of(engine, engine.submit(spec("sh", "-c", "exit 3"))) == JobStatus(JobState.FAILED, 3, "FAILED 3:0")


@pytest.mark.usefixtures("slurm")
def test_a_signal_is_named(engine: SlurmEngine) -> None:
    status = end_of(engine, engine.submit(spec("sh", "-c", "kill -SEGV $$")))
    assert (status.state, status.exit) == (JobState.KILLED, None)
    assert "ended by SIGSEGV" in status.message


@pytest.mark.usefixtures("slurm")
def test_a_program_that_is_not_there_fails_with_the_words_of_the_shell(engine: SlurmEngine) -> None:
    handle = engine.submit(spec("no-such-program"))
    assert end_of(engine, handle).exit == 127
    assert "no-such-program" in engine.logs(handle, most=1000)


ODD = [" a  b ", "it's", 'say "no"', "$HOME `id` $(id) \\ ! * ?", "two\nlines\n", "carriage\r\nreturn", "ümläut 日本 🎈", "-x", ""]


@pytest.mark.usefixtures("slurm")
def test_words_and_variables_arrive_as_they_are(engine: SlurmEngine, tmp_path: Path) -> None:
    folder = tmp_path / "a 'folder' ü"
    folder.mkdir()
    script = "import json, os, sys; json.dump([sys.argv[1:], os.environ['ODD'], os.getcwd()], open('seen', 'w'))"
    odd = "a,b=c\n'd' \"e\" ü$x\r\n"
    handle = engine.submit(spec(sys.executable, "-c", script, *ODD, env={"ODD": odd}, folder=str(folder)))
    assert end_of(engine, handle).state is JobState.SUCCEEDED, engine.logs(handle, most=2000)
    import json

    assert json.loads((folder / "seen").read_text()) == [ODD, odd, str(folder)]


@pytest.mark.usefixtures("slurm")
def test_a_folder_that_is_not_there_is_not_replaced_by_another(engine: SlurmEngine, tmp_path: Path) -> None:
    handle = engine.submit(spec("touch", "here", folder=str(tmp_path / "gone")))
    assert end_of(engine, handle).exit == 75
    assert "gone" in engine.logs(handle, most=1000)


def test_what_it_may_take_reaches_slurm(slurm: Cluster, engine: SlurmEngine) -> None:
    handle = engine.submit(spec("sleep", "30", cpus=1.5, memory=200 << 20, seconds=100, options={"nice": 7, "hold": True}))
    told = slurm.run("scontrol", "show", "job", "--oneliner", read_handle(handle).job)
    for words in ("NumCPUs=2", "MinMemoryNode=200M", "TimeLimit=00:02:00", "Nice=7"):
        assert words in told
    status = engine.poll([handle])[0]
    assert (status.state, status.message) == (JobState.PENDING, "PENDING (JobHeldUser)")
    engine.cancel(handle)
    assert end_of(engine, handle).state is JobState.KILLED


def test_a_cancelled_job_is_killed_with_all_that_it_started(slurm: Cluster, engine: SlurmEngine, tmp_path: Path) -> None:
    handle = engine.submit(spec("sh", "-c", "trap '' TERM; sleep 1000 & echo $! > pid; wait; wait; sleep 1000", folder=str(tmp_path)))
    wait_for((tmp_path / "pid").exists)
    wait_for(lambda: (tmp_path / "pid").read_text().strip())
    assert engine.poll([handle])[0].state is JobState.RUNNING
    engine.cancel(handle)
    engine.cancel(handle)
    status = end_of(engine, handle)
    assert (status.state, status.exit) == (JobState.KILLED, None)
    assert "cancelled" in status.message
    wait_for(lambda: not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists())
    engine.cancel(handle)  # it has ended
    engine.cancel(str(read_handle(handle)._replace(job="999999")))


def test_a_job_that_runs_too_long_is_killed(slurm: Cluster, engine: SlurmEngine) -> None:
    handle = engine.submit(spec("sleep", "1000", seconds=3600))
    wait_for(lambda: engine.poll([handle])[0].state is JobState.RUNNING)
    slurm.run("scontrol", "update", f"JobId={read_handle(handle).job}", "EndTime=now")
    status = end_of(engine, handle)
    assert (status.state, status.message) == (JobState.KILLED, "TIMEOUT: it ran longer than its time limit")


def test_a_job_that_takes_too_much_memory_is_killed(slurm: Cluster, engine: SlurmEngine) -> None:
    script = "import time; block = bytearray(200 << 20); time.sleep(100)"
    handle = engine.submit(spec(sys.executable, "-c", script, memory=32 << 20))
    status = end_of(engine, handle)
    assert (status.state, status.exit) == (JobState.KILLED, None)
    assert "memory" in status.message
    assert "exceeded memory limit" in engine.logs(handle, most=2000)


def test_a_job_whose_node_fails_is_killed_and_one_that_slurm_starts_again_goes_on(
    slurm: Cluster, engine: SlurmEngine, tmp_path: Path
) -> None:
    once = engine.submit(spec("sleep", "1000", options={"no-requeue": True}))
    script = 'echo $SLURM_RESTART_COUNT >> tries; test "$SLURM_RESTART_COUNT" || sleep 1000'
    again = engine.submit(spec("sh", "-c", script, folder=str(tmp_path)))
    wait_for(lambda: [status.state for status in engine.poll([once, again])] == [JobState.RUNNING] * 2)
    wait_for((tmp_path / "tries").exists)
    slurm.run("scontrol", "update", "NodeName=node1", "State=DOWN", "Reason=test")
    status = end_of(engine, once)
    assert (status.state, status.message) == (JobState.KILLED, "NODE_FAIL: a node failed under it (NodeDown)")
    wait_for(lambda: engine.poll([again])[0].state is JobState.PENDING)
    while engine.poll([again])[0].state is JobState.PENDING:
        time.sleep(2)  # a node does not take the credential of the second in which it killed the job
        for words in (["NodeName=node1", "State=RESUME"], [f"JobId={read_handle(again).job}", "StartTime=now"]):  # not in two minutes
            subprocess.run(["scontrol", "update", *words], capture_output=True)  # the node may be back by itself
    assert end_of(engine, again).state is JobState.SUCCEEDED
    assert (tmp_path / "tries").read_text() == "\n1\n"


def test_many_jobs_are_asked_for_by_one_question(
    slurm: Cluster, engine: SlurmEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handles = [engine.submit(spec("sh", "-c", f"exit {number % 3}")) for number in range(200)]
    asked = counted(tmp_path, monkeypatch, "squeue", "sacct", "scontrol")
    seen: list[Sequence[JobStatus]] = []

    def all_ended() -> bool:
        seen.append(engine.poll(handles))
        return all(status.state.is_ended for status in seen[-1])

    wait_for(all_ended, 100)
    assert [status.exit for status in seen[-1]] == [number % 3 for number in range(200)]
    assert asked() == len(seen)
    monkeypatch.setattr("levada.contrib.slurm.engine.NAMED_AT_MOST", 100)
    assert engine.poll(handles) == seen[-1]
    assert asked() == len(seen) + 1


# -- refusals -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("slurm")
@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"options": {"partition": "nosuch"}}, "nosuch"),
        ({"options": {"no-such-option": 3}}, "no-such-option"),
        ({"options": {"mem": "abc"}}, "--mem"),
        ({"memory": 1 << 50}, "node configuration is not available"),
        ({"cpus": 0}, "cpus-per-task"),
        ({"options": {"job-name": "x"}}, "cannot be set"),
        ({"options": {"outp": "x"}}, "cannot be set"),
        ({"options": {"-p": "x"}}, "no long option"),
        ({"options": {"nodes": [1]}}, "expected a text"),
        ({"env": {"A B": "x"}}, "name of a variable"),
        ({"env": {"A": "\0"}}, "zero byte"),
    ],
)
def test_what_slurm_would_never_take_is_refused(engine: SlurmEngine, more: dict[str, object], said: str) -> None:
    job = spec("true", **more)
    with pytest.raises(JobRefused, match=said):
        engine.submit(job)
    assert not Path(str(engine._folder_of(job.submission).path)).exists()


def test_a_folder_of_jobs_that_cannot_be_made_is_told(slurm: Cluster, engine: SlurmEngine, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    engine._folder = str(tmp_path / "file")
    with pytest.raises(EngineError, match="cannot be written") as caught:
        engine.submit(spec("true"))
    assert "[slurm] folder" in str(caught.value)


def test_a_folder_that_nodes_do_not_share_is_told(slurm: Cluster, engine: SlurmEngine) -> None:
    job = spec("true", options={"begin": "now+1hour"})
    handle = engine.submit(job)
    engine.forget(handle)  # as if the node did not see it
    slurm.run("scontrol", "update", f"JobId={read_handle(handle).job}", "StartTime=now")
    status = end_of(engine, handle)
    assert status.state is JobState.FAILED
    assert "is [slurm] folder there on the nodes" in status.message


def test_no_handle_of_ours_is_told() -> None:
    for text in ("", "12", "[]", '{"job": "1"}'):
        with pytest.raises(EngineError, match="no handle"):
            SlurmEngine().poll([text])


# -- found again --------------------------------------------------------------------------------


def start(slurm: Cluster, *words: str, **environ: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, PROGRAMS, *words], env={**os.environ, **slurm.environ, "PYTHONPATH": str(ROOT / "src"), **environ}
    )


@pytest.mark.parametrize("step", ["before sbatch", "after sbatch", "after submit"])
def test_a_job_is_found_after_its_worker_was_killed(slurm: Cluster, engine: SlurmEngine, step: str, tmp_path: Path) -> None:
    submission = spec().submission
    process = start(slurm, "die", step, str(engine._folder), submission, str(tmp_path / "ran"))
    assert process.wait(60) == -signal.SIGKILL
    handle = engine.find(submission)
    if step == "before sbatch":
        assert handle is None
        assert slurm.jobs(submission) == []
        return
    assert handle is not None
    assert end_of(engine, handle).state is JobState.SUCCEEDED
    assert slurm.jobs(submission) == ["COMPLETED"]
    assert (tmp_path / "ran").read_text() == "ran\n"
    assert engine.find(submission) == handle


def test_a_job_that_comes_after_it_was_looked_for_in_vain_does_not_run(slurm: Cluster, engine: SlurmEngine, tmp_path: Path) -> None:
    """An sbatch outlives its worker, and reaches the controller when the submission was given up."""
    submission = spec().submission
    late = tmp_path / "bin"
    late.mkdir()
    go, sbatch = tmp_path / "go", late / "sbatch"
    import shutil

    sbatch.write_text(
        f'#!/bin/sh\ntouch "{tmp_path}/asked"\nwhile [ ! -e "{go}" ]; do sleep 0.05; done\nexec {shutil.which("sbatch")} "$@"\n'
    )
    sbatch.chmod(0o755)
    words = ("die", "never", str(engine._folder), submission, str(tmp_path / "ran"))
    process = start(slurm, *words, PATH=f"{late}{os.pathsep}{os.environ['PATH']}")
    wait_for((tmp_path / "asked").exists)
    process.kill()
    process.wait()

    assert engine.find(submission) is None
    go.touch()

    wait_for(lambda: slurm.jobs(submission) == ["FAILED"])
    assert not (tmp_path / "ran").exists()
    assert engine.find(submission) is None


def test_after_it_was_looked_for_in_vain_it_is_submitted_again(slurm: Cluster, engine: SlurmEngine, tmp_path: Path) -> None:
    """Both sbatch reach the controller in the end; the second job alone runs, and is found by its name alone, too."""
    job = spec("sh", "-c", f"echo ran >> '{tmp_path}/ran'", options={"hold": True})
    first = engine.submit(job)
    folder = engine._folder_of(job.submission)
    (attempt,) = folder.tries()
    os.unlink(f"{folder.path}/{attempt}/owner")
    folder.take(attempt, NOBODY)
    second = engine.submit(job)
    assert engine.find(job.submission) == second != first
    (last,) = [name for name in folder.tries() if name != attempt]
    os.unlink(f"{folder.path}/{last}/owner")
    assert engine.find(job.submission) == second
    for handle in (first, second):
        slurm.run("scontrol", "release", read_handle(handle).job)
    assert [end_of(engine, handle).exit for handle in (first, second)] == [75, 0]
    assert (tmp_path / "ran").read_text() == "ran\n"


def test_a_worker_whose_job_was_given_up_while_sbatch_ran_is_told(
    slurm: Cluster, engine: SlurmEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = spec("true")
    run = module.run

    def slow(*words: str) -> object:
        if words[0] == "sbatch":
            assert engine.find(job.submission) is None
        return run(*words)

    monkeypatch.setattr(module, "run", slow)
    with pytest.raises(EngineError, match="given up"):
        engine.submit(job)
    wait_for(lambda: slurm.jobs(job.submission) in (["CANCELLED"], ["FAILED"]))
    assert engine.find(job.submission) is None


def test_a_number_that_came_to_another_job_is_not_taken_for_ours(slurm: Cluster, engine: SlurmEngine) -> None:
    handle = engine.submit(spec("sleep", "100"))
    other = read_handle(handle)._replace(submission="another", folder="/nowhere")
    assert engine.poll([str(other)])[0].state is JobState.FORGOTTEN
    engine.cancel(str(other))
    assert not engine.poll([handle])[0].state.is_ended
    engine.cancel(handle)


@pytest.mark.usefixtures("slurm")
def test_a_job_that_slurm_has_forgotten_noted_its_end_itself(engine: SlurmEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without accounting, a job that ended more than ``MinJobAge`` ago."""
    handles = [
        engine.submit(spec("true")),
        engine.submit(spec("sh", "-c", "exit 4")),
        engine.submit(spec("sleep", "1000")),
    ]
    well, killed = handles[0], handles[2]
    wait_for(lambda: engine.poll([killed])[0].state is JobState.RUNNING)
    wait_for(lambda: Path(read_handle(killed).folder, "log").exists())
    engine.cancel(killed)
    for handle in handles:
        end_of(engine, handle)
    unknown = [str(read_handle(handle)._replace(job=str(900_000 + at))) for at, handle in enumerate(handles)]
    wait_for(lambda: JobFolder(read_handle(killed).folder).noted())  # which it does when Slurm has told of its end
    asked = counted(tmp_path, monkeypatch, "squeue", "sacct")
    assert [(status.state, status.exit) for status in engine.poll(unknown)] == [
        (JobState.SUCCEEDED, 0), (JobState.FAILED, 4), (JobState.KILLED, None),
    ]  # fmt: skip
    assert asked() == 2
    engine.forget(well)
    assert engine.poll(unknown)[0].state is JobState.FORGOTTEN
    assert asked() == 3  # there is no accounting, as it knows by now


# -- a controller that is away --------------------------------------------------------------------


def test_a_controller_that_is_away_says_nothing_of_jobs(slurm: Cluster, engine: SlurmEngine, tmp_path: Path) -> None:
    """Stopped and started in the middle of a job, which goes on."""
    handle = engine.submit(spec("sh", "-c", "while [ ! -e go ]; do sleep 0.1; done; exit 5", folder=str(tmp_path)))
    wait_for(lambda: engine.poll([handle])[0].state is JobState.RUNNING)
    slurm.stop_controller()
    try:
        job = spec("true")
        for act in (lambda: engine.poll([handle]), lambda: engine.submit(job), lambda: engine.cancel(handle), lambda: engine.find("none")):
            with pytest.raises(EngineUnreachable, match="Unable to contact slurm controller"):
                act()
        (tmp_path / "go").touch()
    finally:
        slurm.start_controller()
    assert end_of(engine, handle).exit == 5
    assert engine.find(job.submission) is None


def test_commands_that_are_not_there_are_told(engine: SlurmEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match="squeue cannot be run") as caught:
        engine.find("none")
    assert "slurm-client" in str(caught.value)


def test_a_command_that_hangs_is_ended(engine: SlurmEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "squeue").write_text("#!/bin/sh\nexec sleep 100\n")
    (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("levada.contrib.slurm.commands.ANSWER", 0.2)
    with pytest.raises(EngineUnreachable, match=r"no answer within 0\.2 s"):
        engine.find("none")


def test_the_environment_does_not_change_answers(engine: SlurmEngine, slurm: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SQUEUE_STATES": "FAILED", "SQUEUE_USERS": "nobody", "SBATCH_WAIT": "1", "SLURM_CLUSTERS": "other"}.items():
        monkeypatch.setenv(name, value)
    handle = engine.submit(spec("sleep", "100"))
    assert not engine.poll([handle])[0].state.is_ended
    engine.cancel(handle)
