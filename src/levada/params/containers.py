"""Lists, tuples and dicts of any JSON values (for elements of a type, annotate: ``tuple[date, ...]``).

``exact`` is False for these kinds: ``(1,)`` equals ``(True,)``, and dicts of other order are equal,
yet they have other texts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from ..errors import DefinitionError, ParameterError
from .base import NO_VALUE, OptionalParameterMixin, Parameter, within, wrong_values_are_kept
from .frozen import FrozenDict, freeze, read_json, thaw, write_json

if TYPE_CHECKING:
    from typing import Unpack

    from .base import NoValue, Options

C = TypeVar("C")


def _kept_frozen(self: Parameter[Any], value: Any) -> Any:
    """Where wrong values are kept, anything is, with tuples and FrozenDicts instead of lists and dicts."""
    if isinstance(value, (list, tuple, set)):
        return tuple([_kept_frozen(self, item) for item in value])
    if isinstance(value, dict):
        return FrozenDict({key: _kept_frozen(self, item) for key, item in value.items()})
    return value


def _opened(data: Any) -> Any:
    """Lists stay lists, at any depth; dicts are FrozenDicts."""
    if isinstance(data, dict):
        return FrozenDict({key: _opened(item) for key, item in data.items()})
    return [_opened(item) for item in data] if isinstance(data, list) else data


class JsonParameter(Parameter[C]):
    """Any value that JSON carries exactly, made unchangeable. schema: a JSON schema, or a validator of one."""

    keep = _kept_frozen
    takes = "JSON"
    expected = "a JSON text, e.g. [1, 2] or null"
    accepts: tuple[type, ...] = ()
    opened: tuple[type, ...] = ()
    """What old programs may still change after ``parse``, and before ``normalize``, where wrong values are kept."""

    def __init__(self, default: C | NoValue = NO_VALUE, *, schema: Any = None, **options: Unpack[Options]) -> None:
        super().__init__(default=default, **options)
        self.schema = schema

    def parse(self, text: str) -> C:
        """The value of a JSON text."""
        try:
            data = self._read(text)
        except ValueError as fault:
            raise self.wrong(text, f"{self.takes} ({fault})") from None
        if wrong_values_are_kept() and isinstance(data, self.opened) and not self.typed:
            return cast(C, _opened(data))
        return self.from_json(data)

    def _read(self, text: str) -> Any:
        return read_json(text)

    def serialize(self, value: C) -> str:
        """JSON as Luigi writes it."""
        return write_json(value)

    def to_json(self, value: C) -> Any:
        """The value itself."""
        return value

    def from_json(self, data: Any) -> C:
        """Any JSON value that the kind takes."""
        return self.normalize(data)

    def normalize(self, value: Any) -> C:
        """Tuples and FrozenDicts instead of lists and dicts, at any depth; checked by the schema, if there is one."""
        if self.accepts and not isinstance(value, self.accepts):
            return self.refuse(value)
        if self.schema is not None:
            value = self._checked(value)
        try:
            return freeze(value)  # type: ignore[no-any-return]  # the kind says what comes of it
        except ParameterError as fault:
            kept = self._kept(value)
            if kept is not NO_VALUE:
                return cast(C, kept)
            raise within(self.name, fault) if self.name else fault from None

    def _checked(self, value: Any) -> Any:
        """A copy that the validator agreed with (some fill in defaults)."""
        copy = thaw(value)
        try:
            if hasattr(self.schema, "validate"):
                self.schema.validate(copy)
            else:
                _jsonschema().validate(instance=copy, schema=self.schema)
        except Exception as fault:
            if type(fault).__name__ != "ValidationError":
                raise
            place = "".join(f"[{part!r}]" for part in getattr(fault, "absolute_path", ()))
            reason = getattr(fault, "message", str(fault))
            if self.secret:  # the reason quotes the value
                place, reason = "", "it does not fit the schema"
            raise self.wrong(
                value, f"what the schema wants{' at ' + place if place else ''}: {reason}", "a value that fits its schema"
            ) from None
        return copy


def _jsonschema() -> Any:
    from importlib import import_module

    try:
        return import_module("jsonschema")
    except ImportError:
        raise DefinitionError(
            "a parameter has a JSON schema, but the package jsonschema is missing", hint="Install it: pip install 'levada[schema]'."
        ) from None


class ListParameter(JsonParameter[tuple[Any, ...]]):
    """A list of JSON values, ``[1, "a"]``. The value is a tuple, since identities do not change."""

    takes = "a list"
    expected = 'a JSON list, e.g. [1, 2] or ["a", "b"]'
    accepts = (list, tuple)
    opened: tuple[type, ...] = (list,)

    def expected_in_code(self) -> str:
        """A tuple."""
        return "(1, 2)"


class TupleParameter(ListParameter):
    """A tuple of JSON values, as JSON ``[[1, 2], [3, 4]]`` or as Python ``((1,2),(3,4))``."""

    opened = ()
    takes = "a tuple"
    expected = "a JSON list, e.g. [[1, 2], [3, 4]], or a Python tuple, e.g. ((1, 2), (3, 4))"

    def _read(self, text: str) -> Any:
        try:
            return read_json(text)
        except ValueError:
            return _literal(text)


def _literal(text: str) -> Any:
    import ast

    try:
        return ast.literal_eval(text.strip())
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise ValueError("neither JSON nor a Python literal") from None


class DictParameter(JsonParameter[FrozenDict[str, Any]]):
    """A dict with text keys, ``{"role": "web"}``. The value is a FrozenDict, in the given order."""

    takes = "a dict"
    expected = 'a JSON object, e.g. {"role": "web", "port": 80}'
    accepts = (dict,)
    opened: tuple[type, ...] = (dict,)

    def normalize(self, value: Any) -> FrozenDict[str, Any]:
        """A FrozenDict of any mapping."""
        if not isinstance(value, dict):
            from collections.abc import Mapping

            value = dict(value) if isinstance(value, Mapping) else value
        return super().normalize(value)

    def expected_in_code(self) -> str:
        """A dict."""
        return '{"role": "web"}'


class OptionalListParameter(OptionalParameterMixin[tuple[Any, ...]], ListParameter):  # type: ignore[misc]  # they differ in what __get__ gives
    """A list of JSON values, or None."""

    expected_type = tuple


class OptionalTupleParameter(OptionalParameterMixin[tuple[Any, ...]], TupleParameter):  # type: ignore[misc]
    """A tuple of JSON values, or None."""

    expected_type = tuple


class OptionalDictParameter(OptionalParameterMixin[FrozenDict[str, Any]], DictParameter):  # type: ignore[misc]
    """A dict with text keys, or None."""

    expected_type = FrozenDict
