"""``make chaos``: the long proofs, one after the other; what each came to goes to the screen and to a log that is kept.

python -m tests.chaos [--share 1.0] [--log chaos.log] [NAME...]
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.store.conftest import Database, _programs

from .absences import faketime, leap, stop_the_server, time_until_a_dead_worker_is_replaced
from .disks import can_mount, fill_the_disk, slow_disk
from .failover import fail_over
from .floods import flood, many_sessions, vanish
from .kills import kill_the_server, start_with
from .nets import can_cut, cut_the_network
from .pauses import pause_workers
from .storm import storm


class Skipped(Exception):
    """This machine lacks something."""


@contextmanager
def database() -> Iterator[str]:
    """The URL of a PostgreSQL server of our own."""
    programs = _programs()
    if programs is None:
        raise Skipped("there is no PostgreSQL (Debian: apt-get install postgresql)")
    server = Database(programs)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


def _judged(found: Any) -> str:
    found.verdict.check()
    return str(found)


def _killed_on_postgresql(folder: Path, cycles: int) -> str:
    with database() as url:
        return _judged(kill_the_server(folder, cycles, 2, store=f"{url}&schema=kills"))


def _failed_over(folder: Path, cycles: int) -> str:
    with database() as url:
        hangs = max(1, cycles // 5)
        found = fail_over(folder, f"{url}&schema=failover", kills=max(1, cycles - hangs), hangs=hangs)
        assert max(found.killed) < 5.0, found
        assert found.verdict.events["lost"] == 0, found
        return _judged(found)


def _ready(folder: Path, tasks: int) -> str:
    seconds = start_with(folder, tasks)
    return f"{tasks:,} tasks: ready {', '.join(f'{each:.2f}' for each in seconds)} s after a kill"


def _absent(found: Any) -> str:
    found.check()
    return str(found)


def _leapt(folder: Path, cycles: int) -> str:
    if faketime() is None:
        raise Skipped("libfaketime is not installed (Debian: apt-get install libfaketime)")
    return _absent(leap(folder, cycles))


def _full(folder: Path, cycles: int) -> str:
    if not can_mount():
        raise Skipped("no file system can be mounted here")
    told = ""
    for number in range(cycles):
        (folder / str(number)).mkdir()
        found = fill_the_disk(folder / str(number))
        found.check()
        assert found.refusals == {"507 store-full"}, found
        told = str(found)
    return f"{cycles} times: {told}"


def _slow(folder: Path, cycles: int) -> str:
    if shutil.which("strace") is None:
        raise Skipped("strace is not installed")
    found = slow_disk(folder, float(cycles))
    found.check()
    assert found.p99 < 0.5, found
    return str(found)


def _cut(folder: Path, cycles: int) -> str:
    if not can_cut():
        raise Skipped("network namespaces cannot be made here")
    found = cut_the_network(folder, cycles)
    assert max(found.healing) < 60, found
    return _judged(found)


def _flooded(folder: Path, cycles: int) -> str:
    found = flood(folder, float(cycles))
    assert not found.failures, found
    return _judged(found)


def _many(folder: Path, cycles: int) -> str:
    seconds, claims, granted = many_sessions(folder, tasks=cycles)
    assert set(granted.values()) == {1}
    p99 = claims[int(len(claims) * 0.99)]
    return f"200 sessions at once: {len(granted):,} tasks, each granted once, in {seconds:.1f} s; p99 of claims {p99:.2f} s"


def _vanished(folder: Path, cycles: int) -> str:
    before, after, left = vanish(folder, cycles)
    assert before == after, (before, after)
    return f"{cycles} clients vanished in the middle of a body: nothing changed, {left} connections open after"


PROOFS: dict[str, tuple[int, Callable[[Path, int], str]]] = {
    "kills": (1000, lambda folder, cycles: _judged(kill_the_server(folder, cycles, 1))),
    "kills-postgresql": (100, _killed_on_postgresql),
    "ready-100k": (100_000, _ready),
    "ready-1m": (1_000_000, _ready),
    "pauses": (200, lambda folder, cycles: _judged(pause_workers(folder, cycles, 1))),
    "failover": (100, _failed_over),
    "failover-sqlite": (100, lambda folder, cycles: _judged(fail_over(folder, str(folder / "levada.db"), kills=cycles, hangs=0))),
    "storm": (25, lambda folder, cycles: _judged(storm(folder, cycles, 1))),
    "stops": (20, lambda folder, cycles: _absent(stop_the_server(folder, cycles))),
    "leaps": (10, _leapt),
    "dead-worker": (1, lambda folder, cycles: f"granted again after {time_until_a_dead_worker_is_replaced(folder):.1f} s, lease 5 s"),
    "full": (5, _full),
    "slow": (60, _slow),
    "cuts": (25, _cut),
    "flood": (60, _flooded),
    "many": (25, _many),
    "vanish": (1000, _vanished),
}
"""Name -> how many cycles (or seconds, or tasks), and what plays them."""


def main() -> int:
    """The exit code: how many proofs failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PROOFS)}; none: all")
    parser.add_argument("--share", type=float, default=1.0, help="of the cycles")
    parser.add_argument("--log", default="chaos.log", help="file to add to")
    given = parser.parse_args()
    failed = 0
    with open(given.log, "a", encoding="utf-8") as log:
        for name in given.names or PROOFS:
            cycles, play = PROOFS[name]
            text, good = _play(name, max(1, int(cycles * given.share)), play)
            failed += not good
            for stream in (sys.stdout, log):
                print(time.strftime("%Y-%m-%d %H:%M:%S"), text, file=stream, flush=True)
    return failed


def _play(name: str, cycles: int, play: Callable[[Path, int], str]) -> tuple[str, bool]:
    folder = Path(tempfile.mkdtemp(prefix=f"levada-{name}-"))
    began = time.monotonic()
    try:
        told = play(folder, cycles)
    except Skipped as reason:
        return f"{name}: skipped: {reason}", True
    except Exception:
        return f"{name}: FAILED after {time.monotonic() - began:.0f} s, see {folder}\n{traceback.format_exc()}", False
    shutil.rmtree(folder, ignore_errors=True)
    return f"{name}: {told} ({time.monotonic() - began:.0f} s)", True


if __name__ == "__main__":
    sys.exit(main())
