"""Levada's own settings reach old programs, by whichever of Luigi's doors they start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import levada.luigi as luigi
from levada import config
from levada.luigi import _reading
from levada.luigi.contrib.hdfs import HdfsTarget
from levada.targets import set_root


class WrittenToHdfs(luigi.Task):
    name = luigi.Parameter()

    def output(self) -> Any:
        return HdfsTarget(f"/doors/{self.name}")

    def run(self) -> None:
        with self.output().open("w") as out:
            out.write("made")


@pytest.fixture(autouse=True)
def _nothing_read(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(config, "_current", None)
    monkeypatch.setattr(_reading, "_read", None)
    set_root("hdfs", None)  # forgets the stores that are open
    yield
    set_root("hdfs", None)


def test_build_and_run_read_levadas_settings(in_tmp: Path) -> None:
    (in_tmp / "levada.toml").write_text('[hdfs]\nlocal_root = "here"\n')
    assert luigi.build([WrittenToHdfs("a")], local_scheduler=True)
    assert (in_tmp / "here" / "doors" / "a").read_text() == "made"
    assert luigi.run(["WrittenToHdfs", "--name", "b", "--local-scheduler", "--no-lock"])
    assert (in_tmp / "here" / "doors" / "b").read_text() == "made"


def test_a_program_that_has_read_them_itself_keeps_what_it_read(in_tmp: Path) -> None:
    (in_tmp / "levada.toml").write_text('[hdfs]\nlocal_root = "here"\n')
    from levada import configure

    configure(str(in_tmp))
    ours = config.current()
    _reading.read_settings()
    assert config.current() is ours
