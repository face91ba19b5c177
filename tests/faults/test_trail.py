"""What a run notes of itself in the state folder: an epoch that rises, and where the dead left temporaries."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

import levada as lv
from levada._server.trail import Trail, next_epoch
from levada.errors import StateFolderError
from levada.targets import atomic
from tests.faults.command import ROOT

DEAD = """
import os, sys
from levada._server.trail import Trail
from levada.targets.local import LocalTarget
from levada.targets import atomic
from levada.targets.folder import FolderTarget
trail = Trail(sys.argv[1])
atomic.set_tag("0badcafe", f"{trail.epoch}.1")
out = LocalTarget("there/deep/file.txt").open("w")
folder = FolderTarget("elsewhere/folder").writing()
open(os.path.join(folder.__enter__(), "a"), "w").close()
print(trail.epoch, flush=True)
sys.stdin.read()
os._exit(0)
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture(autouse=True)
def no_trail() -> Iterator[None]:
    yield
    atomic.set_trail("")
    atomic.clear_tag()


def another_run(tmp_path: Path, state: Path, program: str = DEAD) -> tuple[subprocess.Popen[str], int]:
    """A run in another process that writes a file and a folder, and never ends; its epoch."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(state)], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def temporaries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob(".*.part"))


def test_epochs_rise_also_when_the_folder_was_lost(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = [next_epoch(str(state)) for _ in range(3)]
    assert first == sorted(set(first))
    (state / "epoch").unlink()
    import time

    soon = time.time() + 10
    monkeypatch.setattr("levada._server.trail.time.time", lambda: soon)
    assert next_epoch(str(state)) > first[-1]
    monkeypatch.setattr("levada._server.trail.time.time", lambda: 0.0)  # a clock that was set back
    assert next_epoch(str(state)) > first[-1]


def test_what_a_dead_run_left_is_swept_by_the_next(tmp_path: Path, state: Path) -> None:
    (tmp_path / "there" / "deep").mkdir(parents=True)
    process, epoch = another_run(tmp_path, state)
    with process:
        process.kill()
    before = [f".file.txt.0badcafe.{epoch}.1.part", f".folder.0badcafe.{epoch}.1.part"]
    assert temporaries(tmp_path) == before
    (tmp_path / "there" / "deep" / f".of-another.0badcafe.{epoch - 1}.1.part").touch()

    Trail(str(state)).close()

    assert temporaries(tmp_path) == [f".of-another.0badcafe.{epoch - 1}.1.part"]
    assert os.listdir(state / "runs") == []


def test_what_a_dead_run_left_under_fences_of_a_server_is_swept_by_the_next(tmp_path: Path, state: Path) -> None:
    """The server's epoch is not the run's, and other hosts write under it, too: the tags are noted beside the folders."""
    (tmp_path / "there" / "deep").mkdir(parents=True)
    process, _ = another_run(tmp_path, state, DEAD.replace('f"{trail.epoch}.1"', '"3.7"'))
    assert temporaries(tmp_path) == [".file.txt.0badcafe.3.7.part", ".folder.0badcafe.3.7.part"]
    (tmp_path / "there" / "deep" / ".of-another.0badcafe.3.8.part").touch()
    process.kill()
    process.communicate()
    Trail(str(state)).close()
    assert temporaries(tmp_path) == [".of-another.0badcafe.3.8.part"]


def test_what_a_living_run_writes_is_left_alone(tmp_path: Path, state: Path) -> None:
    process, _ = another_run(tmp_path, state)
    with process:
        Trail(str(state)).close(untidy=True)
        assert len(temporaries(tmp_path)) == 2
        assert len(os.listdir(state / "runs")) == 2
        process.kill()


def test_a_trail_is_bounded_and_keeps_the_newest_folders(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic, "_LONGEST_TRAIL", 4)
    trail = Trail(str(state))
    for number in range(11):
        for _ in range(3):
            lv.LocalTarget(tmp_path / str(number) / "x", mode="replace", durable=False).write_text("x")
    files = sorted(path for path in (state / "runs").iterdir() if "." in path.name)
    noted = [os.path.basename(folder) for file in files for folder in atomic.noted_folders(str(file))]
    assert sorted(noted, key=int) == ["4", "5", "6", "7", "8", "9", "10"]
    trail.close()
    assert os.listdir(state / "runs") == []


def test_a_trail_that_cannot_be_written_costs_the_sweep_only(state: Path, tmp_path: Path) -> None:
    (state / "runs").write_text("in its way")
    trail = Trail(str(state))
    lv.LocalTarget(tmp_path / "x").write_text("x")
    trail.close(untidy=True)
    assert (tmp_path / "x").exists()


def test_an_epoch_that_cannot_be_kept_is_told(state: Path) -> None:
    (state / "epoch").mkdir()
    with pytest.raises(StateFolderError, match="LEVADA_STATE"):
        Trail(str(state))


class Lost(lv.Task):
    """Dies the first time, half-way through a file."""

    folder: str
    retry = lv.Retry(attempts=2, first=0.01, longest=0.02)

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget(f"{self.folder}/out.txt")

    def run(self) -> None:
        again = os.path.exists(f"{self.folder}/again")
        with self.output().open("w") as out:
            out.write("x")
            out.flush()
            if not again:
                open(f"{self.folder}/again", "w").close()
                os._exit(1)


def test_a_run_whose_child_died_leaves_no_temporary_of_it(tmp_path: Path) -> None:
    result = lv.run(Lost(folder=str(tmp_path)), workers=2, executor="processes")
    assert result.exit_code == 0
    assert result.attempts == 2
    assert temporaries(tmp_path) == []


def test_a_run_inside_a_run_gives_the_trail_back(tmp_path: Path, state: Path) -> None:
    outer = Trail(str(state))
    before = atomic.trail()
    inner = Trail(str(state))
    assert atomic.trail() != before
    assert inner.epoch > outer.epoch
    inner.close()
    assert atomic.trail() == before
    outer.close()
    assert atomic.trail() == ""


def test_spawned_children_leave_the_trail_too(tmp_path: Path, state: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
        import threading, time
        import levada as lv

        class Half(lv.Task):
            n: int
            def output(self):
                return lv.LocalTarget(f"deep/{self.n}/x")
            def run(self):
                out = self.output().open("w")
                out.write("half")
                out.flush()
                print("writing", flush=True)
                time.sleep(60)

        if __name__ == "__main__":
            threading.Thread(target=time.sleep, args=(60,), daemon=True).start()  # a fork is not safe now
            lv.run([Half(n=1), Half(n=2)], workers=2, executor="processes")
        """)
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "LEVADA_STATE": str(state)}
    process = subprocess.Popen([sys.executable, str(program)], cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
        process.stdout.read()  # until the last child is gone
    assert temporaries(tmp_path)
    Trail(str(state)).close()
    assert temporaries(tmp_path) == []
