"""``levada status, history, log, why`` of a server, and ``tasks, workers, resources, audit``, which only servers have."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from .._model import exit_codes
from ..errors import Refused, ServerUnreachable, UsageError
from .app import DEBUG, HELP
from .options import Option, Parsed
from .remote import JSON, SERVER, STATUSES, Remote, is_key, need_server, newest_of, part, status_of, task_key, task_name, understood
from .text import count, duration, escape, json_text, one_line, table

_COMMON = (JSON, *SERVER, DEBUG, HELP)
ALL = Option("--limit", "N", "so many at most (default: all)", read=int)
LIMIT = Option("--limit", "N", "so many at most (default 20)", read=int)
FAMILY = Option("--family", "FAMILY", "only tasks of this family")
SEARCH = Option("--search", "TEXT", "only tasks that have this in their parameters")
OPTIONS: Mapping[str, tuple[Option, ...]] = {
    "tasks": (Option("--status", "STATUS", f"only tasks that stand so: {', '.join(STATUSES)}"), FAMILY, SEARCH, LIMIT, *_COMMON),
    "workers": (ALL, *_COMMON),
    "resources": (ALL, *_COMMON),
    "audit": (LIMIT, *_COMMON),
}
MOST = 100_000
WINDOW = 200  # attempts, newest reported, that are put in the order of their ends
HELD = 30.0  # seconds that the server may hold a question for more of a log
AWAY = 60.0  # seconds for which who follows a log waits for a server that is away


def main(command: str, arguments: list[str], environ: Mapping[str, str]) -> int:
    """Carry out what only servers have."""
    parsed = understood(command, arguments, OPTIONS[command])
    if parsed is None:
        return exit_codes.OK
    if parsed.words:
        hint = f"Write `levada {command}`; see `levada {command} --help`."
        raise UsageError(f"unexpected word {parsed.words[0]!r}", hint=hint)
    status_of(parsed)
    remote = need_server(parsed, environ)
    try:
        return {"tasks": tasks, "workers": workers, "resources": resources, "audit": audit}[command](remote, parsed)
    finally:
        remote.close()


def _json(value: object) -> int:
    print(json_text(value))
    return exit_codes.OK


def _most(parsed: Parsed, default: int) -> int:
    limit = parsed.values.get("limit", default)
    if not isinstance(limit, int) or limit < 1:
        raise UsageError(f"--limit: got {limit}, expected a whole number of 1 or more")
    return limit


# -- what only servers have ----------------------------------------------------------------------


def tasks(remote: Remote, parsed: Parsed) -> int:
    """Print tasks with where they stand and why, in the order in which the server met them."""
    most = _most(parsed, 20)
    query = {"status": status_of(parsed), "family": parsed.text("family"), "q": parsed.text("search")}
    rows = list(remote.pages("/v1/tasks", "tasks", most + 1, **query))
    shown = rows[:most]
    if parsed.flag("json"):
        return _json(shown)
    if not rows:
        print(f"no such task ({remote.where})")
        return exit_codes.OK
    lines = [(row["status"], task_name(row), row.get("attempts", 0), row["key"], _why(row)) for row in shown]
    print("\n".join(table(lines, ("status", "task", "attempts", "key", "why"))))
    if len(rows) > most:
        print(f"There are more: --limit N shows more than {most:,}; --status, --family and --search choose among them.")
    return exit_codes.OK


def _why(row: Any) -> str:
    again = row.get("retry_in")
    return str(row.get("reason", "")) + ("" if again is None else f" (may run again in {duration(again)})")


def workers(remote: Remote, parsed: Parsed) -> int:
    """Print the workers."""
    rows = list(remote.pages("/v1/workers", "workers", _most(parsed, MOST)))
    if parsed.flag("json"):
        return _json(rows)
    if not rows:
        print(f"no worker is known ({remote.where})")
        return exit_codes.OK
    lines = sorted(
        (row["host"], row["pid"], row["session"][:12], row["running"], duration(row["silent"]),
         "gone" if row["gone"] else "draining" if row["draining"] else "",
         ", ".join(row["modules"]))
        for row in rows
    )  # fmt: skip
    print(
        "\n".join(
            table([(*row[:1], str(row[1]), *row[2:]) for row in lines], ("host", "pid", "session", "running", "silent", "", "offers"))
        )
    )
    return exit_codes.OK


def resources(remote: Remote, parsed: Parsed) -> int:
    """Print the resources."""
    rows = list(remote.pages("/v1/resources", "resources", _most(parsed, MOST)))
    if parsed.flag("json"):
        return _json(rows)
    if not rows:
        print(f"no resource is known ({remote.where})")
        return exit_codes.OK
    lines = [(row["name"], row["total"], row["used"], row["waiting"]) for row in rows]
    print("\n".join(table(lines, ("resource", "total", "in use", "tasks that wait"))))
    return exit_codes.OK


def audit(remote: Remote, parsed: Parsed) -> int:
    """Print who changed what, newest first; as JSON one line each."""
    from .history import when, zone

    rows = remote.pages("/v1/audit", "lines", _most(parsed, 20))
    if parsed.flag("json"):
        for row in rows:
            print(json_text(row, indent=None))
        return exit_codes.OK
    lines = [
        (when(row["at"]), row["token"], row["address"], row["action"], row["subject"], row["before"], row["after"], row["reason"])
        for row in rows
    ]
    print("\n".join(table(lines, (f"at ({zone()})", "token", "address", "action", "what", "before", "after", "reason"))))
    return exit_codes.OK


# -- what state folders have too -----------------------------------------------------------------


def status(remote: Remote, parsed: Parsed) -> int:
    """Print how the server and its families stand."""
    seen = remote.get("/v1/status")
    rows = list(remote.pages("/v1/families", "families", _most(parsed, MOST)))
    if parsed.flag("json"):
        return _json({**seen, "families": rows})
    state = "paused: nothing is granted" if seen["paused"] else "running"
    print(f"{remote.where}: {state}; levada {escape(seen['server'])}, epoch {seen['epoch']}, up for {duration(seen['uptime'])}")
    known = sum(seen["counts"].values())
    gone = f" ({seen['gone']:,} more not heard of for a lease)" if seen["gone"] else ""
    print(f"{count(seen['sessions'] - seen['gone'], 'worker')}{gone}, {count(known, 'task')}\n")
    head = [name for name, number in seen["counts"].items() if number]
    if rows:
        print("\n".join(table([(row["family"], *(row["counts"].get(name, 0) for name in head)) for row in rows], ("family", *head))))
    return exit_codes.OK


def history(remote: Remote, parsed: Parsed) -> int:
    """Print attempts, newest first: all, those of a family, or those of one task."""
    from .history import attempt_lines

    word = parsed.words[0] if parsed.words else None
    query: dict[str, Any] = {"failed": parsed.flag("failed") or None}
    if word is not None:
        query |= _family_or_key(remote, word)
    most = _most(parsed, 20)
    rows = list(remote.pages("/v1/history", "attempts", max(most, WINDOW), **query))
    rows = sorted(rows, key=lambda row: row["started"] + row["seconds"], reverse=True)[:most]
    if parsed.flag("json"):
        return _json(rows)
    found = [_attempt(row) for row in rows]
    print("\n".join(attempt_lines(found)) if found else f"no {'failed ' if parsed.flag('failed') else ''}attempt ({remote.where})")
    return exit_codes.OK


def _family_or_key(remote: Remote, word: str) -> dict[str, Any]:
    """Of a family that the server knows, else of one task."""
    if not is_key(word) and "(" not in word and remote.get("/v1/history", family=word, limit=1)["attempts"]:
        return {"family": word}
    return {"key": task_key(remote, word)}


def _attempt(row: Any) -> Any:
    from .._model.ports import Attempt

    values = {**row, "task": row["params"], "key": bytes.fromhex(row["key"])}
    return Attempt(*(values[name] for name in Attempt._fields))


def why(remote: Remote, key: str, *, as_json: bool) -> int:
    """Print the chain from a task to what would end its wait."""
    seen = remote.get(f"/v1/tasks/{part(key)}/why")
    if as_json:
        return _json(seen)
    for place, fact in enumerate(seen["facts"]):
        print(f"{'  ' if place else ''}{task_name(fact)}: {one_line(fact['text'], 500)}")
    print(f"  -> {escape(seen['ends'])}")
    return exit_codes.OK


# -- logs ----------------------------------------------------------------------------------------


def log(remote: Remote, parsed: Parsed) -> int:
    """Print the log of a task's newest attempt, and how it ended; follow it with -f. Of a family that of its newest failure, if any."""
    if len(parsed.words) != 1:
        raise UsageError("which task?", hint="Write `levada log TASK` with a key or a name, as `levada tasks` and `history` show them.")
    word = parsed.words[0]
    key = newest_of(remote, word) or task_key(remote, word)
    follows = parsed.flag("follow")
    pieces = _pieces(remote, key, follows=follows)
    if parsed.flag("json"):
        return _log_as_json(remote, key, pieces)
    at_start = True
    for piece in pieces:
        if piece.get("dropped"):
            print(f"{'' if at_start else chr(10)}... {piece['dropped']:,} bytes were not kept ...")
        if piece["text"]:
            sys.stdout.write(escape(piece["text"]))
            at_start = piece["text"].endswith("\n")
            sys.stdout.flush()
    if not at_start:
        print()
    _tell_end(remote, key)
    return exit_codes.OK


def _pieces(remote: Remote, key: str, *, follows: bool) -> Iterator[Any]:
    """Pieces of a log to its end: as it is now, or followed until the attempt is over."""
    offset, fence = 0, dict[str, Any]()
    while True:
        try:
            ask = partial(remote.get, f"/v1/log/{key}", wait=HELD if follows else 0.0, offset=offset, **fence)
            piece = _over_restarts(ask) if follows and fence else ask()
        except Refused as no:
            if no.status != 404 or fence or remote.get(f"/v1/tasks/{key}")["number"] is not None:
                raise
            if not follows:
                raise
            _wait_for_start(remote, key)
            continue
        fence = {"epoch": piece["epoch"], "number": piece["number"]}
        offset = piece["next"]
        if piece["text"]:
            yield piece
        if piece["ended"] or not (piece["text"] or follows):
            yield {**piece, "text": ""}
            return


def _over_restarts(ask: Callable[[], Any]) -> Any:
    """An answer; a server that was there and is away is waited for."""
    from time import monotonic, sleep

    until: float | None = None
    while True:
        try:
            return ask()
        except (ServerUnreachable, Refused) as no:
            if isinstance(no, Refused) and no.retry_after is None:
                raise
            if until is None:
                until = monotonic() + AWAY
                print(f"levada: {no.message}; waiting for it", file=sys.stderr)
            elif monotonic() >= until:
                raise
            sleep(1.0)


def _wait_for_start(remote: Remote, key: str) -> None:
    from time import sleep

    said = False
    while remote.get(f"/v1/tasks/{key}")["number"] is None:
        if not said:
            name = task_name(remote.get(f"/v1/tasks/{key}")["task"])
            print(f"levada: {name} was not started yet; `levada why {key}` tells what it waits for", file=sys.stderr)
            said = True
        sleep(1.0)


def _log_as_json(remote: Remote, key: str, pieces: Iterator[Any]) -> int:
    found = list(pieces)
    text = "".join(piece["text"] for piece in found)
    dropped = sum(piece.get("dropped", 0) for piece in found)
    last = found[-1]
    attempts = remote.get("/v1/history", key=key, limit=1)["attempts"]
    return _json({
        "key": key, "epoch": last["epoch"], "number": last["number"], "ended": last["ended"], "dropped": dropped, "text": text,
        "attempt": attempts[0] if attempts else None,
    })  # fmt: skip


def _tell_end(remote: Remote, key: str) -> None:
    """How the newest attempt that ended did so, with its error."""
    from .history import ended_lines

    attempts = remote.get("/v1/history", key=key, limit=1)["attempts"]
    if attempts:
        print("\n".join(ended_lines(_attempt(attempts[0]))))
