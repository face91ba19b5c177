"""What workers ask of the host: sessions, plans, claims and reports, renewals, questions about their tasks.

Messages name tasks by key; the brain knows indices. What a report says of a key that is not known is answered as lost.
A claim with nothing to grant is held until there is something, its wait is over, or nothing can come any more.
"""

from __future__ import annotations

from binascii import unhexlify
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

import msgspec

from .._model import messages as m
from .._model.messages import Fence, SessionId
from .._model.spec import BACKFILL, Growth, Index, Policy, Retry, TaskSpec
from .._model.status import Status
from .._store import ports
from .._wire import kinds
from .._wire import messages as w
from .._wire.problems import Refusal
from .._wire.versions import choose_version, limits_told
from .desk import Desk
from .http.port import Call
from .members import OPEN, Member
from .registry import Registry, split

if TYPE_CHECKING:
    from .._core.state import State
    from .host import Host

Done = kinds.Answer | bytes | None
"""What a handler gives back; None: the answer is held."""

SESSIONS = 100_000
LIMITED = 100_000  # resources that have a total
MODULES = 16_384  # characters of the modules that one assistant offers
ALL_MODULES = 16 << 20  # of those that all of them offer
MOST_UNMET = 100
_encode = msgspec.json.Encoder().encode
_new = tuple.__new__  # builds a NamedTuple in half the time; each report passes here
_TOLD = (Status.DONE, Status.FAILED, Status.DISABLED, Status.CANCELLED)


# -- sessions ------------------------------------------------------------------------------------


def _refuse_strange(state: State, name: str) -> None:
    """How much there is of what people share is said by operators alone."""
    if name not in state.total and len(state.total) >= LIMITED:
        raise Refusal("busy", f"{LIMITED:,} resources have a total, no more are taken")
    if not name.startswith(BACKFILL):
        raise Refusal(
            "forbidden",
            f"a worker may limit its backfills, not the resource {name!r}",
            hint="`levada resource NAME TOTAL` is for operators.",
        )


def hello(desk: Desk, call: Call) -> Done:
    """Open a session, or come back to it."""
    asked, host = cast("w.Hello", call.request), desk.host
    version = choose_version(asked.wire)
    session = SessionId(asked.session)
    member = host.members.get(session)
    limits = asked.limits if member is None else ()  # an operator may have changed them since
    for one in limits:
        _refuse_strange(host.brain.state, one.name)
    if member is None:
        if len(host.members) >= SESSIONS:
            raise Refusal("busy", f"{SESSIONS:,} sessions are open, no more are taken", retry_after=60.0)
        member = Member(session, call.identity.token)
    _refuse_stranger(member, call)
    count_modules(host, member, asked.modules)
    host.members[session] = member
    member.seen = host.clock()
    member.tell({"host": asked.host, "pid": asked.pid, "levada": asked.levada, "code": asked.code, "modules": asked.modules})
    reply: m.HelloReply = desk.handle(m.Hello(session, tuple(asked.modules), asked.goal or ""))
    for one in limits:
        desk.handle(m.SetResource(one.name, one.amount))
        desk.stirred = True
    desk.touch(member)
    return w.HelloAnswer(
        wire=version,
        epoch=reply.epoch,
        lease=reply.lease,
        seq=member.number,
        held=_held_by(desk, session),
        server=host.version,
        limits=limits_told(),
        namespace_key=host.namespace_key,
    )


def count_modules(host: Host, member: Member, modules: list[str]) -> None:
    size = sum(map(len, modules))
    if size > MODULES:
        raise Refusal("too-large", f"the names of the modules have more than {MODULES:,} characters", hint="Offer packages, not modules.")
    offered = host.offered - member.offered + size
    if size > member.offered and offered > ALL_MODULES:
        raise Refusal(
            "busy",
            f"the modules that all workers offer have more than {ALL_MODULES:,} characters, no more are taken",
            hint="Offer packages, not modules. What a worker offers counts until it ends, or is silent for a week.",
            retry_after=60.0,
        )
    host.offered = offered


def _held_by(desk: Desk, session: SessionId) -> list[w.Leased]:
    state, registry = desk.host.brain.state, desk.host.registry
    held = [index for index, holder in state.holder.items() if holder == session and state.status[index] == Status.RUNNING]
    return [w.Leased(registry.text(index), state.fence_epoch[index], state.number[index]) for index in held]


def _refuse_stranger(member: Member, call: Call) -> None:
    if member.token != call.identity.token:
        raise Refusal("forbidden", "the session belongs to another token", hint="A worker makes a session of its own when it starts.")


def _member(desk: Desk, call: Call, session: str) -> Member:
    member = desk.host.members.get(SessionId(session))
    if member is None:
        raise Refusal("out-of-step", f"session {session} is not known here", hint="Say Hello first.")
    _refuse_stranger(member, call)
    member.seen = desk.host.clock()
    return member


def bye(desk: Desk, call: Call) -> Done:
    """End a session; what it holds goes back."""
    asked = cast("w.Bye", call.request)
    member = _member(desk, call, asked.session)
    member.step(asked.seq)
    desk.handle(m.Bye(member.id))
    leave(desk, member)
    return w.ByeAnswer(desk.host.brain.state.epoch)


def leave(desk: Desk, member: Member) -> None:
    """Forget a session whose tasks went back."""
    if member.call is not None:
        desk.reply(member.call, Refusal("unknown-session", "the session has ended"))
        desk.host.unpark(member)
    if desk.host.members.pop(member.id, None) is not None:
        desk.host.offered -= member.offered
    desk.closed.append(unhexlify(member.id))
    desk.stirred = True


# -- plans ---------------------------------------------------------------------------------------


def add_tasks(desk: Desk, call: Call) -> Done:
    """Register a slice of a plan."""
    asked, host = cast("w.AddTasks", call.request), desk.host
    member = _member(desk, call, asked.session)
    answered = member.step(asked.seq)
    if answered is not None:
        return answered
    told = enter(desk, member, asked)
    answer = _encode(w.AddTasksAnswer(host.brain.state.epoch, told))
    _settle(desk, member, asked.seq, answer)
    desk.stirred = True
    return answer


def enter(desk: Desk, member: Member, asked: w.AddTasks) -> list[w.Told]:
    """Let the brain add tasks for a session; those of them that it knew and that stand done, failed, disabled or cancelled."""
    host = desk.host
    known = len(host.registry)
    policies = _Policies(asked.policies)
    specs, fresh = _specs(host.registry, asked, policies, list(islice(host.brain.state.free, len(asked.tasks))))
    growth = _growth(host.registry, asked, fresh)
    _refuse_others(desk, member, growth, {spec.index for spec in specs})
    reply = m.AddTasks(member.id, specs, growth, asked.complete, asked.reopen)
    desk.handle(reply)
    host.registry.add(fresh)
    desk.tasks += [
        ports.TaskRow(fresh[key], key, asked.policies[item.policy].family, item.params, item.module)
        for item, key in ((item, unhexlify(item.key)) for item in asked.tasks)
        if key in fresh
    ]
    return _told(desk, [spec.index for spec in specs if spec.index < known and host.registry.keys[spec.index] not in fresh])


class _Policies:
    """Policies of a message, made when a task names them: one object for each that differs."""

    def __init__(self, specs: list[w.PolicySpec]) -> None:
        self._specs = specs
        self._made: dict[tuple[int, str | None], Policy] = {}

    def get(self, number: int, module: str | None) -> Policy:
        policy = self._made.get((number, module))
        if policy is None:
            if number >= len(self._specs):
                raise Refusal("invalid-message", f"a task names policy {number}, the message has {len(self._specs)}")
            policy = self._made[number, module] = _policy(self._specs[number], module)
        return policy


def _policy(spec: w.PolicySpec, module: str | None) -> Policy:
    retry = spec.retry
    return Policy(
        spec.family,
        tuple((one.name, one.amount) for one in spec.resources),
        Retry(
            retry.attempts, retry.first, retry.longest, retry.disable_after, retry.window,
            tuple((one.name, one.attempts) for one in retry.exceptions), retry.disabled_for, retry.give_up_after,
        ),
        spec.timeout,
        spec.batch_limit,
        spec.disabled,
        module or "",
        spec.owners,
    )  # fmt: skip


def _specs(registry: Registry, asked: w.AddTasks, policies: _Policies, free: list[Index]) -> tuple[list[TaskSpec], dict[bytes, Index]]:
    """Specs in the order that the brain wants, and the new keys with their indices. free: places that forgotten tasks left."""
    index_of, following = registry.index_of, len(registry)
    fresh: dict[bytes, Index] = {}
    specs: list[TaskSpec] = []
    for item in asked.tasks:
        key = unhexlify(item.key)
        index = index_of.get(key)
        if index is None:
            if key in fresh:
                raise Refusal("invalid-message", f"task {item.key} stands twice in one message")
            if free:
                index = fresh[key] = free.pop()
            else:
                index = fresh[key] = following
                following += 1
        specs.append(TaskSpec(index, policies.get(item.policy, item.module), item.priority, item.batch))
    return specs, fresh


def _growth(registry: Registry, asked: w.AddTasks, fresh: dict[bytes, Index]) -> list[Growth]:
    index_of = registry.index_of

    def find(key: bytes) -> Index:
        index = index_of.get(key)
        if index is None:
            index = fresh.get(key)
        if index is None:
            raise Refusal("invalid-message", f"task {key.hex()} is required, and was neither added before nor in this message")
        return index

    return [Growth(find(unhexlify(one.key)), [find(key) for key in _once(one.requires)], one.closed) for one in asked.growth]


def _once(keys: str) -> Iterable[bytes]:
    """The keys in a text of keys, each once: the brain would count a requirement that is named twice as two."""
    return dict.fromkeys(split(keys))


def _refuse_others(desk: Desk, member: Member, growth: list[Growth], added: set[Index]) -> None:
    """Requirements are added to tasks of the message, or to ones that the session added before."""
    for one in growth:
        if one.index not in added and not _may_run(desk, member, one.index):
            raise Refusal("invalid-message", f"task {desk.host.registry.text(one.index)} grows, and this session has not added it")


def _told(desk: Desk, indices: Iterable[Index]) -> list[w.Told]:
    host = desk.host
    status, told = host.brain.state.status, list[w.Told]()
    for index in indices:
        if status[index] in _TOLD:
            view = host.brain.view(index, desk.now)
            told.append(w.Told(host.registry.text(index), str(view.status), view.reason, _retry_in(desk, view)))
    return told


def _retry_in(desk: Desk, view: m.TaskView) -> float | None:
    again = desk.host.brain.state.again.get(view.index)
    return view.retry_in if again is None else max(0.0, again - desk.now)


def _settle(desk: Desk, member: Member, number: int, answer: bytes) -> None:
    """The session's last number and answer, to be written with what they tell of."""
    member.number, member.answer, member.fresh = number, answer, False
    desk.touch(member)


# -- claims and reports --------------------------------------------------------------------------


def sync(desk: Desk, call: Call) -> Done:
    """Report and claim."""
    asked = cast("w.Sync", call.request)
    member = _member(desk, call, asked.session)
    answered = member.step(asked.seq)
    if answered is not None:
        if answered != OPEN:
            return answered
        _supersede(desk, member)
        command, lost = m.Sync(member.id, room=asked.room), list[str]()
    else:
        command, lost = _translated(desk, member, asked)
        if asked.attempts:
            desk.attempts += _own_attempts(desk, member, asked.attempts)
    before = len(desk.changes)
    reply: m.SyncReply = desk.handle(command._replace(room=0) if desk.host.held_until else command)
    if answered is None:
        member.number, member.answer, member.fresh = asked.seq, OPEN, False
        if len(desk.changes) > before or asked.attempts:
            desk.touch(member)
    member.room = asked.room
    if answered is None and asked.wait and not lost and not _says(reply) and (reply.active or member.about.get("modules")):
        member.call, member.deadline = call, desk.host.clock() + asked.wait
        desk.host.park(member)
        return None
    return answer_claim(desk, member, reply, lost)


def _says(reply: m.SyncReply) -> bool:
    return bool(reply.granted or reply.resumed or reply.lost or reply.cancel)


def _supersede(desk: Desk, member: Member) -> None:
    """The client asks again while its claim is held: the older connection gets a refusal."""
    if member.call is not None:
        desk.reply(member.call, Refusal("conflict", "the same request came once more; that one is answered"))
        desk.host.unpark(member)


def shut_out() -> Refusal:
    """For who waits with a token that counts no more: nothing is granted or told under it."""
    return Refusal("unauthenticated", "the token has expired, or was revoked, while its request waited")


def claim_again(desk: Desk, member: Member) -> bool:
    """Look once more what there is for a session whose claim is held; True when it was answered."""
    call = member.call
    if call is None:
        return False
    if call.gone:
        desk.host.unpark(member)
        call.answer(Refusal("conflict", "the client went away"))
        return True
    if desk.host.tokens.is_void(call.identity.token):
        desk.host.unpark(member)
        desk.reply(call, shut_out())
        return True
    over = desk.host.clock() >= member.deadline
    before = len(desk.changes)
    reply: m.SyncReply = desk.handle(m.Sync(member.id, room=0 if desk.host.held_until else member.room))
    if not over and not _says(reply) and (reply.active or member.about.get("modules")):
        return False
    desk.host.unpark(member)
    if len(desk.changes) > before:
        desk.touch(member)
    desk.reply(call, answer_claim(desk, member, reply, []))
    return True


def answer_claim(desk: Desk, member: Member, reply: m.SyncReply, lost: list[str]) -> bytes:
    """The answer as it is sent, and kept for a repetition."""
    registry, epoch = desk.host.registry, desk.host.brain.state.epoch
    texts = registry.texts
    member.answer = _encode(
        w.SyncAnswer(
            epoch,
            [_grant_row(registry, grant) for grant in reply.granted],  # type: ignore[misc]  # its JSON is that of a GrantRow
            texts(reply.resumed),
            [*lost, *texts(reply.lost)],
            texts(reply.cancel),
            _next_retry(desk),
            reply.unfinished,
            reply.active,
        )
    )
    return member.answer


def _next_retry(desk: Desk) -> float | None:
    """Seconds until the next retry is due; ends of leases are nothing to ask for."""
    first = desk.host.brain.state.retries.earliest()
    return None if first is None else max(0.0, first - desk.now)


def _grant_row(registry: Registry, grant: m.Grant) -> tuple[Any, ...]:
    """What a ``GrantRow`` looks like in JSON; by the thousand, a tuple is made in half the time."""
    index, (epoch, number), attempt, lease, batch = grant
    rows = [_grant_row(registry, one) for one in batch] if batch else ()
    return registry.keys[index].hex(), epoch, number, attempt, lease, rows


def _translated(desk: Desk, member: Member, asked: w.Sync) -> tuple[m.Sync, list[str]]:
    """The brain's command, and the keys of reports about tasks that nobody knows."""
    registry = desk.host.registry
    find = registry.index_of.get
    lost: list[str] = []
    done: list[tuple[Index, Fence]] = []
    for item in asked.done:
        index = find(unhexlify(item.key))
        if index is None:
            lost.append(item.key)
        else:
            done.append((index, _new(Fence, (item.epoch, item.number))))
    if not (asked.failed or asked.handed_back or asked.suspended or asked.found):
        return _new(m.Sync, (member.id, done, [], [], [], [], asked.room)), lost

    def known(items: Iterable[Any]) -> Iterable[tuple[Any, Index, Fence]]:
        for item in items:
            index = find(unhexlify(item.key))
            if index is None:
                lost.append(item.key)
            else:
                yield item, index, Fence(item.epoch, item.number)

    failed = [m.Failed(index, fence, one.exit, tuple(one.errors), one.draw, one.final) for one, index, fence in known(asked.failed)]
    back = [m.HandedBack(index, fence, one.after, one.reason) for one, index, fence in known(asked.handed_back)]
    naps = [
        m.Suspended(index, fence, [registry.index(key.hex()) for key in _once(one.requires)])
        for one, index, fence in known(asked.suspended)
    ]
    found = [index for key in asked.found if (index := find(unhexlify(key))) is not None and _may_run(desk, member, index)]
    return m.Sync(member.id, done, failed, back, naps, found, asked.room), lost


def _may_run(desk: Desk, member: Member, index: Index) -> bool:
    """Did the session register the task, or does it offer its module?"""
    state = desk.host.brain.state
    session = state.sessions.get(member.id)
    return session is not None and state.groups[state.group[index]].is_for(member.id, session.labels)


def _own_attempts(desk: Desk, member: Member, items: Iterable[w.AttemptItem]) -> list[tuple[Any, ...]]:
    """Attempts of tasks that the session may run: history is not written by strangers."""
    find = desk.host.registry.index_of.get
    own = ((item, find(unhexlify(item.key))) for item in items)
    return [_attempt(item) for item, index in own if index is not None and _may_run(desk, member, index)]


def _attempt(item: w.AttemptItem) -> tuple[Any, ...]:
    return (
        unhexlify(item.key), item.family, item.params, item.number, item.started, item.seconds, item.exit.value, item.error,
        item.fingerprint, item.cpu, item.rss, item.worker,
    )  # fmt: skip


# -- leases --------------------------------------------------------------------------------------


def renew(desk: Desk, call: Call) -> Done:
    """Extend leases."""
    asked = cast("w.Renew", call.request)
    member = _member(desk, call, asked.session)
    find, lost = desk.host.registry.index_of.get, list[str]()
    held: list[tuple[Index, Fence]] = []
    for item in asked.held:
        index = find(unhexlify(item.key))
        if index is None:
            lost.append(item.key)
        else:
            held.append((index, Fence(item.epoch, item.number)))
    reply: m.RenewReply = desk.handle(m.Renew(member.id, tuple(held)))
    texts = desk.host.registry.texts
    return w.RenewAnswer(desk.host.brain.state.epoch, [*lost, *texts(reply.lost)], texts(reply.cancel))


def confirm(desk: Desk, call: Call) -> Done:
    """Is a fence still the newest?"""
    asked = cast("w.Confirm", call.request)
    member = _member(desk, call, asked.session)
    index = desk.host.registry.find(asked.key)
    newest = index is not None and bool(desk.handle(m.Confirm(member.id, index, Fence(asked.epoch, asked.number))))
    return w.ConfirmAnswer(newest, desk.host.brain.state.epoch)


# -- questions -----------------------------------------------------------------------------------


def specs(desk: Desk, call: Call) -> Done:
    """What an assistant needs to build tasks: only of tasks that it may run."""
    asked, host = cast("w.Specs", call.request), desk.host
    member = _member(desk, call, asked.session)
    state = host.brain.state
    session = state.sessions[member.id]
    indices = [index for key in asked.keys if (index := host.registry.find(key)) is not None]
    allowed = [index for index in indices if state.groups[state.group[index]].is_for(member.id, session.labels)]
    rows = host.store.tasks_at(allowed)
    return w.SpecsAnswer([w.SpecRow(row.key.hex(), row.family, row.params, row.module) for row in rows])


def standing(desk: Desk, call: Call) -> Done:
    """How the session's tasks stand."""
    asked, host = cast("w.Standing", call.request), desk.host
    member = _member(desk, call, asked.session)
    state = host.brain.state
    groups = frozenset(state.sessions[member.id].groups) if member.id in state.sessions else frozenset()
    counts = [sum(column) for column in zip(*(counts_of(desk, number) for number in groups), strict=True)] or [0] * len(Status)
    if asked.keys is not None:
        indices = [index for key in asked.keys if (index := host.registry.find(key)) is not None and state.group[index] in groups]
        wanted = _wanted(asked.statuses)
        rows = [_standing(desk, index) for index in indices if state.status[index] in wanted][: asked.limit]
        return w.StandingAnswer(rows, counts)
    if asked.after and not (asked.after.isascii() and asked.after.isdecimal()):
        raise Refusal("invalid-message", f"after is what `next` of a page said, got {asked.after[:64]!r}")
    found, following = _page(desk, groups, _wanted(asked.statuses), int(asked.after or -1), asked.limit)
    return w.StandingAnswer([_standing(desk, index) for index in found], counts, None if following is None else str(following))


def counts_of(desk: Desk, number: int) -> list[int]:
    state = desk.host.brain.state
    return state.groups[number].counts if state.is_split else state.counts


def _wanted(names: list[kinds.StatusName] | None) -> frozenset[int]:
    return frozenset(int(status) for status in Status if names is None or str(status) in names)


def _page(desk: Desk, groups: frozenset[int], wanted: frozenset[int], after: int, limit: int) -> tuple[list[Index], int | None]:
    """Up to ``limit`` tasks of these groups and statuses, by index, and the last one when there may be more."""
    state = desk.host.brain.state
    found: list[Index] = []
    if not limit:
        return found, None
    group = state.group
    marks = bytes(state.status).translate(bytes(status in wanted for status in range(256)))
    index = marks.find(1, after + 1)
    while index >= 0:
        if group[index] in groups:
            found.append(index)
            if len(found) == limit:
                return found, index
        index = marks.find(1, index + 1)
    return found, None


def _standing(desk: Desk, index: Index) -> w.StandingTask:
    host = desk.host
    view = host.brain.view(index, desk.now)
    return w.StandingTask(
        key=host.registry.text(index),
        status=str(view.status),
        reason=view.reason,
        attempts=view.attempts,
        retry_in=_retry_in(desk, view),
        short_of=view.short_of,
        unmet=host.registry.texts(view.unmet[:MOST_UNMET]),
    )


HANDLERS: dict[type, Callable[[Desk, Call], Done]] = {
    w.Hello: hello,
    w.Bye: bye,
    w.AddTasks: add_tasks,
    w.Sync: sync,
    w.Renew: renew,
    w.Confirm: confirm,
    w.Specs: specs,
    w.Standing: standing,
}
"""By the type of the request; what operators ask stands in ``operating.py``."""
