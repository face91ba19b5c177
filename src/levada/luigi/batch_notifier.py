"""Luigi's ``luigi.batch_notifier``: one e-mail each hour about all that failed. A Levada server's alerts are told by cause instead."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..params import BoolParameter, ChoiceParameter, IntParameter
from ..task import Config
from .notifications import email, send_email


class batch_email(Config):
    """The section ``[batch_email]``."""

    email_interval = IntParameter(
        default=60, config_path={"section": "batch-notifier", "name": "email-interval-minutes"}, description="minutes between e-mails"
    )
    batch_mode: Any = ChoiceParameter(
        default="unbatched_params", choices=("family", "all", "unbatched_params"), description="which tasks are counted together"
    )
    error_lines = IntParameter(default=20, description="lines of each error, from its end; 0: all")
    error_messages = IntParameter(default=1, description="errors that are told of each group, the newest")
    group_by_error_messages = BoolParameter(default=True, description="tell groups with the same errors together")


class _Group(NamedTuple):
    """What is told of tasks that are counted together."""

    name: str
    failures: int
    disables: int
    scheduling: int

    def order(self) -> tuple[int, int, str]:
        return -self.failures - self.scheduling, -self.disables, self.name


class _Tally:
    """What happened to the tasks of one owner since the last e-mail."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)  # group -> kind -> number
        self.errors: dict[str, dict[str, None]] = defaultdict(dict)  # group -> errors, the newest last

    def groups(self) -> list[_Group]:
        return [_Group(name, *(kinds[kind] for kind in KINDS)) for name, kinds in self.counts.items()]


KINDS = ("failure", "disable", "scheduling failure")


class BatchNotifier:
    """Counts failures by owner, and tells them when it is time. Options: those of ``[batch_email]``."""

    def __init__(self, **kwargs: Any) -> None:
        self._config = batch_email(**kwargs)
        self._html = email().format == "html"
        self._everybody = {each for each in (email().receiver or "").split(",") if each}
        self._tallies: dict[str, _Tally] = defaultdict(_Tally)
        self._set_clock()

    def _set_clock(self) -> None:
        self._next = time.time() + 60 * self._config.email_interval

    # -- what a scheduler tells

    def add_failure(self, task_name: str, family: str, unbatched_args: Mapping[str, Any], expl: str, owners: Iterable[str]) -> None:
        """A task failed."""
        self._add("failure", task_name, family, unbatched_args, owners, expl)

    def add_disable(self, task_name: str, family: str, unbatched_args: Mapping[str, Any], owners: Iterable[str]) -> None:
        """A task failed too often."""
        self._add("disable", task_name, family, unbatched_args, owners)

    def add_scheduling_fail(self, task_name: str, family: str, unbatched_args: Mapping[str, Any], expl: str, owners: Iterable[str]) -> None:
        """A task could not be planned."""
        self._add("scheduling failure", task_name, family, unbatched_args, owners, expl)

    def _add(self, kind: str, name: str, family: str, args: Mapping[str, Any], owners: Iterable[str], error: str | None = None) -> None:
        unbatched = f"{family}({', '.join(f'{key}={value}' for key, value in args.items())})"
        group = {"all": name, "family": family, "unbatched_params": unbatched}[self._config.batch_mode]
        for owner in self._everybody | set(owners):
            tally = self._tallies[owner]
            tally.counts[group][kind] += 1
            if error is not None:
                errors = tally.errors[group]
                errors.pop(error, None)
                errors[error] = None
                if len(errors) > self._config.error_messages:
                    del errors[next(iter(errors))]

    # -- what owners are told

    def update(self) -> None:
        """Tell them if it is time."""
        if time.time() >= self._next:
            self.send_email()

    def send_email(self) -> None:
        """Tell them now; what could not be sent is forgotten, too."""
        told, self._tallies = self._tallies, defaultdict(_Tally)
        self._set_clock()
        for owner, tally in told.items():
            whose = "" if owner in self._everybody else "Your tasks have "
            total = sum((Counter(kinds) for kinds in tally.counts.values()), Counter())
            subject = f"Luigi: {whose}{_counted(*(total[kind] for kind in KINDS))} in the last {self._config.email_interval} minutes"
            send_email(subject, self._body(tally), email().sender, (owner,))

    def _body(self, tally: _Tally) -> str:
        alike: dict[Any, list[_Group]] = defaultdict(list)
        for group in tally.groups():
            errors = self._errors(tally.errors.get(group.name, {}))
            alike[errors if self._config.group_by_error_messages else (group.name, errors)].append(group)
        blocks = []
        for key, groups in sorted(alike.items(), key=lambda pair: _order(pair[1])):
            errors = key if self._config.group_by_error_messages else key[1]
            lines = [f"{each.name} ({_counted(*each[1:])})" for each in sorted(groups, key=_Group.order)]
            blocks += ["<li>" + "\n<br>".join(lines) if self._html else "- " + "\n  ".join(lines), errors]
        body = "\n".join(filter(None, blocks)).rstrip()
        return f"<ul>\n{body}\n</ul>" if self._html else body

    def _errors(self, errors: Iterable[str]) -> str:
        most = self._config.error_lines
        cut = [error.rstrip().split("\n")[-most:] for error in errors]
        if self._html:
            return "\n".join("<pre>{}</pre>".format("\n".join(lines)) for lines in cut)
        return "\n".join("\n" + "\n".join(f"      {line}" for line in lines) for lines in cut) + ("\n" if cut else "")


def _order(groups: list[_Group]) -> tuple[int, int, str]:
    return (
        -sum(each.failures + each.scheduling for each in groups),
        -sum(each.disables for each in groups),
        min(each.name for each in groups),
    )


def _counted(*numbers: int) -> str:
    return ", ".join(f"{number} {kind}{'' if number == 1 else 's'}" for number, kind in zip(numbers, KINDS, strict=True) if number)
