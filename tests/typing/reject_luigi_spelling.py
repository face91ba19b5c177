"""Luigi's spelling: attributes are typed, so their wrong use is refused."""

from __future__ import annotations

import levada.luigi as luigi


class Sums(luigi.Task):
    date = luigi.DateParameter()
    window = luigi.IntParameter(default=7)

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(self.date + "/sums.txt")  # E:

    def half(self) -> str:
        return self.window / 2  # E:


class Plain(luigi.Task):
    name: str = luigi.IntParameter()  # E:
