"""``levada plan``: what a run would do. Nothing is started."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from .._model import exit_codes
from .options import Option
from .tasks import OF_TASK, state_of, understand
from .text import count, escape, json_text, table

if TYPE_CHECKING:
    from .._plan.plan import Plan

FAULTS_SHOWN = 20

OPTIONS = (
    Option("--tree", "", "show the tasks below the wanted one, each unfolded once"),
    Option("--depth", "N", "unfold the tree so deep at most", read=int),
    Option("--json", "", "print the plan as JSON"),
    Option("--dot", "", "print a Graphviz graph of what is not complete"),
    *OF_TASK,
)


def main(command: str, arguments: list[str], environ: Mapping[str, str]) -> int:
    """Carry out ``levada plan``; the exit code tells whether there is work."""
    request = understand(command, arguments, OPTIONS, environ)
    if request is None:
        return exit_codes.OK
    task = request.task()
    from .._plan.plan import make_plan
    from .._run import give_secrets_a_key

    give_secrets_a_key(state_of(request.settings))
    plan = make_plan([task])
    parsed = request.parsed
    if parsed.flag("json"):
        print(json_text(plan.to_json()))
        return plan.exit_code
    if parsed.flag("dot"):
        lines = plan.to_dot()
    elif parsed.flag("tree") or "depth" in parsed.values:
        depth = parsed.values.get("depth")
        lines = plan.tree(depth if isinstance(depth, int) else None)
    else:
        lines = iter(overview(plan))
    for line in lines:
        print(escape(line))
    print_faults(plan)
    return plan.exit_code


HEAD = ("family", "to do", "complete", "missing", "blocked", "faulty")


def overview(plan: Plan) -> list[str]:
    """The table by family, then what it comes to in one line."""
    rows = plan.rows()
    shown = [at for at in range(6) if at < 3 or any(row[at] for row in rows)]  # rare columns only where they have something to say
    lines = table([[row[at] for at in shown] for row in rows], [HEAD[at] for at in shown])
    return [*lines, *(["", verdict(plan)] if lines else [verdict(plan)])]


def verdict(plan: Plan) -> str:
    """Whether there is work, in words."""
    to_do, missing = sum(row.to_do for row in plan.rows()), plan.count("missing")
    if plan.faults:
        return f"The plan has {count(len(plan.faults), 'fault')}; what does not depend on them would run."
    waits = f"{count(missing, 'task')} that others make {'is' if missing == 1 else 'are'} missing." if missing else ""
    if to_do:
        return f"{count(to_do, 'task')} to do. {waits}".rstrip()
    return f"Nothing can be done: {waits}" if missing else "Nothing to do."


def print_faults(plan: Plan) -> None:
    """Print the faults with the way that led to each, on stderr."""
    for fault in plan.faults[:FAULTS_SHOWN]:
        print(f"fault: {escape(str(fault))}", file=sys.stderr)
    if len(plan.faults) > FAULTS_SHOWN:
        print(f"and {count(len(plan.faults) - FAULTS_SHOWN, 'more fault')}; --json has all", file=sys.stderr)
