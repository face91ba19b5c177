"""What people and machines do wrong: a clear message, the right exit code, the healthy rest made, nothing half-written."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.command import Command, ended, soon

POOL = ("--workers", "2", "--executor", "processes")
BY_EXECUTOR = {"inline": (), "a pool": POOL, "threads": ("--workers", "2", "--executor", "threads")}


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path)


def words(text: str) -> str:
    return " ".join(text.split())


def only_the_healthy(folder: Path) -> None:
    """The healthy rest is made; nothing else is, not even in part."""
    assert sorted(path.name for path in folder.glob("*.txt")) == [f"healthy-{n}.txt" for n in range(5)]
    assert [path for path in folder.glob("*.txt") if path.read_text() != f"healthy {path.stem[-1]}\n"] == []
    assert list(folder.rglob(".*.part")) == []


def no_fault_of_ours(err: str) -> None:
    """No traceback but those of the author's own failures, at the end, without frames of the engine."""
    before, _, summary = err.partition(": failed (")
    assert "Traceback" not in before
    assert re.findall(r'File "[^"]*/levada/(?:_|cli/)[^"]*"', summary) == []
    assert "fault of levada itself" not in err


# -- words that are not understood -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "wrong:Helthy"], ["no task", "Helthy", "Did you mean Healthy"]),
        (["run", "-m", "wrong", "NothingLikeIt"], ["no task NothingLikeIt was imported"]),
        (["run", "wrong:Slow", "--secnds", "1"], ["no option --secnds", "Did you mean --seconds"]),
        (["run", "wrong:Slow", "--n", "1"], ["Slow: no value for seconds", "--seconds"]),
        (["run", "wrong:Slow"], ["no value for n, seconds"]),
        (["run", "wrong:Slow", "--n", "few", "--seconds", "long"], ["'few' is not a whole number", "'long' is not a finite number"]),
        (["run", "wrong:Slow", "--n"], ["--n"]),
        (["run", "no_such_module:Task"], ["there is no module 'no_such_module'"]),
        (["run", "no_such_file.py", "Task"], ["there is no file no_such_file.py"]),
        (["rum", "wrong:Healthy"], ["no command 'rum'", "levada run"]),
        (["run", "wrong:Healthy", "--workers", "none"], ["none", "workers"]),
        (["run", "wrong:Healthy", "--workers", "0"], ["workers", "0"]),
        (["run", "wrong:Healthy", "--executor", "proceses"], ["'proceses'", "processes"]),
        (["run", "wrong:Healthy", "--attempts", "0"], ["attempts", "0"]),
    ],
)
def test_a_wrong_word_is_answered_with_the_right_one(command: Command, arguments: list[str], says: list[str]) -> None:
    said = command.run(*arguments)
    assert said.returncode == 2, said.stderr
    assert [part for part in says if part not in said.stderr] == []
    no_fault_of_ours(said.stderr)
    assert said.stdout == ""
    assert not list(command.folder.glob("*.txt"))


def test_a_module_that_fails_shows_the_way_through_it(command: Command) -> None:
    (command.folder / "helper.py").write_text("def prepare():\n    raise LookupError('no such catalogue')\n")
    (command.folder / "broken.py").write_text("import helper\nhelper.prepare()\n")
    said = command.run("run", "broken:Task")
    assert said.returncode == 2
    assert "importing broken failed: LookupError: no such catalogue" in said.stderr
    assert [line for line in said.stderr.splitlines() if "broken.py" in line and "line 2" in line]
    assert "levada/cli" not in said.stderr


def test_a_module_with_wrong_definitions_tells_them_all(command: Command) -> None:
    (command.folder / "broken.py").write_text(
        "import levada as lv\nclass Odd(lv.Task):\n    n: int = 'x'\n    where: complex\n    def output(self): return []\n"
    )
    said = command.run("run", "broken:Odd")
    assert said.returncode == 2
    assert "Odd" in said.stderr
    assert "n:" in said.stderr
    assert "where" in said.stderr
    assert "levada/cli" not in said.stderr


@pytest.mark.parametrize("how", ["name", "dotted"])
def test_two_tasks_of_one_name_are_told_apart(command: Command, how: str) -> None:
    for name in ("one", "two"):
        (command.folder / f"{name}.py").write_text(
            f"import levada as lv\nclass Same(lv.Task):\n    def output(self): return lv.LocalTarget('{name}.txt')\n"
            "    def run(self): self.output().write_text('made')\n"
        )
    if how == "dotted":
        said = command.run("run", "-m", "one", "two:Same")
        assert said.returncode == 0, said.stderr
        assert (command.folder / "two.txt").exists()
        return
    said = command.run("run", "-m", "one", "-m", "two", "Same")
    assert said.returncode == 2
    assert "Same" in said.stderr
    assert "one" in said.stderr
    assert "two" in said.stderr
    no_fault_of_ours(said.stderr)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[run\nworkers = 1\n", "levada.toml"),
        ("[run]\nworkers = 'many'\n", "workers"),
        ("[run]\nworkres = 2\n", "Did you mean workers"),
        ("[params.Healthy]\nm = 3\n", "m"),
        ("[params.Healthy]\nn = 'few'\n", "'few' is not a whole number"),
    ],
)
def test_a_wrong_configuration_stops_the_run_before_anything_starts(command: Command, text: str, says: str) -> None:
    (command.folder / "levada.toml").write_text(text)
    said = command.run("run", "wrong:Healthy")
    assert said.returncode == 2, said.stderr
    assert says in said.stderr
    assert "levada.toml" in said.stderr
    no_fault_of_ours(said.stderr)
    assert not list(command.folder.glob("*.txt"))


# -- faults of the plan ----------------------------------------------------------------------------


@pytest.mark.parametrize("executor", ["inline", "a pool"])
@pytest.mark.parametrize(
    ("fault", "code", "says"),
    [
        ("GivesText", 4, "GivesText(): requires() gave 'no task', a str; expected tasks"),
        ("GivesAClass", 4, "GivesAClass(): requires() gave"),
        ("CannotSay", 4, "CannotSay(): requires() raised LookupError: no such catalogue"),
        ("CannotSayOddly", 4, "CannotSayOddly(): requires() raised Unprintable"),
        ("CannotTell", 4, "CannotTell(): complete() or output() raised LookupError: no such table"),
        ("OnAStoreThatIsAway", 69, "Away(db.example): cannot tell whether it exists: [Errno 113] No route to host"),
        ("Circle", 4, "waits for itself: Circle(n=0) > Circle(n=1) > Circle(n=2) > Circle(n=0)"),
    ],
)
def test_a_fault_of_the_plan_is_named_with_the_way_to_it_and_the_rest_runs(
    command: Command, fault: str, code: int, says: str, executor: str
) -> None:
    said = command.run("run", "wrong:All", "--fault", fault, *BY_EXECUTOR[executor])
    assert said.returncode == code, said.stderr
    assert says in words(said.stderr)
    assert "on the way All(" in said.stderr
    no_fault_of_ours(said.stderr)
    only_the_healthy(command.folder)


def test_two_writers_of_one_target_are_named_and_the_first_makes_it(command: Command) -> None:
    said = command.run("run", "wrong:All", "--fault", "SameAsHealthy")
    assert said.returncode == 4, said.stderr
    assert "SameAsHealthy()" in said.stderr
    assert "Healthy(n=3)" in said.stderr
    assert "writes too" in said.stderr
    assert (command.folder / "healthy-3.txt").read_text() == "healthy 3\n"
    no_fault_of_ours(said.stderr)


# -- faults of run() -------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", BY_EXECUTOR)
@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("UnderAFile", "healthy-3.txt/deeper/out.txt: could not be written: Not a directory"),
        ("OverAFolder", "folder: could not be written: Is a directory"),
        ("DoesNothing", "run() ended, but missing: wrong-DoesNothing.txt"),
        ("FailsHalfway", "ValueError: no flights today"),
        ("FailsTogether", "ExceptionGroup: unhandled errors in a TaskGroup (2 sub-exceptions)"),
        ("FailsOddly", "Unprintable"),
        ("FailsWithoutEnd", "RecursionError"),
        ("EndsTheProgram", "sys.exit(0)"),
        ("YieldsNonsense", "no task"),
    ],
)
def test_a_failed_attempt_is_told_in_a_line_and_the_rest_runs(command: Command, fault: str, says: str, executor: str) -> None:
    said = command.run("run", "wrong:All", "--fault", fault, *BY_EXECUTOR[executor])
    assert said.returncode == 1, said.stderr
    assert says in words(said.stderr)
    assert f"tasks behind {fault}() (failed)" in said.stderr
    assert "levada/targets" not in said.stderr  # places are the user's
    no_fault_of_ours(said.stderr)
    only_the_healthy(command.folder)
    log = command.run("log", fault)
    assert log.returncode == 0
    assert fault in log.stdout


@pytest.mark.parametrize("executor", ["inline", "a pool"])
def test_a_file_that_may_not_grow_further_leaves_nothing_there(command: Command, executor: str) -> None:
    said = command.run("run", "wrong:All", "--fault", "OverTheLimit", *BY_EXECUTOR[executor])
    assert said.returncode == 1, said.stderr
    assert "wrong-OverTheLimit.txt: could not be written: File too large" in said.stderr
    no_fault_of_ours(said.stderr)
    only_the_healthy(command.folder)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("IsKilled", "its process was killed by SIGKILL"),
        ("Crashes", "its process was killed by SIGSEGV"),
        ("LeavesAtOnce", "its process ended with status 0 and gave no result"),
        ("EndsItsGroup", "its process was killed by SIGTERM"),
        ("ClosesEverything", "did the task close file descriptors?"),
    ],
)
def test_a_task_that_costs_its_process_costs_nothing_else(command: Command, fault: str, says: str) -> None:
    said = command.run("run", "wrong:All", "--fault", fault, *POOL)
    assert said.returncode == 1, said.stderr
    assert says in said.stderr
    no_fault_of_ours(said.stderr)
    only_the_healthy(command.folder)
    assert soon(lambda: not command.alive())


@pytest.fixture
def little_memory() -> Iterator[str]:
    """A memory control group of 100 MB; the shell words that put a program into it."""
    v1, v2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    group = (v1 if v1.is_dir() else v2) / f"levada-faults-{os.getpid()}"
    try:
        group.mkdir()
        (group / ("memory.limit_in_bytes" if v1.is_dir() else "memory.max")).write_text("100000000")
        if not v1.is_dir():
            (group / "memory.swap.max").write_text("0")
    except OSError as cause:
        shutil.rmtree(group, ignore_errors=True)
        pytest.skip(f"by design: memory control groups cannot be made here ({cause}); SIGKILL stands for the kernel's above")
    yield f"echo $$ > {group}/cgroup.procs"
    soon(lambda: not (group / "cgroup.procs").read_text().split())
    group.rmdir()


def test_the_kernels_killing_for_memory_is_called_by_its_name(command: Command, little_memory: str) -> None:
    start = f'{little_memory} || exit 99; exec "$0" -m levada "$@"'
    said = command.shell(start, "run", "wrong:All", "--fault", "EatsMemory", *POOL)
    if said.returncode == 99:
        pytest.skip("by design: this process may not enter a control group")
    assert said.returncode == 1, said.stderr
    assert "EatsMemory(): killed by the kernel: out of memory" in said.stderr
    only_the_healthy(command.folder)


PROGRAM = """
import json, sys
import levada as lv
from wrong import All

if __name__ == "__main__":
    result = lv.run(All(fault=sys.argv[1]), workers=int(sys.argv[2]))
    print(json.dumps(result.to_json()))
    assert bool(result) is False
"""


@pytest.mark.parametrize(
    ("fault", "workers", "code", "status"),
    [
        ("CannotSayOddly", 1, 4, "faults"),
        ("OnAStoreThatIsAway", 1, 69, "faults"),
        ("FailsOddly", 1, 1, "failed"),
        ("FailsOddly", 2, 1, "failed"),
        ("IsKilled", 2, 1, "failed"),
        ("Crashes", 2, 1, "failed"),
        ("DoesNothing", 2, 1, "failed"),
    ],
)
def test_a_program_gets_faults_as_a_result_not_as_an_exception(command: Command, fault: str, workers: int, code: int, status: str) -> None:
    (command.folder / "program.py").write_text(PROGRAM)
    said = ended(command.python("program.py", fault, str(workers)))
    assert said.returncode == 0, said.stderr
    result = json.loads(said.stdout)
    assert (result["exit_code"], result["status"], result["done"]) == (code, status, 5)
    assert fault in str(result["faults"] + result["failures"])
    no_fault_of_ours(said.stderr)
    only_the_healthy(command.folder)


# -- disks -----------------------------------------------------------------------------------------


def on_a_disk(command: Command, options: str, *arguments: str, before: str = "true", at: str = "disk") -> subprocess.CompletedProcess[str]:
    """Run with a small disk at a folder, that nobody else sees; what is on it in the end is listed on stdout."""
    (command.folder / at).mkdir(mode=0o700, exist_ok=True)
    mount = f"mount -t tmpfs -o mode=700,{options} none {at} || exit 99"
    said = command.shell(
        f'{mount}; {before}; "$0" -m levada "$@"; code=$?; find {at} -type f; exit $code', *arguments, wrap=("unshare", "-m")
    )
    if said.returncode == 99 or "unshare failed" in said.stderr:
        pytest.skip("by design: no file system can be mounted here")
    return said


needs_mounts = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or shutil.which("unshare") is None, reason="by design: mounting needs root on Linux"
)


@needs_mounts
@pytest.mark.parametrize("executor", ["inline", "a pool"])
def test_a_disk_that_fills_in_the_middle_of_a_write_leaves_nothing_there(command: Command, executor: str) -> None:
    said = on_a_disk(command, "size=64k", "run", "wrong:All", "--fault", "FillsTheDisk", *BY_EXECUTOR[executor])
    assert said.returncode == 1, said.stderr
    assert "disk/out.txt: could not be written: No space left on device" in said.stderr
    assert "tasks behind FillsTheDisk() (failed)" in said.stderr
    assert said.stdout == ""  # neither the target nor a temporary
    no_fault_of_ours(said.stderr)
    only_the_healthy(command.folder)


@needs_mounts
def test_a_read_only_disk_is_named(command: Command) -> None:
    said = on_a_disk(command, "ro", "run", "wrong:All", "--fault", "OnAReadOnlyDisk")
    assert said.returncode == 1, said.stderr
    assert "disk/out.txt: could not be written: Read-only file system" in said.stderr
    only_the_healthy(command.folder)


# -- the state folder ------------------------------------------------------------------------------


def refused(said: subprocess.CompletedProcess[str], *says: str) -> None:
    assert said.returncode == 75, said.stderr
    assert [part for part in says if part not in said.stderr] == []
    no_fault_of_ours(said.stderr)


def went_on(said: subprocess.CompletedProcess[str], *says: str) -> None:
    assert said.returncode == 0, said.stderr
    assert [part for part in says if part not in said.stderr] == []
    no_fault_of_ours(said.stderr)


def test_a_state_folder_that_others_may_write_to_is_refused(command: Command) -> None:
    command.state.mkdir()
    command.state.chmod(0o777)
    refused(command.run("run", "wrong:Healthy"), "others may write to it", "chmod 700")
    assert not list(command.folder.glob("*.txt"))


def test_a_state_folder_that_is_a_file_is_refused(command: Command) -> None:
    command.state.write_text("")
    refused(command.run("run", "wrong:Healthy"), "is not a folder", "LEVADA_STATE")


def test_a_state_folder_under_a_file_is_refused(command: Command) -> None:
    refused(command.run("run", "wrong:Healthy", environ={"LEVADA_STATE": "/dev/null/state"}), "/dev/null", "LEVADA_STATE")


@pytest.mark.parametrize("name", ["tasks.lock.7", "epoch"])
def test_locks_that_cannot_be_had_are_refused(command: Command, name: str) -> None:
    (command.state / name).mkdir(parents=True, mode=0o700)
    command.state.chmod(0o700)
    refused(command.run("run", "wrong:Healthy"), "the state folder", "cannot be used", "LEVADA_STATE")
    assert not list(command.folder.glob("*.txt"))


@needs_mounts
def test_a_read_only_state_folder_is_refused_and_reading_commands_still_answer(command: Command) -> None:
    refused(on_a_disk(command, "ro", "run", "wrong:Healthy", at="state"), "Read-only file system", "LEVADA_STATE")
    assert on_a_disk(command, "ro", "plan", "wrong:Healthy", at="state").returncode == 10
    why = on_a_disk(command, "ro", "why", "wrong:Healthy", at="state")
    assert why.returncode == 0, why.stderr
    assert "healthy-0.txt" in why.stdout


@needs_mounts
@pytest.mark.parametrize("executor", ["inline", "a pool"])
def test_a_full_disk_under_the_state_folder_costs_the_memory_of_the_run_only(command: Command, executor: str) -> None:
    fill = "head -c 1000000 /dev/zero > state/fill 2>/dev/null"
    said = on_a_disk(command, "size=32k", "run", "wrong:Healthy", *BY_EXECUTOR[executor], before=fill, at="state")
    went_on(said, "this run is not remembered", "disk is full", "No task depends on this file")
    assert (command.folder / "healthy-0.txt").exists()


@pytest.mark.parametrize("executor", ["inline", "a pool"])
@pytest.mark.parametrize("content", [b"no database at all" * 1000, b"SQLite format 3\0" + b"\xff" * 9000, None])
def test_a_history_that_cannot_be_read_costs_the_memory_of_the_run_only(command: Command, content: bytes | None, executor: str) -> None:
    command.state.mkdir(mode=0o700)
    if content is None:
        (command.state / "history.db").mkdir()
    else:
        (command.state / "history.db").write_bytes(content)
    went_on(command.run("run", "wrong:Healthy", *BY_EXECUTOR[executor]), "this run is not remembered", "history.db")
    assert (command.folder / "healthy-0.txt").exists()
    assert command.run("why", "wrong:Healthy", "--n", "1").returncode == 0
    refused(command.run("history"), "history.db")


def test_a_history_of_a_newer_levada_is_left_alone(command: Command) -> None:
    import sqlite3
    from contextlib import closing

    command.state.mkdir(mode=0o700)
    with closing(sqlite3.connect(command.state / "history.db")) as db:
        db.execute("pragma user_version = 99")
    before = (command.state / "history.db").read_bytes()
    went_on(command.run("run", "wrong:Healthy"), "this run is not remembered", "newer Levada (schema 99")
    assert (command.state / "history.db").read_bytes() == before


def test_an_epoch_that_is_no_number_is_begun_anew(command: Command) -> None:
    command.state.mkdir(mode=0o700)
    (command.state / "epoch").write_text("what is this")
    went_on(command.run("run", "wrong:Healthy"))
    assert int((command.state / "epoch").read_text()) > 1_000_000


# -- signals ---------------------------------------------------------------------------------------


def interrupted(command: Command, signals: list[int], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Start a run, and send it signals once the second slow task has begun."""
    process = command.start("run", "wrong:Many", *arguments)
    assert soon(lambda: (command.folder / "begun-1").exists() and (command.folder / "slow-0.txt").exists(), 20)
    for at, number in enumerate(signals):
        if at:
            assert not soon(lambda: process.poll() is not None, 0.2)  # the first alone does not end it
        process.send_signal(number)
    return ended(process, 30)


def whole(folder: Path) -> list[str]:
    """The slow tasks' outputs; each is whole."""
    found = sorted(folder.glob("slow-*.txt"))
    assert [path for path in found if path.read_text() != "the first half\nthe second half\n"] == []
    assert list(folder.rglob(".*.part")) == []
    return [path.stem for path in found]


@pytest.mark.parametrize("executor", BY_EXECUTOR)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_lets_what_runs_end_and_starts_nothing(command: Command, number: int, code: int, executor: str) -> None:
    said = interrupted(command, [number], "--seconds", "0.4", *BY_EXECUTOR[executor])
    assert said.returncode == code, said.stderr
    made = whole(command.folder)
    assert {"slow-0", "slow-1"} <= set(made)
    assert len(made) <= 3
    assert "stopped by a signal" in said.stderr
    no_fault_of_ours(said.stderr)
    assert soon(lambda: not command.alive())


@pytest.mark.parametrize("executor", ["inline", "a pool"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_second_signal_ends_what_runs_and_keeps_what_was_made(command: Command, number: int, code: int, executor: str) -> None:
    said = interrupted(command, [number, number], "--seconds", "60", *BY_EXECUTOR[executor])
    assert said.returncode == code, said.stderr
    assert whole(command.folder) == ["slow-0"]
    no_fault_of_ours(said.stderr)
    assert soon(lambda: not command.alive())


@pytest.mark.parametrize("executor", ["inline", "a pool"])
def test_the_grace_after_sigterm_is_kept_and_not_longer(command: Command, executor: str) -> None:
    said = interrupted(command, [signal.SIGTERM], "--seconds", "60", "--grace", "0.2", *BY_EXECUTOR[executor])
    assert said.returncode == 143, said.stderr
    assert whole(command.folder) == ["slow-0"]
    assert soon(lambda: not command.alive())


def test_what_was_interrupted_goes_on_where_it_was(command: Command) -> None:
    interrupted(command, [signal.SIGINT, signal.SIGINT], "--seconds", "60")
    before = (command.folder / "slow-0.txt").stat().st_mtime_ns
    said = command.run("run", "wrong:Many", "--seconds", "0", "--first", "0", *POOL)
    assert said.returncode == 0, said.stderr
    assert len(whole(command.folder)) == 6
    assert (command.folder / "slow-0.txt").stat().st_mtime_ns == before
