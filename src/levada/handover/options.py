"""Options of a job, read by the engine that understands them: a wrong one is refused with its value and what was expected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from levada._model.engines import JobSpec
from levada.errors import JobRefused


class Options:
    """What `JobSpec.options` holds, taken one by one; `end` refuses what nobody took.

    >>> options = Options("docker", JobSpec("a1", "Count()", ("true",), options={"image": "busybox", "imgae": "x"}))
    >>> options.text("image")
    'busybox'
    >>> options.end()
    Traceback (most recent call last):
    levada.errors.JobRefused: Count(): docker has no option 'imgae'
      Did you mean 'image'? It knows: image.
    """

    def __init__(self, engine: str, job: JobSpec) -> None:
        self._engine, self._title, self._given = engine, job.title, dict(job.options)
        self._known: list[str] = []

    def text(self, name: str, default: str = "") -> str:
        """A text."""
        value = self._take(name)
        if value is None:
            return default
        return value if isinstance(value, str) else self._refuse(name, value, "a text")

    def words(self, name: str) -> list[str]:
        """A text, split as a shell would split it."""
        import shlex

        text = self.text(name)
        try:
            return shlex.split(text)
        except ValueError:
            return self._refuse(name, text, "words as for a shell, with quotes that close")

    def choice(self, name: str, among: tuple[str, ...]) -> str:
        """One of some words; the first of them where none is given."""
        value = self._take(name)
        if value is None:
            return among[0]
        return value if isinstance(value, str) and value in among else self._refuse(name, value, f"one of {', '.join(among)}")

    def whole(self, name: str) -> int | None:
        """A whole number of 0 or more, or None."""
        value = self._take(name)
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
            return value
        return self._refuse(name, value, "a whole number, 0 or more")

    def flag(self, name: str) -> bool:
        """True or False; False where it is not given."""
        value = self._take(name)
        if value is None:
            return False
        return value if isinstance(value, bool) else self._refuse(name, value, "True or False")

    def texts(self, name: str) -> list[str]:
        """A list of texts."""
        value = self._take(name)
        if value is None:
            return []
        if isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value):
            return list(value)
        return self._refuse(name, value, "a list of texts")

    def mappings(self, name: str) -> list[dict[str, object]]:
        """A list of mappings."""
        value = self._take(name)
        if value is None:
            return []
        if isinstance(value, (list, tuple)) and all(_is_mapping(one) for one in value):
            return [dict(one) for one in value]
        return self._refuse(name, value, "a list of mappings")

    def mapping(self, name: str) -> dict[str, object]:
        """A mapping of texts to anything."""
        value = self._take(name)
        if value is None:
            return {}
        return dict(value) if isinstance(value, Mapping) and _is_mapping(value) else self._refuse(name, value, "a mapping")

    def labels(self, name: str) -> dict[str, str]:
        """A mapping of texts to texts."""
        value = self.mapping(name)
        found = {key: text for key, text in value.items() if isinstance(text, str)}
        return found if len(found) == len(value) else self._refuse(name, value, "a mapping of texts to texts")

    def end(self) -> None:
        """Raises JobRefused for an option that was given and not taken."""
        left = sorted(set(self._given) - set(self._known))
        if left:
            from difflib import get_close_matches

            near = get_close_matches(left[0], self._known, 1)
            meant = f"Did you mean {near[0]!r}? " if near else ""
            raise JobRefused(
                f"{self._title}: {self._engine} has no option {left[0]!r}", hint=f"{meant}It knows: {', '.join(sorted(self._known))}."
            )

    def _take(self, name: str) -> object:
        self._known.append(name)
        return self._given.get(name)

    def _refuse(self, name: str, value: object, expected: str) -> NoReturn:
        raise JobRefused(
            f"{self._title}: option {name!r} of {self._engine} is {value!r}: expected {expected}", hint="Change it in the task's options()."
        )


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)
