"""Log lines as JSON in plain ASCII, one object a line: what outsiders sent arrives escaped, fields stay fields."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

LONGEST = 4_096  # characters of one value
_ORDINARY = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_HIDDEN = frozenset({"token_text", "authorization", "cookie", "password", "secret"})


class JsonLines(logging.Formatter):
    """Time (UTC), level, logger, text, and every field that was given as ``extra``.

    >>> record = logging.makeLogRecord({"name": "levada", "levelname": "INFO", "msg": "granted", "created": 0.0, "task": "a\\nb"})
    >>> JsonLines().format(record)
    '{"at":"1970-01-01T00:00:00.000+00:00","level":"info","logger":"levada","text":"granted","task":"a\\\\nb"}'
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "text": _short(record.getMessage()),
        }
        for name, value in vars(record).items():
            if name not in _ORDINARY and not name.startswith("_"):
                line[name] = "***" if name in _HIDDEN else value if isinstance(value, (int, float, bool)) else _short(str(value))
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)[-16 * LONGEST :]
        return json.dumps(line, separators=(",", ":")).replace("\x7f", "\\u007f")


def _short(text: str) -> str:
    """At most LONGEST characters, with what no encoder takes replaced."""
    text = text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text):,} characters)"
    return text.encode("utf-8", "replace").decode()
