"""``levada migrate check``: what of a Luigi project runs as it is, what behaves differently, what is not there. The annex knows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from .._model import exit_codes
from ..errors import UsageError
from .app import DEBUG, HELP
from .options import Option
from .remote import JSON, understood
from .text import count, escape, json_text, say

ALL = Option("--all", "", "tell every place, and what runs as it is")
OPTIONS: tuple[Option, ...] = (JSON, ALL, DEBUG, HELP)
SHOWN = 5
"""Places that are told of a subject without --all; of what is not supported all are told."""


def main(command: str, arguments: list[str], environ: Mapping[str, str]) -> int:
    """Read the project and print the report; 1 when something of it is not supported."""
    parsed = understood(command, arguments, OPTIONS)
    if parsed is None:
        return exit_codes.OK
    what, *paths = parsed.words or [""]
    if what != "check" or not paths:
        got = f"got {' '.join(parsed.words)!r}" if parsed.words else "check what?"
        raise UsageError(f"levada migrate: {got}", hint="Write `levada migrate check FOLDER`; FOLDER has the program's sources.")
    for path in paths:
        if not os.path.exists(path):
            raise UsageError(f"{path}: there is no such file or folder")
    report = import_module("levada.luigi.migrate").check(paths)  # by name: nothing in the house stands on the annex
    if not report.python_files and not report.config_files:
        raise UsageError(f"{', '.join(paths)}: no Python source and no luigi.cfg there", hint="Give the folder of the program.")
    if parsed.flag("json"):
        print(json_text(_as_json(report)))
    else:
        print("\n".join(map(escape, _told(report, parsed.flag("all")))))
        for place, why in report.unread:
            say(f"levada: {escape(_at(place))}: not read: {escape(why)}")
    return exit_codes.FAILED if report.of("not supported") else exit_codes.USAGE if report.unread else exit_codes.OK


# -- for people ------------------------------------------------------------------------------------


def _told(report: Any, everything: bool) -> Iterator[str]:
    for kind, head in (
        ("not supported", "Not supported: change these before you switch"),
        ("differs", "Behaves differently: read these"),
        ("as it is", "Runs as it is"),
    ):
        verdicts = report.of(kind)
        if verdicts and (kind != "as it is" or everything):
            yield f"{head}\n"
            for verdict in verdicts:
                yield from _verdict(verdict, everything or kind == "not supported")
    yield from _summary(report)


def _verdict(verdict: Any, everything: bool) -> Iterator[str]:
    yield f"  {verdict.subject}"
    if verdict.what:
        yield f"      {verdict.what}"
    if verdict.why:
        yield f"      {verdict.why}"
    if verdict.see:
        yield f"      see {verdict.see}"
    shown = verdict.places if everything else verdict.places[:SHOWN]
    width = max(len(_at(place)) for place in shown)
    yield from (f"      {_at(place):{width}}  {place.name}".rstrip() for place in shown)
    if len(shown) < len(verdict.places):
        yield f"      and {count(len(verdict.places) - len(shown), 'more place')} (--all)"
    yield ""


def _summary(report: Any) -> Iterator[str]:
    for place, wanted in report.dependencies:
        yield f"Depends on Luigi: {_at(place)} ({wanted}): write levada there; the door serves what else asks for luigi."
    yield (
        f"{count(report.python_files, 'Python file')}, {report.luigi_files:,} of them with Luigi; "
        f"{count(len(report.config_files), 'configuration file')}; {len(report.unread):,} not read."
    )
    counts = {kind: len(report.of(kind)) for kind in ("as it is", "differs", "not supported")}
    yield (
        f"{counts['as it is']:,} names and settings run as they are, {counts['differs']:,} behave differently, "
        f"{counts['not supported']:,} are not supported."
    )
    if not report.luigi_files and not report.config_files:
        yield "Nothing here takes anything from Luigi."
    elif not counts["not supported"]:
        yield "Next: `levada luigi --module MODULE TASK ...`, or `python -m levada.luigi script.py`, runs the program unchanged."


def _at(place: Any) -> str:
    path = str(place.path).replace("\n", "\\n").replace("\t", "\\t")
    return f"{path}:{place.line}" if place.line else path


# -- for machines ----------------------------------------------------------------------------------


def _as_json(report: Any) -> dict[str, object]:
    verdicts = {
        name: [
            {
                "subject": each.subject,
                "what": each.what,
                "why": each.why,
                "see": each.see,
                "places": [{"file": place.path, "line": place.line, "name": place.name or each.subject} for place in each.places],
            }
            for each in report.of(kind)
        ]
        for name, kind in (("not_supported", "not supported"), ("differs", "differs"), ("as_it_is", "as it is"))
    }
    return {
        "python_files": report.python_files,
        "luigi_files": report.luigi_files,
        "config_files": report.config_files,
        "unread": [{"file": place.path, "line": place.line, "why": why} for place, why in report.unread],
        "dependencies": [{"file": place.path, "line": place.line, "wants": wanted} for place, wanted in report.dependencies],
        **verdicts,
    }
