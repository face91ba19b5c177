"""Logs of attempts: taken in from workers piece by piece, kept head and tail, read from any place, waited for.

Laws: what was sent before is passed over; of a log over its limit the middle goes, never the beginning or the end; only
the session that a fence was given to writes to its log. The rest of a log may come after the attempt's end.
"""

from __future__ import annotations

from binascii import unhexlify
from collections.abc import Callable
from typing import NamedTuple, cast

from .._model.messages import Fence, SessionId
from .._model.spec import Index
from .._model.status import Status
from .._store.ports import LogChunk, LogCut, Reading
from .._wire import messages as w
from .._wire import operators as o
from .._wire.kinds import Answer
from .._wire.problems import Refusal
from .desk import Desk
from .http.port import Call
from .logbook import Log
from .office import asked_by
from .polls import Poll
from .work import _member as speaker
from .work import shut_out

Done = Answer | bytes | None

PAGE = 1 << 20
"""Bytes of an answer, about."""
READ = 200
LONGEST = 4 * (64 << 10)
"""Bytes of a piece, at most."""


# -- writing -------------------------------------------------------------------------------------


def write(desk: Desk, call: Call) -> Done:
    """Take pieces in; what may not be written is passed over: its sender is told to go on behind it."""
    asked = cast("w.Logs", call.request)
    session = speaker(desk, call, asked.session).id
    return w.LogsAnswer([_write(desk, session, item) for item in asked.chunks])


def _write(desk: Desk, session: SessionId, item: w.LogItem) -> int:
    data = item.text.encode("utf-8", "replace")
    end = item.offset + len(data)
    index = desk.host.registry.find(item.key)
    log = None if index is None else _log_of(desk, session, index, item)
    if index is None or log is None:
        return end
    if end <= log.next:
        return log.next
    start = max(item.offset, log.next)
    text = item.text if start == item.offset else data[start - item.offset :].decode("utf-8", "ignore")
    desk.logs.append(LogChunk(unhexlify(item.key), *log.fence, start, text, desk.wall))
    log.next = end
    cut = log.added(start)
    if cut is not None:
        desk.cuts.append(LogCut(unhexlify(item.key), *log.fence, *cut))
    desk.host.office.polls.grew(index)
    return end


def _log_of(desk: Desk, session: SessionId, index: Index, item: w.LogItem) -> Log | None:
    """The log that the session may write to; None where it may not."""
    state, fence = desk.host.brain.state, Fence(item.epoch, item.number)
    if state.status[index] >= len(Status) or not state.is_newest(index, fence):
        return None
    holder = state.holder.get(index)
    if holder is not None and holder != session:
        return None
    log = desk.host.office.book.get(index)
    if log is None or log.fence != fence:
        if holder is None and not _may_run(desk, session, index):
            return None
        log = _looked_up(desk.host.store, session, fence, unhexlify(item.key))
        desk.host.office.book.put(index, log)
    return log if log.session == session or holder == session else None


def _may_run(desk: Desk, session: SessionId, index: Index) -> bool:
    state = desk.host.brain.state
    known = state.sessions.get(session)
    return known is not None and state.groups[state.group[index]].is_for(session, known.labels)


def _looked_up(store: Reading, session: str, fence: Fence, key: bytes) -> Log:
    """Where a log stands that is not known by heart: after a restart, or a new one."""
    for size in store.logs_of(key, 1):
        if (size.epoch, size.number) == fence:
            last = store.log(key, *fence, offset=size.end, limit=1)
            return Log(session, fence, size.end + sum(len(chunk.text.encode("utf-8", "replace")) for chunk in last), size.chunks)
    return Log(session, fence)


# -- reading -------------------------------------------------------------------------------------


class Piece(NamedTuple):
    """A part of a log. start: where it begins, later than asked for where what was there is gone. last: nothing is behind it."""

    text: str
    start: int
    next: int
    last: bool


def read(desk: Desk, call: Call) -> Done:
    """A piece of a log; held while there is none and more may come."""
    asked, state = cast("o.Log", call.request), desk.host.brain.state
    index = desk.host.registry.index(asked.key)
    fence = state.fence(index)
    if asked.epoch is not None and asked.number is not None:
        fence = Fence(asked.epoch, asked.number)
    elif asked.epoch is not None or asked.number is not None:
        raise Refusal("invalid-message", "epoch and number go together")
    if fence is None:
        raise Refusal("not-found", f"task {asked.key} was never started", hint=f"`levada why {asked.key}` tells what it waits for.")
    _ask(desk, call, asked, Poll(call, index, fence, asked.offset, desk.host.clock() + asked.wait), held=asked.wait > 0)
    return None


def _ask(desk: Desk, call: Call, asked: o.Log, poll: Poll, *, held: bool) -> None:
    over, key = _is_over(desk, poll), unhexlify(asked.key)

    def question(store: Reading) -> Piece:
        return piece_of(store, key, poll.fence, poll.offset)

    def answer(piece: Piece) -> Answer:
        dropped = piece.start - poll.offset if piece.text else 0
        return o.LogAnswer(piece.text, *poll.fence, piece.start, piece.next, over and piece.last, dropped)

    def wait_or_answer(desk: Desk, piece: Piece) -> Done:
        if piece.text or over or desk.host.clock() >= poll.deadline:
            return answer(piece)
        desk.host.office.polls.add(poll)
        if _has_grown(desk, poll):
            desk.host.office.polls.grew(poll.task)
        return None

    if held:
        desk.host.office.ask(call, question, wait_or_answer)
    else:
        desk.host.office.ask(call, lambda store: answer(question(store)))


def look(desk: Desk) -> None:
    """Answer those who waited for long enough, or for what is there by now. After the commit."""
    for poll in desk.host.office.polls.due(desk.host.clock(), lambda poll: _has_grown(desk, poll) or _is_over(desk, poll)):
        if desk.host.tokens.is_void(poll.call.identity.token):
            poll.call.answer(shut_out())
        elif not poll.call.gone:
            asked = asked_by(poll.call)
            try:
                _ask(desk, poll.call, asked, poll, held=False)
            except Refusal as refused:
                poll.call.answer(refused)


def _has_grown(desk: Desk, poll: Poll) -> bool:
    log = desk.host.office.book.get(poll.task)
    return log is not None and log.fence == poll.fence and log.next > poll.offset


def _is_over(desk: Desk, poll: Poll) -> bool:
    state = desk.host.brain.state
    return state.status[poll.task] != Status.RUNNING or not state.is_newest(poll.task, poll.fence)


def piece_of(store: Reading, key: bytes, fence: Fence, offset: int) -> Piece:
    """What is kept of a log from a place on, up to about PAGE bytes and to the next gap."""
    chunks = store.log(key, *fence, offset=offset, limit=READ)
    if offset and (not chunks or chunks[0].offset > offset):
        chunks = [*_around(store, key, fence, offset), *chunks]
    parts: list[bytes] = []
    start = end = offset
    left = list(chunks)
    while left and (end == left[0].offset or not parts) and end - start < PAGE:
        chunk = left.pop(0)
        data = chunk.text.encode("utf-8", "replace")
        if not parts:
            start = max(offset, chunk.offset)
            data = data[start - chunk.offset :]
            end = start
        parts.append(data)
        end += len(data)
    return Piece(b"".join(parts).decode("utf-8", "ignore"), start, end, not left and len(chunks) < READ)


def _around(store: Reading, key: bytes, fence: Fence, offset: int) -> list[LogChunk]:
    """The piece in the middle of which a place lies, if there is one."""
    begin = max(0, offset - LONGEST)
    for _ in range(5):
        chunks = store.log(key, *fence, offset=begin, limit=1_000)
        for chunk in chunks:
            if chunk.offset < offset < chunk.offset + len(chunk.text.encode("utf-8", "replace")):
                return [chunk]
        if len(chunks) < 1_000 or chunks[-1].offset >= offset:
            break
        begin = chunks[-1].offset + 1
    return []


HANDLERS: dict[type, Callable[[Desk, Call], Done]] = {w.Logs: write, o.Log: read}
"""By the type of the request."""
