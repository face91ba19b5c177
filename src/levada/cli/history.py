"""``levada status``, ``history`` and ``log``: what the state folder remembers of past runs, or what a server says if one is named.

No module is imported.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from .._model import exit_codes
from ..config.state import state_folder, state_path
from ..errors import UsageError, headline
from .app import DEBUG, HELP
from .names import LOOKED_AT, choose, meant, name_of
from .options import Option, Parsed, Scanner
from .tasks import CONFIG, SCHEDULER, settings_for, state_of
from .text import duration, ending, escape, json_text, one_line, table

if TYPE_CHECKING:
    from .._model.ports import Attempt

JSON = Option("--json", "", "print JSON")
STATE = Option("--state", "FOLDER", "the state folder", setting=("levada", "state"))
LIMIT = Option("--limit", "N", "so many at most (default 20)", read=int)
FAILED = Option("--failed", "", "only attempts that did not end well")
FOLLOW = Option("--follow", "", "with a server: print what comes until the attempt is over", short="-f")

OPTIONS: Mapping[str, tuple[Option, ...]] = {
    "status": (LIMIT, JSON, SCHEDULER, STATE, CONFIG, DEBUG, HELP),
    "history": (FAILED, LIMIT, JSON, SCHEDULER, STATE, CONFIG, DEBUG, HELP),
    "log": (FOLLOW, JSON, SCHEDULER, STATE, CONFIG, DEBUG, HELP),
}


def main(command: str, arguments: list[str], environ: Mapping[str, str]) -> int:
    """Carry out one of the three."""
    parsed = Parsed()
    Scanner(arguments, OPTIONS[command]).parse(parsed)
    if parsed.flag("help"):
        from .help import command_help

        sys.stdout.write(command_help(command, OPTIONS[command]))
        return exit_codes.OK
    if _names_a_server(parsed, environ):
        return _of_server(command, parsed, environ)
    own = _own_server(parsed, environ)
    if parsed.flag("follow"):
        named = f"the one of this state folder is {own}" if own else "without one, runs print as they go"
        raise UsageError("--follow needs a server", hint=f"Name it by --scheduler URL or LEVADA_SCHEDULER; {named}.")
    if own and parsed.text("scheduler") is None:
        print(f"levada: these are runs without a server; `--scheduler {own}` asks the server that runs here", file=sys.stderr)
    history = open_history(parsed, environ)
    try:
        return {"status": status, "history": attempts, "log": log}[command](parsed, history)
    finally:
        history.close()


def _names_a_server(parsed: Parsed, environ: Mapping[str, str]) -> bool:
    named = parsed.text("scheduler") or settings_for(parsed, environ).get("levada", "scheduler", "")
    return named not in ("", "none")


def _own_server(parsed: Parsed, environ: Mapping[str, str]) -> str:
    """The address of the server that runs with the state folder; empty when none does."""
    from .._client.address import own_addresses, server_pid

    folder = parsed.text("state") or state_path(environ, state_of(settings_for(parsed, environ)))
    own, pid = own_addresses(folder), server_pid(folder)
    try:
        os.kill(pid or os.getpid(), 0)
    except ProcessLookupError:
        return ""  # it was killed
    except OSError:
        pass  # another user's
    return str(own[-1]) if own else ""


def _of_server(command: str, parsed: Parsed, environ: Mapping[str, str]) -> int:
    from . import watch
    from .remote import need_server

    remote = need_server(parsed, environ)
    try:
        return {"status": watch.status, "history": watch.history, "log": watch.log}[command](remote, parsed)
    finally:
        remote.close()


def open_history(parsed: Parsed, environ: Mapping[str, str]) -> Any:
    """The history of the state folder; a folder that is not there has an empty one, and is not made."""
    return history_of(parsed.text("state") or state_of(settings_for(parsed, environ)), environ)


def history_of(state: str | None, environ: Mapping[str, str]) -> Any:
    """The history of the state folder that is set, or of the one that always counts."""
    from .._server.history import open_history

    if state is not None:
        environ = {**environ, "LEVADA_STATE": state}
    return open_history(state_folder(environ) if os.path.exists(state_path(environ)) else state_path(environ))


def status(parsed: Parsed, history: Any) -> int:
    """Print the latest runs, then the latest attempts counted by family."""
    limit = _limit(parsed)
    runs = history.runs(limit)
    latest = _by_family(history.recent(1000))
    if parsed.flag("json"):
        return _json({"runs": [run._asdict() for run in runs], "families": [dict(zip(FAMILY_HEAD, row, strict=True)) for row in latest]})
    if not runs and not latest:
        print(_nothing(history, "no run was recorded yet"))
        return exit_codes.OK
    print(f"State folder: {escape(os.path.dirname(history.path))}\n")
    if runs:
        print("\n".join(table(map(_run_row, runs), (f"started ({zone()})", "wanted", "status", "took", "done", "failed"))))
    if latest:
        print("\nThe newest attempts by family:")
        print("\n".join(table([(*row[:3], when(row[3]), row[4]) for row in latest[:limit]], FAMILY_HEAD)))
    return exit_codes.OK


FAMILY_HEAD = ("family", "ok", "failed", "last", "last error")


def _by_family(newest_first: Sequence[Attempt]) -> list[tuple[str, int, int, float, str]]:
    found: dict[str, list[Attempt]] = {}
    for attempt in newest_first:
        found.setdefault(attempt.family, []).append(attempt)
    rows = []
    for family, those in sorted(found.items()):
        bad = [each for each in those if each.exit != "ok"]
        error = told_of(bad[0]) if bad else ""
        rows.append((family, len(those) - len(bad), len(bad), those[0].started, error))
    return rows


def _run_row(run: Any) -> tuple[object, ...]:
    took = "" if run.seconds is None else duration(run.seconds)
    return when(run.started), run.wanted, _run_status(run), took, *("" if number is None else number for number in (run.done, run.failed))


def _run_status(run: Any) -> str:
    if run.status is not None:
        return str(run.status)
    try:
        os.kill(run.pid, 0)
    except ProcessLookupError:
        return "killed"
    except OSError:
        pass
    return "running"


def attempts(parsed: Parsed, history: Any) -> int:
    """Print attempts, newest first: all, those of a family, or those of one task."""
    if len(parsed.words) > 1:
        raise UsageError(f"unexpected word {parsed.words[1]!r}", hint="Write `levada history [FAMILY or 'TASK']`.")
    word = parsed.words[0] if parsed.words else None
    found = _wanted(history, word, _limit(parsed), parsed.flag("failed"))
    if parsed.flag("json"):
        return _json([{**each._asdict(), "key": each.key.hex(), "task": name_of(each)} for each in found])
    if not found:
        print(_nothing(history, "no failed attempt was recorded" if parsed.flag("failed") else "no attempt was recorded yet", word))
        return exit_codes.OK
    print("\n".join(attempt_lines(found)))
    return exit_codes.OK


def attempt_lines(found: Sequence[Attempt]) -> list[str]:
    """A table of attempts."""
    rows = [(when(each.started), name_of(each), each.number, each.exit, duration(each.seconds), told_of(each)) for each in found]
    return table(rows, (f"started ({zone()})", "task", "attempt", "ended", "took", "error"))


def _wanted(history: Any, word: str | None, limit: int, failed: bool) -> Sequence[Attempt]:
    if word is None or not history.recent(1) or history.recent(1, family=word):
        return cast("Sequence[Attempt]", history.recent(limit, family=word, failed=failed))
    one = choose(word, remembered(history))
    found = history.of(one.key, limit if not failed else LOOKED_AT)
    return [each for each in found if not failed or each.exit != "ok"][:limit]


def remembered(history: Any) -> list[Attempt]:
    """The attempts among which a task is sought by its name, newest first; those that failed go back further."""
    return [*history.recent(LOOKED_AT), *history.recent(LOOKED_AT, failed=True)]


def _nothing(history: Any, said: str, word: str | None = None) -> str:
    """That there is nothing, and where it was looked for."""
    return f"{said}{f' of {escape(word)}' if word else ''} (state folder {escape(os.path.dirname(history.path))})"


def log(parsed: Parsed, history: Any) -> int:
    """Print the error of the newest failed attempt of a task or family; see ``names`` for how it may be written."""
    if len(parsed.words) != 1:
        raise UsageError("which task?", hint="Write `levada log TASK` with a task, family or key as `levada history` shows them.")
    word = parsed.words[0]
    found = _last_failure(history, word)
    if parsed.flag("json"):
        return _json(None if found is None else {**found._asdict(), "key": found.key.hex(), "task": name_of(found)})
    if found is None:
        print(_nothing(history, "no failed attempt was recorded", word))
        return exit_codes.OK
    print("\n".join(ended_lines(found)))
    return exit_codes.OK


def ended_lines(found: Attempt) -> list[str]:
    """How an attempt ended, and the whole of its error."""
    took = f"after {duration(found.seconds)} of work (started {when(found.started)} {zone()})"
    if found.exit == "ok":
        return [f"{escape(name_of(found))}: attempt {found.number} ended well {took}"]
    said = escape(found.error.rstrip()) or "(no error text)"
    return [f"{escape(name_of(found))}: attempt {found.number} {ending(found.exit)} {took}", said]


def _last_failure(history: Any, word: str) -> Attempt | None:
    of_family = history.recent(1, family=word, failed=True)
    if of_family or not history.recent(1) or history.recent(1, family=word):
        return of_family[0] if of_family else None
    failures = history.recent(LOOKED_AT, failed=True)
    one = choose(word, failures if meant(word, failures) else remembered(history))
    return next((each for each in history.of(one.key) if each.exit != "ok"), None)


def told_of(attempt: Attempt) -> str:
    """What is said of an attempt's error in one line; how it ended where there is no text."""
    said = one_line(headline(attempt.error).removeprefix("levada.errors."))
    return said or ("" if attempt.exit == "ok" else attempt.exit)


def when(seconds: float) -> str:
    """A moment in local time, to the second."""
    from datetime import datetime

    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")


def zone() -> str:
    """The name of the local time zone, in which moments are shown: ``CET``, ``UTC``."""
    from datetime import datetime

    return datetime.now().astimezone().tzname() or "local time"


def _limit(parsed: Parsed) -> int:
    limit = parsed.values.get("limit", 20)
    if not isinstance(limit, int) or limit < 1:
        raise UsageError(f"--limit: got {limit}, expected a whole number of 1 or more")
    return limit


def _json(value: object) -> int:
    print(json_text(value, default=str))
    return exit_codes.OK
