"""Collections that cannot change: what JSON texts become as parameter values.

Lists become tuples, objects become FrozenDicts, at any depth (at most 32).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..errors import ParameterError
from .base import checked_text, shown

if TYPE_CHECKING:
    from typing import NoReturn, Self

K = TypeVar("K")
V = TypeVar("V")

DEEPEST: Final = 32


class FrozenDict(dict[K, V]):
    """A hashable dict that cannot change. Keeps its order; equality and hash do not depend on it.

    It *is* a dict, so that ``json.dumps``, ``**`` and whatever reads dicts take it as one;
    ``dict(frozen)`` gives one that can change. Its values must be hashable.

    >>> FrozenDict(b=1, a=2) == {"a": 2, "b": 1}, hash(FrozenDict(b=1, a=2)) == hash(FrozenDict(a=2, b=1))
    (True, True)
    """

    __slots__ = ("_hash",)
    _hash: int

    def __hash__(self) -> int:  # type: ignore[override]  # a dict has none
        try:
            return self._hash
        except AttributeError:
            value = hash(frozenset(self.items()))
            object.__setattr__(self, "_hash", value)
            return value

    def __reduce__(self) -> tuple[Any, ...]:
        return (FrozenDict, (dict(self),))

    def __copy__(self) -> Self:
        return self

    def get_wrapped(self) -> dict[K, V]:
        """A dict with the same items (Luigi's name for it)."""
        return dict(self)

    def _fixed(self, *args: object, **kwargs: object) -> NoReturn:
        """Refuse: the value is part of a task's identity. Raises TypeError."""
        raise TypeError("a FrozenDict does not change; dict(...) of it gives one that does")

    if not TYPE_CHECKING:  # for a checker it is a dict, whose methods have other signatures
        __setitem__ = __delitem__ = __setattr__ = __delattr__ = _fixed
        __ior__ = update = setdefault = pop = popitem = clear = _fixed


def freeze(value: Any, depth: int = 0) -> Any:
    """The same JSON value, unchangeable and canonical; raises ParameterError for what JSON cannot carry exactly."""
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, (int, float)):
        return _number(value)
    if depth >= DEEPEST:
        raise ParameterError(f"the value is nested more than {DEEPEST} levels deep; expected {DEEPEST} or less")
    if isinstance(value, (list, tuple)):
        return tuple([freeze(item, depth + 1) for item in value])
    if isinstance(value, Mapping):
        return FrozenDict({_key(key): freeze(item, depth + 1) for key, item in value.items()})
    raise ParameterError(
        f"{shown(value)} ({type(value).__name__}) has no exact JSON text; expected None, bool, int, float, str, list, tuple or dict",
        hint="Convert it, or annotate the parameter with the type, as in `tuple[date, ...]`.",
    )


def thaw(value: Any) -> Any:
    """Lists and dicts that can change, as JSON schema validators want them."""
    if isinstance(value, (list, tuple)):
        return [thaw(item) for item in value]
    if isinstance(value, Mapping):
        return {key: thaw(item) for key, item in value.items()}
    return value


def _text(value: str) -> str:
    text = checked_text(value)
    if text is None:
        raise ParameterError(f"{shown(value)} is not valid text; expected no NUL and no lone surrogates")
    return text


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise ParameterError(f"the key {shown(key)} is not text; expected keys that are text, since JSON has no others")
    return _text(key)


def _number(value: float) -> float:
    from math import isfinite

    if isinstance(value, int):
        whole = int(value)
        if -(2**63) <= whole < 2**63:
            return whole
        raise ParameterError(f"{shown(value)} is not within 64 bit; expected a number from -2**63 to 2**63 - 1")
    number = float(value)
    if not isfinite(number):
        raise ParameterError(f"{number} is not finite; expected a finite number")
    return number + 0.0


def read_json(text: str) -> Any:
    """The lists and dicts of a JSON text; ValueError with the reason otherwise."""
    import json

    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError(f"nested more than {DEEPEST} levels deep") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a finite number")


def write_json(value: Any) -> str:
    """The JSON text as Luigi writes it: ASCII, with a space behind ``,`` and ``:``, in the value's order."""
    import json

    return json.dumps(value, allow_nan=False)
