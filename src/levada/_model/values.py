"""``NamedTuple`` as ``typing`` has it, for a tenth of the time to define one: the words of the house are some fifty.

``typing.NamedTuple`` checks every annotation and compiles a constructor for each class: 80 microseconds, paid by each run that
has something to do. Here fields, defaults and their order come from the class body as they stand. Type checkers see
the original; what an instance can do is the same, but that ``_make`` takes no wrong number of values for granted.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or sys.version_info >= (3, 14):  # from 3.14 on annotations are not in the class body
    from typing import NamedTuple as NamedTuple
else:
    from _collections import _tuplegetter

    _new = tuple.__new__

    class _Defining(type):
        """Makes the subclasses of NamedTuple."""

        def __new__(cls, name: str, bases: tuple[type, ...], space: dict[str, Any]) -> type:
            fields = tuple(space.get("__annotations__", ()))
            defaults = {field: space.pop(field) for field in fields if field in space}
            if tuple(defaults) != fields[len(fields) - len(defaults) :]:
                raise TypeError(f"{name}: a field without a default follows one that has it")
            for at, field in enumerate(fields):
                space[field] = _tuplegetter(at, None)
            space.update(_fields=fields, _field_defaults=defaults, __match_args__=fields, __slots__=())
            return type.__new__(cls, name, bases, space)

    class NamedTuple(tuple[Any, ...], metaclass=_Defining):
        """A tuple whose places have names."""

        _fields: tuple[str, ...]
        _field_defaults: dict[str, Any]

        def __new__(cls, *values: Any, **named: Any) -> Any:
            if named or len(values) != len(cls._fields):
                values = _completed(cls, values, named)
            return _new(cls, values)

        @classmethod
        def _make(cls, values: Iterable[Any]) -> Any:
            return cls(*values)

        def _replace(self, **named: Any) -> Any:
            return type(self)(**{**self._asdict(), **named})

        def _asdict(self) -> dict[str, Any]:
            return dict(zip(self._fields, self, strict=True))

        def __repr__(self) -> str:
            return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in zip(self._fields, self, strict=True))})"

        def __getnewargs__(self) -> tuple[Any, ...]:
            return tuple(self)

    def _completed(cls: Any, values: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
        """The values in the order of the fields. Raises TypeError as a function of that signature would."""
        fields, defaults = cls._fields, cls._field_defaults
        if len(values) > len(fields):
            raise TypeError(f"{cls.__name__}() takes {len(fields)} values, got {len(values)}")
        complete = list(values)
        for field in fields[len(values) :]:
            if field in named:
                complete.append(named.pop(field))
            elif field in defaults:
                complete.append(defaults[field])
            else:
                raise TypeError(f"{cls.__name__}() is missing {field!r}")
        if named:
            raise TypeError(f"{cls.__name__}() got {', '.join(map(repr, named))}, unknown or given twice")
        return tuple(complete)
