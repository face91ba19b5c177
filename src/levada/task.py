"""What authors subclass: tasks, their identity, the registry of families.

A task says what must exist first (``requires``), what it makes (``output``) and how (``run``); its
parameters are its identity; it is complete when its outputs exist. Instances are interned, weakly,
by class and parameter values, so a plan of a million tasks builds each of them once.

This module is on the path that cron pays each minute: it imports little, and what every task of a
plan passes through (``Register.__call__``, ``ClassInfo``) is compiled once per class.
"""

from __future__ import annotations

import sys
import weakref
from abc import ABCMeta
from collections.abc import Callable, Iterable, Iterator, Mapping
from keyword import iskeyword
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast, dataclass_transform

from ._model.spec import Policy, Retry, TaskKey
from .errors import (
    FROM_USERS,
    AmbiguousTask,
    DefinitionError,
    DuplicateParameter,
    MissingParameter,
    ParameterError,
    UnknownParameter,
    UnknownTask,
)
from .params import base as kinds
from .params.base import NO_VALUE, Parameter, is_marker, param

if TYPE_CHECKING:
    from typing import Self

    from ._model.messages import Fence

T = TypeVar("T", bound="Task")
C = TypeVar("C", bound="type[Task]")
_FOREVER = float("inf")

RESERVED = frozenset({"requires", "output", "run", "complete", "input", "deps", "clone", "on_success", "on_failure"})
"""Names that the engine calls on every task; a parameter may not take them."""

FOR_AUTHORS = frozenset({"input", "clone"})
"""Of these, those that only authors call: an old program may have given one up for a parameter."""

NOT_PARAMETERS = frozenset(
    "priority resources retry timeout disabled batch_limit owners tags task_namespace namespace owner_email "
    "remote_complete max_batch_size retry_count worker_timeout disable_hard_timeout disable_window accepts_messages batchable "
    "use_cmdline_section".split()
)
"""Attributes of a task that keep their meaning when a class annotates them and gives them a value."""


# -- structures of tasks and targets -----------------------------------------------------------


def flatten(structure: Any) -> list[Any]:
    """The leaves of any nesting of mappings and iterables, in order; None is no leaf, text is one.

    >>> flatten({"a": 1, "b": [2, (3,)]})
    [1, 2, 3]
    """
    if structure is None:
        return []
    if isinstance(structure, Mapping):
        return [leaf for part in structure.values() for leaf in flatten(part)]
    if isinstance(structure, (str, bytes)) or not hasattr(type(structure), "__iter__"):
        return [structure]
    return [leaf for part in structure for leaf in flatten(part)]


def map_structure(function: Callable[[Any], Any], structure: Any) -> Any:
    """The same nesting with ``function`` applied to each leaf; kinds of dicts and tuples are kept, other iterables become lists."""
    if structure is None:
        return []
    if isinstance(structure, Mapping):
        made: Any = structure.copy() if isinstance(structure, dict) else {}
        made.update((name, map_structure(function, part)) for name, part in structure.items())
        return made
    if isinstance(structure, (str, bytes)) or not hasattr(type(structure), "__iter__"):
        return function(structure)
    parts = [map_structure(function, part) for part in structure]
    if isinstance(structure, tuple):
        return type(structure)(*parts) if hasattr(structure, "_fields") else tuple(parts)
    return parts


# -- where values come from that code did not give -----------------------------------------------

ValueSource = Callable[[Any, str, "Parameter[Any]"], "tuple[Any, str] | None"]
"""(class, parameter name, parameter) -> (text or value, where it was found), or None."""

_value_source: ValueSource | None = None
_settings: ValueSource | None = None
_further: tuple[tuple[ValueSource, ...], tuple[ValueSource, ...]] = ((), ())
_defaults_version = 0


def set_value_source(source: ValueSource | None) -> None:
    """Ask ``source`` (the settings) for each parameter that code gave no value; None: defaults alone."""
    global _settings
    _settings = source
    _join_sources()


def add_value_source(source: ValueSource, *, before_settings: bool = False) -> None:
    """Ask this one too: where the settings have no value, or before them. It is asked each time, so it may change its mind."""
    global _further
    before, after = _further
    if source not in (*before, *after):
        _further = ((*before, source), after) if before_settings else (before, (*after, source))
        _join_sources()


def remove_value_source(source: ValueSource) -> None:
    """Ask this one no more."""
    global _further
    before, after = _further
    _further = tuple(each for each in before if each is not source), tuple(each for each in after if each is not source)
    _join_sources()


def _join_sources() -> None:
    global _value_source, _defaults_version
    before, after = _further
    sources = [source for source in (*before, _settings, *after) if source is not None]

    def first_found(cls: Any, name: str, parameter: Parameter[Any]) -> tuple[Any, str] | None:
        for source in sources:
            found = source(cls, name, parameter)
            if found is not None:
                return found
        return None

    _value_source = first_found if len(sources) > 1 else sources[0] if sources else None
    _defaults_version += 1


_secret_mac: Callable[[str], str] | None = None


def set_secret_mac(mac: Callable[[str], str] | None) -> None:
    """How the text of a secret parameter is replaced before it enters an identity (docs/promises.md, section 9)."""
    global _secret_mac
    _secret_mac = mac


def _masked(text: str) -> str:
    if _secret_mac is None:
        raise DefinitionError(
            "a secret parameter has no key to be masked with",
            hint="Tasks with secret parameters get their identity inside `levada.run` or the command line, which know the state folder.",
        )
    return _secret_mac(text)


def _digested(name: str, text: str) -> str:
    """What stands for a private value in an identity. Without a key, as Luigi's programs ask for the ids of tasks anywhere.

    It hides the value from a reader; whoever can guess it can find that the guess is right. A secret has its own key against that.
    """
    from _blake2 import blake2b

    return "hash:" + blake2b(f"{name}\n{text}".encode(), digest_size=16).hexdigest()


Binder = Callable[[Any, "tuple[tuple[str, Parameter[Any]], ...]"], "Callable[..., tuple[Any, ...]] | None"]
"""(class, its parameters) -> a function from call arguments to values in positional order, or None: Python's own rules."""

_binder: Binder | None = None


def set_binder(binder: Binder | None) -> None:
    """How classes that say so themselves make parameter values of call arguments, from now on; None: by Python's rules."""
    global _binder
    _binder = binder
    for cls in _with_subclasses(Task):
        type.__setattr__(cls, "_info", None)


# -- what is known of a class ------------------------------------------------------------------


class ClassInfo:
    """What is the same for all instances of a task class; computed once, forgotten when the class changes."""

    __slots__ = (
        "bind", "by_position", "complete_is_own", "defaults", "defaults_version", "deps_is_own", "exact", "external", "fill", "forget",
        "init_is_own", "hash_start", "insignificant", "interned", "names", "normalize", "params", "policy", "priority", "remote",
        "run_is_own", "texts", "batched",
    )  # fmt: skip

    def __init__(self, cls: type[Task]) -> None:
        self.interned, self.forget = cls._interned, cls._forget
        self.params = _ordered_parameters(cls)
        self.names = tuple(name for name, _ in self.params)
        own = _binder(cls, self.params) if _binder is not None else None
        self.bind = own or _compile_bind(self.params)
        plain = own is None and all(p.positional for _, p in self.params)
        self.by_position = len(self.params) if plain else -1  # so many arguments are all values
        self.fill = _compile_fill(self.names)
        self.exact = own is None and all(p.exact for _, p in self.params)
        self.normalize = _compile_normalize(self.params, same=self.exact)
        self.init_is_own = cls.__init__ is not Task.__init__
        self.complete_is_own = cls.complete is not Task.complete and cls.complete is not WrapperTask.complete
        self.run_is_own = cls.run is not Task.run
        self.deps_is_own = cls.deps is not Task.deps or cls._requires is not Task._requires
        self.external = not callable(cls.run)
        self.remote = bool(cls.remote_complete)
        self.insignificant = any(not p.significant for _, p in self.params)
        self.batched = tuple(name for name, p in self.params if getattr(p, "batch_method", None) is not None)
        self.hash_start: Any = None  # of keys: a hash that has eaten the family; made with the first key
        self.texts = _compile_texts([(n, p) for n, p in self.params if p.significant])
        self.policy = None if self._varies(cls, POLICY_ATTRIBUTES) else _policy(cls, cls.get_task_family())
        self.priority = None if self._varies(cls, ("priority",)) else _priority(cls.priority, cls.get_task_family())
        self.defaults: tuple[Any, ...] | None = None
        self.defaults_version = -1

    def _varies(self, cls: type[Task], attributes: Iterable[str]) -> bool:
        """Whether instances may have values of their own for these attributes."""
        if self.init_is_own or cls.process_resources is not Task.process_resources:
            return True
        return any(hasattr(type(_static(cls, name)), "__get__") or name in self.names for name in attributes)


POLICY_ATTRIBUTES = (
    "resources", "retry", "timeout", "disabled", "max_batch_size", "retry_count", "worker_timeout", "disable_hard_timeout",
    "disable_window", "batch_limit",
)  # fmt: skip


def _static(cls: type, name: str) -> Any:
    for base in cls.__mro__:
        if name in base.__dict__:
            return base.__dict__[name]
    return None


def _ordered_parameters(cls: type[Task]) -> tuple[tuple[str, Parameter[Any]], ...]:
    """Positional order.

    Luigi's spelling alone: order of creation. With typed ones, as type checkers see it: base classes
    first, in each class the typed ones first.
    """
    found: dict[str, Parameter[Any]] = {}
    for base in reversed(cls.__mro__):
        own = [(name, value) for name, value in base.__dict__.items() if isinstance(value, Parameter)]
        found.update(sorted(own, key=lambda pair: (not pair[1].typed, pair[1]._counter)))
        for name, value in base.__dict__.items():
            if name in found and not isinstance(value, Parameter):
                del found[name]  # a subclass put something else in its place
    pairs = list(found.items())
    if not any(p.typed for _, p in pairs):
        pairs.sort(key=lambda pair: pair[1]._counter)
    return tuple(pairs)


def _compile_bind(params: tuple[tuple[str, Parameter[Any]], ...]) -> Callable[..., tuple[Any, ...]]:
    """A function that puts call arguments in order, by Python's own rules; missing ones are NO_VALUE."""
    spelled = {n: f"v{at}_" if iskeyword(n) else n for at, (n, _) in enumerate(params)}  # classes made by type() may have such names
    positional = [f"{spelled[n]}=_" for n, p in params if p.positional]
    keyword = [f"{spelled[n]}=_" for n, p in params if not p.positional]
    signature = ", ".join(positional + (["*", *keyword] if keyword else []))
    values = "".join(f"{name}, " for name in spelled.values())
    bind = cast("Callable[..., tuple[Any, ...]]", _compiled("bind", f"def bind({signature}): return ({values})"))
    if not any(map(iskeyword, spelled)):
        return bind
    return lambda *args, **kwargs: bind(*args, **{spelled.get(name, name): value for name, value in kwargs.items()})


def _compile_fill(names: tuple[str, ...]) -> Callable[[Any, tuple[Any, ...]], None]:
    """A function that sets the attributes of a new instance (plain stores keep its dict small)."""
    body = "".join(f"self.__dict__[{n!r}], " if iskeyword(n) else f"self.{n}, " for n in names) + "= values" if names else "pass"
    return cast("Callable[[Any, tuple[Any, ...]], None]", _compiled("fill", f"def fill(self, values): {body}"))


def _compile_normalize(params: tuple[tuple[str, Parameter[Any]], ...], *, same: bool) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """A function that checks values in positional order and gives them back canonical; same: the very tuple, where they all were."""
    scope: dict[str, Any] = {f"n{at}": p.normalize for at, (_, p) in enumerate(params)}
    places = range(len(params))
    given = "".join(f"v{at}, " for at in places)
    lines = [f"{given}= values", *(f"c{at} = n{at}(v{at})" for at in places)]
    if same:
        lines.append(f"if {' and '.join(f'c{at} is v{at}' for at in places)}: return values")
    lines.append(f"return ({''.join(f'c{at}, ' for at in places)})")
    source = "def normalize(values):\n " + "\n ".join(lines) if params else "def normalize(values): return values"
    return cast("Callable[[tuple[Any, ...]], tuple[Any, ...]]", _compiled("normalize", source, scope))


def _compile_texts(params: list[tuple[str, Parameter[Any]]]) -> Callable[[Any], str]:
    """A function that gives the canonical text: a JSON object of serialised values, sorted by name."""
    from _json import encode_basestring_ascii as quote

    scope: dict[str, Any] = {"quote": quote, "masked": _masked, "digested": _digested}
    parts = []
    for number, (name, parameter) in enumerate(sorted(params)):
        is_plain = getattr(parameter.serialize, "__func__", None) is Parameter.serialize
        scope[f"s{number}"] = str if is_plain else parameter.serialize
        text = f"s{number}(self.__dict__[{name!r}])" if iskeyword(name) else f"s{number}(self.{name})"
        if parameter.secret:
            text = f"masked({text})"
        elif parameter.withheld:
            text = f"digested({name!r}, {text})"
        plain = parameter.plain and not parameter.withheld and (parameter.typed or not kinds.wrong_values_are_kept())
        text = f"'\"' + {text} + '\"'" if plain else f"quote({text})"
        parts.append(f"'{quote(name)}:' + {text}")
    joined = " + ',' + ".join(parts)
    body = f"'{{' + {joined} + '}}'" if parts else "'{}'"
    return cast("Callable[[Any], str]", _compiled("texts", f"def texts(self): return {body}", scope))


def _compiled(name: str, source: str, scope: dict[str, Any] | None = None) -> object:
    names = {"_": NO_VALUE} | (scope or {})
    exec(source, names)  # noqa: S102 - built from identifiers of the class alone
    return names[name]


def _policy(task: Any, family: str) -> Policy:
    """The policy of a class or an instance; Luigi's attribute names are understood beside ours."""
    old = _is_old(task if isinstance(task, type) else type(task))
    retry = task.retry if task.retry is not None and not old else _luigi_retry(task)
    resources: Any = task.__dict__.get("resources", getattr(task, "resources", {})) if isinstance(task, type) else task.process_resources()
    timeout = task.timeout if task.timeout is not None and not old else (task.worker_timeout or None)
    batch_limit = task.batch_limit if task.batch_limit is not None and not old else task.max_batch_size
    for name, value, good, expected in (
        ("resources", resources, _are_amounts, "names, and whole numbers of each, as in {'hdfs': 2}"),
        ("retry", retry, _is_retry, "a Retry with attempts of 1 or more and pauses of 0 seconds or more"),
        ("timeout", timeout, lambda seconds: seconds is None or 0 < seconds < _FOREVER, "seconds, more than 0"),
        ("batch_limit", batch_limit, lambda limit: limit >= 1, "1 or more"),
    ):
        _checked(family, name, value, good, expected)
    return Policy(
        family=family,
        resources=tuple(sorted((name, int(amount)) for name, amount in dict(resources).items() if amount)),
        retry=retry if retry is not None else default_retry,
        timeout=timeout,
        batch_limit=int(min(batch_limit, 2**31)),
        disabled=bool(task.disabled),
        owners=owners_of(task if isinstance(task, type) else type(task)),
    )


def owners_of(cls: Any) -> str:
    """Who answers for the tasks of a class: names with commas between. Raises DefinitionError.

    Of the class alone: what instances have under that name, a parameter perhaps, is for people.
    """
    owners = (cls.owners,) if isinstance(cls.owners, str) else cls.owners
    if not owners or not isinstance(owners, (tuple, list)) or _is_old(cls):
        return ""
    _checked(cls.get_task_family(), "owners", owners, _are_names, "names without commas, as in owners = ('ana', 'reports')")
    return ",".join(owners)


def _priority(value: Any, family: str) -> int:
    """A priority as a whole number. Raises DefinitionError for one that the scheduler would not take."""
    _checked(family, "priority", value, lambda number: abs(int(number)) <= 1 << 20, "a whole number from -1048576 to 1048576")
    return int(value)


def _checked(family: str, name: str, value: Any, good: Callable[[Any], bool], expected: str) -> None:
    """Raise DefinitionError where a class, or a property of it, says what the scheduler would not take."""
    try:
        fits = good(value)
    except (TypeError, ValueError, AttributeError, OverflowError):
        fits = False
    if not fits:
        raise DefinitionError(f"{family}: {name} is {value!r:.200}; expected {expected}")


def _are_amounts(resources: Any) -> bool:
    return all(type(name) is str and int(amount) == amount and 0 <= amount < 1 << 63 for name, amount in dict(resources).items())


def _are_names(names: Any) -> bool:
    return all(type(name) is str and name.isprintable() and name.strip() and "," not in name for name in names) and len(names) <= 20


def _is_retry(retry: Retry | None) -> bool:
    if retry is None:
        return True
    counts = (retry.attempts, retry.disable_after or 1, *(attempts for _, attempts in retry.exceptions))
    times = (retry.first, retry.longest, retry.window)
    return all(type(count) is int and count >= 1 for count in counts) and all(0 <= time < _FOREVER for time in times)


default_retry = Retry()
"""What tasks get that say nothing of retries."""


def set_default_attempts(attempts: int | None) -> None:
    """How often tasks that say nothing of retries are tried in all, from now on; None: as usual."""
    global default_retry
    default_retry = Retry() if attempts is None else Retry(attempts=attempts)
    for cls in _with_subclasses(Task):
        type.__setattr__(cls, "_info", None)


def _luigi_retry(task: Any) -> Retry | None:
    if task.retry_count is None and task.disable_hard_timeout is None and task.disable_window is None:
        return None
    return Retry(
        attempts=2**31,
        disable_after=task.retry_count,
        window=float(task.disable_window or 86400),
        first=default_retry.first,
        longest=default_retry.longest,
    )


# -- the metaclass -----------------------------------------------------------------------------


class InternedRef(weakref.ref[T]):
    """A weak reference that knows under which values its instance is interned."""

    __slots__ = ("values",)
    values: Any


@dataclass_transform(field_specifiers=(param,), eq_default=False)
class Register(ABCMeta):
    """Metaclass of tasks: collects parameters, registers the family, interns instances.

    An ABCMeta, so that tasks may have abstract methods and may be mixed with classes that have; what counts as an
    instance is decided as for other classes, which is faster.
    """

    __instancecheck__ = type.__instancecheck__
    __subclasscheck__ = type.__subclasscheck__

    _info: ClassInfo | None
    _interned: dict[Any, InternedRef[Any]]
    _forget: Any

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **kwargs: Any) -> Register:
        """Create the class; wrong definitions are collected and raised together as DefinitionError."""
        return super().__new__(mcs, name, bases, namespace, **kwargs)

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **kwargs: Any) -> None:
        """Make it a task: here, since metaclasses of old programs go past our ``__new__``."""
        super().__init__(name, bases, namespace, **kwargs)
        space = namespace.get("task_namespace")
        if space is None and "namespace" in namespace and not _is_old(cls):
            space = namespace["namespace"]
        known = isinstance(space, str)  # else a parameter has the name
        type.__setattr__(cls, "_own_namespace", space if known else namespace_of(namespace.get("__module__", "")))
        interned: dict[Any, InternedRef[Any]] = {}
        type.__setattr__(cls, "_info", None)
        type.__setattr__(cls, "_interned", interned)
        type.__setattr__(cls, "_forget", _forgetter(interned))
        if bases:
            _adopt_annotations(cls)
            if namespace.get("_visible_in_registry", True):
                registry.add(cast("type[Task]", cls))

    def __call__(cls: type[T], *args: Any, **kwargs: Any) -> T:  # type: ignore[misc]  # cls is a class here
        """The one instance with these parameter values."""
        info = cls._info or _new_info(cls)
        if not kwargs:
            try:
                ref = info.interned.get(args)  # all values by position, as most tasks are made
            except TypeError:
                ref = None  # not hashable, so not of its type: told below
            if ref is not None:
                known: T | None = ref()
                if known is not None:
                    return known
            if len(args) == info.by_position:
                return _intern(cls, info, args, args, kwargs)
        try:
            values = info.bind(*args, **kwargs)
        except TypeError:
            if info.bind.__name__ != "bind":  # the class's own
                raise
            raise _explain_arguments(cls, info, args, kwargs) from None
        if info.exact:
            try:
                ref = info.interned.get(values)
            except TypeError:  # not hashable, so not of its type: told below
                ref = None
            if ref is not None:
                task: T | None = ref()
                if task is not None:
                    return task
        return _intern(cls, info, values, args, kwargs)

    def __setattr__(cls, name: str, value: Any) -> None:
        """Parameters may be added, and methods replaced, after the class was made."""
        before = _static(cls, name)
        super().__setattr__(name, value)
        if name in ("__abstractmethods__", "_abc_impl"):  # while the class is made
            return
        if isinstance(value, Parameter) and value.name is None:
            value.__set_name__(cls, name)
        cls._has_changed(isinstance(value, Parameter) or isinstance(before, Parameter))

    def __delattr__(cls, name: str) -> None:
        before = _static(cls, name)
        super().__delattr__(name)
        cls._has_changed(isinstance(before, Parameter))

    def _has_changed(cls, in_parameters: bool) -> None:
        """Forget what was known of the class; with other parameters also which tasks there are."""
        for changed in _with_subclasses(cls):
            type.__setattr__(changed, "_info", None)
            if in_parameters:
                changed._interned.clear()

    @property
    def family(cls) -> str:
        """``namespace.ClassName``, the name on the command line."""
        return _family(cls)

    @property
    def task_family(cls) -> str:
        """Luigi's name for ``family``."""
        return _family(cls)

    def parameters(cls) -> tuple[tuple[str, Parameter[Any]], ...]:
        """(name, parameter) pairs in positional order."""
        return info_of(cast("type[Task]", cls)).params


def parameters_of(cls: Any) -> tuple[tuple[str, Parameter[Any]], ...]:
    """What ``cls.parameters()`` gives, also of a class that has something else of that name."""
    return info_of(cls).params


def _family(cls: Any) -> str:
    space = _space(cls)
    return f"{space}.{cls.__name__}" if space else str(cls.__name__)


def _space(cls: Any) -> str:
    """The class's own or inherited ``task_namespace``, else that of its module."""
    for base in cls.__mro__:
        own = base.__dict__.get("task_namespace")
        if isinstance(own, str) and base is not Task:
            return own
    return str(cls.__dict__.get("_own_namespace") or "")


def _with_subclasses(cls: Any) -> Iterator[Any]:
    waiting = [cls]
    while waiting:
        one = waiting.pop()
        yield one
        waiting.extend(type.__subclasses__(one))


def _forgetter(interned: dict[Any, InternedRef[Any]]) -> Callable[[Any], None]:
    def forget(ref: InternedRef[Any]) -> None:
        if interned.get(ref.values) is ref:
            del interned[ref.values]

    return forget


def _new_info(cls: Any) -> ClassInfo:
    info = ClassInfo(cls)
    type.__setattr__(cls, "_info", info)
    return info


def info_of(cls: Any) -> ClassInfo:
    """What is known of a class (for the planner and the worker)."""
    return cls._info or _new_info(cls)


def _intern(cls: type[T], info: ClassInfo, given: tuple[Any, ...], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
    """The slow way: fill in what was not given, validate, look again, build. args, kwargs: the call as it was written."""
    values = _validated(cls, info, given)
    key: Any = values
    exact = info.exact and _are_hashable(values)
    if values is not given or not exact:  # else they were looked up before
        key = values if exact else (NO_VALUE, *[p.serialize(v) for (_, p), v in zip(info.params, values, strict=True)])
        if not exact and kinds.wrong_values_are_kept():
            key += tuple(map(type, values))  # 1 and "1" have one text
        ref = info.interned.get(key)
        found: T | None = ref() if ref is not None else None
        if found is not None:
            return found
    task = cls.__new__(cls)
    if info.init_is_own:
        task.__init__(*args, **kwargs)  # type: ignore[misc]  # the user's own constructor
    else:
        info.fill(task, values)
    if _interning:
        fresh = InternedRef(task, info.forget)
        fresh.values = key
        info.interned[key] = fresh
        if _kept is not None:
            _kept.append(task)
    return task


def _are_hashable(values: tuple[Any, ...]) -> bool:
    """Whether values that were checked can be looked up; False only where wrong ones are kept."""
    if not kinds.wrong_values_are_kept():
        return True
    try:
        hash(values)
    except TypeError:
        return False
    return True


_interning = True
_kept: list[Any] | None = None


def keep_wrong_values(tell: Callable[[Parameter[Any], object], None] | None) -> None:
    """Let parameters in Luigi's spelling keep values of other types, and ``tell`` of each; None: refuse them, as usual.

    What old programs rely on: ``Report(limit=None)``, where ``limit`` is an IntParameter.
    """
    kinds.keep_wrong_values(tell)
    for cls in _with_subclasses(Task):
        type.__setattr__(cls, "_info", None)


def keep_instances(keep: bool = True) -> None:
    """Whether tasks live as long as the process from now on; else each as long as somebody holds it.

    For programs that note something on a task and look for it on a second one with the same values.
    """
    global _kept
    _kept = (_kept or []) if keep else None


def intern_instances(intern: bool = True) -> None:
    """Whether the same values give the same task from now on; without it each call of a class makes a new one."""
    global _interning
    _interning = intern
    forget_instances()


def forget_instances() -> None:
    """Forget which tasks there are: the next call of a class makes a new one, whoever holds an old one."""
    if _kept is not None:
        _kept.clear()
    for cls in _with_subclasses(Task):
        cls._interned.clear()


def _validated(cls: Any, info: ClassInfo, given: tuple[Any, ...]) -> tuple[Any, ...]:
    for value in given:
        if value is NO_VALUE:
            given = _with_defaults(cls, info, given)
            break
    try:
        return info.normalize(given)
    except ParameterError:
        raise _all_faults(cls, info, given) from None


def _all_faults(cls: Any, info: ClassInfo, given: tuple[Any, ...]) -> ParameterError:
    faults: list[ParameterError] = []
    for (_, parameter), value in zip(info.params, given, strict=True):
        try:
            parameter.normalize(value)
        except ParameterError as fault:
            faults.append(fault)
    if len(faults) == 1:
        only = faults[0]
        return type(only)(f"{cls.family}: {only.message}", hint=only.hint)
    return ParameterError(f"{cls.family}: {len(faults)} parameters are wrong: " + "; ".join(f.message for f in faults))


def _with_defaults(cls: Any, info: ClassInfo, given: tuple[Any, ...]) -> tuple[Any, ...]:
    values = list(given)
    missing: list[str] = []
    for at, (name, parameter) in enumerate(info.params):
        if values[at] is not NO_VALUE:
            continue
        values[at] = value_without_argument(cls, name, parameter)[0]
        if values[at] is NO_VALUE:
            missing.append(name)
    if missing:
        raise MissingParameter(
            f"{cls.family}: no value for {', '.join(missing)}",
            hint=" ".join(f"Give {name}=... in code or --{name.replace('_', '-')} on the command line." for name in missing[:1])
            + f" Parameters: {_signature(info)}.",
        )
    return tuple(values)


def value_without_argument(cls: Any, name: str, parameter: Parameter[Any]) -> tuple[Any, str]:
    """(value, where from) of a parameter that code gave no value; (NO_VALUE, "") if there is none."""
    if _value_source is not None:
        found = _value_source(cls, name, parameter)
        if found is not None:
            value, where = found
            if isinstance(value, str):
                try:
                    value = parameter.parse(value)
                except ParameterError as fault:
                    raise type(fault)(f"{fault.message} (from {where})", hint=fault.hint) from None
                except (ValueError, TypeError) as fault:
                    shown = "***" if parameter.secret else f"{value!r:.200}: {fault}"
                    raise ParameterError(f"{cls.family}.{name}: {shown} (from {where})") from (None if parameter.secret else fault)
            return value, where
    return parameter.default, "default"


def _signature(info: ClassInfo) -> str:
    return ", ".join(n if not p.has_default else f"{n}={p.default!r}" if not p.secret else f"{n}=***" for n, p in info.params)


def _explain_arguments(cls: Any, info: ClassInfo, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ParameterError:
    names = [n for n, p in info.params if p.positional]
    unknown = [n for n in kwargs if n not in info.names]
    if unknown:
        import difflib

        near = difflib.get_close_matches(unknown[0], info.names, 1)
        hint = f"Did you mean {near[0]}?" if near else f"Parameters: {_signature(info)}."
        return UnknownParameter(f"{cls.family} has no parameter {unknown[0]}", hint=hint)
    if len(args) > len(names):
        return UnknownParameter(
            f"{cls.family} takes {len(names)} parameters by position, got {len(args)}: {args!r:.200}",
            hint=f"Parameters: {_signature(info)}.",
        )
    twice = [n for n in names[: len(args)] if n in kwargs]
    return DuplicateParameter(f"{cls.family}: {', '.join(twice)} given by position and by name")


_reads_annotations: Callable[[Any], bool] | None = None


def read_annotations_of(which: Callable[[Any], bool] | None) -> None:
    """Of which classes annotations are parameters from now on; None: of all, as usual. In old programs they are types alone.

    The others do not know either what ``retry``, ``timeout``, ``batch_limit``, ``owners`` and ``namespace`` mean to us.
    """
    global _reads_annotations
    _reads_annotations = which


def _is_old(cls: Any) -> bool:
    return _reads_annotations is not None and not _reads_annotations(cls)


def _adopt_annotations(cls: Any) -> None:
    """Turn ``day: date`` and ``window: int = 7`` into parameters; raise all faults of the class together."""
    faults: list[str] = []
    own = cls.__dict__
    annotations = _own_annotations(cls)
    if annotations and _is_old(cls):
        annotations = {}
    for name, annotation in annotations.items():
        if name in NOT_PARAMETERS and name not in own:
            faults.append(f"{name}: an attribute with a meaning of its own; give it a value, or choose another name for a parameter")
        if _is_parameter_annotation(cls, name, annotation):
            try:
                _adopt(cls, name, annotation)
            except (DefinitionError, ParameterError) as fault:
                faults.append(f"{name}: {fault}")
    for name, value in list(own.items()):
        if isinstance(value, Parameter):
            if name in RESERVED and (value.typed or name not in FOR_AUTHORS):
                faults.append(f"{name}: a parameter cannot have this name, the engine calls it")
        elif is_marker(value):
            faults.append(f"{name}: param() needs an annotation, as in `{name}: int = param(...)`")
    if faults:
        raise DefinitionError(f"{cls.__module__}.{cls.__qualname__} is defined wrongly: " + "; ".join(faults))


def _own_annotations(cls: Any) -> dict[str, Any]:
    try:
        return dict(cls.__annotations__ if sys.version_info >= (3, 14) else cls.__dict__.get("__annotations__", {}))
    except NameError as fault:  # from 3.14 on they are evaluated here
        where = f"{cls.__module__}.{cls.__qualname__}"
        raise DefinitionError(f"{where}: an annotation cannot be evaluated: {fault}", hint=AT_RUN_TIME) from None


AT_RUN_TIME = "Import the type at run time (not under TYPE_CHECKING) above the class."


def _is_parameter_annotation(cls: Any, name: str, annotation: Any) -> bool:
    if name.startswith("_") or name in NOT_PARAMETERS or isinstance(cls.__dict__.get(name), Parameter):
        return False
    text = annotation if isinstance(annotation, str) else ""
    if text.split("[")[0].split(".")[-1] in ("ClassVar", "Final"):
        return False
    origin = getattr(annotation, "__origin__", annotation)
    return origin is not ClassVar


def _adopt(cls: Any, name: str, annotation: Any) -> None:
    from .params.annotations import from_annotation

    default = cls.__dict__.get(name, NO_VALUE)
    if default is NO_VALUE:
        inherited = _static(cls, name)
        default = inherited.default if isinstance(inherited, Parameter) else NO_VALUE
    if isinstance(default, (property, staticmethod, classmethod)) or hasattr(default, "__code__"):
        return
    if isinstance(annotation, str):
        annotation = _evaluated(cls, name, annotation)
    parameter = from_annotation(annotation, default, None, cls.__module__)
    parameter.typed = True
    type.__setattr__(cls, name, parameter)
    parameter.__set_name__(cls, name)


def _evaluated(cls: Any, name: str, text: str) -> Any:
    module = sys.modules.get(cls.__module__)
    scope = dict(vars(module)) if module is not None else {}
    try:
        return eval(text, scope, _caller_scope(cls))  # noqa: S307 - the author's own annotation
    except NameError as fault:
        raise DefinitionError(
            f"the annotation {text!r} cannot be evaluated: {fault}",
            hint=AT_RUN_TIME,
        ) from None


def _caller_scope(cls: Any) -> dict[str, Any]:
    """Local names of the function that a class is defined in; empty for module-level classes."""
    if "<locals>" not in cls.__qualname__:
        return {}
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__") == __name__:
        frame = frame.f_back
    scope: dict[str, Any] = {}
    while frame is not None and frame.f_code.co_name != "<module>":
        scope = {**frame.f_locals, **scope}
        frame = frame.f_back
    return scope


# -- the registry ------------------------------------------------------------------------------


class Registry:
    """All task classes that were imported, by family."""

    def __init__(self) -> None:
        self._classes: dict[str, list[weakref.ref[type[Task]]]] = {}
        self._kept: dict[type[Task], None] | None = None

    def keep(self, keep: bool = True) -> None:
        """Whether classes live as long as the process from now on, as those that a function makes and nobody holds."""
        self._kept = dict.fromkeys(self.classes()) if keep else None

    def add(self, cls: type[Task]) -> None:
        """Remember a class; one of the same module and name, or a parent of it, makes room for it."""
        family = cls.get_task_family()
        kept = [ref for ref in self._classes.get(family, []) if (other := ref()) is not None and not _succeeds(cls, other)]
        self._classes[family] = [*kept, weakref.ref(cls)]
        if self._kept is not None:
            self._kept[cls] = None

    def families(self) -> dict[str, type[Task]]:
        """Families that name exactly one class, without Levada's own bases; sorted."""
        found = {}
        for family in sorted(self._classes):
            classes = self._alive(family)
            if len(classes) == 1 and classes[0].__module__ != __name__:
                found[family] = classes[0]
        return found

    def classes(self) -> list[type[Task]]:
        """Every class that is known and still there, by family; those of one family in the order of their definition."""
        return [cls for family in sorted(self._classes) for cls in self._alive(family)]

    def replace(self, classes: Iterable[type[Task]]) -> None:
        """Know these classes and no others (for tests, which put back what they found)."""
        self._classes = {}
        for cls in (known := list(classes)):
            self._classes.setdefault(cls.get_task_family(), []).append(weakref.ref(cls))
        if self._kept is not None:
            self._kept = dict.fromkeys(known)

    def own(self) -> list[str]:
        """Families that users define: without Levada's bases, wherever those stand."""
        package = __name__.partition(".")[0] + "."
        return [family for family, cls in self.families().items() if not cls.__module__.startswith(package)]

    def _alive(self, family: str) -> list[type[Task]]:
        return [cls for ref in self._classes.get(family, []) if (cls := ref()) is not None]

    def find(self, name: str) -> type[Task]:
        """The class of a family, or of a class name that only one namespace has.

        Raises UnknownTask with the nearest names, AmbiguousTask with where each class is defined.
        ``module:Family`` tells classes of one name apart.
        """
        module, _, family = name.rpartition(":")
        classes = self._alive(family)
        if not classes and "." not in family:
            classes = [c for full in self._classes if full.rpartition(".")[2] == family for c in self._alive(full)]
        if module:
            classes = [c for c in classes if c.__module__ == module]
        if len(classes) == 1:
            return classes[0]
        if classes:
            places = ", ".join(sorted(f"{c.__module__}:{c.get_task_family()}" for c in classes))
            raise AmbiguousTask(
                f"{name} is the name of {len(classes)} tasks: {places}",
                hint="Give one of them a task_namespace, or write one of these names.",
            )
        raise UnknownTask(f"no task {name} was imported", hint=self._nearest(family))

    def _nearest(self, family: str) -> str:
        import difflib

        known = self.own()
        near = difflib.get_close_matches(family, known, 3, 0.5)
        lower = [k for k in known if k.lower().rpartition(".")[2] == family.lower()]
        near = lower + [n for n in near if n not in lower]
        if near:
            return f"Did you mean {' or '.join(near[:3])}?"
        return (
            f"Known: {', '.join(known[:10])}{', ...' if len(known) > 10 else ''}."
            if known
            else "No module with tasks was imported; name it with --module."
        )


def _succeeds(new: type[Task], old: type[Task]) -> bool:
    same_place = (new.__module__, new.__qualname__) == (old.__module__, old.__qualname__)
    return same_place or (issubclass(new, old) and new.get_task_family() == old.get_task_family())


registry = Registry()

_namespaces: dict[str, str] = {}


def namespace(namespace: str | None = None, scope: str = "") -> None:
    """Give all tasks that are defined from here on in modules below ``scope`` a namespace; None takes it back."""
    if namespace is None:
        _namespaces.pop(scope, None)
    else:
        _namespaces[scope] = namespace


def auto_namespace(scope: str = "") -> None:
    """Like ``namespace``, with each task's module as its namespace."""
    _namespaces[scope] = "\0auto"


def namespace_of(module: str) -> str:
    """The namespace that tasks of a module get, "" for none."""
    for scope in sorted(_namespaces, key=len, reverse=True):
        if scope in ("", module) or module.startswith(scope + "."):
            space = _namespaces[scope]
            return module if space == "\0auto" else space
    return ""


# -- events ------------------------------------------------------------------------------------


class Event:
    """Names of the moments that handlers can be attached to (Luigi's names and values)."""

    DEPENDENCY_DISCOVERED = "event.core.dependency.discovered"  # (task, requirement)
    DEPENDENCY_MISSING = "event.core.dependency.missing"  # (task)
    DEPENDENCY_PRESENT = "event.core.dependency.present"  # (task)
    BROKEN_TASK = "event.core.task.broken"  # (task, exception)
    START = "event.core.start"  # (task)
    PROGRESS = "event.core.progress"  # (task, ...)
    FAILURE = "event.core.failure"  # (task, exception)
    SUCCESS = "event.core.success"  # (task)
    PROCESSING_TIME = "event.core.processing_time"  # (task, seconds)
    TIMEOUT = "event.core.timeout"  # (task, message)
    PROCESS_FAILURE = "event.core.process_failure"  # (task, message)


_handlers: dict[str, dict[Any, list[Callable[..., Any]]]] = {}


def handlers() -> Mapping[str, object]:
    """All handlers by event, as they are now and will be; empty while nobody listens."""
    return _handlers


def has_handlers(event: str) -> bool:
    """Whether anybody listens to an event at all."""
    return event in _handlers


# -- tasks -------------------------------------------------------------------------------------


class Task(metaclass=Register):
    """One piece of work. Subclass it, annotate its parameters, define ``requires``, ``output`` and ``run``.

    Attributes a subclass may set: ``priority`` (higher first), ``resources`` ({name: amount}), ``retry``
    (``levada.Retry``), ``timeout`` (seconds), ``disabled``, ``batch_limit``, ``owners``, ``tags``.
    ``remote_complete = True`` says that an own ``complete()`` asks something far away, so that many
    are asked at once from threads.
    """

    priority: ClassVar[Any] = 0
    resources: ClassVar[Any] = {}
    retry: ClassVar[Retry | None] = None
    timeout: ClassVar[float | None] = None
    disabled: ClassVar[Any] = False
    batch_limit: ClassVar[int | None] = None
    owners: ClassVar[tuple[str, ...]] = ()
    tags: ClassVar[tuple[str, ...]] = ()
    remote_complete: ClassVar[bool] = False
    # Luigi's names for the same
    owner_email: ClassVar[Any] = None
    max_batch_size: ClassVar[Any] = float("inf")
    retry_count: ClassVar[Any] = None
    worker_timeout: ClassVar[Any] = None
    disable_hard_timeout: ClassVar[Any] = None
    disable_window: ClassVar[Any] = None
    task_namespace: ClassVar[Any] = None
    _fence: ClassVar[Any] = None  # set on the instance while it runs

    if not TYPE_CHECKING:

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            """Set the parameters; called by constructors that override this one."""
            info = info_of(type(self))
            try:
                values = info.bind(*args, **kwargs)
            except TypeError:
                if info.bind.__name__ != "bind":  # the class's own
                    raise
                raise _explain_arguments(type(self), info, args, kwargs) from None
            info.fill(self, _validated(type(self), info, values))

    @classmethod
    def get_task_family(cls) -> str:
        """``namespace.ClassName``, or the class name alone where there is no namespace."""
        return _family(cls)

    @classmethod
    def get_task_namespace(cls) -> str:
        """The namespace, "" where there is none."""
        return _space(cls)

    @classmethod
    def get_params(cls) -> list[tuple[str, Parameter[Any]]]:
        """(name, parameter) pairs in positional order (Luigi's name for ``parameters()``)."""
        return list(info_of(cls).params)

    # -- what authors define

    def requires(self) -> Any:
        """Tasks that must be complete first: one, or any nesting of lists, tuples, dicts, generators."""
        return []

    def output(self) -> Any:
        """Targets that exist when the task is complete, in any nesting."""
        return []

    def run(self) -> Any:
        """Make the outputs. May be a generator that yields further requirements, or ``async def``."""

    def complete(self) -> bool:
        """Whether all outputs exist; without outputs and without a ``run`` of its own: whether all requirements are complete."""
        outputs = flatten(self.output())
        if outputs:
            return all(target.exists() for target in outputs)
        if info_of(type(self)).run_is_own:
            return False
        return all(task.complete() for task in flatten(self.requires()))

    def on_success(self) -> Any:
        """Called in the process that ran it after the outputs were seen."""

    def on_failure(self, exception: BaseException) -> Any:
        """Called when ``run`` raised; text that it returns is added to the report."""

    def process_resources(self) -> Mapping[str, int]:
        """Resources that a run of this task holds; override where they depend on parameters."""
        return cast("Mapping[str, int]", self.resources)

    # -- what authors use

    def input(self) -> Any:
        """The outputs of ``requires()``, in the same nesting."""
        return map_structure(lambda task: task.output(), self.requires())

    def _requires(self) -> Any:
        """``requires()``, and what a template adds to it that is no input; it overrides this and leaves ``requires()`` to its users."""
        return self.requires()

    def deps(self) -> list[Any]:
        """All that must be complete first, as a flat list."""
        return flatten(self._requires())

    def clone(self, cls: Any = None, **kwargs: Any) -> Any:
        """Another task with the parameters that both have in common, changed by ``kwargs``.

        What is no parameter of ours, and yet an attribute, counts as common; a change of one of ours that the other lacks is left out.
        """
        into = cls if cls is not None else type(self)
        own, theirs = info_of(type(self)).names, info_of(into).names
        common = {n: getattr(self, n) for n in theirs if n in own or (not hasattr(Task, n) and hasattr(self, n))}
        return into(**common | {name: value for name, value in kwargs.items() if name in theirs or name not in own})

    @classmethod
    def from_texts(cls, texts: Mapping[str, str]) -> Self:
        """The task whose parameters have these texts; the others get what is configured."""
        values = {name: parameter.parse(texts[name]) for name, parameter in info_of(cls).params if name in texts}
        unknown = [name for name in texts if name not in info_of(cls).names]
        if unknown:
            raise _explain_arguments(cls, info_of(cls), (), dict.fromkeys(unknown))
        return cls(**values)

    def to_texts(self, only_significant: bool = False) -> dict[str, str]:
        """Every parameter as text, in positional order; ``from_texts`` reads it back exactly."""
        return {n: p.serialize(getattr(self, n)) for n, p in info_of(type(self)).params if p.significant or not only_significant}

    @property
    def param_kwargs(self) -> dict[str, Any]:
        """Parameter values by name."""
        return {name: getattr(self, name) for name in info_of(type(self)).names}

    @property
    def param_args(self) -> tuple[Any, ...]:
        """Parameter values in positional order."""
        return tuple(self.param_kwargs.values())

    @property
    def family(self) -> str:
        """``namespace.ClassName``."""
        return type(self).get_task_family()

    @property
    def task_family(self) -> str:
        """Luigi's name for ``family``."""
        return type(self).get_task_family()

    @property
    def key(self) -> TaskKey:
        """The stable name over processes, machines and Python versions; see ``key_of``."""
        return key_of(self)

    @property
    def task_id(self) -> str:
        """Luigi's form: family, the first three values, ten hex digits. For people and old programs."""
        return task_id_of(self)

    @property
    def fence(self) -> Fence | None:
        """The fence of the attempt that is running this task, None outside ``run()``."""
        held = self._fence
        if isinstance(held, str):  # in a child it came as text
            from ._model.messages import Fence

            epoch, _, number = held.partition(".")
            return Fence(int(epoch), int(number)) if number else None
        return cast("Fence | None", held)

    # -- events

    @classmethod
    def event_handler(cls, event: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Decorator: call the function on this event of this class and its subclasses."""

        def attach(function: Callable[..., Any]) -> Callable[..., Any]:
            _handlers.setdefault(event, {}).setdefault(cls, []).append(function)
            return function

        return attach

    @classmethod
    def remove_event_handler(cls, event: str, handler: Callable[..., Any]) -> None:
        """Take a handler back."""
        _handlers.get(event, {}).get(cls, []).remove(handler)

    def trigger_event(self, event: str, *args: Any, **kwargs: Any) -> None:
        """Call the handlers of an event; what they raise is logged and goes no further."""
        for cls, handlers in list(_handlers.get(event, {}).items()):
            if isinstance(self, cls):
                for handler in list(handlers):
                    try:
                        handler(*args, **kwargs)
                    except FROM_USERS:
                        import logging

                        logging.getLogger("levada").exception("handler of %s raised", event, extra={"task": repr(self)})

    # -- progress, for people

    def set_status_message(self, message: str) -> None:
        """One line that tells where a long run stands."""
        self._status_message = str(message)

    def set_progress_percentage(self, percentage: float) -> None:
        """How far a long run is, 0 to 100."""
        self._progress = float(percentage)

    def set_tracking_url(self, url: str) -> None:
        """Where the run can be watched."""
        self._tracking_url = str(url)

    # -- as a value

    def __repr__(self) -> str:
        return repr_of(self)

    def __reduce__(self) -> Any:
        return _from_values, (type(self), self.param_kwargs)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self


def _from_values(cls: Any, values: dict[str, Any]) -> Any:
    return cls(**values)


class WrapperTask(Task):
    """Groups other tasks: complete when all its requirements are."""

    def complete(self) -> bool:
        """Whether all requirements are complete."""
        return all(task.complete() for task in flatten(self.requires()))


class ExternalTask(Task):
    """Something that others make: it has outputs and no ``run``; Levada only waits for it."""

    run = None  # type: ignore[assignment]  # that is what makes it external


class Config(Task):
    """A bag of parameters, filled from the configuration."""


def externalize(task: Any) -> Any:
    """The same task (or class) without its ``run``: something that others make. The original stays, and alone is found by name."""
    if isinstance(task, type):
        cls: Any = task
        body = {
            "run": None,
            "__module__": cls.__module__,
            "__qualname__": cls.__qualname__ + "#external",
            "__reduce__": lambda self: (_external_from_values, (cls, self.param_kwargs)),
            "task_namespace": cls.get_task_namespace(),
            "_visible_in_registry": False,
        }
        return Register(cls.__name__, (cls,), body)
    return task.clone(_external_of(type(task)))


_externals: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


def _external_of(cls: Any) -> Any:
    """The one external class beside a class, for tasks that were made external one by one: equal ones stay the same."""
    made = _externals.get(cls)
    found = made() if made is not None else None
    if found is None:
        found = externalize(cls)
        _externals[cls] = weakref.ref(found)
    return found


def _external_from_values(cls: Any, values: dict[str, Any]) -> Any:
    return _external_of(cls)(**values)


# -- identity, for the engine: safe when a parameter shadows a name of Task ----------------------


def canonical_of(task: Any) -> str:
    """JSON object text of the significant parameters, sorted by name, values serialised, secret and private ones masked."""
    return info_of(type(task)).texts(task)


def key_of(task: Any, canonical: str | None = None) -> TaskKey:
    """128 bits: BLAKE2b of family, newline and canonical text. Stable over machines and Python versions."""
    info = info_of(type(task))
    if info.hash_start is None:
        from _blake2 import blake2b

        info.hash_start = blake2b(type(task).get_task_family().encode() + b"\n", digest_size=16)
    text = info.texts(task) if canonical is None else canonical
    eater = info.hash_start.copy()
    eater.update(text.encode())
    key: TaskKey = eater.digest()
    return key


def can_be_named(task: Any) -> bool:
    """Whether this process can compute the task's key: its secrets, if they count, need one (``set_secret_mac``)."""
    return _secret_mac is not None or not any(p.secret and p.significant for _, p in info_of(type(task)).params)


def identity_of(task: Any) -> tuple[TaskKey, str]:
    """Key and canonical text at once, for those who need both of each task that runs."""
    info = type(task)._info
    start = None if info is None else info.hash_start
    if info is None or start is None:
        text = canonical_of(task)
        return key_of(task, text), text
    text = info.texts(task)
    eater = start.copy()
    eater.update(text.encode())
    return eater.digest(), text


ID_PARAMS, ID_TEXT, ID_DIGITS = 3, 16, 10
"""Of a task_id: values that are told in it, characters of each, digits of the hash."""


def task_id_of(task: Any) -> str:
    """The task's ``task_id_str``. A value that not everybody may see is in its hash alone; where all may, it is Luigi's to the letter."""
    texts = {n: p.serialize(getattr(task, n)) for n, p in info_of(type(task)).params if p.significant and p.visibility == 0}
    return _id_str(type(task).get_task_family(), texts, canonical_of(task))


def task_id_str(family: str, texts: Mapping[str, str]) -> str:
    """Luigi's ``Family_first_three_values_md5``, the values by name.

    >>> task_id_str("Daily", {"shop": "north", "day": "2013-01-05"})
    'Daily_2013_01_05_north_7cd853cb48'
    """
    import json

    return _id_str(family, texts, json.dumps(dict(texts), separators=(",", ":"), sort_keys=True))


def _id_str(family: str, texts: Mapping[str, str], whole: str) -> str:
    import re
    from hashlib import md5

    summary = "_".join(texts[name][:ID_TEXT] for name in sorted(texts)[:ID_PARAMS])
    digest = md5(whole.encode(), usedforsecurity=False).hexdigest()[:ID_DIGITS]
    return f"{family}_{re.sub('[^A-Za-z0-9_]', '_', summary)}_{digest}"


def repr_of(task: Any) -> str:
    """``Family(day=2013-01-05, window=7)``: significant parameters, secret and private ones masked, long texts cut."""
    parts = []
    for name, parameter in info_of(type(task)).params:
        if parameter.significant and name in task.__dict__:
            text = "***" if parameter.withheld else parameter.serialize(getattr(task, name))
            parts.append(f"{name}={text if len(text) <= 80 else text[:77] + '...'}")
    return f"{type(task).get_task_family()}({', '.join(parts)})"


def policy_of(task: Any) -> Policy:
    """What the scheduler is told of resources, retries and timeouts; shared by tasks that agree."""
    info = type(task)._info or info_of(type(task))
    if info.policy is not None:
        return info.policy
    policy = _policy(task, type(task).get_task_family())
    return _shared.setdefault(policy, policy)


_shared: dict[Policy, Policy] = {}


def priority_of(task: Any) -> int:
    """The task's own priority."""
    info = info_of(type(task))
    return info.priority if info.priority is not None else _priority(task.priority, type(task).get_task_family())


def batch_group_of(task: Any) -> str | None:
    """Equal for tasks that may share a lease: same family, same values but in batched parameters."""
    info = info_of(type(task))
    if not info.batched:
        return None
    rest = [f"{n}={p.serialize(getattr(task, n))!r}" for n, p in info.params if n not in info.batched]
    return f"{type(task).get_task_family()}({', '.join(rest)})"


def combined(tasks: list[Any]) -> Any:
    """One task that does the work of several of one batch group."""
    first = tasks[0]
    if len(tasks) == 1:
        return first
    values = first.param_kwargs
    for name, parameter in info_of(type(first)).params:
        if name in info_of(type(first)).batched:
            values[name] = parameter.parse_many([parameter.serialize(getattr(task, name)) for task in tasks])
    return type(first)(**values)


def secret_values(task: Any) -> list[str]:
    """Texts of secret parameters, to be masked wherever the task's words are shown."""
    return [text for n, p in info_of(type(task)).params if p.secret and (text := p.serialize(getattr(task, n)))]
