"""What people read: tasks, why they wait, history, workers, resources. A page is short and says where the next one begins.

What the brain knows is read here, in the host's thread, with bounds; what the store knows in the reader's.
"""

from __future__ import annotations

import re
from binascii import hexlify, unhexlify
from collections.abc import Callable, Iterable, Sequence
from shlex import quote
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from .._core import views
from .._core.state import DEFAULT_TOTAL
from .._model.messages import SessionId
from .._model.ports import Attempt
from .._model.spec import Index
from .._model.status import Status
from .._store import ports
from .._store.ports import Reading
from .._wire import operators as o
from .._wire.kinds import Answer
from ..errors import headline
from .desk import Desk
from .finding import LOOKED_AT, first_after, following, number_of, place, search, standing, wanted
from .http.port import Call
from .members import Member

if TYPE_CHECKING:
    from .host import Host

Done = Answer | bytes | None

LARGEST = 4 << 20
"""Bytes of texts on one page, about: long parameters and errors make it end earlier."""
MOST_KEYS = 100
OFFERED = 1_000
SCANNED = 5_000
T = TypeVar("T")

# -- the whole -----------------------------------------------------------------------------------


def overview(desk: Desk, call: Call) -> Done:
    """Counts of everything."""
    host, state = desk.host, desk.host.brain.state
    return o.OverviewAnswer(
        server=host.version,
        epoch=state.epoch,
        uptime=max(0.0, desk.wall - host.started),
        paused=state.paused,
        counts={str(status): state.counts[status] for status in Status},
        complete=state.complete,
        families=len(state.families),
        sessions=len(host.members),
        gone=sum(_silent(host, member) > host.rules.lease for member in host.members.values()),
    )


def _silent(host: Host, member: Member) -> float:
    """Seconds since something was heard of a session; since the server's start at most."""
    return 0.0 if member.call is not None else max(0.0, host.clock() - member.seen)


def families(desk: Desk, call: Call) -> Done:
    """Families by name, with counts."""
    asked, state = cast("o.Families", call.request), desk.host.brain.state
    names = first_after(state.families, asked.after, asked.limit)
    rows = [o.FamilyRow(name, _counts(desk, state.families[name])) for name in names]
    return o.FamiliesAnswer(rows, following(names, asked.limit, str))


def _counts(desk: Desk, family: int) -> dict[str, int]:
    by_family = desk.host.brain.state.by_family
    return {str(status): by_family[status][family] for status in Status if by_family[status][family]}


def workers(desk: Desk, call: Call) -> Done:
    """Sessions by id."""
    asked, host, state = cast("o.Workers", call.request), desk.host, desk.host.brain.state
    names = first_after(host.members, asked.after, asked.limit)
    running = views.running(state)
    rows = []
    for name in names:
        member = host.members[SessionId(name)]
        about: dict[str, Any] = member.about
        session, silent = state.sessions.get(member.id), _silent(host, member)
        rows.append(
            o.WorkerRow(
                session=name,
                host=about.get("host", ""),
                pid=about.get("pid", 0),
                levada=about.get("levada", ""),
                code=about.get("code", ""),
                modules=list(about.get("modules", ()))[:OFFERED],
                running=running.get(member.id, 0),
                silent=silent,
                gone=silent > host.rules.lease,
                draining=session is not None and session.draining,
            )
        )
    return o.WorkersAnswer(rows, following(names, asked.limit, str))


def resources(desk: Desk, call: Call) -> Done:
    """Resources by name."""
    asked, state = cast("o.Resources", call.request), desk.host.brain.state
    names = first_after(views.resources(state), asked.after, asked.limit)
    short = views.short(state)
    rows = [o.ResourceRow(name, state.total.get(name, DEFAULT_TOTAL), state.used.get(name, 0), short.get(name, 0)) for name in names]
    return o.ResourcesAnswer(rows, following(names, asked.limit, str))


# -- tasks ---------------------------------------------------------------------------------------


class Brief(NamedTuple):
    """What the brain knows of a task, for one line."""

    index: Index  # type: ignore[assignment]
    key: str
    family: str
    status: str
    priority: int
    attempts: int
    reason: str
    retry_in: float | None


def _brief(desk: Desk, index: Index) -> Brief:
    state = desk.host.brain.state
    reason, retry_in = views.brief(state, index, desk.now)
    return Brief(
        index, desk.host.registry.text(index), state.policy_of(index).family, str(Status(state.status[index])),
        state.priority.get(index, 0), state.attempts(index), reason, retry_in,
    )  # fmt: skip


def _row(brief: Brief, row: ports.TaskRow | None) -> o.TaskRow:
    params = "" if row is None or row.key.hex() != brief.key else row.params  # its place may be another's by now
    return o.TaskRow(brief.key, brief.family, params, brief.status, brief.priority, brief.attempts, brief.reason, brief.retry_in)


def tasks(desk: Desk, call: Call) -> Done:
    """Tasks by index: found by the brain's columns, or by the store's where it looks at fewer."""
    asked, state = cast("o.Tasks", call.request), desk.host.brain.state
    statuses = wanted(asked.status)
    family = None if asked.family is None else number_of(state, asked.family)
    after = place(asked.after)
    if not standing(state, statuses, family):
        return o.TasksAnswer([])
    everything = frozenset(map(int, Status))
    sparse = family is not None and standing(state, everything, family) < standing(state, statuses)
    if asked.q or sparse:
        _scan(desk, call, asked, statuses, after)
    else:
        page = search(state, statuses, family, after=after, limit=asked.limit)
        briefs = [_brief(desk, index) for index in page.found]
        desk.host.office.ask(call, lambda store: _tasks_answer(briefs, store.tasks_at(page.found), page.next))
    return None


def _scan(desk: Desk, call: Call, asked: o.Tasks, statuses: frozenset[int], after: int) -> None:
    """By the store's rows; statuses are looked at when they are there."""
    limit = asked.limit if len(statuses) == len(Status) else SCANNED

    def then(desk: Desk, found: ports.TaskPage) -> Answer:
        state, keys, rows = desk.host.brain.state, desk.host.registry.keys, list[ports.TaskRow]()
        end = found.next
        for row in found.rows:
            if row.index < len(keys) and keys[row.index] == row.key and state.status[row.index] in statuses:
                rows.append(row)
                if len(rows) == asked.limit:
                    end = row.index if found.next is not None or row is not found.rows[-1] else None
                    break
        return _tasks_answer([_brief(desk, row.index) for row in rows], rows, end)

    desk.host.office.ask(call, lambda store: store.task_page(family=asked.family, containing=asked.q, after=after, limit=limit), then)


def _tasks_answer(briefs: Sequence[Brief], rows: Iterable[ports.TaskRow], end: Index | None) -> Answer:
    by_index = {row.index: row for row in rows}
    lines = [_row(brief, by_index.get(brief.index)) for brief in briefs]
    kept = _fitting(lines, lambda line: len(line.params))
    if len(kept) < len(lines):
        end = briefs[len(kept) - 1].index
    return o.TasksAnswer(kept, None if end is None else str(end))


def _fitting(rows: Sequence[T], size: Callable[[T], int]) -> list[T]:
    """The first rows, at least one, that hold about LARGEST bytes."""
    left, kept = LARGEST, list[T]()
    for row in rows:
        if kept and left < size(row):
            break
        left -= size(row)
        kept.append(row)
    return kept


def task(desk: Desk, call: Call) -> Done:
    """One task."""
    asked, host = cast("o.Task", call.request), desk.host
    state, index = host.brain.state, host.registry.index(asked.key)
    brief, fence = _brief(desk, index), state.fence(index)
    unmet = host.brain.view(index, desk.now).unmet
    needed_by = state.edges.dependants_of(index)
    holder = state.holder.get(index) if state.status[index] == Status.RUNNING else None
    end = state.lease_end(index)
    facts: dict[str, Any] = {
        "generation": state.generation.get(index, 1),
        "epoch": None if fence is None else fence.epoch,
        "number": None if fence is None else fence.number,
        "session": holder,
        "worker": None if holder is None else _worker(desk, holder),
        "lease": None if end is None else max(0.0, end - desk.now),
        "resources": dict(state.policy_of(index).resources),
        "short_of": state.short_of(state.policy_of(index).resources) if state.status[index] == Status.READY else None,
        "unmet": host.registry.texts(unmet[:MOST_KEYS]),
        "unmet_count": len(unmet),
        "needed_by": host.registry.texts(list(needed_by[:MOST_KEYS])),
        "needed_by_count": len(needed_by),
    }

    def read(store: Reading) -> Answer:
        row = next(iter(store.tasks_at([index])), None)
        return o.TaskAnswer(task=_row(brief, row), module=None if row is None else row.module, **facts)

    host.office.ask(call, read)
    return None


def _worker(desk: Desk, session: SessionId) -> str:
    member = desk.host.members.get(session)
    about: dict[str, Any] = {} if member is None else member.about
    return f"{about.get('host') or 'unknown host'} pid {about.get('pid', 0)}"


# -- why -----------------------------------------------------------------------------------------


def why(desk: Desk, call: Call) -> Done:
    """The chain from a task to what would end its wait."""
    asked = cast("o.Why", call.request)
    chain = desk.host.brain.chain(desk.host.registry.index(asked.key))
    links = [(_brief(desk, index), _says(desk, index)) for index in chain]
    ends, last = _ends(desk, chain[-1]), links[-1][0]
    failed = last.status in ("failed", "disabled", "retrying")

    def read(store: Reading) -> Answer:
        rows = {row.index: row for row in store.tasks_at(chain)}
        error = _last_error(store, last.key) if failed else ""
        facts = []
        for brief, text in links:
            row = _row(brief, rows.get(brief.index))
            said = f"{text}: {error}" if error and brief is last else text
            facts.append(o.Fact(row.key, row.family, row.params, row.status, said))
        return o.WhyAnswer(facts, ends)

    desk.host.office.ask(call, read)
    return None


def _says(desk: Desk, index: Index) -> str:
    """Where a task stands, and why, as a line."""
    state = desk.host.brain.state
    status, (reason, again) = Status(state.status[index]), views.brief(state, index, desk.now)
    if status is Status.RUNNING:
        lease = state.lease_end(index)
        left = "" if lease is None else f", {max(0.0, lease - desk.now):.0f} s of its lease are left"
        held = f" ({reason})" if reason else ""
        return f"runs on {_worker(desk, state.holder[index])}, attempt {state.attempts(index)}{left}{held}"
    if again is not None:
        when = f"runs again in {again:.0f} s" if status is Status.RETRYING else f"the same command may try it again in {again:.0f} s"
        return f"{status}: {reason}; {when}"
    return f"{status}: {reason}" if reason else str(status)


def _last_error(store: Reading, key: str) -> str:
    attempts = store.attempts_of(unhexlify(key), 1)
    return headline(attempts[0].attempt.error)[:500] if attempts else ""


def _ends(desk: Desk, index: Index) -> str:
    """What would end the wait."""
    state, key = desk.host.brain.state, desk.host.registry.text(index)
    status = Status(state.status[index])
    if status is Status.READY:
        return _ends_ready(desk, index)
    if status is Status.RUNNING:
        if index in state.suspended:
            return "It waits for requirements that its run() yielded, and these for it: cancel one of them."
        return f"Its attempt ends; `levada log -f {key}` shows what it prints."
    if status is Status.WAITING:
        if index in state.open:
            return (
                "Where others make it, the next run that wants it sees that it has come. "
                "Else the process that plans it tells of the rest; `levada workers` shows whether it is there."
            )
        return "Tasks wait for each other, or more are in between than are looked at: ask for the last one of these."
    return {
        Status.RETRYING: f"It runs again by itself when that time is over; `levada log {key}` shows what went wrong.",
        Status.DONE: "It was done.",
        Status.FAILED: f"Mend the cause, then `levada retry {key}`; `levada log {key}` shows the error.",
        Status.DISABLED: f"Mend the cause, then `levada forgive {key}`; `levada log {key}` shows the error.",
        Status.CANCELLED: f"`levada retry {key}` sets it going again.",
    }[status]


def _ends_ready(desk: Desk, index: Index) -> str:
    state = desk.host.brain.state
    policy = state.policy_of(index)
    short = state.short_of(policy.resources)
    if state.paused:
        return "`levada resume`: the server is paused."
    if short is not None and dict(policy.resources)[short] > state.total.get(short, DEFAULT_TOTAL):
        return _ends_never(desk, index, short)
    group = state.groups[state.group[index]]
    may = (
        [one for name, one in state.sessions.items() if group.is_for(name, one.labels)][:OFFERED]
        if len(state.sessions) <= LOOKED_AT
        else []
    )
    if not may and len(state.sessions) <= LOOKED_AT:
        offered = f", or `levada worker --app {policy.module}`" if re.fullmatch(r"[\w.]+", policy.module) else ""
        return f"Start a run that wants it{offered}: no worker that may run it is here."
    if short is not None:
        return f"Tasks that hold the resource {short!r} end, or `levada resource {quote(short)} N` gives more of it."
    if may and all(one.draining for one in may):
        return "A worker that does not drain comes: all that may run it do."
    return "A worker with room asks for more; `levada workers` shows what they do."


def _ends_never(desk: Desk, index: Index, name: str) -> str:
    """What helps a task that asks for more of a resource than there is: no end of another task does."""
    state = desk.host.brain.state
    total, wanted = state.total.get(name, DEFAULT_TOTAL), dict(state.policy_of(index).resources)[name]
    have = f"there is only {total}" if total else "there is none"
    return f"`levada resource {quote(name)} {wanted}`, or more: it needs {wanted} of {name!r}, and {have}."


# -- history -------------------------------------------------------------------------------------


def history(desk: Desk, call: Call) -> Done:
    """Attempts, newest first."""
    asked = cast("o.History", call.request)
    before = place(asked.after) if asked.after else None
    desk.host.office.ask(call, lambda store: _history_answer(_attempts(store, asked, before)))
    return None


def _attempts(store: Reading, asked: o.History, before: int | None) -> ports.AttemptPage:
    if asked.key is None:
        return store.attempts(family=asked.family, failed=asked.failed, before=before, limit=asked.limit)
    rows = store.attempts_of(unhexlify(asked.key), SCANNED)
    rows = [one for one in rows if before is None or one.id < before]
    rows = [one for one in rows if asked.family in (None, one.attempt.family) and not (asked.failed and one.attempt.exit == "ok")]
    page = rows[: asked.limit]
    return ports.AttemptPage(page, page[-1].id if len(rows) > len(page) else None)


def _history_answer(page: ports.AttemptPage) -> Answer:
    kept = _fitting(page.rows, lambda one: len(one.attempt.task) + len(one.attempt.error))
    end = page.next if len(kept) == len(page.rows) else kept[-1].id
    return o.HistoryAnswer([_attempt_row(one.attempt) for one in kept], None if end is None else str(end))


def _attempt_row(attempt: Attempt) -> o.AttemptRow:
    return o.AttemptRow(
        key=hexlify(attempt.key).decode(),
        family=attempt.family,
        params=attempt.task,
        number=attempt.number,
        started=attempt.started,
        seconds=attempt.seconds,
        exit=attempt.exit,
        error=attempt.error,
        fingerprint=attempt.fingerprint,
        cpu=attempt.cpu,
        rss=attempt.rss,
        worker=attempt.worker,
    )


HANDLERS: dict[type, Callable[[Desk, Call], Done]] = {
    o.Overview: overview,
    o.Families: families,
    o.Tasks: tasks,
    o.Task: task,
    o.Why: why,
    o.History: history,
    o.Workers: workers,
    o.Resources: resources,
}
"""By the type of the request."""
