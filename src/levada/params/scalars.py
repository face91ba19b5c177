"""Text, numbers, flags. Integers fit 64 bit, floats are finite, and ``-0.0`` is ``0.0``."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

from .base import NO_VALUE, OptionalParameter, OptionalParameterMixin, Parameter, kept

if TYPE_CHECKING:
    from typing import Unpack

    from .base import NoValue, Options

SMALLEST, LARGEST = -(2**63), 2**63 - 1


class StrParameter(Parameter[str]):
    """Text, and nothing but text."""

    exact = True
    keep = kept

    def _foreign(self, value: Any) -> str:
        return self.refuse(value)


class OptionalStrParameter(OptionalParameter):
    """Text or None; the empty text is None."""

    exact = True


class IntParameter(Parameter[int]):
    """A whole number of 64 bit. From code a number that equals one is taken as it: ``1.0``, ``True``."""

    exact = True
    plain = True
    keep = kept
    takes = "a whole number"
    expected = "a whole number, e.g. 7"

    def parse(self, text: str) -> int:
        """Digits with a sign, as Python reads them."""
        try:
            value = int(text)
        except (ValueError, TypeError):
            return self.misread(text)
        return self.normalize(value)

    def normalize(self, value: Any) -> int:
        """The same number as an ``int``."""
        if type(value) is int and SMALLEST <= value <= LARGEST:
            return value
        return self._other(value)

    def _other(self, value: Any) -> int:
        if isinstance(value, (str, bytes)):
            return self.refuse(value)
        try:
            whole = int(value)
            same = bool(whole == value)
        except (TypeError, ValueError, OverflowError):
            return self.refuse(value)
        if same and not SMALLEST <= whole <= LARGEST:
            large = self._kept(whole)
            if large is NO_VALUE:
                raise self.wrong(value, "within 64 bit", "a number from -2**63 to 2**63 - 1")
            return large  # type: ignore[no-any-return]  # what keep gives
        return whole if same else self.refuse(value)

    def to_json(self, value: int) -> Any:
        """The number."""
        return value

    def from_json(self, data: Any) -> int:
        """A JSON number."""
        return self.normalize(data)

    def next_in_enumeration(self, value: int) -> int | None:
        """One more, None after the last of 64 bit."""
        return value + 1 if value < LARGEST else None

    def expected_in_code(self) -> str:
        """A whole number."""
        return "7"


class FloatParameter(Parameter[float]):
    """A finite number; its text is the shortest that reads back as the same number."""

    exact = True
    plain = True
    keep = kept
    takes = "a finite number"
    expected = "a finite number, e.g. 0.5"

    def parse(self, text: str) -> float:
        """What Python's ``float`` reads, without ``inf`` and ``nan``."""
        try:
            value = float(text)
        except (ValueError, TypeError):
            return self.misread(text)
        if not isfinite(value):
            return value if self._kept(value) is not NO_VALUE else self.misread(text)
        return value + 0.0

    def normalize(self, value: Any) -> float:
        """The same number as a ``float``; one that no float equals is refused rather than rounded."""
        if type(value) is float and isfinite(value):
            return value + 0.0  # -0.0 equals 0.0 and must read the same
        return self._other(value)

    def _other(self, value: Any) -> float:
        if isinstance(value, (str, bytes)):
            return self.refuse(value)
        if type(value) is int and self._kept(value, told=False) is not NO_VALUE:
            return value  # old programs name their files by it: 1, not 1.0
        try:
            number = float(value)
            same = isfinite(number) and bool(number == value)
        except (TypeError, ValueError, OverflowError):
            return self.refuse(value)
        if not same and isfinite(number):
            return self.refuse(value, hint=f"No float is exactly that; float(...) would make it {number!r}.")
        return number + 0.0 if same else self.refuse(value)

    def serialize(self, value: float) -> str:
        """``repr``."""
        return repr(value) if type(value) is float else str(value)

    def to_json(self, value: float) -> Any:
        """The number."""
        return value

    def from_json(self, data: Any) -> float:
        """A JSON number."""
        return self.normalize(data)

    def expected_in_code(self) -> str:
        """A number."""
        return "0.5"


def none_for_any(self: Parameter[Any], value: Any) -> None:
    """Where wrong values are kept, a flag that is neither true nor false is None."""


class BoolParameter(Parameter[bool]):
    """True or false; False where nothing is given.

    parsing: IMPLICIT_PARSING is a flag on the command line (``--dry``), EXPLICIT_PARSING also takes a
    value (``--dry false``). Set ``BoolParameter.parsing`` to change all that are made afterwards.
    """

    exact = True
    plain = True
    IMPLICIT_PARSING = "implicit"
    EXPLICIT_PARSING = "explicit"
    parsing = IMPLICIT_PARSING
    keep = none_for_any
    takes = "true or false"
    expected = "true or false"

    def __init__(self, default: bool | NoValue = NO_VALUE, parsing: str | None = None, **options: Unpack[Options]) -> None:
        super().__init__(default=False if default is NO_VALUE else default, **options)
        self.parsing = type(self).parsing if parsing is None else parsing
        if self.parsing not in (self.IMPLICIT_PARSING, self.EXPLICIT_PARSING):
            from ..errors import ParameterDefinitionError

            raise ParameterDefinitionError(f"parsing is {self.parsing!r}; expected implicit or explicit")

    def parse(self, text: str) -> bool:
        """Reads ``true`` and ``false`` in any case of letters."""
        word = str(text).strip().lower()
        if word == "true":
            return True
        return False if word == "false" else self.misread(text)

    def normalize(self, value: Any) -> bool:
        """Takes also numbers that equal True or False, and Luigi's texts ``true`` and ``false``."""
        if value is True or value is False:
            return value
        if isinstance(value, str) and value.strip().lower() in ("true", "false"):
            return self.parse(value)
        try:
            equal = value in (False, True)
        except Exception:  # noqa: BLE001,RUF100 - an array compares element by element and raises
            equal = False
        return bool(value) if equal else self.refuse(value)

    def to_json(self, value: bool) -> Any:
        """``true`` or ``false``."""
        return value

    def from_json(self, data: Any) -> bool:
        """A JSON ``true`` or ``false``."""
        return data if isinstance(data, bool) else self.refuse(data)


class OptionalIntParameter(OptionalParameterMixin[int], IntParameter):  # type: ignore[misc]  # they differ in what __get__ gives
    """A whole number or None."""

    exact = plain = True
    expected_type = int


class OptionalFloatParameter(OptionalParameterMixin[float], FloatParameter):  # type: ignore[misc]
    """A finite number or None."""

    exact = plain = True
    expected_type = float


class OptionalBoolParameter(OptionalParameterMixin[bool], BoolParameter):  # type: ignore[misc]
    """True, false or None."""

    exact = plain = True
    expected_type = bool
