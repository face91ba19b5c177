"""Unmodified programs of Luigi whose tasks a Levada server grants, where one is configured."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.faults.command import ended
from tests.served.conftest import Served

pytestmark = pytest.mark.timeout(120)

OLD = """
import os
import luigi

class Part(luigi.Task):
    number = luigi.IntParameter()

    def output(self):
        return luigi.LocalTarget("part-%d.txt" % self.number)

    def run(self):
        with open("ran.log", "a") as log:
            log.write("%d %d\\n" % (self.number, os.getpid()))
        with self.output().open("w") as out:
            out.write("x")

class Whole(luigi.WrapperTask):
    def requires(self):
        return [Part(number) for number in range(20)]

if __name__ == "__main__":
    result = luigi.build([Whole()], log_level="ERROR", detailed_summary=True)
    print(result.summary_text)
    raise SystemExit(not result.scheduling_succeeded)
"""


def test_four_old_programs_at_once_make_each_task_once(served: Served) -> None:
    (served.folder / "old.py").write_text(OLD)
    served.environ["LEVADA_SCHEDULER"] = served.url

    results = [ended(each) for each in [served.python("-m", "levada.luigi", "old.py") for _ in range(4)]]

    assert [each.returncode for each in results] == [0] * 4, [each.stderr for each in results]
    assert all("This progress looks :)" in each.stdout for each in results)
    assert Counter(name for name, _ in served.ran()) == {str(number): 1 for number in range(20)}
