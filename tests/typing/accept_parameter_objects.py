"""Parameter objects under `levada` itself: attributes are typed, only the constructor is unknown."""

from __future__ import annotations

import datetime
from typing import assert_type

import levada as lv


class Report(lv.Task):
    day = lv.DateParameter()
    window = lv.IntParameter(default=7)

    def output(self) -> lv.LocalTarget:
        assert_type(self.day, datetime.date)
        assert_type(self.window, int)
        return lv.LocalTarget(f"{self.day:%Y-%m-%d}-{self.window + 1}.txt")
