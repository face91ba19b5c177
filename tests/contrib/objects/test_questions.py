"""What is there, what is not, and what is not known; and how few questions that takes."""

from __future__ import annotations

import gzip
import logging
import os
import socket
import sys
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

import levada as lv
from levada import config
from levada._plan.existence import Existence
from levada.config.settings import load
from levada.contrib.objects import ObjectStore, open_s3, troubles
from levada.errors import TargetError, TargetUnreachable
from levada.targets import FileTarget, formats, open_store

from .conftest import Bucket
from .servers import Server
from .wires import Lister, lister, wire

pytestmark = pytest.mark.xdist_group("objects")
BADLY = {"AWS_ACCESS_KEY_ID": "levada", "AWS_SECRET_ACCESS_KEY": "wrong", "AWS_REGION": "us-east-1"}


def set_environment(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in {**BADLY, **values}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[list[str]], Lister]]:
    """A store that only lists, with these objects; the environment leads to it."""
    made: list[object] = []

    def make(names: list[str]) -> Lister:
        block = lister(names)
        made.append(block)
        found = block.__enter__()
        set_environment(monkeypatch, AWS_ENDPOINT_URL=f"http://127.0.0.1:{found.port}")
        return found

    yield make
    for block in made:
        block.__exit__(None, None, None)  # type: ignore[attr-defined]  # a context manager


# -- few questions -------------------------------------------------------------------------------


def test_ten_thousand_targets_of_a_prefix_cost_ten_listings(many: Callable[[list[str]], Lister]) -> None:
    names = [f"data/f{number:05}" for number in range(10_000)]
    store = many(names)
    assert all(Existence().ask([FileTarget(f"s3://bucket/{name}") for name in names]))
    assert store.asked == {"list": 10}


class Part(lv.ExternalTask):
    number: int

    def output(self) -> FileTarget:
        return FileTarget(f"s3://bucket/data/f{self.number:05}")


class Parts(lv.WrapperTask):
    def requires(self) -> list[Part]:
        return [Part(number=number) for number in range(10_000)]


def test_a_plan_of_ten_thousand_targets_costs_the_same(many: Callable[[list[str]], Lister]) -> None:
    store = many([f"data/f{number:05}" for number in range(10_000)])
    assert lv.run(Parts()).exit_code == 0
    assert store.asked == {"list": 10}


def test_a_crowded_prefix_is_not_listed_to_its_end(many: Callable[[list[str]], Lister]) -> None:
    store = many([f"data/f{number:06}" for number in range(50_000)])
    assert Existence().ask([FileTarget("s3://bucket/data/f049999"), FileTarget("s3://bucket/data/no")]) == [True, False]
    assert store.asked["list"] <= 12
    assert store.asked["head"] == 2


def test_what_lies_deep_is_not_walked_through(many: Callable[[list[str]], Lister]) -> None:
    names = [f"data/day={day:02}/part-{number:04}" for day in range(20) for number in range(1000)]
    store = many(names)
    entries = list(open_store("s3://bucket/data")[0].list("/data"))
    assert sorted(entry.name for entry in entries) == [f"day={day:02}" for day in range(20)]
    assert all(entry.is_folder for entry in entries)
    assert store.asked == {"list": 2}


def test_a_prefix_is_no_target(many: Callable[[list[str]], Lister]) -> None:
    """Some parts of an output are there: nobody can say that it is whole."""
    many(["data/out/part-0", "data/whole"])
    asked = [FileTarget("s3://bucket/data/out"), FileTarget("s3://bucket/data/whole")]
    assert Existence().ask(asked) == Existence(listing=False).ask(asked) == [False, True]


def test_the_mark_of_a_prefix_is_no_object(moto: Server, new_bucket: Callable[[Server], Bucket]) -> None:
    """Consoles make empty objects whose names end with a slash."""
    bucket = new_bucket(moto)
    address = f"http://127.0.0.1:{moto.port}/{bucket.name}/data/"
    urllib.request.urlopen(urllib.request.Request(f"{address}sub/", b"", method="PUT")).close()
    FileTarget(bucket.url("data/empty")).write_bytes(b"")
    asked = [FileTarget(bucket.url(f"data/{name}")) for name in ("sub", "empty")]
    assert Existence().ask(asked) == Existence(listing=False).ask(asked) == [False, True]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["moto", "seaweed", "fake_gcs", "azurite"])
def test_a_listing_of_several_pages_is_whole_and_all_below_is_removed(
    name: str, request: pytest.FixtureRequest, new_bucket: Callable[[Server], Bucket]
) -> None:
    bucket = new_bucket(request.getfixturevalue(name))
    store = open_store(bucket.url("a"))[0]
    assert isinstance(store, ObjectStore)
    files = [f"data/f{number:04} ü" for number in range(1100)]
    empty = [f"marks/f{number:04}" for number in range(1100)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda key: store.moving.put(key, b"x"), [*files, "data/sub/a", "data/sub/b"]))
        list(pool.map(lambda key: store.moving.put(key, b""), empty))
    assert sorted(entry.name for entry in store.list("data")) == sorted([*(key[5:] for key in files), "sub"])
    asked = [FileTarget(bucket.url(key)) for key in [*files, *empty, "data/sub", "data/absent", "marks/absent"]]
    assert Existence().ask(asked) == [True] * 2200 + [False] * 3
    store.remove("data", recursive=True)
    assert not any(store.exists(key) for key in ("data/f0000 ü", "data/f1099 ü", "data/sub/a"))
    assert store.exists(empty[0])


# -- what is not known -----------------------------------------------------------------------------


def test_a_bucket_that_is_not_there_is_no_absence(moto: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, **moto.environment)
    target = FileTarget("s3://no-such-bucket/a")
    for act in (target.exists, target.read_bytes, lambda: list(target.store.list("/"))):
        with pytest.raises(TargetUnreachable, match=r"(?s)no-such-bucket.*NoSuchBucket.*Is there a bucket"):
            act()
    with pytest.raises(TargetError, match="Is there a bucket"):
        target.write_text("x")
    assert isinstance(Existence().ask([target])[0], TargetUnreachable)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fake_gcs", "azurite"])
def test_a_container_that_is_not_there_is_no_absence(
    name: str, request: pytest.FixtureRequest, new_bucket: Callable[[Server], Bucket]
) -> None:
    server = request.getfixturevalue(name)
    new_bucket(server)
    with pytest.raises(TargetUnreachable, match="Is there a bucket"):
        FileTarget(f"{server.scheme}://no-such-bucket/a").exists()


@pytest.mark.slow
def test_wrong_credentials_are_told_apart_from_absence(
    azurite: Server, new_bucket: Callable[[Server], Bucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = new_bucket(azurite)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "d3Jvbmc=")
    target = FileTarget(bucket.url("a"))
    with pytest.raises(TargetUnreachable, match=r"(?s)403.*AZURE_STORAGE_ACCOUNT_KEY"):
        target.exists()
    with pytest.raises(TargetError, match=r"(?s)403.*AZURE_STORAGE_ACCOUNT_KEY"):
        target.write_text("x")


@pytest.mark.slow
def test_wrong_keys_of_s3_are_told_apart_from_absence(
    locked_seaweed: Server, new_bucket: Callable[[Server], Bucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = new_bucket(locked_seaweed._replace(make_bucket=lambda name: None))
    for changed in ({"AWS_SECRET_ACCESS_KEY": "wrong"}, {"AWS_ACCESS_KEY_ID": "nobody"}):
        set_environment(monkeypatch, **{**locked_seaweed.environment, **changed})
        with pytest.raises(TargetUnreachable, match=r"(?s)403.*AWS_ACCESS_KEY_ID"):
            ObjectStore("s3", bucket.name).exists("a")


def test_a_store_that_does_not_listen_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    set_environment(monkeypatch, AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}")
    target = FileTarget("s3://bucket/a")
    with pytest.raises(TargetUnreachable, match=r"(?s)s3://bucket/a.*AWS_ENDPOINT_URL"):
        target.exists()
    with pytest.raises(TargetUnreachable):
        target.read_text()
    with pytest.raises(TargetError):
        target.write_text("x")


@pytest.mark.slow
@pytest.mark.timeout(25)
def test_a_store_that_never_answers_is_given_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        set_environment(monkeypatch, AWS_ENDPOINT_URL=f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(TargetUnreachable, match="Is the store up"):
            FileTarget("s3://bucket/a").exists()


def test_a_store_that_stumbles_is_asked_again(
    moto: Server, new_bucket: Callable[[Server], Bucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = new_bucket(moto)
    FileTarget(bucket.url("a")).write_text("x")
    with wire(moto.port) as between:
        set_environment(monkeypatch, **moto.at(between.port))
        between.swallow, between.swallowed = 1, b"HEAD"
        assert ObjectStore("s3", bucket.name).exists("a")
        assert between.swallow == 0


def test_a_missing_client_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore.exceptions", None)
    monkeypatch.setitem(sys.modules, "obstore", None)
    for scheme, extra in (("s3", "s3"), ("gs", "gcs"), ("az", "azure")):
        with pytest.raises(TargetError, match=rf'(?s){scheme}://bucket: needs obstore.*pip install "levada\[{extra}\]"'):
            FileTarget(f"{scheme}://bucket/a").exists()


def test_a_url_without_a_bucket_is_refused() -> None:
    with pytest.raises(TargetError, match="names no bucket"):
        FileTarget("s3:///a").exists()


@pytest.mark.parametrize("name", ["a//b", "a/./b", "../b", "a/", "", "new\nline", "back\\slash"])
def test_a_name_that_stores_would_change_is_refused(name: str, many: Callable[[list[str]], Lister]) -> None:
    many([])
    for act in (FileTarget(f"s3://bucket/{name}").exists, lambda: FileTarget(f"s3://bucket/{name}").write_text("x")):
        with pytest.raises(TargetError, match="names no object"):
            act()


def test_an_endpoint_may_stand_in_the_configuration(
    moto: Server, new_bucket: Callable[[Server], Bucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = new_bucket(moto)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    before = config._current
    config.use(load({"LEVADA_S3__ENDPOINT": f"http://127.0.0.1:{moto.port}"}, "/"))
    try:
        assert not open_s3(bucket.name).exists("a")
    finally:
        config._current = before


def test_what_a_client_says_is_cut_down_and_holds_no_signature() -> None:
    said = (
        "Generic MicrosoftAzure error: Error performing GET https://a.example/c/k?sv=2021&sig=c2VjcmV0 in 2ms"
        " - HTTP error: error sending request"
        "\n\nDebug source:\nGeneric { store: 'c2VjcmV0' }"
    )
    cause = RuntimeError(said)
    error = troubles.unreachable("az://c/k", cause)
    assert "c2VjcmV0" not in f"{error}{cause}"
    assert "error sending request" in str(error)
    assert "AZURE_ENDPOINT" in str(error)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("HTTP error: received redirect without LOCATION, this normally indicates an incorrectly configured region", "another region"),
        ("Error performing token request: Error performing GET http://169.254.169.254/latest in 1ms - 403 Forbidden", "No credentials"),
        ("status code: 403 Forbidden: <Error><Code>SignatureDoesNotMatch</Code></Error>", "May these credentials"),
        ("status code: 404 Not Found: <Error><Code>NoSuchBucket</Code></Error>", "Is there a bucket"),
        ("HTTP error: error sending request", "Is the store up"),
        ("status code: 418 I'm a teapot", "Is bucket to be had"),
    ],
)
def test_each_trouble_has_its_next_step(said: str, told: str) -> None:
    assert told in str(troubles.unreachable("s3://bucket/a", RuntimeError(said)))
    assert told in str(troubles.not_written("s3://bucket/a", RuntimeError(said)))


# -- reading ---------------------------------------------------------------------------------------


def test_an_object_is_read_in_any_order(moto: Server, new_bucket: Callable[[Server], Bucket]) -> None:
    bucket, content = new_bucket(moto), os.urandom(3 << 20)
    target = FileTarget(bucket.url("a"), format=formats.Nop)
    target.write_bytes(content)
    with target.open("rb") as stream:
        assert stream.read(10) == content[:10]
        assert stream.seek(-5, os.SEEK_END) == len(content) - 5
        assert stream.read() == content[-5:]
        assert stream.seek(1 << 20) == 1 << 20
        assert stream.read(100) == content[1 << 20 : (1 << 20) + 100]
        assert stream.tell() == (1 << 20) + 100
        stream.seek(len(content) + 10)
        assert stream.read() == b""
    zipped = FileTarget(bucket.url("a.gz"), format=formats.Text >> formats.Gzip)
    zipped.write_text("ein\nzwei\n")
    assert list(zipped.lines()) == ["ein", "zwei"]
    assert gzip.decompress(FileTarget(bucket.url("a.gz"), format=formats.Nop).read_bytes()) == b"ein\nzwei\n"


def test_an_object_that_is_replaced_while_it_is_read_is_not_read_on(moto: Server, new_bucket: Callable[[Server], Bucket]) -> None:
    target = FileTarget(new_bucket(moto).url("a"), mode="replace", format=formats.Nop)
    target.write_bytes(b"1" * (4 << 20))
    with target.open("rb") as stream:
        stream.read(1)
        target.write_bytes(b"2" * (4 << 20))
        stream.seek(3 << 20)
        with pytest.raises(TargetError, match="reading broke off"):
            stream.read(1)


def test_reading_that_broke_off_is_an_error(moto: Server, new_bucket: Callable[[Server], Bucket], monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = new_bucket(moto)
    FileTarget(bucket.url("a")).write_bytes(b"x" * (24 << 20))
    with wire(moto.port) as between:
        set_environment(monkeypatch, **moto.at(between.port))
        stream = ObjectStore("s3", bucket.name).open("a")
        assert stream.read(1) == b"x"
        between.broken = True
        with pytest.raises(TargetError, match=r"(?s)reading broke off|ended after"):
            stream.read()
        stream.close()


def test_nothing_is_warned_of_in_a_store_that_keeps_conditions(
    moto: Server, new_bucket: Callable[[Server], Bucket], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        FileTarget(new_bucket(moto).url("a")).write_text("x")
    assert caplog.records == []
