"""What admins ask of the host: tokens, backups, the audit trail."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import cast

from .._store import ports
from .._store.ports import Reading
from .._wire import operators as o
from .._wire.kinds import Answer
from .._wire.problems import Refusal
from ..errors import StoreError
from . import scroll
from .desk import Desk
from .finding import place
from .http.port import Call
from .http.tokens import new_token

Done = Answer | bytes | None

TOKENS = 10_000
BACKUPS = 1_000
"""Copies that the folder may hold: none is ever removed by the server."""

# -- tokens --------------------------------------------------------------------------------------


def tokens(desk: Desk, call: Call) -> Done:
    """All tokens, oldest first, without what nobody keeps."""
    asked = cast("o.Tokens", call.request)

    def read(store: Reading) -> Answer:
        rows = [row for row in store.tokens() if (row.created, row.id) > _after(asked.after)][: asked.limit]
        following = f"{rows[-1].created!r} {rows[-1].id}" if len(rows) == asked.limit else None
        return o.TokensAnswer([_token_row(row) for row in rows], following)

    desk.host.office.ask(call, read)
    return None


def _after(text: str) -> tuple[float, str]:
    if not text:
        return (float("-inf"), "")
    created, _, token = text.partition(" ")
    try:
        return float(created), token
    except ValueError:
        raise Refusal("invalid-message", f"after: got {text[:40]!r}, expected what `next` of the page before says") from None


def _token_row(row: ports.TokenRow) -> o.TokenRow:
    return o.TokenRow(row.id, row.role, row.label, row.namespace, row.created, row.expires, row.used, row.revoked is not None)


def create_token(desk: Desk, call: Call) -> Done:
    """Make a token; its text is in this answer and nowhere else."""
    asked = cast("o.CreateToken", call.request)
    if len(_known(desk)) >= TOKENS:
        raise Refusal("conflict", f"there are {TOKENS:,} tokens", hint="Who needs more takes an identity provider in front.")
    made = new_token()
    expires = None if asked.days is None else desk.wall + asked.days * 86_400.0
    row = ports.TokenRow(made.id, made.digest, asked.role, asked.namespace, asked.label, desk.wall, expires, None, None)
    _put(desk, row)
    return o.CreateTokenAnswer(made.id, made.text, expires)


def revoke_token(desk: Desk, call: Call) -> Done:
    """End a token: from this moment on it counts no more."""
    asked = cast("o.RevokeToken", call.request)
    row = _known(desk).get(asked.id)
    if row is None:
        raise Refusal("not-found", f"there is no token {asked.id!r}", hint="`levada token list` shows their ids.")
    if row.revoked is not None:
        return o.Changed(desk.host.brain.state.epoch, "revoked", "revoked")
    _put(desk, row._replace(revoked=desk.wall))
    desk.stirred = True  # who waits with it is told now
    return o.Changed(desk.host.brain.state.epoch, "valid", "revoked")


def _known(desk: Desk) -> dict[str, ports.TokenRow]:
    """All tokens, with those of this drain."""
    return {row.id: row for row in (*desk.host.store.tokens(), *desk.tokens)}


def _put(desk: Desk, row: ports.TokenRow) -> None:
    desk.tokens.append(row)
    desk.host.tokens.replace(_known(desk).values())


# -- audit ---------------------------------------------------------------------------------------


def audit(desk: Desk, call: Call) -> Done:
    """The newest lines of the trail first."""
    asked = cast("o.Audit", call.request)
    before = place(asked.after) if asked.after else None

    def read(store: Reading) -> Answer:
        lines = store.audit(before=before, limit=asked.limit)
        following = str(lines[-1].id) if len(lines) == asked.limit else None
        return o.AuditAnswer([_audit_row(line) for line in lines], following)

    desk.host.office.ask(call, read)
    return None


def _audit_row(line: ports.StoredAudit) -> o.AuditRow:
    row, said = line.row, scroll.detail_of(line.row)
    return o.AuditRow(
        number=line.id,
        at=row.at,
        token=row.who,
        address=row.address,
        action=row.action,
        subject=row.subject,
        before=said.before,
        after=said.after,
        reason=said.reason,
        chain=row.chain.hex(),
    )


# -- backups -------------------------------------------------------------------------------------


def backup(desk: Desk, call: Call) -> Done:
    """Copy the store into a new file of the server's own folder."""
    host = desk.host
    folder = host.office.folder or _folder_beside(host.store)
    name = f"levada-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(desk.wall))}-{os.urandom(3).hex()}.db"

    def write() -> tuple[int, float]:
        began = time.monotonic()
        path = os.path.join(_made(folder), name)
        host.store.backup(path)
        return os.stat(path).st_size, time.monotonic() - began

    host.office.back_up(call, write, lambda desk, done: o.BackupAnswer(name, *done))
    return None


def _folder_beside(store: Reading) -> str:
    facts = store.facts()
    if facts["kind"] != "sqlite":
        raise Refusal("conflict", "this server has no folder for backups", hint="Back the database up by its own means.")
    return os.path.join(os.path.dirname(str(facts["place"])), "backups")


def _made(folder: str) -> str:
    try:
        os.makedirs(folder, 0o700, exist_ok=True)
        count = len(os.listdir(folder))
    except OSError as cause:
        raise StoreError(f"{folder} cannot be used: {cause.strerror}", hint="Backups go there.") from cause
    if count >= BACKUPS:
        raise Refusal("conflict", f"the folder of backups holds {count:,} files", hint="Move some of them away.")
    return folder


HANDLERS: dict[type, Callable[[Desk, Call], Done]] = {
    o.Tokens: tokens,
    o.CreateToken: create_token,
    o.RevokeToken: revoke_token,
    o.Audit: audit,
    o.Backup: backup,
}
"""By the type of the request."""
