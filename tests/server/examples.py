"""A valid call for each route of the table."""

from __future__ import annotations

from typing import Any

from levada._wire import messages as m
from levada._wire import operators as o
from levada._wire import triggers as t
from levada._wire.routes import Route

from .fake_host import TOKENS
from .raw import KEY

FENCED = {"key": KEY, "epoch": 1, "number": 2}
BODIES: dict[type, Any] = {
    m.Hello: {"session": KEY, "wire": [1], "levada": "0.1"},
    m.AddTasks: {"session": KEY, "seq": 1, "policies": [{"family": "A"}], "tasks": [[KEY, 0, "{}"]], "growth": [[KEY, KEY, True]]},
    m.Sync: {"session": KEY, "seq": 1, "done": [[KEY, 1, 2]], "failed": [{**FENCED, "exit": "user"}], "room": 1},
    m.Renew: {"session": KEY, "held": [[KEY, 1, 2]]},
    m.Confirm: {"session": KEY, **FENCED},
    m.Bye: {"session": KEY, "seq": 2},
    m.Logs: {"session": KEY, "chunks": [{**FENCED, "offset": 0, "text": "line\n"}]},
    m.Specs: {"session": KEY, "keys": [KEY]},
    m.Standing: {"session": KEY},
    t.PutTrigger: {
        "spec": {"family": "A", "params": {"day": "{fire.day - 1}"}, "when": {"kind": "cron", "line": "0 6 * * *", "zone": "UTC"}}
    },
    t.FireTrigger: {"params": {"day": "2024-02-29"}},
    t.AddGoal: {"family": "A", "params": {"day": "2024-02-29"}},
    t.PostEvent: {"event": "landed", "id": "1", "fields": {"bucket": "in"}, "urls": ["s3://in/a"]},
    t.Notices: {"event": "landed", "id": "1", "fields": {"bucket": "in"}},
    t.Offer: {"agent": KEY, "families": [["A", "demo", [["day", "date", False]]]], "triggers": [{"name": "x"}], "modules": ["demo"]},
    t.Take: {"agent": KEY, "room": 1, "held": [KEY], "since": 3},
    t.ReportGoal: {"agent": KEY, "goal": KEY, "state": "parked", "missing": ["s3://in/a"]},
    t.Arrivals: {"agent": KEY, "seen": [["s3://in/{day}.csv", True, "s3://in/2024-02-29.csv", "e", {"day": "2024-02-29"}]]},
    t.LeaveAgent: {"agent": KEY},
    o.SetPriority: {"priority": 5},
    o.SetResource: {"total": 3},
    o.CreateToken: {"role": "viewer"},
    o.Login: {"token": TOKENS["viewer"]},
}
FIELDS = {"key": KEY, "session": KEY, "goal": KEY, "family": "flights.Aggregate", "name": "hdfs", "id": "id-viewer"}


def path_of(route: Route) -> str:
    return "/" + "/".join(FIELDS[part[1:-1]] if part.startswith("{") else part for part in route.parts)


def body_of(route: Route) -> Any:
    return None if route.method == "GET" else BODIES.get(route.request, {})
