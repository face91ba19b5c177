"""``levada token create, list, revoke``: who may speak to the server, and as what."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping

from .._model import exit_codes
from ..errors import ConfigError, UsageError
from .app import DEBUG, HELP
from .options import Option, Parsed
from .remote import JSON, SERVER, Remote, need_server, part, understood
from .text import escape, say, table

ROLES = ("viewer", "operator", "worker", "admin")
OPTIONS: tuple[Option, ...] = (
    Option("--role", "ROLE", "create: viewer (reads), operator (commands), worker (default), or admin"),
    Option("--label", "TEXT", "create: what it is for"),
    Option("--days", "N", "create: how long it counts (default: until it is revoked)", read=float),
    Option("--to", "FILE", "create: write it into a new file that only you can read, instead of printing it"),
    Option("--reason", "TEXT", "why, for the audit trail"),
    JSON,
    *SERVER,
    DEBUG,
    HELP,
)
MOST = 10_000
HINT = "Write `levada token create`, `levada token list`, or `levada token revoke ID`."


def main(command: str, arguments: list[str], environ: Mapping[str, str]) -> int:
    """Carry out one of the three."""
    parsed = understood(command, arguments, OPTIONS)
    if parsed is None:
        return exit_codes.OK
    words = parsed.words
    actions = {("create", 1): create, ("list", 1): show, ("revoke", 2): revoke}
    action = actions.get((words[0], len(words))) if words else None
    if action is None:
        raise UsageError(f"levada token: got {' '.join(words) or 'nothing'!r}", hint=HINT)
    remote = need_server(parsed, environ)
    try:
        return action(remote, parsed)
    finally:
        remote.close()


def create(remote: Remote, parsed: Parsed) -> int:
    """Make a token. It is said once; the server keeps no more than its digest."""
    role, to = parsed.text("role") or "worker", parsed.text("to")
    if role not in ROLES:
        raise UsageError(f"--role: got {role!r}, expected one of {', '.join(ROLES)}")
    if to is not None and os.path.lexists(to):
        raise UsageError(f"--to: {to} is there already", hint="It was left as it is; name a new file.")
    body = {"role": role, "label": parsed.text("label"), "days": parsed.values.get("days"), "reason": parsed.text("reason")}
    answer = remote.send("/v1/tokens", body, once=False)
    if to is not None:
        _write(to, answer["token"])
        say(f"levada: token {answer['id']} ({role}) is in {to}")
        answer["token"] = None
    if parsed.flag("json"):
        print(json.dumps(answer))
    elif to is None:
        say(f"levada: token {answer['id']} ({role}); it is shown once, here:")
        print(answer["token"])
    return exit_codes.OK


def _write(path: str, token: str) -> None:
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(token + "\n")
    except OSError as cause:
        raise ConfigError(
            f"{path}: the token cannot be written: {cause.strerror}", hint="It was made; revoke it, and try again."
        ) from cause


def show(remote: Remote, parsed: Parsed) -> int:
    """All tokens, without what nobody keeps."""
    rows = list(remote.pages("/v1/tokens", "tokens", MOST))
    if parsed.flag("json"):
        print(json.dumps(rows, indent=2))
        return exit_codes.OK
    head = ("id", "role", "created (UTC)", "expires (UTC)", "last used (UTC)", "label")
    lines = table([head, *(_row(row) for row in rows)])
    print("\n".join(lines))
    return exit_codes.OK


def _row(row: Mapping[str, object]) -> tuple[str, ...]:
    label = escape(str(row["label"])) + (" (revoked)" if row["revoked"] else "")
    return str(row["id"]), str(row["role"]), _day(row["created"]), _day(row["expires"]), _day(row["last_used"]), label


def _day(seconds: object) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(seconds)) if isinstance(seconds, (int, float)) else "-"


def revoke(remote: Remote, parsed: Parsed) -> int:
    """End a token, and every browser that came in by it."""
    token = parsed.words[1]
    answer = remote.send(f"/v1/tokens/{part(token)}", {"reason": parsed.text("reason")}, method="DELETE")
    print(json.dumps({"id": token, **answer}) if parsed.flag("json") else f"{escape(token)}: revoked")
    return exit_codes.OK
