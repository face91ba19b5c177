"""Commands on other hosts, to their end: what Luigi's RemoteContext was used for."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from levada.errors import EngineUnreachable

from .troubles import engine_away, is_lost

if TYPE_CHECKING:
    from .client import Done, Place

SECONDS = 3600.0


def check_output(
    host: str,
    argv: Sequence[str],
    *,
    user: str = "",
    port: int | None = None,
    key_file: str = "",
    input: bytes = b"",
    timeout: float = SECONDS,
) -> bytes:
    """What a command wrote to its standard output on another host.

    argv: program and arguments, as the host's shell is to see them: nothing in them is expanded. input: its standard input.
    timeout: seconds. Raises subprocess.CalledProcessError with ``output`` and ``stderr`` where its exit status is not 0, and
    EngineUnreachable where the host did not answer or the time was up; whether it was run is not known then. For work that takes
    long, and must survive a cut connection, there is the engine ``ssh://``.
    """
    from subprocess import CalledProcessError

    from .client import Place

    if isinstance(argv, (str, bytes)) or not argv:
        raise ValueError(f"argv must be a list: program and arguments, got {argv!r}")
    place = Place(host, user, port, key_file)
    done = run(place, shlex.join(argv), input, seconds=timeout)
    if done.status:
        raise CalledProcessError(done.status, list(argv), done.out, done.err)
    return done.out


def run(place: Place, command: str, given: bytes = b"", *, again: bool = False, seconds: float | None = None) -> Done:
    """Run a command in the login shell of a place. again: it may be run twice. Raises EngineUnreachable."""
    from .client import host_at

    address = f"ssh://{place}"
    host = host_at(place, address)
    try:
        return host.ask(lambda link: link.run(command, given), again=again, seconds=seconds)
    except EngineUnreachable:
        raise
    except Exception as cause:
        if not is_lost(cause):
            cause.add_note(f"while a command was run on {address}")
        raise engine_away(address, cause) from cause
