"""HDFS and MapReduce by Luigi's names; HDFS is kept in a local folder."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

import levada.contrib.hdfs as house
from levada.contrib.hadoop.engine import command_line
from levada.luigi.configuration import get_config
from levada.luigi.contrib import hadoop, hadoop_jar, hdfs
from levada.luigi.contrib.hdfs import hadoopcli_clients
from levada.luigi.target import FileAlreadyExists
from levada.targets import LocalTarget, set_root
from levada.task import ExternalTask


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "root"
    folder.mkdir()
    set_root("hdfs", str(folder))
    yield folder
    set_root("hdfs", None)


class TextOfLuigi(ExternalTask):
    path: str

    def output(self) -> Any:
        return hdfs.HdfsTarget(self.path)


class CountedByLuigi(hadoop.JobTask):
    path: str

    def requires(self) -> Any:
        return TextOfLuigi(self.path)

    def output(self) -> Any:
        return hdfs.HdfsTarget("/counted")

    def init_local(self) -> None:
        self.most = 2

    def mapper(self, line: str) -> Iterable[Any]:
        for word in line.split(" "):
            self.incr_counter("words", "read", 1)
            yield word, 1

    def reducer(self, word: str, counts: Iterable[int]) -> Iterable[Any]:
        yield word, sum(counts), self.most


class CountedByLuigiHere(CountedByLuigi):
    into: str

    def output(self) -> Any:
        return LocalTarget(self.into)


class JoinedByLuigi(hadoop.JobTask):
    def requires(self) -> Any:
        return TextOfLuigi("/a")

    def requires_local(self) -> Any:
        return TextOfLuigi("/b")


def test_classes_are_those_of_the_house() -> None:
    assert hdfs.HdfsTarget is house.HdfsTarget
    assert hdfs.HdfsFlagTarget is house.HdfsFlagTarget


def test_a_client_does_what_hadoops_command_does(root: Path, tmp_path: Path) -> None:
    client = hdfs.get_autoconfig_client()
    (tmp_path / "here").write_text("ab")
    client.mkdir("/in/deep")
    client.put(str(tmp_path / "here"), "/in")
    client.touchz("/in/deep/empty")
    client.copy("/in/here", "/in/copy")
    client.move("/in/copy", "/in/deep")

    assert sorted(client.listdir("/in")) == ["/in/deep", "/in/here"]
    assert list(client.listdir("/in", ignore_directories=True, include_size=True, include_type=True)) == [("/in/here", 2, "-")]
    assert sorted(client.listdir("/in", recursive=True)) == ["/in/deep", "/in/deep/copy", "/in/deep/empty", "/in/here"]
    assert client.count("/in") == {"content_size": 4, "dir_count": 2, "file_count": 3}
    client.getmerge("/in/deep", str(tmp_path / "merged"))
    assert (tmp_path / "merged").read_text() == "ab"
    client.get("/in", str(tmp_path / "got"))
    assert (tmp_path / "got" / "deep" / "copy").read_text() == "ab"
    client.chmod("/in/here", "600")
    assert (root / "in" / "here").stat().st_mode & 0o777 == 0o600
    client.remove("/in")
    assert not hdfs.exists("/in")


def test_what_cannot_be_done_is_the_error_that_programs_catch(root: Path) -> None:
    client = hdfs.HdfsClient()
    with pytest.raises(hdfs.HDFSCliError, match="absent"):
        client.remove("/absent")
    with pytest.raises(hdfs.HDFSCliError, match="absent"):
        list(client.listdir("/absent"))
    client.touchz("/a")
    client.touchz("/b")
    with pytest.raises(FileAlreadyExists):
        client.move("/a", "/b")


def test_a_folder_that_a_job_left_is_read_as_its_files(root: Path) -> None:
    (root / "out").mkdir()
    for name, text in (("part-1", "b\n"), ("part-0", "a\n"), ("_SUCCESS", ""), (".part-2", "no")):
        (root / "out" / name).write_text(text)
    with hdfs.HdfsTarget("/out", format=hdfs.PlainDir).open("r") as stream:
        assert stream.read() in (b"a\nb\n", "a\nb\n")


def test_a_job_with_another_output_runs_here_and_its_lines_come_without_their_ends(root: Path, tmp_path: Path) -> None:
    (root / "text").write_text("a b\nb\n")
    job = CountedByLuigiHere("/text", str(tmp_path / "made"))
    assert job.is_local()
    assert job.job_runner().__class__ is hadoop.LocalJobRunner
    job.run()
    assert (tmp_path / "made").read_text() == "a\t1\t2\nb\t2\t2\n"


def test_a_job_whose_outputs_are_in_hdfs_is_handed_over(tmp_path: Path) -> None:
    set_root("hdfs", None)
    job = CountedByLuigi("/text")
    assert isinstance(job.job_runner(), hadoop.DefaultHadoopJobRunner)
    assert not job.is_local()


def test_what_luigi_cfg_says_of_hadoop_goes_with_the_job(tmp_path: Path) -> None:
    set_root("hdfs", None)
    for key, value in (("streaming_jar", "/opt/streaming.jar"), ("python_executable", "/opt/python"), ("command", "sh -x")):
        get_config().set("hadoop", key, value)
    try:
        spec = CountedByLuigi("hdfs://nn/text", pool="night").job("a1")
        words = command_line(spec, str(tmp_path))
    finally:
        get_config().remove_section("hadoop")
    assert words[1:4] == ["-x", "jar", "/opt/streaming.jar"]
    assert "/opt/python -m levada.contrib.hadoop.runner map" in words
    assert "mapred.fairscheduler.pool=night" in words
    assert not any(word.startswith("mapred.job.name=") for word in words), "the engine finds a job by its name"


def test_a_job_with_a_run_or_an_output_that_raises_takes_a_slot() -> None:
    class Own(CountedByLuigi):
        def run(self) -> None:
            """Something else."""

    class Broken(CountedByLuigi):
        def output(self) -> Any:
            raise ZeroDivisionError

    set_root("hdfs", None)
    assert Own("/text").is_local()
    assert Broken("/text").is_local()


def test_requires_beside_requires_local_means_both() -> None:
    job = JoinedByLuigi()
    assert [task.path for task in job.deps()] == ["/a", "/b"]
    assert job.requires_hadoop().path == "/a"


FAKE = '''#!{python}
"""``hadoop jar STREAMING -files ... -mapper M -reducer R -file F... -input I... -output O``, for one map and one reduce."""
import os, shutil, subprocess, sys, tempfile
words, root = sys.argv[3:], {root!r}
given = {{}}
for name, value in zip(words, words[1:]):
    if name.startswith("-"):
        given.setdefault(name, []).append(value)
os.chdir(tempfile.mkdtemp())
for path in given["-file"]:
    shutil.copy(path, ".")
env = dict(os.environ, PYTHONPATH="")
def step(command, data):
    command = command.replace("python", sys.executable, 1)
    return subprocess.run(command, shell=True, input=data, stdout=subprocess.PIPE, check=True, env=env).stdout
data = b"".join(open(root + path, "rb").read() for path in given["-input"])
pairs = step(given["-mapper"][0], data).splitlines(keepends=True)
made = step(given["-reducer"][0], b"".join(sorted(pairs)))
os.makedirs(root + given["-output"][0])
open(root + given["-output"][0] + "/part-0", "wb").write(made)
print("The url to track the job: http://here/1", file=sys.stderr)
'''


def test_a_runner_that_a_program_makes_submits_by_hadoops_command(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes have nothing but what travelled: code, task and what init_local set."""
    (tmp_path / "hadoop").write_text(FAKE.format(python=sys.executable, root=str(root)))
    (tmp_path / "hadoop").chmod(0o755)
    (root / "text").write_text("a b\nb\n")
    get_config().set("hadoopcli", "command", str(tmp_path / "hadoop"))
    monkeypatch.setattr(CountedByLuigi, "job_runner", lambda self: hadoop.HadoopJobRunner("streaming.jar"))
    try:
        job = CountedByLuigi("/text")
        job.run()
    finally:
        get_config().remove_section("hadoopcli")
    assert (root / "counted" / "part-0").read_text() == "a\t1\t2\nb\t2\t2\n"
    assert job._tracking_url == "http://here/1"


def test_a_command_that_failed_is_told_with_its_last_words() -> None:
    with pytest.raises(hadoop.HadoopJobError) as caught:
        hadoop.run_and_track_hadoop_job(["sh", "-c", "echo no room >&2; exit 4"])
    assert "4" in str(caught.value)
    assert caught.value.err == "no room\n"
    assert "no room" in (caught.value.hint or "")


def test_what_a_command_says_need_not_be_utf_8() -> None:
    words = r"printf 'caf\351\n'; printf 'caf\351\n' >&2"
    assert hadoop.run_and_track_hadoop_job(["sh", "-c", words]) == ("caf\ufffd\n", "caf\ufffd\n")
    assert hadoopcli_clients.HdfsClient.call_check(["sh", "-c", words]) == "caf\udce9\n"


class TeragenOfLuigi(hadoop_jar.HadoopJarJobTask):
    jar_path: str

    def jar(self) -> str:
        return self.jar_path

    def main(self) -> str:
        return "teragen"

    def args(self) -> list[Any]:
        return [100, self.output()]

    def output(self) -> Any:
        return hdfs.HdfsTarget("/teragen")


def test_a_jar_writes_beside_its_output(root: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jar").touch()
    (tmp_path / "hadoop").write_text(f'#!/bin/sh\necho "$1 $3 $6" > {tmp_path}/seen\nfor last; do true; done\nmkdir "{root}$last"\n')
    (tmp_path / "hadoop").chmod(0o755)
    get_config().set("hadoopcli", "command", str(tmp_path / "hadoop"))
    try:
        TeragenOfLuigi(str(tmp_path / "a.jar")).run()
    finally:
        get_config().remove_section("hadoopcli")
    assert [path.name for path in root.iterdir()] == ["teragen"]
    assert (tmp_path / "seen").read_text().startswith("jar teragen")
