"""``luigi.contrib.target``: one client made of several."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, ClassVar

from levada.errors import TargetError

logger = logging.getLogger("luigi-interface")


class CascadingClient:
    """Asks clients one after the other, until one can do what is asked.

    An error of the file system (something exists, is no folder...) is an answer; the next one is asked after any other error.
    method_names: what can be asked; else `ALL_METHOD_NAMES`.
    """

    ALL_METHOD_NAMES: ClassVar[Sequence[str]] = (
        "exists rename remove chmod chown count copy get put mkdir list listdir getmerge isdir rename_dont_move touchz".split()
    )

    def __init__(self, clients: Sequence[Any], method_names: Iterable[str] | None = None) -> None:
        self.clients = clients
        for name in self.ALL_METHOD_NAMES if method_names is None else method_names:
            setattr(self, name, partial(self._ask, name))

    def _ask(self, verb: str, /, *args: Any, **kwargs: Any) -> Any:
        *first, last = self.clients
        for client in first:
            try:
                return getattr(client, verb)(*args, **kwargs)
            except TargetError:
                raise
            except Exception as error:
                logger.warning("%s could not %s, the next client is asked: %s", type(client).__name__, verb, error)
        return getattr(last, verb)(*args, **kwargs)
