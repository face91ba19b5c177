"""A job as old programs write them; its module travels to the nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import levada.luigi as luigi
import levada.luigi.contrib.hadoop
import levada.luigi.contrib.hdfs


class LinesOfLuigi(luigi.ExternalTask):
    """A text in HDFS."""

    url = luigi.Parameter()

    def output(self) -> Any:
        return levada.luigi.contrib.hdfs.HdfsTarget(self.url)


class WordsOfLuigi(levada.luigi.contrib.hadoop.JobTask):
    """Words of a text, and how often each is in it, times what init_local found."""

    text = luigi.Parameter()
    into = luigi.Parameter()
    n_reduce_tasks = 1

    def requires_hadoop(self) -> Any:
        return LinesOfLuigi(url=self.text)

    def output(self) -> Any:
        return levada.luigi.contrib.hdfs.HdfsTarget(self.into)

    def init_local(self) -> None:
        self.times = 10

    def mapper(self, line: str) -> Iterator[Any]:
        for word in line.split(" "):
            self.incr_counter("words", "read", 1)
            yield word, 1

    def reducer(self, word: str, counts: Iterable[int]) -> Iterator[Any]:
        yield word, sum(counts) * self.times
