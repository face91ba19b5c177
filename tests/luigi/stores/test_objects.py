"""Luigi's S3Client and S3Target, against a real server of S3's interface."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import levada as lv
from levada.errors import TargetUnreachable
from levada.luigi import format as formats
from levada.luigi.contrib import s3
from levada.luigi.target import FileSystemException, FileSystemTarget, MissingParentDirectory
from levada.targets import FileTarget, stores
from tests.contrib.objects.servers import Server
from tests.luigi.stores.late import refused_as_late

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("luigi-s3")]
pytest.importorskip("boto3", reason="boto3 is not installed (levada[aws])")


@pytest.fixture
def client(moto: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[s3.S3Client]:
    """A client whose bucket ``shelf`` is new."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in moto.environment.items():
        monkeypatch.setenv(name, value)
    stores._open.clear()
    made = s3.S3Client("levada", "not-a-secret", endpoint_url=f"http://127.0.0.1:{moto.port}", region_name="us-east-1")
    bucket = made.s3.Bucket("shelf")
    bucket.create()
    yield made
    bucket.objects.all().delete()
    bucket.delete()
    made.s3.meta.client.close()
    stores._open.clear()


def test_what_is_written_appears_whole_when_it_is_closed(client: s3.S3Client) -> None:
    target = s3.S3Target("s3://shelf/a/b.txt", client=client)
    with target.open("w") as out:
        out.write("Grüezi\nund ade\n")
        assert not target.exists()
    assert target.exists()
    with target.open() as lines:
        assert list(lines) == ["Grüezi\n", "und ade\n"]
    with pytest.raises(KeyError), target.open("w") as out:
        out.write("half")
        raise KeyError("the user's own")
    assert client.get_as_string("s3://shelf/a/b.txt") == "Grüezi\nund ade\n"


def test_a_later_write_replaces_and_new_programs_see_it(client: s3.S3Client) -> None:
    """The object is the same by either spelling; Luigi's writes replace."""
    target = s3.S3Target("s3://shelf/twice.gz", format=formats.Text >> formats.Gzip, client=client)
    for text in ("first", "second"):
        with target.open("w") as out:
            out.write(text)
    assert FileTarget("s3://shelf/twice.gz", format=formats.Text >> formats.Gzip).read_text() == "second"
    assert isinstance(target, FileSystemTarget)


def test_a_lease_that_was_lost_sends_nothing(client: s3.S3Client) -> None:
    target = s3.S3Target("s3://shelf/b.txt", client=client)
    with refused_as_late(), target.open("w") as out:
        out.write("late")
    assert not target.exists()


def test_folders_are_what_lies_below_a_path(client: s3.S3Client) -> None:
    for name in ("x/one", "x/two", "x/y/three", "other"):
        client.put_string(name, f"s3://shelf/{name}")
    assert client.isdir("s3://shelf/x")
    assert not client.isdir("s3://shelf/other")
    assert sorted(client.list("s3://shelf/x")) == ["one", "two", "y/three"]
    assert sorted(client.listdir("s3://shelf/x")) == ["s3://shelf/x/one", "s3://shelf/x/two", "s3://shelf/x/y/three"]
    assert client.copy("s3://shelf/x", "s3://shelf/z") == (3, 19)
    with pytest.raises(s3.InvalidDeleteException, match="is a folder"):
        client.remove("s3://shelf/x", recursive=False)
    client.move("s3://shelf/x", "s3://shelf/w")
    assert not client.exists("s3://shelf/x")
    assert sorted(client.list("s3://shelf/w")) == sorted(client.list("s3://shelf/z"))
    with pytest.raises(MissingParentDirectory):
        client.mkdir("s3://shelf/no/such", parents=False)
    with pytest.raises(s3.InvalidDeleteException, match="bucket"):
        client.remove("s3://shelf")


@pytest.mark.parametrize("name", ["a b", "ü", "x?y", "x?", "x#y", "p%20q", "~t", "a//b", "tab\tx", "plus+", "[x]", "trail "])
def test_an_object_has_the_name_that_it_was_given(client: s3.S3Client, name: str) -> None:
    """A key is no part of a URL: nothing of it is left out."""
    with s3.S3Target(f"s3://shelf/odd/{name}", client=client).open("w") as out:
        out.write(name)
    assert [item.key for item in client.s3.Bucket("shelf").objects.all()] == [f"odd/{name}"]
    client.move(f"s3://shelf/odd/{name}", f"s3://shelf/odd/{name}")
    assert client.get_as_string(f"s3://shelf/odd/{name}") == name
    client.move(f"s3://shelf/odd/{name}", f"s3://shelf/new/{name}")
    assert list(client.list("s3://shelf/new")) == [name]


def test_a_path_without_a_scheme_is_refused(client: s3.S3Client) -> None:
    with pytest.raises(ValueError, match="shelf/a: an object is s3://BUCKET/KEY"):
        client.put_string("", "shelf/a")


def test_more_objects_than_a_request_holds_are_listed_copied_and_removed(client: s3.S3Client) -> None:
    for number in range(1005):
        client.put_string("", f"s3://shelf/many/{number}")
    assert client.copy("s3://shelf/many", "s3://shelf/more", threads=4) == (1005, 0)
    assert len(list(client.list("s3://shelf/more"))) == 1005
    assert client.remove("s3://shelf/many")
    assert not client.exists("s3://shelf/many")


def test_a_folder_of_which_something_stays_is_not_removed(client: s3.S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 answers with 200 where it refused to remove some of the objects."""
    client.put_string("1", "s3://shelf/locked/a")
    refused = {"Errors": [{"Key": "locked/a", "Code": "AccessDenied", "Message": "Access Denied"}]}
    with monkeypatch.context() as patched:
        patched.setattr(client.s3.meta.client, "delete_objects", lambda **_: refused)
        with pytest.raises(FileSystemException, match="s3://shelf/locked/a is there: Access Denied"):
            client.remove("s3://shelf/locked")


def test_files_go_there_and_back(client: s3.S3Client, tmp_path: Path) -> None:
    here, back = tmp_path / "here", tmp_path / "back"
    here.write_bytes(os.urandom(9 << 20))  # more than one part
    client.put(str(here), "s3://shelf/large")
    client.get("s3://shelf/large", str(back))
    assert back.read_bytes() == here.read_bytes()
    assert client.get_key("s3://shelf/large").size == 9 << 20
    assert client.get_key("s3://shelf/none") is None
    with pytest.raises(s3.FileNotFoundException, match="s3://shelf/none"):
        s3.S3Target("s3://shelf/none", client=client).open()
    with pytest.raises(s3.DeprecatedBotoClientException, match="ServerSideEncryption"):
        client.put(str(here), "s3://shelf/secret", encrypt_key=True)


def test_a_flag_says_that_a_folder_is_whole(client: s3.S3Client) -> None:
    target = s3.S3FlagTarget("s3://shelf/parts/", client=client)
    client.put_string("1", "s3://shelf/parts/part-0")
    assert not target.exists()
    client.put_string("", "s3://shelf/parts/_SUCCESS")
    assert target.exists()
    with pytest.raises(ValueError, match="slash"):
        s3.S3FlagTarget("s3://shelf/parts", client=client)


def test_a_store_that_is_away_is_not_an_absent_object() -> None:
    from botocore.config import Config

    quick = Config(connect_timeout=1, retries={"max_attempts": 0})
    away = s3.S3Client("a", "b", endpoint_url="http://127.0.0.1:1", region_name="us-east-1", config=quick)
    with pytest.raises(TargetUnreachable, match="s3://shelf/a"):
        s3.S3Target("s3://shelf/a", client=away).exists()


class Copied(lv.Task):
    """Reads what others brought, and writes beside it."""

    def requires(self) -> Any:
        return s3.S3PathTask(path="s3://shelf/in.txt")

    def output(self) -> Any:
        return s3.S3Target("s3://shelf/out.txt")

    def run(self) -> None:
        with self.input().open() as lines, self.output().open("w") as out:
            out.writelines(line.upper() for line in lines)


def test_a_program_of_luigi_runs_with_the_environments_credentials(client: s3.S3Client) -> None:
    assert lv.run(Copied()).exit_code != 0
    client.put_string("one\ntwo\n", "s3://shelf/in.txt")
    assert lv.run(Copied()).exit_code == 0
    assert client.get_as_string("s3://shelf/out.txt") == "ONE\nTWO\n"
