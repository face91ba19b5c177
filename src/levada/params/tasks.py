"""Task classes and tasks as values. The text of a class is its family; of a task, JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ..errors import LevadaError, ParameterError
from .base import NO_VALUE, Parameter, within
from .frozen import read_json, write_json

if TYPE_CHECKING:
    from typing import Unpack

    from ..task import Task
    from .base import NoValue, Options


def _find(family: str) -> type[Task]:
    from ..task import registry

    return registry.find(family)


class TaskParameter(Parameter["type[Task]"]):
    """A task class, named by its family. base: a class that it must descend from."""

    exact = True
    takes = "a task class"
    expected = "the family of an imported task, e.g. sales.DailyRevenue"

    def __init__(self, default: type[Task] | NoValue = NO_VALUE, *, base: type[Task] | None = None, **options: Unpack[Options]) -> None:
        super().__init__(default=default, **options)
        self.base = base
        if base is not None:
            self.takes = f"a task class below {base.__name__}"

    def parse(self, text: str) -> type[Task]:
        """The class of a family that was imported."""
        if text == "None" and self._takes_none:
            return self.refuse(None)
        try:
            return self.normalize(_find(text))
        except ParameterError:
            raise
        except LevadaError as fault:
            raise self.wrong(text, f"{self.takes}: {fault.message}", hint=fault.hint) from None

    def serialize(self, value: type[Task] | None) -> str:
        """The family."""
        return value.get_task_family() if value is not None else "None"

    def keep(self, value: Any) -> Any:
        """A task in place of its class, which is all that its text tells."""
        from ..task import Task

        return value if isinstance(value, Task) else NO_VALUE

    def normalize(self, value: Any) -> type[Task]:
        """Lets task classes pass."""
        if not isinstance(value, type):
            return self.refuse(value)
        if self.base is None:
            from ..task import Task

            return value if issubclass(value, Task) else self.refuse(value)
        return value if issubclass(value, self.base) else self.refuse(value)


class TaskValueParameter(Parameter["Task"]):
    """What the annotation of a task class makes: a task of it, ``{"family": ..., "params": {...}}``.

    The text holds all parameters, insignificant ones too, so that the same task comes back; for that
    reason ``exact`` is False. A class with secret parameters is refused: they would stand in the text.
    """

    takes = "a task"
    expected = '{"family": "sales.DailyRevenue", "params": {"day": "2013-01-31"}}'

    def __init__(self, base: type[Task], **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self.base = base
        self.takes = f"a task of class {base.__name__}"

    def parse(self, text: str) -> Task:
        """The task of a JSON text."""
        try:
            return self.from_json(read_json(text))
        except ParameterError:
            raise
        except ValueError:
            return self.misread(text)

    def serialize(self, value: Task) -> str:
        """Family and parameters as JSON, parameters sorted by name."""
        return write_json(self.to_json(value))

    def normalize(self, value: Any) -> Task:
        """Lets tasks of the class pass."""
        from ..task import parameters_of

        if not isinstance(value, self.base):
            return self.refuse(value)
        secret = [name for name, parameter in parameters_of(type(value)) if parameter.secret]
        if secret:
            raise self.wrong(value, f"{self.takes} without secrets: {secret[0]} is one, and would stand in the text")
        return value

    def to_json(self, value: Task) -> Any:
        """Family and parameters."""
        return {"family": type(value).get_task_family(), "params": dict(sorted(value.to_texts().items()))}

    def from_json(self, data: Any) -> Task:
        """The task of ``to_json``."""
        if not (isinstance(data, dict) and set(data) == {"family", "params"} and isinstance(data["params"], dict)):
            return self.refuse(data)
        try:
            return self.normalize(_find(str(data["family"])).from_texts(cast("dict[str, str]", data["params"])))
        except ParameterError as fault:
            raise within(self.name, fault) if self.name else fault from None
        except LevadaError as fault:
            raise self.wrong(data, f"{self.takes}: {fault.message}", hint=fault.hint) from None
