"""The table of routes: what may be called, by whom, with which request, and what it does.

The only one: the server dispatches and checks by it, the OpenAPI page and the docs are made from it, and
tests go through it line by line with every role.
"""

from __future__ import annotations

from enum import IntEnum
from functools import cached_property
from typing import Any

from . import messages as m
from . import operators as o
from . import triggers as t
from .kinds import Answer, Request


class Lane(IntEnum):
    """Who waits for whom: a renewal is never queued behind work, nor work behind pages."""

    URGENT = 0
    WORK = 1
    READ = 2
    WEB = 3  # answered by the HTTP layer itself


VIEWER, OPERATOR, WORKER, ADMIN = "viewer", "operator", "worker", "admin"
ROLES = (VIEWER, OPERATOR, WORKER, ADMIN)
"""viewer < operator < admin, worker < admin; a worker reads what a viewer reads."""

READERS = frozenset(ROLES)
OPERATORS = frozenset({OPERATOR, ADMIN})
WORKERS = frozenset({WORKER, ADMIN})
ADMINS = frozenset({ADMIN})
ANYBODY: frozenset[str] = frozenset()
"""No credential is asked for."""


class Route:
    """One line of the table.

    roles: who may call it; ANYBODY for all. changes: whether state may differ afterwards; such calls are never
    GET. audited: leaves a line in the audit trail. repeatable: takes an Idempotency-Key. raw: its body is in the
    words of others, and may be signed in place of a token. form: a guest's (``_server/guests.py``): its request is the
    JSON in the field ``data`` of a form or of the query, and the token may come as the password of ``Authorization:
    Basic``. Request fields named in ``path`` come from there; the others from the query (GET, DELETE) or from a JSON body.
    """

    def __init__(
        self,
        method: str,
        path: str,
        request: type[Request],
        answer: type[Answer],
        roles: frozenset[str],
        lane: Lane,
        *,
        audited: bool = False,
        repeatable: bool = False,
        raw: bool = False,
        form: bool = False,
    ) -> None:
        self.raw, self.form = raw, form
        self.method, self.path = method, path
        self.request, self.answer = request, answer
        self.roles, self.lane = roles, lane
        self.changes = method != "GET" and lane is not Lane.READ
        self.audited, self.repeatable = audited, repeatable

    @cached_property
    def name(self) -> str:
        """What the audit trail, metrics and logs call it, e.g. ``cancel-family``."""
        text = self.request.__name__
        return "".join(f"-{char.lower()}" if char.isupper() and at else char.lower() for at, char in enumerate(text))

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """Segments of the path; ``{field}`` stands for any one."""
        return tuple(self.path[1:].split("/"))

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """Names of the request's fields that come from the path."""
        return tuple(part[1:-1] for part in self.parts if part.startswith("{"))

    def __repr__(self) -> str:
        return f"{self.method} {self.path}"


def _worker(path: str, request: type[Request], answer: type[Answer], lane: Lane, **more: Any) -> Route:
    return Route("POST", path, request, answer, WORKERS, lane, **more)


def _page(path: str, request: type[Request], answer: type[Answer], roles: frozenset[str] = READERS, lane: Lane = Lane.READ) -> Route:
    return Route("GET", path, request, answer, roles, lane)


def _command(
    path: str,
    request: type[Request],
    answer: type[Answer],
    roles: frozenset[str] = OPERATORS,
    *,
    method: str = "POST",
    repeatable: bool = True,
) -> Route:
    return Route(method, path, request, answer, roles, Lane.WORK, audited=True, repeatable=repeatable)


ROUTES: tuple[Route, ...] = (
    # workers
    _worker("/v1/hello", m.Hello, m.HelloAnswer, Lane.WORK, audited=True),
    _worker("/v1/tasks", m.AddTasks, m.AddTasksAnswer, Lane.WORK),
    _worker("/v1/sync", m.Sync, m.SyncAnswer, Lane.WORK),
    _worker("/v1/renew", m.Renew, m.RenewAnswer, Lane.URGENT),
    _worker("/v1/confirm", m.Confirm, m.ConfirmAnswer, Lane.URGENT),
    _worker("/v1/bye", m.Bye, m.ByeAnswer, Lane.WORK, audited=True),
    _worker("/v1/logs", m.Logs, m.LogsAnswer, Lane.WORK),
    _worker("/v1/specs", m.Specs, m.SpecsAnswer, Lane.READ),
    _worker("/v1/standing", m.Standing, m.StandingAnswer, Lane.READ),
    # agents, which stand beside resident workers
    _worker("/v1/agents/offer", t.Offer, t.OfferAnswer, Lane.WORK, audited=True),
    _worker("/v1/agents/take", t.Take, t.TakeAnswer, Lane.WORK),
    _worker("/v1/agents/report", t.ReportGoal, t.ReportGoalAnswer, Lane.WORK),
    _worker("/v1/agents/arrivals", t.Arrivals, t.ArrivalsAnswer, Lane.WORK),
    _worker("/v1/agents/leave", t.LeaveAgent, o.Changed, Lane.WORK, audited=True),
    # everybody who may read
    _page("/v1/status", o.Overview, o.OverviewAnswer),
    _page("/v1/families", o.Families, o.FamiliesAnswer),
    _page("/v1/tasks", o.Tasks, o.TasksAnswer),
    _page("/v1/tasks/{key}", o.Task, o.TaskAnswer),
    _page("/v1/tasks/{key}/why", o.Why, o.WhyAnswer),
    _page("/v1/history", o.History, o.HistoryAnswer),
    _page("/v1/log/{key}", o.Log, o.LogAnswer),
    _page("/v1/workers", o.Workers, o.WorkersAnswer),
    _page("/v1/resources", o.Resources, o.ResourcesAnswer),
    _page("/v1/triggers", t.Triggers, t.TriggersAnswer),
    _page("/v1/triggers/{name}", t.Trigger, t.TriggerShown),
    _page("/v1/goals", t.Goals, t.GoalsAnswer),
    _page("/v1/goals/{goal}", t.Goal, t.GoalShown),
    _page("/v1/events", o.Events, o.Event, lane=Lane.WEB),
    _page("/v1/whoami", o.Whoami, o.WhoamiAnswer, lane=Lane.WEB),
    # operators
    _command("/v1/tasks/{key}/cancel", o.Cancel, o.TaskCommandAnswer),
    _command("/v1/tasks/{key}/retry", o.Retry, o.TaskCommandAnswer),
    _command("/v1/tasks/{key}/forgive", o.Forgive, o.TaskCommandAnswer),
    _command("/v1/tasks/{key}/invalidate", o.Invalidate, o.TaskCommandAnswer),
    _command("/v1/tasks/{key}/done", o.MarkDone, o.TaskCommandAnswer),
    _command("/v1/tasks/{key}/priority", o.SetPriority, o.Changed),
    _command("/v1/families/{family}/cancel", o.CancelFamily, o.FamilyCommandAnswer),
    _command("/v1/families/{family}/retry", o.RetryFamily, o.FamilyCommandAnswer),
    _command("/v1/families/{family}/forgive", o.ForgiveFamily, o.FamilyCommandAnswer),
    _command("/v1/families/{family}/invalidate", o.InvalidateFamily, o.FamilyCommandAnswer),
    _command("/v1/pause", o.Pause, o.Changed),
    _command("/v1/resume", o.Resume, o.Changed),
    _command("/v1/workers/{session}/drain", o.DrainWorker, o.Changed),
    _command("/v1/resources/{name}", o.SetResource, o.Changed, method="PUT"),
    _command("/v1/triggers/{name}", t.PutTrigger, o.Changed, method="PUT"),
    _command("/v1/triggers/{name}", t.RemoveTrigger, o.Changed, method="DELETE"),
    _command("/v1/triggers/{name}/pause", t.PauseTrigger, o.Changed),
    _command("/v1/triggers/{name}/resume", t.ResumeTrigger, o.Changed),
    _command("/v1/triggers/{name}/fire", t.FireTrigger, t.AddGoalAnswer),
    _command("/v1/goals", t.AddGoal, t.AddGoalAnswer),
    _command("/v1/goals/{goal}/cancel", t.CancelGoal, o.Changed),
    _command("/v1/goals/{goal}/again", t.AskGoalAgain, t.AddGoalAnswer),
    _command("/v1/events", t.PostEvent, t.PostEventAnswer),
    Route("POST", "/v1/notices", t.Notices, t.NoticesAnswer, OPERATORS, Lane.WORK, audited=True, raw=True),
    # admins
    _page("/v1/audit", o.Audit, o.AuditAnswer, ADMINS),
    _page("/v1/tokens", o.Tokens, o.TokensAnswer, ADMINS),
    _command("/v1/tokens", o.CreateToken, o.CreateTokenAnswer, ADMINS, repeatable=False),  # its answer is kept nowhere
    _command("/v1/tokens/{id}", o.RevokeToken, o.Changed, ADMINS, method="DELETE"),
    _command("/v1/backup", o.Backup, o.BackupAnswer, ADMINS),
    # browsers
    Route("POST", "/v1/login-link", o.LoginLink, o.LoginLinkAnswer, READERS, Lane.WEB),
    Route("POST", "/v1/login", o.Login, o.LoginAnswer, ANYBODY, Lane.WEB),
    Route("POST", "/v1/logout", o.Logout, o.Changed, READERS, Lane.WEB),
)

PAGES: dict[str, frozenset[str]] = {
    "/": ANYBODY,
    "/livez": ANYBODY,
    "/readyz": ANYBODY,
    "/login": ANYBODY,
    "/metrics": READERS,
    "/openapi.json": READERS,
}
"""Pages that are no JSON of ours (GET and HEAD), with who may read them."""

BY_REQUEST: dict[type[Request], Route] = {route.request: route for route in ROUTES}


class Table:
    """Finds the route of a call: paths without fields in one look, the others by their number of segments."""

    def __init__(self, routes: tuple[Route, ...] = ROUTES) -> None:
        self._plain: dict[str, dict[str, Route]] = {}
        self._fields: dict[int, list[Route]] = {}
        for route in routes:
            if route.fields:
                self._fields.setdefault(len(route.parts), []).append(route)
            else:
                self._plain.setdefault(route.path, {})[route.method] = route

    def find(self, path: str) -> tuple[dict[str, Route], tuple[str, ...]]:
        """Routes of a path by method (none: there is no such path), and its segments where it has fields."""
        plain = self._plain.get(path)
        if plain is not None:
            return plain, ()
        parts = tuple(path[1:].split("/", 8))
        found = [route for route in self._fields.get(len(parts), ()) if _fits(route.parts, parts)]
        return {route.method: route for route in found}, parts


def _fits(pattern: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    return all(want == part or (want[0] == "{" and part != "") for want, part in zip(pattern, parts, strict=True))
