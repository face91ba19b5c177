"""No engine: loops of function calls, the floor under every figure."""

from __future__ import annotations

import os

import shape
from child import Section
from shape import done


def complete(task: int) -> bool:
    return done[task] == 1


def run(task: int) -> None:
    done[task] = 1


def fan(size: int, section: Section) -> None:
    """Call each task once."""
    shape.prepare(size)
    with section:
        for task in range(size):
            if not complete(task):
                run(task)
    shape.must_be_done(size)


def chain(size: int, section: Section) -> None:
    """Call each task after the one before it."""
    shape.prepare(size)
    with section:
        for task in range(size):
            if not complete(task) and (task == 0 or complete(task - 1)):
                run(task)
    shape.must_be_done(size)


def layered(size: int, section: Section) -> None:
    """Call each task after the ten it needs."""
    shape.prepare(size)
    with section:
        for task in range(size):
            if not complete(task) and all(map(complete, shape.needs(task))):
                run(task)
    shape.must_be_done(size)


pool = fan


def all_complete(size: int, section: Section) -> None:
    """Look at each file."""
    with section:
        there = sum(os.path.exists(shape.made(task)) for task in range(size))
    if there != size:
        raise SystemExit(f"only {there} of {size} files are there")


def write(size: int, section: Section) -> None:
    """Write a small file a task: temporary, fsync, link, unlink, fsync of the folder."""
    folder = f"{shape.folder()}/bare"
    os.mkdir(folder)
    with section:
        for task in range(size):
            _write(folder, f"{folder}/{task}.txt", durable=True)


def write_scratch(size: int, section: Section) -> None:
    """As ``write``, without the fsyncs."""
    folder = f"{shape.folder()}/bare-scratch"
    os.mkdir(folder)
    with section:
        for task in range(size):
            _write(folder, f"{folder}/{task}.txt", durable=False)


def _write(folder: str, path: str, *, durable: bool) -> None:
    if os.path.exists(path):
        return
    temporary = f"{path}.part"
    with open(temporary, "w", encoding="utf-8") as file:
        file.write("done\n")
        file.flush()
        if durable:
            os.fsync(file.fileno())
    os.link(temporary, path)
    os.unlink(temporary)
    if durable:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(descriptor)
        os.close(descriptor)
