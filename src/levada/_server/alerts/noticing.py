"""What of a drain is an alarm: tasks that failed for good or were disabled, and those that are well again.

The way of claims passes here: while nothing fails and nothing is followed, a drain costs a look at the kinds of its changes. Nothing here
is told before its commit.
"""

from __future__ import annotations

import json
import logging
from binascii import Error, hexlify, unhexlify
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from ..._core.changes import BecameCancelled, Ended, Finished, Forgotten
from ..._model.spec import Index
from ..._model.status import ExitClass, Status
from ..._store.ports import Store
from ..desk import Desk
from ..http.port import Sample
from .destinations import FAMILY
from .grouping import DISABLED, FAILED, GONE, RECOVERED, Alarm
from .sending import Alerts

if TYPE_CHECKING:
    from ..host import Host

NOTE = "alerts"
TASK = "task:"  # before the key of a task: others raise alarms of other things
PATIENCE = 8.0  # seconds that an attempt may come after the report of its failure: workers send them each few seconds
NAMED = 20  # tasks whose names are asked of the store at once
FAMILIES = 1_000  # whose last error is known
VALUE = 60  # characters of a parameter in the name of a task
_BAD = {Status.FAILED: FAILED, Status.DISABLED: DISABLED}
_OVER = (Status.DONE, Status.CANCELLED)
_WELL = frozenset({Finished, Forgotten, BecameCancelled, Ended})
log = logging.getLogger("levada.alerts")


class Broken(NamedTuple):
    """A task that failed, whose attempt may still come. at: seconds since 1970; until: the brain's time."""

    key: bytes
    kind: str
    reason: str
    at: float
    until: float


class Fault(NamedTuple):
    """An error of an attempt. fingerprint: "" where it has none."""

    fingerprint: str
    text: str


class Noticing:
    """Looks at drains, and raises alarms. All of it in the host's thread."""

    def __init__(self, alerts: Alerts) -> None:
        self.alerts = alerts
        self._pending: dict[Index, Broken] = {}
        self._followed: dict[Index, bytes] = {}  # what failed and was told to ``alerts``
        self._errors: dict[str, Fault] = {}

    # -- what the host calls

    def open(self, host: Host) -> None:
        """Begin, where the server before this one ended."""
        alarms = []
        status = host.brain.state.status
        for text in self.alerts.start(host.store.noted(NOTE) or ""):
            if not text.startswith(TASK):
                continue
            index = _find(host, text[len(TASK) :])
            if index is None or status[index] == Status.CANCELLED:
                alarms.append(_end(GONE, text, host.wall()))
            elif status[index] == Status.DONE:
                alarms.append(_end(RECOVERED, text, host.wall()))
            else:
                self._followed[index] = host.registry.keys[index]
        if alarms:
            self.alerts.raise_all(alarms)

    def look(self, desk: Desk) -> None:
        """Raise what a drain that is committed gives reason to. A fault here is logged: alerts never stop a server."""
        if not (desk.changes or self._pending):
            return
        try:
            alarms = self.alarms_of(desk)
            if alarms:
                self.alerts.raise_all(alarms)
        except Exception:
            log.exception("a fault of alerts")

    def keep(self, store: Store) -> None:
        """Let what was told be remembered; costs nothing while nothing was."""
        text = self.alerts.unsaved()
        if text is not None:
            store.note(NOTE, text)
            self.alerts.kept(text)

    def samples(self) -> Iterator[Sample]:
        """Figures for the metrics page."""
        return self.alerts.samples()

    # -- what a drain says

    def alarms_of(self, desk: Desk) -> list[Alarm]:
        """What is to be told of a drain."""
        alarms: list[Alarm] = []
        kinds = set(map(type, desk.changes))
        if self._followed and not kinds.isdisjoint(_WELL):
            alarms += self._well(desk)
        if Ended in kinds:
            self._note_broken(desk)
        if self._pending:
            alarms += self._broken(desk)
        return alarms

    def _well(self, desk: Desk) -> Iterator[Alarm]:
        """What is done again, or is no more."""
        followed, status = self._followed, desk.host.brain.state.status
        for change in desk.changes:
            if type(change) not in _WELL:  # most of them: a look at the type alone
                continue
            if isinstance(change, (Finished, Forgotten)):
                found, kind = change.tasks, RECOVERED if isinstance(change, Finished) else GONE
            elif isinstance(change, (BecameCancelled, Ended)) and status[change.task] == Status.CANCELLED:
                found, kind = (change.task,), GONE
            else:
                continue
            for index in found:
                if index in followed:
                    yield _end(kind, TASK + hexlify(followed.pop(index)).decode(), desk.wall)

    def _note_broken(self, desk: Desk) -> None:
        state, keys = desk.host.brain.state, desk.host.registry.keys
        for change in desk.changes:
            if isinstance(change, Ended) and change.status in _BAD and state.status[change.task] == change.status:
                patience = 0.0 if change.reason.startswith(ExitClass.LOST_WORKER.value) else PATIENCE  # nobody tells of that
                kind = _BAD[change.status]
                self._pending[change.task] = Broken(keys[change.task], kind, change.reason, desk.wall, desk.now + patience)

    def _broken(self, desk: Desk) -> Iterator[Alarm]:
        """Alarms of what failed, as soon as the error is known."""
        attempts = self._attempts(desk)
        keys, status = desk.host.registry.keys, desk.host.brain.state.status
        late: list[Index] = []
        for index, broken in list(self._pending.items()):
            attempt = attempts.get(broken.key)
            if keys[index] != broken.key or status[index] in _OVER:  # forgotten meanwhile, or set going and made
                del self._pending[index]
            elif attempt is not None:
                yield self._alarm(desk, index, named(attempt[1], attempt[2]), Fault(attempt[8], attempt[7]))
            elif desk.now >= broken.until:
                late.append(index)
        if late:
            rows = desk.host.store.tasks_at(late[:NAMED])
            names = {row.index: named(row.family, row.params) for row in rows}
            for index in late:
                yield self._alarm(desk, index, names.get(index, ""), None)

    def _attempts(self, desk: Desk) -> dict[bytes, Any]:
        """Attempts of the drain that failed, by key; the last error of each family is remembered."""
        found = {}
        for attempt in desk.attempts:
            if attempt[7]:
                found[attempt[0]] = attempt
                if attempt[1] in self._errors or len(self._errors) < FAMILIES:
                    self._errors[attempt[1]] = Fault(attempt[8], attempt[7])
        return found

    def _alarm(self, desk: Desk, index: Index, name: str, error: Fault | None) -> Alarm:
        """The alarm of a pending task. Without an error of its own (a batch has one for all) that of its family counts."""
        broken, policy = self._pending.pop(index), desk.host.brain.state.policy_of(index)
        exit_class = broken.reason.partition(":")[0]
        if error is None and exit_class != ExitClass.LOST_WORKER.value:
            error = self._errors.get(policy.family)
        text = hexlify(broken.key).decode()
        self._followed[index] = broken.key
        return Alarm(
            broken.kind,
            policy.family if broken.kind == DISABLED else f"{policy.family} {(error and error.fingerprint) or exit_class}",
            name or f"{policy.family} {text}",
            error.text if error and error.text else broken.reason,
            policy.family,
            self.owner(policy.family, policy.owners),
            broken.at,
            TASK + text,
        )

    def owner(self, family: str, owners: str) -> str:
        """Those whom the task names; else the entry of its family."""
        own = FAMILY + family
        return owners if owners or own not in self.alerts.destinations.owners else own


def _end(kind: str, key: str, at: float) -> Alarm:
    return Alarm(kind, "", "", "", "", "", at, key)


def _find(host: Host, text: str) -> Index | None:
    try:
        return host.registry.index_of.get(unhexlify(text))
    except (Error, ValueError):
        return None


def named(family: str, params: str) -> str:
    """The name of a task from the text of its parameters.

    >>> named("flights.Day", '{"day":"2013-01-05","window":"7"}')
    'flights.Day(day=2013-01-05, window=7)'
    """
    try:
        values = json.loads(params)
        shown = ", ".join(
            f"{name}={value if len(str(value)) <= VALUE else str(value)[: VALUE - 3] + '...'}" for name, value in values.items()
        )
    except (ValueError, AttributeError):
        shown = params[:VALUE]
    return f"{family}({shown})"
