"""The program that asks a master for a driver, and says on its last line what became of that.

It outlives the worker that started it: the answer is in its log, wherever that worker was killed.
"""

from __future__ import annotations

import json
import os
import sys

from levada._model.values import NamedTuple
from levada.errors import EngineUnreachable, JobRefused

from .master import AnswerLost, Master

ADDRESSES = "LEVADA_SPARK_ADDRESSES"
REQUEST = "LEVADA_SPARK_REQUEST"
_MARK = "levada: "


class Answer(NamedTuple):
    """The driver's id; or why the master refused; or that nobody was reached; or that the answer was lost on its way."""

    rest: str = ""  # addresses of the masters that took it
    driver: str = ""
    refused: str = ""
    away: str = ""
    lost: str = ""

    @classmethod
    def read(cls, said: str) -> Answer | None:
        """What a program said at last; None when it did not come so far."""
        lines = [line for line in said.splitlines() if line.startswith(_MARK)]
        return cls(*json.loads(lines[-1][len(_MARK) :])) if lines else None


def main() -> None:
    """Ask once."""
    addresses = os.environ[ADDRESSES]
    sys.stdout.write(f"{_MARK}{json.dumps(list(_asked(addresses, json.loads(os.environ[REQUEST]))))}\n")


def _asked(addresses: str, request: dict[str, object]) -> Answer:
    try:
        return Answer(addresses, driver=Master(addresses.split(",")).create(request))
    except JobRefused as refused:
        return Answer(refused=refused.message)
    except AnswerLost as lost:
        return Answer(lost=lost.message)
    except EngineUnreachable as away:
        return Answer(away=away.message)


if __name__ == "__main__":
    main()
