"""Decorators that pass parameters from a requirement down to the task that needs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from .errors import DefinitionError
from .task import Task, info_of

C = TypeVar("C", bound=type[Task])


def inherits(*parents: type[Task], **named: type[Task]) -> Callable[[C], C]:
    """Give the class every parameter of the parents that it lacks, and ``clone_parent(s)()``.

    ``clone_parent()`` is the first parent with our values; ``clone_parents()`` a list of all, or a dict
    where they were given by name. A parameter of the class itself wins.
    """
    if bool(parents) == bool(named):
        raise DefinitionError("inherits() needs parent classes, all by position or all by name")

    def decorate(cls: C) -> C:
        for parent in (*parents, *named.values()):
            for name, parameter in info_of(parent).params:
                if not hasattr(cls, name):
                    setattr(cls, name, parameter)

        def clone_parents(self: Task, **changed: Any) -> Any:
            if named:
                return {name: self.clone(parent, **changed) for name, parent in named.items()}
            return [self.clone(parent, **changed) for parent in parents]

        def clone_parent(self: Task, **changed: Any) -> Any:
            return self.clone(parents[0] if parents else next(iter(named.values())), **changed)

        cls.clone_parents = clone_parents
        cls.clone_parent = clone_parent
        return cls

    return decorate


def requires(*parents: type[Task], **named: type[Task]) -> Callable[[C], C]:
    """``inherits`` and, besides, require the parents: one as itself, several as a list, named ones as a dict.

    >>> from levada import Task, requires
    >>> class Orders(Task):
    ...     shop: str
    >>> @requires(Orders)
    ... class Revenue(Task):
    ...     pass
    >>> Revenue(shop="north").requires()
    Orders(shop=north)
    """
    inherit = inherits(*parents, **named)

    def decorate(cls: C) -> C:
        inherit(cls)
        single = len(parents) == 1

        def required(self: Task) -> Any:
            return self.clone_parent() if single else self.clone_parents()  # type: ignore[attr-defined]  # made by inherits

        cls.requires = required  # type: ignore[method-assign]
        return cls

    return decorate


def copies(parent: type[Task]) -> Callable[[C], C]:
    """``requires(parent)`` with a ``run`` that copies the parent's one output to ours."""
    require = requires(parent)

    def decorate(cls: C) -> C:
        require(cls)

        def run(self: Task) -> None:
            source, target = self.requires().output(), self.output()
            with source.open("r") as lines, target.open("w") as out:
                for line in lines:
                    out.write(line)

        cls.run = run  # type: ignore[method-assign]
        return cls

    return decorate
