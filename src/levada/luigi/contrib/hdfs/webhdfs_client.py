"""``WebHdfsClient``, by its old name: it asks the name node of its host as the native client does, not over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from levada.params import ChoiceParameter, IntParameter, StrParameter
from levada.task import Config

from .config import hdfs
from .hadoopcli_clients import HdfsClient


class webhdfs(Config):
    """The section ``[webhdfs]``, which old programs read."""

    port = IntParameter(default=50070, description="port of WebHDFS; not used.")
    user = StrParameter(default="", config_path={"section": "hdfs", "name": "user"}, description="user; HADOOP_USER_NAME says it.")
    client_type = ChoiceParameter(default="insecure", choices=("insecure", "kerberos"), var_type=str, description="not used.")


class WebHdfsClient(HdfsClient):
    """Files of HDFS, with the verbs of WebHDFS beside those of all clients. host: of the name node, else the configured one."""

    def __init__(self, host: str | None = None, port: int | None = None, user: str | None = None, client_type: str | None = None) -> None:
        self.host = host or hdfs().namenode_host
        self.port, self.user, self.client_type = port or webhdfs().port, user or webhdfs().user, client_type or webhdfs().client_type

    def _url(self, path: str) -> str:
        return path if "://" in path or not self.host else f"hdfs://{self.host.partition(';')[0]}{path}"

    def walk(self, path: str, depth: int = 1) -> Iterator[tuple[str, list[str], list[str]]]:
        """(folder, names of folders, names of files) from a folder down, so many levels; 0: all."""
        found = list(self.listdir(path, include_type=True))
        folders = [name.rpartition("/")[2] for name, kind in found if kind == "d"]
        yield path, folders, [name.rpartition("/")[2] for name, kind in found if kind != "d"]
        if depth != 1:
            for name in folders:
                yield from self.walk(f"{path.rstrip('/')}/{name}", depth - 1 if depth else 0)

    def upload(self, hdfs_path: str, local_path: str, overwrite: bool = False) -> None:
        """Copy a file of this machine there."""
        if overwrite and self.exists(hdfs_path) and not self.isdir(hdfs_path):
            self.remove(hdfs_path, recursive=False)
        self.put(local_path, hdfs_path)

    def download(self, hdfs_path: str, local_path: str, overwrite: bool = False, n_threads: int = -1) -> None:
        """Copy a file to this machine."""
        self.get(hdfs_path, local_path)

    def read(self, hdfs_path: str, offset: int = 0, length: int | None = None, buffer_char: str | None = None, **options: Any) -> bytes:
        """Bytes of a file."""
        with self._target(hdfs_path).open("rb") as stream:
            stream.seek(offset)
            return stream.read(-1 if length is None else length)
