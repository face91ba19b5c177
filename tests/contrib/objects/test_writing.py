"""Whole or absent, and of two writers one: also where the line breaks, the process dies, or the store does not care."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Barrier, Thread

import pytest

import levada as lv
from levada.contrib.objects import ObjectStore, probing, writing
from levada.errors import LeaseLost, TargetError, TargetExists, TargetWriteError
from levada.targets import FileTarget, atomic, open_store, spool, stores

from .conftest import Bucket
from .servers import Server
from .test_conformance import SERVERS
from .wires import wire

pytestmark = pytest.mark.xdist_group("objects")
SMALL, LARGE = 1000, (12 << 20) + 5


@pytest.fixture
def bucket(moto: Server, new_bucket: Callable[[Server], Bucket]) -> Bucket:
    return new_bucket(moto)


@pytest.fixture
def any_bucket(request: pytest.FixtureRequest, new_bucket: Callable[[Server], Bucket]) -> Bucket:
    return new_bucket(request.getfixturevalue(request.param))


everywhere = pytest.mark.parametrize("any_bucket", SERVERS, indirect=True)


@pytest.fixture(autouse=True)
def _large_is_not_so_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "SINGLE", 6 << 20)
    monkeypatch.setattr(writing, "JOINED", 6 << 20)
    monkeypatch.setattr(writing, "PART", 5 << 20)  # the least that S3 takes


@pytest.fixture(autouse=True)
def _no_attempt() -> Iterator[None]:
    yield
    atomic.clear_tag()


def names(bucket: Bucket) -> set[str]:
    """All that is in a bucket, at any depth."""
    store = open_store(bucket.url("x"))[0]
    assert isinstance(store, ObjectStore)
    return {meta["path"] for page in store.asking.list() for meta in page}


def uploads(bucket: Bucket) -> int:
    """Uploads that were begun and not ended: parts that nobody sees and somebody pays."""
    with urllib.request.urlopen(f"http://127.0.0.1:{bucket.server.port}/{bucket.name}?uploads") as answer:
        return int(answer.read().count(b"<Upload>"))


def attempt(number: int, ask: Callable[[], None] | None = None, leftover: Callable[[str], bool] | None = None) -> None:
    atomic.set_tag("0badcafe", f"1.{number}", ask, leftover=leftover)


# -- whole or absent -------------------------------------------------------------------------------


@everywhere
@pytest.mark.parametrize("mode", ["once", "replace"])
def test_a_large_object_comes_back_and_nothing_is_left_beside(any_bucket: Bucket, mode: str) -> None:
    content = os.urandom(LARGE)
    target = FileTarget(any_bucket.url("deep/a"), mode=mode)
    with target.open("wb") as out:
        for start in range(0, LARGE, 100_000):
            out.write(content[start : start + 100_000])
        assert names(any_bucket) == set()
    assert target.read_bytes() == content
    assert names(any_bucket) == {"deep/a"}


@pytest.mark.parametrize("any_bucket", [param for param in SERVERS if param.id != "s3-moto"], indirect=True)  # moto looks before it reads
def test_of_eight_large_writes_at_once_one_wins(any_bucket: Bucket) -> None:
    """SeaweedFS lets several win that copy at once: it is found out, and given large objects in one piece."""
    won, lost, start = [], [], Barrier(8)

    def write(number: int) -> None:
        store = ObjectStore(any_bucket.server.scheme, any_bucket.name)
        pending = store.put("a", replace=False, tag=f"0badcaf{number}.1.1")
        pending.stream.write(b"%d" % number * (7 << 20))
        start.wait()
        try:
            pending.commit()
            won.append(number)
        except TargetExists:
            lost.append(number)

    threads = [Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 7)
    assert FileTarget(any_bucket.url("a")).read_bytes() == b"%d" % won[0] * (7 << 20)
    assert names(any_bucket) == {"a"}


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("mode", ["once", "replace"])
def test_the_lease_is_asked_when_all_is_there_and_its_loss_leaves_nothing(bucket: Bucket, mode: str, size: int) -> None:
    asked = []

    def lost() -> None:
        asked.append(FileTarget(bucket.url("a")).exists())
        raise LeaseLost("Task", held="1.1", newest="1.2")

    attempt(1, lost)
    with pytest.raises(LeaseLost):
        FileTarget(bucket.url("a"), mode=mode).write_bytes(b"x" * size)
    assert asked == [False]
    assert (names(bucket), uploads(bucket)) == (set(), 0)
    attempt(2, lambda: asked.append(True))
    FileTarget(bucket.url("a"), mode=mode).write_bytes(b"x" * size)
    assert asked == [False, True]


def test_the_lease_is_asked_after_the_parts_were_sent(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours may pass while they travel: what was asked before is worth nothing then."""
    monkeypatch.setattr(probing, "copies_if_absent", lambda client, key: True)
    seen: list[tuple[int, set[str]]] = []
    attempt(1, lambda: seen.append((uploads(bucket), names(bucket))))
    FileTarget(bucket.url("a"), mode="replace").write_bytes(b"x" * LARGE)
    FileTarget(bucket.url("b")).write_bytes(b"x" * LARGE)
    assert seen == [(1, set()), (0, {"a", ".b.parts/0badcafe.1.1"})]


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_what_an_earlier_attempt_left_is_replaced(bucket: Bucket, size: int) -> None:
    target = FileTarget(bucket.url("a"))
    target.write_text("left")
    attempt(2, leftover=lambda url: url == bucket.url("a"))
    target.write_bytes(b"x" * size)
    assert len(target.read_bytes()) == size
    assert names(bucket) == {"a"}


class Two(lv.Task):
    """Two outputs; the first attempt makes one of them and fails."""

    bucket: str

    def output(self) -> list[FileTarget]:
        return [FileTarget(f"{self.bucket}{name}") for name in "ab"]

    def run(self) -> None:
        first, second = self.output()
        before = first.exists()
        first.write_text("again" if before else "first")
        if not before:
            raise RuntimeError("the second was not made")
        second.write_text("x")


def test_a_task_makes_the_outputs_of_its_failed_attempt_again(bucket: Bucket) -> None:
    result = lv.run(Two(bucket=bucket.url("")), attempts=2)
    assert result.exit_code == 0
    assert FileTarget(bucket.url("a")).read_text() == "again"


class Copy(lv.Task):
    bucket: str
    number: int

    def requires(self) -> Source:
        return Source(bucket=self.bucket)

    def output(self) -> FileTarget:
        return FileTarget(f"{self.bucket}copy-{self.number}")

    def run(self) -> None:
        self.output().write_text(f"{self.input().read_text()}{os.getpid() != PARENT}")


class Source(lv.Task):
    bucket: str

    def output(self) -> FileTarget:
        return FileTarget(f"{self.bucket}source")

    def run(self) -> None:
        self.output().write_text("made")


PARENT = os.getpid()


@pytest.mark.parametrize("executor", ["inline", "threads", "processes"])
def test_a_run_makes_what_is_absent_in_every_executor(bucket: Bucket, executor: str) -> None:
    """The client's threads do not survive a fork: children that look at objects are started anew."""
    wanted = [Copy(bucket=bucket.url(""), number=number) for number in range(3)]
    assert lv.run(wanted, executor=executor, workers=2).exit_code == 0
    assert names(bucket) == {"source", "copy-0", "copy-1", "copy-2"}
    assert not lv.run(wanted, executor=executor, workers=2).attempts


def test_a_forked_child_is_told_what_is_wrong(bucket: Bucket, tmp_path: Path) -> None:
    target = FileTarget(bucket.url("a"))
    assert not target.exists()
    with target.open("w") as out:
        out.write("mine")
        child = os.fork()
        if child == 0:
            try:
                target.exists()
            except TargetError as error:
                (tmp_path / "said").write_text(str(error))
            finally:
                os._exit(0)
        os.waitpid(child, 0)
    assert "forked" in (tmp_path / "said").read_text()
    assert target.read_text() == "mine"


def test_a_full_disk_here_is_told_of_and_nothing_is_sent(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, data: bytes) -> int:
            raise OSError(28, "No space left on device")

        def close(self) -> None:
            pass

    monkeypatch.setattr(spool, "TemporaryFile", lambda buffering: Full())
    with pytest.raises(TargetWriteError, match="TMPDIR"):
        FileTarget(bucket.url("a")).write_bytes(b"x" * LARGE)
    assert names(bucket) == set()


# -- lines that break ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [SMALL * 1000, LARGE])
@pytest.mark.parametrize("mode", ["once", "replace"])
@pytest.mark.slow
def test_a_line_that_breaks_in_the_middle_of_a_write_leaves_nothing(
    bucket: Bucket, mode: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = bucket.server
    with wire(server.port) as between:
        for name, value in server.at(between.port).items():
            monkeypatch.setenv(name, value)
        cut = FileTarget(bucket.url("a"), mode=mode)
        out = cut.open("wb")
        out.write(b"x" * size)
        between.cut_after = 300_000
        with pytest.raises(TargetWriteError, match=r"(?s)could not be written.*Nothing half-written"):
            out.close()
        assert between.passed > 100_000
        between.cut_after = None
        assert not cut.exists()
        assert names(bucket) == set()
        cut.write_bytes(b"y" * size)  # the same store, when the line is whole again
        assert len(cut.read_bytes()) == size


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_write_whose_answer_was_lost_is_known_to_be_made(bucket: Bucket, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    server = bucket.server
    with wire(server.port) as between:
        for name, value in server.at(between.port).items():
            monkeypatch.setenv(name, value)
        FileTarget(bucket.url("probed")).write_text("x")
        monkeypatch.setattr(writing, "SINGLE", 20 << 20)
        between.swallow = 1
        FileTarget(bucket.url("a")).write_bytes(b"x" * size)
        assert between.swallow == 0
        assert len(FileTarget(bucket.url("a")).read_bytes()) == size


KILLED = """
import os, sys
from levada.contrib.objects import probing, writing
from levada.targets import FileTarget, atomic

writing.SINGLE = int(sys.argv[3])
probing.copies_if_absent = lambda client, key: True  # so it is with moto, as a rule
atomic.set_tag("0badcafe", "1.1")
with FileTarget(sys.argv[1], mode=sys.argv[2]).open("wb") as out:
    for _ in range(80):
        out.write(os.urandom(1 << 20))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "single", "begun"),
    [
        pytest.param("once", 1 << 30, 0, id="in-one-piece"),
        pytest.param("once", 1 << 20, 1, id="by-parts-and-a-copy"),
        pytest.param("replace", 1 << 30, 1, id="by-parts"),
    ],
)
def test_a_writer_that_is_killed_in_the_middle_leaves_nothing_that_is_seen(bucket: Bucket, mode: str, single: int, begun: int) -> None:
    with wire(bucket.server.port) as between:
        between.pause = 0.001
        environment = {**os.environ, **bucket.server.at(between.port), "PYTHONPATH": os.pathsep.join(sys.path)}
        writer = subprocess.Popen([sys.executable, "-c", KILLED, bucket.url("a"), mode, str(single)], env=environment)
        deadline = time.monotonic() + 50
        while between.passed < 30 << 20 and writer.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        writer.send_signal(signal.SIGKILL)
        assert writer.wait() == -signal.SIGKILL
    assert names(bucket) == set()
    assert uploads(bucket) == begun  # a life cycle rule of the bucket removes it
    FileTarget(bucket.url("a"), mode=mode).write_text("the next attempt's")


def test_what_a_killed_attempt_left_beside_is_removed_by_a_later_one(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the last part and the copy, for an instant of a large write."""
    monkeypatch.setattr(probing, "copies_if_absent", lambda client, key: True)
    store = ObjectStore("s3", bucket.name)
    for tag in ("0badcafe.1.1", "0badcafe.1.9", "feedf00d.1.1", "p12.00000000"):
        store.moving.put(f"data/.a.parts/{tag}", b"parts")
    attempt(5)
    FileTarget(bucket.url("data/a")).write_bytes(b"x" * LARGE)
    assert names(bucket) == {"data/a", *(f"data/.a.parts/{tag}" for tag in ("0badcafe.1.9", "feedf00d.1.1", "p12.00000000"))}


# -- stores that do not care -----------------------------------------------------------------------


CARELESS = [pytest.param(name, marks=pytest.mark.slow) for name in ("rclone", "careless_gcs")]


@pytest.mark.parametrize("any_bucket", CARELESS, indirect=True)
@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_a_store_that_ignores_conditions_is_found_out(any_bucket: Bucket, size: int, caplog: pytest.LogCaptureFixture) -> None:
    target = FileTarget(any_bucket.url("a"))
    assert target.store.promise.create_if_absent
    with caplog.at_level(logging.WARNING):
        target.write_bytes(b"1" * size)
        FileTarget(any_bucket.url("b")).write_bytes(b"1" * size)
    assert not target.store.promise.create_if_absent
    assert [record.name for record in caplog.records] == ["levada.contrib.objects.store"]
    assert names(any_bucket) == {"a", "b"}
    with pytest.raises(TargetExists):
        target.write_text("2")


@pytest.mark.parametrize("any_bucket", CARELESS, indirect=True)
@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_there_existence_is_looked_at_just_before(any_bucket: Bucket, size: int) -> None:
    target = FileTarget(any_bucket.url("a"))
    with target.open("wb") as out:
        out.write(b"1" * size)
        FileTarget(any_bucket.url("a"), mode="replace").write_text("somebody was first")
        with pytest.raises(TargetExists):
            out.close()
    assert target.read_text() == "somebody was first"


def test_a_store_that_cannot_copy_if_absent_is_given_large_objects_in_one_piece(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "copies_if_absent", lambda client, key: False)
    target = FileTarget(bucket.url("a"))
    target.write_bytes(b"x" * LARGE)
    assert len(target.read_bytes()) == LARGE
    with pytest.raises(TargetExists):
        target.write_bytes(b"y" * LARGE)


def test_what_is_too_large_for_one_request_is_looked_for_just_before(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "WHOLE", 10 << 20)
    target = FileTarget(bucket.url("a"))
    out = target.open("wb")
    out.write(b"1" * LARGE)
    FileTarget(bucket.url("a")).write_text("somebody was first")
    with pytest.raises(TargetExists):
        out.close()
    assert (target.read_text(), uploads(bucket)) == ("somebody was first", 0)


def test_a_bucket_is_probed_once(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    probed = []
    real = probing.keeps_conditions
    monkeypatch.setattr(probing, "keeps_conditions", lambda client, key: probed.append(key) or real(client, key))
    for number in range(5):
        FileTarget(bucket.url(f"data/{number}")).write_text("x")
    assert probed == ["data/0"]
    assert names(bucket) == {f"data/{number}" for number in range(5)}
    assert stores._open
