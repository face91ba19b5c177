"""``levada goal add, list, show, log, cancel, again``: what somebody or something wanted of a server."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from .._model import exit_codes
from ..errors import LevadaError, Refused, ServerUnreachable, UsageError
from .app import DEBUG, HELP
from .options import Option, Parsed, Scanner, plain, seconds, some, split
from .remote import JSON, KEY_LENGTH, SERVER, Remote, need_server, part
from .text import count, duration, escape, one_line, say, table

STATES = ("wanted", "running", "parked", "done", "failed", "cancelled")
OPTIONS: tuple[Option, ...] = (
    Option("--live", "", "list: only goals that have not ended"),
    Option("--status", "STATE", f"list: only those that are {', '.join(STATES[:-1])} or {STATES[-1]}"),
    Option("--trigger", "NAME", "list: only those of a trigger"),
    Option("--family", "FAMILY", "list: only those of a family"),
    Option("--limit", "N", "list: so many (default 50)", read=some),
    Option("--deadline", "SECONDS", "add: so long after now it is told of, if it has not ended", read=seconds),
    Option("--fail", "", "add: at its deadline it has failed, too"),
    Option("--newest-first", "", "add: of a range, begin with the last partitions"),
    Option("--max-parallel", "N", "add: of a range, at most so many partitions at once", read=some),
    Option("--cause", "TEXT", "add: one goal is made for each cause, however often it is added"),
    Option("--wait", "", "add: wait until it has ended; the exit code is 0 where it is done, else 1"),
    Option("--reason", "TEXT", "why, for the audit trail"),
    JSON,
    *SERVER,
    DEBUG,
    HELP,
)
HINT = "Write `levada goal add FAMILY --parameter VALUE`, or `levada goal list`, `show GOAL`, `log GOAL`, `cancel GOAL`, `again GOAL`."
LOOK = 0.5  # seconds between two looks of --wait
PATIENCE = 600.0  # seconds that --wait goes on while the server is away
CANDIDATES = 1_000


def main(command: str, arguments: list[str], environ: Mapping[str, str]) -> int:
    """Carry out one of them."""
    parsed, params = _read(arguments)
    if parsed.flag("help"):
        import sys

        from .help import command_help

        sys.stdout.write(command_help(command, OPTIONS))
        return exit_codes.OK
    words = parsed.words
    if not words:
        raise UsageError("levada goal: what is to be done?", hint=HINT)
    if words[0] not in _VERBS:
        from .._model.spelling import did_you_mean

        raise UsageError(f"levada goal has no {words[0]!r}", hint=did_you_mean(words[0], _VERBS) or HINT)
    remote = need_server(parsed, environ)
    try:
        return _VERBS[words[0]](remote, parsed, params, words[1:], environ)
    finally:
        remote.close()


def _read(arguments: list[str]) -> tuple[Parsed, dict[str, str]]:
    """Options of ours, and parameters of the family: whatever else begins with two dashes."""
    parsed, params = Parsed(), {}
    scanner = Scanner(arguments, OPTIONS)
    while scanner.at < len(arguments):
        argument = arguments[scanner.at]
        scanner.at += 1
        name, attached = split(argument) if argument.startswith("-") else ("", None)
        if not name:
            parsed.words.append(argument)
        elif name in scanner.options:
            scanner.take(argument, parsed)
        elif argument.startswith("--") and len(argument) > 2 and parsed.words[:1] == ["add"]:
            written = argument.partition("=")[0]
            parsed.rest.append(written)
            params[plain(written)] = attached if attached is not None else scanner.value_after(argument, "VALUE")
        else:
            raise scanner.unknown(argument)
    return parsed, params


def _add(remote: Remote, parsed: Parsed, params: dict[str, str], words: Sequence[str], environ: Mapping[str, str]) -> int:
    if len(words) != 1:
        raise UsageError(f"levada goal add: got {' '.join(words) or 'no family'}, expected one family", hint=HINT)
    family, inside = read_task(words[0])
    params = {**inside, **params}
    options = {}
    if any(".." in text for text in params.values()):
        options["range"] = "yes"
    if parsed.flag("newest_first"):
        options["newest_first"] = "yes"
    if (limit := parsed.values.get("max_parallel")) is not None:
        options["max_parallel"] = str(limit)
    body = {
        "family": family, "params": params, "options": options, "deadline": parsed.values.get("deadline"),
        "on_deadline": "fail" if parsed.flag("fail") else "alert", "cause": parsed.text("cause"), "reason": parsed.text("reason"),
    }  # fmt: skip
    try:
        answer = remote.send("/v1/goals", body)
    except Refused as fault:
        raise _option_meant(fault, parsed.rest) from None
    goal = _waited(remote, answer["goal"]) if parsed.flag("wait") else remote.get(f"/v1/goals/{answer['goal']}")
    if parsed.flag("json"):
        print(json.dumps(with_answer(goal, answer), indent=2))
    else:
        made = "" if answer["made"] else " (it was wanted before, for this cause)"
        print(f"goal {goal['number']}: {name_of(goal)}: {goal['state']}{made}")
        if not answer["offered"] or parsed.flag("wait"):
            say(f"  {one_line(goal.get('reason', ''))}")
    if not parsed.flag("wait"):
        return exit_codes.OK
    return exit_codes.OK if goal["state"] == "done" else exit_codes.FAILED


def _option_meant(fault: Refused, written: Sequence[str]) -> LevadaError:
    """A parameter that the family does not have may be an option of ours, ill spelt."""
    from .._model.spelling import nearest

    ours = [option.name for option in OPTIONS]
    theirs = re.findall(r"\w+", (fault.hint or "").removeprefix("Did you mean")) if (fault.hint or "").startswith("Did you") else []
    for name in written:
        if f"there is no parameter {plain(name)!r}" in fault.message:
            close = nearest(name, [*ours, *(f"--{each}" for each in theirs)], most=1)
            if close and close[0] in ours:
                return UsageError(fault.message, hint=f"Did you mean {close[0]}?")
    return fault


def read_task(word: str) -> tuple[str, dict[str, str]]:
    """Family and parameters of ``Family``, ``Family(day=2024-01-31)`` or ``module:Family``. Raises UsageError.

    >>> read_task("reports:Report(day=2024-01-31, shops=a, b)")
    ('Report', {'day': '2024-01-31', 'shops': 'a, b'})
    """
    head, bracket, inside = word.partition("(")
    family = head.rpartition(":")[2].strip()
    pieces = re.split(r"(?:^|,\s*)([A-Za-z_]\w*)=", inside.strip()[:-1])
    if not family or (bracket and (not inside.strip().endswith(")") or pieces[0].strip() or inside.strip() == "")):
        raise UsageError(f"cannot read {word!r} as a task", hint=f"Write {family or 'FAMILY'}, or {family or 'FAMILY'}(name=value, ...).")
    return family, dict(zip(pieces[1::2], pieces[2::2], strict=True))


def with_answer(goal: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    """A goal that was wanted just now. new: whether it was made by that; offered: whether a worker offers its family."""
    return {**goal, "new": answer["made"], "offered": answer["offered"]}


def _waited(remote: Remote, key: str) -> Any:
    """A goal when it has ended. Who does not want to wait any longer is told that it goes on."""
    try:
        return _ended(remote, key)
    except KeyboardInterrupt:
        short = key[:8]
        say(f"levada: the goal goes on. `levada goal show {short}` tells how it stands, `levada goal cancel {short}` ends it.")
        raise


def _ended(remote: Remote, key: str) -> Any:
    """A goal when it has ended; what it waits for meanwhile is said, once for each state."""
    told, away_since = "", 0.0
    while True:
        try:
            goal = remote.get(f"/v1/goals/{key}")
            away_since = 0.0
        except ServerUnreachable as fault:
            if not away_since:
                say(f"levada: {fault.message}; waiting goes on")
                away_since = time.monotonic()
            elif time.monotonic() - away_since > PATIENCE:
                raise
            time.sleep(LOOK)
            continue
        if goal.get("ended"):
            return goal
        if (state := f"goal {goal['number']}: {goal['state']}: {one_line(goal.get('reason', ''))}") != told:
            say(f"levada: {state}")
            told = state
        time.sleep(LOOK)


def _list(remote: Remote, parsed: Parsed, params: dict[str, str], words: Sequence[str], environ: Mapping[str, str]) -> int:
    if words:
        raise UsageError(f"levada goal list takes no {words[0]!r}", hint="See `levada goal show GOAL`, or --status, --family, --trigger.")
    state = parsed.text("status")
    if state is not None and state not in STATES:
        raise UsageError(f"--status: got {state!r}, expected one of {', '.join(STATES)}")
    most = int(str(parsed.values.get("limit", 50)))
    query = {"live": parsed.flag("live") or None, "state": state, "trigger": parsed.text("trigger"), "family": parsed.text("family")}
    rows = list(remote.pages("/v1/goals", "goals", most + 1, **query))
    rows, more = rows[:most], len(rows) > most
    if parsed.flag("json"):
        print(json.dumps(rows, indent=2))
        return exit_codes.OK
    if not rows:
        say(
            "no goal fits"
            if any(query.values())
            else "nothing was wanted yet: `levada goal add FAMILY`, or a trigger (`levada trigger list`)"
        )
        return exit_codes.OK
    now = time.time()
    head = ("goal", "state", "since", "task", "why")
    lines = [
        (
            str(row["number"]),
            row["state"],
            f"{duration(max(0.0, now - row['since']))} ago",
            name_of(row),
            one_line("; ".join(filter(None, (_missed(row), row.get("reason", "")))), 100),
        )
        for row in rows
    ]
    print("\n".join(table(lines, head)))
    if more:
        print(f"There are more: --limit N shows more than {most:,}; --live, --status, --family and --trigger choose among them.")
    return exit_codes.OK


def _missed(goal: Mapping[str, Any]) -> str:
    """That the deadline has passed, and by how much; "" where it has not."""
    if goal.get("late") is None:
        return ""
    by = duration(goal["late"])
    return f"ended {by} after its deadline" if goal.get("ended") else f"its deadline passed {by} ago"


def name_of(goal: Mapping[str, Any]) -> str:
    """``Family(day=2024-01-01)``."""
    return one_line(f"{goal['family']}({', '.join(f'{name}={text}' for name, text in goal['params'].items())})")


def find(remote: Remote, word: str, act: str = "") -> Any:
    """The goal that is meant: by its number, its key, the beginning of one, or its task. Raises UsageError.

    Of several goals of a task the newest is shown; act: what is done to it otherwise, for which it must be clear which one is meant.
    """
    if len(word) == KEY_LENGTH and re.fullmatch("[0-9a-f]+", word):
        return remote.get(f"/v1/goals/{part(word)}")
    if word.isdecimal() and len(word) < 16:
        for live in (True, None):
            rows = remote.get("/v1/goals", limit=1, after=str(int(word) + 1), live=live)["goals"]
            if rows and rows[0]["number"] == int(word):
                return rows[0]
    found = [row for row in remote.pages("/v1/goals", "goals", CANDIDATES) if row["goal"].startswith(word)]
    if not found and (of_task := _of_task(remote, word)):
        return _meant(of_task, word, act)
    if len(found) == 1:
        return found[0]
    raise UsageError(
        f"{'no goal' if not found else f'{len(found)} goals'} {escape(word)!r}", hint="`levada goal list` shows their numbers."
    )


def _of_task(remote: Remote, word: str) -> list[Any]:
    """Goals of a family, or of ``Family(day=...)``, newest first."""
    try:
        family, given = read_task(word)
    except UsageError:
        return []
    rows = remote.pages("/v1/goals", "goals", CANDIDATES, family=family)
    return [row for row in rows if all(row["params"].get(name) == text for name, text in given.items())]


def _meant(found: Sequence[Any], word: str, act: str) -> Any:
    """One of the goals of a task."""
    several = found
    if act == "cancel":
        several = [row for row in found if not row.get("ended")] or found[:1]
    if act and any(row["params"] != several[0]["params"] or act == "cancel" for row in several[1:]):
        numbers = ", ".join(str(row["number"]) for row in several[:10]) + (", ..." if len(several) > 10 else "")
        raise UsageError(f"{count(len(several), 'goal')} of {escape(word)}: {numbers}", hint=f"Say which: levada goal {act} NUMBER.")
    if not act and len(found) > 1:
        say(f"levada: {count(len(found), 'goal')} of {escape(word)}; this is the newest (`levada goal list --family` shows them)")
    return several[0]


def _one(words: Sequence[str], verb: str) -> str:
    if len(words) != 1:
        raise UsageError(f"levada goal {verb}: which goal?", hint=HINT)
    return words[0]


def _show(remote: Remote, parsed: Parsed, params: dict[str, str], words: Sequence[str], environ: Mapping[str, str]) -> int:
    goal = find(remote, _one(words, "show"))
    if parsed.flag("json"):
        print(json.dumps(goal, indent=2))
        return exit_codes.OK
    print(f"goal {goal['number']}: {name_of(goal)}")
    lines = [
        ("key", goal["goal"]),
        ("state", goal["state"]),
        ("since", _moment(goal["since"])),
        ("why", escape(goal.get("reason", ""))),
        ("asked by", escape(goal["by"])),
        ("made", _moment(goal["made"])),
    ]
    if goal.get("deadline"):
        lines.append(("deadline", ": ".join(filter(None, (_moment(goal["deadline"]), _missed(goal))))))
    lines += [("ended", _moment(goal["ended"]))] if goal.get("ended") else []
    lines += [("unfolded by", escape(goal["agent"]))] if goal.get("agent") else []
    lines += [("tasks", ", ".join(f"{number} {name}" for name, number in goal["counts"].items()))] if goal.get("counts") else []
    print("\n".join(table(lines)))
    if goal.get("missing_count"):
        print(f"missing ({goal['missing_count']}):")
        print("\n".join(f"  {escape(url)}" for url in goal.get("missing", ())))
    return exit_codes.OK


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(at))


def _log(remote: Remote, parsed: Parsed, params: dict[str, str], words: Sequence[str], environ: Mapping[str, str]) -> int:
    """What its process printed, where it ran on this machine."""
    from ..config.state import state_path
    from .tasks import settings_for, state_of

    goal = find(remote, _one(words, "log"))
    folder = parsed.text("state") or state_path(environ, state_of(settings_for(parsed, environ)))
    path = os.path.join(folder, "goals", f"{goal['goal']}.log")
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            if parsed.flag("json"):
                print(json.dumps({"goal": goal["goal"], "path": path, "text": file.read()}, indent=2))
                return exit_codes.OK
            for line in file:
                print(escape(line.rstrip("\n")))
    except FileNotFoundError:
        if goal["state"] == "wanted" and goal["since"] == goal["made"]:
            hint = f"It is wanted: {one_line(goal.get('reason', ''))}"
            raise UsageError(f"goal {goal['number']} was not unfolded yet, so it has printed nothing", hint=hint) from None
        where = goal.get("agent") or "the worker that unfolded it"
        raise UsageError(f"{path}: there is no such file", hint=f"What a goal prints stays on the machine of {escape(where)}.") from None
    return exit_codes.OK


def _cancel(remote: Remote, parsed: Parsed, params: dict[str, str], words: Sequence[str], environ: Mapping[str, str]) -> int:
    if not words:
        _one(words, "cancel")
    for word in words:
        goal = find(remote, word, "cancel")
        answer = remote.send(f"/v1/goals/{goal['goal']}/cancel", {"reason": parsed.text("reason")})
        if parsed.flag("json"):
            print(json.dumps({"goal": goal["goal"], **answer}))
        elif answer["before"] == answer["after"]:
            print(f"goal {goal['number']}: is {answer['after']}, nothing was changed")
        else:
            print(f"goal {goal['number']}: {answer['after']} (was {answer['before']})")
    return exit_codes.OK


def _again(remote: Remote, parsed: Parsed, params: dict[str, str], words: Sequence[str], environ: Mapping[str, str]) -> int:
    goal = find(remote, _one(words, "again"), "again")
    answer = remote.send(f"/v1/goals/{goal['goal']}/again", {"reason": parsed.text("reason")})
    new = remote.get(f"/v1/goals/{answer['goal']}")
    said = f"goal {new['number']}: {name_of(new)}: {new['state']}" + ("" if answer["made"] else " (looked at again)")
    print(json.dumps(with_answer(new, answer), indent=2) if parsed.flag("json") else said)
    return exit_codes.OK


_VERBS = {"add": _add, "list": _list, "show": _show, "log": _log, "cancel": _cancel, "again": _again}
