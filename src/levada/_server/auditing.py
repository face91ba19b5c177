"""Who changed what, and commands that come twice: both are written in the commit of the effect that they tell of."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import msgspec

from .._wire import messages as w
from .._wire import operators as o
from .._wire import triggers as t
from .._wire.kinds import Answer
from .._wire.problems import Refusal
from .desk import Desk
from .http.port import Call, Repeat
from .office import asked_by

DIGEST = 32  # bytes before the answer that is kept for a repetition
_encode = msgspec.json.Encoder().encode
Story = tuple[str, str, str]
"""Subject, before, after."""


def repeated(desk: Desk, call: Call) -> Answer | bytes | None:
    """The answer that a repeated command had; None for a new one. Raises Refusal ``key-reused``."""
    repeat = call.repeat
    if repeat is None:
        return None
    name = _name(repeat)
    kept = desk.idempotency.get(name) or desk.host.store.answer_of(name)
    if kept is None:
        return None
    if kept[:DIGEST] != repeat.digest:
        raise Refusal("key-reused", "the Idempotency-Key was used for another command", hint="Make a new one for each command.")
    return kept[DIGEST:]


def _name(repeat: Repeat) -> str:
    """What the store knows the key by: the client's text is as long as it likes."""
    return sha256(repeat.key.encode("utf-8", "surrogatepass")).hexdigest()


def note(desk: Desk, call: Call, answer: Answer | bytes) -> None:
    """Leave a line in the audit trail, and keep the answer for a repetition."""
    asked, who = asked_by(call), call.identity
    tell = _STORIES.get(type(asked), _whole)
    subject, before, after = tell(asked, answer)
    reason: str = getattr(asked, "reason", "")
    desk.audit.append(desk.host.office.scroll.line(desk.wall, who.token, who.address, call.route.name, subject, before, after, reason))
    if call.repeat is not None:
        desk.idempotency[_name(call.repeat)] = call.repeat.digest + (answer if isinstance(answer, bytes) else _encode(answer))


# -- what a line says ----------------------------------------------------------------------------


def _whole(asked: Any, answer: Any) -> Story:
    return "server", getattr(answer, "before", ""), getattr(answer, "after", "")


def _task(asked: Any, answer: o.TaskCommandAnswer) -> Story:
    return asked.key, answer.before, answer.status


def _family(asked: o.FamilyCommand, answer: o.FamilyCommandAnswer) -> Story:
    return asked.family, asked.status or "", f"{answer.changed} changed, {answer.unchanged} unchanged"


def _of(field: str) -> Callable[[Any, Any], Story]:
    return lambda asked, answer: (getattr(asked, field), answer.before, answer.after)


def _token(asked: o.CreateToken, answer: o.CreateTokenAnswer) -> Story:
    expires = "" if answer.expires is None else f", expires {answer.expires:.0f}"
    return answer.id, "", f"{asked.role} {asked.label}".rstrip() + expires


def _backup(asked: o.Backup, answer: o.BackupAnswer) -> Story:
    return answer.name, "", f"{answer.bytes} bytes"


def _goal(asked: t.AddGoal, answer: t.AddGoalAnswer) -> Story:
    return answer.goal, "", f"{asked.family} {'wanted' if answer.made else 'was wanted before'}"


def _fired(asked: t.FireTrigger, answer: t.AddGoalAnswer) -> Story:
    return asked.name, "", f"goal {answer.goal}"


def _goal_again(asked: t.AskGoalAgain, answer: t.AddGoalAnswer) -> Story:
    return asked.goal, "", f"goal {answer.goal}"


def _event(asked: t.PostEvent, answer: t.PostEventAnswer) -> Story:
    return f"event {asked.event} {asked.id}".rstrip(), "", ", ".join(answer.fired[:10])


def _hello(asked: w.Hello, answer: Any) -> Story:
    return asked.session, "", f"{asked.host} pid {asked.pid}"


def _bye(asked: w.Bye, answer: Any) -> Story:
    return asked.session, "", ""


_STORIES: dict[type, Callable[[Any, Any], Story]] = {
    **dict.fromkeys((o.Cancel, o.Retry, o.Forgive, o.Invalidate, o.MarkDone), _task),
    **dict.fromkeys((o.CancelFamily, o.RetryFamily, o.ForgiveFamily, o.InvalidateFamily), _family),
    o.SetPriority: _of("key"),
    o.SetResource: _of("name"),
    o.DrainWorker: _of("session"),
    o.RevokeToken: _of("id"),
    o.CreateToken: _token,
    o.Backup: _backup,
    **dict.fromkeys((t.PutTrigger, t.RemoveTrigger, t.PauseTrigger, t.ResumeTrigger), _of("name")),
    t.CancelGoal: _of("goal"),
    t.AddGoal: _goal,
    t.FireTrigger: _fired,
    t.AskGoalAgain: _goal_again,
    t.PostEvent: _event,
    t.Notices: lambda asked, answer: (f"{len(asked.notices)} notices", "", ", ".join(answer.fired[:10])),
    t.Offer: lambda asked, _: (
        asked.agent,
        "",
        f"{len(asked.families)} families, {len(asked.triggers)} triggers of {asked.host} pid {asked.pid}",
    ),
    t.LeaveAgent: _of("agent"),
    w.Hello: _hello,
    w.Bye: _bye,
}
