"""Kinds that only annotations make: values made of other kinds, written as JSON.

Values do not change: ``list[int]`` and ``tuple[int, ...]`` are tuples, ``dict[str, int]`` is a FrozenDict
sorted by the text of its keys (so that equal dicts have equal texts), dataclasses are frozen ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ParameterError
from .base import Parameter, shown, within
from .frozen import FrozenDict, read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

AnyParameter = Parameter[Any]


class Compound(AnyParameter):
    """Base of kinds that are made of others. parts: those, in an order that the kind gives a meaning."""

    def __init__(self, *parts: AnyParameter) -> None:
        super().__init__()
        self.parts = parts
        self.exact = all(part.exact for part in parts)

    def parse(self, text: str) -> Any:
        """The value of a JSON text."""
        try:
            data = read_json(text)
        except ValueError as fault:
            raise self.wrong(text, f"JSON ({fault})") from None
        return self.from_json(data)

    def serialize(self, value: Any) -> str:
        """JSON."""
        return write_json(self.to_json(value))

    def each(self, convert: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """All items converted; a fault tells its place."""
        done: list[Any] = []
        try:
            for item in items:
                done.append(convert(item))  # noqa: PERF401 - how far we came is the fault's place
        except ParameterError as fault:
            raise self.at(f"[{len(done)}]", fault) from None
        return done

    def at(self, place: str, fault: ParameterError) -> ParameterError:
        """A part's fault, told as ours."""
        return within(f"{self.name or ''}{place}", fault)


class OptionalOf(Compound):
    """What ``X | None`` makes. None has the empty text.

    So that an empty ``str`` is not None, a text made of nothing but double quotes is written with two
    more of them: the empty string is ``""`` (two characters).
    """

    def __init__(self, part: AnyParameter) -> None:
        super().__init__(part)
        self.part = part
        self.plain = part.plain
        self.takes, self.expected = part.takes, f"{part.expected}, or nothing"

    def __set_name__(self, owner: type, name: str) -> None:
        super().__set_name__(owner, name)
        self.part.name = name

    def parse(self, text: str) -> Any:
        """None for the empty text."""
        if not text:
            return None
        return self.part.parse(text[:-2] if len(text) > 1 and not text.strip('"') else text)

    def serialize(self, value: Any) -> str:
        """The empty text for None."""
        if value is None:
            return ""
        text = self.part.serialize(value)
        return text if text.strip('"') else text + '""'

    def normalize(self, value: Any) -> Any:
        """None stays None."""
        return None if value is None else self.part.normalize(value)

    def to_json(self, value: Any) -> Any:
        """``null`` for None."""
        return None if value is None else self.part.to_json(value)

    def from_json(self, data: Any) -> Any:
        """None for ``null``."""
        return None if data is None else self.part.from_json(data)

    def next_in_enumeration(self, value: Any) -> Any:
        """The part's next; nothing follows None."""
        return None if value is None else self.part.next_in_enumeration(value)


class TupleOf(Compound):
    """``tuple[X, ...]``, ``list[X]``, ``Sequence[X]``: items of one kind. The value is a tuple."""

    def __init__(self, part: AnyParameter) -> None:
        super().__init__(part)
        self.part = part
        self.takes, self.expected = "a list", f"a JSON list, each item {part.expected}"

    def normalize(self, value: Any) -> Any:
        """A tuple of canonical items."""
        if not isinstance(value, (list, tuple)):
            return self.refuse(value)
        return tuple(self.each(self.part.normalize, value))

    def to_json(self, value: Any) -> Any:
        """A list."""
        return [self.part.to_json(item) for item in value]

    def from_json(self, data: Any) -> Any:
        """A tuple of a JSON list."""
        if not isinstance(data, list):
            return self.refuse(data)
        return tuple(self.each(self.part.from_json, data))


class FixedTuple(Compound):
    """``tuple[X, Y]``: a kind for each place."""

    def __init__(self, *parts: AnyParameter) -> None:
        super().__init__(*parts)
        self.takes = f"a list of {len(parts)}"
        self.expected = f"a JSON list of {len(parts)}: {'; '.join(part.expected for part in parts)}"

    def normalize(self, value: Any) -> Any:
        """A tuple of canonical items."""
        if not isinstance(value, (list, tuple)) or len(value) != len(self.parts):
            return self.refuse(value)
        return tuple(self.each(lambda pair: pair[0].normalize(pair[1]), zip(self.parts, value, strict=True)))

    def to_json(self, value: Any) -> Any:
        """A list."""
        return [part.to_json(item) for part, item in zip(self.parts, value, strict=True)]

    def from_json(self, data: Any) -> Any:
        """A tuple of a JSON list."""
        if not isinstance(data, list) or len(data) != len(self.parts):
            return self.refuse(data)
        return tuple(self.each(lambda pair: pair[0].from_json(pair[1]), zip(self.parts, data, strict=True)))


class DictOf(Compound):
    """``dict[K, V]``, ``Mapping[K, V]``; the value is a FrozenDict, sorted by the text of its keys."""

    def __init__(self, key: AnyParameter, part: AnyParameter) -> None:
        super().__init__(key, part)
        self.key, self.part = key, part
        self.takes, self.expected = "a dict", f"a JSON object, keys {key.expected}, values {part.expected}"

    def normalize(self, value: Any) -> Any:
        """A FrozenDict of canonical keys and values."""
        from collections.abc import Mapping

        if not isinstance(value, Mapping):
            return self.refuse(value)
        keys = self.each(self.key.normalize, value)
        return self._sorted(value, keys, [self._value(key, item, self.part.normalize) for key, item in value.items()])

    def from_json(self, data: Any) -> Any:
        """A FrozenDict of a JSON object."""
        if not isinstance(data, dict):
            return self.refuse(data)
        keys = self.each(self.key.parse, data)
        return self._sorted(data, keys, [self._value(key, item, self.part.from_json) for key, item in data.items()])

    def _value(self, key: Any, item: Any, convert: Callable[[Any], Any]) -> Any:
        try:
            return convert(item)
        except ParameterError as fault:
            raise self.at(f"[{shown(key)}]" if not self.secret else "[***]", fault) from None

    def _sorted(self, source: Any, keys: list[Any], values: list[Any]) -> Any:
        texts = [self.key.serialize(key) for key in keys]
        if len(set(texts)) < len(texts):
            raise self.wrong(source, "a dict with keys that differ")
        rows = sorted(zip(texts, range(len(texts)), strict=True))
        return FrozenDict({keys[at]: values[at] for _, at in rows})

    def to_json(self, value: Any) -> Any:
        """A dict with text keys."""
        return {self.key.serialize(key): self.part.to_json(item) for key, item in value.items()}


class DataclassParameter(Compound):
    """A frozen dataclass; its text is a JSON object of its fields."""

    def __init__(self, cls: type, fields: dict[str, AnyParameter], required: frozenset[str], compared: bool) -> None:
        super().__init__(*fields.values())
        self.cls, self.fields, self.required = cls, fields, required
        self.exact = self.exact and compared  # a field that is not compared still stands in the text
        self.takes = f"a {cls.__name__}"
        self.expected = f"{cls.__name__}({', '.join(fields)}), as text a JSON object"

    def normalize(self, value: Any) -> Any:
        """The same, with canonical fields."""
        if type(value) is not self.cls:
            return self.refuse(value)
        changed = {}
        for name, part in self.fields.items():
            old = getattr(value, name)
            new = self._field(name, part.normalize, old)
            if new is not old:
                changed[name] = new
        if not changed:
            return value
        import dataclasses

        replace: Any = dataclasses.replace
        return self._made(lambda: replace(value, **changed))

    def to_json(self, value: Any) -> Any:
        """A dict of its fields."""
        return {name: part.to_json(getattr(value, name)) for name, part in self.fields.items()}

    def from_json(self, data: Any) -> Any:
        """An instance of a JSON object; fields with defaults may be missing."""
        if not isinstance(data, dict):
            return self.refuse(data)
        unknown, missing = sorted(set(data) - set(self.fields)), sorted(self.required - set(data))
        if unknown or missing:
            reason = f"{'unknown field ' + unknown[0] if unknown else 'no field ' + missing[0]}"
            raise self.wrong(data, f"{self.takes} ({reason})")
        fields = {name: self._field(name, self.fields[name].from_json, item) for name, item in data.items()}
        return self.normalize(self._made(lambda: self.cls(**fields)))

    def _field(self, name: str, convert: Callable[[Any], Any], item: Any) -> Any:
        try:
            return convert(item)
        except ParameterError as fault:
            raise self.at(f".{name}" if self.name else name, fault) from None

    def _made(self, make: Callable[[], Any]) -> Any:
        """The class may refuse values of its own accord."""
        try:
            return make()
        except (ValueError, TypeError) as fault:
            reason = "it refuses the fields" if self.secret else str(fault)
            raise ParameterError(f"{self.name or self.cls.__name__}: {reason}") from fault


class CustomParameter(AnyParameter):
    """A value with its own reading and writing (``param(parse=..., serialize=...)``).

    check: makes a value canonical, or raises ParameterError. Each value is read back from its text
    once; one that does not read back is refused, since a task could not be made again elsewhere.
    """

    def __init__(
        self, name_of_type: str, check: Callable[[Any], Any] | None, parse: Callable[[str], Any], serialize: Callable[[Any], str]
    ) -> None:
        super().__init__()
        self.check, self.read, self.write = check, parse, serialize
        self.takes = f"a {name_of_type}"
        self.expected = f"a {name_of_type}"

    def parse(self, text: str) -> Any:
        """What ``parse`` reads."""
        try:
            value = self.read(text)
        except ParameterError:
            raise
        except (ValueError, TypeError, LookupError) as fault:
            reason = "" if self.secret else f" ({type(fault).__name__}: {fault})"
            raise self.wrong(text, f"{self.takes}{reason}") from fault
        return value if self.check is None else self.check(value)

    def serialize(self, value: Any) -> str:
        """What ``serialize`` writes."""
        return self.write(value)

    def normalize(self, value: Any) -> Any:
        """The value, if it reads back from its text."""
        if self.check is not None:
            value = self.check(value)
        text = self.write(value)
        if self.parse(text) != value:
            own = "its own text" if self.secret else f"its own text, {shown(text)},"
            raise self.wrong(value, f"what {own} reads as", "parse(serialize(value)) == value")
        return value
