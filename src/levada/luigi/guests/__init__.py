"""Workers of Luigi at our server: luigid's calls, translated into the commands that workers of ours send.

A worker of Luigi is a session like any other: what it registers are tasks of the one graph, what it is granted is a lease that
its ``ping`` renews, and what it reports counts under the fence of that lease. Nothing is decided here. Laws kept:

* one task has one key, whoever registers it (``identity.py``);
* what a call is told was committed before, with all that is needed to go on after ``kill -9`` (``book.py``);
* a report that comes after the task was granted to another is passed over.

What its protocol cannot carry is in docs/luigi-workers.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .desk import LuigiDesk

if TYPE_CHECKING:
    from ..._server.host import Host


def opened(host: Host) -> LuigiDesk:
    """The protocol at a host; the server opens it by this module's dotted name."""
    return LuigiDesk(host)
