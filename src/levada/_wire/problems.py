"""Refusals as problem documents (RFC 9457), and back again on the client's side.

A document never holds a path, a stack trace or SQL: what a store or the server itself says of its
troubles stays in the server's log, under the id that the document names.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from ..errors import LevadaError, SchedulerError, StoreError

PROBLEM_TYPE = "application/problem+json"


class Kind(NamedTuple):
    """status: of HTTP. title: the same for each problem of the kind."""

    status: int
    title: str


KINDS: dict[str, Kind] = {
    # the message
    "malformed": Kind(400, "The request cannot be read"),
    "invalid-message": Kind(422, "A field is missing, unknown, or beyond a limit"),
    "invalid-command": Kind(422, "The command does not fit the state"),
    "too-large": Kind(413, "The request is too large"),
    "too-slow": Kind(408, "The request came too slowly"),
    "no-length": Kind(411, "The request does not say how long it is"),
    "media-type": Kind(415, "The body is no JSON"),
    "headers-too-large": Kind(431, "The head of the request is too large"),
    "expectation": Kind(417, "The expectation cannot be met"),
    "wire-version": Kind(409, "Client and server have no version in common"),
    # the way in
    "wrong-host": Kind(421, "This server does not answer under that name"),
    "cross-site": Kind(403, "The request comes from another site"),
    "unauthenticated": Kind(401, "A token is needed"),
    "forbidden": Kind(403, "The role may not do that"),
    "too-many-logins": Kind(429, "Too many wrong tokens"),
    "too-many-requests": Kind(429, "Too many requests"),
    # what is asked for
    "not-found": Kind(404, "There is no such thing"),
    "wrong-method": Kind(405, "That cannot be done here by this method"),
    "conflict": Kind(409, "The state does not allow it"),
    "out-of-step": Kind(409, "The number is not the session's next"),
    "unknown-session": Kind(409, "The session is not known"),
    "key-reused": Kind(409, "The Idempotency-Key was used for another command"),
    "lease-lost": Kind(409, "The lease is void"),
    # the server
    "busy": Kind(503, "The server has too much to do"),
    "not-ready": Kind(503, "The server does not take commands now"),
    "too-many-waiting": Kind(503, "Too many clients wait"),
    "store-full": Kind(507, "The store has no room"),
    "store": Kind(503, "The store cannot be used"),
    "late": Kind(504, "The answer did not come in time"),
    "internal": Kind(500, "The server made a mistake"),
}
"""Codes that documents may carry. A code that is missing here is sent with status 422 (see ``kind_of``)."""

SILENT = frozenset({"store", "store-full", "internal"})
"""Their texts may name places of the server; documents get a general one."""


class Problem(Struct, frozen=True, omit_defaults=True):
    """A refusal as clients see it. type: ``urn:levada:error:CODE``. id: of the line in the server's log."""

    type: str
    title: str
    status: int
    code: str
    detail: str = ""
    hint: str = ""
    id: str = ""


class Refusal(SchedulerError):
    """A request was refused, for the reason that ``code`` names. retry_after: seconds."""

    def __init__(self, code: str, message: str, *, hint: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.retry_after = retry_after

    @property
    def status(self) -> int:
        """The status of HTTP that goes with the code."""
        return kind_of(self.code).status


def kind_of(code: str) -> Kind:
    """Status and title of a code; every error of the store is of one kind, unknown codes are refusals of a command."""
    if code in KINDS:
        return KINDS[code]
    return KINDS["store"] if code.startswith(("store-", "deposed")) else Kind(422, "The command was refused")


def problem_of(error: LevadaError, *, id: str = "") -> Problem:
    """The document for an error; see ``SILENT`` for what is left out."""
    code = "store" if isinstance(error, StoreError) and error.code not in KINDS else error.code
    kind = kind_of(code)
    private = code in SILENT
    return Problem(
        type=f"urn:levada:error:{code}",
        title=kind.title,
        status=kind.status,
        code=code,
        detail=kind.title if private else error.message,
        hint=("" if private else error.hint) or "",
        id=id,
    )


def error_of(problem: Problem, *, retry_after: float | None = None) -> Refusal:
    """The error that a client raises for a document."""
    return Refusal(problem.code, problem.detail or problem.title, hint=problem.hint or None, retry_after=retry_after)
