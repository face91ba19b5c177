"""Luigi's GCSClient and AzureBlobClient with their targets, by the vendors' own clients, against fake-gcs-server and Azurite."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import levada as lv
from levada.errors import TargetUnreachable
from levada.luigi import format as formats
from levada.luigi.contrib import azureblob, gcs
from levada.luigi.target import FileAlreadyExists, FileSystemException, NotADirectory
from levada.targets import FileTarget, stores
from tests.contrib.objects.servers import AZURITE_ACCOUNT, AZURITE_KEY, Server
from tests.luigi.stores.late import refused_as_late

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("luigi-clouds")]

ODD = ["a b", "ü", "x?y", "x?", "x#y", "p%20q", "~t", "a//b", "tab\tx", "two\nlines", "plus+", "[x]", "trail "]
"""Names of objects that URLs would write otherwise."""


@pytest.fixture
def shelf(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a new bucket; new programs find it by the environment."""
    server: Server = request.getfixturevalue(request.param)
    for name in [name for name in os.environ if name.startswith(("GOOGLE_", "AZURE_"))]:
        monkeypatch.delenv(name)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    name = f"shelf-{os.urandom(6).hex()}"
    server.make_bucket(name)
    stores._open.clear()
    yield name
    stores._open.clear()


# -- Google ----------------------------------------------------------------------------------------

of_google = pytest.mark.parametrize("shelf", ["fake_gcs"], indirect=True)


@pytest.fixture
def google(fake_gcs: Server) -> Iterator[gcs.GCSClient]:
    """Google's own client, told that its service is on loopback."""
    http = pytest.importorskip("googleapiclient.http", reason="google-api-python-client is not installed")
    from googleapiclient.discovery_cache import get_static_doc  # type: ignore[import-not-found, import-untyped, unused-ignore]

    service = get_static_doc("storage", "v1").replace("https://storage.googleapis.com/", f"http://127.0.0.1:{fake_gcs.port}/")
    made = gcs.GCSClient(http_=http.build_http(), descriptor=service, chunksize=1 << 20)
    yield made
    made.client.close()


@of_google
def test_an_object_of_google_appears_whole_and_both_spellings_see_it(google: gcs.GCSClient, shelf: str) -> None:
    target = gcs.GCSTarget(f"gs://{shelf}/a/b.txt", client=google)
    for text in ("Grüezi\nund ade\n", "replaced\n"):
        with target.open("w") as out:
            out.write(text)
        with target.open() as found:
            assert found.read() == text
    with pytest.raises(KeyError), target.open("w") as out:
        out.write("half")
        raise KeyError("the user's own")
    with refused_as_late(), target.open("w") as out:
        out.write("late")
    assert FileTarget(f"gs://{shelf}/a/b.txt").read_text() == "replaced\n"
    packed = gcs.GCSTarget(f"gs://{shelf}/z.gz", format=formats.Text >> formats.Gzip, client=google)
    with packed.open("w") as out:
        out.write("packed")
    with packed.open() as found:
        assert found.read() == "packed"


@of_google
@pytest.mark.parametrize("name", ODD)
def test_an_object_of_google_has_the_name_that_it_was_given(google: gcs.GCSClient, shelf: str, name: str) -> None:
    with gcs.GCSTarget(f"gs://{shelf}/odd/{name}", client=google).open("w") as out:
        out.write(name)
    assert list(google.listdir(f"gs://{shelf}/odd")) == [f"gs://{shelf}/odd/{name}"]
    assert google.remove(f"gs://{shelf}/odd/{name}")
    assert not google.exists(f"gs://{shelf}/odd")


@of_google
def test_large_files_go_to_google_and_back_in_pieces(google: gcs.GCSClient, shelf: str, tmp_path: Path) -> None:
    here = tmp_path / "large"
    here.write_bytes(os.urandom((2 << 20) + 7))
    google.put_multiple([str(here)], f"gs://{shelf}/in/")
    with google.download(f"gs://{shelf}/in/large") as back:
        assert back.read() == here.read_bytes()
    with google.download(f"gs://{shelf}/in/large", chunk_callback=lambda file: file.tell() > 0) as back:
        assert back.read() == here.read_bytes()[: 1 << 20]  # it was told that this is enough


@of_google
def test_folders_of_google_are_what_lies_below_a_path(google: gcs.GCSClient, shelf: str) -> None:
    top = f"gs://{shelf}"
    for name in ("x/one", "x/two", "x/y/three", "other"):
        google.put_string(name, f"{top}/{name}")
    assert [google.isdir(f"{top}{path}") for path in ("", "/x", "/x/y", "/other", "/none")] == [True, True, True, False, False]
    google.copy(f"{top}/x", f"{top}/z")
    google.move(f"{top}/x", f"{top}/w")
    assert not google.exists(f"{top}/x")
    assert [sorted(path.removeprefix(top) for path in google.listdir(f"{top}/{name}")) for name in "wz"] == [
        [f"/{name}/one", f"/{name}/two", f"/{name}/y/three"] for name in "wz"
    ]
    assert list(google.list_wildcard(f"{top}/w/t*o")) == [f"{top}/w/two"]
    with pytest.raises(gcs.InvalidDeleteException, match="is a folder"):
        google.remove(f"{top}/w", recursive=False)
    with pytest.raises(gcs.InvalidDeleteException, match="bucket"):
        google.remove(top)
    google.mkdir(f"{top}/made")
    assert google.isdir(f"{top}/made")
    with pytest.raises(FileAlreadyExists):
        google.mkdir(f"{top}/made", raise_if_exists=True)
    with pytest.raises(NotADirectory):
        google.mkdir(f"{top}/other")
    flagged = gcs.GCSFlagTarget(f"{top}/w/", client=google)
    assert not flagged.exists()
    google.put_string("", f"{top}/w/_SUCCESS")
    assert flagged.exists()


@of_google
def test_more_objects_of_google_than_an_answer_holds_are_listed_and_removed(google: gcs.GCSClient, shelf: str) -> None:
    for number in range(1005):
        google.put_string("", f"gs://{shelf}/many/{number}")
    assert len(list(google.listdir(f"gs://{shelf}/many"))) == 1005
    assert google.remove(f"gs://{shelf}/many")
    assert list(google.listdir(f"gs://{shelf}/many")) == []


@of_google
def test_an_object_of_google_that_is_moved_to_where_it_is_stays(google: gcs.GCSClient, shelf: str) -> None:
    google.put_string("kept", f"gs://{shelf}/a")
    google.move(f"gs://{shelf}/a", f"gs://{shelf}/a")
    assert google.exists(f"gs://{shelf}/a")


@of_google
def test_a_bucket_of_google_that_is_not_there_is_not_an_absent_object(google: gcs.GCSClient, shelf: str) -> None:
    assert not gcs.GCSTarget(f"gs://{shelf}/none", client=google).exists()
    assert not google.exists(f"gs://{shelf}-none")
    with pytest.raises(TargetUnreachable, match=f"gs://{shelf}-none/a"):
        gcs.GCSTarget(f"gs://{shelf}-none/a", client=google).exists()


# -- Azure -----------------------------------------------------------------------------------------

of_azure = pytest.mark.parametrize("shelf", ["azurite"], indirect=True)


@pytest.fixture
def azure(azurite: Server) -> Iterator[azureblob.AzureBlobClient]:
    """Azure's own client; its account's address is a folder of the server's."""
    pytest.importorskip("azure.storage.blob", reason="azure-storage-blob is not installed")
    made = azureblob.AzureBlobClient(AZURITE_ACCOUNT, AZURITE_KEY, custom_domain=f"127.0.0.1:{azurite.port}", protocol="http")
    yield made
    made.connection.close()


@of_azure
def test_a_blob_appears_whole_and_both_spellings_see_it(azure: azureblob.AzureBlobClient, shelf: str) -> None:
    target = azureblob.AzureBlobTarget(shelf, "a/b.txt", client=azure)
    assert not target.exists()
    for text in ("Grüezi\nund ade\n", "replaced\n"):
        with target.open("w") as out:
            out.write(text)
        with target.open("r") as lines:
            assert list(lines) == text.splitlines(keepends=True)
    with pytest.raises(KeyError), target.open("w") as out:
        out.write("half")
        raise KeyError("the user's own")
    with refused_as_late(), target.open("w") as out:
        out.write("late")
    assert FileTarget(f"az://{shelf}/a/b.txt").read_text() == "replaced\n"
    streamed = azureblob.AzureBlobTarget(shelf, "z.gz", client=azure, format=formats.Gzip, download_when_reading=False)
    with streamed.open("w") as out:
        out.write(b"bytes")
    assert streamed.open("r").read() == b"bytes"


@of_azure
@pytest.mark.parametrize("name", [*ODD, "/begins with a slash"])
def test_a_blob_has_the_name_that_it_was_given(azure: azureblob.AzureBlobClient, shelf: str, name: str) -> None:
    target = azureblob.AzureBlobTarget(shelf, name, client=azure)
    with target.open("w") as out:
        out.write(name)
    assert target.exists()
    assert target.open("r").read() == name
    assert [blob.name for blob in azure.container_client(shelf).list_blobs()] == [name]
    target.remove()
    assert not target.exists()


@of_azure
def test_files_become_blobs_in_containers_that_are_made_for_them(azure: azureblob.AzureBlobClient, shelf: str, tmp_path: Path) -> None:
    here, back, seen = tmp_path / "here", tmp_path / "back", []
    here.write_bytes(os.urandom(9 << 20))
    new = f"{shelf}-new"
    azure.upload(str(here), new, "large", progress_callback=lambda *done: seen.append(done))
    assert seen[-1] == (9 << 20, 9 << 20)
    assert azure.download_as_file(new, "large", str(back)).size == 9 << 20
    assert back.read_bytes() == here.read_bytes()
    assert azure.download_as_bytes(new, "large", 5) == here.read_bytes()[:5]
    assert [azure.exists(new), azure.exists(f"{new}/"), azure.isdir(new)] == [True, True, False]
    assert not azure.remove(new)
    azure.delete_container(new)
    assert not azure.exists(f"{new}/large")


@of_azure
def test_a_blob_that_is_not_there_leaves_no_file_and_an_empty_one_has_no_bytes(
    azure: azureblob.AzureBlobClient, shelf: str, tmp_path: Path
) -> None:
    back = tmp_path / "back"
    with pytest.raises(Exception, match="does not exist"):
        azure.download_as_file(shelf, "none", str(back))
    assert not back.exists()
    with azureblob.AzureBlobTarget(shelf, "empty", client=azure).open("w"):
        pass
    assert azure.download_as_bytes(shelf, "empty", 5) == azure.download_as_bytes(shelf, "empty") == b""


@of_azure
def test_blobs_move_inside_of_their_container(azure: azureblob.AzureBlobClient, shelf: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is already it stays; and it is not removed before Azure has copied it."""
    with azureblob.AzureBlobTarget(shelf, "a", client=azure).open("w") as out:
        out.write("kept")
    assert azure.move(f"{shelf}/a", f"{shelf}/a")
    assert azure.move(f"{shelf}/a", f"{shelf}/b")
    assert [azure.exists(f"{shelf}/{name}") for name in "ab"] == [False, True]
    with pytest.raises(ValueError, match="inside of its container"):
        azure.copy(f"{shelf}/b", "elsewhere/b")
    with pytest.raises(FileAlreadyExists):
        azure.mkdir(f"{shelf}/b", raise_if_exists=True)

    states = ["pending", "failed"]
    copying = SimpleNamespace(
        container_name=shelf,
        blob_name="c",
        start_copy_from_url=lambda **_: None,
        get_blob_properties=lambda: SimpleNamespace(copy=SimpleNamespace(status=states.pop(0), status_description="quota")),
    )
    real = azure.blob_client
    monkeypatch.setattr(azureblob, "_GLANCE", 0)
    monkeypatch.setattr(azure, "blob_client", lambda container, blob: copying if blob == "c" else real(container, blob))
    with pytest.raises(FileSystemException, match=f"{shelf}/c.*quota"):
        azure.move(f"{shelf}/b", f"{shelf}/c")
    assert azure.exists(f"{shelf}/b")


@of_azure
def test_azure_that_refuses_is_not_an_absent_blob(azurite: Server, azure: azureblob.AzureBlobClient, shelf: str) -> None:
    stranger = azureblob.AzureBlobClient(AZURITE_ACCOUNT, "AAAA", custom_domain=f"127.0.0.1:{azurite.port}", protocol="http", retry_total=0)
    with pytest.raises(TargetUnreachable, match=f"{shelf}/a"):
        azureblob.AzureBlobTarget(shelf, "a", client=stranger).exists()
    named = azureblob.AzureBlobClient(
        connection_string=f"DefaultEndpointsProtocol=http;AccountName={AZURITE_ACCOUNT};AccountKey={AZURITE_KEY};"
        f"BlobEndpoint=http://127.0.0.1:{azurite.port}/{AZURITE_ACCOUNT};"
    )
    assert not azureblob.AzureBlobTarget(f"{shelf}-none", "a", client=named).exists()


_clients: dict[str, Any] = {}


class Copied(lv.Task):
    """Reads an object of Google and writes a blob."""

    shelf: str

    def output(self) -> Any:
        return azureblob.AzureBlobTarget(self.shelf, "out.txt", client=_clients["azure"])

    def run(self) -> None:
        with gcs.GCSTarget(f"gs://{self.shelf}/in.txt", client=_clients["google"]).open() as lines, self.output().open("w") as out:
            out.writelines(line.upper() for line in lines)


@of_azure
def test_a_program_of_luigi_goes_from_one_cloud_to_the_other(
    azure: azureblob.AzureBlobClient, google: gcs.GCSClient, fake_gcs: Server, shelf: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_clients, "azure", azure)
    monkeypatch.setitem(_clients, "google", google)
    fake_gcs.make_bucket(shelf)
    google.put_string("one\ntwo\n", f"gs://{shelf}/in.txt")
    assert lv.run(Copied(shelf=shelf)).exit_code == 0
    assert azure.download_as_bytes(shelf, "out.txt") == b"ONE\nTWO\n"
