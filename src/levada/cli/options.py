"""Reading a command line against a table of options.

Why not argparse: the options of a task are known only after its module was imported, wrong ones are answered
with the nearest right spelling, and cron pays for each start: argparse with the options of ``run`` costs 20
million instructions of the 190 that the whole start may cost (docs/benchmarks.md), this module less than one.

Understood: ``--name value``, ``--name=value``, ``-m value``, ``-mvalue``, flags, ``--`` (no options after it).
Dashes and underscores in names are alike. A value may begin with one dash (``--window -3``), not with two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from .._model.spelling import did_you_mean
from ..errors import UsageError


class Option:
    """One option of a command.

    metavar: what its value is called; "" for a flag. setting: the (section, key) of the configuration that it
    overrides, which also checks its value. many: may be given several times. read: makes the value of the text.
    """

    __slots__ = ("help", "many", "metavar", "name", "read", "setting", "short")

    def __init__(
        self,
        name: str,
        metavar: str,
        help: str,
        *,
        short: str = "",
        many: bool = False,
        setting: tuple[str, str] | None = None,
        read: Callable[[str], object] | None = None,
    ) -> None:
        self.name, self.metavar, self.help = name, metavar, help
        self.short, self.many, self.setting, self.read = short, many, setting, read


def seconds(text: str) -> float:
    """Reads a duration. Raises ValueError where it is none: "nan", "inf", and what is below 0."""
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError(text)
    return value


def some(text: str) -> int:
    """Reads a number of things, 1 or more. Raises ValueError."""
    if int(text) < 1:
        raise ValueError(text)
    return int(text)


class Parsed:
    """What a command line said so far: words (positional), option values by plain name, and the rest."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.values: dict[str, object] = {}
        self.rest: list[str] = []

    def text(self, name: str) -> str | None:
        """The value of an option that is given once, or None."""
        value = self.values.get(name)
        return None if value is None else str(value)

    def texts(self, name: str) -> list[str]:
        """The values of an option that may be given several times."""
        value = self.values.get(name)
        return [str(each) for each in value] if isinstance(value, list) else []

    def flag(self, name: str) -> bool:
        """Whether a flag was given."""
        return bool(self.values.get(name))


class Scanner:
    """Walks over arguments; the caller says what an option means, this class how it is written."""

    def __init__(self, arguments: Sequence[str], options: Iterable[Option]) -> None:
        self.arguments = list(arguments)
        self.options: dict[str, Option] = {}
        for option in options:
            self.options[plain(option.name)] = option
            if option.short:
                self.options[option.short] = option
        self.at = 0

    def parse(self, into: Parsed, *, stop_at_word: Callable[[str], bool] | None = None) -> None:
        """Read everything, or up to and including the first word that ``stop_at_word`` says yes to."""
        while self.at < len(self.arguments):
            argument = self.arguments[self.at]
            self.at += 1
            if argument == "--":
                into.words += self.arguments[self.at :]
                self.at = len(self.arguments)
            elif argument.startswith("-") and len(argument) > 1:
                self.take(argument, into)
            else:
                into.words.append(argument)
                if stop_at_word is not None and stop_at_word(argument):
                    into.rest = self.arguments[self.at :]
                    return

    def take(self, argument: str, into: Parsed) -> None:
        """Read one option of the table, its value included; UsageError when there is none of that name."""
        name, attached = split(argument)
        option = self.options.get(name)
        if option is None:
            raise self.unknown(argument)
        if not option.metavar:
            if attached is not None:
                raise UsageError(f"{option.name} takes no value, got {attached!r}")
            into.values[plain(option.name)] = True
            return
        text = attached if attached is not None else self.value_after(option.name, option.metavar)
        value = _read(option, text)
        if option.many:
            into.values.setdefault(plain(option.name), []).append(value)  # type: ignore[attr-defined]  # always a list
        else:
            into.values[plain(option.name)] = value

    def value_after(self, name: str, metavar: str) -> str:
        """The argument that follows as the value of an option; UsageError when there is none."""
        following = self.arguments[self.at] if self.at < len(self.arguments) else None
        if following is None or following.startswith("--"):
            raise UsageError(f"{name} needs a value", hint=f"Write {name} {metavar}, or {name}={metavar} where the value begins with --.")
        self.at += 1
        return following

    def unknown(self, argument: str, others: Iterable[str] = ()) -> UsageError:
        """The error for an option that nobody knows, with the nearest ones that somebody does."""
        known = [option.name for option in self.options.values()] + list(others)
        name = argument.partition("=")[0]
        hint = did_you_mean(name, dict.fromkeys(known)) or "See --help for the options there are."
        return UsageError(f"there is no option {name}", hint=hint)


def plain(name: str) -> str:
    """The form in which names of options are compared.

    >>> plain("--log-level")
    'log_level'
    """
    return name.lstrip("-").replace("-", "_") if name.startswith("--") else name


def split(argument: str) -> tuple[str, str | None]:
    """Plain name and attached value of an argument that begins with a dash.

    >>> split("--day=2013-01-05"), split("-mflights"), split("--quiet")
    (('day', '2013-01-05'), ('-m', 'flights'), ('quiet', None))
    """
    if not argument.startswith("--"):
        return argument[:2], argument[2:].removeprefix("=") or None
    name, equals, value = argument.partition("=")
    return plain(name), value if equals else None


def _read(option: Option, text: str) -> object:
    if option.setting is not None:
        from ..config.schema import read_setting

        return read_setting(*option.setting, text, where=option.name, from_text=True)
    if option.read is None:
        return text
    try:
        return option.read(text)
    except ValueError:
        raise UsageError(f"{option.name}: got {text!r}, expected {option.metavar}", hint=option.help) from None
