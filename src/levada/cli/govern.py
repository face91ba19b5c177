"""``levada pause, resume, drain, resource``: commands about the whole of a server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .._model import exit_codes
from ..errors import UsageError
from .app import DEBUG, HELP
from .operate import REASON
from .options import Option, Parsed
from .remote import JSON, SERVER, Remote, need_server, part, understood
from .text import escape, one_line

OPTIONS: tuple[Option, ...] = (REASON, JSON, *SERVER, DEBUG, HELP)


def main(command: str, arguments: list[str], environ: Mapping[str, str]) -> int:
    """Carry out one of the four."""
    parsed = understood(command, arguments, OPTIONS)
    if parsed is None:
        return exit_codes.OK
    wanted = {"pause": 0, "resume": 0, "drain": 1, "resource": 2}[command]
    if len(parsed.words) != wanted:
        raise UsageError(f"levada {command}: {_wrong(command)}", hint=_HINTS[command])
    remote = need_server(parsed, environ)
    try:
        return {"pause": pause, "resume": pause, "drain": drain, "resource": resource}[command](remote, command, parsed)
    finally:
        remote.close()


_HINTS = {
    "pause": "Write `levada pause`: nothing more is granted then.",
    "resume": "Write `levada resume`.",
    "drain": "Write `levada drain WORKER` with a session, the start of one, or a host, as `levada workers` shows them.",
    "resource": "Write `levada resource NAME TOTAL`; `levada resources` shows what there is.",
}


def _wrong(command: str) -> str:
    return {"drain": "which worker?", "resource": "which resource, and how much of it?"}.get(command, "it takes no words")


def pause(remote: Remote, command: str, parsed: Parsed) -> int:
    """Grant nothing, or go on."""
    answer = remote.send(f"/v1/{command}", {"reason": parsed.text("reason")})
    return _told(parsed, {}, f"{remote.where}: {answer['after']} (was {answer['before']})", answer)


def drain(remote: Remote, command: str, parsed: Parsed) -> int:
    """Grant nothing more to the workers that are meant: one, or all of a host."""
    word = parsed.words[0]
    rows = list(remote.pages("/v1/workers", "workers", 100_000))
    found = [row for row in rows if _is_meant(word, row)]
    if not found:
        raise UsageError(f"no worker is {escape(word)!r}", hint=_HINTS["drain"])
    for row in found:
        answer = remote.send(f"/v1/workers/{row['session']}/drain", {"reason": parsed.text("reason")})
        text = f"{row['session'][:12]} ({one_line(row['host'])} pid {row['pid']}): draining, {row['running']} still run"
        _told(parsed, {"session": row["session"]}, text, answer)
    return exit_codes.OK


def _is_meant(word: str, row: Any) -> bool:
    return word == row["host"] or (len(word) >= 6 and str(row["session"]).startswith(word))


def resource(remote: Remote, command: str, parsed: Parsed) -> int:
    """How much of a resource there is."""
    name, total = parsed.words
    if not total.isdecimal():
        raise UsageError(f"levada resource: got {total!r}, expected a whole number of 0 or more", hint=_HINTS["resource"])
    answer = remote.send(f"/v1/resources/{part(name)}", {"total": int(total), "reason": parsed.text("reason")}, method="PUT")
    return _told(parsed, {"name": name}, f"{escape(name)}: {answer['after']} (was {answer['before']})", answer)


def _told(parsed: Parsed, named: Mapping[str, object], text: str, answer: Any) -> int:
    print(json.dumps({**named, **answer}) if parsed.flag("json") else text)
    return exit_codes.OK
