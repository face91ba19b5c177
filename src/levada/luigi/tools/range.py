"""Luigi's Range tasks: ``RangeDaily(of=Report, start=date(2013, 1, 1))`` requires what is missing, at most ``task_limit``.

Spellings only. Moments come from ``levada.ranges``; completeness is asked by the planner, in batches, unless the
family has a ``bulk_complete`` of its own. As in Luigi ``stop`` is not in the range, and ``now`` is UTC. A backfill of a
range that has two ends is better written as ``levada backfill``, which has no limit of 50.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any

from ..._plan.complete import ONE_BY_ONE, are_complete
from ...errors import ParameterError
from ...params import (
    BoolParameter,
    DateHourParameter,
    DateMinuteParameter,
    DateParameter,
    DictParameter,
    FrozenDict,
    IntParameter,
    MonthParameter,
    Parameter,
    TaskParameter,
)
from ...ranges import row_of, span
from ...task import Event, WrapperTask, flatten, info_of
from ..local_target import LocalFileSystem
from ..mock import MockFileSystem
from ..target import FileSystemTarget
from ._listing import _constrain_glob as _constrain_glob
from ._listing import _get_filesystems_and_globs as _get_filesystems_and_globs
from ._listing import infer_bulk_complete_from_fs as infer_bulk_complete_from_fs
from ._listing import most_common as most_common

MOMENT = timedelta(microseconds=1)
NONE: Any = None  # a default that makes None a value


class RangeEvent(Event):
    """What a Range task tells of itself: family and a number."""

    COMPLETE_COUNT = "event.tools.range.complete.count"
    COMPLETE_FRACTION = "event.tools.range.complete.fraction"
    DELAY = "event.tools.range.delay"


class RangeBase(WrapperTask):
    """Requires the missing partitions of a family, whose partitions are moments of one parameter.

    of: the family. of_params: its other parameters. start: the first moment; stop: the first that is out again; one of
    them is given. reverse: from the newest backward. task_limit: so many are required at once. now: seconds since 1970.
    param_name: the parameter, by default the first one.
    """

    of: Any = TaskParameter(help="family to complete")
    of_params = DictParameter(default=FrozenDict(), help="its other parameters")
    start: Any = Parameter()
    stop: Any = Parameter()
    reverse = BoolParameter(default=False, help="from the newest backward")
    task_limit = IntParameter(default=50, help="so many are required at once")
    now: Any = IntParameter(default=NONE, help="seconds since 1970, instead of the clock")
    param_name: Any = Parameter(default=NONE, positional=False, help="the parameter, by default the first one")

    _required: list[Any] | None = None  # looked for once

    if TYPE_CHECKING:

        def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    # -- what each length of time says for itself

    def grid(self) -> Parameter[Any]:
        """The kind whose values are the moments."""
        raise NotImplementedError

    def moving_start(self, now: datetime) -> datetime:
        """The earliest moment that is looked at."""
        raise NotImplementedError

    def moving_stop(self, now: datetime) -> datetime:
        """The moment before which is looked."""
        raise NotImplementedError

    def datetime_to_parameter(self, dt: datetime) -> Any:
        """The value of the family's parameter."""
        return dt

    digits = ""
    """The moment's digits in a path, as ``strftime`` makes a pattern of them; "" where paths are not looked at."""

    def parameter_to_datetime(self, p: Any) -> datetime:
        """The moment of a value."""
        return p if isinstance(p, datetime) else datetime(p.year, p.month, p.day)

    # -- the same for all

    def finite_datetimes(self, finite_start: datetime, finite_stop: datetime) -> list[datetime]:
        """The moments from ``finite_start`` up to, not including, ``finite_stop``."""
        kind = self.grid()
        first, last = kind.normalize(finite_start), kind.normalize(finite_stop - MOMENT)
        if self.parameter_to_datetime(first) < finite_start:
            first = kind.next_value(first)
        if first is None or last < first:
            return []
        return [self.parameter_to_datetime(value) for value in row_of(kind, span(first, last))]

    def datetime_to_parameters(self, dt: datetime) -> dict[str, Any]:
        """All values of the family for a moment."""
        known = dict(info_of(self.of).params)
        given = {
            name: known[name].parse(value) if isinstance(value, str) and name in known else value for name, value in self.of_params.items()
        }
        return {**given, self._name: self.datetime_to_parameter(dt)}

    def parameters_to_datetime(self, p: Any) -> datetime:
        """The moment of all values of the family."""
        return self.parameter_to_datetime(p[self._name])

    @property
    def of_cls(self) -> Any:
        """The family."""
        return self.of

    def _instantiate_task_cls(self, param: Any) -> Any:
        return self.of(**self.datetime_to_parameters(self.parameter_to_datetime(param)))

    @property
    def _name(self) -> str:
        return self.param_name or next(name for name, parameter in info_of(self.of).params if parameter.positional)

    def missing_datetimes(self, finite_datetimes: list[datetime]) -> Iterable[datetime]:
        """Those of the moments whose task is not complete."""
        bulk = getattr(self.of, "bulk_complete", None)
        if bulk is not None:
            others = {name: value for name, value in self.datetime_to_parameters(finite_datetimes[0]).items() if name != self._name}
            try:
                found = getattr(bulk, "__func__", bulk)(
                    partial(self.of, **others), [self.datetime_to_parameter(dt) for dt in finite_datetimes]
                )
                complete = {self.parameter_to_datetime(value) for value in found}
            except NotImplementedError:
                pass
            else:
                return [dt for dt in finite_datetimes if dt not in complete]
        made: Callable[[datetime], Any] = lambda dt: self.of(**self.datetime_to_parameters(dt))  # noqa: E731
        tasks = list(map(made, finite_datetimes))
        if self.digits and len(tasks) > ONE_BY_ONE and all(map(_by_listing, flatten(tasks[0].output()) or [None])):
            try:
                return infer_bulk_complete_from_fs(finite_datetimes, made, lambda dt: dt.strftime(self.digits))
            except NotImplementedError:
                pass
        if tasks and not flatten(tasks[0].output()):
            answers = [task.complete() for task in tasks]  # nothing that could be asked in batches
        else:
            answers = are_complete(tasks)
        return [dt for dt, there in zip(finite_datetimes, answers, strict=True) if not there]

    def requires(self) -> list[Any]:
        """The missing tasks, the oldest first (``reverse``: the newest), at most ``task_limit``."""
        if self._required is None:
            self._required = self._look()
        return self._required

    def _look(self) -> list[Any]:
        if not self.start and not self.stop:
            raise ParameterError("neither start nor stop is given; expected one of them, or both")
        if not self.start and not self.reverse:
            raise ParameterError("there is no start to begin at; expected start, or reverse=True")
        if self.start and self.stop and self.start > self.stop:
            raise ParameterError(f"start is {self.start}, after stop, {self.stop}; expected start before stop")
        now = datetime.fromtimestamp(time.time() if self.now is None else self.now, tz=UTC).replace(tzinfo=None)
        first, end = self.moving_start(now), self.moving_stop(now)
        if self.start is not None:
            first = max(first, self.parameter_to_datetime(self.start))
        if self.stop is not None:
            end = min(end, self.parameter_to_datetime(self.stop))
        moments = self.finite_datetimes(first, end) if first <= end else []
        missing = sorted(self._missing(moments)) if moments else []
        self._tell(missing, first, end)
        wanted = missing[-self.task_limit :][::-1] if self.reverse else missing[: self.task_limit]
        return [self.of(**self.datetime_to_parameters(dt)) for dt in wanted]

    def _missing(self, moments: list[datetime]) -> Iterable[datetime]:
        """``missing_datetimes``, of which old subclasses take the family, too."""
        mine: Any = self.missing_datetimes
        found: Iterable[datetime] = mine(self.of, moments) if len(signature(mine).parameters) == 2 else mine(moments)
        return found

    def _tell(self, missing: list[datetime], first: datetime, end: datetime) -> None:
        """Events with how the whole range stands, as far as it has ends."""
        if self.start is not None:
            first = min(first, self.parameter_to_datetime(self.start))
        if self.stop is not None:
            end = max(end, self.parameter_to_datetime(self.stop))
        moments = self.finite_datetimes(first, end) if first <= end else []
        family, complete = self.of.get_task_family(), len(moments) - len(missing)
        self.trigger_event(RangeEvent.DELAY, family, len(moments) - moments.index(missing[0]) if missing else 0)
        self.trigger_event(RangeEvent.COMPLETE_COUNT, family, complete)
        self.trigger_event(RangeEvent.COMPLETE_FRACTION, family, complete / len(moments) if moments else 1.0)


class RangeDailyBase(RangeBase):
    """Days. days_back, days_forward: how far from now is looked."""

    start: Any = DateParameter(default=NONE, help="first day")
    stop: Any = DateParameter(default=NONE, help="the day after the last")
    days_back = IntParameter(default=100, help="how far back is looked")
    days_forward = IntParameter(default=0, help="how far ahead is looked")

    def grid(self) -> Parameter[Any]:
        """Days."""
        return DateParameter()

    def datetime_to_parameter(self, dt: datetime) -> date:
        """The day."""
        return dt.date()

    def moving_start(self, now: datetime) -> datetime:
        """So many days ago."""
        return now - timedelta(self.days_back)

    def moving_stop(self, now: datetime) -> datetime:
        """In so many days."""
        return now + timedelta(self.days_forward)


class RangeHourlyBase(RangeBase):
    """Hours. hours_back, hours_forward: how far from now is looked."""

    start: Any = DateHourParameter(default=NONE, help="first hour")
    stop: Any = DateHourParameter(default=NONE, help="the hour after the last")
    hours_back = IntParameter(default=100 * 24, help="how far back is looked")
    hours_forward = IntParameter(default=0, help="how far ahead is looked")

    def grid(self) -> Parameter[Any]:
        """Hours."""
        return DateHourParameter()

    def moving_start(self, now: datetime) -> datetime:
        """So many hours ago."""
        return now - timedelta(hours=self.hours_back)

    def moving_stop(self, now: datetime) -> datetime:
        """In so many hours."""
        return now + timedelta(hours=self.hours_forward)


class RangeByMinutesBase(RangeBase):
    """Each ``minutes_interval``-th minute, a part of an hour. minutes_back, minutes_forward: how far from now is looked."""

    start: Any = DateMinuteParameter(default=NONE, help="first minute")
    stop: Any = DateMinuteParameter(default=NONE, help="the minute after the last")
    minutes_back = IntParameter(default=60 * 24, help="how far back is looked")
    minutes_forward = IntParameter(default=0, help="how far ahead is looked")
    minutes_interval = IntParameter(default=1, help="minutes between two moments; divides 60")

    def grid(self) -> Parameter[Any]:
        """Minutes."""
        if not 0 < self.minutes_interval < 60 or 60 % self.minutes_interval:
            raise ParameterError(f"minutes_interval is {self.minutes_interval}; expected a number below 60 that divides 60")
        return DateMinuteParameter(interval=self.minutes_interval)

    def moving_start(self, now: datetime) -> datetime:
        """So many minutes ago."""
        return now - timedelta(minutes=self.minutes_back)

    def moving_stop(self, now: datetime) -> datetime:
        """In so many minutes."""
        return now + timedelta(minutes=self.minutes_forward)


class RangeMonthly(RangeBase):
    """Months. months_back, months_forward: how far from now is looked."""

    start: Any = MonthParameter(default=NONE, help="first month")
    stop: Any = MonthParameter(default=NONE, help="the month after the last")
    months_back = IntParameter(default=13, help="how far back is looked")
    months_forward = IntParameter(default=0, help="how far ahead is looked")

    def grid(self) -> Parameter[Any]:
        """Months."""
        return MonthParameter()

    def datetime_to_parameter(self, dt: datetime) -> date:
        """The first day of the month."""
        return date(dt.year, dt.month, 1)

    def moving_start(self, now: datetime) -> datetime:
        """So many months ago."""
        return _months_on(now, -self.months_back)

    def moving_stop(self, now: datetime) -> datetime:
        """In so many months; the month that has begun is not over."""
        return _months_on(now, self.months_forward)


def _by_listing(target: Any) -> bool:
    """Whether a listing of an old program's own FileSystem tells that the target exists."""
    return (
        isinstance(target, FileSystemTarget)
        and type(target).exists is FileSystemTarget.exists
        and not isinstance(target.fs, (LocalFileSystem, MockFileSystem))
    )


def _months_on(now: datetime, months: int) -> datetime:
    year, month = divmod(now.year * 12 + now.month - 1 + months, 12)
    return datetime(year, month + 1, 1)


class RangeDaily(RangeDailyBase):
    """Days of a family that has a DateParameter."""

    digits = "(%Y).*(%m).*(%d)"


class RangeHourly(RangeHourlyBase):
    """Hours of a family that has a DateHourParameter."""

    digits = "(%Y).*(%m).*(%d).*(%H)"


class RangeByMinutes(RangeByMinutesBase):
    """Minutes of a family that has a DateMinuteParameter."""

    digits = "(%Y).*(%m).*(%d).*(%H).*(%M)"
