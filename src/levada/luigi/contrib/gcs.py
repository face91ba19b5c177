"""Luigi's `GCSClient` and `GCSTarget`, over google-api-python-client.

New programs say ``FileTarget("gs://bucket/key")``, which promises more: of two writers of an object one wins. Here the later one does, as
old programs expect; an object appears whole or not at all in both, and the lease is asked before it does.
"""

from __future__ import annotations

import io
import logging
import mimetypes
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

from levada.errors import TargetError, TargetUnreachable
from levada.luigi.format import get_default_format
from levada.luigi.target import AtomicLocalFile, FileAlreadyExists, FileSystem, FileSystemException, FileSystemTarget, NotADirectory
from levada.targets.atomic import before_commit

from . import gcp
from ._clients import bucket_and_key, laid_out
from ._clients import client as needed

log = logging.getLogger("luigi-interface")

CHUNKSIZE = 10 << 20  # bytes in a request
DEFAULT_MIMETYPE = "application/octet-stream"

gcs_retry = gcp.again(5)


class InvalidDeleteException(FileSystemException):
    """What was to be removed may not be: a bucket, or a folder without ``recursive``."""

    code = "invalid-delete"


class GCSClient(FileSystem):
    """Objects of Google Cloud Storage as files. Without credentials it takes the default ones.

    descriptor: what googleapiclient is to know of the service, in place of what it brings. chunksize: bytes in a request.
    """

    def __init__(
        self,
        oauth_credentials: Any = None,
        descriptor: Any = "",
        http_: Any = None,
        chunksize: int = CHUNKSIZE,
        **discovery_build_kwargs: Any,
    ) -> None:
        self.chunksize = chunksize
        self.client = gcp.service(
            "storage", "v1", descriptor, **gcp.get_authenticate_kwargs(oauth_credentials, http_), **discovery_build_kwargs
        )

    # -- questions -------------------------------------------------------------------------------

    def exists(self, path: str) -> bool:
        """Whether an object is there, or objects below it: a folder."""
        bucket, key = self._path_to_bucket_and_key(path)
        return (not self._is_root(key) and self._obj_exists(bucket, key)) or self.isdir(path)

    def isdir(self, path: str) -> bool:
        """Whether a path is a folder: marked as one, or with objects below it; a bucket is one."""
        bucket, key = self._path_to_bucket_and_key(path)
        if self._is_root(key):
            return self._is_there(self.client.buckets().get(bucket=bucket))
        folder = self._add_path_delimiter(key)
        if self._obj_exists(bucket, folder):
            return True
        return bool(gcs_retry(self.client.objects().list(bucket=bucket, prefix=folder, maxResults=1).execute)().get("items"))

    def listdir(self, path: str) -> Iterator[str]:
        """Whole paths of all objects below a folder."""
        bucket, key = self._path_to_bucket_and_key(path)
        prefix = "" if self._is_root(key) else self._add_path_delimiter(key)
        for item in self._list_iter(bucket, prefix):
            yield self._add_path_delimiter(path) + item["name"][len(prefix) :]

    def list_wildcard(self, wildcard_path: str) -> Iterator[str]:
        """Whole paths of the objects of a folder that fit a name with one ``*``. Raises ValueError for other patterns."""
        folder, _, name = wildcard_path.rpartition("/")
        if "*" in folder or name.count("*") != 1:
            raise ValueError(f"{wildcard_path}: a pattern has one *, after the last slash")
        start, end = name.split("*")
        for path in self.listdir(folder):
            found = path[len(folder) + 1 :]
            if len(found) >= len(start) + len(end) and found.startswith(start) and found.endswith(end):
                yield path

    def _obj_exists(self, bucket: str, obj: str) -> bool:
        return self._is_there(self.client.objects().get(bucket=bucket, object=obj))

    @staticmethod
    def _is_there(request: Any) -> bool:
        try:
            gcs_retry(request.execute)()
        except Exception as error:
            if gcp.is_status(error, 404):
                return False
            raise
        return True

    def _list_iter(self, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
        request = self.client.objects().list(bucket=bucket, prefix=prefix)
        while request is not None:
            response = gcs_retry(request.execute)()
            yield from response.get("items", [])
            request = self.client.objects().list_next(request, response)

    # -- bytes -----------------------------------------------------------------------------------

    def put(self, filename: str, dest_path: str, mimetype: str | None = None, chunksize: int | None = None) -> None:
        """Send a local file. mimetype: None for what its name says."""
        http = _http()
        resumable = os.path.getsize(filename) > 0
        kind = mimetype or mimetypes.guess_type(dest_path)[0] or DEFAULT_MIMETYPE
        self._do_put(
            lambda: http.MediaFileUpload(filename, mimetype=kind, chunksize=chunksize or self.chunksize, resumable=resumable), dest_path
        )

    def put_multiple(
        self,
        filepaths: Iterable[str],
        remote_directory: str,
        mimetype: str | None = None,
        chunksize: int | None = None,
        num_process: int = 1,
    ) -> None:
        """Send local files into a folder, one after the other: Google's client bears no threads, so ``num_process`` is not heeded."""
        if isinstance(filepaths, str):
            raise ValueError(f"filepaths is a list of paths, got {filepaths!r}")
        for path in filepaths:
            self.put(path, f"{remote_directory.rstrip('/')}/{os.path.basename(path)}", mimetype, chunksize)

    def put_string(self, contents: str | bytes, dest_path: str, mimetype: str | None = None) -> None:
        """Make an object of this content."""
        content = contents.encode() if isinstance(contents, str) else contents
        kind = mimetype or mimetypes.guess_type(dest_path)[0] or DEFAULT_MIMETYPE
        http = _http()
        self._do_put(lambda: http.MediaIoBaseUpload(io.BytesIO(content), kind, resumable=bool(content)), dest_path)

    def _do_put(self, media: Callable[[], Any], dest_path: str) -> None:
        bucket, key = self._path_to_bucket_and_key(dest_path)

        def send() -> None:
            body = media()
            request = self.client.objects().insert(bucket=bucket, name=key, media_body=body)
            if not body.resumable():
                request.execute()
                return
            while request.next_chunk()[1] is None:
                pass

        gcs_retry(send)()

    def download(self, path: str, chunksize: int | None = None, chunk_callback: Callable[[IO[bytes]], bool] = lambda _: False) -> IO[bytes]:
        """The bytes of an object, in a nameless file here. chunk_callback: called with the file after a request; True: that is enough."""
        bucket, key = self._path_to_bucket_and_key(path)

        def bring() -> IO[bytes]:
            file = tempfile.NamedTemporaryFile()  # noqa: SIM115 - the caller closes it
            try:
                found = self.client.objects().get(bucket=bucket, object=key).execute()
                if int(found["size"]) > 0:  # a request for the bytes of an empty object fails
                    request = self.client.objects().get_media(bucket=bucket, object=key)
                    pieces = _http().MediaIoBaseDownload(file, request, chunksize=chunksize or self.chunksize)
                    done = False
                    while not done:
                        done = pieces.next_chunk()[1] or chunk_callback(file)
                file.seek(0)
            except BaseException:
                file.close()
                raise
            return file

        found: IO[bytes] = gcs_retry(bring)()
        return found

    # -- changes ---------------------------------------------------------------------------------

    def remove(self, path: str, recursive: bool = True, skip_trash: bool = True) -> bool:
        """Remove an object, or a folder with all in it; whether there was something. Raises InvalidDeleteException."""
        bucket, key = self._path_to_bucket_and_key(path)
        if self._is_root(key):
            raise InvalidDeleteException(f"{path}: a bucket is not removed")
        if self._obj_exists(bucket, key):
            self.client.objects().delete(bucket=bucket, object=key).execute()
            return True
        if not self.isdir(path):
            return False
        if not recursive:
            raise InvalidDeleteException(f"{path}: is a folder", hint="Say recursive=True to remove it with all in it.")
        for item in list(self._list_iter(bucket, self._add_path_delimiter(key))):
            self.client.objects().delete(bucket=bucket, object=item["name"]).execute()
        return True

    def mkdir(self, path: str, parents: bool = True, raise_if_exists: bool = False) -> None:
        """Mark a path as a folder. Raises FileAlreadyExists, NotADirectory."""
        if self.exists(path):
            if raise_if_exists:
                raise FileAlreadyExists(f"{path}: is there already")
            if not self.isdir(path):
                raise NotADirectory(f"{path}: is no folder")
            return
        self.put_string(b"", self._add_path_delimiter(path), mimetype="text/plain")

    def copy(self, source_path: str, destination_path: str) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]  # Luigi's names
        """Copy an object, or all below a folder."""
        source_bucket, source = self._path_to_bucket_and_key(source_path)
        bucket, key = self._path_to_bucket_and_key(destination_path)
        pairs = [(source, key)]
        if self.isdir(source_path):
            prefix, new = self._add_path_delimiter(source), self._add_path_delimiter(key)
            pairs = [(item["name"], new + item["name"][len(prefix) :]) for item in self._list_iter(source_bucket, prefix)]
        for old_name, new_name in pairs:
            request = self.client.objects().copy(
                sourceBucket=source_bucket, sourceObject=old_name, destinationBucket=bucket, destinationObject=new_name, body={}
            )
            gcs_retry(request.execute)()

    def move(self, source_path: str, destination_path: str) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]  # Luigi's names
        """Copy, then remove: not one step, since there is none. To where it is already: nothing."""
        if source_path != destination_path:
            self.copy(source_path, destination_path)
            self.remove(source_path)

    # -- names -----------------------------------------------------------------------------------

    @staticmethod
    def _path_to_bucket_and_key(path: str) -> tuple[str, str]:
        if not path.startswith("gs://"):
            raise ValueError(f"{path}: an object is gs://BUCKET/KEY")
        return bucket_and_key(path, "gs")

    @staticmethod
    def _is_root(key: str) -> bool:
        return key in ("", "/")

    @staticmethod
    def _add_path_delimiter(key: str) -> str:
        return key if key.endswith("/") else f"{key}/"


def _http() -> Any:
    return needed("googleapiclient.http", wanted="luigi.contrib.gcs", install="google-api-python-client")


class AtomicGCSFile(AtomicLocalFile):
    """Bytes that are kept here until they are whole, and sent when it is closed."""

    def __init__(self, path: str, gcs_client: GCSClient) -> None:
        self.gcs_client = gcs_client
        super().__init__(path)

    def move_to_final_destination(self) -> None:
        """Send it, if the attempt still holds its lease."""
        before_commit()
        self.gcs_client.put(self.tmp_path, self.path)


class GCSTarget(FileSystemTarget):
    """An object of Google Cloud Storage, or a folder. client: a `GCSClient`; None for one with the default credentials."""

    remote = True
    fs: Any = None

    def __init__(self, path: str, format: Any = None, client: GCSClient | None = None) -> None:
        super().__init__(path)
        self.format = get_default_format() if format is None else format
        self.fs = client or GCSClient()

    def exists(self) -> bool:
        """Whether it is there. Raises TargetUnreachable where there is no answer."""
        try:
            return super().exists()
        except TargetError:
            raise
        except Exception as cause:  # googleapiclient's, and those of its connections
            raise TargetUnreachable(self, cause, hint="May these credentials read and list the bucket, and is it there?") from cause

    def open(self, mode: str = "r") -> Any:
        """A stream. What is written appears, whole, when it is closed."""
        if mode == "w":
            return laid_out(self.format, AtomicGCSFile(self.path, self.fs))
        if mode == "r":
            return self.format.pipe_reader(self.fs.download(self.path))
        raise ValueError(f'mode is "r" or "w" (the format says whether it is text), got {mode!r}')


class GCSFlagTarget(GCSTarget):
    """A folder that exists when a file says that it is whole. path: ends with a slash. flag: the file's name."""

    def __init__(self, path: str, format: Any = None, client: GCSClient | None = None, flag: str = "_SUCCESS") -> None:
        if not path.endswith("/"):
            raise ValueError(f"GCSFlagTarget: a folder ends with a slash, got {path!r}")
        super().__init__(path, format, client)
        self.flag = flag

    def exists(self) -> bool:
        """Whether the flag is there. Raises TargetUnreachable where there is no answer."""
        return GCSTarget(f"{self.path}{self.flag}", client=self.fs).exists()
