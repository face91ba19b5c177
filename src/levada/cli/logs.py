"""Log lines: plain for people or JSON for machines, control characters escaped, set up when first needed.

Rooms log through ``logging`` under the name ``levada`` with fields (``extra=``); nobody below the roof
configures logging. A program that set up logging itself keeps what it did.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC
from typing import IO

from .text import escape

STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""Attributes that every record has; all others are fields."""


def set_up(level: str = "warning", *, as_json: bool = False, stream: IO[str] | None = None) -> logging.Handler | None:
    """Show records of ``level`` and above on stderr (or ``stream``); None when logging is set up already."""
    root = logging.getLogger()
    if root.handlers:
        return None
    handler: logging.Handler = logging.StreamHandler(stream) if stream is not None else ToStderr()
    handler.setFormatter(JsonLines() if as_json else PlainLines())
    root.addHandler(handler)
    root.setLevel(level.upper())
    return handler


class ToStderr(logging.Handler):
    """Writes to what ``sys.stderr`` is when the line comes: while a bar shows, that is above the bar."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; a broken pipe or a wrong format never stops a run."""
        try:
            print(self.format(record), file=sys.stderr)
        except Exception:
            self.handleError(record)


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """The fields that the caller gave as ``extra``, in its order."""
    return {name: value for name, value in vars(record).items() if name not in STANDARD}


class PlainLines(logging.Formatter):
    """``12:03:01 WARNING levada: lease granted task=A(day=2013-01-05) fence=1.7``."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """One line, more only for a traceback."""
        text = super().format(record)
        first, newline, rest = text.partition("\n")
        fields = "".join(f" {name}={value}" for name, value in fields_of(record).items())
        return escape(f"{first}{fields}".replace("\n", "\\n") + newline + rest)


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, the fields, error."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON; a field that JSON does not know becomes its text."""
        import json
        from datetime import datetime

        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, value in fields_of(record).items():
            line.setdefault(name, value)
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=True)
