"""A server that speaks MongoDB's protocol, for tests: FerretDB over SQLite, built once, kept in ``.venvs/ferretdb``. Prints its path.

    python tools/ferretdb.py

Built from its Go module, in some minutes the first time. Exit status 77: it is not to be had, and why. LEVADA_FERRETDB names a
program of one's own. It is for tests on one machine, and nothing of Levada needs it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent / ".venvs" / "ferretdb"
MODULE, VERSION = "github.com/FerretDB/FerretDB", "v1.24.2"
SKIPPED = 77


class Missing(Exception):
    """The program cannot be had here; the text says why in a line."""


def built() -> Path:
    """The program that is there already. Raises Missing."""
    for path in (os.environ.get("LEVADA_FERRETDB"), HOME / f"ferretdb-{VERSION}"):
        if path and Path(path).exists():
            return Path(path)
    raise Missing("it was not built (python tools/ferretdb.py)")


def build() -> Path:
    """The program, built when there is none. Raises Missing."""
    try:
        return built()
    except Missing:
        pass
    go = shutil.which("go")
    if go is None:
        raise Missing("go is not installed")
    HOME.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=HOME, prefix="building-") as scratch:
        found = json.loads(_run([go, "mod", "download", "-json", f"{MODULE}@{VERSION}"], scratch))
        source = Path(scratch, "source")
        shutil.copytree(found["Dir"], source, copy_function=shutil.copyfile)
        for folder in (source, *(path for path in source.rglob("*") if path.is_dir())):
            folder.chmod(0o755)
        (source / "build/version/version.txt").write_text(f"{VERSION}\n")  # the module comes without, and ends at its start then
        _run([go, "build", "-o", f"{scratch}/ferretdb", "./cmd/ferretdb"], str(source))
        os.replace(f"{scratch}/ferretdb", HOME / f"ferretdb-{VERSION}")
    return built()


def _run(command: list[str], folder: str) -> str:
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise Missing(f"{' '.join(command[:3])} ended with {done.returncode}: {said[-1] if said else 'no word'}")
    return done.stdout


def main() -> int:
    """Exit status: 0 when it is there."""
    try:
        print(build())
    except Missing as reason:
        print(f"ferretdb: {reason}", file=sys.stderr)
        return SKIPPED
    return 0


if __name__ == "__main__":
    sys.exit(main())
