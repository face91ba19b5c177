"""Jobs on another host: run once, found again, ended whole; on a real sshd."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import asyncssh
import pytest

from levada.contrib.ssh import check_output, client, engine, shell
from levada.contrib.ssh.engine import SshEngine, open_engine
from levada.errors import EngineError, EngineUnreachable, JobRefused
from levada.handover import JobSpec, JobState, JobStatus
from levada.testing.engines import EngineLaws

from .sshd import Desk, Sshd, wait_for

pytestmark = pytest.mark.slow  # each has a host and its waits: CI plays them

NAME = f"lv-{os.urandom(8).hex()}-1-1-aaaaaa"  # what bears the name of a lost job is ended on the whole machine


@pytest.fixture(autouse=True)
def _no_jobs(sshd: Sshd) -> None:
    shutil.rmtree(sshd.home / ".levada", ignore_errors=True)


class TestLaws(EngineLaws):
    @pytest.fixture(autouse=True)
    def _place(self, sshd: Sshd) -> None:
        self.sshd = sshd

    def make_engine(self) -> SshEngine:
        return open_engine(self.sshd.authority)


@pytest.fixture
def host(sshd: Sshd) -> SshEngine:
    return open_engine(sshd.authority)


def spec(script: str, submission: str = NAME, **more: object) -> JobSpec:
    return JobSpec(submission, "Task()", ("sh", "-c", script), {"LEVADA_SUBMISSION": submission})._replace(**more)


def ended(host: SshEngine, handle: str, seconds: float = 30) -> JobStatus:
    wait_for(lambda: host.poll([handle])[0].state.is_ended, seconds)
    return host.poll([handle])[0]


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def pids(file: Path, count: int) -> list[int]:
    wait_for(lambda: len(lines(file)) == count)
    return [int(line) for line in lines(file)]


# -- once --------------------------------------------------------------------------------------


def test_a_job_is_started_once_however_often_it_is_submitted(host: SshEngine, sshd: Sshd, tmp_path: Path) -> None:
    job = spec(f"echo ran >>{tmp_path}/ran; sleep 0.2")
    assert {host.submit(job) for _ in range(3)} | {open_engine(sshd.authority).submit(job)} == {f"{sshd.home}/.levada/jobs/{NAME}"}
    assert ended(host, f"{sshd.home}/.levada/jobs/{NAME}").state is JobState.SUCCEEDED
    assert lines(tmp_path / "ran") == ["ran"]
    assert sorted(path.name.partition(".")[0] for path in (sshd.home / ".levada/jobs" / NAME).iterdir()) == [
        "claim",
        "exit",
        "job",
        "output",
    ]


def test_of_several_that_submit_it_at_once_one_starts_it(host: SshEngine, sshd: Sshd, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    job = spec(f"echo ran >>{tmp_path}/ran; sleep 0.2")
    with ThreadPoolExecutor(6) as threads:
        handles = set(threads.map(lambda each: each.submit(job), [host] * 6))
    assert len(handles) == 1
    assert ended(host, handles.pop()).state is JobState.SUCCEEDED
    assert lines(tmp_path / "ran") == ["ran"]


SUBMIT = """
import os, signal, sys
from levada.contrib.ssh import client
from levada.contrib.ssh.engine import open_engine
from levada.handover import JobSpec

address, name, script, part, size = sys.argv[1:]
real = client.Link.run

async def doomed(self, command, given=b""):  # killed before, in the middle of, or after what it says to the host
    if part == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    process = await self.connection.create_process(command, encoding=None)
    process.stdin.write(given if size == "all" else given[: int(float(size) * len(given))])
    await process.stdin.drain()
    if part == "answer":
        process.stdin.write_eof()
        await process.stdout.readline()
    os.kill(os.getpid(), signal.SIGKILL)

client.Link.run = doomed
open_engine(address).submit(JobSpec(name, "Task()", ("sh", "-c", script)))
"""


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("part", "size"), [("before", "0"), ("said", "0.3"), ("said", "0.9"), ("said", "all"), ("answer", "all")])
def test_a_submitter_killed_at_any_moment_leaves_a_job_that_runs_once(
    host: SshEngine, sshd: Sshd, tmp_path: Path, part: str, size: str
) -> None:
    """find() after the kill says whether it runs; if it says no, another submission is the only one."""
    script = f"echo ran >>{tmp_path}/ran"
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "src")}
    died = subprocess.run([sys.executable, "-c", SUBMIT, sshd.authority, NAME, script, part, size], env=environ, check=False)
    assert died.returncode == -signal.SIGKILL
    found = host.find(NAME)
    if part == "answer":
        assert found is not None
    if part == "before" or size == "0.3":
        assert found is None
    other = found or host.submit(spec(script, f"{NAME[:-8]}2-bbbbbb"))
    assert ended(host, other).state is JobState.SUCCEEDED
    time.sleep(1)  # for what may still be on its way
    assert lines(tmp_path / "ran") == ["ran"]


def test_what_was_looked_for_and_not_found_is_not_started_any_more(host: SshEngine, sshd: Sshd, tmp_path: Path) -> None:
    """A submission that was on its way while somebody looked comes too late; who was told may use the name himself."""
    job = spec(f"echo ran >>{tmp_path}/ran")
    assert host.find(NAME) is None
    with pytest.raises(JobRefused, match="looked for before it was there"):
        open_engine(sshd.authority).submit(job)
    assert host.poll([f"{sshd.home}/.levada/jobs/{NAME}"])[0].state is JobState.FORGOTTEN
    assert ended(host, host.submit(job)).state is JobState.SUCCEEDED
    assert lines(tmp_path / "ran") == ["ran"]


def test_a_claim_that_a_power_cut_left_empty_is_none(host: SshEngine, sshd: Sshd) -> None:
    claim = sshd.home / ".levada/jobs" / NAME / "claim"
    for verb in (lambda: host.find(NAME), lambda: ended(host, host.submit(spec("true"))).state):
        claim.parent.mkdir(parents=True)
        claim.touch()
        assert host.poll([str(claim.parent)])[0].state is JobState.FORGOTTEN
        assert verb() in (None, JobState.SUCCEEDED)
        shutil.rmtree(claim.parent)


@pytest.mark.parametrize("done", [True, False])
def test_an_answer_that_was_lost_is_asked_for_again(host: SshEngine, sshd: Sshd, tmp_path: Path, done: bool) -> None:
    real, lost = client.Link.run, []

    async def cut(self: client.Link, command: str, given: bytes = b"") -> client.Done:
        if lost:
            return await real(self, command, given)
        lost.append(True)
        if done:
            await real(self, command, given)
        sshd.cut()
        raise asyncssh.ConnectionLost("cut by the test")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client.Link, "run", cut)
        handle = host.submit(spec(f"echo $$ >>{tmp_path}/pids; sleep 600"))
    (running,) = pids(tmp_path / "pids", 1)
    host.cancel(handle)
    assert ended(host, handle).message == "cancelled"
    assert not alive(running)
    assert len(lines(tmp_path / "pids")) == 1


def test_a_job_outlives_its_connection_and_its_sshd(host: SshEngine, sshd: Sshd, tmp_path: Path) -> None:
    handle = host.submit(spec(f"while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; echo made"))
    sshd.cut()
    assert host.poll([handle])[0].state is JobState.RUNNING
    (tmp_path / "go").touch()
    assert ended(host, handle).state is JobState.SUCCEEDED
    assert host.logs(handle, most=100) == "made\n"


# -- what it is given --------------------------------------------------------------------------


def test_it_runs_in_its_folder_with_its_limits_and_the_users_own_mask(host: SshEngine, sshd: Sshd, tmp_path: Path) -> None:
    odd = tmp_path / "a 'b' ü"
    odd.mkdir()
    handle = host.submit(spec("pwd; ulimit -v; umask; trap; cat", folder=str(odd), memory=1 << 30, cpus=2))
    assert ended(host, handle).state is JobState.SUCCEEDED
    assert host.logs(handle, most=1000).splitlines() == [str(odd), str(1 << 20), check_output_of(sshd, "sh", "-c", "umask")]
    other = host.submit(spec("pwd", "lv-2", folder=""))
    ended(host, other)
    assert host.logs(other, most=1000).strip() == str(sshd.home)
    nowhere = host.submit(spec("true", "lv-3", folder="/no/such/folder"))
    assert ended(host, nowhere).exit == 127
    assert "/no/such/folder" in host.logs(nowhere, most=1000)


def check_output_of(sshd: Sshd, *argv: str) -> str:
    return check_output("127.0.0.1", argv, user=sshd.user, port=sshd.port).decode().strip()


def test_a_script_of_any_length_arrives(host: SshEngine) -> None:
    handle = host.submit(spec("printf %s \"$LONG\" | wc -c; END.x; echo '\nEND.\n'", env={"LONG": "x" * 120_000}))
    ended(host, handle)
    assert host.logs(handle, most=1000).splitlines()[0].strip() == "120000"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"argv": ()}, "no program"),
        ({"options": {"queue": "x"}}, "no options, got queue"),
        ({"env": {"A-B": "x"}}, "no variable 'A-B'"),
        ({"env": {"A": "x\0"}}, "zero byte"),
        ({"submission": "../x"}, "named by"),
    ],
)
def test_what_it_cannot_take_is_refused(host: SshEngine, sshd: Sshd, more: dict[str, object], reason: str) -> None:
    with pytest.raises(JobRefused, match=reason):
        host.submit(spec("true", **more) if "submission" not in more else spec("true", str(more["submission"])))
    assert not (sshd.home / ".levada").exists()


def test_a_host_where_no_folder_can_be_made_refuses(host: SshEngine, sshd: Sshd) -> None:
    (sshd.home / ".levada").write_text("a file where a folder is needed")
    try:
        with pytest.raises(JobRefused, match="was not started: mkdir"):
            host.submit(spec("true"))
        with pytest.raises(EngineUnreachable):  # so nobody can be sure that there is none
            host.find(NAME)
    finally:
        (sshd.home / ".levada").unlink()


# -- how it ends -------------------------------------------------------------------------------


def test_cancelling_ends_all_of_its_session(host: SshEngine, tmp_path: Path) -> None:
    """Children, their children, and those in groups of their own."""
    script = f"echo $$ >>{tmp_path}/pids; for n in 1 2 3; do (echo $(sh -c 'echo $PPID') >>{tmp_path}/pids; sleep 600) & done; wait"
    handle = host.submit(spec(script))
    running = pids(tmp_path / "pids", 4)
    host.cancel(handle)
    host.cancel(handle)
    assert ended(host, handle)[:3] == (JobState.KILLED, 143, "cancelled")
    wait_for(lambda: not any(map(alive, running)))


STUBBORN = "trap '' TERM; echo $$ >>{}/pids; while :; do sleep 0.1; done"


@pytest.mark.parametrize("deaf", ["the job", "its child"])
def test_who_ignores_sigterm_is_killed_after_a_grace(host: SshEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaf: str) -> None:
    monkeypatch.setattr(shell, "GRACE", 2)
    script = STUBBORN.format(tmp_path)
    handle = host.submit(spec(script if deaf == "the job" else f"sh -c {shlex.quote(script)} & sleep 600"))
    (running,) = pids(tmp_path / "pids", 1)
    host.cancel(handle)
    assert ended(host, handle).message == "cancelled"
    wait_for(lambda: not alive(running))


def test_seconds_end_a_job(host: SshEngine, tmp_path: Path) -> None:
    handle = host.submit(spec(f"echo $$ >>{tmp_path}/pids; sleep 600", seconds=0.5))
    status = ended(host, handle)
    assert (status.state, status.message) == (JobState.KILLED, "it ran for longer than it may")
    assert not alive(pids(tmp_path / "pids", 1)[0])
    quick = host.submit(spec("exit 4", "lv-2", seconds=600))
    assert ended(host, quick).exit == 4


def test_signals_are_named(host: SshEngine) -> None:
    status = ended(host, host.submit(spec("kill -SEGV $$")))
    assert (status.state, status.message) == (JobState.KILLED, "ended by SIGSEGV")


def supervisor_of(sshd: Sshd) -> int:
    return int((sshd.home / ".levada/jobs" / NAME / "claim").read_text().split()[3])


def test_a_job_whose_supervisor_was_killed_is_followed_to_its_end(host: SshEngine, sshd: Sshd, tmp_path: Path) -> None:
    handle = host.submit(spec(f"echo $$ >>{tmp_path}/pids; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done"))
    pids(tmp_path / "pids", 1)
    os.kill(supervisor_of(sshd), signal.SIGKILL)
    status = host.poll([handle])[0]
    assert status.state is JobState.RUNNING
    assert "exit status will not be known" in status.message
    (tmp_path / "go").touch()
    status = ended(host, handle)
    assert (status.state, status.exit) == (JobState.KILLED, None)
    assert "out of memory?" in status.message


def test_a_job_whose_supervisor_was_killed_is_cancelled_all_the_same(host: SshEngine, sshd: Sshd, tmp_path: Path) -> None:
    handle = host.submit(spec(f"echo $$ >>{tmp_path}/pids; sleep 600"))
    (running,) = pids(tmp_path / "pids", 1)
    os.kill(supervisor_of(sshd), signal.SIGKILL)
    host.cancel(handle)
    assert ended(host, handle)[:3] == (JobState.KILLED, None, "cancelled")
    wait_for(lambda: not alive(running))


def change_claim(sshd: Sshd, field: int, value: str) -> None:
    """As if another process, host or time had made it."""
    claim = sshd.home / ".levada/jobs" / NAME / "claim"
    words = claim.read_text().split()
    words[field] = value
    claim.write_text(" ".join(words) + "\n")


def test_a_host_that_was_started_anew_has_killed_its_jobs(host: SshEngine, sshd: Sshd, tmp_path: Path) -> None:
    handle = host.submit(spec(f"echo $$ >>{tmp_path}/pids; sleep 600"))
    (running,) = pids(tmp_path / "pids", 1)
    claim = (sshd.home / ".levada/jobs" / NAME / "claim").read_text()
    change_claim(sshd, 2, "another-boot")
    status = host.poll([handle])[0]
    assert status.state is JobState.KILLED
    assert "started anew" in status.message
    host.cancel(handle)  # what has these numbers now is somebody else's
    time.sleep(1.5)
    assert alive(running)
    (sshd.home / ".levada/jobs" / NAME / "claim").write_text(claim)
    host.cancel(handle)
    ended(host, handle)


def test_a_process_with_the_number_of_a_dead_one_is_not_taken_for_it(host: SshEngine, sshd: Sshd) -> None:
    handle = host.submit(spec("sleep 600"))
    claim = (sshd.home / ".levada/jobs" / NAME / "claim").read_text()
    change_claim(sshd, 4, "12345")
    assert host.poll([handle])[0].state is JobState.KILLED
    (sshd.home / ".levada/jobs" / NAME / "claim").write_text(claim)
    host.cancel(handle)
    ended(host, handle)


def test_a_job_of_another_host_that_shares_the_home_is_not_judged(host: SshEngine, sshd: Sshd) -> None:
    handle = host.submit(spec("sleep 600"))
    claim = (sshd.home / ".levada/jobs" / NAME / "claim").read_text()
    change_claim(sshd, 1, "login2")
    status = host.poll([handle])[0]
    assert status.state is JobState.RUNNING
    assert "the job is on login2" in status.message
    with pytest.raises(EngineUnreachable, match="the job is on login2"):
        host.cancel(handle)
    (sshd.home / ".levada/jobs" / NAME / "claim").write_text(claim)
    host.cancel(handle)
    ended(host, handle)


def test_a_folder_that_is_gone_is_a_job_forgotten(host: SshEngine, sshd: Sshd) -> None:
    handle = host.submit(spec("true"))
    ended(host, handle)
    host.forget(handle)
    host.forget(handle)
    assert host.poll([handle, "nonsense", "/a/b"]) == host.poll([handle])[:1] * 3
    assert host.poll([handle])[0].state is JobState.FORGOTTEN
    assert host.logs(handle, most=10) == host.logs("nonsense", most=10) == ""
    host.cancel(handle)
    assert not (sshd.home / ".levada/jobs" / NAME).exists()


# -- far away ----------------------------------------------------------------------------------


def test_many_jobs_are_asked_about_by_one_command(host: SshEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    handles = [host.submit(spec(f"exit {number}", f"lv-{number}")) for number in range(8)]
    for handle in handles:
        ended(host, handle)
    asked: list[bytes] = []
    real = engine.run
    monkeypatch.setattr(engine, "run", lambda place, command, given, **more: asked.append(given) or real(place, command, given, **more))
    assert [status.exit for status in host.poll([*reversed(handles), handles[3]])] == [7, 6, 5, 4, 3, 2, 1, 0, 3]
    assert len(asked) == 1


def test_of_a_host_that_is_away_nothing_is_known(host: SshEngine, sshd: Sshd, desk: Desk) -> None:
    away = open_engine("ana@127.0.0.1:1")
    verbs: list[Callable[[], object]] = [
        lambda: away.submit(spec("true")), lambda: away.find(NAME), lambda: away.poll([f"/home/{NAME}"]),
        lambda: away.cancel(f"/home/{NAME}"), lambda: away.logs(f"/home/{NAME}", most=1), lambda: away.forget(f"/home/{NAME}"),
    ]  # fmt: skip
    for verb in verbs:
        with pytest.raises(EngineUnreachable, match="no connection"):
            verb()
    desk.know(None)
    with pytest.raises(EngineUnreachable, match="the key of the host is not known"):
        host.find(NAME)


def test_a_log_begins_with_a_whole_character(host: SshEngine) -> None:
    handle = host.submit(spec("printf 'ab🌊ü'"))
    ended(host, handle)
    assert [host.logs(handle, most=most) for most in (0, 1, 2, 3, 6, 7, 100)] == ["", "", "ü", "ü", "🌊ü", "b🌊ü", "ab🌊ü"]


def test_shells_that_greet_are_no_hindrance(host: SshEngine, sshd: Sshd) -> None:
    (sshd.home / ".bashrc").write_text("echo welcome; echo levada >&2\n")
    try:
        handle = host.submit(spec("echo said"))
        assert ended(host, handle).state is JobState.SUCCEEDED
        assert host.logs(handle, most=100) == "said\n"
    finally:
        (sshd.home / ".bashrc").unlink()


@pytest.mark.parametrize("interpreter", ["dash", "bash --posix", "busybox sh", "mksh"])
def test_the_scripts_are_understood_by_every_shell(tmp_path: Path, interpreter: str) -> None:
    if shutil.which(interpreter.split()[0]) is None:
        pytest.skip(f"by design: {interpreter.split()[0]} is not here")
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "sh").write_text(f'#!/bin/sh\nexec {interpreter} "$@"\n')
    (bin_ / "sh").chmod(0o755)
    _play(tmp_path, {"PATH": f"{bin_}:{os.environ['PATH']}"}, lambda script: script)


@pytest.mark.skipif(shutil.which("ps") is None, reason="by design: there is no ps")
def test_without_proc_processes_are_asked_of_ps(tmp_path: Path) -> None:
    _play(tmp_path, {}, lambda script: script.replace(b"proc=/proc", b"proc=/nowhere"))


def _play(tmp_path: Path, environ: dict[str, str], change: Callable[[bytes], bytes]) -> None:
    """Submit, ask, cancel and forget as the host's shell would."""

    def told(script: bytes) -> str:
        done = subprocess.run(
            ["sh", "-s"], input=change(script), capture_output=True, check=False, timeout=20, start_new_session=True,
            env={**os.environ, **environ, "HOME": str(tmp_path)},
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, b""), done
        return done.stdout.decode().strip()

    def submit(name: str, *argv: str) -> str:
        script = shell.submit(
            name, "jobs", argv, nonce="aa", env={"A": "b 'c'"}, where="", memory=None, seconds=None, title="T\n", void="-"
        )
        owner, folder = told(script).removeprefix("levada: ").split(" ", 1)
        assert owner.startswith("aa-")
        return folder

    def state(*folders: str) -> str:
        return told(shell.poll(folders))

    short, long = submit("lv-a", "sh", "-c", 'echo "$A"; exit 3'), submit("lv-b", "sleep", "600")
    assert told(shell.find("lv-a", "jobs", void="0")).endswith(f" {short}")
    assert told(shell.find("lv-c", "jobs", void="0")) == "levada: void 0"
    wait_for(lambda: state(short) == "levada: ended 3 -")
    assert told(shell.logs(short, 100)) == "levada: log\nb 'c'"
    assert state(long, f"{tmp_path}/nothing", short) == "levada: running\nlevada: gone\nlevada: ended 3 -"
    told(shell.cancel(long))
    wait_for(lambda: state(long) == "levada: ended 143 cancelled")
    told(shell.forget(long))
    assert state(long) == "levada: gone"


@pytest.mark.parametrize("rest", ["", "ana@", "host:x"])
def test_an_address_names_a_host(rest: str) -> None:
    with pytest.raises(EngineError, match="names no host"):
        open_engine(rest)


def test_commands_are_run_to_their_end(sshd: Sshd) -> None:
    words = ("with space", "quote'\"`$HOME;&|", "*", "new\nline", "")
    there = {"user": sshd.user, "port": sshd.port}
    assert check_output("127.0.0.1", ["printf", "<%s>", *words], **there).decode() == "".join(f"<{word}>" for word in words)
    assert check_output("127.0.0.1", ["cat"], input=b"\x00\xff", **there) == b"\x00\xff"
    with pytest.raises(subprocess.CalledProcessError) as caught:
        check_output("127.0.0.1", ["sh", "-c", "echo out; echo err >&2; exit 5"], **there)
    assert (caught.value.returncode, caught.value.output, caught.value.stderr) == (5, b"out\n", b"err\n")
    with pytest.raises(EngineUnreachable, match=r"no answer for 0\.5 s"):
        check_output("127.0.0.1", ["sleep", "5"], timeout=0.5, **there)
    with pytest.raises(ValueError, match="must be a list"):
        check_output("127.0.0.1", "ls", **there)
