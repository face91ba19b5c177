"""``levada status``, ``history`` and ``log``: what the state folder remembers of past runs. No module is imported."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._model import exit_codes
from ..config.state import state_folder, state_path
from ..errors import UsageError
from .app import DEBUG, HELP
from .options import Option, Parsed, Scanner
from .tasks import CONFIG, settings_for, state_of
from .text import duration, escape, one_line, table, task_name

if TYPE_CHECKING:
    from .._model.ports import Attempt

JSON = Option("--json", "", "print JSON")
STATE = Option("--state", "FOLDER", "the state folder", setting=("levada", "state"))
LIMIT = Option("--limit", "N", "so many at most (default 20)", read=int)
FAILED = Option("--failed", "", "only attempts that did not end well")

OPTIONS: Mapping[str, tuple[Option, ...]] = {
    "status": (LIMIT, JSON, STATE, CONFIG, DEBUG, HELP),
    "history": (FAILED, LIMIT, JSON, STATE, CONFIG, DEBUG, HELP),
    "log": (JSON, STATE, CONFIG, DEBUG, HELP),
}


def main(command: str, arguments: list[str], environ: Mapping[str, str]) -> int:
    """Carry out one of the three."""
    parsed = Parsed()
    Scanner(arguments, OPTIONS[command]).parse(parsed)
    if parsed.flag("help"):
        from .help import command_help

        sys.stdout.write(command_help(command, OPTIONS[command]))
        return exit_codes.OK
    history = open_history(parsed, environ)
    try:
        return {"status": status, "history": attempts, "log": log}[command](parsed, history)
    finally:
        history.close()


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
        print("no run was recorded yet")
        return exit_codes.OK
    if runs:
        print("\n".join(table(map(_run_row, runs), ("started", "wanted", "status", "took", "done", "failed"))))
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
        error = last_line(bad[0]) if bad else ""
        rows.append((family, len(those) - len(bad), len(bad), those[0].started, error))
    return rows


def _run_row(run: Any) -> tuple[object, ...]:
    took = "" if run.seconds is None else duration(run.seconds)
    return when(run.started), run.wanted, _run_status(run), took, run.done or 0, run.failed or 0


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
    """Print attempts, newest first."""
    if len(parsed.words) > 1:
        raise UsageError(f"unexpected word {parsed.words[1]!r}", hint="Write `levada history [FAMILY]`.")
    family = parsed.words[0] if parsed.words else None
    found = history.recent(_limit(parsed), family=family, failed=parsed.flag("failed"))
    if parsed.flag("json"):
        return _json([{**each._asdict(), "key": each.key.hex(), "task": name_of(each)} for each in found])
    if not found:
        print("no attempt was recorded yet" + (f" of {escape(family)}" if family else ""))
        return exit_codes.OK
    rows = [(when(each.started), name_of(each), each.number, each.exit, duration(each.seconds), last_line(each)) for each in found]
    print("\n".join(table(rows, ("started", "task", "attempt", "ended", "took", "error"))))
    return exit_codes.OK


def log(parsed: Parsed, history: Any) -> int:
    """Print the error of the newest failed attempt of a task, named by its text, its family, or the start of its key."""
    if len(parsed.words) != 1:
        raise UsageError("which task?", hint="Write `levada log TASK` with a task, family or key as `levada history` shows them.")
    word = parsed.words[0]
    found = next(
        (each for each in history.recent(10_000, failed=True) if word in (each.family, name_of(each), each.task) or _is_key(word, each)),
        None,
    )
    if parsed.flag("json"):
        return _json(None if found is None else {**found._asdict(), "key": found.key.hex(), "task": name_of(found)})
    if found is None:
        print(f"no failed attempt of {escape(word)} was recorded")
        return exit_codes.OK
    print(f"{escape(name_of(found))}: attempt {found.number} ended {found.exit} at {when(found.started)} after {duration(found.seconds)}")
    print(escape(found.error.rstrip()) or "(no error text)")
    return exit_codes.OK


def name_of(attempt: Attempt) -> str:
    """The attempt's task as people write it."""
    return task_name(attempt.family, attempt.task)


def _is_key(word: str, attempt: Attempt) -> bool:
    return len(word) >= 6 and attempt.key.hex().startswith(word)


def last_line(attempt: Attempt) -> str:
    """The last line of an attempt's error: the exception itself; how it ended where there is no text."""
    lines = [line for line in attempt.error.strip().splitlines() if line.strip()]
    return one_line(lines[-1].strip()) if lines else ("" if attempt.exit == "ok" else attempt.exit)


def when(seconds: float) -> str:
    """A moment in local time, to the second."""
    from datetime import datetime

    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")


def _limit(parsed: Parsed) -> int:
    limit = parsed.values.get("limit", 20)
    if not isinstance(limit, int) or limit < 1:
        raise UsageError(f"--limit: got {limit}, expected a whole number of 1 or more")
    return limit


def _json(value: object) -> int:
    import json

    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))
    return exit_codes.OK
