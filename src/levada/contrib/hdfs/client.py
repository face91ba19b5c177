"""The client of name nodes (hdfs-native, no JVM): one a process and address, and what its errors mean.

Laws: a question has an answer, an error or an end (`ANSWER` seconds), and can be interrupted meanwhile; a forked
child never touches what its parent's client holds; foreign errors are translated here and nowhere else.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable
from threading import Lock, Thread
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from levada._model.values import NamedTuple
from levada.errors import TargetError, TargetUnreachable, TargetWriteError

if TYPE_CHECKING:
    from hdfs_native import Client

P = ParamSpec("P")
T = TypeVar("T")

ANSWER = 60.0  # seconds that a name node or data node may take for one answer
NAME_NODE_PORT = 8020  # where name nodes listen unless told otherwise
ATTEMPTS = "dfs.client.failover.max.attempts"
PATIENCE = {ATTEMPTS: "6", "dfs.client.failover.sleep.max.millis": "4000"}  # some ten seconds; Hadoop's own word is two minutes
BELIEVED_AWAY = 2.0  # seconds
CONNECTIONS_KEPT = 4.0  # seconds; the client keeps those to data nodes for three

# -- one client a process ----------------------------------------------------------------------

_clients: dict[str, Client] = {}  # by authority; a forked child begins with none
_making = Lock()
_data_until = 0.0  # when connections to data nodes that this process, or the one it was forked from, has used are given up


def _forked() -> None:
    global _making, _clients
    _making, _clients = Lock(), {}


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def client_for(authority: str) -> Client:
    """The client of this process for ``host:port``, a name service, or "" (``[hdfs] namenode``, ``fs.defaultFS``). Raises TargetError."""
    found = _clients.get(authority)
    if found is None:
        with _making:
            found = _clients.get(authority) or _make(authority)
            _clients[authority] = found
    return found


def _make(authority: str) -> Client:
    try:
        import hdfs_native
    except ImportError as cause:
        raise TargetError(
            f"hdfs://{authority}: name nodes are spoken to by the package hdfs-native, which is not there ({cause})",
            hint='pip install "levada[hdfs]". Without a cluster, `[hdfs] local_root` keeps hdfs:// paths in a local folder.',
        ) from cause
    wanted = authority or _configured()
    try:
        try:
            made = hdfs_native.Client(f"hdfs://{wanted}" if wanted else None, _patience())
        except RuntimeError as cause:
            if "No NameNode hosts found" not in str(cause) or not wanted or ":" in wanted:
                raise
            made = hdfs_native.Client(f"hdfs://{wanted}:{NAME_NODE_PORT}", _patience())  # no name service: a host
    except Exception as cause:
        raise _unusable(authority, cause) from cause
    _keep_for_ever(made)
    return made


def _configured() -> str:
    from levada.config import setting

    return str(setting("hdfs", "namenode") or "").removeprefix("hdfs://").rstrip("/")


def _patience() -> dict[str, str]:
    """How long the client tries name nodes that are away or standby, unless the Hadoop configuration says it."""
    return {} if _hadoop_says(ATTEMPTS) else PATIENCE


def _hadoop_says(key: str) -> bool:
    home = os.environ.get("HADOOP_HOME")
    folder = os.environ.get("HADOOP_CONF_DIR") or (f"{home}/etc/hadoop" if home else "")
    for name in ("core-site.xml", "hdfs-site.xml") if folder else ():
        try:
            with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
                if f">{key}<" in file.read():
                    return True
        except OSError:
            continue
    return False


def _keep_for_ever(made: object) -> None:
    """Let it never be freed: a forked child that frees its parent's client waits for threads that it does not have."""
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(made))


def _unusable(authority: str, cause: Exception) -> TargetError:
    failure = read_failure(cause)
    if "fs.defaultFS" in failure.text or "must contain a host" in failure.text:
        return TargetError(
            "hdfs:///: no name node is named, by the path, `[hdfs] namenode` or fs.defaultFS of the Hadoop configuration",
            hint="Let HADOOP_CONF_DIR name the folder of core-site.xml, or write hdfs://HOST:PORT/PATH. "
            "Without a cluster, `[hdfs] local_root` in levada.toml keeps hdfs:// paths in a local folder.",
        )
    return TargetError(
        f"hdfs://{authority}: cannot be used: {failure.text}",
        hint="Is it HOST:PORT, or a name service of the Hadoop configuration that HADOOP_CONF_DIR names?",
    )


# -- asking ------------------------------------------------------------------------------------


_away: dict[str, tuple[float, BaseException]] = {}


def ask_name_node(authority: str, act: Callable[P, T], *arguments: P.args, **more: P.kwargs) -> T:
    """A question to the name node; the error is that of a moment ago where it could not be reached then.

    Each question to one that is away takes the client's whole patience, and a plan may have thousands.
    """
    until, before = _away.get(authority, (0.0, None))
    if before is not None and time.monotonic() < until:
        raise before.with_traceback(None)  # else its traceback grows with each question
    try:
        return ask(act, *arguments, **more)
    except Exception as cause:
        if is_connection(cause):
            _away[authority] = (time.monotonic() + BELIEVED_AWAY, cause)
        raise


class Silence(Exception):
    """There was no answer in time; whether the deed was done is not known."""


def ask(act: Callable[P, T], *arguments: P.args, **more: P.kwargs) -> T:
    """What the client answers, or the error it raises. Raises Silence after `ANSWER` seconds.

    In a thread, since its calls neither end by themselves where a server hangs, nor listen to signals.
    """
    answer: list[T] = []
    failed: list[BaseException] = []
    over = Lock()
    over.acquire()

    def call() -> None:
        try:
            answer.append(act(*arguments, **more))
        except BaseException as cause:
            failed.append(cause)
        finally:
            over.release()

    try:
        Thread(target=call, name="levada-hdfs", daemon=True).start()
    except RuntimeError:  # the interpreter is going down: no threads any more
        return act(*arguments, **more)
    if not over.acquire(timeout=ANSWER):
        raise Silence(f"no answer for {ANSWER:g} s")
    if failed:
        raise failed[0]
    return answer[0]


def ask_data(act: Callable[P, T], *arguments: P.args, **more: P.kwargs) -> T:
    """The same for what speaks to data nodes.

    The client keeps idle connections to those for all its objects. A child forked lately holds copies of its parent's;
    it waits until they count as too old.
    """
    global _data_until
    if _data_of != os.getpid():
        _take_over_data()
    try:
        return ask(act, *arguments, **more)
    finally:
        _data_until = time.monotonic() + CONNECTIONS_KEPT


_data_of = os.getpid()


def _take_over_data() -> None:
    global _data_of
    _data_of = os.getpid()
    left = _data_until - time.monotonic()
    if left > 0:
        time.sleep(left)


# -- errors ------------------------------------------------------------------------------------


class Failure(NamedTuple):
    """What the client said: the last part of Java's class (or "io", "client"), and its text without the stack."""

    kind: str
    text: str


_RPC = re.compile(r'(?:Fatal)?RPCError\("(?P<kind>[^"]*)", "(?P<text>.*)"\)', re.DOTALL)
_AS_NAMED = re.compile(r'(?P<kind>\w+)\("(?P<text>.*)"\)', re.DOTALL)


def read_failure(cause: BaseException) -> Failure:
    """What an error of the client says.

    >>> read_failure(RuntimeError('RPCError("org.apache.hadoop.ipc.StandbyException", "READ is not supported\\\\n\\\\tat java")'))
    Failure(kind='StandbyException', text='READ is not supported')
    """
    text = str(cause)
    if isinstance(cause, Silence):
        return Failure("io", text)
    if isinstance(cause, OSError):
        return Failure("io", _first_line(text))
    match = _RPC.fullmatch(text)
    if match:
        return Failure(re.split(r"[.$]", match["kind"])[-1], _first_line(match["text"]))
    match = _AS_NAMED.fullmatch(text)
    return Failure("client", _first_line(match["text"]) if match else _first_line(text))


def _first_line(text: str) -> str:
    return re.split(r"\n\s*at |\\n\\tat |\n|\\n|: \[DatanodeInfo", text, maxsplit=1)[0].replace('\\"', '"').strip()


_WHO = "HADOOP_USER_NAME, or the Kerberos ticket, says who asks"
_TICKET = "`klist` shows the Kerberos ticket, `kinit` gets one"
NOT_A_FOLDER = ("(is not a directory)", "inode is not a directory")  # in Hadoop 3, and in 2
_FILE_ABOVE = (errno.ENOTDIR, "a part of the path is a file where a folder is needed", "Write elsewhere, or remove that file.")

# A word of the error's class or text; errno, what is wrong, the next step.
_MEANINGS: tuple[tuple[str, tuple[int, str, str]], ...] = (
    ("SafeModeException", (errno.EROFS, "the name node is in safe mode", "It ends by itself, or `hdfs dfsadmin -safemode leave` does.")),
    ("StandbyException", (errno.EAGAIN, "no name node is active", "Is a failover under way? `hdfs haadmin -getAllServiceState` tells.")),
    ("RetriableException", (errno.EAGAIN, "the name node asks to come again later", "Run again in a moment.")),
    *((words, _FILE_ABOVE) for words in NOT_A_FOLDER),
    ("ParentNotDirectoryException", _FILE_ABOVE),
    ("AccessControlException", (errno.EACCES, "permission denied", f"{_WHO}: may this user do that there?")),
    ("AuthorizationException", (errno.EACCES, "this user may not use the cluster", f"{_WHO}.")),
    ("QuotaExceeded", (errno.EDQUOT, "the quota is used up", "`hdfs dfs -count -q -h FOLDER` shows it: remove files, or have it raised.")),
    ("PathComponentTooLong", (errno.ENAMETOOLONG, "the name is too long", "Choose a shorter name (HDFS takes 255 bytes).")),
    ("InvalidPathException", (errno.EINVAL, "HDFS takes no such name", 'No part of a path may be "." or "..", or hold a colon.')),
    ("must both be directories", (errno.EISDIR, "there is a folder of this name", "Remove it, or write elsewhere.")),
    ("non empty", (errno.ENOTEMPTY, "it is a folder with files", "Remove what is in it first, or say recursive=True.")),
    ("is not empty", (errno.ENOTEMPTY, "there is a folder of this name, with files", "Remove it, or write elsewhere.")),
    ("All DataNodes failed", (errno.EIO, "no data node gave the bytes", "Are data nodes up? `hdfs dfsadmin -report` tells.")),
    ("could only be ", (errno.ENOSPC, "no data node takes the bytes", "Are data nodes up, with room? `hdfs dfsadmin -report` tells.")),
    ("SASLError", (errno.EACCES, "the name node did not believe who asks", f"{_TICKET}.")),
    ("GSSAPIError", (errno.EACCES, "Kerberos gave no credentials", f"{_TICKET}; libgssapi_krb5 must be installed.")),
    ("NoSASLMechanism", (errno.EACCES, "the cluster wants another way to say who asks", "Does HADOOP_CONF_DIR name its configuration?")),
)


def _meaning(failure: Failure) -> tuple[int | None, str, str]:
    for word, (number, what, step) in _MEANINGS:
        if word in failure.kind or word in failure.text:
            return number, f"{what}: {failure.text}", step
    if failure.kind == "io":
        return (
            errno.EHOSTUNREACH,
            f"no connection to HDFS: {failure.text}",
            "Are the name node and the data nodes up, and is the address right?",
        )
    where = "" if failure.kind in ("client", "IOException") else f"{failure.kind}: "
    return None, f"{where}{failure.text}", "The log of the name node says more."


def no_answer(url: str, cause: BaseException, *, reading: bool = False) -> TargetError:
    """The error of a question that could not be answered, or of bytes that were not given."""
    if isinstance(cause, TargetError):
        return cause
    _, what, step = _meaning(read_failure(cause))
    error = TargetUnreachable(url, what)
    if reading:
        error.message, error.hint = f"{url}: cannot be read: {what}", step
    else:
        error.hint = f"What depends on it was not started. {step}"
    error.__cause__ = cause
    return error


def not_done(url: str, cause: BaseException, deed: str = "written") -> TargetError:
    """The error of a write, or of another deed, that HDFS refused."""
    if isinstance(cause, TargetError):
        return cause
    number, what, step = _meaning(read_failure(cause))
    error = TargetWriteError(f"{url}: could not be {deed}: {what}", hint=f"{step} Nothing half-done is seen.")
    error.errno, error.strerror, error.filename = number, what, url
    error.__cause__ = cause
    return error


def may_be_done(cause: BaseException) -> bool:
    """Whether a rename that failed may have been done: its answer was lost, and the client, which asks again, found nothing to rename."""
    return is_gone(cause) or is_connection(cause)


def is_connection(cause: BaseException) -> bool:
    """Whether there was no answer: what was asked may have been done."""
    return isinstance(cause, Silence) or (
        isinstance(cause, OSError) and not isinstance(cause, (FileNotFoundError, FileExistsError, IsADirectoryError))
    )


def is_nowhere(cause: BaseException) -> bool:
    """Whether nothing can be at the path: a part of it is a file, or HDFS takes no such name."""
    failure = read_failure(cause)
    if failure.kind in ("ParentNotDirectoryException", "InvalidPathException"):
        return True
    return any(words in failure.text for words in NOT_A_FOLDER)


def is_gone(cause: BaseException) -> bool:
    """Whether a file that was being written is not there any more."""
    return isinstance(cause, FileNotFoundError) or read_failure(cause).kind == "LeaseExpiredException"
