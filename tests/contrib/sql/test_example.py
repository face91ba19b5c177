"""The example: flights to a table and back, with the numbers that the demo's own aggregation gives."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

import levada as lv
from examples.flights.pipeline import DelaysByCarrier
from examples.flights.tables import Database, DelaysOfDay

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("sql")]

DAY = date(2013, 1, 5)
FLIGHTS = "carrier,flight,dep_delay,arr_delay\nUA,1545,2,11\nUA,1714,NA,\nAA,1141,-4,NA\nYV,2751,,\nUA,1696,7,20\n"


def test_the_database_finds_what_the_aggregation_finds(url: str, in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drop = in_tmp / "demo-data/dump"
    drop.mkdir(parents=True)
    (drop / f"{DAY}.csv").write_text(FLIGHTS)
    monkeypatch.setattr(Database, "url", url)
    by_sql, by_hand = DelaysOfDay(day=DAY), DelaysByCarrier(day=DAY, window=1)
    assert lv.run([by_sql, by_hand]).exit_code == 0
    assert by_sql.output().read_text() == by_hand.output().read_text()
    assert by_sql.output().read_text().count("\n") == 4
