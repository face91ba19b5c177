"""One pipeline, unchanged, on every store: which one is said by the prefix of its URLs alone."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import levada as lv
from levada.targets import FileTarget, MemoryStore, aside, atomic, formats, glob, open_store, register_scheme, stores

from .prefixes import FAST, PREFIXES

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed (levada[parquet])")
CANNOT = ("memory://", "s3://", "gs://", "az://", "sftp://")  # be moved aside
LONG = bytes(range(256)) * 4000
SHOPS = ("Ålesund", "Ber gen", "Kåfjord-日本")
WANTED = [*sorted(f"raw/{shop}.txt.gz" for shop in SHOPS), "report.xz", *sorted(f"totals/{shop}.csv" for shop in SHOPS)]


class Sales(lv.Task):
    """What a shop has sold."""

    prefix: str
    shop: str

    def output(self) -> FileTarget:
        return lv.FileTarget(f"{self.prefix}/raw/{self.shop}.txt.gz", formats.Text >> formats.Gzip)

    def run(self) -> None:
        with self.output().open("w") as out:
            for number in range(1000):
                out.write(f"{self.shop} {number * len(self.shop)}\n")


@lv.requires(Sales)
class Total(lv.Task):
    """Its sum."""

    def output(self) -> FileTarget:
        return lv.FileTarget(f"{self.prefix}/totals/{self.shop}.csv")

    def run(self) -> None:
        total = sum(int(line.rpartition(" ")[2]) for line in self.input().lines())
        self.output().write_text(f"{self.shop};{total}\n")


class Report(lv.Task):
    """All sums that there are."""

    prefix: str

    def requires(self) -> list[lv.Task]:
        return [Total(prefix=self.prefix, shop=shop) for shop in SHOPS]

    def output(self) -> FileTarget:
        return lv.FileTarget(f"{self.prefix}/report.xz", formats.Text >> formats.Xz)

    def run(self) -> None:
        with self.output().open("w") as out:
            for total in glob(f"{self.prefix}/totals/*.csv"):
                out.write(total.read_text())


def stored(prefix: str) -> dict[str, bytes]:
    """The bytes of all files below a prefix."""
    return {one.url.removeprefix(f"{prefix}/"): one.read_bytes() for one in glob(f"{prefix}/**", formats.Bytes)}


def listed(prefix: str, folder: str = "") -> list[str]:
    """Names of all files below a folder of a prefix, those that are hidden among them."""
    store, path = open_store(f"{prefix}/{folder}".rstrip("/"))
    found = []
    for entry in list(store.list(path)):
        name = f"{folder}/{entry.name}".lstrip("/")
        found += listed(prefix, name) if entry.is_folder else [name]
    return sorted(found)


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What local files hold in the end."""
    prefix = str(tmp_path_factory.mktemp("right"))
    assert lv.run(Report(prefix=prefix), state=str(tmp_path_factory.mktemp("state"))).exit_code == 0
    return stored(prefix)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, id=name, marks=[pytest.mark.xdist_group(f"prefix-{name}"), *([] if name in FAST else [pytest.mark.slow])])
        for name in PREFIXES
    ],
)
def store(request: pytest.FixtureRequest) -> Iterator[str]:
    """The prefix of a store that runs."""
    stores._open.clear()
    with PREFIXES[request.param]() as found:
        yield found
    stores._open.clear()


@pytest.fixture
def prefix(store: str) -> str:
    """A prefix of the test's own."""
    return f"{store}/{uuid.uuid4().hex[:8]}"


@pytest.mark.timeout(240)
@pytest.mark.slow
def test_a_pipeline_is_the_same_wherever_its_prefix_leads(prefix: str, right: dict[str, bytes]) -> None:
    first = lv.run(Report(prefix=prefix))
    assert (first.exit_code, first.done) == (0, 7), first
    assert listed(prefix) == WANTED  # and no temporaries
    assert stored(prefix) == right

    second = lv.run(Report(prefix=prefix))
    assert (second.exit_code, second.done, second.already) == (0, 0, 1), second

    lv.FileTarget(f"{prefix}/totals/{SHOPS[1]}.csv").remove()
    lv.FileTarget(f"{prefix}/report.xz").remove()
    repaired = lv.run(Report(prefix=prefix))
    assert (repaired.exit_code, repaired.done) == (0, 2), repaired
    assert stored(prefix) == right

    for layout in (formats.Bytes, formats.Gzip, formats.Bzip2, formats.Xz, formats.Zstd):
        target = lv.FileTarget(f"{prefix}/layouts/{layout!r}", layout)
        target.write_bytes(LONG)
        assert target.read_bytes() == LONG
    table = lv.FileTarget(f"{prefix}/layouts/table", formats.Parquet)
    table.write_table(pa.table({"shop": SHOPS, "long": [LONG] * 3}))
    assert table.read_table(["shop"]).to_pydict() == {"shop": list(SHOPS)}

    for name, content in right.items():
        target = lv.FileTarget(f"{prefix}/{name}")
        assert target.size() == len(content)
        assert (target.etag() is not None) == prefix.startswith(("s3://", "gs://", "az://"))
        when = target.mtime()
        assert when is None or abs(when - time.time()) < 3600
        with pytest.raises(lv.errors.TargetExists):
            target.write_text("a second time")
    with pytest.raises(FileNotFoundError):
        lv.FileTarget(f"{prefix}/nothing").size()


# -- far away ----------------------------------------------------------------------------------


class FarStore(MemoryStore):
    """20 ms away."""

    def __init__(self, authority: str) -> None:
        super().__init__(remote=True)

    def _count(self, verb: str, path: str) -> None:
        time.sleep(0.02)
        super()._count(verb, path)


class Many(lv.WrapperTask):
    """Ten thousand files, in ten folders."""

    def requires(self) -> list[lv.Task]:
        return [One(number=number) for number in range(10_000)]


class One(lv.Task):
    number: int

    def output(self) -> FileTarget:
        return lv.FileTarget(f"far://away/{self.number % 10}/{self.number}.txt")

    def run(self) -> None:
        self.output().write_text("again")


@pytest.fixture
def far(tmp_path: Path) -> Iterator[FarStore]:
    store = FarStore("away")
    register_scheme("far", lambda authority: store)
    for number in range(10_000):
        path = f"/{number % 10}/{number}.txt"
        store._files[path] = b"1"
        store._remember(path)
    yield store
    stores._factories.pop("far")
    stores._drop("far")


def test_ten_thousand_targets_far_away_cost_a_call_for_each_page_of_a_listing(far: FarStore) -> None:
    done = lv.run(Many())
    assert (done.exit_code, done.done) == (0, 0)
    assert far.calls == Counter(list=10)


def test_one_of_ten_thousand_that_is_missing_is_found_and_made(far: FarStore) -> None:
    far.remove("/7/1007.txt")
    far.calls.clear()
    done = lv.run(Many())
    assert (done.exit_code, done.done) == (0, 1)
    assert far.calls["list"] == 10
    assert sum(far.calls.values()) <= 16


# -- moved aside -------------------------------------------------------------------------------


@pytest.mark.timeout(240)
def test_an_output_is_moved_aside_or_that_is_refused_and_nothing_changed(prefix: str) -> None:
    target = lv.FileTarget(f"{prefix}/out/ümläut and space.txt")
    target.write_text("old")
    if prefix.startswith(CANNOT):
        with pytest.raises(lv.errors.TargetError, match="cannot be moved aside"):
            aside.planned([target], 1)
        assert target.read_text() == "old"
        return
    moves = aside.planned([target], 1)
    aside.clear(moves, "0badcafe")
    assert [aside.carry_out(move) for move in moves] == [True]
    assert not target.exists()
    assert listed(prefix, "out") == ["out/ümläut and space.txt.invalidated-1"]
    assert [aside.carry_out(move) for move in moves] == [False]
    target.write_text("new")
    with pytest.raises(lv.errors.TargetError, match="exists already"):
        aside.planned([target], 1)
    with pytest.raises(lv.errors.TargetExists):
        aside.carry_out(moves[0])
    assert target.read_text() == "new"
    assert lv.FileTarget(moves[0].aside).read_text() == "old"


@pytest.mark.timeout(240)
def test_an_attempt_that_was_given_up_for_dead_does_not_take_the_name_that_was_freed(prefix: str) -> None:
    if prefix.startswith(CANNOT):
        return
    target = lv.FileTarget(f"{prefix}/out/a", mode="replace")
    target.write_text("old")
    moved: list[aside.Move] = []

    def late() -> None:
        """The lease was there; before the last step the output is moved aside."""
        moved.extend(aside.planned([target], 1))
        aside.clear(moved, "0badcafe")
        assert [aside.carry_out(move) for move in moved] == [True]

    atomic.set_tag("0badcafe", "1.1", late)
    try:
        with pytest.raises(lv.errors.TargetError):
            target.write_text("of a zombie")
    finally:
        atomic.clear_tag()
    assert not target.exists()
    assert lv.FileTarget(moved[0].aside).read_text() == "old"
