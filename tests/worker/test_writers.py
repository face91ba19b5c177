"""Files that have their name and not yet their content."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from levada._worker.agent import writers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="by design: leases are Linux's")


@pytest.fixture(autouse=True)
def _prepared() -> Iterator[None]:
    before = signal.getsignal(signal.SIGIO)
    writers.prepare()
    yield
    signal.signal(signal.SIGIO, before)


def test_a_file_that_is_open_for_writing_is_seen_to_be_and_one_that_was_closed_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with path.open("w") as file:
        file.write("half")
        file.flush()
        assert writers.is_being_written(str(path))
        assert writers.is_being_written(f"file://{path}")
    assert not writers.is_being_written(str(path))
    with path.open():
        assert not writers.is_being_written(str(path)), "who reads does not count"


def test_a_writer_in_another_process_is_seen_and_is_never_hindered(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    writer = subprocess.Popen(["sh", "-c", f"(echo 1; read go; echo 2) > {path}"], stdin=subprocess.PIPE)
    while not path.exists() or not path.read_text():
        pass
    assert writers.is_being_written(str(path))
    writer.communicate(b"go\n")
    assert not writers.is_being_written(str(path))
    for _ in range(200):
        writers.is_being_written(str(path))
        with path.open("a") as file:
            file.write("x")
    assert path.read_text() == "1\n2\n" + "x" * 200


def test_what_cannot_be_known_counts_as_whole(tmp_path: Path) -> None:
    for url in (str(tmp_path), str(tmp_path / "none"), "s3://in/a.csv", "/dev/null"):
        assert not writers.is_being_written(url)
    os.mkfifo(tmp_path / "pipe")
    assert not writers.is_being_written(str(tmp_path / "pipe"))
