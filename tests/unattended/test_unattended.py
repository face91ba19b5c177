"""Dumps come at random times into a folder and a bucket, nobody looks on, and each count is made once.

How soon is told and not asserted: ``pytest -s``, or the report's properties.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import levada as lv
from levada.targets import stores
from tests.contrib.objects import servers
from tests.contrib.objects.servers import Server
from tests.faults.command import soon

from .house import AGGREGATIONS, DUMPS, LINES, Drop, House, Judge, drop_all, drops, into_folder, s3_notice, spread, text_of

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("unattended"), pytest.mark.timeout(240)]

IDLE = 20.0  # seconds of doing nothing that are measured
MEAN = 0.8  # seconds between two dumps, on an average
PATIENCE = 30.0  # seconds that the last count may take
Tell = Callable[[str, str], None]


@pytest.fixture(scope="module")
def weed() -> Iterator[Server]:
    pytest.importorskip("obstore", reason="obstore is not installed")
    with servers.seaweed() as server:
        yield server


@pytest.fixture
def tell(request: pytest.FixtureRequest, record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]) -> Tell:
    """Print a figure, and keep it in the report."""

    def tell(name: str, text: str) -> None:
        record_property(name, text)
        with capsys.disabled():
            print(f"\n{request.node.name}: {name}: {text}", end="", flush=True)

    return tell


def live(house: House, judge: Judge, bring: Callable[[Drop], float], seed: int, tell: Tell, *options: str, idle: float = IDLE) -> None:
    """The whole story: all is wanted once, nothing is there, dumps come, all is made. The server is there already."""
    try:
        house.staff(*options)
        goal = house.want_all()
        if idle:
            costs = house.idle(idle)
            tell("idle, CPU seconds an hour", ", ".join(f"{name} {seconds:.1f}" for name, seconds in costs.items()))
        judge.start()
        dropped = drop_all(drops(seed, MEAN), bring)
        all_made = soon(lambda: len(judge.made) == len(AGGREGATIONS), PATIENCE, 0.1)
        assert all_made, f"{len(judge.made)} counts; {house.levada('goal', 'show', goal)}"
        tell("from the last input to the output", spread(judge.latencies(dropped)))
        assert soon(lambda: house.state_of(goal) == "done", PATIENCE, 0.3), house.levada("goal", "show", goal)
        assert house.ran() == sorted(f"{day}-{window}" for day, window in AGGREGATIONS)
        house.notices = house.posted()
    finally:
        if judge.is_alive():
            judge.close()
        house.close()


def test_dumps_in_a_folder_are_counted_as_they_come(tmp_path: Path, tell: Tell) -> None:
    """The kernel tells of them."""
    place = tmp_path / "dumps"
    (place / "out").mkdir(parents=True)
    house = House(tmp_path, str(place))
    house.serve()
    judge = Judge(lambda: [path.name for path in (place / "out").iterdir() if path.suffix == ".txt"], 0.01)
    live(house, judge, into_folder(place / "in"), 1, tell)
    assert {(place / "out" / f"{day}-{window}.txt").read_text() for day, window in AGGREGATIONS} >= {"9\n", "21\n", "42\n"}


@pytest.mark.parametrize("told", [True, False], ids=["notified", "polled"])
def test_dumps_in_a_bucket_are_counted_as_they_come(
    told: bool, weed: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tell: Tell
) -> None:
    """Somebody posts what came to be, in S3's format; or nobody does, and the bucket is asked each two seconds."""
    bucket = f"dumps-{'notified' if told else 'polled'}"
    weed.make_bucket(bucket)
    for name, value in weed.environment.items():
        monkeypatch.setenv(name, value)
    stores._drop("s3")
    house = House(tmp_path, f"s3://{bucket}")
    house.serve()

    def bring(drop: Drop) -> float:
        key = f"in/{drop.day}.csv"
        lv.FileTarget(f"s3://{bucket}/{key}").write_text(text_of(drop.day))
        there = time.monotonic()
        if told:
            house.notify(s3_notice(bucket, key))
        return there

    judge = Judge(lambda: names_of(f"s3://{bucket}", "out"), 0.05)
    try:
        live(house, judge, bring, 2, tell, *(() if told else ("--poll", "2")))
        for day, window in AGGREGATIONS:
            assert lv.FileTarget(f"s3://{bucket}/out/{day}-{window}.txt").read_text() == f"{LINES * window}\n"
    finally:
        stores._drop("s3")


def test_a_bucket_that_posts_by_itself_needs_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tell: Tell) -> None:
    """SeaweedFS posts what happens, in its own words, with a token of the server. What the counts themselves write it posts, too."""
    pytest.importorskip("obstore", reason="obstore is not installed")
    house = House(tmp_path / "house", "s3://dumps")
    try:
        house.serve()
        monkeypatch.setenv("HOME", str(house.home_of_a_store(tmp_path / "store")))
        with servers.seaweed() as weed:
            weed.make_bucket("dumps")
            for name, value in weed.environment.items():
                monkeypatch.setenv(name, value)
            house.environ.update(weed.environment)
            stores._drop("s3")

            def bring(drop: Drop) -> float:
                lv.FileTarget(f"s3://dumps/in/{drop.day}.csv").write_text(text_of(drop.day))
                return time.monotonic()

            live(house, Judge(lambda: names_of("s3://dumps", "out"), 0.05), bring, 3, tell, idle=0)
            assert house.notices >= len(DUMPS), "the store has posted"
    finally:
        house.close()
        stores._drop("s3")


def names_of(place: str, folder: str) -> list[str]:
    store, _ = stores.open_store(place)
    return [entry.name for entry in store.list(folder)]
