"""A server as the operators' commands see it: found, asked, its pages read to their end, and tasks of it found by what people write.

No module is imported, and nothing but names, keys and texts is known here. A command that was not answered is sent again under the
same Idempotency-Key, so that it has one effect.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._client.address import Address, find_token, own_addresses, parse_addresses, token_hint
from .._client.session import Link
from .._client.transport import STRANGER
from .._model.status import Status
from ..config.state import state_path
from ..errors import ConfigError, Refused, ServerUnreachable, UsageError
from .options import Option, Parsed, Scanner
from .tasks import CONFIG, SCHEDULER, settings_for, state_of
from .text import escape, one_line

if TYPE_CHECKING:
    from .._model.ports import Attempt
    from ..config.settings import Settings

JSON = Option("--json", "", "print JSON")
STATE = Option("--state", "FOLDER", "the state folder", setting=("levada", "state"))
TRIES = 4
"""Times that a command is sent while nobody answers."""
PAGE = 1_000
CANDIDATES = 5_000
"""Tasks of the server among which one is sought by its name."""
KEY_LENGTH = 32
STATUSES = tuple(map(str, Status))
_HEX = frozenset("0123456789abcdef")


class Remote:
    """Questions and commands. Raises Refused and ServerUnreachable."""

    def __init__(self, link: Link, folder: str | None = None) -> None:
        """Folder: the state folder, whose server may be meant under another name."""
        self._link, self._folder = link, folder
        self._transport = link.open("levada-cli")

    @property
    def where(self) -> str:
        """The addresses, for people."""
        return ", ".join(map(str, self._link.addresses))

    def get(self, path: str, *, wait: float = 0.0, **query: Any) -> Any:
        """The answer to a question, as plain values. Fields of the query that are None or "" are left out."""
        from urllib.parse import urlencode

        given = {name: str(value).lower() if isinstance(value, bool) else value for name, value in query.items() if value not in (None, "")}
        if wait:
            given["wait"] = wait
        text = f"{path}?{urlencode(given)}" if given else path
        seconds = self._transport.answer_timeout + wait
        return self._read(self._asked(lambda: self._transport.call(text, method="GET", seconds=seconds)))

    def send(self, path: str, body: Mapping[str, object], *, method: str = "POST", once: bool = True) -> Any:
        """Carry out a command; as often as it is sent, it has one effect."""
        data = json.dumps({name: value for name, value in body.items() if value is not None}).encode()
        headers: dict[str, Any] = {"Idempotency_Key": os.urandom(16).hex()} if once else {}
        return self._read(self._asked(lambda: self._transport.call(path, data, method=method, **headers)))

    def _read(self, body: bytes) -> Any:
        try:
            answer = json.loads(body)
        except ValueError as cause:
            raise ServerUnreachable(f"{self._transport.address}: the answer makes no sense: it is no JSON", hint=STRANGER) from cause
        return answer

    def _asked(self, call: Any) -> bytes:
        for tries in range(TRIES):
            try:
                answer: bytes = call()
                return answer
            except ServerUnreachable:
                if tries == TRIES - 1:
                    raise
            except Refused as no:
                if no.status in (401, 403):
                    raise self._explained(no) from no
                if no.retry_after is None or tries == TRIES - 1:
                    raise
            _pause(0.3 * 2**tries)
        raise AssertionError("not reached")

    def _explained(self, no: Refused) -> Exception:
        if not self._link.token():
            return ConfigError(f"{self.where}: a token is needed", hint=token_hint(self._link.addresses, self._folder))
        return ConfigError(str(no.message), hint=no.hint or "`levada token create` makes one with another role.")

    def pages(self, path: str, field: str, most: int, **query: Any) -> Iterator[Any]:
        """The rows of a list, page after page, at most so many."""
        after: str | None = None
        while most > 0:
            answer = self.get(path, limit=min(most, PAGE), after=after, **query)
            rows = answer[field][:most]
            yield from rows
            most -= len(rows)
            after = answer.get("next")
            if after is None:
                return

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()


def _pause(seconds: float) -> None:
    from time import sleep

    sleep(seconds)


def part(text: str) -> str:
    """A text as one segment of a path."""
    from urllib.parse import quote

    return quote(text, safe="")


# -- which server --------------------------------------------------------------------------------


def understood(command: str, arguments: Sequence[str], options: Sequence[Option]) -> Parsed | None:
    """What a command line says; None where help was asked for and printed."""
    import sys

    parsed = Parsed()
    Scanner(arguments, options).parse(parsed)
    if parsed.flag("help"):
        from .help import command_help

        sys.stdout.write(command_help(command, options))
        return None
    return parsed


def find_server(parsed: Parsed, environ: Mapping[str, str]) -> Remote | None:
    """The server that --scheduler, the configuration or LEVADA_SCHEDULER names; None where none does."""
    settings = settings_for(parsed, environ)
    text = parsed.text("scheduler") or str(settings.get("levada", "scheduler", "") or "")
    if not text or text == "none":
        return None
    return _remote(parse_addresses(text), parsed, settings, environ)


def need_server(parsed: Parsed, environ: Mapping[str, str]) -> Remote:
    """The same; else the server of the state folder, where one runs. UsageError where there is none."""
    found = find_server(parsed, environ)
    if found is not None:
        return found
    settings = settings_for(parsed, environ)
    own = own_addresses(_folder(parsed, settings, environ))
    if not own:
        hint = "Name it by --scheduler URL, by scheduler = ... of [levada], or by LEVADA_SCHEDULER. Or start one: `levada up --app MODULE`."
        raise UsageError("which server?", hint=hint)
    return _remote(own, parsed, settings, environ)


def _remote(addresses: tuple[Address, ...], parsed: Parsed, settings: Settings, environ: Mapping[str, str]) -> Remote:
    folder = _folder(parsed, settings, environ)
    file, ca = settings.get("levada", "token_file"), settings.get("levada", "ca")

    def token() -> str:
        return find_token(environ, folder, addresses, file=None if file is None else str(file))

    return Remote(Link(addresses, token, None if ca is None else str(ca)), folder)


def _folder(parsed: Parsed, settings: Settings, environ: Mapping[str, str]) -> str:
    return parsed.text("state") or state_path(environ, state_of(settings))


SERVER = (SCHEDULER, STATE, CONFIG)
"""Options that say which server, and by which token."""

# -- which task ----------------------------------------------------------------------------------


def task_key(remote: Remote, word: str) -> str:
    """The key of the task that is meant: a key, the start of one, or a name. UsageError where it is none, or several."""
    if is_key(word):
        return word
    from .names import choose, meant

    found = candidates(remote, word)
    if not found or not meant(word, found):
        hint = "`levada tasks` shows what it has; a task may be named by its key, too."
        raise UsageError(f"the server has no task {escape(word)!r}", hint=hint)
    return choose(word, found).key.hex()


def newest_of(remote: Remote, word: str) -> str | None:
    """The key of the task of a family that failed last, else of the one that ended last; None where the word is no family with attempts."""
    if "(" in word or is_key(word):
        return None
    found = _attempts_of(remote, word, 1)
    return found[0].key.hex() if found else None


def task_name(row: Mapping[str, Any]) -> str:
    """``Family(parameters)`` of a row that the server tells of a task."""
    from .._model.ports import Attempt
    from .names import name_of

    return one_line(name_of(Attempt(bytes.fromhex(row["key"]), row["family"], row["params"], 0, 0.0, 0.0, "")))


def status_of(parsed: Parsed) -> str | None:
    """What --status says; None where it was not given. Raises UsageError for a word that is no status."""
    text = parsed.text("status")
    if text is not None and text not in STATUSES:
        from .._model.spelling import did_you_mean

        raise UsageError(f"--status: got {text!r}, expected one of {', '.join(STATUSES)}", hint=did_you_mean(text, STATUSES))
    return text


def is_key(word: str) -> bool:
    """Is it the key of a task, in whole?"""
    return len(word) == KEY_LENGTH and _HEX.issuperset(word)


def candidates(remote: Remote, word: str) -> list[Attempt]:
    """Tasks that a word may mean, as the names of attempts are compared with."""
    family, bracket, inside = word.partition("(")
    if bracket:
        query: dict[str, Any] = {"family": family, "q": _longest_word(inside)}
    elif len(word) >= 6 and _HEX.issuperset(word):
        query = {}
    else:
        if found := _attempts_of(remote, word) or _tasks_of(remote, family=word):
            return found
        query = {"q": _longest_word(word)}
    return _tasks_of(remote, **query)


def _tasks_of(remote: Remote, **query: Any) -> list[Attempt]:
    """Tasks that a question finds; none where the server knows nothing of that family."""
    from .._model.ports import Attempt

    try:
        rows = list(remote.pages("/v1/tasks", "tasks", CANDIDATES, **query))
    except Refused as no:
        if no.status != 404:
            raise
        rows = []
    return [Attempt(bytes.fromhex(row["key"]), row["family"], row["params"], 0, 0.0, 0.0, "") for row in rows]


def _attempts_of(remote: Remote, family: str, most: int = CANDIDATES) -> list[Attempt]:
    """The newest attempts of a family, newest first; those that failed, if any did."""
    from .._model.ports import Attempt

    for failed in ("true", "false"):
        rows = list(remote.pages("/v1/history", "attempts", most, family=family, failed=failed))
        if rows:
            return [Attempt(bytes.fromhex(row["key"]), row["family"], row["params"], row["number"], 0.0, 0.0, row["exit"]) for row in rows]
    return []


def _longest_word(text: str) -> str:
    """A piece that stands in the parameters' text as it is, to be looked for there."""
    import re

    return max(re.findall(r"[A-Za-z0-9_.-]+", text.replace("=", " ")), key=len, default="")
