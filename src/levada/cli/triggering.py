"""``levada trigger`` towards a server: the triggers that it keeps, and what is done to them; ``levada event`` posts an event."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .._model import exit_codes
from ..errors import UsageError
from .app import DEBUG, HELP
from .options import Option, Parsed, seconds
from .remote import JSON, SERVER, Remote, find_server, need_server, part, understood
from .text import escape, json_text, say, table

PARAM = Option(
    "--param", "NAME=TEXT", "add, fire: a parameter of the task, facts in braces: day={fire.day - 1}; may be repeated", many=True
)
REASON = Option("--reason", "TEXT", "why, for the audit trail")
CHANGES: tuple[Option, ...] = (
    PARAM,
    Option("--cron", "LINE", "add: at the times of a cron line, on the clocks of --zone"),
    Option("--every", "SECONDS", "add: each so many seconds", read=seconds),
    Option("--rule", "TEXT", "add: at the times of a recurrence rule (RFC 5545), on the clocks of --zone"),
    Option("--arrival", "PATTERN", "add: for each target that fits: s3://in/{day}.csv"),
    Option("--on-event", "NAME", "add: at each event of that name"),
    Option("--where", "FIELD=TEXT", "add: only where the event's field is that; may be repeated", many=True),
    Option("--after", "WHAT", "add: when trigger:NAME, a family or Family(day=...) has ended; may be repeated", many=True),
    Option("--any-of", "", "add: after any of several, not all"),
    Option("--interval", "SECONDS", "add: between two looks for an arrival (default 30)", read=seconds),
    Option("--start", "MOMENT", "add: it fires from then on"),
    Option("--end", "MOMENT", "add: it fires until then"),
    Option("--jitter", "SECONDS", "add: a fire waits for up to so long", read=seconds),
    Option("--overlap", "POLICY", "add: skip, queue_one, queue_all, cancel_old or allow"),
    Option("--missed", "POLICY", "add: skip, last, each or merge"),
    Option("--rate", "N/SECONDS", "add: at most so many fires in so long"),
    Option("--deadline", "SECONDS", "add: a goal that has not ended by then is told of", read=seconds),
    Option("--on-deadline", "WHAT", "add: alert, or fail"),
    Option("--spec", "FILE", "add: the whole trigger as JSON, as `levada trigger show --json` prints it"),
    REASON,
    *SERVER[:2],
)
FIELD = Option("--field", "NAME=TEXT", "a field of the event; may be repeated", many=True)
EVENT_OPTIONS: tuple[Option, ...] = (
    FIELD,
    Option("--id", "ID", "one event has one effect, however often it is posted (default: one that nothing else has)"),
    Option("--url", "URL", "a target that has come to be; may be repeated", many=True),
    REASON,
    JSON,
    *SERVER,
    DEBUG,
    HELP,
)
MOST = 100_000


def server_of(parsed: Parsed, environ: Mapping[str, str]) -> Remote | None:
    """The server whose triggers are meant, where no module was named; None where there is none."""
    if parsed.texts("app"):
        return None
    found = find_server(parsed, environ)
    if found is None:
        try:
            return need_server(parsed, environ)
        except UsageError:
            return None
    return found


# -- what a server has -------------------------------------------------------------------------


def list_there(remote: Remote, parsed: Parsed) -> int:
    """Print the triggers of a server."""
    from .trigger import in_zone, template_of, when_text, zone_of_trigger

    rows = list(remote.pages("/v1/triggers", "triggers", MOST))
    if parsed.flag("json"):
        print(json_text(rows))
        return exit_codes.OK
    if not rows:
        print("the server has no triggers: define them beside your tasks (docs/triggers.md), or by `levada trigger add`")
        return exit_codes.OK
    cells = []
    for row in rows:
        trigger = trigger_of(row)
        due = "paused" if row.get("paused") else in_zone(row["next"], zone_of_trigger(trigger)) if row.get("next") else "when that happens"
        cells.append(
            (
                trigger.name,
                template_of(trigger),
                when_text(trigger.when),
                due,
                str(row.get("fires", 0)),
                str(row.get("live", 0)),
                row.get("problem", ""),
            )
        )
    print("\n".join(table(cells, ("trigger", "task", "when", "next", "fires", "live", "problem"))))
    return exit_codes.OK


def trigger_of(row: Mapping[str, Any]) -> Any:
    """The trigger of a server's answer."""
    from .._model.triggers import trigger_from_json

    return trigger_from_json(row["spec"], f"trigger {row['name']}")._replace(paused=bool(row.get("paused")))


def standing(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How a trigger of a server stands, as lines."""
    lines = [("fires", f"{row.get('fires', 0)}, skipped {row.get('skipped', 0)}, live goals {row.get('live', 0)}")]
    lines += [("last goal", row["last_goal"])] if row.get("last_goal") else []
    return lines + ([("problem", escape(row["problem"]))] if row.get("problem") else [])


# -- what is done ------------------------------------------------------------------------------


def add(parsed: Parsed, environ: Mapping[str, str]) -> int:
    """Define a trigger at a server, or define it anew."""
    spec = _spec(parsed)
    return _sent(parsed, environ, str(spec["name"]), "", {"spec": spec}, method="PUT")


def _spec(parsed: Parsed) -> dict[str, Any]:
    if (file := parsed.text("spec")) is not None:
        return _read_spec(file, parsed.words)
    if len(parsed.words) != 2:
        raise UsageError(
            f"levada trigger add: got {' '.join(parsed.words) or 'nothing'}",
            hint="Write `levada trigger add NAME FAMILY --cron LINE --zone ZONE`.",
        )
    from .goal import read_task

    family, inside = read_task(parsed.words[1])
    spec: dict[str, Any] = {
        "name": parsed.words[0],
        "family": family,
        "params": {**inside, **pairs(parsed, "param")},
        "when": _when(parsed),
    }
    names = ("start", "end", "jitter", "overlap", "missed", "deadline", "on_deadline")
    spec.update((name, parsed.values[name]) for name in names if parsed.values.get(name) is not None)
    if (rate := parsed.text("rate")) is not None:
        most, _, per = rate.partition("/")
        try:
            spec["most"], spec["per"] = int(most), float(per)
        except ValueError:
            raise UsageError(f"--rate is {rate!r}; expected N/SECONDS, as 10/3600") from None
    return spec


def _read_spec(file: str, words: Sequence[str]) -> dict[str, Any]:
    try:
        with open(file, encoding="utf-8") as opened:
            spec = json.load(opened)
    except OSError as cause:
        raise UsageError(f"--spec: {file} cannot be read: {cause.strerror}") from cause
    except ValueError as cause:
        raise UsageError(f"--spec: {file} is no JSON: {cause}") from cause
    if isinstance(spec, dict) and "spec" in spec and isinstance(spec["spec"], dict):
        spec = spec["spec"]  # as a server told it
    if not isinstance(spec, dict) or not isinstance(spec.get("name"), str):
        raise UsageError(f"--spec: {file} holds no trigger", hint='Expected {"name": ..., "family": ..., "params": {...}, "when": {...}}.')
    spec.pop("next", None)
    if words:
        raise UsageError(f"one word too many: {words[0]!r}", hint="The file says name and family.")
    return spec


def _when(parsed: Parsed) -> dict[str, Any]:
    zone = parsed.text("zone")
    made: dict[str, Callable[[Any], dict[str, Any]]] = {
        "cron": lambda text: {"line": text, "zone": zone},
        "every": lambda seconds: {"seconds": seconds, "zone": zone or "UTC"},
        "rule": lambda text: {"text": text.replace("\\n", "\n"), "zone": zone},
        "arrival": lambda pattern: {
            "pattern": _whole(pattern),
            **({"interval": parsed.values["interval"]} if parsed.values.get("interval") is not None else {}),
        },
        "on_event": lambda name: {"name": name, "where": pairs(parsed, "where")},
        "after": lambda of: {"of": list(of), "any_of": parsed.flag("any_of")},
    }
    given = [name for name in made if parsed.values.get(name) is not None]
    if len(given) != 1:
        said = " and ".join(f"--{name.replace('_', '-')}" for name in given) or "nothing that says when"
        raise UsageError(f"levada trigger add: got {said}", hint="Give one of --cron, --every, --rule, --arrival, --on-event, --after.")
    (name,) = given
    if name in ("cron", "rule") and zone is None:
        raise UsageError(f"--{name} needs --zone: on whose clocks?", hint="As in --zone Europe/Lisbon, or --zone UTC.")
    return {"kind": {"on_event": "event"}.get(name, name), **made[name](parsed.values[name])}


def _whole(pattern: str) -> str:
    """A pattern as it means the same in every folder: workers have others."""
    if "://" in pattern or pattern.startswith("/"):
        return pattern
    return os.path.join(os.getcwd(), os.path.expanduser(pattern))


def pairs(parsed: Parsed, option: str) -> dict[str, str]:
    """Values of a repeated option NAME=TEXT. Raises UsageError."""
    found: dict[str, str] = {}
    for text in parsed.texts(option):
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"--{option}: got {text!r}, expected NAME=TEXT")
        found[name.strip().replace("-", "_") if option == "param" else name.strip()] = value
    return found


def _name(parsed: Parsed, verb: str) -> str:
    if len(parsed.words) != 1:
        raise UsageError(
            f"levada trigger {verb}: got {' '.join(parsed.words) or 'nothing'}, expected one name", hint="`levada trigger list` shows them."
        )
    return parsed.words[0]


def _sent(parsed: Parsed, environ: Mapping[str, str], name: str, path: str, body: Mapping[str, object], *, method: str = "POST") -> int:
    remote = need_server(parsed, environ)
    try:
        answer = remote.send(f"/v1/triggers/{part(name)}{path}", {**body, "reason": parsed.text("reason")}, method=method)
        row = {} if method == "DELETE" else remote.get(f"/v1/triggers/{part(name)}")
    finally:
        remote.close()
    if parsed.flag("json"):
        print(json_text({**answer, "trigger": row}))
        return exit_codes.OK
    print(f"{escape(name)}: {escape(answer.get('after', ''))}")
    if row.get("problem"):
        say(f"  {escape(row['problem'])}")
    return exit_codes.OK


def pause(parsed: Parsed, environ: Mapping[str, str]) -> int:
    """Let it fire no more for now."""
    return _sent(parsed, environ, _name(parsed, "pause"), "/pause", {})


def resume(parsed: Parsed, environ: Mapping[str, str]) -> int:
    """Let it fire again."""
    return _sent(parsed, environ, _name(parsed, "resume"), "/resume", {})


def remove(parsed: Parsed, environ: Mapping[str, str]) -> int:
    """Forget it."""
    return _sent(parsed, environ, _name(parsed, "remove"), "", {}, method="DELETE")


def fire(parsed: Parsed, environ: Mapping[str, str]) -> int:
    """Let it fire now, or as if it were another moment."""
    from .._model.triggers import instant, zone_of
    from .goal import name_of, with_answer
    from .trigger import zone_of_trigger

    name = _name(parsed, "fire")
    remote = need_server(parsed, environ)
    try:
        row = remote.get(f"/v1/triggers/{part(name)}")
        text = parsed.text("at")
        at = None if text is None else instant(text, zone_of(zone_of_trigger(trigger_of(row))), "--at")
        answer = remote.send(
            f"/v1/triggers/{part(name)}/fire", {"at": at, "params": pairs(parsed, "param"), "reason": parsed.text("reason")}
        )
        goal = remote.get(f"/v1/goals/{answer['goal']}")
    finally:
        remote.close()
    print(json_text(with_answer(goal, answer)) if parsed.flag("json") else f"goal {goal['number']}: {name_of(goal)}: {goal['state']}")
    if not answer["offered"]:
        say(f"  {escape(goal.get('reason', ''))}")
    return exit_codes.OK


# -- levada event --------------------------------------------------------------------------------


def post(command: str, arguments: list[str], environ: Mapping[str, str]) -> int:
    """Carry out ``levada event NAME``."""
    parsed = understood(command, arguments, EVENT_OPTIONS)
    if parsed is None:
        return exit_codes.OK
    if len(parsed.words) != 1:
        raise UsageError(f"levada event: got {' '.join(parsed.words) or 'nothing'}", hint="Write `levada event NAME --field name=text`.")
    remote = need_server(parsed, environ)
    try:
        body = {
            "event": parsed.words[0],
            "id": parsed.text("id"),
            "fields": pairs(parsed, "field"),
            "urls": parsed.texts("url"),
            "reason": None,
        }
        answer = remote.send("/v1/events", body)
    finally:
        remote.close()
    if parsed.flag("json"):
        print(json_text(answer))
    else:
        print(f"fired: {', '.join(map(escape, answer['fired'])) or 'nothing'}")
    return exit_codes.OK
