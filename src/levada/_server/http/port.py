"""What the HTTP layer needs of the host behind it, and what it hands over.

The HTTP layer lives in one thread with an event loop, the host in others. A ``Call`` was decoded, checked
against every limit of the wire, and its role against the table of routes; whether it fits the state is the
host's to say. The host answers each call once, after its commit, from any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from ..._wire.kinds import Answer, Request
from ..._wire.operators import Event
from ..._wire.routes import Route
from ...errors import LevadaError
from .tokens import Identity, TokenTable


class Repeat(NamedTuple):
    """The Idempotency-Key of a command. One key with another digest is another command: refuse it (``key-reused``)."""

    key: str  # token id, colon, the client's key
    digest: bytes  # 32: SHA-256 of method, path, query and body


class Call:
    """One request on its way to the host. size: bytes of it, to be counted in the mailbox.

    ``gone`` turns True when the client went away: an answer that is held for it (``Sync.wait``) should not take
    grants any more. It is set by the other thread and only a hint: its repetition may come, and gets its answer.
    """

    __slots__ = ("_deliver", "gone", "identity", "repeat", "request", "route", "size")

    def __init__(
        self,
        route: Route,
        request: Request,
        identity: Identity,
        *,
        size: int,
        deliver: Callable[[Call, Answer | bytes | LevadaError], None],
        repeat: Repeat | None = None,
    ) -> None:
        self.route, self.request, self.identity = route, request, identity
        self.size, self.repeat = size, repeat
        self.gone = False
        self._deliver = deliver

    def answer(self, result: Answer | bytes | LevadaError) -> None:
        """Give the answer: a struct, its JSON where the host has it already, or a refusal. Thread-safe, never blocks."""
        self._deliver(self, result)


class Health(NamedTuple):
    """alive: False only when nothing but a restart helps. ready: commands are taken. reason: why not, for people."""

    alive: bool
    ready: bool
    reason: str = ""


class Sample(NamedTuple):
    """One figure for the metrics page. kind: ``counter`` or ``gauge``; name without the prefix ``levada_``."""

    name: str
    kind: str
    help: str
    value: float
    labels: tuple[tuple[str, str], ...] = ()


class Host(Protocol):
    """The scheduler as the HTTP layer sees it. All of it may be called from the HTTP layer's thread, and returns at once."""

    tokens: TokenTable
    """Who may come in; the host fills it at start, and again after each change."""

    def submit(self, call: Call) -> None:
        """Take a call into the mailbox; it is answered by ``call.answer``.

        ``call.route.lane`` says what it may wait for. Raises Refusal ``busy`` when the mailbox is full, and
        ``not-ready`` while the server starts, stands by or stops; then the call is not answered.
        """
        ...

    def health(self) -> Health:
        """Whether this process is of use; cheap, asked by probes."""
        ...

    def watch(self, listener: Callable[[Sequence[Event]], None]) -> Callable[[], None]:
        """Call ``listener`` (thread-safe, never blocks) with the changes of each commit; returns how to end that."""
        ...

    def samples(self) -> Iterable[Sample]:
        """Figures for the metrics page: counters that are kept anyway, never a scan."""
        ...
