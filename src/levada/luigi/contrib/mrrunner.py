"""What the nodes run for `HadoopJobRunner`: ``python mrrunner.py map|reduce``, beside the code and the task that travelled there."""

from __future__ import annotations

import os
import sys
import tarfile


def main(arguments: list[str]) -> int:
    """Unpack the code that lies in this folder, and run a phase of the task."""
    if os.path.exists("packages.tar"):
        with tarfile.open("packages.tar") as archive:
            if hasattr(tarfile, "data_filter"):  # later releases of 3.11 have it
                archive.extractall(".", filter="data")
            else:
                archive.extractall(".")  # noqa: S202 - what we packed ourselves
    sys.path.insert(0, os.getcwd())
    from levada.contrib.hadoop.runner import main as run

    return run(arguments, sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
