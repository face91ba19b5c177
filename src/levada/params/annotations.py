"""From an annotation to a parameter: the typed spelling, ``day: date = param(help="calendar day")``."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from ..errors import DefinitionError, ParameterError
from .base import NO_VALUE, Param, Parameter, is_marker, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from .typed import DataclassParameter

AnyParameter = Parameter[Any]

ACCEPTED = (
    "str, int, float, bool, date, datetime, timedelta, Path, an Enum, Literal[...], DateInterval (or Month, Week, ...), "
    "X | None, tuple[...], list[...], dict[...], a frozen dataclass, a task class, type[Task]"
)

_SIMPLE: dict[object, tuple[str, str]] = {
    str: ("scalars", "StrParameter"),
    int: ("scalars", "IntParameter"),
    float: ("scalars", "FloatParameter"),
    bool: ("scalars", "BoolParameter"),
    date: ("dates", "DayParameter"),
    datetime: ("dates", "DateTimeParameter"),
    timedelta: ("durations", "TimeDeltaParameter"),
    list: ("containers", "ListParameter"),
    tuple: ("containers", "TupleParameter"),
    dict: ("containers", "DictParameter"),
}


def from_annotation(annotation: Any, default: Any = NO_VALUE, extra: Param | None = None, owner_module: str = "") -> AnyParameter:
    """The parameter of ``name: annotation = default``.

    annotation: evaluated (strings inside of it are evaluated in ``owner_module``). default: a value,
    what ``param()`` gave, or NO_VALUE. extra: further options; ``param()`` comes first, then extra,
    then ``Annotated``. Raises DefinitionError for an unknown annotation or a default that does not fit.
    """
    options = default if is_marker(default) else Param()
    if extra is not None:
        options = options.over(extra)
    annotation, told = _unwrapped(annotation)
    for more in told:
        options = options.over(more)
    parameter = _made(annotation, options, _Scope(owner_module))
    _apply(parameter, options)
    _set_default(parameter, options.default if is_marker(default) else default, options.default_factory)
    return parameter


def _unwrapped(annotation: Any) -> tuple[Any, list[Param]]:
    """What stands inside ``Annotated``, and the options that were given there, the nearest last."""
    if get_origin(annotation) is not Annotated:
        return annotation, []
    inner, *metadata = get_args(annotation)
    return inner, [item for item in reversed(metadata) if isinstance(item, Param)]


def _made(annotation: Any, options: Param, scope: _Scope) -> AnyParameter:
    if options.parse is None and options.serialize is None:
        return scope.kind(annotation)
    from .typed import CustomParameter

    name = getattr(annotation, "__name__", str(annotation))
    try:
        known = scope.kind(annotation)
    except DefinitionError:
        if options.parse is None:
            raise
        check = _instance_check(annotation, name) if isinstance(annotation, type) else None
        return CustomParameter(name, check, options.parse, options.serialize or str)
    return CustomParameter(name, known.normalize, options.parse or known.parse, options.serialize or known.serialize)


def _instance_check(cls: type, name: str) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if not isinstance(value, cls):
            raise ParameterError(f"{shown(value)} is not a {name}")
        return value

    return check


def _apply(parameter: AnyParameter, options: Param) -> None:
    parameter.typed = True
    parameter.description = options.help if options.help is not None else parameter.description
    parameter.significant = options.significant is not False
    parameter.positional = options.positional is not False
    parameter.batch_method = options.batch
    if options.visibility is not None:
        parameter.visibility = options.visibility
    if options.secret:
        _hide(parameter)


def _hide(parameter: AnyParameter) -> None:
    """Faults of parts must not show a secret either."""
    parameter.secret = True
    parameter.visibility = type(parameter.visibility).PRIVATE
    for part in getattr(parameter, "parts", ()):
        _hide(part)


def _set_default(parameter: AnyParameter, default: Any, factory: Callable[[], Any] | None) -> None:
    parameter._default = NO_VALUE  # a flag brings False along; in the typed spelling it must be written
    parameter._default_factory = factory
    if default is NO_VALUE or factory is not None:
        return
    try:
        parameter._default = parameter.normalize(default)
    except ParameterError as fault:
        hint = "Annotate it with `| None`." if default is None else fault.hint
        raise DefinitionError(f"its default does not fit its annotation: {fault.message}", hint=hint) from None


class _Scope:
    """Where an annotation stands: the module that names are looked up in, the dataclasses around it."""

    __slots__ = ("inside", "module")

    def __init__(self, module: str, inside: tuple[type, ...] = ()) -> None:
        self.module = module
        self.inside = inside

    def kind(self, annotation: Any, part: bool = False) -> AnyParameter:
        """A parameter for the annotation. part: it stands inside another, where Any is fine."""
        annotation = self._plain(annotation)
        simple = _SIMPLE.get(annotation) if isinstance(annotation, type) else None
        if simple is not None:
            return _load(*simple)()  # type: ignore[no-any-return]  # a kind's class
        if part and annotation in (Any, object):
            return _load("containers", "JsonParameter")()  # type: ignore[no-any-return]
        origin = get_origin(annotation)
        found = self._of_class(annotation) if origin is None else self._of_origin(origin, get_args(annotation))
        if found is None:
            raise DefinitionError(
                f"the annotation {_spelled(annotation)} is not a kind of parameter; expected {ACCEPTED}", hint=_hint(annotation)
            )
        return found

    def _plain(self, annotation: Any) -> Any:
        """Evaluated, and without NewType, type alias and Annotated around it."""
        while True:
            if isinstance(annotation, str) or type(annotation).__name__ == "ForwardRef":
                annotation = self._evaluated(annotation)
            elif get_origin(annotation) is Annotated:
                annotation = get_args(annotation)[0]
            elif hasattr(annotation, "__supertype__"):
                annotation = annotation.__supertype__
            elif type(annotation).__name__ == "TypeAliasType":
                annotation = annotation.__value__
            else:
                return annotation

    def _evaluated(self, annotation: Any) -> Any:
        import sys
        from types import SimpleNamespace
        from typing import get_type_hints

        names = vars(sys.modules[self.module]) if self.module in sys.modules else {}
        holder: Any = SimpleNamespace(__annotations__={"it": annotation})
        try:
            return get_type_hints(holder, dict(names), include_extras=True)["it"]
        except (NameError, AttributeError, SyntaxError, TypeError) as fault:
            raise DefinitionError(f"the annotation {_spelled(annotation)} cannot be evaluated: {fault}") from None

    # -- generic ones: tuple[...], X | None

    def _of_origin(self, origin: Any, args: tuple[Any, ...]) -> AnyParameter | None:
        name = getattr(origin, "__name__", "")
        if origin is Union or name == "UnionType":
            return self._optional(args)
        if origin is Literal:
            return _load("choices", "LiteralParameter")(args)  # type: ignore[no-any-return]
        if origin is tuple:
            return self._tuple(args)
        if origin is list or name == "Sequence":
            return _load("typed", "TupleOf")(self.kind(args[0], part=True))  # type: ignore[no-any-return]
        if origin is dict or name == "Mapping":
            return _load("typed", "DictOf")(self.kind(args[0]), self.kind(args[1], part=True))  # type: ignore[no-any-return]
        if origin is type:
            return self._task_class(args[0])
        return None

    def _optional(self, args: tuple[Any, ...]) -> AnyParameter | None:
        others = [arg for arg in args if arg is not type(None)]
        if len(others) != 1 or len(others) == len(args):
            return None
        return _load("typed", "OptionalOf")(self.kind(others[0]))  # type: ignore[no-any-return]

    def _tuple(self, args: tuple[Any, ...]) -> AnyParameter:
        if len(args) == 2 and args[1] is ...:
            return _load("typed", "TupleOf")(self.kind(args[0], part=True))  # type: ignore[no-any-return]
        return _load("typed", "FixedTuple")(*[self.kind(arg, part=True) for arg in args if arg != ()])  # type: ignore[no-any-return]

    def _task_class(self, base: Any) -> AnyParameter | None:
        base = self._plain(base)
        return _load("tasks", "TaskParameter")(base=base) if _is_task_class(base) else None

    # -- classes

    def _of_class(self, cls: Any) -> AnyParameter | None:
        if not isinstance(cls, type):
            return None
        if issubclass(cls, Enum):
            return _load("choices", "EnumParameter")(enum=cls)  # type: ignore[no-any-return]
        if cls.__name__ in ("Path", "PosixPath", "WindowsPath") and cls.__module__.partition(".")[0] == "pathlib":
            return _load("places", "PathParameter")()  # type: ignore[no-any-return]
        if _is_task_class(cls):
            return _load("tasks", "TaskValueParameter")(cls)  # type: ignore[no-any-return]
        if cls.__module__ == f"{__package__}.intervals":
            return _load("intervals", "DateIntervalParameter")(kind=cls)  # type: ignore[no-any-return]
        return self._dataclass(cls) if "__dataclass_fields__" in cls.__dict__ else None

    def _dataclass(self, cls: Any) -> DataclassParameter:
        from dataclasses import MISSING, fields
        from typing import get_type_hints

        from .typed import DataclassParameter

        if not (cls.__dataclass_params__.frozen and cls.__dataclass_params__.eq):
            raise DefinitionError(f"the dataclass {cls.__name__} can change; expected one with @dataclass(frozen=True)")
        if cls in self.inside:
            raise DefinitionError(f"the dataclass {cls.__name__} contains itself; expected fields of other types")
        inner = _Scope(cls.__module__, (*self.inside, cls))
        try:
            hints = get_type_hints(cls, include_extras=True)
        except NameError as fault:
            raise DefinitionError(f"an annotation of the dataclass {cls.__name__} cannot be evaluated: {fault}") from None
        own = [field for field in fields(cls) if field.init]
        parts = {}
        for field in own:
            try:
                parts[field.name] = inner.kind(hints[field.name])
            except DefinitionError as fault:
                raise DefinitionError(f"{cls.__name__}.{field.name}: {fault.message}", hint=fault.hint) from None
        required = frozenset(field.name for field in own if field.default is MISSING and field.default_factory is MISSING)
        return DataclassParameter(cls, parts, required, compared=all(field.compare for field in own))


def _load(module: str, name: str) -> Any:
    from importlib import import_module

    return getattr(import_module(f"{__package__}.{module}"), name)


def _is_task_class(cls: Any) -> bool:
    if not (isinstance(cls, type) and hasattr(cls, "get_task_family")):
        return False
    from ..task import Task

    return issubclass(cls, Task)


def _spelled(annotation: Any) -> str:
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return f"`{annotation.__name__}`"
    return f"`{annotation}`".replace("typing.", "")


def _hint(annotation: Any) -> str | None:
    if "Union" in type(annotation).__name__:
        return "A text could not tell which of several types it means; only `| None` is fine."
    if annotation in (set, frozenset) or get_origin(annotation) in (set, frozenset):
        return "A set has no order, so no one text; use tuple[X, ...]."
    return "For a type of your own give param(parse=..., serialize=...)." if isinstance(annotation, type) else None
