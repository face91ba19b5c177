"""Run one workload of one engine and tell what it took: ``python child.py ENGINE WORKLOAD N`` (options in BENCH_* variables).

The answer is one line of JSON in the file that BENCH_ANSWER names. Interpreter, imports of the engine and what a workload
prepares are outside of the measured section; what an engine imports while it runs is inside.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from types import TracebackType


def cpu_seconds() -> float:
    """CPU seconds, user and system, of this process and of children that it waited for."""
    uses = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in uses)


class Section:
    """What a ``with`` block took: CPU seconds with those of children, wall seconds."""

    def __init__(self) -> None:
        self.cpu = self.wall = 0.0

    def __enter__(self) -> Section:
        self._wall, self._cpu = time.perf_counter(), cpu_seconds()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.cpu, self.wall = cpu_seconds() - self._cpu, time.perf_counter() - self._wall


def profiled(path: str) -> type[Section]:
    """A section that also writes a cProfile to ``path``."""
    import cProfile

    profile = cProfile.Profile()

    class Profiled(Section):
        def __enter__(self) -> Section:
            profile.enable()
            return super().__enter__()

        def __exit__(self, *exc: object) -> None:
            super().__exit__(*exc)  # type: ignore[arg-type]  # passed on as they came
            profile.disable()
            profile.dump_stats(path)

    return Profiled


def main() -> None:
    """Run the workload; its function gives further figures, or raises when not everything was done."""
    engine, workload, size = sys.argv[1:4]
    module = importlib.import_module(engine)
    section = (profiled(os.environ["BENCH_PROFILE"]) if "BENCH_PROFILE" in os.environ else Section)()
    extra = getattr(module, workload)(int(size), section) or {}
    with open(os.environ["BENCH_ANSWER"], "w", encoding="utf-8") as answer:
        json.dump({"cpu": section.cpu, "wall": section.wall, **extra}, answer)


if __name__ == "__main__":
    main()
