"""Runs what a page shows, as its reader would: ``python pages.py docs/tasks.md`` in an empty folder.

Blocks are taken in order. A ``python`` or ``toml`` block that begins with a comment of a file's name
(``# pipeline.py``) becomes that file; any other ``python`` block is run, all of a page in one module.
A ``console`` block whose first line begins with ``$ levada`` is run line by line: a command must end
with 0, or with N where a comment behind it says ``exit N``; lines below it must be what it prints,
in that order, where ``...`` stands for anything. ``<!-- beside until TEXT: COMMAND -->`` starts what its reader has in
another terminal from then on, and waits until it has printed that; it is ended as by Ctrl-C.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

BLOCK = re.compile(r"^```(python|toml|console)\n(.*?)^```$|^<!-- (beside) until (.*?) -->$", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"# ([\w./-]+\.(?:py|toml))\n")
EXIT = re.compile(r"#.*\bexit (\d+)")


class Block(NamedTuple):
    """What stands between two fences, and on which line of the page it begins."""

    kind: str
    text: str
    line: int


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page that mean something here."""
    text = page.read_text()
    for found in BLOCK.finditer(text):
        kind, inside = (1, 2) if found[1] else (3, 4)
        yield Block(found[kind], found[inside], text.count("\n", 0, found.start(inside)))


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of a console block, with the lines that are shown below it."""
    command, shown = "", list[str]()
    for line in text.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, shown
            command, shown = line[2:], []
        elif line.strip():
            shown.append(line.rstrip())
    if command:
        yield command, shown


def start(until: str, command: str) -> subprocess.Popen[bytes]:
    """Start a command, and wait until it has printed a text."""
    with open("beside.log", "wb") as log:
        process = subprocess.Popen(["sh", "-c", f"exec {command}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    end = time.monotonic() + 20
    while until not in Path("beside.log").read_text():
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            raise SystemExit(f"{command!r} did not say {until!r}:\n{Path('beside.log').read_text()}")
        time.sleep(0.05)
    return process


def run_console(page: Path, block: Block) -> None:
    """Run the commands of a block and compare what they print."""
    for command, shown in commands(block.text):
        said = EXIT.search(command)
        wanted = int(said[1]) if said else 0
        run = subprocess.run(command, shell=True, capture_output=True, text=True)
        printed = run.stdout + run.stderr
        if run.returncode != wanted:
            raise SystemExit(f"{page.name}:{block.line}: {command!r} ended with {run.returncode}, not {wanted}:\n{printed}")
        pattern = ".*?".join("^" + ".*?".join(map(re.escape, line.split("..."))) + "$" for line in shown)
        if not re.search(pattern, re.sub(r" +$", "", printed, flags=re.MULTILINE), re.DOTALL | re.MULTILINE):
            raise SystemExit(f"{page.name}:{block.line}: {command!r} does not print what the page shows:\n{printed}")


def run(page: Path) -> int:
    """Run all blocks of a page in the current folder; how many there were."""
    module = types.ModuleType("page")
    sys.modules["page"] = module
    sys.path.insert(0, "")  # a page's own files can be imported
    ran, beside = 0, list[subprocess.Popen[bytes]]()
    try:
        for block in blocks(page):
            ran += run_block(page, block, module, beside)
    finally:
        for process in reversed(beside):
            process.send_signal(signal.SIGINT)
            process.wait()
    return ran


def run_block(page: Path, block: Block, module: types.ModuleType, beside: list[subprocess.Popen[bytes]]) -> bool:
    """Run one block; whether it meant something. beside: what was started for the rest of the page."""
    if block.kind == "beside":
        beside.append(start(*block.text.split(": ", 1)))
    elif file := FILE.match(block.text):
        Path(file[1]).write_text(block.text)
    elif block.kind == "python":
        exec(compile("\n" * block.line + block.text, str(page), "exec"), vars(module))
    elif block.kind == "console" and block.text.startswith("$ levada"):
        run_console(page, block)
    else:
        return False
    return True


if __name__ == "__main__":
    print(run(Path(sys.argv[1])), "blocks")
