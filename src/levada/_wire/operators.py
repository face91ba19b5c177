"""What people and their tools ask: pages of tasks and history, commands of operators, tokens.

A request is put together from the path, the query and the body of a call; ``routes.py`` tells which field
comes from where. Pages are short: ``limit`` rows, then ``next``, to be given back as ``after``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from .kinds import Answer, Key, Label, Limit, Name, Priority, Reason, Request, Seconds, Session, StatusName, Whole
from .limits import INTEGER, WAIT

RoleName = Literal["viewer", "operator", "worker", "admin"]

# -- overview ----------------------------------------------------------------------------------


class Overview(Request, frozen=True):
    """How the server and its tasks stand, in counts."""


class OverviewAnswer(Answer, frozen=True):
    server: str  # version
    epoch: int
    uptime: float  # seconds
    paused: bool
    counts: dict[str, int]  # by status
    complete: int  # found complete while planning, in all runs together
    families: int
    sessions: int
    gone: int = 0  # of them: nothing was heard for longer than a lease


class Families(Request, frozen=True):
    """Families with their counts, by name."""

    limit: Limit = 100
    after: Label = ""


class FamilyRow(Answer, frozen=True):
    family: str
    counts: dict[str, int]  # by status; zeros are left out


class FamiliesAnswer(Answer, frozen=True):
    families: list[FamilyRow]
    next: str | None = None


# -- tasks -------------------------------------------------------------------------------------


class Tasks(Request, frozen=True):
    """Tasks, by status and family. q: a part of their parameters' text, looked for in a bounded number of rows."""

    status: StatusName | None = None
    family: Name | None = None
    q: Label = ""
    limit: Limit = 100
    after: Label = ""


class TaskRow(Answer, frozen=True, omit_defaults=True):
    key: str
    family: str
    params: str
    status: str
    priority: int = 0
    attempts: int = 0
    reason: str = ""
    retry_in: float | None = None  # seconds


class TasksAnswer(Answer, frozen=True):
    tasks: list[TaskRow]
    next: str | None = None


class Task(Request, frozen=True):
    """One task with all that is known of it."""

    key: Key


class TaskAnswer(Answer, frozen=True):
    """unmet, needed_by: at most a hundred keys each, with their whole numbers beside them."""

    task: TaskRow
    generation: int
    module: str | None
    epoch: int | None  # of the newest fence; None: never granted
    number: int | None
    session: str | None  # who runs it
    worker: str | None
    lease: float | None  # seconds that are left of it
    resources: dict[str, int]
    short_of: str | None
    unmet: list[str]
    unmet_count: int
    needed_by: list[str]
    needed_by_count: int


class Why(Request, frozen=True):
    """Why a task stands where it stands: a chain of facts that ends where something can be done."""

    key: Key


class Fact(Answer, frozen=True):
    key: str
    family: str
    params: str
    status: str
    text: str


class WhyAnswer(Answer, frozen=True):
    facts: list[Fact]
    ends: str  # what would end the wait


class TaskCommand(Request, frozen=True):
    """A command about one task."""

    key: Key
    reason: Reason = ""  # for the audit trail


class Cancel(TaskCommand, frozen=True):
    """Waiting, ready or retrying becomes cancelled; a running one is wished to stop."""


class Retry(TaskCommand, frozen=True):
    """Failed, disabled or cancelled becomes waiting with new counters."""


class Forgive(TaskCommand, frozen=True):
    """Forget the failures of a task; failed or disabled becomes waiting."""


class Invalidate(TaskCommand, frozen=True):
    """Done becomes waiting, a new generation.

    generation, number: what was seen of the task before its outputs were moved aside (0: no fence was given yet). Where either is
    another by now, or the task has not come to an end, the command is refused (``conflict``) and changes nothing.
    """

    generation: Whole | None = None
    number: Whole | None = None


class MarkDone(TaskCommand, frozen=True):
    """Say that a task is complete without a run of ours; what runs is left alone."""


class SetPriority(Request, frozen=True):
    """Change a priority; what the task needs becomes as urgent."""

    key: Key
    priority: Priority
    reason: Reason = ""


class TaskCommandAnswer(Answer, frozen=True):
    key: str
    before: str  # status
    status: str
    epoch: int


class FamilyCommand(Request, frozen=True):
    """A command about the tasks of a family, at most ``limit`` a call. status: only those that stand so."""

    family: Name
    status: StatusName | None = None
    limit: Limit = 1_000
    after: Label = ""
    reason: Reason = ""


class CancelFamily(FamilyCommand, frozen=True):
    """``Cancel`` for tasks of a family."""


class RetryFamily(FamilyCommand, frozen=True):
    """``Retry`` for tasks of a family."""


class ForgiveFamily(FamilyCommand, frozen=True):
    """``Forgive`` for tasks of a family."""


class InvalidateFamily(FamilyCommand, frozen=True):
    """``Invalidate`` for tasks of a family."""


class FamilyCommandAnswer(Answer, frozen=True):
    changed: int
    unchanged: int  # the command does not fit their status
    next: str | None = None  # more tasks are left: ask again with after
    epoch: int = 0


# -- history, logs, audit ----------------------------------------------------------------------


class History(Request, frozen=True):
    """Attempts, newest first; of a key, of a family, or all. failed: only those that did not end well."""

    key: Key | None = None
    family: Name | None = None
    failed: bool = False
    limit: Limit = 100
    after: Label = ""


class AttemptRow(Answer, frozen=True):
    """``_model.ports.Attempt``, field by field."""

    key: str
    family: str
    params: str
    number: int
    started: float  # seconds since 1970
    seconds: float
    exit: str
    error: str = ""
    fingerprint: str = ""
    cpu: float = 0.0
    rss: int = 0
    worker: str = ""


class HistoryAnswer(Answer, frozen=True):
    attempts: list[AttemptRow]
    next: str | None = None


class Log(Request, frozen=True):
    """A piece of an attempt's log; the newest attempt without epoch and number. wait: seconds, while there is no more."""

    key: Key
    epoch: Whole | None = None
    number: Whole | None = None
    offset: Whole = 0
    wait: Annotated[float, Meta(ge=0, le=WAIT)] = 0.0


class LogAnswer(Answer, frozen=True):
    """ended: the attempt is over and ``next`` is the log's end. dropped: bytes in the middle that were not kept.

    offset, next: bytes (UTF-8) of the log.
    """

    text: str
    epoch: int
    number: int
    offset: int  # where text begins; later than asked for where the middle was not kept
    next: int
    ended: bool
    dropped: int = 0


class Audit(Request, frozen=True):
    """Who changed what, newest first."""

    limit: Limit = 100
    after: Label = ""


class AuditRow(Answer, frozen=True):
    """before, after: of what was changed. chain: hex hash over this line and the one before."""

    number: int
    at: float  # seconds since 1970
    token: str  # id, never the token itself
    address: str
    action: str
    subject: str
    before: str
    after: str
    reason: str
    chain: str


class AuditAnswer(Answer, frozen=True):
    lines: list[AuditRow]
    next: str | None = None


# -- workers, resources, the whole ------------------------------------------------------------


class Workers(Request, frozen=True):
    """Sessions that were heard of lately."""

    limit: Limit = 100
    after: Label = ""


class WorkerRow(Answer, frozen=True):
    session: str
    host: str
    pid: int
    levada: str  # version
    code: str
    modules: list[str]
    running: int
    silent: float  # seconds since it was heard, or since the server started
    draining: bool
    gone: bool = False  # silent for longer than a lease: it has died, or its network has


class WorkersAnswer(Answer, frozen=True):
    workers: list[WorkerRow]
    next: str | None = None


class DrainWorker(Request, frozen=True):
    """Grant nothing more to this session."""

    session: Session
    reason: Reason = ""


class Resources(Request, frozen=True):
    """Resources with what is used of them, by name."""

    limit: Limit = 1_000
    after: Label = ""


class ResourceRow(Answer, frozen=True):
    name: str
    total: int
    used: int
    waiting: int  # ready tasks that are short of it


class ResourcesAnswer(Answer, frozen=True):
    resources: list[ResourceRow]
    next: str | None = None


class SetResource(Request, frozen=True):
    """How much of a resource there is from now on."""

    name: Name
    total: Annotated[int, Meta(ge=0, le=INTEGER)]
    reason: Reason = ""


class Pause(Request, frozen=True):
    """Grant nothing from now on."""

    reason: Reason = ""


class Resume(Request, frozen=True):
    """Grant again."""

    reason: Reason = ""


class Backup(Request, frozen=True):
    """Write a copy of the store into the server's own folder of backups; the server chooses its name."""

    reason: Reason = ""


class BackupAnswer(Answer, frozen=True):
    name: str
    bytes: int
    seconds: float


class Changed(Answer, frozen=True):
    """A command was carried out. before, after: what it changed, as text."""

    epoch: int
    before: str = ""
    after: str = ""


# -- tokens and logins -------------------------------------------------------------------------


class Tokens(Request, frozen=True):
    """All tokens, without the secret that nobody keeps."""

    limit: Limit = 1_000
    after: Label = ""


class TokenRow(Answer, frozen=True):
    id: str
    role: str
    label: str
    namespace: str
    created: float  # seconds since 1970
    expires: float | None
    last_used: float | None
    revoked: bool


class TokensAnswer(Answer, frozen=True):
    tokens: list[TokenRow]
    next: str | None = None


class CreateToken(Request, frozen=True):
    """Make a token; it is told once, in this answer. days: None never expires."""

    role: RoleName
    label: Label = ""
    namespace: Label = ""
    days: Annotated[float, Meta(gt=0, le=36_500)] | None = None
    reason: Reason = ""


class CreateTokenAnswer(Answer, frozen=True):
    id: str
    token: str
    expires: float | None  # seconds since 1970


class RevokeToken(Request, frozen=True):
    """End a token and every browser that came in by it."""

    id: Name
    reason: Reason = ""


class LoginLink(Request, frozen=True):
    """A link that lets one browser in, once, within a few minutes. role: at most the asker's own."""

    role: RoleName | None = None


class LoginLinkAnswer(Answer, frozen=True):
    path: str  # to be opened at the server's address
    seconds: Seconds


class Login(Request, frozen=True):
    """Exchange a token for a cookie (the form of the login page)."""

    token: Annotated[str, Meta(min_length=1, max_length=256)]


class Logout(Request, frozen=True):
    """Forget this browser's cookie."""


class LoginAnswer(Answer, frozen=True):
    role: str


class Whoami(Request, frozen=True):
    """Which role the credential has."""


class WhoamiAnswer(Answer, frozen=True):
    role: str
    token: str  # id
    namespace: str


# -- changes as they happen --------------------------------------------------------------------


class Events(Request, frozen=True):
    """A stream of changes (text/event-stream). family: only of this one."""

    family: Name | None = None


class Event(Answer, frozen=True, omit_defaults=True):
    """One change. kind: ``task``, ``family``, ``worker``, ``resource``, ``server``, or ``gap``: some were left out, look anew.

    Of a change of many tasks only the families are told: text is a JSON object, how many of its tasks stand in each status.
    """

    kind: str
    key: str = ""
    family: str = ""
    status: str = ""
    name: str = ""  # of a resource, a session
    text: str = ""
