"""Paths. pathlib is imported by whoever has a path, not by us."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import ParameterError
from .base import NO_VALUE, OptionalParameterMixin, Parameter, checked_text

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Unpack

    from .base import NoValue, Options


class PathParameter(Parameter["Path"]):
    """A ``pathlib.Path``; from code also text. absolute: made so. exists: refused where it does not."""

    exact = True
    takes = "a path"
    expected = "a path, e.g. data/2013.csv"

    def __init__(
        self, default: Path | NoValue = NO_VALUE, *, absolute: bool = False, exists: bool = False, **options: Unpack[Options]
    ) -> None:
        super().__init__(default=default, **options)
        self.absolute = absolute
        self.exists = exists
        # The same text means other paths in other working folders, and now and later.
        self.exact = type(self).exact and not absolute and not exists

    def parse(self, text: str) -> Path:
        """The path that is written."""
        return self.normalize(text)

    def serialize(self, value: Path) -> str:
        """The path as it is written."""
        return str(value)

    def normalize(self, value: Any) -> Path:
        """A Path, absolute and existing where that is asked for."""
        from pathlib import Path, PurePath

        if value == "None" and self._takes_none:
            value = None
        if not isinstance(value, (str, PurePath)):
            return self.refuse(value)
        if checked_text(str(value)) is None:
            raise self.wrong(value)
        path = Path(value)
        if self.absolute:
            path = path.absolute()
        if self.exists and not path.exists():
            raise ParameterError(f"{self.name or 'path'}: The path {'***' if self.secret else path} does not exist")
        return path


class OptionalPathParameter(OptionalParameterMixin["Path"], PathParameter):  # type: ignore[misc]  # they differ in what __get__ gives
    """A path or None."""

    exact = True

    if TYPE_CHECKING:

        def __init__(
            self, default: Path | NoValue | None = None, *, absolute: bool = False, exists: bool = False, **options: Unpack[Options]
        ) -> None: ...
