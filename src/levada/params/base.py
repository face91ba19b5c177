"""What all kinds of parameters share: the base class, options, the typed spelling's markers.

A parameter is a typed, named value that is part of a task's identity. Each kind keeps three laws:

* ``parse(serialize(value)) == value``, exactly, for each value that ``normalize`` lets pass;
* ``normalize`` is a projection: what it gave, it gives again;
* what is wrong is refused with a ParameterError that says value and expected form.

Two liberties of Luigi are kept for old programs. A default of None makes None a value of any kind
(its text is ``None``). A plain ``Parameter`` keeps hashable values that are no text, with a warning;
elsewhere, rebuilt from its text, such a value is text (``class`` attribute ``exact`` is False for it).

This module is imported by every program; it imports little, and other kinds stand in modules that
are loaded when first used.
"""

from __future__ import annotations

import warnings
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Generic, cast

from ..errors import DefinitionError, ParameterDefinitionError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Final, Self, TypedDict, overload

    from typing_extensions import TypeVar

    T = TypeVar("T", default=str)

    class Options(TypedDict, total=False):
        """What every kind takes besides its default."""

        is_global: bool
        significant: bool
        description: str | None
        config_path: Mapping[str, str] | None
        positional: bool
        always_in_help: bool
        batch_method: Callable[[Iterable[Any]], Any] | None
        visibility: ParameterVisibility
        help: str | None
        secret: bool
else:
    from typing import TypeVar

    T = TypeVar("T")


class NoValue:
    """The type of NO_VALUE."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<no value>"

    def __reduce__(self) -> str:
        return "NO_VALUE"


NO_VALUE: Final = NoValue()
"""Stands where no value was given; there is one."""


class ParameterVisibility(IntEnum):
    """Who sees a value: everybody, only who asks for details, nobody outside the worker."""

    PUBLIC = 0
    HIDDEN = 1
    PRIVATE = 2

    @classmethod
    def has_value(cls, value: int) -> bool:
        """Whether ``value`` is one of them."""
        return any(value == member.value for member in cls)

    def serialize(self) -> int:
        """The number that stands for it."""
        return self.value


# -- helpers of all kinds ----------------------------------------------------------------------


def shown(value: object) -> str:
    """A value as it stands in an error text: its repr, cut to 80 characters."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001,RUF100 - a broken repr must not hide the error that we report
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 80 else f"{text[:60]}...{text[-16:]}"


def checked_text(value: object) -> str | None:
    """The same text as a plain ``str``; None where it is none, or holds NUL or a lone surrogate."""
    if not isinstance(value, str):
        return None
    text = str.__str__(value)
    if "\0" in text:
        return None
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return None
    return text


_tell_of_wrong: Callable[[Parameter[Any], object], None] | None = None


def keep_wrong_values(tell: Callable[[Parameter[Any], object], None] | None) -> None:
    """Keep values of other types than a parameter's, as old programs may rely on, and ``tell`` of each; None: refuse them, as usual.

    Only parameters in Luigi's spelling, of kinds that Luigi does not check, keep them (``Parameter.keep``). For
    ``levada.task.keep_wrong_values``, which tells the classes.
    """
    global _tell_of_wrong
    _tell_of_wrong = tell


def wrong_values_are_kept() -> bool:
    """Whether ``keep_wrong_values`` was called."""
    return _tell_of_wrong is not None


def as_hashable(value: Any) -> Any:
    """Lists and sets as tuples, other values as they are."""
    return tuple(value) if isinstance(value, (list, set)) else value


def kept(self: Parameter[Any], value: Any) -> Any:
    """``Parameter.keep`` of kinds that keep any value where wrong ones are kept."""
    return as_hashable(value)


def none_is_kept(self: Parameter[Any], value: Any) -> Any:
    """``Parameter.keep`` of kinds that keep None alone where wrong values are kept."""
    return None if value is None else NO_VALUE


TEXT_RULE = "text without NUL and lone surrogates (any other Unicode is fine)"


def within(where: str, fault: ParameterError) -> ParameterError:
    """The same fault, told of a part of a value: ``[3]: ...``."""
    joint = "" if fault.message.startswith("[") else ": "
    return ParameterError(f"{where}{joint}{fault.message}", hint=fault.hint)


# -- the base class ----------------------------------------------------------------------------


class Parameter(Generic[T]):
    """A parameter whose value is text, and the base class of all other kinds.

    default: the value where none is given (NO_VALUE: it must be given). significant: whether it is
    part of the task's identity. help or description: one line for the command line. positional:
    False makes it keyword-only. batch_method: combines the values of tasks that run as one (``max``,
    ``tuple``). secret: the value is masked wherever it would leave the worker. config_path:
    ``{"section": ..., "name": ...}``, an older place of its default in configuration files.
    """

    exact: bool = False
    plain: bool = False
    typed: bool = False  # True: made from an annotation
    takes = "text"
    """What the kind takes, for errors and help: ``not {takes}`` is the fault, ``expected`` the remedy."""
    expected = TEXT_RULE
    parsing: str | None = None  # only flags have one
    _counter = 0
    _default_factory: Callable[[], T] | None = None
    _warned = False

    def __init__(
        self,
        default: T | NoValue = NO_VALUE,
        is_global: bool = False,
        significant: bool = True,
        description: str | None = None,
        config_path: Mapping[str, str] | None = None,
        positional: bool = True,
        always_in_help: bool = False,
        batch_method: Callable[[Iterable[Any]], Any] | None = None,
        visibility: ParameterVisibility = ParameterVisibility.PUBLIC,
        *,
        help: str | None = None,
        secret: bool = False,
    ) -> None:
        if is_global:
            warnings.warn("is_global support is removed. Assuming positional=False", DeprecationWarning, stacklevel=2)
            positional = False
        if config_path is not None and not {"section", "name"} <= set(config_path):
            raise ParameterDefinitionError(f"config_path needs the entries section and name, got {shown(config_path)}")
        self._default: T | NoValue = default
        self._takes_none = default is None
        self.significant = significant
        self.description = help if help is not None else description
        self.config_path = config_path
        self.positional = positional
        self.always_in_help = always_in_help
        self.batch_method = batch_method
        self.secret = secret
        self.visibility = visibility if ParameterVisibility.has_value(visibility) else ParameterVisibility.PUBLIC
        if secret:
            self.visibility = ParameterVisibility.PRIVATE
        self.name: str | None = None
        self.owner: type | None = None
        self._counter = Parameter._counter
        Parameter._counter += 1

    @property
    def withheld(self) -> bool:
        """Whether its values stay in the worker: what is stored or sent has something in their place."""
        return self.secret or self.visibility == ParameterVisibility.PRIVATE

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """A subclass vouches anew for ``exact`` and ``plain``; an old program's own kind cannot."""
        super().__init_subclass__(**kwargs)
        own = cls.__dict__
        if "exact" not in own:
            cls.exact = False
        if "plain" not in own:
            cls.plain = False

    # -- as an attribute of a class

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        self.owner = owner

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: Any) -> Self: ...
        @overload
        def __get__(self, instance: object, owner: Any) -> T: ...
        def __get__(self, instance: object, owner: Any) -> Self | T: ...

    else:

        def __get__(self, instance, owner):
            # Values stand in the instance's __dict__ and are found there first.
            if instance is None:
                return self
            raise AttributeError(f"{type(instance).__name__}.{self.name} has no value yet")

    def __repr__(self) -> str:
        default = "" if not self.has_default else "default=***" if self.secret else f"default={shown(self._default)}"
        return f"<{type(self).__name__} {self.name or '(unnamed)'}{' ' if default else ''}{default}>"

    # -- defaults and help

    @property
    def default(self) -> T | NoValue:
        """The default as it was given, or NO_VALUE; a ``default_factory`` is asked anew each time."""
        return self._default_factory() if self._default_factory is not None else self._default

    @property
    def has_default(self) -> bool:
        """Whether a task can be made without giving this parameter."""
        return self._default is not NO_VALUE or self._default_factory is not None

    @property
    def help(self) -> str | None:
        """The same as ``description``."""
        return self.description

    # -- values and texts

    def parse(self, text: str) -> T:
        """The value that a text stands for; raises ParameterError."""
        value = checked_text(text)
        if value is None:
            given: object = text
            if _tell_of_wrong is not None and not isinstance(given, str):
                return self._foreign(given)  # an old program's own value, which is no text
            raise self.wrong(text)
        return cast(T, None if value == "None" and self._takes_none else value)

    def serialize(self, value: T) -> str:
        """The text of a value that ``normalize`` let pass."""
        return str(value)

    def normalize(self, value: Any) -> T:
        """The value, checked and made canonical; raises ParameterError."""
        if type(value) is str and value.isascii() and "\0" not in value and (value != "None" or not self._takes_none):
            return cast(T, value)
        return self._not_plain_text(value)

    def _not_plain_text(self, value: Any) -> T:
        if not isinstance(value, str):
            return self._foreign(value)
        text = checked_text(value)
        if text is None:
            raise self.wrong(value)
        return cast(T, None if text == "None" and self._takes_none else text)

    def _foreign(self, value: Any) -> T:
        """Luigi takes anything for text, and for the values of an old program's own kinds."""
        if value is None and self._takes_none:
            return cast(T, None)
        if type(self) is not Parameter:
            if _tell_of_wrong is None:
                return cast(T, value)
            _tell_of_wrong(self, value)  # the kind may look at it
            return cast(T, as_hashable(value))
        kept = self._kept(value)
        if kept is not NO_VALUE:
            return cast(T, kept)
        try:
            hash(value)
        except TypeError:
            raise self.wrong(value, hint="Use ListParameter or DictParameter for collections.") from None
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"{self.name or 'a Parameter'} is text, but got {'a secret' if self.secret else shown(value)} ({type(value).__name__}); "
                "its identity is its str(). Use the kind that fits, such as IntParameter.",
                UserWarning,
                stacklevel=4,
            )
        return cast(T, value)

    def keep(self, value: Any) -> Any:
        """What a value of another type becomes where such are kept; NO_VALUE: it is refused even then."""
        return as_hashable(value) if type(self) is Parameter else NO_VALUE

    def _kept(self, value: Any, *, told: bool = True) -> Any:
        """What a value of another type is kept as, or NO_VALUE. Parts of values have no name and are held to their type."""
        if _tell_of_wrong is None or self.typed or self.name is None:
            return NO_VALUE
        kept = self.keep(value)
        if kept is not NO_VALUE and told:
            _tell_of_wrong(self, value)
        return kept

    def to_json(self, value: T) -> Any:
        """The value as a part of a JSON text; other kinds than numbers and containers give their text."""
        return self.serialize(value)

    def from_json(self, data: Any) -> T:
        """The value of a part of a JSON text, as ``to_json`` gave it; raises ParameterError."""
        if not isinstance(data, str):
            raise self.wrong(data)
        return self.parse(data)

    def next_in_enumeration(self, value: T) -> T | None:
        """The value that follows, or None where values are not enumerable (Luigi's name)."""
        return None

    def next_value(self, value: T) -> T | None:
        """The value that follows, or None where values are not enumerable."""
        return self.next_in_enumeration(value)

    # -- batches

    def combine(self, values: Iterable[T]) -> T:
        """One value for the tasks of a batch; at least one value is needed."""
        if self.batch_method is None:
            raise ParameterError(f"{self.name or 'parameter'}: values cannot be combined, it has no batch_method")
        together = list(values)
        if not together:
            raise ParameterError(f"{self.name or 'parameter'}: there are no values to combine")
        return self.normalize(self.batch_method(together))

    def parse_many(self, texts: Iterable[str]) -> T:
        """One value for the texts of a batch."""
        return self.combine([self.parse(text) for text in texts])

    def _parse_list(self, texts: Iterable[str]) -> T:
        return self.parse_many(texts)

    def _is_batchable(self) -> bool:
        return self.batch_method is not None

    # -- faults

    def wrong(self, value: object, takes: str | None = None, expected: str | None = None, hint: str | None = None) -> ParameterError:
        """The error for a value (or text) that this kind does not take."""
        prefix = f"{self.name}: " if self.name else ""
        what = "***" if self.secret else shown(value)
        fault = ParameterError(f"{prefix}{what} is not {takes or self.takes}; expected {expected or self.expected}", hint=hint)
        fault.parameter = self.name  # type: ignore[attr-defined]  # for tools; the text has all a person needs
        return fault

    def refuse(self, value: object, hint: str | None = None) -> T:
        """What a kind's ``normalize`` ends with: None where the default is None; raises otherwise."""
        if value is None and self._takes_none:
            return cast(T, None)
        kept = self._kept(value)
        if kept is not NO_VALUE:
            return cast(T, kept)
        example = self.expected_in_code() if isinstance(value, str) and hint is None else ""
        if example:
            raise self.wrong(value, f"{self.takes} but text", f"the value itself, e.g. {example}")
        raise self.wrong(value, hint=hint)

    def misread(self, text: str) -> T:
        """What a kind's ``parse`` ends with: None for the text None where the default is None; raises otherwise."""
        if text == "None" and (self._takes_none or self._kept(None, told=False) is None):
            return cast(T, None)
        raise self.wrong(text)

    def expected_in_code(self) -> str:
        """An example of a value in Python, for hints; may be empty."""
        return ""


class OptionalParameterMixin(Generic[T]):
    """Makes a kind optional: None is a value, the default, and its text is empty.

    ``class OptionalIntParameter(OptionalParameterMixin[int], IntParameter)``.
    """

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: Any) -> Self: ...
        @overload
        def __get__(self, instance: object, owner: Any) -> T | None: ...
        def __get__(self, instance: object, owner: Any) -> Self | T | None: ...

    expected_type: Any = object

    def __init__(self, default: T | NoValue | None = None, *args: Any, **options: Any) -> None:
        if args:
            super().__init__(default, *args, **options)  # type: ignore[call-arg]  # the kind that stands behind us
        else:  # by name, as frameworks put keywords of their own before those that we know
            super().__init__(default=default, **options)  # type: ignore[call-arg]
        self._takes_none = False  # None has the empty text here, so that "None" is a text like others

    def parse(self, text: str) -> T | None:
        """None for the empty text."""
        return cast("T", super().parse(text)) if text else None  # type: ignore[misc]

    def serialize(self, value: T | None) -> str:
        """The empty text for None."""
        return "" if value is None else cast("str", super().serialize(value))  # type: ignore[misc]

    def normalize(self, value: Any) -> T | None:
        """None stays None; the empty text stands for it, unless an old program gives that."""
        if value is None or (type(value) is str and not value and (self.typed or _tell_of_wrong is None)):  # type: ignore[attr-defined]
            return None
        return cast("T", super().normalize(value))  # type: ignore[misc]

    def to_json(self, value: T | None) -> Any:
        """``null`` for None."""
        return None if value is None else super().to_json(value)  # type: ignore[misc]

    def from_json(self, data: Any) -> T | None:
        """None for ``null``."""
        return None if data is None else cast("T", super().from_json(data))  # type: ignore[misc]

    def next_in_enumeration(self, value: T | None) -> T | None:
        """None: Luigi does not enumerate optional values."""
        return None


class OptionalParameter(OptionalParameterMixin[str], Parameter[str]):  # type: ignore[misc]  # they differ in what __get__ gives
    """Text or None; the empty text is None."""

    def _foreign(self, value: Any) -> Any:
        return self.refuse(value)

    exact = True
    expected_type = str
    keep = kept


# -- the typed spelling ------------------------------------------------------------------------


class Param:
    """Options of a parameter, for ``Annotated[int, Param(help="in days", significant=False)]``.

    batch: how values of tasks that run as one are combined, such as ``max``. parse, serialize: another
    reading and writing of the text, for types that Levada does not know as well; what ``serialize``
    (default: the kind's own, or ``str``) writes, ``parse`` must read.
    """

    __slots__ = ("batch", "default", "default_factory", "help", "parse", "positional", "secret", "serialize", "significant", "visibility")

    def __init__(
        self,
        *,
        help: str | None = None,
        significant: bool | None = None,
        secret: bool | None = None,
        visibility: ParameterVisibility | None = None,
        batch: Callable[[Iterable[Any]], Any] | None = None,
        positional: bool | None = None,
        parse: Callable[[str], Any] | None = None,
        serialize: Callable[[Any], str] | None = None,
    ) -> None:
        self.help = help
        self.significant = significant
        self.secret = secret
        self.visibility = visibility
        self.batch = batch
        self.positional = positional
        self.parse = parse
        self.serialize = serialize
        self.default: Any = NO_VALUE
        self.default_factory: Callable[[], Any] | None = None

    def over(self, other: Param) -> Param:
        """Both together; where both say something, this one counts."""
        both = Param()
        for name in Param.__slots__:
            mine = getattr(self, name)
            setattr(both, name, getattr(other, name) if mine is None or mine is NO_VALUE else mine)
        return both


def param(
    default: Any = NO_VALUE,
    *,
    default_factory: Callable[[], Any] | None = None,
    help: str | None = None,
    significant: bool | None = None,
    secret: bool | None = None,
    visibility: ParameterVisibility | None = None,
    batch: Callable[[Iterable[Any]], Any] | None = None,
    positional: bool | None = None,
    parse: Callable[[str], Any] | None = None,
    serialize: Callable[[Any], str] | None = None,
) -> Any:
    """What stands behind ``=`` in ``day: date = param(help="calendar day, UTC")``.

    Write ``default=...`` by name: type checkers see it only then. default_factory is called for each
    task that is made without a value. The other options are those of ``Param``.
    """
    if default is not NO_VALUE and default_factory is not None:
        raise DefinitionError("param() takes default or default_factory, not both")
    options = Param(
        help=help,
        significant=significant,
        secret=secret,
        visibility=visibility,
        batch=batch,
        positional=positional,
        parse=parse,
        serialize=serialize,
    )
    options.default = default
    options.default_factory = default_factory
    return options


def is_marker(value: object) -> bool:
    """Whether ``value`` came from ``param()``."""
    return isinstance(value, Param)
