"""Tasks that hand their work to another host, whose workers die; on a real sshd."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from tests.faults.command import Command, ended, soon

from .sshd import Desk, Sshd

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]  # real processes and their waits: CI plays them

FLOW = '''
import levada as lv
from levada.contrib.ssh import RemoteTarget

class Job(lv.JobTask):
    """Says on the host that it ran, waits for leave, and makes its output there, whole or absent."""
    name: str
    engine = "ssh://lab"
    folder = "{home}"
    def output(self):
        return RemoteTarget(f"{home}/{self.name}.txt", "lab")
    def command(self):
        line = 'echo "$0 $$" >>ran.log; while [ ! -e go ]; do sleep 0.05; done; echo made >"$1.new" && mv "$1.new" "$1"'
        return ["sh", "-c", line, self.name, self.output().path]

class Many(lv.WrapperTask):
    size: int = 6
    def requires(self):
        return [Job(name=f"{number}") for number in range(self.size)]

class Failing(Job):
    retry = lv.Retry(attempts=1)
    def command(self):
        return ["sh", "-c", "echo what went wrong >&2; exit 3"]
'''


@pytest.fixture
def command(tmp_path: Path, sshd: Sshd, desk: Desk, home: str) -> Command:
    """A project whose tasks hand over to the host ``lab``."""
    Path(home).mkdir()
    desk.configure(f"Host lab\n  HostName 127.0.0.1\n  Port {sshd.port}\n  User {sshd.user}\n  IdentityFile {sshd.key}\n")
    (tmp_path / "flow.py").write_text(FLOW.replace("{home}", home))
    return Command(tmp_path, HOME=str(desk.ssh.parent))


def ran(home: str) -> list[str]:
    log = Path(home, "ran.log")
    return [line.split()[0] for line in log.read_text().splitlines()] if log.exists() else []


def book(command: Command) -> set[str]:
    """Submissions and the fences of those that follow them."""
    entries = [json.loads(file.read_text()) for file in (command.state / "jobs").glob("*.json")]
    return {f"{entry['submission']} {entry['fence']}" for entry in entries}


def test_jobs_outlive_their_worker_and_the_next_one_goes_on_with_them(command: Command, home: str, sshd: Sshd) -> None:
    first = command.start("run", "--no-console", "flow.py", "Many")
    assert soon(lambda: len(ran(home)) == 6, 40)
    first.kill()
    first.communicate()
    sshd.cut()
    fences = book(command)
    second = command.start("run", "--no-console", "flow.py", "Many")
    assert soon(lambda: len(book(command) - fences) == 6, 40), "it follows the jobs of the first one"
    Path(home, "go").touch()
    told = ended(second)
    assert told.returncode == 0, told.stderr
    assert Counter(ran(home)) == {f"{number}": 1 for number in range(6)}
    assert {path.name for path in Path(home).glob("*.txt*")} == {f"{number}.txt" for number in range(6)}
    assert list(Path(sshd.home, ".levada/jobs").iterdir()) == []  # all of it is cleared away


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_workers_that_are_killed_again_and_again_run_each_job_once(command: Command, home: str) -> None:
    Path(home, "go").touch()
    for kills in range(15):
        run = command.start("run", "--no-console", "flow.py", "Many", "--size", "20")
        with suppress(subprocess.TimeoutExpired):
            run.wait(0.6 + 0.15 * kills)
        run.kill()
        run.communicate()
    told = command.run("run", "--no-console", "flow.py", "Many", "--size", "20")
    assert told.returncode == 0, told.stderr
    assert Counter(ran(home)) == {f"{number}": 1 for number in range(20)}


def test_a_failure_shows_what_the_job_said(command: Command) -> None:
    told = command.run("run", "--no-console", "flow.py", "Failing", "--name", "a")
    assert told.returncode == 1
    assert "ended with exit status 3" in told.stderr
    assert "what went wrong" in told.stderr


def test_while_the_host_is_away_nothing_is_taken_for_an_end(command: Command, home: str, sshd: Sshd) -> None:
    run = command.start("run", "--no-console", "flow.py", "Job", "--name", "a")
    assert soon(lambda: ran(home), 40)
    sshd.stop()
    try:
        Path(home, "go").touch()
        assert soon(Path(home, "a.txt").exists, 20)  # the job went on
        assert not soon(lambda: run.poll() is not None, 3), run.communicate()
    finally:
        sshd.start()
    told = ended(run)
    assert told.returncode == 0, told.stderr
    assert ran(home) == ["a"]
