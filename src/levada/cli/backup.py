"""``levada backup create`` and ``levada backup restore FILE``."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import cast

from .._model import exit_codes
from ..errors import StoreBusy, UsageError
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
    said = f"{answer['bytes']:,} bytes, in {answer['seconds']:.1f} s, beside the store of the server at {remote.where}"
    return _told(parsed, answer, f"{escape(answer['name'])}: {said}")


def _copy(parsed: Parsed, environ: Mapping[str, str]) -> int:
    """Copy a store of this machine, or one that --store names, while no server runs on it."""
    from .._server.offline import back_up

    _refuse_another_server(parsed, environ)
    store, to = _store(parsed, environ), os.path.abspath(str(parsed.text("to")))
    if "://" not in store and not os.path.exists(store):
        raise UsageError(f"there is no store {store}", hint="Name it by --store, or the state folder that it is in by --state.")
    try:
        size = back_up(store, to)
    except StoreBusy as busy:
        busy.hint = "Leave --to out, and the server that holds it writes a copy beside it; or stop that server."
        raise
    shown = store.rpartition("@")[2]
    return _told(parsed, {"name": to, "bytes": size, "store": shown}, f"{escape(to)}: {size:,} bytes, a copy of {escape(shown)}")


def _refuse_another_server(parsed: Parsed, environ: Mapping[str, str]) -> None:
    """Raise UsageError where a server is named that is not the one of this state folder: its store is not here."""
    settings = settings_for(parsed, environ)
    named = parsed.text("scheduler") or str(settings.get("levada", "scheduler", "") or "")
    if parsed.text("store") or named in ("", "none"):
        return
    from .._client.address import is_own, parse_addresses
    from ..config.state import state_path

    folder = parsed.text("state") or state_path(environ, state_of(settings))
    if not all(is_own(address, folder) for address in parse_addresses(named)):
        raise UsageError(
            f"--to copies a store of this machine, and the server that is named is {named}",
            hint="Run it on that server's host; or name the store by --store; or leave --to out, and the server writes a copy beside its "
            "store. For the store of this state folder add --scheduler none.",
        )


def _restore(parsed: Parsed, environ: Mapping[str, str]) -> int:
    from .._server.offline import restore

    backup, store = parsed.words[1], _store(parsed, environ)
    if not os.path.exists(backup):
        raise UsageError(f"there is no file {backup}", hint="Name a backup that `levada backup create` made.")
    if "://" not in store and os.path.exists(store):
        raise UsageError(f"{store} is there already", hint="Move the old store away, with its -wal and -shm files, and keep it.")
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
