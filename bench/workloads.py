"""What is measured, at which sizes, and the goal beside it (docs/benchmarks.md says what each means)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

QUICK, NORMAL, LONG = "quick", "normal", "long"


class Workload(NamedTuple):
    """A row of the table, or one for each size.

    sizes: numbers of tasks, by mode. luigi: sizes that Luigi runs, by mode; beyond them its curve is fitted, where ``luigi_fits``.
    goals: text by size. figure: what stands in the row: "cpu" or "wall" seconds of the run, or a name of what the workload counted.
    """

    name: str
    text: str
    sizes: Mapping[str, tuple[int, ...]]
    luigi: Mapping[str, tuple[int, ...]] = {}
    goals: Mapping[int, str] = {}
    figure: str = "cpu"
    bare: bool = True
    luigi_fits: bool = True
    files: bool = False  # needs files that are there
    repeat: int = 3  # the run with the least CPU counts
    a_task: str = ""  # the goal for one more task; the cost of one more is told in place of the growth
    memory: bool = False  # bytes a task are told, too


_LUIGI = {QUICK: (200, 500), NORMAL: (300, 500, 1000), LONG: (500, 1000, 3000)}  # layers of 100

WORKLOADS = (
    Workload(
        "fan",
        "fan-out, no-op",
        {QUICK: (1_000, 10_000), NORMAL: (1_000, 10_000, 100_000), LONG: (1_000, 10_000, 100_000, 1_000_000)},
        _LUIGI,
        {10_000: "<= 0.20 s"},
        memory=True,
    ),
    Workload(
        "chain",
        "chain, no-op",
        {QUICK: (1_000, 10_000), NORMAL: (1_000, 10_000, 100_000), LONG: (1_000, 10_000, 100_000, 1_000_000)},
        _LUIGI,
        {10_000: "<= 0.25 s", 1_000_000: "completes"},
        memory=True,
    ),
    Workload(
        "layered",
        "layers of 100, 10 edges each",
        {QUICK: (1_000, 10_000), NORMAL: (1_000, 10_000, 100_000), LONG: (1_000, 10_000, 100_000, 1_000_000)},
        _LUIGI,
        {1_000: "<= 0.03 s", 10_000: "<= 0.30 s", 1_000_000: "<= 25 s"},
        memory=True,
    ),
    Workload(
        "all_complete",
        "all complete, local targets",
        {QUICK: (10_000,), NORMAL: (10_000, 100_000), LONG: (10_000, 100_000)},
        {QUICK: (1_000,), NORMAL: (10_000, 100_000), LONG: (10_000, 100_000)},
        {100_000: "<= 1.0 s"},
        files=True,
        repeat=2,
    ),
    Workload(
        "all_complete",
        "  of it, the question alone, a target",
        {QUICK: (10_000,), NORMAL: (100_000,), LONG: (100_000,)},
        goals={100_000: "<= 3 us"},
        figure="listed_us",
        bare=False,
        files=True,
        repeat=2,
    ),
    Workload(
        "backfill_complete",
        "backfill, all complete, local targets",
        {QUICK: (365, 10_000), NORMAL: (365, 100_000), LONG: (365, 100_000)},
        goals={100_000: "<= 1.0 s"},
        bare=False,
        files=True,
        repeat=2,
    ),
    Workload(
        "backfill_newest",
        "backfill, newest first, 8 at once, no-op",
        {QUICK: (365, 10_000), NORMAL: (365, 100_000), LONG: (365, 100_000)},
        bare=False,
        repeat=2,
    ),
    Workload(
        "remote_complete",
        "all complete, remote store: calls",
        {QUICK: (10_000,), NORMAL: (100_000,), LONG: (100_000, 1_000_000)},
        goals={10_000: "<= 20", 100_000: "<= 200", 1_000_000: "<= 2,000"},
        figure="calls",
        bare=False,
        repeat=1,
    ),
    Workload(
        "root_complete",
        "root complete, any N below it",
        {QUICK: (1_000,), NORMAL: (1_000, 1_000_000), LONG: (1_000, 1_000_000)},
        {QUICK: (1_000,), NORMAL: (1_000, 1_000_000), LONG: (1_000, 1_000_000)},
        {1_000: "<= 2 ms", 1_000_000: "<= 2 ms"},
        bare=False,
        repeat=5,
    ),
    Workload(
        "write",
        "write a small file, durable",
        {QUICK: (200, 1_000), NORMAL: (200, 2_000), LONG: (200, 10_000)},
        a_task="bare + 40 us",
        repeat=5,
    ),
    Workload(
        "write_scratch",
        "write a small file, durable=False",
        {QUICK: (200, 1_000), NORMAL: (200, 2_000), LONG: (200, 10_000)},
        _LUIGI,
        a_task="bare + 40 us",
        repeat=5,
    ),
    Workload(
        "pool",
        "two pool processes, no-op",
        {QUICK: (1_000, 5_000), NORMAL: (1_000, 10_000), LONG: (1_000, 10_000, 100_000)},
        {QUICK: (50, 100), NORMAL: (100, 200), LONG: (200, 400)},
        {10_000: "<= 0.3 s"},
        luigi_fits=False,
        a_task="<= 30 us",
    ),
    Workload(
        "first_start",
        "first task starts (wall)",
        {QUICK: (10_000,), NORMAL: (10_000, 100_000), LONG: (10_000, 100_000, 1_000_000)},
        {QUICK: (100,), NORMAL: (250, 500), LONG: (500, 1000)},
        dict.fromkeys((10_000, 100_000, 1_000_000), "<= 50 ms"),
        figure="first",
        bare=False,
    ),
)
