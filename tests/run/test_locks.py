"""Task locks: who has one, who waits, what the kernel gives back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import levada
from levada._server import locks
from levada.errors import StateFolderError

KEY, OTHER = b"\x01" * 16, b"\xff" * 16


@pytest.fixture(params=["ranges", "files"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], locks.TaskLocks]:
    if request.param == "files":
        return lambda: locks.FileLocks(str(tmp_path / "locks"))
    return lambda: locks.RangeLocks(str(tmp_path / "lock"))


def test_a_task_is_held_by_one_run_at_a_time(make: Callable[[], locks.TaskLocks]) -> None:
    first, second = make(), make()
    assert first.take(KEY)
    assert not second.take(KEY)
    assert second.take(OTHER)
    first.give(KEY)
    assert second.take(KEY)


def test_the_kernel_frees_what_a_dead_process_held(make: Callable[[], locks.TaskLocks], tmp_path: Path) -> None:
    ours = make()
    kind = "RangeLocks" if isinstance(ours, locks.RangeLocks) else "FileLocks"
    place = tmp_path / ("lock" if kind == "RangeLocks" else "locks")
    program = f"from levada._server.locks import {kind} as L; l = L({str(place)!r}); print(l.take({KEY!r}), flush=True); input()"
    environment = {"PYTHONPATH": str(Path(levada.__file__).parent.parent)}
    process = subprocess.Popen([sys.executable, "-c", program], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "True"
    assert not ours.take(KEY)
    process.kill()
    process.communicate()
    assert ours.take(KEY)


def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "_file_system", lambda folder: "nfs4")
    with pytest.raises(StateFolderError, match="network file system"):
        locks.open_locks(str(tmp_path))
