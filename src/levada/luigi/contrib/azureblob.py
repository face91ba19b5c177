"""Luigi's `AzureBlobClient` and `AzureBlobTarget`, over azure-storage-blob.

New programs say ``FileTarget("az://container/blob")``, which promises more: of two writers of a blob one wins.
"""

from __future__ import annotations

import os
import tempfile
from typing import Any

from levada._model.control import listening
from levada.errors import TargetError, TargetUnreachable
from levada.luigi.format import get_default_format
from levada.luigi.target import AtomicLocalFile, FileAlreadyExists, FileSystem, FileSystemException, FileSystemTarget
from levada.targets.atomic import before_commit
from levada.targets.folder import drafted

from ._clients import ReadOnly, laid_out
from ._clients import client as needed

_GLANCE = 0.5  # seconds between two looks at a copy that is made
_OURS = ("protocol", "endpoint_suffix", "custom_domain", "connection_string")


class AzureBlobClient(FileSystem):
    """Blobs as files; a path is ``CONTAINER/BLOB``.

    Options: protocol, endpoint_suffix, custom_domain, connection_string, token_credential; more are the client's.
    """

    _connection: Any = None
    _process = 0  # which process it was made in: a forked child makes its own

    def __init__(
        self, account_name: str | None = None, account_key: str | None = None, sas_token: str | None = None, **kwargs: Any
    ) -> None:
        protocol = kwargs.get("protocol", "https")
        if domain := kwargs.get("custom_domain"):
            account_url = f"{protocol}://{domain}/{account_name}"
        else:
            account_url = f"{protocol}://{account_name}.blob.{kwargs.get('endpoint_suffix', 'core.windows.net')}"
        self.options = {"account_name": account_name, "account_key": account_key, "account_url": account_url, "sas_token": sas_token}
        self.kwargs = kwargs

    @property
    def connection(self) -> Any:
        """The client of the account, one for the process."""
        if self._connection is None or self._process != os.getpid():
            self._connection, self._process = self._connected(), os.getpid()
        return self._connection

    def _connected(self) -> Any:
        service = needed("azure.storage.blob", wanted="luigi.contrib.azureblob", install="azure-storage-blob").BlobServiceClient
        more = {name: value for name, value in self.kwargs.items() if name not in _OURS}
        if text := self.kwargs.get("connection_string"):
            return service.from_connection_string(conn_str=text, **more)
        credential = more.pop("token_credential", None) or self.options["account_key"] or self.options["sas_token"]
        return service(account_url=self.options["account_url"], credential=credential, **more)

    def container_client(self, container_name: str) -> Any:
        """The client of a container."""
        return self.connection.get_container_client(container_name)

    def blob_client(self, container_name: str, blob_name: str) -> Any:
        """The client of a blob."""
        return self.container_client(container_name).get_blob_client(blob_name)

    def upload(self, tmp_path: str, container: str, blob: str, **kwargs: Any) -> None:
        """Send a local file; the container is made unless it is there. progress_callback: called with bytes sent, and all of them."""
        self.create_container(container)
        more = {"progress_hook": hook} if (hook := kwargs.get("progress_callback")) else {}
        with open(tmp_path, "rb") as file:
            self.blob_client(container, blob).upload_blob(file, overwrite=True, **more)

    def download_as_bytes(self, container: str, blob: str, bytes_to_read: int | None = None) -> bytes:
        """The bytes of a blob, or the first so many."""
        part = {"offset": 0, "length": bytes_to_read} if bytes_to_read else {}
        try:
            content: bytes = self.blob_client(container, blob).download_blob(**part).readall()
        except Exception as error:
            if getattr(error, "error_code", None) == "InvalidRange":  # an empty blob has no first bytes
                return b""
            raise
        return content

    def download_as_file(self, container: str, blob: str, location: str) -> Any:
        """Bring a blob to a local file, which is whole or not there; its properties."""
        client = self.blob_client(container, blob)
        with drafted(os.fspath(location), replace=True, durable=False) as draft, open(draft, "wb") as file:
            client.download_blob().readinto(file)
        return client.get_blob_properties()

    def create_container(self, container_name: str) -> Any:
        """Make a container unless it is there."""
        return None if self.exists(container_name) else self.connection.create_container(container_name)

    def delete_container(self, container_name: str) -> None:
        """Remove a container with all in it."""
        client = self.container_client(container_name)
        client.delete_container(lease=client.acquire_lease())

    def exists(self, path: str) -> bool:
        """Whether a blob is there, or a container."""
        container, blob = self.splitfilepath(path)
        found = self.container_client(container) if blob is None else self.blob_client(container, blob)
        return bool(found.exists())

    def remove(self, path: str, recursive: bool = True, skip_trash: bool = True) -> bool:
        """Remove a blob; whether there was one."""
        container, blob = self.splitfilepath(path)
        if blob is None or not self.exists(path):
            return False
        self.blob_client(container, blob).delete_blob()
        return True

    def mkdir(self, path: str, parents: bool = True, raise_if_exists: bool = False) -> None:
        """Nothing: there are no folders. Raises FileAlreadyExists where a blob is."""
        if raise_if_exists and self.exists(path):
            raise FileAlreadyExists(f"{path}: is there already")

    def isdir(self, path: str) -> bool:
        """False: there are no folders."""
        return False

    def move(self, path: str, dest: str) -> bool:
        """Copy, then remove: not one step, since there is none. To where it is already: nothing. Raises FileSystemException."""
        if path == dest:
            return self.exists(path)
        self.copy(path, dest)
        container, blob = self.splitfilepath(dest)
        self._wait_for_copy(self.blob_client(container, str(blob)))
        return self.remove(path)

    @staticmethod
    def _wait_for_copy(client: Any) -> None:
        """Azure says yes to a copy before it is made."""
        control = listening()
        while (copy := client.get_blob_properties().copy).status == "pending":
            control.wait(_GLANCE)
        if copy.status in ("failed", "aborted"):
            raise FileSystemException(
                f"{client.container_name}/{client.blob_name}: Azure did not copy it: {copy.status_description or copy.status}"
            )

    def rename_dont_move(self, path: str, dest: str) -> None:
        """`move`."""
        self.move(path, dest)

    def copy(self, path: str, dest: str) -> Any:
        """Copy a blob to another name of its container. Raises ValueError for another container."""
        (container, blob), (other, name) = self.splitfilepath(path), self.splitfilepath(dest)
        if container != other or blob is None or name is None:
            raise ValueError(f"{path} is not copied to {dest}: a blob is copied inside of its container")
        return self.blob_client(other, name).start_copy_from_url(source_url=self.blob_client(container, blob).url)

    @staticmethod
    def splitfilepath(filepath: str) -> tuple[str, str | None]:
        """Container and blob; None where the path names no blob.

        >>> AzureBlobClient.splitfilepath("data/2024/a.csv"), AzureBlobClient.splitfilepath("data")
        (('data', '2024/a.csv'), ('data', None))
        """
        container, _, blob = filepath.partition("/")
        return container, blob or None


class ReadableAzureBlobFile(ReadOnly):
    """The bytes of a blob. download_when_reading: it is brought to a file here first; else read at once when it is asked for."""

    def __init__(self, container: str, blob: str, client: AzureBlobClient, download_when_reading: bool, **kwargs: Any) -> None:
        self.container, self.blob, self.client, self.download_when_reading = container, blob, client, download_when_reading
        self.azure_blob_options = kwargs
        self.closed = False
        self._file: Any = None

    def _here(self) -> Any:
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with this
            self.client.blob_client(self.container, self.blob).download_blob().readinto(self._file)
            self._file.seek(0)
        return self._file

    def read(self, n: int | None = None) -> bytes:
        """So many bytes, or all."""
        content: bytes = self._here().read(-1 if n is None else n)
        return content

    def read1(self, n: int = -1) -> bytes:
        """Some bytes: for readers of text."""
        return self.read(n if n > 0 else 1 << 16)

    def close(self) -> None:
        """Forget it."""
        self.closed = True
        if self._file is not None:
            self._file.close()

    def __iter__(self) -> Any:
        return iter(self._here())


class AtomicAzureBlobFile(AtomicLocalFile):
    """Bytes that are kept here until they are whole, and sent when it is closed."""

    def __init__(self, container: str, blob: str, client: AzureBlobClient, **kwargs: Any) -> None:
        self.container, self.blob, self.client, self.azure_blob_options = container, blob, client, kwargs
        super().__init__(f"{container}/{blob}")

    def move_to_final_destination(self) -> None:
        """Send it, if the attempt still holds its lease."""
        before_commit()
        self.client.upload(self.tmp_path, self.container, self.blob, **self.azure_blob_options)


class AzureBlobTarget(FileSystemTarget):
    """A blob. client: an `AzureBlobClient`. progress_callback: called with bytes sent, and all of them."""

    remote = True

    def __init__(
        self,
        container: str,
        blob: str,
        client: AzureBlobClient | None = None,
        format: Any = None,
        download_when_reading: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(f"{container}/{blob}")
        self.container, self.blob, self.client = container, blob, client or AzureBlobClient()
        self.format = get_default_format() if format is None else format
        self.download_when_reading, self.azure_blob_options = download_when_reading, kwargs

    @property
    def fs(self) -> AzureBlobClient:
        """The account's blobs."""
        return self.client

    def exists(self) -> bool:
        """Whether it is there. Raises TargetUnreachable where Azure gives no answer."""
        try:
            return super().exists()
        except TargetError:
            raise
        except Exception as cause:  # whatever azure-storage-blob raises
            raise TargetUnreachable(self, cause, hint="Are account and credentials right?") from cause

    def open(self, mode: str) -> Any:
        """A stream. What is written appears, whole, when it is closed."""
        if mode == "w":
            return laid_out(self.format, AtomicAzureBlobFile(self.container, self.blob, self.client, **self.azure_blob_options))
        if mode == "r":
            return self.format.pipe_reader(ReadableAzureBlobFile(self.container, self.blob, self.client, self.download_when_reading))
        raise ValueError(f'mode is "r" or "w" (the format says whether it is text), got {mode!r}')
