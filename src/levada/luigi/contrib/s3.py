"""Luigi's `S3Client` and `S3Target`, over boto3: its options, its errors, its resource as ``client.s3``.

New programs say ``FileTarget("s3://bucket/key")``, which promises more: of two writers of an object one wins. Here the later one does, as
old programs expect; an object appears whole or not at all in both, and the lease is asked before it does.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import Lock
from typing import TYPE_CHECKING, Any

from levada.errors import TargetError, TargetUnreachable
from levada.luigi.format import get_default_format
from levada.luigi.target import (
    AtomicLocalFile,
    FileAlreadyExists,
    FileSystem,
    FileSystemException,
    FileSystemTarget,
    MissingParentDirectory,
)
from levada.params import OptionalParameter, Parameter
from levada.targets.atomic import before_commit
from levada.task import ExternalTask

from ._clients import ReadOnly, bucket_and_key, laid_out
from ._clients import client as needed

if TYPE_CHECKING:
    from types import ModuleType

log = logging.getLogger("luigi-interface")

S3_DIRECTORY_MARKER_SUFFIX_0 = "_$folder$"
S3_DIRECTORY_MARKER_SUFFIX_1 = "/"

_AT_ONCE = 1000  # objects that one request may remove
_NOT_BOTO3S = {
    "encrypt_key": "say ServerSideEncryption='AES256'",
    "host": "say region_name or endpoint_url",
}


class InvalidDeleteException(FileSystemException):
    """What was to be removed may not be: a bucket, or a folder without ``recursive``."""

    code = "invalid-delete"


class FileNotFoundException(FileSystemException, FileNotFoundError):
    """There is no such object."""

    code = "file-not-found"


class DeprecatedBotoClientException(Exception):
    """An option that boto had and boto3 has not."""


class S3Client(FileSystem):
    """Objects of S3 as files. Options are those of ``[s3]`` in the configuration, then those given here; boto3 finds what is left out.

    aws_role_arn and aws_role_session_name among them: a role that is taken on first. The rest is for ``boto3.resource``.
    """

    DEFAULT_PART_SIZE = 8 << 20
    DEFAULT_THREADS = 100
    _s3: Any = None
    _process: int | None = 0  # which process it was made in; None: the program gave it

    def __init__(
        self,
        aws_access_key_id: str | None = None,
        aws_secret_access_key: str | None = None,
        aws_session_token: str | None = None,
        **kwargs: Any,
    ) -> None:
        given = {
            "aws_access_key_id": aws_access_key_id,
            "aws_secret_access_key": aws_secret_access_key,
            "aws_session_token": aws_session_token,
        }
        self._options = {**self._get_s3_config(), **kwargs, **{name: value for name, value in given.items() if value}}

    # -- the client ------------------------------------------------------------------------------

    @property
    def s3(self) -> Any:
        """boto3's resource, made when it is first asked for. Raises TargetError where boto3 is not installed."""
        if self._s3 is None or self._process not in (None, os.getpid()):
            with _making:  # boto3's first steps bear no company
                if self._s3 is None or self._process not in (None, os.getpid()):
                    self._s3, self._process = self._make(), os.getpid()
        return self._s3

    @s3.setter
    def s3(self, value: Any) -> None:
        self._s3, self._process = value, None

    @property
    def _client(self) -> Any:
        return self.s3.meta.client

    def _make(self) -> Any:
        boto3 = _boto3()
        options = dict(self._options)
        keys = {name: options.pop(name, None) for name in ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")}
        role, session = options.pop("aws_role_arn", None), options.pop("aws_role_session_name", None)
        if role and session:
            taken = boto3.client("sts").assume_role(RoleArn=role, RoleSessionName=session)["Credentials"]
            keys = {
                "aws_access_key_id": taken.get("AccessKeyId"),
                "aws_secret_access_key": taken.get("SecretAccessKey"),
                "aws_session_token": taken.get("SessionToken"),
            }
        try:
            return boto3.resource("s3", **keys, **options)
        except TypeError as cause:
            if "unexpected keyword" not in str(cause):
                raise
            raise DeprecatedBotoClientException(f"S3Client: boto3 takes no such option: {cause}") from cause

    @staticmethod
    def _get_s3_config(key: str | None = None) -> Any:
        from configparser import NoSectionError

        from levada.luigi.configuration import get_config

        config = get_config()
        try:
            section, everywhere = dict(config.items("s3")), dict(config.defaults())
        except (NoSectionError, KeyError):
            return {} if key is None else None
        found = {name: int(value) if str(value).isdecimal() else value for name, value in section.items()}
        if key is not None:
            return found.get(key)
        return {name: value for name, value in found.items() if name not in everywhere or str(value) != str(everywhere[name])}

    # -- questions -------------------------------------------------------------------------------

    def exists(self, path: str) -> bool:
        """Whether an object is there, or objects below it: a folder."""
        bucket, key = self._path_to_bucket_and_key(path)
        return self._is_root(key) or self._exists(bucket, key) or self.isdir(path)

    def isdir(self, path: str) -> bool:
        """Whether a path is a folder: marked as one, or with objects below it."""
        bucket, key = self._path_to_bucket_and_key(path)
        if self._is_root(key):
            return True
        if any(self._exists(bucket, key + mark) for mark in (S3_DIRECTORY_MARKER_SUFFIX_0, S3_DIRECTORY_MARKER_SUFFIX_1)):
            return True
        below = self._client.list_objects_v2(Bucket=bucket, Prefix=self._add_path_delimiter(key), MaxKeys=1)
        return bool(below.get("Contents"))

    is_dir = isdir

    def get_key(self, path: str) -> Any:
        """boto3's summary of an object; None where it is not there."""
        bucket, key = self._path_to_bucket_and_key(path)
        return self.s3.ObjectSummary(bucket, key) if self._exists(bucket, key) else None

    def listdir(
        self, path: str, start_time: datetime | None = None, end_time: datetime | None = None, return_key: bool = False
    ) -> Iterator[Any]:
        """Whole paths of the objects below a folder that were written between two times (with a zone). return_key: boto3's summaries."""
        bucket, key = self._path_to_bucket_and_key(path)
        folder, prefix = self._add_path_delimiter(path), self._add_path_delimiter(key)
        for item in self.s3.Bucket(bucket).objects.filter(Prefix=prefix):
            written = item.last_modified
            if (start_time is None or start_time < written) and (end_time is None or written < end_time):
                yield item if return_key else folder + item.key[len(prefix) :]

    def list(
        self, path: str, start_time: datetime | None = None, end_time: datetime | None = None, return_key: bool = False
    ) -> Iterator[Any]:
        """The same, as paths below the folder."""
        below = len(self._add_path_delimiter(path))
        for item in self.listdir(path, start_time=start_time, end_time=end_time, return_key=return_key):
            yield item if return_key else item[below:]

    # -- bytes -----------------------------------------------------------------------------------

    def put(self, local_path: str, destination_s3_path: str, **kwargs: Any) -> None:
        """Send a local file. kwargs: what boto3 calls ExtraArgs."""
        self.put_multipart(local_path, destination_s3_path, **kwargs)

    def put_multipart(self, local_path: str, destination_s3_path: str, part_size: int = DEFAULT_PART_SIZE, **kwargs: Any) -> None:
        """Send a local file, a large one in parts, which S3 joins."""
        self._check_deprecated_argument(**kwargs)
        bucket, key = self._path_to_bucket_and_key(destination_s3_path)
        with open(local_path, "rb") as file:
            self._client.upload_fileobj(
                Fileobj=file, Bucket=bucket, Key=key, Config=_transfer(multipart_chunksize=part_size), ExtraArgs=kwargs
            )

    def put_string(self, content: str | bytes, destination_s3_path: str, **kwargs: Any) -> None:
        """Make an object of this content. kwargs: those of boto3's ``put_object``."""
        self._check_deprecated_argument(**kwargs)
        bucket, key = self._path_to_bucket_and_key(destination_s3_path)
        self._client.put_object(Key=key, Bucket=bucket, Body=content, **kwargs)

    def get(self, s3_path: str, destination_local_path: str) -> None:
        """Bring an object to a local file."""
        bucket, key = self._path_to_bucket_and_key(s3_path)
        self._client.download_file(bucket, key, destination_local_path)

    def get_as_bytes(self, s3_path: str) -> bytes:
        """The bytes of an object."""
        bucket, key = self._path_to_bucket_and_key(s3_path)
        content: bytes = self.s3.Object(bucket, key).get()["Body"].read()
        return content

    def get_as_string(self, s3_path: str, encoding: str = "utf-8") -> str:
        """The text of an object."""
        return self.get_as_bytes(s3_path).decode(encoding)

    # -- changes ---------------------------------------------------------------------------------

    def remove(self, path: str, recursive: bool = True, skip_trash: bool = True) -> bool:
        """Remove an object, or a folder with all in it; whether there was something. Raises InvalidDeleteException."""
        bucket, key = self._path_to_bucket_and_key(path)
        if self._is_root(key):
            raise InvalidDeleteException(f"{path}: a bucket is not removed")
        if self._exists(bucket, key):
            self._client.delete_object(Bucket=bucket, Key=key)
            return True
        if not self.isdir(path):
            return False
        if not recursive:
            raise InvalidDeleteException(f"{path}: is a folder", hint="Say recursive=True to remove it with all in it.")
        doomed = [{"Key": item.key} for item in self.s3.Bucket(bucket).objects.filter(Prefix=self._add_path_delimiter(key))]
        if self._exists(bucket, mark := key + S3_DIRECTORY_MARKER_SUFFIX_0):
            doomed.append({"Key": mark})
        for at in range(0, len(doomed), _AT_ONCE):
            answer = self._client.delete_objects(Bucket=bucket, Delete={"Objects": doomed[at : at + _AT_ONCE]})
            if kept := answer.get("Errors"):  # S3 says yes to the request, and no to some of it
                one = kept[0]
                raise FileSystemException(
                    f"{path}: not all of it was removed; s3://{bucket}/{one.get('Key')} is there: {one.get('Message') or one.get('Code')}",
                    hint="May these credentials remove them?",
                )
        return bool(doomed)

    def move(self, source_path: str, destination_path: str, **kwargs: Any) -> None:  # type: ignore[override]  # Luigi's names
        """Copy, then remove: not one step, since S3 has none. To where it is already: nothing."""
        if source_path != destination_path:
            self.copy(source_path, destination_path, **kwargs)
            self.remove(source_path)

    def copy(  # type: ignore[override]  # Luigi's names
        self,
        source_path: str,
        destination_path: str,
        threads: int = DEFAULT_THREADS,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        part_size: int = DEFAULT_PART_SIZE,
        **kwargs: Any,
    ) -> tuple[int, int]:
        """Copy an object, or all below a folder; how many, and how many bytes. threads: at once. Times: as in `listdir`."""
        threads = max(3, threads)
        source_bucket, source = self._path_to_bucket_and_key(source_path)
        bucket, key = self._path_to_bucket_and_key(destination_path)
        config = _transfer(max_concurrency=threads, multipart_chunksize=part_size)

        def copy(from_key: str, to_key: str) -> None:
            self._client.copy({"Bucket": source_bucket, "Key": from_key}, bucket, to_key, Config=config, ExtraArgs=kwargs)

        if not self.isdir(source_path):
            size = int(self.s3.ObjectSummary(source_bucket, source).size)
            copy(source, key)
            return 1, size
        prefix, new = self._add_path_delimiter(source), self._add_path_delimiter(key)
        found = [
            item for item in self.listdir(source_path, start_time, end_time, return_key=True) if item.key[len(prefix) :] not in ("", "/")
        ]
        with ThreadPoolExecutor(threads, "s3-copy") as pool:
            for done in [pool.submit(copy, item.key, new + item.key[len(prefix) :]) for item in found]:
                done.result()
        return len(found), sum(item.size for item in found)

    def mkdir(self, path: str, parents: bool = True, raise_if_exists: bool = False) -> None:
        """Mark a path as a folder. Raises MissingParentDirectory, FileAlreadyExists."""
        if raise_if_exists and self.isdir(path):
            raise FileAlreadyExists(f"{path}: is there already")
        _, key = self._path_to_bucket_and_key(path)
        if self._is_root(key):
            return
        folder = self._add_path_delimiter(path)
        if not parents and not self.isdir(folder.rstrip("/").rpartition("/")[0]):
            raise MissingParentDirectory(f"{path}: the folder above it is not there")
        self.put_string("", folder)

    # -- names -----------------------------------------------------------------------------------

    @staticmethod
    def _path_to_bucket_and_key(path: str) -> tuple[str, str]:
        return bucket_and_key(path, "s3")

    @staticmethod
    def _is_root(key: str) -> bool:
        return key in ("", "/")

    @staticmethod
    def _add_path_delimiter(key: str) -> str:
        return key if key == "" or key.endswith("/") else f"{key}/"

    @staticmethod
    def _check_deprecated_argument(**kwargs: Any) -> None:
        for name, instead in _NOT_BOTO3S.items():
            if name in kwargs:
                raise DeprecatedBotoClientException(f"S3Client: {name} is an option of boto, and this is boto3: {instead}")

    def _exists(self, bucket: str, key: str) -> bool:
        from botocore.exceptions import ClientError

        try:
            self._client.head_object(Bucket=bucket, Key=key)  # by the client, which threads may share
        except ClientError as error:
            if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
                return False
            raise
        return True


_shared: dict[str, S3Client] = {}
_making = Lock()


def _forked() -> None:
    global _making
    _making = Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def _of_the_configuration() -> S3Client:
    """The client with the options of the configuration alone: one for all targets, since boto3 takes its time to make one."""
    made = S3Client()
    return _shared.setdefault(repr(sorted(made._options.items())), made) if type(made) is S3Client else made


def _boto3() -> ModuleType:
    return needed("boto3", wanted="luigi.contrib.s3", install="boto3")


def _transfer(**options: int) -> Any:
    from boto3.s3.transfer import TransferConfig

    return TransferConfig(**options)


class AtomicS3File(AtomicLocalFile):
    """Bytes that are kept here until they are whole, and sent when it is closed. kwargs: those of `S3Client.put_multipart`."""

    def __init__(self, path: str, s3_client: S3Client, **kwargs: Any) -> None:
        self.s3_client, self.s3_options = s3_client, kwargs
        super().__init__(path)

    def move_to_final_destination(self) -> None:
        """Send it, if the attempt still holds its lease."""
        before_commit()
        self.s3_client.put_multipart(self.tmp_path, self.path, **self.s3_options)


class ReadableS3File(ReadOnly):
    """The bytes of an object, as they come. s3_key: boto3's object or summary."""

    def __init__(self, s3_key: Any) -> None:
        self.s3_key = s3_key.get()["Body"]
        self.closed = False

    def read(self, size: int | None = None) -> bytes:
        """So many bytes, or all."""
        content: bytes = self.s3_key.read(None if size is None or size < 0 else size)
        return content

    def read1(self, size: int = -1) -> bytes:
        """Some bytes: for readers of text."""
        return self.read(size if size > 0 else 1 << 16)

    def close(self) -> None:
        """Give the connection back."""
        self.s3_key.close()
        self.closed = True

    def __del__(self) -> None:
        if not self.__dict__.get("closed", True):
            self.close()

    def __iter__(self) -> Iterator[bytes]:
        rest = b""
        for piece in self.s3_key:
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                yield line + b"\n"
        if rest:
            yield rest
        self.close()


class S3Target(FileSystemTarget):
    """An object of S3, or a folder. client: an `S3Client`; None for the configuration's. kwargs: see `AtomicS3File`."""

    remote = True
    fs: Any = None

    def __init__(self, path: str, format: Any = None, client: S3Client | None = None, **kwargs: Any) -> None:
        super().__init__(path)
        self.format = get_default_format() if format is None else format
        self.fs = client or _of_the_configuration()
        self.s3_options = kwargs

    def exists(self) -> bool:
        """Whether it is there. Raises TargetUnreachable where S3 gives no answer."""
        try:
            return super().exists()
        except TargetError:
            raise
        except Exception as cause:  # whatever boto3 raises: it is not known
            raise TargetUnreachable(self, cause, hint="May these credentials read and list the bucket, and is it there?") from cause

    def open(self, mode: str = "r") -> Any:
        """A stream. What is written appears, whole, when it is closed. Raises FileNotFoundException."""
        if mode == "w":
            return laid_out(self.format, AtomicS3File(self.path, self.fs, **self.s3_options))
        if mode != "r":
            raise ValueError(f'mode is "r" or "w" (the format says whether it is text), got {mode!r}')
        found = self.fs.get_key(self.path)
        if not found:
            raise FileNotFoundException(f"{self.path}: there is no such object")
        return self.format.pipe_reader(ReadableS3File(found))


class S3FlagTarget(S3Target):
    """A folder that exists when a file says that it is whole. path: ends with a slash. flag: the file's name."""

    def __init__(self, path: str, format: Any = None, client: S3Client | None = None, flag: str | None = "_SUCCESS") -> None:
        if not path.endswith("/"):
            raise ValueError(f"S3FlagTarget: a folder ends with a slash, got {path!r}")
        super().__init__(path, format, client)
        self.flag = flag

    def exists(self) -> bool:
        """Whether the flag is there. Raises TargetUnreachable where S3 gives no answer."""
        return S3Target(f"{self.path}{self.flag}", client=self.fs).exists()


class S3EmrTarget(S3FlagTarget):
    """`S3FlagTarget`, as it was called once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        import warnings

        warnings.warn("S3EmrTarget is the old name of S3FlagTarget", DeprecationWarning, stacklevel=2)
        super().__init__(*args, **kwargs)


class S3PathTask(ExternalTask):
    """An object or folder of S3 that others make."""

    path = Parameter()

    def output(self) -> S3Target:
        """The object."""
        return S3Target(self.path)


class S3EmrTask(ExternalTask):
    """A folder of S3 that others make, with ``_SUCCESS`` in it."""

    path = Parameter()

    def output(self) -> S3FlagTarget:
        """The folder."""
        return S3EmrTarget(self.path)


class S3FlagTask(ExternalTask):
    """A folder of S3 that others make, with a file in it that says that it is whole."""

    path = Parameter()
    flag = OptionalParameter(default=None)

    def output(self) -> S3FlagTarget:
        """The folder."""
        return S3FlagTarget(self.path, flag=self.flag or "_SUCCESS")
