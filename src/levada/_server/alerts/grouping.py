"""What is said when: alarms grouped by their cause, and told when it is time.

No clock, no thread, no socket: whoever owns a ``Grouping`` says what time it is. Laws: what fails alike is one message; what was told
is not told again but by a reminder, also after a restart; that it is over is told only to those who were told that it began.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

FAILED, DISABLED, DEADLINE, RECOVERED, GONE = "failed", "disabled", "deadline", "recovered", "gone"
KINDS = (FAILED, DISABLED, DEADLINE, RECOVERED)
"""What can be told. ``gone`` never is: what it names was cancelled, or is not known any more."""

WINDOW = 30.0  # seconds
REMINDERS = (3600.0, 4 * 3600.0, 24 * 3600.0)  # seconds after the first message, after the second; then again and again the last
CAUSES = 500  # that are told apart; what comes beyond is one cause
FOLLOWED = 5_000  # things that failed and are waited for; of what comes beyond only the number is known
EXAMPLES = 5
TEXT = 2_000  # characters of an error
NAME = 300  # of the name of an example
VERSION = 1  # of what ``save`` gives


class Alarm(NamedTuple):
    """One thing that went wrong, or that is well again.

    kind: one of KINDS, or ``gone``. cause: equal for what failed alike. subject: its name for people. text: the error.
    owner: names with commas between; "" where nobody is named. at: seconds since 1970. key: what tells it from all others;
    "": its subject does. ``recovered`` and ``gone`` need no more than that.
    """

    kind: str
    cause: str
    subject: str
    text: str
    family: str
    owner: str
    at: float
    key: str = ""


class Rules(NamedTuple):
    """on: kinds that are told. window: seconds for which alarms of a cause are gathered before the first message."""

    on: frozenset[str] = frozenset(KINDS)
    window: float = WINDOW
    reminders: tuple[float, ...] = REMINDERS


class Part(NamedTuple):
    """What is to be said of one cause. times: alarms since it began; since: those that were not told before.

    kind: that of its alarms. state: "new", "still" (a reminder) or "over". open: things that are known to be as they were.
    """

    kind: str
    state: str
    family: str
    text: str
    first: float
    times: int
    since: int
    open: int
    examples: tuple[tuple[str, str], ...]  # key, name


class Told(NamedTuple):
    """What is to be said to one owner now."""

    owner: str
    parts: tuple[Part, ...]


Id = tuple[str, str, str]


class Cause:
    """What is known of one cause. ``due``: when it is spoken of next; ``told``: how often it was."""

    __slots__ = ("beyond", "count", "due", "examples", "family", "first", "keys", "made", "since", "text", "told")

    def __init__(self, family: str, text: str, first: float, due: float) -> None:
        self.family, self.text, self.first, self.due = family, text, first, due
        self.count = self.since = self.told = 0
        self.made = 0  # that are well again
        self.beyond = False  # there are things that are not followed
        self.keys: set[str] = set()
        self.examples: list[tuple[str, str]] = []

    def part(self, kind: str, state: str) -> Part:
        """What is to be said of it now."""
        return Part(kind, state, self.family, self.text, self.first, self.count, self.since, len(self.keys), tuple(self.examples))


class Grouping:
    """Alarms in, what is to be said out. Times are seconds since 1970; a clock that is set back moves what is due along.

    saved: what ``save`` of another life gave; what cannot be read is begun anew, for alerts never stop a server.
    ``version`` is another one whenever ``save`` would give something else.
    """

    def __init__(self, saved: str = "", rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self.version = 0
        self._causes: dict[Id, Cause] = {}
        self._where: dict[str, Id] = {}
        self._over: list[tuple[str, Part]] = []
        self._now = -math.inf
        if saved:
            self._load(saved)

    def followed(self) -> list[str]:
        """Keys of what failed and is waited for."""
        return list(self._where)

    def take(self, alarm: Alarm, now: float) -> None:
        """Note an alarm."""
        self._pass_time(now)
        if alarm.kind in (RECOVERED, GONE):
            self._end(alarm.key or alarm.subject, made=alarm.kind == RECOVERED)
        elif alarm.kind in self.rules.on:
            self._begin(alarm, now)

    def due(self, now: float) -> list[Told]:
        """What is to be said now, for each owner in one piece. It counts as told from here on."""
        self._pass_time(now)
        found: dict[str, list[Part]] = {}
        for owner, part in self._over:
            found.setdefault(owner, []).append(part)
        for name in [name for name, cause in self._causes.items() if cause.due <= now]:
            told = self._tell(name, now)
            if told is not None:
                found.setdefault(name[2], []).append(told)
        if self._over or found:
            self.version += 1
            self._over = []
        return [Told(owner, tuple(parts)) for owner, parts in found.items()]

    def next_due(self) -> float:
        """When ``due`` has something to say, if nothing happens before; inf: never."""
        return self._now if self._over else min((cause.due for cause in self._causes.values()), default=math.inf)

    # -- what happens

    def _pass_time(self, now: float) -> None:
        if now < self._now:
            for cause in self._causes.values():
                cause.due += now - self._now
        self._now = now

    def _begin(self, alarm: Alarm, now: float) -> None:
        self.version += 1
        name = (alarm.kind, alarm.cause, alarm.owner)
        if name not in self._causes and len(self._causes) >= CAUSES:
            name, alarm = (FAILED, "", ""), alarm._replace(family="", text="There are more causes than are told apart.")
        cause = self._causes.get(name)
        if cause is None:
            cause = self._causes[name] = Cause(alarm.family, alarm.text[-TEXT:], alarm.at, self._first_due(alarm.owner, now))
        cause.count += 1
        cause.since += 1
        key = alarm.key or alarm.subject
        if len(cause.examples) < EXAMPLES and all(key != known for known, _ in cause.examples):
            cause.examples.append((key, alarm.subject[:NAME]))
        self._follow(key, name, cause)

    def _first_due(self, owner: str, now: float) -> float:
        """After the window; with what the owner will be told before that, so that one trouble with many causes is one message."""
        gathering = [cause.due for (_, _, whose), cause in self._causes.items() if whose == owner and not cause.told]
        return min([now + self.rules.window, *gathering])

    def _follow(self, key: str, name: Id, cause: Cause) -> None:
        known = self._where.get(key)
        if known == name:
            return
        if known is not None:
            self._end(key, made=False)  # it fails in another way now
        if len(self._where) >= FOLLOWED:
            cause.beyond = True
            return
        self._where[key] = name
        cause.keys.add(key)

    def _end(self, key: str, *, made: bool) -> None:
        name = self._where.pop(key, None)
        if name is None:
            return
        self.version += 1
        cause = self._causes[name]
        cause.keys.discard(key)
        cause.made += made
        if cause.keys:
            return
        if not cause.told and cause.beyond:
            return  # it is told first
        del self._causes[name]
        if cause.told and cause.made and RECOVERED in self.rules.on:
            self._over.append((name[2], cause.part(name[0], "over")))

    def _tell(self, name: Id, now: float) -> Part | None:
        cause = self._causes[name]
        if cause.told and not cause.keys and not cause.since:  # nothing of it is followed, and nothing came: nobody can say more
            del self._causes[name]
            self.version += 1
            return None
        part = cause.part(name[0], "still" if cause.told else "new")
        cause.due = now + self.rules.reminders[min(cause.told, len(self.rules.reminders) - 1)]
        cause.told += 1
        cause.since = 0
        cause.examples = []
        return part

    # -- over a restart

    def save(self) -> str:
        """What must be remembered, as JSON: some dozen kilobytes where thousands of tasks have failed."""
        causes = [
            [
                *name, one.family, one.text, one.first, one.due, one.count, one.since, one.told, one.made, one.beyond, one.examples,
                list(one.keys),
            ]
            for name, one in self._causes.items()
        ]  # fmt: skip
        return json.dumps({"version": VERSION, "now": self._now, "causes": causes} if causes else {})

    def _load(self, saved: str) -> None:
        try:
            told = json.loads(saved)
            if told.get("version") == VERSION:
                self._read(told["causes"])
                self._now = float(told["now"])
        except (ValueError, TypeError, KeyError, AttributeError):
            self._causes, self._where = {}, {}

    def _read(self, rows: Iterable[Any]) -> None:
        for kind, cause, owner, family, text, first, due, count, since, told, made, beyond, examples, keys in rows:
            if kind not in self.rules.on:
                continue
            one = self._causes[kind, cause, owner] = Cause(family, text, float(first), float(due))
            one.count, one.since, one.told, one.made, one.beyond = int(count), int(since), int(told), int(made), bool(beyond)
            one.examples = [(str(key), str(name)) for key, name in examples]
            one.keys = set(map(str, keys))
            self._where.update(dict.fromkeys(one.keys, (kind, cause, owner)))
