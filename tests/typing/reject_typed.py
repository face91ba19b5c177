"""Wrong constructions in the typed spelling: a checker refuses each line marked, and no other."""

from __future__ import annotations

from datetime import date

import levada as lv


class DailyRevenue(lv.Task):
    day: date
    shop: str = "all"
    limit: int = lv.param(default=3, help="at most so many")


class Weekly(DailyRevenue):
    weeks: int = 1


class Mixed(lv.Task):
    # the two spellings of one parameter do not mix: an annotation wants a value or param()
    day: date = lv.DateParameter()  # E:


DailyRevenue(date(2024, 1, 1), "lisbon", 3)
DailyRevenue(day="2024-01-01")  # E:
DailyRevenue("2024-01-01")  # E:
DailyRevenue()  # E:
DailyRevenue(date(2024, 1, 1), shop=1)  # E:
DailyRevenue(date(2024, 1, 1), limit="3")  # E:
DailyRevenue(date(2024, 1, 1), sohp="lisbon")  # E:
DailyRevenue(date(2024, 1, 1), "lisbon", 3, 4)  # E:
DailyRevenue(date(2024, 1, 1), day=date(2024, 1, 1))  # E:
Weekly(date(2024, 1, 1), weeks=2)
Weekly(date(2024, 1, 1), weeks="2")  # E:
DailyRevenue(date(2024, 1, 1)).shop.no_such_method()  # E:
DailyRevenue(date(2024, 1, 1)).no_such_parameter  # E:
