"""Jobs in this process: what mapper, combiner and reducer are promised."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

import levada as lv
from levada.contrib.hadoop import HadoopJobTask, LocalJobRunner

from .jobs import Copied, Counted, DelayByCarrier, Failing, Given


def written(folder: str | Path) -> list[str]:
    """Lines of all files of a job's output, sorted."""
    return sorted(
        line for file in Path(folder).glob("part-*") for line in file.read_bytes().decode("utf-8", "surrogateescape").split("\n") if line
    )


def test_words_are_counted(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("a bä a\nc\u2028a\n", encoding="utf-8")
    job = Counted(text=str(tmp_path / "text"), into=str(tmp_path / "out"))

    assert lv.run(job).status == "ok"

    assert written(tmp_path / "out") == ["a\t3", "bä\t1", "c\t1"]
    assert (tmp_path / "out" / "_SUCCESS").exists()


def test_what_was_counted_is_told(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("a b\n")
    job = Counted(text=str(tmp_path / "text"), into=str(tmp_path / "out"))
    assert LocalJobRunner().run_job(job) == {"words/read": 2}


def test_a_join_uses_what_init_local_read(tmp_path: Path) -> None:
    (tmp_path / "flights").write_text(
        "year,month,day,dep_time,x,dep_delay,a,b,c,carrier\n2013,1,5,1,,7,,,,UA\n2013,1,5,1,,NA,,,,UA\n2013,1,5,1,,-2,,,,UA"
    )
    (tmp_path / "carriers").write_text('carrier,name\nUA,"United, Inc."\n')
    job = DelayByCarrier(flights=str(tmp_path / "flights"), carriers=str(tmp_path / "carriers"), into=str(tmp_path / "out"))

    assert lv.run(job).status == "ok"

    assert written(tmp_path / "out") == ["United, Inc.\t2013-01-05\t2\t5"]


def test_lines_end_and_bytes_stay_as_on_the_cluster(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"a\tb\r\n\xff\x00\r\t\nlast")
    assert lv.run(Copied(text=str(tmp_path / "text"), into=str(tmp_path / "out"))).status == "ok"
    assert (tmp_path / "out" / "part-00000").read_bytes() == b"a\tb\n\xff\x00\n\t\nlast\n"


def test_a_folder_is_read_file_by_file_without_its_flag(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("part-1", "part-0", "_SUCCESS", ".crc"):
        (folder / name).write_text(f"{name}\n")
    assert lv.run(Copied(text=str(folder), into=str(tmp_path / "out"))).status == "ok"
    assert (tmp_path / "out" / "part-00000").read_text() == "part-0\npart-1\n"


def test_a_job_that_fails_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("x\n")
    assert lv.run(Failing(text=str(tmp_path / "text"), into=str(tmp_path / "out")), attempts=1).status == "failed"
    assert [path.name for path in tmp_path.iterdir()] == ["text"]


def test_hooks_are_called_around_each_phase(tmp_path: Path) -> None:
    class Hooked(HadoopJobTask):
        said: ClassVar[list[str]] = []

        def requires_hadoop(self) -> Given:
            return Given(url=str(tmp_path / "text"))

        def output(self) -> lv.LocalTarget:
            return lv.LocalTarget(tmp_path / "out")

        def init_mapper(self) -> None:
            self.said.append("init_mapper")

        def mapper(self, line: str) -> Iterator[tuple[str, int]]:
            self.said.append("mapper")
            yield "k", 1

        def final_mapper(self) -> Iterator[tuple[str, int]]:
            yield "last", 2

        def init_reducer(self) -> None:
            self.said.append("init_reducer")

        def reducer(self, key: str, values: Iterator[int]) -> Iterator[str]:
            yield f"{key}={list(values)}"

        def final_reducer(self) -> Iterator[str]:
            yield "end"

    (tmp_path / "text").write_text("1\n2\n")
    assert lv.run(Hooked()).status == "ok"
    assert Hooked.said == ["init_mapper", "mapper", "mapper", "init_reducer"]
    assert written(tmp_path / "out") == ["end", "k=[1, 1]", "last=[2]"]


def test_a_class_whose_local_requirements_would_be_lost_is_refused() -> None:
    with pytest.raises(TypeError, match="requires_hadoop"):

        class Lost(HadoopJobTask):
            def requires(self) -> Given:
                return Given(url="a")

            def requires_local(self) -> Given:
                return Given(url="b")


def test_where_hdfs_is_a_local_folder_its_jobs_run_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from levada.targets import stores

    stores.set_root("hdfs", str(tmp_path))
    try:
        (tmp_path / "text").write_text("a\n")
        assert lv.run(Counted(text="hdfs://nn/text", into="hdfs://nn/out")).status == "ok"
    finally:
        stores.set_root("hdfs", None)
    assert written(tmp_path / "out") == ["a\t1"]
