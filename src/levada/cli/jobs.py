"""``levada jobs``: what tasks have handed to other systems, as the book of jobs has it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from .._model import exit_codes
from ..config import use
from ..config.state import state_folder
from ..errors import EngineUnreachable, LevadaError, UsageError
from .app import DEBUG, HELP
from .history import JSON, STATE
from .options import Option, Parsed
from .remote import understood
from .tasks import CONFIG, settings_for, state_of
from .text import duration, escape, one_line, say, table

if TYPE_CHECKING:
    from .._model.engines import Engine
    from ..handover.book import Book, Entry

ENDED = Option("--ended", "", "forget: all that have ended, as where no worker lived to see it")
OPTIONS: tuple[Option, ...] = (ENDED, JSON, STATE, CONFIG, DEBUG, HELP)
HEAD = ("job", "task", "engine", "state", "for")
HINT = "Write `levada jobs`, `levada jobs log JOB`, `levada jobs cancel JOB` or `levada jobs forget JOB`."
LOG = 1 << 20  # bytes
ENDS = ("succeeded", "failed", "killed", "forgotten")


def main(command: str, arguments: list[str], environ: Mapping[str, str]) -> int:
    """List jobs, or do something with one of them."""
    parsed = understood(command, arguments, OPTIONS)
    if parsed is None:
        return exit_codes.OK
    action = {(): show, ("log",): log, ("cancel",): cancel, ("forget",): forget}.get(tuple(parsed.words[:1]))
    wanted = 1 if parsed.words == ["forget"] and parsed.flag("ended") else 2
    if action is None or len(parsed.words) not in (0, wanted):
        raise UsageError(f"levada jobs: got {' '.join(parsed.words)!r}", hint=HINT)
    return action(_book(parsed, environ), parsed)


def _book(parsed: Parsed, environ: Mapping[str, str]) -> Book:
    from ..handover import book

    settings = settings_for(parsed, environ)
    use(settings)
    book.use_state(state_folder(environ, parsed.text("state") or state_of(settings)))
    return book.Book()


def show(book: Book, parsed: Parsed) -> int:
    """All that is handed over, oldest first, and how it stands."""
    entries = sorted(book.entries(), key=lambda found: found[1].since)
    states = [_state(entry) for _, entry in entries]
    if parsed.flag("json"):
        rows = [{"key": key, **entry._asdict(), "state": state} for (key, entry), state in zip(entries, states, strict=True)]
        print(json.dumps(rows, indent=2))
    elif not entries:
        print(f"no jobs are handed over (the book is {escape(book.place)})")
    else:
        rows_ = [_row(entry, state) for (_, entry), state in zip(entries, states, strict=True)]
        print("\n".join(table(rows_, HEAD)))
    return exit_codes.OK


def _row(entry: Entry, state: str) -> tuple[str, ...]:
    return entry.submission, entry.title, entry.engine, state, duration(max(0.0, time.time() - entry.since))


def _state(entry: Entry) -> str:
    """Where a job stands, in a word or a line."""
    from ..handover import open_engine

    try:
        if not entry.handle:
            return "about to be submitted, or never was"  # not looked for: then it would not be started any more
        return str(open_engine(entry.engine).poll([entry.handle])[0].state)
    except EngineUnreachable:
        return "not known: its engine does not answer"
    except LevadaError as fault:
        return f"not known: {one_line(fault.message)}"


def _named(book: Book, parsed: Parsed) -> tuple[str, Entry]:
    """The entry that the second word means: a submission, or a task."""
    wanted, entries = parsed.words[1], list(book.entries())
    found = [(key, entry) for key, entry in entries if wanted in (entry.submission, entry.title, key)] or [
        (key, entry) for key, entry in entries if wanted == entry.title.partition("(")[0] or (len(wanted) >= 4 and key.startswith(wanted))
    ]
    if len(found) != 1:
        what = "no job" if not found else f"{len(found)} jobs"
        raise UsageError(f"{what} of the name {wanted!r} in {book.place}", hint="`levada jobs` lists all; the first column names one.")
    return found[0]


def _engine(entry: Entry) -> tuple[Engine, str]:
    from ..handover import open_engine

    engine = open_engine(entry.engine)
    handle = entry.handle or engine.find(entry.submission)
    if handle is None:
        raise UsageError(f"{entry.submission} was never submitted to {entry.engine}", hint=f"`levada jobs forget {entry.submission}`")
    return engine, handle


def log(book: Book, parsed: Parsed) -> int:
    """Print what a job has said so far."""
    _, entry = _named(book, parsed)
    engine, handle = _engine(entry)
    print(engine.logs(handle, most=LOG), end="")
    return exit_codes.OK


def cancel(book: Book, parsed: Parsed) -> int:
    """Have a job ended. It stays in the book until an attempt of its task has seen how it ended."""
    _, entry = _named(book, parsed)
    engine, handle = _engine(entry)
    engine.cancel(handle)
    say(f"levada: {entry.engine} job {handle} is asked to end")
    return exit_codes.OK


def forget(book: Book, parsed: Parsed) -> int:
    """Strike a job off the book, and clear away what is kept of one that has ended; the next attempt of its task submits another."""
    if parsed.flag("ended"):
        gone = _cleared(book)
        say(f"levada: {gone} jobs that had ended are forgotten")
        return exit_codes.OK
    key, entry = _named(book, parsed)
    if not _clear(book, key, entry):
        book.strike(key, entry.submission)
        say(f"levada: {entry.submission} is forgotten; should it still run, it goes on beside the next one")
    return exit_codes.OK


def _cleared(book: Book) -> int:
    """How many jobs that had ended were forgotten: those that are still in the book after whoever follows them would have seen it."""
    ended = [(key, entry) for key, entry in book.entries() if entry.handle and _state(entry) in ENDS]
    if ended:
        time.sleep(max(1.0, *(2 * _engine(entry)[0].poll_seconds for _, entry in ended)))
    return sum(_clear(book, key, entry) for key, entry in ended if book.read(key) == entry)


def _clear(book: Book, key: str, entry: Entry) -> bool:
    """Whether the job had ended; then nothing is kept of it."""
    from ..handover import open_engine

    try:
        engine = open_engine(entry.engine)
        if not entry.handle or not engine.poll([entry.handle])[0].state.is_ended:
            return False
        engine.forget(entry.handle)
    except LevadaError:
        return False
    book.strike(key, entry.submission)
    return True
