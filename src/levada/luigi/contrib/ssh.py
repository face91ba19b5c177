"""Luigi's `RemoteContext`, `RemoteFileSystem` and `RemoteTarget`: commands and files of another host, by the program ``ssh``.

New programs say ``FileTarget("sftp://host/path")``, which keeps one connection. This starts ``ssh`` for each question, and so needs no more
than what a shell on this machine needs: its configuration, keys and agent count.
"""

from __future__ import annotations

import os
import posixpath
import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from levada.errors import TargetUnreachable
from levada.luigi.format import InputPipeProcessWrapper, OutputPipeProcessWrapper, get_default_format
from levada.luigi.target import FileAlreadyExists, FileSystem, FileSystemTarget, MissingParentDirectory, NotADirectory
from levada.targets.atomic import before_commit
from levada.targets.folder import drafted

from ._clients import laid_out, temporary


class RemoteCalledProcessError(subprocess.CalledProcessError):
    """A command failed on another host; 255 is also the status of ``ssh`` where it came to no command."""

    def __init__(self, returncode: int, command: Any, host: str, output: Any = None) -> None:
        super().__init__(returncode, command, output)
        self.host = host

    def __str__(self) -> str:
        return f"the command {self.cmd!r} on {self.host} ended with exit status {self.returncode}"


class RemoteContext:
    """How a host is reached. Options: username, key_file, port, connect_timeout (seconds), no_host_key_check, tty, and sshpass.

    sshpass: whether the program of this name gives the password of the environment's SSHPASS.
    """

    def __init__(self, host: str, **kwargs: Any) -> None:
        self.host = host
        self.username = kwargs.get("username")
        self.key_file = kwargs.get("key_file")
        self.connect_timeout = kwargs.get("connect_timeout")
        self.port = kwargs.get("port")
        self.no_host_key_check = kwargs.get("no_host_key_check", False)
        self.sshpass = kwargs.get("sshpass", False)
        self.tty = kwargs.get("tty", False)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.host!r}, {self.username!r}, {self.key_file!r}, {self.connect_timeout!r}, {self.port!r})"

    def __eq__(self, other: object) -> bool:
        return repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def _host_ref(self) -> str:
        return f"{self.username}@{self.host}" if self.username else self.host

    def _options(self) -> list[str]:
        """What ``ssh`` and ``scp`` are told alike, but for the port."""
        found = ["-o", "ControlMaster=no"]
        if not self.sshpass:
            found += ["-o", "BatchMode=yes"]  # nobody is there who could be asked
        if self.connect_timeout is not None:
            found += ["-o", f"ConnectTimeout={int(self.connect_timeout)}"]
        if self.no_host_key_check:
            found += ["-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=no"]
        if self.key_file:
            found += ["-i", str(self.key_file)]
        return found

    def _prepare_cmd(self, cmd: Sequence[str]) -> list[str]:
        """The command as it is started here."""
        password = ["sshpass", "-e"] if self.sshpass else []
        port = ["-p", str(self.port)] if self.port else []
        return [*password, "ssh", self._host_ref(), *self._options(), *port, *(["-t"] if self.tty else []), *cmd]

    def Popen(self, cmd: Sequence[str], **kwargs: Any) -> Any:
        """The command, started. cmd: words that the shell there reads, joined with blanks. kwargs: those of subprocess.Popen."""
        return subprocess.Popen(self._prepare_cmd(cmd), **kwargs)

    def check_output(self, cmd: Sequence[str]) -> bytes:
        """What the command printed. Raises RemoteCalledProcessError."""
        process = self.Popen(cmd, stdout=subprocess.PIPE)
        output: bytes = process.communicate()[0]
        if process.returncode != 0:
            raise RemoteCalledProcessError(process.returncode, cmd, self.host, output=output)
        return output

    @contextmanager
    def tunnel(self, local_port: int, remote_port: int | None = None, remote_host: str = "localhost") -> Iterator[None]:
        """Inside of the block a port of this machine leads to one that the host sees. Raises RemoteCalledProcessError where it did not."""
        command = ["-L", f"{local_port}:{remote_host}:{remote_port}", "echo -n ready && cat"]
        process = self.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            if process.stdout.read(5) != b"ready":
                process.communicate()
                raise RemoteCalledProcessError(process.returncode, command, self.host)
            yield
        finally:
            process.communicate()  # the end of its input is the end of the tunnel
        if process.returncode != 0:
            raise RemoteCalledProcessError(process.returncode, command, self.host)


_NEEDS_QUOTES = re.compile(r"[\s'\"\\;&|<>(){}`#!]")


def _word(path: str) -> str:
    """A path as one word for the shell there, which still knows ``~`` and ``$HOME`` in it."""
    if not _NEEDS_QUOTES.search(path):
        return path
    home, rest = ("~/", path[2:]) if path.startswith("~/") else ("", path)
    return home + shlex.quote(rest)


class RemoteFileSystem(FileSystem):
    """Files of another host. Options: those of `RemoteContext`."""

    def __init__(self, host: str, **kwargs: Any) -> None:
        self.remote_context = RemoteContext(host, **kwargs)

    def exists(self, path: str) -> bool:
        """Whether a file or folder is there. Raises RemoteCalledProcessError where the host did not tell."""
        return self._holds("test", "-e", _word(path))

    def isdir(self, path: str) -> bool:
        """Whether a folder is there. Raises RemoteCalledProcessError where the host did not tell."""
        return self._holds("test", "-d", _word(path))

    def _holds(self, *command: str) -> bool:
        try:
            self.remote_context.check_output(command)
        except RemoteCalledProcessError as error:
            if error.returncode == 1:
                return False
            raise
        return True

    def listdir(self, path: str) -> list[str]:
        """Paths of all files below a folder."""
        listing = self.remote_context.check_output(["find", "-L", _word(path.rstrip("/") or "."), "-type", "f"])
        return [os.fsdecode(name) for name in listing.split(b"\n") if name]

    def remove(self, path: str, recursive: bool = True, skip_trash: bool = True) -> None:
        """Remove a file, or a folder with all in it."""
        self.remote_context.check_output(["rm", "-r", _word(path)] if recursive else ["rm", _word(path)])

    def mkdir(self, path: str, parents: bool = True, raise_if_exists: bool = False) -> None:
        """Make a folder. Raises MissingParentDirectory, FileAlreadyExists, NotADirectory."""
        if self.exists(path):
            if raise_if_exists:
                raise FileAlreadyExists(f"{path}: is there already")
            if not self.isdir(path):
                raise NotADirectory(f"{path}: is no folder")
            return
        try:
            self.remote_context.check_output(["mkdir", "-p", _word(path)] if parents else ["LC_ALL=C", "mkdir", _word(path), "2>&1"])
        except RemoteCalledProcessError as error:
            if b"no such file" in error.output.lower():
                raise MissingParentDirectory(f"{path}: the folder above it is not there") from error
            raise

    def put(self, local_path: str, path: str) -> None:
        """Send a file or folder; it gets its name when all of it is there."""
        folder = posixpath.dirname(posixpath.normpath(path))
        if folder:
            self.remote_context.check_output(["mkdir", "-p", _word(folder)])
        draft = temporary(path)
        self._scp(local_path, f"{self.remote_context._host_ref()}:{draft}")
        before_commit()
        self.remote_context.check_output(["mv", _word(draft), _word(path)])

    def get(self, path: str, local_path: str) -> None:
        """Bring a file here; it gets its name when all of it is here."""
        with drafted(local_path, replace=True, durable=False) as draft:
            self._scp(f"{self.remote_context._host_ref()}:{path}", draft)

    def _scp(self, source: str, destination: str) -> None:
        context = self.remote_context
        command = ["sshpass", "-e"] if context.sshpass else []
        command += ["scp", "-q", "-C", *context._options(), *(["-P", str(context.port)] if context.port else [])]
        command += ["-r"] if os.path.isdir(source) else []
        command += [source, destination]
        status = subprocess.run(command, check=False).returncode
        if status != 0:
            raise RemoteCalledProcessError(status, command, context.host)


class AtomicRemoteFileWriter(OutputPipeProcessWrapper):
    """A file of another host that is written there under another name, and gets its own when it is closed."""

    def __init__(self, fs: RemoteFileSystem, path: str) -> None:
        self._fs, self.path = fs, path
        folder = posixpath.dirname(posixpath.normpath(path))
        if folder:
            fs.mkdir(folder)
        self._temporary = temporary(path)
        super().__init__(fs.remote_context._prepare_cmd(["cat", ">", _word(self._temporary)]))

    @property
    def fs(self) -> RemoteFileSystem:
        """Where it is written."""
        return self._fs

    @property
    def tmp_path(self) -> str:
        """Its name until then."""
        return self._temporary

    def close(self) -> None:
        """Wait until the host has all of it, and give it its name. Raises RemoteCalledProcessError, PipeFailed."""
        if self.closed:
            return
        try:
            super().close()
            before_commit()
            self._fs.remote_context.check_output(["mv", _word(self._temporary), _word(self.path)])
        except BaseException:
            self._forget()
            raise

    def abort(self) -> None:
        """Give it up; nothing is left there."""
        if not self.closed:
            super().abort()
            self._forget()

    def _forget(self) -> None:
        try:
            self._fs.remote_context.check_output(["rm", "-f", _word(self._temporary)])
        except Exception:  # noqa: S110 - the host is away, and the file has a temporary's name
            pass


class RemoteTarget(FileSystemTarget):
    """A file of another host: ``RemoteTarget("/data/a.txt", "node7")``. Options: those of `RemoteContext`."""

    remote = True

    def __init__(self, path: str, host: str, format: Any = None, **kwargs: Any) -> None:
        super().__init__(path)
        self.format = get_default_format() if format is None else format
        self._fs = RemoteFileSystem(host, **kwargs)

    @property
    def fs(self) -> RemoteFileSystem:
        """The host's files."""
        return self._fs

    def exists(self) -> bool:
        """Whether it is there. Raises TargetUnreachable where the host did not tell."""
        try:
            return super().exists()
        except (subprocess.CalledProcessError, OSError) as cause:
            where = f"{self._fs.remote_context._host_ref()}:{self.path}"
            hint = f"Does `ssh {self._fs.remote_context._host_ref()} true` work for this user, without a question?"
            raise TargetUnreachable(where, cause, hint=hint) from cause

    def open(self, mode: str = "r") -> Any:
        """A stream. What is written gets its name when it is closed."""
        if mode == "w":
            return laid_out(self.format, AtomicRemoteFileWriter(self._fs, self.path))
        if mode == "r":
            return self.format.pipe_reader(InputPipeProcessWrapper(self._fs.remote_context._prepare_cmd(["cat", _word(self.path)])))
        raise ValueError(f'mode is "r" or "w" (the format says whether it is text), got {mode!r}')

    def put(self, local_path: str) -> None:
        """Make it of a local file, whose bytes are taken as they are."""
        self._fs.put(local_path, self.path)

    def get(self, local_path: str) -> None:
        """Copy its bytes to a local file."""
        self._fs.get(self.path, local_path)
