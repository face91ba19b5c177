"""What asyncssh and servers say, in our words: what was wrong, and the next step for its kind."""

from __future__ import annotations

import errno

from levada.errors import EngineUnreachable, TargetError, TargetUnreachable, TargetWriteError

_KEYS = "Keys come from the agent (SSH_AUTH_SOCK), ~/.ssh and ~/.ssh/config, or from key_file; `ssh -v` shows what the host takes."
_KNOWN = (
    "Compare its key (`ssh-keyscan HOST` shows it) with what its owner says, and put it into ~/.ssh/known_hosts, or log in once by `ssh`."
)
_UP = "Is the host up, sshd running, and the address right?"

# Class of asyncssh's error; errno, what is wrong ("" for the server's own words alone), the next step.
_MEANINGS: dict[str, tuple[int, str, str]] = {
    "HostKeyNotVerifiable": (errno.EACCES, "the key of the host is not known, or is another one than before", _KNOWN),
    "PermissionDenied": (errno.EACCES, "the host lets nobody in with these keys", _KEYS),
    "KeyImportError": (errno.EACCES, "a key cannot be read", _KEYS),
    "KeyEncryptionError": (errno.EACCES, "a key needs its passphrase", "Put it into the agent: `ssh-add KEY`."),
    "ConfigParseError": (errno.EINVAL, "the configuration of SSH cannot be read", "Look at ~/.ssh/config, or what `[ssh] config` names."),
    "ChannelOpenError": (errno.ECONNREFUSED, "the host opens no session", "Does its sshd allow SFTP and commands, with MaxSessions of 10?"),
    "SFTPNoSuchFile": (errno.ENOENT, "there is no such file or folder", "Is a part of the path a file, or was it removed meanwhile?"),
    "SFTPPermissionDenied": (errno.EACCES, "permission denied", "May this user do that there?"),
    "SFTPFailure": (errno.EIO, "the server only says that it failed", "Is its disk full, a quota used up, or the path a folder?"),
    "SFTPNoSpaceOnFilesystem": (errno.ENOSPC, "there is no room", "Make room on the disk of the host, then run again."),
    "SFTPQuotaExceeded": (errno.EDQUOT, "the quota is used up", "Remove files, or have it raised."),
    "SFTPWriteProtect": (errno.EROFS, "it is mounted read-only", "Mount it writable, or write elsewhere."),
    "SFTPBadMessage": (errno.EINVAL, "the server does not take this name", "Is a part of it longer than 255 bytes?"),
    "SFTPOpUnsupported": (errno.ENOTSUP, "the server cannot do that", "Is it one of OpenSSH?"),
}


def is_lost(cause: BaseException) -> bool:
    """Whether there was no answer: what was asked may have been done."""
    import asyncssh

    if isinstance(cause, (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, asyncssh.DisconnectError, asyncssh.ChannelOpenError)):
        return True
    return isinstance(cause, OSError) and not isinstance(cause, (TargetError, FileNotFoundError, IsADirectoryError))


def is_absent(cause: BaseException) -> bool:
    """Whether the server said that nothing is at the path."""
    import asyncssh

    return isinstance(cause, (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath, asyncssh.SFTPNotADirectory))


def _meaning(cause: BaseException) -> tuple[int, str, str]:
    text = " ".join(str(cause).split()) or type(cause).__name__
    for cls in type(cause).__mro__:
        if cls.__name__ in _MEANINGS:
            number, what, step = _MEANINGS[cls.__name__]
            return number, f"{what}: {text}", step
    if is_lost(cause):
        return errno.EHOSTUNREACH, f"no connection: {text}", _UP
    return errno.EIO, text, "The log of sshd on the host says more."


def no_answer(url: str, cause: BaseException, *, reading: bool = False) -> TargetError:
    """The error of a question that could not be answered, or of bytes that were not given."""
    if isinstance(cause, TargetError):
        return cause
    _, what, step = _meaning(cause)
    error = TargetUnreachable(url, what, hint=f"What depends on it was not started. {step}")
    if reading:
        error.message, error.hint = f"{url}: cannot be read: {what}", step
    error.__cause__ = cause
    return error


def not_done(url: str, cause: BaseException, deed: str = "written") -> TargetError:
    """The error of a write, or of another deed, that the server refused or did not answer."""
    if isinstance(cause, TargetError):
        return cause
    number, what, step = _meaning(cause)
    error = TargetWriteError(f"{url}: could not be {deed}: {what}", hint=f"{step} Nothing half-done is seen.")
    error.errno, error.strerror, error.filename = number, what, url
    error.__cause__ = cause
    return error


def engine_away(address: str, cause: BaseException) -> EngineUnreachable:
    """The error of an engine whose host did not answer."""
    _, what, step = _meaning(cause)
    error = EngineUnreachable(f"{address}: {what}", hint=f"Nothing is known of its jobs; they go on. {step}")
    error.__cause__ = cause
    return error
