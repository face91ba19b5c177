"""Credentials: tokens, of which only the SHA-256 is kept, and what a browser gets in their place.

Tokens are 256 random bits, so a fast hash is enough and nothing can be guessed; comparison takes the same
time for all of them. No token is ever logged or shown again.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
import threading
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ..._store.ports import TokenRow
from ...errors import ConfigError

PREFIX = "lvd_"
LONGEST = 256  # characters of anything that might be a token
TOKEN_FILE = "admin.token"  # noqa: S105  # the name of a file, not a token
OWN = "own"
"""Id of the token in the state folder."""
LINK_SECONDS = 300.0
LINKS = 1_000
COOKIE_SECONDS = 30 * 86_400.0
COOKIES = 10_000


class Identity(NamedTuple):
    """Who asks. address: of the client, ``unix`` for the socket on disk."""

    role: str
    token: str  # id, never the token itself
    namespace: str
    address: str


class NewToken(NamedTuple):
    """A token that was just made: told once, kept as ``digest``."""

    id: str
    text: str
    digest: bytes


def new_token() -> NewToken:
    """A token with 256 random bits."""
    text = PREFIX + secrets.token_urlsafe(32)
    return NewToken(secrets.token_hex(6), text, digest_of(text))


def digest_of(token: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).digest()


class TokenTable:
    """Who may come in, by digest. Replaced whole by the host, read by the HTTP layer; both may do so at any time."""

    def __init__(self, rows: Iterable[TokenRow] = (), *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._rows: dict[bytes, TokenRow] = {}
        self._by_id: dict[str, TokenRow] = {}
        self._uses: dict[str, float] = {}
        self._revoked: frozenset[str] = frozenset()
        self.replace(rows)

    def replace(self, rows: Iterable[TokenRow]) -> None:
        """These tokens count from now on, and no others."""
        every = list(rows)
        rows = [row for row in every if row.revoked is None]
        self._revoked = frozenset(row.id for row in every if row.revoked is not None)
        self._by_id = {row.id: row for row in rows}
        self._rows = {row.digest: row for row in rows}

    def __len__(self) -> int:
        return len(self._rows)

    def find(self, token: str) -> TokenRow | None:
        """The row of a token that is known, not expired and not revoked."""
        if len(token) > LONGEST or not token.startswith(PREFIX):
            return None
        digest = digest_of(token)
        row = self._rows.get(digest)
        if row is None or not hmac.compare_digest(row.digest, digest):
            return None
        return self._used(row)

    def by_id(self, id: str) -> TokenRow | None:
        """The row of a token that a cookie was given for, as long as it counts."""
        row = self._by_id.get(id)
        return None if row is None else self._used(row)

    def is_void(self, id: str) -> bool:
        """Whether a token was revoked or has expired since somebody came in with it: whose answer is held gets none."""
        row = self._by_id.get(id)
        return id in self._revoked or (row is not None and row.expires is not None and row.expires <= self._clock())

    def _used(self, row: TokenRow) -> TokenRow | None:
        now = self._clock()
        if row.expires is not None and row.expires <= now:
            return None
        self._uses[row.id] = now
        return row

    def uses(self) -> list[tuple[str, float]]:
        """Last uses since the last question: (id, seconds since 1970)."""
        uses, self._uses = self._uses, {}
        return list(uses.items())


class _Pass(NamedTuple):
    token: str  # id
    role: str
    until: float


class Browsers:
    """One-time links, and the cookies that they are exchanged for. In memory: a restart asks for a new link.

    A cookie counts only as long as the token that it was made with. Oldest ones go when there are too many.
    """

    def __init__(self, tokens: TokenTable, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._tokens, self._clock = tokens, clock
        self._links: dict[bytes, _Pass] = {}
        self._cookies: dict[bytes, _Pass] = {}
        self._lock = threading.Lock()

    def link(self, token: str, role: str) -> str:
        """The code of a link that lets one browser in, with this role, for as long as the token counts."""
        return self._put(self._links, LINKS, _Pass(token, role, self._clock() + LINK_SECONDS))

    def enter(self, code: str) -> tuple[str, str] | None:
        """(cookie, role) for the code of a link; None when it was used, is too old, or never was."""
        with self._lock:
            found = self._links.pop(_digest(code), None)
        if found is None or found.until <= self._clock() or self._tokens.by_id(found.token) is None:
            return None
        return self.cookie(found.token, found.role), found.role

    def cookie(self, token: str, role: str) -> str:
        """A new cookie for who has shown a token."""
        return self._put(self._cookies, COOKIES, _Pass(token, role, self._clock() + COOKIE_SECONDS))

    def find(self, cookie: str) -> tuple[TokenRow, str] | None:
        """Token and role that a cookie stands for."""
        if len(cookie) > LONGEST:
            return None
        found = self._cookies.get(_digest(cookie))
        if found is None or found.until <= self._clock():
            return None
        row = self._tokens.by_id(found.token)
        return None if row is None else (row, found.role)

    def leave(self, cookie: str) -> None:
        """Forget a cookie."""
        with self._lock:
            self._cookies.pop(_digest(cookie), None)

    def _put(self, table: dict[bytes, _Pass], limit: int, what: _Pass) -> str:
        code = secrets.token_urlsafe(32)
        with self._lock:
            while len(table) >= limit:
                del table[next(iter(table))]
            table[_digest(code)] = what
        return code


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


# -- the first token -------------------------------------------------------------------------


def own_token(folder: str) -> tuple[str, bool]:
    """(token, whether it was made just now): the admin's token of a state folder, in a file that only its owner may read.

    Raises ConfigError when the file is open to others, belongs to another user, or holds no token.
    """
    path = os.path.join(folder, TOKEN_FILE)
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        return _make_own(path)
    except OSError as cause:
        raise ConfigError(
            f"{path}: cannot be read: {cause.strerror}", hint="It holds the token of this server; see its mode and owner."
        ) from cause
    with os.fdopen(descriptor, "rb") as file:
        _refuse_if_open(path, os.fstat(file.fileno()))
        text = file.read(LONGEST + 1).decode("ascii", "replace").strip()
    if not text.startswith(PREFIX) or len(text) < 40 or len(text) > LONGEST:
        raise ConfigError(f"{path}: holds no token", hint="Remove it, and the server makes a new one at its next start.")
    return text, False


def _make_own(path: str) -> tuple[str, bool]:
    text = new_token().text
    temporary = f"{path}.{secrets.token_hex(8)}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(text.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
    except FileExistsError:
        return own_token(os.path.dirname(path))
    finally:
        os.unlink(temporary)
    return text, True


def _refuse_if_open(path: str, seen: os.stat_result) -> None:
    if not hasattr(os, "getuid"):
        return
    if seen.st_uid != os.getuid():
        raise ConfigError(f"{path}: belongs to user {seen.st_uid}", hint="A token of another user is not used.")
    if stat.S_IMODE(seen.st_mode) & 0o077:
        raise ConfigError(
            f"{path}: others may read it (mode {stat.S_IMODE(seen.st_mode):o})", hint="Remove it: it may be known. A new one is made."
        )
