"""``levada backfill``: make a range of partitions complete; only what is missing is run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from .._model import exit_codes
from ..errors import UsageError
from . import run
from .options import Option
from .tasks import Request, _connect, refusal, state_of, understand
from .text import count, escape, json_text, table

if TYPE_CHECKING:
    from .._backfill import Preview
    from .._plan.plan import Plan
    from ..ranges import Partitions

NEWEST_FIRST = Option("--newest-first", "", "begin with the last partitions, and what they need")
MAX_PARALLEL = Option("--max-parallel", "N", "at most so many partitions at once, on all workers of a server", read=int)
PREVIEW = Option("--preview", "", "count partitions, complete and missing; run nothing")
OPTIONS = (NEWEST_FIRST, MAX_PARALLEL, PREVIEW, *run.OPTIONS)


def main(command: str, arguments: list[str], environ: Mapping[str, str]) -> int:
    """Carry out ``levada backfill``; the exit code is that of ``levada run``, with ``--preview`` that of ``levada plan``."""
    request = understand(command, arguments, OPTIONS, environ)
    if request is None:
        return exit_codes.OK
    wanted = range_of(request)
    if request.parsed.flag("preview"):
        return preview(wanted, request)
    from .._backfill import shape_of, without_the_range

    limit = request.parsed.values.get("max_parallel")
    if isinstance(limit, int) and limit < 1:
        raise UsageError(f"--max-parallel: got {limit}, expected 1 or more")
    shape = shape_of(wanted, cast("int | None", limit))
    return run.carry_out(wanted, request, environ, shape=shape, finish=lambda result: without_the_range(result, wanted))


def range_of(request: Request) -> Partitions:
    """The task that requires the partitions which the command line means. ParameterError tells all that is missing or wrong."""
    from ..ranges import partitions
    from ..task import parameters_of

    family, settings = request.family, request.settings
    known = dict(parameters_of(family))
    given: dict[str, Any] = {}
    for name, value in request.given.items():
        if known[name].secret:
            settings.give(family.family, name, value.value, value.where)  # its text stays out of the range's
        else:
            given[name] = value.value
    _connect(settings)
    missing = [
        (name, parameter)
        for name, parameter in known.items()
        if name not in request.given and not parameter.has_default and settings.parameter(family, name, parameter) is None
    ]
    if missing:
        raise refusal(family, [], missing)
    return partitions(family, newest_first=request.parsed.flag("newest_first"), **given)


# -- what would be done ------------------------------------------------------------------------


def preview(wanted: Partitions, request: Request) -> int:
    """Print how the range stands, and what else would run for it."""
    from .._backfill import preview_of
    from .._plan.plan import make_plan
    from .._run import give_secrets_a_key
    from .plan import print_faults

    give_secrets_a_key(state_of(request.settings))
    plan = make_plan([wanted])
    found = preview_of(plan, wanted)
    if request.parsed.flag("json"):
        print(json_text({"range": wanted.title(), **found._asdict(), "missing": found.missing, "families": _families(plan, wanted)}))
        return plan.exit_code
    for line in told(wanted, found, _families(plan, wanted), len(plan.faults)):
        print(escape(line))
    print_faults(plan)
    return plan.exit_code


def _families(plan: Plan, wanted: Partitions) -> list[dict[str, Any]]:
    return [row._asdict() for row in plan.rows() if row.family != wanted.family]


def told(wanted: Partitions, found: Preview, families: list[dict[str, Any]], faults: int) -> list[str]:
    """The lines of a preview."""
    rows: list[tuple[str, object]] = [("partitions", found.partitions), ("complete", found.complete), ("missing", found.missing)]
    if found.blocked:
        rows.append(("  of them blocked", found.blocked))
    lines = [f"{wanted.title()}:", *(f"  {line}" for line in table(rows))]
    if found.first is not None:
        lines.append(f"  first missing: {found.first}")
        if found.last != found.first:
            lines.append(f"  last missing:  {found.last}")
    others = [row for row in families if row["family"] != wanted.of and (row["to_do"] or row["missing"] or row["blocked"] or row["faulty"])]
    for row in others:
        parts = [f"{row[name]:,} {word}" for name, word in _WORDS if row[name]]
        lines.append(f"  and {row['family']}: {', '.join(parts)}")
    return [*lines, _verdict(found, faults)]


_WORDS = (("to_do", "to do"), ("missing", "missing, made by others"), ("blocked", "blocked"), ("faulty", "faulty"))


def _verdict(found: Preview, faults: int) -> str:
    if not found.missing:
        return "Nothing to do."
    if faults:
        return f"The plan has {count(faults, 'fault')}; {count(found.to_do, 'partition')} to do that do not depend on them."
    if not found.to_do:
        return "Nothing can be done now: all that is missing waits for others."
    return f"{count(found.to_do, 'partition')} to do."
