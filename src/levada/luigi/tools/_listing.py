"""Which of many files of an old program's own ``FileSystem`` exist, by a few listings: what ``luigi.tools.range`` does for them.

Files of our stores need none of this: the planner lists their folders.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import product
from typing import Any, TypeVar

from ..target import FileSystemTarget
from ..task import flatten_output

T = TypeVar("T")
DIGIT = "[0-9]"
LIMIT = 5  # patterns that are listed in place of one


def most_common(items: Iterable[T]) -> tuple[T, int]:
    """The item that occurs most often, and how often."""
    return Counter(items).most_common(1)[0]


def infer_bulk_complete_from_fs(
    datetimes: Iterable[datetime], datetime_to_task: Callable[[datetime], Any], datetime_to_re: Callable[[datetime], str]
) -> list[datetime]:
    """The moments whose tasks' outputs are not all there, by listings of the places where all outputs would be.

    datetime_to_re: the pattern of the moment's digits in a path. Raises NotImplementedError where paths are not made of them.
    """
    paths = {moment: [target.path for target in flatten_output(datetime_to_task(moment))] for moment in datetimes}
    there: set[str] = set()
    for (filesystem, glob), of_one_place in zip(
        _get_filesystems_and_globs(datetime_to_task, datetime_to_re), zip(*paths.values(), strict=True), strict=True
    ):
        for narrow in sorted(_constrain_glob(glob, of_one_place)):
            if filesystem.exists(narrow):
                there.update(filesystem.listdir(narrow))
    return [moment for moment, wanted in paths.items() if not there.issuperset(wanted)]


def _get_filesystems_and_globs(
    datetime_to_task: Callable[[datetime], Any], datetime_to_re: Callable[[datetime], str]
) -> Iterator[tuple[Any, str]]:
    """(file system, pattern of the folders of all moments), one for each output of the tasks."""
    moments = [datetime(*when) for when in product(range(2000, 2050, 10), range(1, 4), range(5, 8), range(21, 24))]
    rows = [flatten_output(datetime_to_task(moment)) for moment in moments]
    if len(set(map(len, rows))) != 1 or not all(isinstance(target, FileSystemTarget) for row in rows for target in row):
        raise NotImplementedError(f"{datetime_to_task(moments[0])}: its outputs are not the same number of files at all times")
    for column in zip(*rows, strict=True):
        found = [
            re.search(datetime_to_re(moment), target.path) for moment, target in zip(moments, column, strict=True)
        ]  # numbers of the path that look like a moment are outvoted
        if None in found:
            raise NotImplementedError(f"{column[0].path}: the moment is not told in the path")
        signs = list(column[0].path)
        for group in range(1, (found[0].re.groups if found[0] else 0) + 1):
            (start, end), _ = most_common(match.span(group) for match in found if match)
            signs[start:end] = [DIGIT] * (end - start)
        yield column[0].fs, "".join(signs).rpartition("/")[0]


def _constrain_glob(glob: str, paths: Sequence[str], limit: int = LIMIT) -> list[str]:
    """Patterns, at most ``limit`` or as many as fill the first place, that match the same of the paths and little else."""
    narrow = {glob: paths}
    while (place := next(iter(narrow)).find(DIGIT)) >= 0:
        digits = {pattern: sorted({path[place] for path in these}) for pattern, these in narrow.items()}
        if sum(map(len, digits.values())) > limit:
            return [pattern.replace(DIGIT, _one_of(digits[pattern]), 1) for pattern in narrow]
        narrow = {
            pattern.replace(DIGIT, digit, 1): [path for path in these if path[place] == digit]
            for pattern, these in narrow.items()
            for digit in digits[pattern]
        }
    return list(narrow)


def _one_of(digits: Sequence[str]) -> str:
    if len(digits) > 1 and ord(digits[-1]) - ord(digits[0]) == len(digits) - 1:
        return f"[{digits[0]}-{digits[-1]}]"
    return f"[{''.join(digits)}]"
