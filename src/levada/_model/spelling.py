"""The nearest right spelling of a word that nobody knows."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, words: Iterable[str], most: int = 3) -> list[str]:
    """At most ``most`` of the words that look like ``word``, best first; case, - and _ count for nothing.

    >>> nearest("dya", ["day", "window", "Day_"])
    ['day', 'Day_']
    """
    from difflib import get_close_matches  # only when something is wrong already

    known: dict[str, list[str]] = {}
    for each in words:
        known.setdefault(_plain(each), []).append(each)
    close = get_close_matches(_plain(word), known, n=most, cutoff=0.6)
    return [each for plain in close for each in known[plain]][:most]


def did_you_mean(word: str, words: Iterable[str], form: str = "{}") -> str | None:
    """A question that names the nearest spellings, or None when nothing is near.

    >>> did_you_mean("wrokers", ["workers", "attempts"])
    'Did you mean workers?'
    """
    close = [form.format(each) for each in nearest(word, words)]
    return f"Did you mean {' or '.join(close)}?" if close else None


def _plain(word: str) -> str:
    return word.lower().replace("_", "-").strip("-")
