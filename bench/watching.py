"""``python -m bench.watching``: what 100,000 watched targets in 300 folders cost while nothing happens, and how soon an arrival is told.

An hour of idling is played by a clock that runs ahead, over real folders, and over a store that answers from memory; the
threads that wait for notifications are measured in real time.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator

from levada._model.ports import Entry, Promise
from levada.targets.stores import register_scheme
from levada.targets.watching import Wanted, Watching

TARGETS, FOLDERS, PRESENT = 100_000, 300, 50_000
HOUR, IDLE, FILES = 3600.0, 20.0, 30


class Listed:
    """A store whose folders hold every second target."""

    scheme = "listed"
    promise = Promise(create_if_absent=True, atomic_replace=True, listing=True, remote=False, folders=False)

    def __init__(self) -> None:
        self.calls = 0
        self.entries = [[Entry(f"{n}.csv", False, 1, 1.0, f"e{n}") for n in range(at, PRESENT, FOLDERS)] for at in range(FOLDERS)]

    def list(self, folder: str) -> Iterator[Entry]:
        self.calls += 1
        return iter(self.entries[int(folder.strip("/"))])


def idle_hour(name: str, wanted: list[Wanted]) -> None:
    """CPU seconds of an hour in which nothing comes."""
    watching, began = Watching(), time.process_time()
    watching.want(wanted)
    watching.look(now := 0.0)
    first = time.process_time()
    while now < 400:
        watching.look(now := max(watching.next_look(), now + 0.001))
    end, began_hour = now + HOUR, time.process_time()
    while now < end:
        watching.look(now := max(watching.next_look(), now + 0.001))
    print(f"{name:36} first look {first - began:6.2f} s   an idle hour {time.process_time() - began_hour:6.1f} s")
    watching.close()


def threads(folder: str) -> None:
    """CPU seconds an hour of waiting for notifications, and how soon an arrival is told."""
    watching = Watching()
    watching.want([Wanted(f"{folder}/{n % FOLDERS}/{n}.csv") for n in range(TARGETS)] + [Wanted(f"{folder}/in/{{n}}.new", True)])
    watching.look(0.0)
    began, cpu = time.monotonic(), time.process_time()
    while time.monotonic() - began < IDLE:
        watching.wait(IDLE)
    print(f"{'notifications of 300 folders':36} {'':17}   an idle hour {(time.process_time() - cpu) * HOUR / IDLE:6.1f} s")
    took: list[float] = []
    for n in range(FILES):
        time.sleep(0.3)
        watching.look(time.monotonic())  # what is still told of the file before
        began = time.monotonic()
        with open(f"{folder}/in/.{n}", "w"):
            pass
        os.rename(f"{folder}/in/.{n}", f"{folder}/in/{n}.new")
        watching.wait(1.0)
        while not watching.look(time.monotonic()):
            watching.wait(1.0)
        took.append(time.monotonic() - began)
    took.sort()
    print(f"{'a file, until it is told':36} median {took[FILES // 2] * 1000:4.0f} ms   longest {took[-1] * 1000:4.0f} ms")
    watching.close()


def main() -> None:
    """Print the figures."""
    store = Listed()
    register_scheme("listed", lambda authority: store)
    print(f"{TARGETS:,} targets in {FOLDERS} folders, every second is there; CPU seconds, the interval is 30 s")
    with tempfile.TemporaryDirectory() as folder:
        for at in [*map(str, range(FOLDERS)), "in"]:
            os.mkdir(f"{folder}/{at}")
        for n in range(PRESENT):
            os.close(os.open(f"{folder}/{n % FOLDERS}/{n}.csv", os.O_CREAT))
        idle_hour("local folders", [Wanted(f"{folder}/{n % FOLDERS}/{n}.csv") for n in range(TARGETS)])
        idle_hour("a pattern over 50,000 local files", [Wanted(f"{folder}/{{place}}/{{n}}.csv", True)])
        idle_hour("prefixes of a store", [Wanted(f"listed://b/{n % FOLDERS}/{n}.csv") for n in range(TARGETS)])
        threads(folder)
    print(f"listings of the store: {store.calls / FOLDERS:.0f} a folder")


if __name__ == "__main__":
    main()
