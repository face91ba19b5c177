"""Triggers, goals, agents and events on the wire."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from .kinds import Answer, Item, Key, Label, Limit, Moment, Name, Reason, Request, Row, Seconds, Text, Whole
from .limits import PAGE, WAIT
from .operators import Changed

CODE = "code"
"""In place of a URL, in an agent's troubles: the code that it offers cannot be imported now."""
Texts = Annotated[dict[Name, Text], Meta(max_length=1_000)]
Url = Annotated[str, Meta(min_length=1, max_length=4_096)]

# -- triggers ----------------------------------------------------------------------------------


class Triggers(Request, frozen=True):
    """Triggers by name."""

    limit: Limit = 100
    after: Label = ""


class TriggerShown(Answer, frozen=True, omit_defaults=True):
    """spec: as `levada trigger add --json` takes it. offered: a worker is there that unfolds goals of its family."""

    name: str
    family: str
    spec: dict[str, Any]
    offered: bool
    paused: bool = False
    next: float | None = None
    fires: int = 0
    skipped: int = 0
    fired: float | None = None  # the newest fire time that made a goal
    live: int = 0  # goals that have not ended
    last_goal: str = ""
    problem: str = ""


class TriggersAnswer(Answer, frozen=True):
    triggers: list[TriggerShown]
    next: str | None = None


class Trigger(Request, frozen=True):
    """One trigger."""

    name: Name


class PutTrigger(Request, frozen=True):
    """Define a trigger, or define it anew."""

    name: Name
    spec: dict[str, Any]
    reason: Reason = ""


class RemoveTrigger(Request, frozen=True):
    """Forget a trigger. Its goals go on."""

    name: Name
    reason: Reason = ""


class PauseTrigger(Request, frozen=True):
    """Fire no more for now."""

    name: Name
    reason: Reason = ""


class ResumeTrigger(Request, frozen=True):
    """Fire again, from now on."""

    name: Name
    reason: Reason = ""


class FireTrigger(Request, frozen=True):
    """Fire now, or as if it were ``at``; once for one moment."""

    name: Name
    at: Moment | None = None
    params: Texts = {}  # in place of the trigger's own
    reason: Reason = ""


# -- goals -------------------------------------------------------------------------------------


class Goals(Request, frozen=True):
    """Goals, newest first. live: only those that have not ended."""

    live: bool = False
    trigger: Label | None = None
    family: Label | None = None
    state: Label | None = None
    limit: Limit = 50
    after: Label = ""


class GoalShown(Answer, frozen=True, omit_defaults=True):
    """late: seconds by which its deadline was missed, until now or until it ended; none where it was not."""

    goal: str
    number: int
    family: str
    params: dict[str, str]
    state: str
    made: float
    since: float
    by: str
    reason: str = ""
    trigger: str = ""
    agent: str = ""
    ended: float | None = None
    deadline: float | None = None
    late: float | None = None
    missing: list[str] = []  # a hundred at most
    missing_count: int = 0
    counts: dict[str, int] = {}
    options: dict[str, str] = {}


class GoalsAnswer(Answer, frozen=True):
    goals: list[GoalShown]
    next: str | None = None


class Goal(Request, frozen=True):
    """One goal."""

    goal: Key


class AddGoal(Request, frozen=True):
    """Want something. params: texts, as the command line takes them. cause: a goal is made once for each; "" for a wish of its own."""

    family: Name
    params: Texts = {}
    cause: Label = ""
    deadline: Seconds | None = None
    on_deadline: Label = "alert"
    options: Texts = {}
    by: Label = ""
    reason: Reason = ""


class AddGoalAnswer(Answer, frozen=True):
    """goal: its key. made: False where its cause has had one."""

    goal: str
    made: bool
    offered: bool
    epoch: int


class CancelGoal(Request, frozen=True):
    """End a goal."""

    goal: Key
    reason: Reason = ""


class AskGoalAgain(Request, frozen=True):
    """Want again what an ended goal wanted, as a new goal."""

    goal: Key
    reason: Reason = ""


# -- events ------------------------------------------------------------------------------------


class PostEvent(Request, frozen=True):
    """Something has happened. id: one event has one effect; "" for an event of its own, which is given one."""

    event: Name
    id: Label = ""
    fields: Texts = {}
    urls: Annotated[list[Url], Meta(max_length=1_000)] = []


class PostEventAnswer(Answer, frozen=True):
    """fired: names of the triggers that made a goal."""

    fired: list[str]
    epoch: int


class NoticeItem(Item, frozen=True):
    """One thing that happened, whoever told of it."""

    id: Label
    name: Name
    urls: Annotated[list[Url], Meta(max_length=1_000)]
    fields: Texts


class Notices(Request, frozen=True):
    """What others post: notifications of S3, GCS (Pub/Sub), Event Grid; CloudEvents; {"event": NAME} (docs/arrivals.md)."""

    notices: Annotated[list[NoticeItem], Meta(max_length=PAGE)] = []
    greeting: Label = ""  # what the sender wants to read back before it sends


class NoticesAnswer(Answer, frozen=True, omit_defaults=True):
    """fired: names of the triggers that made a goal."""

    fired: list[str]
    epoch: int
    validationResponse: str = ""  # Event Grid's spelling


# -- agents ------------------------------------------------------------------------------------


class Family(Item, frozen=True):
    """A family that an agent offers. params: name, kind and whether it has a default, of each parameter."""

    family: Name
    module: Name
    params: Annotated[list[tuple[Name, Name, bool]], Meta(max_length=1_000)] = []
    owners: Label = ""  # names with commas between


class Offer(Request, frozen=True):
    """What an agent unfolds, and the triggers that its code defines."""

    agent: Key
    families: Annotated[list[Family], Meta(max_length=10_000)]
    triggers: Annotated[list[dict[str, Any]], Meta(max_length=10_000)] = []
    modules: Annotated[list[Name], Meta(max_length=1_000)] = []
    host: Label = ""
    pid: Whole = 0


class OfferAnswer(Answer, frozen=True):
    """problems: what is wrong with triggers, by name. lease: seconds for which a goal stays with its agent."""

    lease: float
    problems: dict[str, str]
    epoch: int
    changes: dict[str, str] = {}


class Take(Request, frozen=True):
    """Ask for goals, renew those that are held, and hear what to watch. wait: seconds to hold the answer when there is nothing."""

    agent: Key
    room: Annotated[int, Meta(ge=0, le=1_000)] = 0
    held: Annotated[list[Key], Meta(max_length=1_000)] = []
    since: Whole = 0  # number of the last change of the list of watches that was heard
    wait: Annotated[float, Meta(ge=0, le=WAIT)] = 0.0
    troubles: Annotated[dict[str, Reason], Meta(max_length=100)] = {}


class Taken(Row, frozen=True):
    goal: str
    family: str
    module: str
    params: dict[str, str]
    options: dict[str, str]
    by: str


class Watched(Row, frozen=True):
    """act: "+" watch, "-" do not any more, "!" look now."""

    seq: int
    act: str
    url: str
    pattern: bool
    interval: float


class TakeAnswer(Answer, frozen=True):
    """lost: goals that are not the agent's any more. cancel: that it is to end."""

    goals: list[Taken]
    lost: list[str]
    cancel: list[str]
    watches: list[Watched]
    epoch: int


class ReportGoal(Request, frozen=True):
    """How an unfolding ended. state: done, failed, parked, again (nothing is known), later (the code is broken)."""

    agent: Key
    goal: Key
    state: Label
    reason: Text = ""
    missing: Annotated[list[Url], Meta(max_length=10_000)] = []
    missing_more: Whole = 0  # what is missing besides and has no URL
    pause: Seconds = 0.0  # of "again": not before that
    counts: Annotated[dict[Name, Whole], Meta(max_length=100)] = {}


class ReportGoalAnswer(Answer, frozen=True):
    """known: False where the goal was not the agent's any more."""

    known: bool
    epoch: int


class Arrived(Item, frozen=True):
    """A target that is there. watched: what was asked for, a URL or a pattern. groups: of the pattern."""

    watched: Url
    pattern: bool
    url: Url
    etag: Text = ""
    groups: dict[str, str] = {}


class Arrivals(Request, frozen=True):
    """What an agent saw."""

    agent: Key
    seen: Annotated[list[Arrived], Meta(max_length=PAGE)]


class ArrivalsAnswer(Answer, frozen=True):
    """taken: so many of them, from the first on; the rest are to be told again later."""

    taken: int
    epoch: int


class LeaveAgent(Request, frozen=True):
    """An agent ends."""

    agent: Key


__all__ = ["Changed"]
