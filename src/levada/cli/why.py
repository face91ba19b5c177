"""``levada why``: where a task stands, in one chain of facts from it to what would end the wait.

A server that is named knows more than the targets tell: who runs it, and what all others wait for. Without one, and for tasks that it does
not know, the chain is made here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._model import exit_codes
from ..config.state import state_folder, state_path
from ..errors import Refused, StateFolderError, UsageError
from .options import Option, Parsed, Scanner
from .tasks import OF_TASK, SCHEDULER, Request, override, settings_for, state_of, understand, wanted_modules
from .text import escape, json_text

if TYPE_CHECKING:
    from .._model.ports import Attempt

OPTIONS = (
    Option("--json", "", "print JSON"),
    Option("--state", "FOLDER", "the state folder", setting=("levada", "state")),
    SCHEDULER,
    *OF_TASK,
)


def main(command: str, arguments: list[str], environ: Mapping[str, str]) -> int:
    """Carry out ``levada why``."""
    if (answered := _by_name(arguments, environ)) is not None:
        return answered
    request = understand(command, arguments, OPTIONS, environ, lambda word, request: _recall(word, request, environ))
    if request is None:
        return exit_codes.OK
    task = request.task()
    if (answered := _by_key(task, request, environ)) is not None:
        return answered
    from .._plan.why import why
    from .._run import give_secrets_a_key

    give_secrets_a_key(state_of(request.settings))
    found = why(task, **_memory(request, environ))
    if request.parsed.flag("json"):
        print(json_text(found.to_json()))
    else:
        print("\n".join(escape(line) for line in found.lines()))
    return exit_codes.OK


def _by_name(arguments: list[str], environ: Mapping[str, str]) -> int | None:
    """What a server says of a task that is named by a key, in full, or without a module; None where its module says which it is."""
    parsed = Parsed()
    try:
        Scanner(arguments, OPTIONS).parse(parsed)
    except UsageError:
        return None  # parameters of a task
    if len(parsed.words) != 1 or parsed.flag("help"):
        return None
    bare = not _is_name(parsed.words[0])
    if bare and wanted_modules(parsed, settings_for(parsed, environ)):
        return None
    from .remote import find_server, task_key
    from .watch import why

    remote = find_server(parsed, environ)
    if remote is None:
        return None
    try:
        return why(remote, task_key(remote, parsed.words[0]), as_json=parsed.flag("json"))
    except UsageError:
        if bare or _is_key(parsed.words[0]):
            raise
        return None
    finally:
        remote.close()


def _is_name(word: str) -> bool:
    return _is_key(word) or "(" in word


def _is_key(word: str) -> bool:
    return len(word) >= 6 and not word.strip("0123456789abcdef")


def _by_key(task: Any, request: Request, environ: Mapping[str, str]) -> int | None:
    """What a server says of a task; None where none is named, or it does not know the task."""
    override(request, OPTIONS)
    if request.settings.get("levada", "scheduler", "none") in ("", "none"):
        return None
    from .._plan.complete import are_complete
    from ..task import key_of
    from .remote import find_server
    from .watch import why

    remote = find_server(request.parsed, environ)
    if remote is None:
        return None
    key, as_json = key_of(task).hex(), request.parsed.flag("json")
    try:
        if remote.get(f"/v1/tasks/{key}")["task"]["status"] == "done" and not are_complete([task])[0]:
            if not as_json:
                print(f"{remote.where} has it as done, and it is not seen complete here: a run makes it again.")
            return None  # the files are the truth
        return why(remote, key, as_json=as_json)
    except Refused as no:
        if no.status != 404:
            raise
        return None
    finally:
        remote.close()


def _recall(word: str, request: Request, environ: Mapping[str, str]) -> tuple[str, dict[str, str]] | None:
    """Family and values of the task of the past that is meant; None where the past knows none."""
    from .history import history_of, remembered
    from .names import choose, meant, values_of

    history = history_of(request.parsed.text("state") or state_of(request.settings), environ)
    try:
        attempts = remembered(history)
    except StateFolderError:
        return None
    finally:
        history.close()
    if not meant(word, attempts):
        return None
    found = choose(word, attempts)
    return found.family, values_of(found) or {}


def _memory(request: Request, environ: Mapping[str, str]) -> dict[str, Any]:
    """What the state folder knows; nothing where there is none."""
    state = state_of(request.settings)
    if state is not None:
        environ = {**environ, "LEVADA_STATE": state}
    if not os.path.exists(state_path(environ)):
        return {}
    try:
        return _memory_of(state_folder(environ))
    except StateFolderError as fault:  # the targets tell most of it
        _say_once(fault)
        return {}


def _memory_of(folder: str) -> dict[str, Any]:
    from .._server.history import open_history
    from .._server.locks import open_locks

    locks, history = open_locks(folder), open_history(folder)

    def attempts(key: bytes) -> Sequence[Attempt]:
        try:
            return history.of(key)
        except StateFolderError as fault:
            _say_once(fault)
            return ()

    def runs_elsewhere(key: bytes) -> bool:
        if not locks.take(key):
            return True
        locks.give(key)
        return False

    return {"attempts": attempts, "runs_elsewhere": runs_elsewhere}


_said: set[str] = set()


def _say_once(fault: Exception) -> None:
    if str(fault) not in _said:
        _said.add(str(fault))
        print(f"levada: the past is not known: {escape(str(fault))}", file=sys.stderr)
