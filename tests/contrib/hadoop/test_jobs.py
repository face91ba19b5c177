"""Jobs on a real cluster: HDFS, YARN, MapReduce and Hadoop Streaming."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest

import levada as lv
from levada.contrib.hadoop import LocalJobRunner, places
from levada.targets.stores import open_store
from tests.contrib.hdfs.cluster import wait_for

from .cluster import Yarn
from .jobs import Copied, Counted, DelayByCarrier, Failing, Where
from .test_local import written

TEXT = "der Fluß, der Fluß\tfließt\nund (fließt)\n\n" * 50


@pytest.fixture(autouse=True)
def _python(monkeypatch: pytest.MonkeyPatch) -> None:
    """The nodes are this machine."""
    monkeypatch.setattr(places, "python", lambda: sys.executable)


def lines_of(url: str) -> list[str]:
    """Lines of all files of a job's output in HDFS, sorted."""
    store, path = open_store(url)
    found: list[str] = []
    for entry in store.list(path):
        if entry.name.startswith("part-"):
            with store.open(f"{path}/{entry.name}") as file:
                found += [line for line in file.read().decode("utf-8", "surrogateescape").split("\n") if line]
    return sorted(found)


def failure(result: lv.RunResult) -> str:
    """The error of the one task that failed."""
    (one,) = result.failures
    return one.error


@contextmanager
def running(home: str, seconds: int = 60) -> Iterator[subprocess.Popen[str]]:
    """A worker in a process of its own that runs the slow job of a folder; ended, if it still runs, with the block."""
    program = (
        "import sys, levada as lv; from levada.contrib.hadoop import places; places.python = lambda: sys.executable; "
        "from tests.contrib.hadoop.jobs import Slow; "
        f"job = Slow(text={home + '/text'!r}, into={home + '/out'!r}, seconds_a_line={seconds}); "
        "result = lv.run(job, attempts=1); print(result, *[one.error for one in result.failures]); sys.exit(result.exit_code)"
    )
    root = Path(__file__).resolve().parents[3]
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=root, env={**os.environ, "PYTHONPATH": f"{root}/src:{root}"}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def mine(yarn: Yarn, home: str) -> list[dict[str, Any]]:
    """The resource manager's account of the applications of a test's slow job."""
    return [one for one in yarn.applications() if home.rpartition("/")[2] in one["name"]]


def started(yarn: Yarn, home: str) -> str:
    """The application of a test's slow job, as soon as it runs."""
    wait_for(lambda: any(one["state"] == "RUNNING" for one in mine(yarn, home)), 400)
    return str(mine(yarn, home)[0]["id"])


def test_words_are_counted_as_in_this_process(yarn: Yarn, home: str, tmp_path: Path) -> None:
    text, into = f"{home}/Wörter und mehr/ä [1].txt", f"{home}/gezählt hier/ö {{x}}"
    lv.FileTarget(text).write_text(TEXT)
    (tmp_path / "text").write_text(TEXT, encoding="utf-8")
    job = Counted(text=text, into=into)

    assert lv.run(job).status == "ok"

    LocalJobRunner().run_job(Counted(text=str(tmp_path / "text"), into=str(tmp_path / "out")))
    assert lines_of(into) == written(tmp_path / "out")
    store, path = open_store(into)
    assert sorted(entry.name for entry in store.list(path)) == ["_SUCCESS", "part-00000", "part-00001"]
    assert [entry.name for entry in store.list(path.rpartition("/")[0])] == [path.rpartition("/")[2]]  # no temporary is left


def test_a_join_of_the_flights_is_as_in_this_process(yarn: Yarn, home: str, tmp_path: Path) -> None:
    from examples.flights import fetch

    try:
        fetch.drop(fetch.fetch(_cache()), tmp_path, [date(2013, 1, 1)])
    except fetch.FetchError as reason:
        pytest.skip(f"the flights are not to be had: {reason}")
    flights, carriers = tmp_path / "2013-01-01.csv", tmp_path / "carriers.csv"
    lv.FileTarget(f"{home}/flights.csv").write_text(flights.read_text())

    assert lv.run(DelayByCarrier(flights=f"{home}/flights.csv", carriers=str(carriers), into=f"{home}/delays")).status == "ok"

    LocalJobRunner().run_job(DelayByCarrier(flights=str(flights), carriers=str(carriers), into=str(tmp_path / "out")))
    assert lines_of(f"{home}/delays") == written(tmp_path / "out")
    assert any(line.startswith("United Air Lines Inc.\t2013-01-01\t") for line in lines_of(f"{home}/delays"))


def _cache() -> Path:
    folder = Path(__file__).resolve().parents[3] / "demo-data"
    folder.mkdir(exist_ok=True)
    return folder


def test_bytes_stay_as_they_are_but_for_carriage_returns(yarn: Yarn, home: str) -> None:
    raw = b"a\tb\r\n\xff\x00\r\t\n\n  x,y \n"
    lv.FileTarget(f"{home}/text").write_bytes(raw)
    assert lv.run(Copied(text=f"{home}/text", into=f"{home}/out")).status == "ok"
    assert _bytes_of(f"{home}/out") == re.sub(b"\r\n?", b"\n", raw)


def _bytes_of(url: str) -> bytes:
    store, path = open_store(url)
    found = b""
    for entry in store.list(path):
        with store.open(f"{path}/{entry.name}") as file:
            found += file.read()
    return found


def test_nodes_run_the_code_that_travelled_and_have_the_extra_files(yarn: Yarn, home: str, tmp_path: Path) -> None:
    extra = tmp_path / "Größe & Maß.txt"
    extra.write_text("42")
    lv.FileTarget(f"{home}/text").write_text("x\n")
    assert lv.run(Where(text=f"{home}/text", into=f"{home}/out", extra=str(extra))).status == "ok"
    (line,) = lines_of(f"{home}/out")
    place, content, env = line.split("\t")
    assert "/containers/" in place
    assert (content, env) == ("42", "Ä b")


def test_a_mapper_that_raises_shows_its_traceback(yarn: Yarn, home: str) -> None:
    lv.FileTarget(f"{home}/text").write_text("zwölf\n")
    error = failure(lv.run(Failing(text=f"{home}/text", into=f"{home}/out"), attempts=1))
    assert "ValueError: no number: 'zwölf\\n'" in error
    assert "in mapper" in error
    store, path = open_store(home)
    assert [entry.name for entry in store.list(path)] == ["text"]


def test_a_job_that_is_killed_from_outside_is_told_as_killed(yarn: Yarn, home: str) -> None:
    lv.FileTarget(f"{home}/text").write_text("x\n")
    with running(home) as process:
        application = started(yarn, home)
        yarn.command("application", "-kill", application)
        said, _ = process.communicate(timeout=400)
    assert process.returncode != 0
    assert "killed" in said
    assert f"{application}" in said


def test_a_worker_that_was_killed_leaves_its_job_to_the_next_one(yarn: Yarn, home: str) -> None:
    lv.FileTarget(f"{home}/text").write_text("x\n")
    with running(home, seconds=25) as process:
        application = started(yarn, home)
        process.kill()
        process.wait()
    with running(home, seconds=25) as process:
        said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said
    assert "goes on with" in said
    assert [one["id"] for one in mine(yarn, home)] == [application]
    assert lines_of(f"{home}/out") == ["awake"]


def test_where_the_setting_says_local_a_job_of_hdfs_runs_in_this_process(yarn: Yarn, home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("levada.contrib.hadoop.task.setting", lambda section, key: (section, key) == ("hadoop", "local"))
    lv.FileTarget(f"{home}/text").write_text(TEXT)
    before = len(yarn.applications())

    assert lv.run(Counted(text=f"{home}/text", into=f"{home}/ä out")).status == "ok"

    assert len(yarn.applications()) == before
    assert "(fließt)\t50" in lines_of(f"{home}/ä out")
    store, path = open_store(home)
    assert sorted(entry.name for entry in store.list(path)) == ["text", "ä out"]
