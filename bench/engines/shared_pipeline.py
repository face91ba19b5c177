"""Tasks that several programs ask for at once; each run leaves a line in a log, so that what ran twice is seen.

BENCH_FOLDER: where log and targets are. ``Many`` wants ``count`` tasks that sleep for ``wait``
and compute for ``work`` milliseconds (of the CPU); a task is complete when its file is there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import levada as lv

FOLDER = os.environ.get("BENCH_FOLDER", ".")


class One(lv.Task):
    at: int
    wait: int
    work: int

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget(f"{FOLDER}/made/{self.at // 1000:04}/{self.at % 1000:03}.txt", durable=False)

    def run(self) -> None:
        log = os.open(f"{FOLDER}/log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(log, b"%d\n" % self.at)
        os.close(log)
        if self.wait:
            time.sleep(self.wait / 1000)
        until = time.process_time() + self.work / 1000
        while time.process_time() < until:
            pass
        self.output().write_text("")


class Many(lv.WrapperTask):
    count: int
    wait: int
    work: int

    def requires(self) -> Iterator[One]:
        return (One(at, self.wait, self.work) for at in range(self.count))
