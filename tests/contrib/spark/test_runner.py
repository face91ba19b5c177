"""What runs in Spark's driver, without Spark."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from levada.contrib.spark.runner import told
from tests.faults.command import ROOT, soon

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
sys.stdin.read()
"""
CHILD = """
import os
from levada.contrib.spark.runner import end_with
parent = os.getppid()
print(os.getpid(), flush=True)
end_with(parent)
"""


def test_the_driver_ends_with_its_java() -> None:
    """A standalone worker kills the Java part of a driver alone."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT / "src"
    )
    assert parent.stdout is not None
    child = Path("/proc", parent.stdout.readline().strip())
    assert child.exists()
    parent.kill()
    parent.communicate()
    assert soon(lambda: not child.exists() or "Z" in (child / "stat").read_text().rpartition(")")[2].split()[0], 30)


def test_a_traceback_is_told_without_javas_stacks() -> None:
    java = "An error\n: java.io.IOException: gone\n\tat org.apache.spark.A.<init>(A.scala:1)\n\t... 3 more\nCaused by: x\n at file 3"
    with pytest.raises(RuntimeError) as raised:
        raise RuntimeError(java)
    said = told(raised.value)
    assert said.startswith("Traceback (most recent call last)")
    assert said.endswith("RuntimeError: An error\n: java.io.IOException: gone\nCaused by: x\n at file 3\n")
