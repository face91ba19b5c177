"""What a run leaves behind, in a few lines: families before tasks, counts before examples."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..errors import headline
from .text import count, duration, escape, one_line

if TYPE_CHECKING:
    from .._run import RunResult

EXAMPLES = 5
"""Tasks that are named of each kind; counts are whole."""

IN_FULL = 3
"""Failures whose error is shown, not only named, and how much of each."""

IN_FULL_LINES = 30

FAMILIES = 8
"""Families that are named."""

HEADS = {
    "ok": "done",
    "failed": "failed",
    "waiting": "waiting for data that others make",
    "faults": "the plan has faults",
    "interrupted": "stopped by a signal",
}


def summary(result: RunResult, log: str = "levada log") -> list[str]:
    """The lines of the summary, without line ends. log: the command that has the errors of this run."""
    if result.status == "ok" and not result.done and not result.elsewhere:
        looked = f", {count(result.already, 'task')} complete" if result.already > 1 else ""
        return [f"levada: {one_line(result.wanted)}: nothing to do{looked} ({duration(result.seconds)})"]
    lines = [f"levada: {one_line(result.wanted)}: {HEADS.get(result.status, result.status)} ({duration(result.seconds)})"]
    lines += _made(result)
    lines += _failures(result, log)
    lines += _cancelled(result)
    lines += _blocked(result)
    lines += _missing(result)
    lines += _faults(result)
    if result.paused:
        lines.append("  paused    the server grants nothing until `levada resume`")
    return lines


def _made(result: RunResult) -> list[str]:
    lines = []
    if result.done:
        families = sorted(result.done_by_family.items(), key=lambda pair: (-pair[1], pair[0]))
        named = ", ".join(f"{escape(family)} {number:,}" for family, number in families[:FAMILIES])
        more = f" and {len(families) - FAMILIES} more" if len(families) > FAMILIES else ""
        lines.append(f"  made      {count(result.done, 'task')}: {named}{more}")
    if result.elsewhere:
        lines.append(f"  others    {count(result.elsewhere, 'task')} made by other workers meanwhile")
    if result.already:
        lines.append(f"  complete  {count(result.already, 'task')} before")
    if result.lost:
        lines.append(f"  lost      {count(result.lost, 'attempt')} whose lease was lost: the server granted the task to another worker")
    return lines


def _failures(result: RunResult, log: str) -> list[str]:
    if not result.failed:
        return []
    lines = [f"  failed    {count(result.failed, 'task')}"]
    for at, each in enumerate(result.failures[:EXAMPLES]):
        lines.append(f"    {one_line(each.task)}: {reason(each.error) or each.exit} (attempt {each.attempt})")
        if at < IN_FULL and (whole := in_full(each.error)):
            lines += [f"      {line}" for line in whole]
            lines.append(f"      The whole error: {log} {_quoted(escape(each.task))}")
    lines += _more(result.failed - min(len(result.failures), EXAMPLES))
    if result.failed > IN_FULL:
        lines.append(f"    The errors of others: {log} TASK, with a name as it stands here or in `levada history --failed`")
    return lines


def in_full(error: str) -> list[str]:
    """The text of an error for the end of a run: frames of Levada left out, the last 30 lines. Empty where one line says it all."""
    lines = escape(error.rstrip()).splitlines()
    theirs = _without_ours(lines)
    if len(theirs) < 2:
        return []
    cut = len(theirs) - IN_FULL_LINES
    return theirs if cut <= 0 else [f"... {cut + 1} lines left out", *theirs[cut + 1 :]]


def _without_ours(lines: list[str]) -> list[str]:
    """Without the frames of the engine and its targets, if some of the author's remain."""
    kept, ours, seen = [], False, False
    for line in lines:
        if line.startswith('  File "'):
            ours = line.startswith((f'  File "{_PACKAGE}', '  File "<frozen '))
            seen = seen or not ours
        elif not line.startswith("    "):
            ours = False
        if not ours:
            kept.append(line)
    return kept if seen else lines


def _quoted(name: str) -> str:
    from shlex import quote

    return quote(name)


def _cancelled(result: RunResult) -> list[str]:
    if not result.cancelled:
        return []
    again = "it" if result.cancelled == 1 else "each of them"
    lines = [f"  cancelled {count(result.cancelled, 'task')}, by an operator; `levada retry TASK` sets {again} going again"]
    lines += [f"    {one_line(each)}" for each in result.cancelled_tasks[:EXAMPLES]]
    return lines + _more(result.cancelled - min(len(result.cancelled_tasks), EXAMPLES))


def _blocked(result: RunResult) -> list[str]:
    if not result.blocked:
        return []
    if result.status == "interrupted":
        return [f"  left      {count(result.blocked, 'task')} that had not started or not ended"]
    lines = [f"  blocked   {count(result.blocked, 'task')}"]
    for each in result.blocked_by[:EXAMPLES]:
        behind = f"{count(each.tasks, 'task')} behind {one_line(each.by)} ({each.why})"
        lines.append(f"    {behind if each.tasks else f'{one_line(each.by)} {each.why}'}")
    return lines + _more(len(result.blocked_by) - EXAMPLES, "cause")


def _missing(result: RunResult) -> list[str]:
    if not result.missing:
        return []
    lines = [f"  missing   {count(result.missing, 'task')} that others make"]
    lines += [f"    {one_line(each)}" for each in result.external[:EXAMPLES]]
    return lines + _more(result.missing - min(len(result.external), EXAMPLES))


def _faults(result: RunResult) -> list[str]:
    if not result.faults:
        return []
    lines = [f"  faults    {count(result.faulty, 'fault')} in the plan"]
    for fault in result.faults[:EXAMPLES]:
        lines += [f"    {escape(line)}" for line in str(fault).splitlines()]
    return lines + _more(result.faulty - min(len(result.faults), EXAMPLES), "fault")


def _more(number: int, word: str = "task") -> list[str]:
    return [f"    and {number:,} more {word}{'' if number == 1 else 's'}"] if number > 0 else []


def reason(error: str) -> str:
    """The exception of a traceback text in one line, with ``file:line`` where it arose.

    >>> reason('Traceback...\\n  File "flows.py", line 3, in run\\n    x\\nValueError: no flights\\n')
    'ValueError: no flights (flows.py:3)'
    """
    text = one_line(headline(error).removeprefix("levada.errors."))
    lines = error.rstrip().splitlines()
    if lines and lines[0].startswith("  + Exception Group Traceback"):
        lines = [line[4:] for line in lines]
    last = max((at for at, line in enumerate(lines) if line.startswith("Traceback")), default=0)
    frames = [at for at, line in enumerate(lines) if at >= last and line.startswith('  File "')]
    theirs = [at for at in frames if not lines[at].startswith(f'  File "{_PACKAGE}')] or frames
    return f"{text} ({_place(lines[theirs[-1]])})" if frames else text


_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def _place(line: str) -> str:
    file, _, rest = line.strip().removeprefix('File "').partition('", line ')
    return f"{file}:{rest.partition(',')[0]}"
