"""One goal in a process of its own: ``python -m levada.cli.unfold``, started by an agent with an order on stdin.

What was wanted is made complete as ``levada run`` would, and how it went is written to the paper that the order names. With
``describe`` it tells in place of that what the modules define: families, their parameters, triggers, and the files of the code.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from .._model import exit_codes
from ..errors import LevadaError

MOST_MISSING = 10_000
SAID = 3_000  # characters of a reason


def main() -> int:
    """The exit code: 0 when the paper was written."""
    order: dict[str, Any] = json.loads(sys.stdin.buffer.read())
    _die_with(int(order["parent"]))
    if order.get("describe"):
        return _describe(order)
    paper = _unfolded(order)
    path = str(order["paper"])
    with open(f"{path}.part", "w", encoding="utf-8") as file:
        json.dump(paper, file)
    os.replace(f"{path}.part", path)
    return exit_codes.OK


def _die_with(parent: int) -> None:
    """End, as if told to, when the agent ends without a word (Linux)."""
    if sys.platform.startswith("linux"):
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(exit_codes.TERMINATED)


# -- a goal ------------------------------------------------------------------------------------


def _unfolded(order: Mapping[str, Any]) -> dict[str, Any]:
    """Make it complete; how it went."""
    try:
        settings = _settings(order)
    except LevadaError as fault:  # somebody is changing the code, perhaps
        from .app import report

        return {"exit": report(fault), "reason": f"the code cannot be imported now: {fault}"[:SAID], "broken": True}
    try:
        return _run(_wanted(order, settings), order, settings)
    except LevadaError as fault:
        from .app import report

        return {"exit": report(fault), "reason": str(fault)[:SAID]}


def _settings(order: Mapping[str, Any]) -> Any:
    from .options import Parsed
    from .tasks import _connect, settings_for

    parsed = Parsed()
    if order.get("config"):
        parsed.values["config"] = order["config"]
    settings = settings_for(parsed, dict(os.environ))
    modules = list(order["modules"])
    if modules:
        from .modules import import_all

        import_all(modules)
    _connect(settings)
    return settings


def _wanted(order: Mapping[str, Any], settings: Any) -> list[Any]:
    from ..config.settings import Value
    from ..task import parameters_of
    from .tasks import build, find

    family = find(str(order["family"]), list(order["modules"]))
    params: dict[str, str] = dict(order["params"])
    options: dict[str, str] = dict(order.get("options", {}))
    if options:
        from ..ranges import partitions

        return [partitions(family, newest_first=options.get("newest_first") == "yes", **params)]
    known = {name for name, parameter in parameters_of(family) if not parameter.secret}
    if secret := [name for name, parameter in parameters_of(family) if parameter.secret and name in params]:
        from ..errors import ParameterError

        hint = "A goal is kept as plain text. Set it where the worker runs: in a file or the environment."
        raise ParameterError(f"{family.family}: {secret[0]} is secret, and no part of a goal", hint=hint)
    strange = [name for name in params if name not in known]
    if strange:
        from ..errors import ParameterError

        raise ParameterError(f"{family.family} has no parameter {', '.join(strange)}", hint=f"It has {', '.join(sorted(known)) or 'none'}.")
    return [build(family, {name: Value(text, "the goal") for name, text in params.items()}, settings)]


def _run(tasks: list[Any], order: Mapping[str, Any], settings: Any) -> dict[str, Any]:
    from .. import _served
    from .._run import run
    from .logs import set_up
    from .summary import summary
    from .worker import Watch

    set_up(str(settings.get("run", "log_level", "warning")), as_json=False)
    _served.GOAL = os.environ.pop("LEVADA_GOAL", "")
    shape, finish = _shaped(tasks, order.get("options", {}))
    result = run(
        tasks,
        shape=shape,
        workers=int(order.get("workers") or 1),
        executor=order.get("executor"),
        attempts=settings.get("run", "attempts"),
        grace=settings.get("run", "grace", 30.0),
        state=order.get("state"),
        scheduler=str(order.get("scheduler", "")),
        cut_off=settings.get("run", "cut_off"),
        patience=settings.get("run", "patience"),
        observer=Watch(),
    )
    finish(result)
    print("\n".join(summary(result, "levada log")), file=sys.stderr, flush=True)
    urls, more = _missing(result.missing_tasks, result.missing)
    names = ("done", "already", "elsewhere") + (() if result else ("failed", "blocked", "missing", "faulty", "cancelled"))
    counts = {name: int(getattr(result, name)) for name in names if getattr(result, name)}
    paper = {"exit": result.exit_code, "reason": _reason(result), "missing": urls, "missing_more": more, "counts": counts}
    if result.exit_code == exit_codes.FAILED and result.paused:
        paper["exit"] = exit_codes.BUSY  # the server grants nothing now: later again
    return paper


def _shaped(tasks: list[Any], options: Mapping[str, str]) -> tuple[Any, Callable[[Any], Any]]:
    """What a backfill adds to the plan, and what it makes of the result."""
    if not options:
        return None, lambda result: result
    from .._backfill import shape_of, without_the_range

    (wanted,) = tasks
    limit = options.get("max_parallel")
    return shape_of(wanted, int(limit) if limit else None), lambda result: without_the_range(result, wanted)


def _reason(result: Any) -> str:
    """How a run ended, in a line or a few."""
    if result:
        counts = ((result.done, "made"), (result.elsewhere, "made by other workers"), (result.already, "there before"))
        return f"complete: {', '.join(f'{count:,} {how}' for count, how in counts if count) or 'nothing to do'}"
    lines = [
        f"{failure.task}: {failure.error.strip().splitlines()[-1] if failure.error.strip() else failure.exit}"
        for failure in result.failures[:3]
    ]
    lines += [str(fault) for fault in result.faults[:3]]
    if result.missing:
        more = f" and {result.missing - 3:,} more" if result.missing > 3 else ""
        lines.append(f"{result.missing:,} missing: {', '.join(result.external[:3])}{more}")
    return "\n".join(lines or [result.status])[:SAID]


def _missing(tasks: tuple[Any, ...], count: int) -> tuple[list[str], int]:
    """URLs of what external tasks would have given, and how many of these tasks cannot be watched that way."""
    from ..task import Task, flatten

    found: dict[str, None] = {}
    dark = max(0, count - len(tasks))
    for task in tasks:
        own = type(task).complete is not Task.complete  # it may say no although its outputs are there
        urls = [] if own else list(_urls(flatten(task.output())))
        if not urls or None in urls or len(found) + len(urls) > MOST_MISSING:
            dark += 1
            continue
        found.update((url, None) for url in urls if url is not None)
    return list(found), dark


def _urls(targets: Any) -> Iterator[str | None]:
    """The URL of each target; None for one that only its own question can answer."""
    from ..targets import FileTarget, LocalTarget

    for target in targets:
        if type(target).exists not in (FileTarget.exists, LocalTarget.exists):
            yield None
        elif isinstance(target, LocalTarget):
            yield os.path.abspath(target.path)
        else:
            yield str(target.url)


# -- what the modules define -------------------------------------------------------------------


def _describe(order: Mapping[str, Any]) -> int:
    out, sys.stdout = sys.stdout, sys.stderr  # what modules print is no answer
    try:
        _settings(order)
        paper = _described(list(order["modules"]))
    except LevadaError as fault:
        paper = {"error": str(fault)}
    except SystemExit as fault:
        paper = {"error": f"sys.exit({fault.code!r}) was called while the modules were imported"}
    out.write("\n" + json.dumps(paper))
    out.flush()
    return exit_codes.OK


def _described(named: list[str]) -> dict[str, Any]:
    from .._model.triggers import trigger_to_json
    from ..task import owners_of, parameters_of, registry
    from ..triggers.defining import kinds_of, triggers_of

    modules = [os.path.basename(name).removesuffix(".py") if name.endswith(".py") else name for name in named]
    inside = tuple(f"{name}." for name in modules)
    families = []
    for name, cls in registry.families().items():
        module = cls.__module__
        if module in modules or module.startswith(inside):
            kinds = kinds_of(cls)
            secret = {each for each, parameter in parameters_of(cls) if parameter.secret}  # never part of a goal, which is plain text
            params = [[each, kind, has] for each, (kind, has) in kinds.items() if each not in secret]
            families.append([name, module, params, owners_of(cls)])
    triggers = [trigger_to_json(trigger) for trigger in triggers_of(modules)]
    all_modules = sorted({*modules, *(str(trigger["module"]) for trigger in triggers if trigger.get("module"))})
    return {"families": families, "triggers": triggers, "modules": all_modules, "files": sorted(_files())}


def _files() -> Iterator[str]:
    """Files of the user's code that was loaded: what is neither ours nor installed."""
    import site
    import sysconfig

    apart = {
        os.path.dirname(os.path.dirname(__file__)),
        *site.getsitepackages(),
        sysconfig.get_path("stdlib"),
        sysconfig.get_path("platstdlib"),
    }
    with suppress(Exception):
        apart.add(site.getusersitepackages())
    places = tuple(f"{os.path.realpath(place)}{os.sep}" for place in apart if place)
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file and not os.path.realpath(file).startswith(places):
            yield os.path.realpath(file)


if __name__ == "__main__":
    sys.exit(main())
