"""The words of alerts: what is to be said of causes, as a title and a text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from .grouping import DEADLINE, DISABLED, FAILED, Part, Told

TITLE = 200  # characters
HEADLINE = 120
PARTS = 20  # causes that one message describes; of more, their number is said
LINES = 12  # of an error


class Message(NamedTuple):
    """What is sent. mood: ``failure``, ``warning`` or ``success``."""

    title: str
    body: str
    mood: str


def message(told: Told, url: str = "") -> Message:
    """One message for what an owner is to be told. url: the page of the server."""
    parts = told.parts
    title = _title(parts[0]) if len(parts) == 1 else f"{len(parts)} alerts: {'; '.join(map(_short, parts))}"
    blocks = [_block(part) for part in parts[:PARTS]]
    if len(parts) > PARTS:
        blocks.append(f"... and {len(parts) - PARTS:,} more causes. `levada tasks --status failed` lists what failed.")
    if url:
        blocks.append(url)
    return Message(cut(f"[levada] {title}", TITLE), "\n\n".join(blocks), _mood(parts))


def summary(titles: Sequence[str], count: int, url: str = "") -> Message:
    """One message in place of ``count`` that would have been too many; titles: of the first of them."""
    lines = [f"{count:,} messages were held back, for there were too many within an hour:", "", *(f"- {title}" for title in titles)]
    if count > len(titles):
        lines.append(f"- ... and {count - len(titles):,} more")
    if url:
        lines += ["", url]
    return Message(f"[levada] {count:,} more alerts", "\n".join(lines), "warning")


def _mood(parts: Sequence[Part]) -> str:
    if all(part.state == "over" for part in parts):
        return "success"
    return "failure" if any(part.kind != DEADLINE and part.state != "over" for part in parts) else "warning"


_VERBS = {FAILED: "failed", DISABLED: "was disabled", DEADLINE: "missed its deadline"}
_MANY = {FAILED: "failed", DISABLED: "were disabled", DEADLINE: "missed their deadline"}


def _short(part: Part) -> str:
    """``Load failed (1,000)``."""
    number = f" ({part.times:,})" if part.times > 1 else ""
    verb = "recovered" if part.state == "over" else _VERBS[part.kind]
    return f"{'still: ' if part.state == 'still' else ''}{part.family or 'several'} {verb}{number}"


def _title(part: Part) -> str:
    what = part.examples[0][1] if part.times == 1 and part.examples else part.family or "several families"
    number = f" ({part.times:,} times)" if part.times > 1 else ""
    if part.state == "over":
        return f"recovered: {part.family or what}{number}"
    headline = headline_of(part.text)
    return f"{'still: ' if part.state == 'still' else ''}{what} {_VERBS[part.kind]}{number}" + (f": {headline}" if headline else "")


def _block(part: Part) -> str:
    lines = [_lead(part)]
    if part.state != "over":
        if part.text:
            lines += ["", *_tail(part.text)]
        if part.examples:
            lines += ["", "For example:" if part.since > len(part.examples) else "It is:" if part.since == 1 else "They are:"]
            lines += [f"  {name}" for _, name in part.examples]
            kind, _, key = part.examples[0][0].partition(":")
            if kind == "task":
                lines += ["", f"Its log: levada log {key}"]
    return "\n".join(lines)


def _lead(part: Part) -> str:
    began = f"the first at {datetime.fromtimestamp(part.first, UTC):%Y-%m-%d %H:%M:%S} UTC"
    where = f" of {part.family}" if part.family else ""
    if part.state == "over":
        return f"Well again: what {_VERBS[part.kind]}{where} ({_times(part.times)}, {began}) is done, or is wanted no more."
    if part.state == "still":
        more = f"{part.since:,} more since the last message" if part.since else "nothing new since the last message"
        return f"It lasts: {more}, {_times(part.times)} in all{where}, {began}; {part.open:,} not made by now."
    if part.times == 1:
        return f"A task{where} {_VERBS[part.kind]}, at {datetime.fromtimestamp(part.first, UTC):%Y-%m-%d %H:%M:%S} UTC."
    if part.open < part.times:  # some failed twice, or are well again, or are not followed
        return f"{part.times:,} times a task{where} {_VERBS[part.kind]} for one cause, {began}."
    return f"{part.times:,} tasks{where} {_MANY[part.kind]} for one cause, {began}."


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _tail(text: str) -> list[str]:
    """The last lines of an error: there stands what it was."""
    lines = text.rstrip().splitlines()
    return lines if len(lines) <= LINES else ["...", *lines[-LINES:]]


def headline_of(text: str) -> str:
    """The line that says what it was: of a traceback the exception, of any other text the first.

    >>> headline_of("Traceback (most recent call last):\\n  File ...\\nValueError: no flights\\nsecond line")
    'ValueError: no flights'
    """
    lines = text.strip().splitlines()
    starts = [at for at, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    rest = lines[starts[-1] + 1 :] if starts else lines
    return cut(next((line for line in rest if line.strip() and not line.startswith(" ")), ""), HEADLINE)


def cut(text: str, most: int) -> str:
    """The text in one line, at most so long."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 3] + "..."
