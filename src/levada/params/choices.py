"""One of some values, or several of them; numbers within a range."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from ..errors import ParameterDefinitionError
from .base import NO_VALUE, OptionalParameterMixin, Parameter, kept, shown

if TYPE_CHECKING:
    from typing import Unpack

    from typing_extensions import TypeVar as DefaultTypeVar

    from .base import NoValue, Options
    from .scalars import FloatParameter, IntParameter

    C = DefaultTypeVar("C", default=str)
else:
    C = TypeVar("C")

E = TypeVar("E", bound=Enum)
N = TypeVar("N", bound=float)

SEPARATOR: Final = ","


# -- sets of values ----------------------------------------------------------------------------


class _Choices(Generic[C]):
    """Values, each with a text of its own. ``what``: names the definition in errors."""

    __slots__ = ("by_text", "by_value", "var_type")

    def __init__(self, texts: Iterable[tuple[str, C]], var_type: Callable[[str], C] | None = None) -> None:
        self.by_text: dict[str, C] = {}
        self.by_value: dict[C, str] = {}
        self.var_type = var_type
        for text, value in texts:
            if text in self.by_text or value in self.by_value:
                raise ParameterDefinitionError(
                    f"two choices cannot be told apart: {shown(value)} and another have the text {text!r} or are equal"
                )
            self.by_text[text] = value
            self.by_value[value] = text
        if not self.by_text:
            raise ParameterDefinitionError("there are no choices; expected one or more")

    def read(self, text: str) -> C:
        """The choice of a text, or of another spelling that ``var_type`` reads; KeyError if none."""
        if text in self.by_text or self.var_type is None:
            return self.by_text[text]
        try:
            return self.canonical(self.var_type(text))
        except (ValueError, TypeError):
            raise KeyError(text) from None

    def canonical(self, value: object) -> C:
        """The choice that equals ``value``; KeyError if none, TypeError where it cannot be hashed."""
        return self.by_text[self.by_value[cast(C, value)]]

    def named(self) -> str:
        """Them all, for errors and help; cut after twenty."""
        texts = list(self.by_text)
        return ", ".join(texts[:20]) + (", ..." if len(texts) > 20 else "")

    def joinable(self) -> None:
        """Refuses texts that a list joined by commas could not be read back from."""
        for text in self.by_text:
            if not text or SEPARATOR in text:
                raise ParameterDefinitionError(f"the choice {text!r} cannot stand in a list joined by commas; expected no comma, not empty")


class _OneOf(Parameter[C]):
    """The value is one of ``choices``."""

    takes = "one of the choices"
    choices: _Choices[C]

    def _know(self, choices: _Choices[C]) -> None:
        self.choices = choices
        self.expected = f"one of {choices.named()}"

    def parse(self, text: str) -> C:
        """The choice with that text."""
        try:
            return self.choices.read(text)
        except KeyError:
            return self.misread(text)

    def serialize(self, value: C) -> str:
        """The text of the choice."""
        return self.choices.by_value[value] if value is not None or value in self.choices.by_value else "None"

    def normalize(self, value: Any) -> C:
        """The choice that equals the value."""
        try:
            return self.choices.canonical(value)
        except (KeyError, TypeError):
            return self.refuse(value)


class _SomeOf(Parameter[tuple[C, ...]]):
    """The value is a tuple of ``choices``; order counts, repetitions may occur."""

    takes = "a list of the choices"
    choices: _Choices[C]

    def _know(self, choices: _Choices[C]) -> None:
        choices.joinable()
        self.choices = choices
        self.expected = f"some of {choices.named()}, joined by commas"

    def parse(self, text: str) -> tuple[C, ...]:
        """Choices joined by commas; none for the empty text."""
        try:
            return tuple([self.choices.read(part) for part in text.split(SEPARATOR)]) if text else ()
        except KeyError:
            return self.misread(text)

    def serialize(self, value: tuple[C, ...] | None) -> str:
        """The texts joined by commas."""
        return SEPARATOR.join([self.choices.by_value[item] for item in value]) if value is not None else "None"

    def normalize(self, value: Any) -> tuple[C, ...]:
        """A tuple of the choices that equal the items."""
        if isinstance(value, (str, bytes)):
            return self.refuse(value)
        try:
            return tuple([self.choices.canonical(item) for item in value])
        except (KeyError, TypeError):
            return self.refuse(value)


# -- enums -------------------------------------------------------------------------------------


def _members(enum: type[E] | None) -> _Choices[E]:
    if enum is None:
        raise ParameterDefinitionError("an enum parameter needs its class: EnumParameter(enum=Color)")
    members = cast("dict[str, E]", enum.__members__)
    return _Choices((name, member) for name, member in members.items() if member.name == name)


class EnumParameter(_OneOf[E]):
    """A member of an Enum; its text is the member's name."""

    exact = True

    def __init__(self, default: E | NoValue = NO_VALUE, *, enum: type[E] | None = None, **options: Unpack[Options]) -> None:
        super().__init__(default=default, **options)
        self._know(_members(enum))
        self.enum = cast("type[E]", enum)
        self.takes = f"a member of {self.enum.__name__}"

    def parse(self, text: str) -> E:
        """The member of that name; an alias is the member it stands for."""
        found = self.enum.__members__.get(text)
        return found if found is not None else self.misread(text)

    def expected_in_code(self) -> str:
        """A member."""
        return f"{self.enum.__name__}.{next(iter(self.enum.__members__))}"


class EnumListParameter(_SomeOf[E]):
    """Members of an Enum; the text is their names joined by commas."""

    exact = True

    def __init__(self, default: tuple[E, ...] | NoValue = NO_VALUE, *, enum: type[E] | None = None, **options: Unpack[Options]) -> None:
        super().__init__(default=default, **options)
        self._know(_members(enum))
        self.enum = cast("type[E]", enum)
        self.takes = f"a list of members of {self.enum.__name__}"


# -- choices -----------------------------------------------------------------------------------


def _of_type(choices: Iterable[C] | None, var_type: type[C]) -> _Choices[C]:
    if choices is None:
        raise ParameterDefinitionError("a choice parameter needs its choices: ChoiceParameter(choices=[1, 2], var_type=int)")
    values = list(choices)
    strange = [value for value in values if type(value) is not var_type]
    if strange:
        raise ParameterDefinitionError(f"the choice {shown(strange[0])} is not of var_type {var_type.__name__}")
    read = var_type if var_type in (str, int, float) else None  # bool("False") is True
    return _Choices(((str(value), value) for value in dict.fromkeys(values)), read)


class ChoiceParameter(_OneOf[C]):
    """One of ``choices``, all of type ``var_type``; the text is its ``str``."""

    exact = True

    def __init__(
        self,
        default: C | NoValue = NO_VALUE,
        *,
        choices: Iterable[C] | None = None,
        var_type: type[C] = str,  # type: ignore[assignment]  # C is str where it is left out
        **options: Unpack[Options],
    ) -> None:
        super().__init__(default=default, **options)
        self._know(_of_type(choices, var_type))
        self.description = f"{self.description or ''} Choices: {{{self.choices.named()}}}".lstrip()


class ChoiceListParameter(_SomeOf[C]):
    """Some of ``choices``, all of type ``var_type``; the text is joined by commas."""

    exact = True

    def __init__(
        self,
        default: tuple[C, ...] | NoValue = NO_VALUE,
        var_type: type[C] = str,  # type: ignore[assignment]
        choices: Iterable[C] | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(default=default, **options)
        self._know(_of_type(choices, var_type))
        self.description = f"{self.description or ''} Choices: {{{self.choices.named()}}}".lstrip()


class LiteralParameter(_OneOf[C]):
    """What the annotation ``Literal["a", "b"]`` makes; the text of a literal is its ``str``."""

    exact = True

    def __init__(self, literals: Iterable[C], **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self._know(_Choices((str(value), value) for value in dict.fromkeys(literals)))


class OptionalChoiceParameter(OptionalParameterMixin[C], ChoiceParameter[C]):  # type: ignore[misc]  # they differ in what __get__ gives
    """One of ``choices``, or None. None is the default."""

    exact = True

    if TYPE_CHECKING:

        def __init__(
            self,
            default: C | NoValue | None = None,
            *,
            choices: Iterable[C] | None = None,
            var_type: type[C] = str,  # type: ignore[assignment]
            **options: Unpack[Options],
        ) -> None: ...


# -- numbers -----------------------------------------------------------------------------------


class NumericalParameter(Parameter[N]):
    """A number of type ``var_type`` (int or float) with ``min_value left_op value right_op max_value``.

    The operators are ``operator.le`` (default on the left) and ``operator.lt`` (on the right).
    """

    exact = True
    plain = True
    keep = kept

    def __init__(
        self,
        default: N | NoValue = NO_VALUE,
        *,
        var_type: type[N] | None = None,
        min_value: N | None = None,
        max_value: N | None = None,
        left_op: Callable[[Any, Any], bool] = operator.le,
        right_op: Callable[[Any, Any], bool] = operator.lt,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(default=default, **options)
        if var_type not in (int, float):
            raise ParameterDefinitionError(f"var_type is {shown(var_type)}; expected int or float")
        if min_value is None or max_value is None:
            raise ParameterDefinitionError("min_value and max_value must both be given")
        self.number: Parameter[Any] = _number_kind(var_type)
        self.min_value, self.max_value, self.left_op, self.right_op = min_value, max_value, left_op, right_op
        left = "[" if left_op is operator.le else "("
        right = "]" if right_op is operator.le else ")"
        self.takes = f"a permitted {var_type.__name__}"
        self.expected = f"{var_type.__name__} in {left}{min_value}, {max_value}{right}"
        self.expected_type = var_type  # of the optional kind
        self.description = f"{self.description or ''} permitted values: {self.expected}".lstrip()

    def parse(self, text: str) -> N:
        """The number, if it lies within the range."""
        try:
            value = self.number.parse(text)
        except ValueError:
            return self.misread(text)
        if not self._within(value):
            raise self.wrong(text)  # Luigi, too, checks texts, and nothing else
        return self.normalize(value)

    def _within(self, number: Any) -> bool:
        return self.left_op(self.min_value, number) and self.right_op(number, self.max_value)

    def serialize(self, value: N) -> str:
        """The number's text."""
        return self.number.serialize(value)

    def normalize(self, value: Any) -> N:
        """The number as ``var_type``, if it lies within the range."""
        try:
            number = self.number.normalize(value)
        except ValueError:
            return self.refuse(value)
        if type(value) is int and self._kept(value, told=False) is not NO_VALUE:
            number = value  # as FloatParameter keeps it
        if not self._within(number):
            outside = self._kept(number)
            if outside is NO_VALUE:
                raise self.wrong(value)
            return cast(N, outside)
        return cast(N, number)

    def to_json(self, value: N) -> Any:
        """The number."""
        return value

    def from_json(self, data: Any) -> N:
        """A JSON number."""
        return self.normalize(data)


def _number_kind(var_type: type | None) -> IntParameter | FloatParameter:
    from .scalars import FloatParameter, IntParameter

    return IntParameter() if var_type is int else FloatParameter()


class OptionalNumericalParameter(OptionalParameterMixin[N], NumericalParameter[N]):  # type: ignore[misc]
    """A number within a range, or None. None is the default."""

    exact = plain = True

    if TYPE_CHECKING:

        def __init__(
            self,
            default: N | NoValue | None = None,
            *,
            var_type: type[N] | None = None,
            min_value: N | None = None,
            max_value: N | None = None,
            left_op: Callable[[Any, Any], bool] = operator.le,
            right_op: Callable[[Any, Any], bool] = operator.lt,
            **options: Unpack[Options],
        ) -> None: ...
