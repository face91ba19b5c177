"""The typed spelling: parameters are annotations; mypy and pyright know the constructor, no plug-in."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal, assert_type

import levada as lv


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


class Dump(lv.ExternalTask):
    day: date

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget(f"dump/{self.day}.txt")


class Sums(lv.Task):
    day: date
    window: int = 7
    where: Path = lv.param(default=Path("."), help="folder of the results")
    resources = {"disk": 1}
    retry = lv.Retry(attempts=3, first=30)

    def requires(self) -> list[Dump]:
        return [Dump(day=self.day - timedelta(i)) for i in range(self.window)]

    def output(self) -> lv.LocalTarget:
        return lv.LocalTarget(f"sums/{self.day}-{self.window}.txt")

    def run(self) -> None:
        with self.output().open("w") as out:
            out.write("1\n")


class Everything(lv.Task):
    text: str
    number: int
    ratio: float
    flag: bool
    moment: datetime
    span: timedelta
    size: Size
    level: Literal["low", "high"]
    note: str | None = None
    names: tuple[str, ...] = ()
    limits: Annotated[int, lv.Param(help="at most so many", significant=False)] = 10


class Narrow(Sums):
    """Parameters are inherited, in order."""

    shop: str = "all"


# by position, by name, mixed, with and without defaults
Dump(date(2013, 1, 5))
Dump(day=date(2013, 1, 5))
sums = Sums(date(2013, 1, 5), window=3)
Sums(day=date(2013, 1, 5))
Narrow(date(2013, 1, 5), 14, Path("x"), "lisbon")
Narrow(day=date(2013, 1, 5), shop="porto")
Everything(
    text="a",
    number=1,
    ratio=0.5,
    flag=True,
    moment=datetime(2013, 1, 5),
    span=timedelta(1),
    size=Size.SMALL,
    level="low",
    names=("a", "b"),
    limits=3,
)

# attributes have the types of the annotations
assert_type(sums.day, date)
assert_type(sums.window, int)
assert_type(sums.where, Path)
assert_type(Narrow(date(2013, 1, 5)).shop, str)
assert_type(sums.output(), lv.LocalTarget)
assert_type(sums.requires(), list[Dump])
