"""Text for people: escaped, aligned, with durations and counts they can read at a glance."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import IO, Any


def say(text: str) -> None:
    """Print to stderr. That nobody reads it any more (`2>&1 | head`), or that its disk is full, must not stop a run."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        hush(sys.stderr)


def hush(stream: IO[str] | None) -> None:
    """Let what is written to the stream from now on, and what waits in it, go nowhere."""
    try:
        if stream is not None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except (OSError, ValueError):  # it stands for no file
        pass


def escape(text: str) -> str:
    r"""The text with control characters shown, not obeyed (a file name must not steer a terminal); line ends stay.

    >>> escape("a\x1b[2Jb\n")
    'a\\x1b[2Jb\n'
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in "\n\t" else each.encode("unicode_escape").decode() for each in text)


def json_text(value: object, indent: int | None = 2, default: Callable[[Any], Any] | None = None) -> str:
    r"""JSON that shows control characters as escapes: its reader gets the same values, and a terminal obeys none of them.

    >>> json_text(["Zürich", "\u202etxt.exe", "\x9b2J"], indent=None)
    '["Zürich", "\\u202etxt.exe", "\\u009b2J"]'
    """
    import json

    text = json.dumps(value, indent=indent, ensure_ascii=False, default=default)
    if text.replace("\n", "").isprintable():
        return text
    return "".join(each if each.isprintable() or each == "\n" else json.dumps(each)[1:-1] for each in text)


def one_line(text: str, most: int = 160) -> str:
    """The first line, escaped, cut to ``most`` characters."""
    first = escape(text.strip().partition("\n")[0].rstrip())
    return first if len(first) <= most else first[: most - 3] + "..."


def shown_value(text: str) -> str:
    """The value of a parameter as names of tasks show it: secrets and private ones masked, long texts cut."""
    return "***" if text.startswith(("hmac:", "hash:")) else text if len(text) <= 80 else text[:77] + "..."


def ending(exit_class: str) -> str:
    """How an attempt ended, as the verb of a sentence.

    >>> ending("user"), ending("timeout")
    ('raised', 'ended timeout')
    """
    return {"user": "raised", "cancelled": "was cancelled"}.get(exit_class, f"ended {exit_class}")


def duration(seconds: float) -> str:
    """A duration at a glance.

    >>> [duration(s) for s in (0.0123, 4.25, 75, 7300, 200000)]
    ['12 ms', '4.2 s', '1 min 15 s', '2 h 1 min', '2 d 7 h']
    """
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def count(number: int, word: str) -> str:
    """A number with its noun.

    >>> count(1, "task"), count(12000, "task")
    ('1 task', '12,000 tasks')
    """
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def table(rows: Iterable[Sequence[object]], head: Sequence[str] = ()) -> list[str]:
    """Lines of aligned columns; numbers stand to the right. Every cell is escaped and one line."""
    cells = [[_cell(value) for value in row] for row in rows]
    right = [all(each[at][1] for each in cells) for at in range(len(cells[0]))] if cells else []
    texts = ([list(head)] if head else []) + [[text for text, _ in row] for row in cells]
    widths = [max(len(row[at]) for row in texts) for at in range(len(texts[0]))] if texts else []
    sides = right or [False] * len(widths)
    return ["  ".join(map(_padded, row, widths, sides)).rstrip() for row in texts]


def _cell(value: object) -> tuple[str, bool]:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}", True
    return one_line(str(value), 200), value == ""


def _padded(text: str, width: int, to_right: bool) -> str:
    return text.rjust(width) if to_right else text.ljust(width)
