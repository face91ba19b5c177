"""``levada backup create`` and ``levada backup restore FILE``."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import cast

from .._model import exit_codes
from ..errors import UsageError
from .app import DEBUG, HELP
from .options import Option, Parsed
from .remote import JSON, SERVER, need_server, understood
from .tasks import settings_for, state_of
from .text import escape

OPTIONS: tuple[Option, ...] = (
    Option("--to", "FILE", "create: copy the store into this new file, while no server runs on it"),
    Option("--store", "URL", "the store: a file, or postgresql://USER@HOST/DATABASE (default: the one in the state folder)"),
    Option("--reason", "TEXT", "why, for the audit trail"),
    JSON,
    *SERVER,
    DEBUG,
    HELP,
)
HINT = "Write `levada backup create`, or `levada backup restore FILE`."


def main(command: str, arguments: list[str], environ: Mapping[str, str]) -> int:
    """Carry out one of the two."""
    parsed = understood(command, arguments, OPTIONS)
    if parsed is None:
        return exit_codes.OK
    if parsed.words == ["create"]:
        return _copy(parsed, environ) if parsed.text("to") else _ask(parsed, environ)
    if len(parsed.words) == 2 and parsed.words[0] == "restore":
        return _restore(parsed, environ)
    raise UsageError(f"levada backup: got {' '.join(parsed.words) or 'nothing'!r}", hint=HINT)


def _ask(parsed: Parsed, environ: Mapping[str, str]) -> int:
    """Have a running server write a copy into its folder of backups."""
    remote = need_server(parsed, environ)
    try:
        answer = remote.send("/v1/backup", {"reason": parsed.text("reason")})
    finally:
        remote.close()
    return _told(
        parsed, answer, f"{escape(answer['name'])}: {answer['bytes']:,} bytes, in {answer['seconds']:.1f} s, beside the server's store"
    )


def _copy(parsed: Parsed, environ: Mapping[str, str]) -> int:
    from .._server.offline import back_up

    to = os.path.abspath(str(parsed.text("to")))
    size = back_up(_store(parsed, environ), to)
    return _told(parsed, {"name": to, "bytes": size}, f"{escape(to)}: {size:,} bytes")


def _restore(parsed: Parsed, environ: Mapping[str, str]) -> int:
    from .._server.offline import restore

    backup, store = parsed.words[1], _store(parsed, environ)
    restore(backup, store)
    shown = store.rpartition("@")[2]
    return _told(parsed, {"store": shown}, f"{escape(shown)} stands as it stood in {escape(backup)}; start the server on it")


def _store(parsed: Parsed, environ: Mapping[str, str]) -> str:
    """The store by its name; the one that `levada server` would take."""
    from ..config.state import state_folder

    settings = settings_for(parsed, environ)
    given = parsed.text("store") or cast(str, settings.get("server", "store", ""))
    return given or os.path.join(state_folder(environ, parsed.text("state") or state_of(settings)), "levada.db")


def _told(parsed: Parsed, answer: Mapping[str, object], text: str) -> int:
    print(json.dumps(answer) if parsed.flag("json") else text)
    return exit_codes.OK
