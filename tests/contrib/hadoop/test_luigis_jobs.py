"""Jobs of old programs on a real cluster."""

from __future__ import annotations

import sys

import levada.luigi as luigi
from levada.luigi.configuration import get_config
from levada.luigi.contrib.hdfs import HdfsClient, HdfsTarget

from .cluster import Yarn
from .luigis_jobs import WordsOfLuigi


def test_a_job_of_an_old_program_is_handed_over_to_the_cluster(yarn: Yarn, home: str) -> None:
    """Settings of luigi.cfg go with it, lines come without their ends, and its folder is read as its files."""
    HdfsTarget(f"{home}/text").write_text("a b\nb\n")
    get_config().set("hadoop", "python_executable", sys.executable)
    get_config().set("hadoop", "scheduler", "none")
    try:
        job = WordsOfLuigi(text=f"{home}/text", into=f"{home}/out")
        assert not job.is_local()
        assert luigi.build([job], local_scheduler=True)
    finally:
        get_config().remove_section("hadoop")
    assert list(HdfsTarget(f"{home}/out").lines()) == ["a\t10", "b\t20"]
    assert sorted(HdfsClient().listdir(home)) == [f"{home}/out", f"{home}/text"]
