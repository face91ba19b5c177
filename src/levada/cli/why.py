"""``levada why``: where a task stands, in one chain of facts from it to what would end the wait."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from .._model import exit_codes
from ..config.state import state_folder, state_path
from .options import Option
from .tasks import OF_TASK, Request, state_of, understand
from .text import escape

OPTIONS = (Option("--json", "", "print JSON"), Option("--state", "FOLDER", "the state folder", setting=("levada", "state")), *OF_TASK)


def main(command: str, arguments: list[str], environ: Mapping[str, str]) -> int:
    """Carry out ``levada why``."""
    request = understand(command, arguments, OPTIONS, environ)
    if request is None:
        return exit_codes.OK
    task = request.task()
    from .._plan.why import why
    from .._run import give_secrets_a_key

    give_secrets_a_key(state_of(request.settings))
    found = why(task, **_memory(request, environ))
    if request.parsed.flag("json"):
        import json

        print(json.dumps(found.to_json(), indent=2, ensure_ascii=False))
    else:
        print("\n".join(escape(line) for line in found.lines()))
    return exit_codes.OK


def _memory(request: Request, environ: Mapping[str, str]) -> dict[str, Any]:
    """What the state folder knows; nothing where there is none."""
    state = state_of(request.settings)
    if state is not None:
        environ = {**environ, "LEVADA_STATE": state}
    if not os.path.exists(state_path(environ)):
        return {}
    from .._server.history import open_history
    from .._server.locks import open_locks

    folder = state_folder(environ)
    locks = open_locks(folder)

    def runs_elsewhere(key: bytes) -> bool:
        if not locks.take(key):
            return True
        locks.give(key)
        return False

    return {"attempts": open_history(folder).of, "runs_elsewhere": runs_elsewhere}
