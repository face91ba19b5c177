"""What Luigi's scheduler verbs talk to: a host of the brain, seen through one small port.

``desk.Desk`` translates verbs (``add_task``, ``get_work``, ``ping``, ...) into the brain's commands and keeps only texts. It
decides nothing: each decision is the brain's, asked for by ``Port.handle``. ``levada._server.together`` holds a brain for it in
the same process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .._model.spec import Index
    from .._model.status import Status


class Port(Protocol):
    """A host of the brain. Calls come from one thread at a time, and an answer is whole when the call returns."""

    lease: float
    """Seconds that a grant lasts without renewal."""
    touched: Callable[[Iterable[Index]], None]
    """Set by the desk; called with the tasks that a command changed, before ``handle`` returns. Others may be among them."""

    def handle(self, command: Any) -> Any:
        """Let the brain carry out a command of ``_model/messages.py``; its reply, as the message's docstring says."""
        ...

    def place(self) -> Index:
        """The index of the next new task."""
        ...

    # -- where things stand, each a look into a column

    def status(self, index: Index) -> Status: ...

    def priority(self, index: Index) -> int:
        """The effective priority, with what passed upstream."""
        ...

    def is_disabled_for_a_time(self, index: Index) -> bool:
        """Whether a disabled task was disabled by its failures (its time ends), and not by somebody's word."""
        ...

    def used(self) -> dict[str, int]:
        """Amounts in use by resource."""
        ...

    # -- from one life to the next

    def save(self) -> bytes: ...

    def load(self, saved: bytes) -> None:
        """Go on where another host stopped; what ran has a whole lease again."""
        ...
