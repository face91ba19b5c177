"""What workers ask and what they are answered (docs/promises.md names the promises that they carry).

Tasks have keys here where ``_model.messages`` has dense integers. ``seq`` numbers the requests that change
a session's state: one outstanding at a time, the last number gets its first answer again.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from .._model.status import ExitClass
from .kinds import (
    Answer,
    Helds,
    Item,
    Key,
    Keys,
    KeysText,
    Label,
    Labels,
    Moment,
    Name,
    Params,
    Positive,
    Priority,
    Reason,
    Reports,
    Request,
    Row,
    Seconds,
    Session,
    StatusName,
    Text,
    Whole,
)
from .limits import COUNT, ITEMS, LABELS, OFFSET, PAGE, ROOM, TASKS, WAIT

# -- opening and closing a session -------------------------------------------------------------


class Amount(Item, frozen=True):
    """So much of a named resource."""

    name: Name
    amount: Positive


class Hello(Request, frozen=True, omit_defaults=True):
    """Open a session, or come back to it. wire: versions that the client speaks."""

    session: Session
    wire: Annotated[list[Whole], Meta(min_length=1, max_length=16)]
    levada: Name  # version of the client
    goal: Key | None = None  # names what is wanted: equal for two runs of one command
    modules: Labels = []  # code that an assistant offers to run
    host: Label = ""
    pid: Whole = 0
    code: Label = ""  # fingerprint of the user's code
    limits: Annotated[list[Amount], Meta(max_length=16)] = []  # totals of resources that come with what a new session wants


class Leased(Row, frozen=True):
    """A task that the session still holds, under this fence."""

    key: str
    epoch: int
    number: int


class Limits(Answer, frozen=True):
    """What the server takes in one message."""

    body: int  # bytes
    tasks: int
    items: int
    edges: int
    held: int
    room: int
    wait: float  # seconds


class HelloAnswer(Answer, frozen=True):
    """seq: the session's last number, 0 when it is new. held: its running tasks."""

    wire: int
    epoch: int
    lease: float  # seconds
    seq: int
    held: list[Leased]
    server: str  # version
    limits: Limits
    namespace_key: str | None = None  # hex; secret parameters are replaced by their HMAC under it


class Bye(Request, frozen=True):
    """End a session; its leases are handed back."""

    session: Session
    seq: Positive


class ByeAnswer(Answer, frozen=True):
    epoch: int


# -- registering a plan ------------------------------------------------------------------------


class ExceptionLimit(Item, frozen=True):
    """So many attempts in all for exceptions of this name."""

    name: Name
    attempts: Positive


class RetrySpec(Request, frozen=True, omit_defaults=True):
    """``_model.spec.Retry``, field by field."""

    attempts: Positive = 3
    first: Seconds = 2.0
    longest: Seconds = 3600.0
    disable_after: Positive | None = None
    window: Seconds = 86400.0
    exceptions: Annotated[list[ExceptionLimit], Meta(max_length=LABELS)] = []
    disabled_for: Seconds | None = None
    give_up_after: Seconds | None = None


class PolicySpec(Request, frozen=True, omit_defaults=True):
    """What tasks of a family share. resources: sorted by name, each once. owners: names with commas between."""

    family: Name
    resources: Annotated[list[Amount], Meta(max_length=LABELS)] = []
    retry: RetrySpec = RetrySpec()
    timeout: Seconds | None = None
    batch_limit: Positive = 1
    disabled: bool = False
    owners: Label = ""


class TaskItem(Item, frozen=True):
    """A task. policy: position in the message's ``policies``. module: where its class lives, for assistants."""

    key: Key
    policy: Whole
    params: Params
    module: Name | None = None
    priority: Priority = 0
    batch: Label | None = None


class GrowthItem(Item, frozen=True):
    """More requirements of a task; ``requires``: their keys in one text, without separator."""

    key: Key
    requires: KeysText = ""
    closed: bool = True


class AddTasks(Request, frozen=True):
    """Register a slice of a plan, all or nothing.

    Tasks and growth name tasks of this message, or ones that the session sent before. complete: so many
    more were found complete. reopen: ``done`` tasks among these were found incomplete.
    """

    session: Session
    seq: Positive
    policies: Annotated[list[PolicySpec], Meta(max_length=TASKS)] = []
    tasks: Annotated[list[TaskItem], Meta(max_length=TASKS)] = []
    growth: Annotated[list[GrowthItem], Meta(max_length=ITEMS)] = []
    complete: Annotated[int, Meta(ge=0, le=COUNT)] = 0
    reopen: bool = False


class Told(Row, frozen=True):
    """A task of the message that stands done, failed, disabled or cancelled."""

    key: str
    status: str
    reason: str = ""
    retry_in: float | None = None  # seconds until it may run again; None: not by itself


class AddTasksAnswer(Answer, frozen=True, omit_defaults=True):
    epoch: int
    told: list[Told] = []


# -- reporting and claiming --------------------------------------------------------------------


class FailedItem(Request, frozen=True):
    """An attempt that did not end well; ``_model.messages.Failed``."""

    key: Key
    epoch: Whole
    number: Whole
    exit: ExitClass
    errors: Annotated[list[Name], Meta(max_length=64)] = []  # classes of the exception, most special first
    draw: Annotated[float, Meta(ge=0, lt=1)] = 0.5
    final: bool = False


class HandedBackItem(Request, frozen=True):
    """A granted task that was not run. after: seconds before it is granted again."""

    key: Key
    epoch: Whole
    number: Whole
    after: Seconds = 0.0
    reason: Reason = ""


class SuspendedItem(Request, frozen=True):
    """run() yielded requirements, which were added before; ``requires``: their keys in one text."""

    key: Key
    epoch: Whole
    number: Whole
    requires: KeysText


class AttemptItem(Item, frozen=True):
    """``_model.ports.Attempt``, field by field."""

    key: Key
    family: Name
    params: Params
    number: Whole
    started: Moment
    seconds: Seconds
    exit: ExitClass
    error: Text = ""
    fingerprint: Label = ""
    cpu: Seconds = 0.0
    rss: Whole = 0
    worker: Label = ""


class Sync(Request, frozen=True):
    """Report and claim in one message. found: seen complete without an attempt. room: so many more can be taken.

    wait: the answer is held for so many seconds while there is nothing to say.
    """

    session: Session
    seq: Positive
    done: Reports = []
    failed: Annotated[list[FailedItem], Meta(max_length=ITEMS)] = []
    handed_back: Annotated[list[HandedBackItem], Meta(max_length=ITEMS)] = []
    suspended: Annotated[list[SuspendedItem], Meta(max_length=ITEMS)] = []
    found: Keys = []
    room: Annotated[int, Meta(ge=0, le=ROOM)] = 0
    wait: Annotated[float, Meta(ge=0, le=WAIT)] = 0.0
    attempts: Annotated[list[AttemptItem], Meta(max_length=ITEMS)] = []


class GrantRow(Row, frozen=True):
    """Leave to run one task for ``lease`` seconds. batch: further tasks of the same lease."""

    key: str
    epoch: int
    number: int
    attempt: int  # 1 for the first
    lease: float
    batch: list[GrantRow] = []


class SyncAnswer(Answer, frozen=True, omit_defaults=True):
    """lost: their fence is void. cancel: wished to stop. ask_again: seconds until a timer may free work.

    unfinished, active: of the tasks that this session may run; see ``_model.messages.SyncReply``.
    """

    epoch: int
    granted: list[GrantRow] = []
    resumed: list[str] = []
    lost: list[str] = []
    cancel: list[str] = []
    ask_again: float | None = None
    unfinished: int = 0
    active: int = 0


class Renew(Request, frozen=True):
    """Extend leases; harmless to repeat, and never queued behind work."""

    session: Session
    held: Helds


class RenewAnswer(Answer, frozen=True, omit_defaults=True):
    epoch: int
    lost: list[str] = []
    cancel: list[str] = []


class Confirm(Request, frozen=True):
    """Is this fence still the newest of its task?"""

    session: Session
    key: Key
    epoch: Whole
    number: Whole


class ConfirmAnswer(Answer, frozen=True):
    newest: bool
    epoch: int


# -- questions ---------------------------------------------------------------------------------


class Specs(Request, frozen=True):
    """What an assistant needs to build tasks that it was granted."""

    session: Session
    keys: Annotated[list[Key], Meta(max_length=TASKS)]


class SpecRow(Row, frozen=True):
    key: str
    family: str
    params: str
    module: str | None


class SpecsAnswer(Answer, frozen=True):
    tasks: list[SpecRow]  # unknown keys are left out


class Standing(Request, frozen=True):
    """How the session's tasks stand. keys: only these; statuses: only in these; after: ``next`` of the page before."""

    session: Session
    keys: Annotated[list[Key], Meta(max_length=TASKS)] | None = None
    statuses: Annotated[list[StatusName], Meta(max_length=8)] | None = None
    after: Label = ""
    limit: Annotated[int, Meta(ge=0, le=PAGE)] = PAGE


class StandingTask(Answer, frozen=True, omit_defaults=True):
    """``_model.messages.TaskView``; unmet: at most a hundred keys."""

    key: str
    status: str
    reason: str = ""
    attempts: int = 0
    retry_in: float | None = None  # seconds
    short_of: str | None = None  # the resource it waits for
    unmet: list[str] = []


class StandingAnswer(Answer, frozen=True):
    tasks: list[StandingTask]
    counts: list[int]  # of all the session's tasks, in order of Status
    next: str | None = None


# -- logs --------------------------------------------------------------------------------------


class LogItem(Request, frozen=True):
    """A piece of an attempt's log. offset: bytes (UTF-8) of the log before it."""

    key: Key
    epoch: Whole
    number: Whole
    offset: Annotated[int, Meta(ge=0, le=OFFSET)]
    text: Text


class Logs(Request, frozen=True):
    """Stream logs of running attempts; what was sent before is passed over."""

    session: Session
    chunks: Annotated[list[LogItem], Meta(max_length=LABELS)]


class LogsAnswer(Answer, frozen=True):
    next: list[int]  # for each chunk: the offset that the server wants next
