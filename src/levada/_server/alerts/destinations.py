"""Where alerts go: addresses of the configuration, and the library that knows what they mean.

An address is a secret: nothing here says more of it than its place in the configuration and its scheme. What the library says is
cleaned of whatever stands in the address, and its own log, and those of what it stands on, are not let through.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from ...errors import ConfigError, UsageError
from .words import Message, cut

FAMILY = "family:"
"""Before the name of a family, where an owner's name could stand: who is told of its tasks that name no owner."""

WHY = 200  # characters of a reason
_TALKERS = ("apprise", "requests", "urllib3", "requests_oauthlib", "oauthlib")
_PIECES = re.compile(r"[/:@?&=,#\s]+")
_HIDDEN = "***"
_LEAST = 3  # characters of a piece of an address that is hidden where it is spoken of


class Destination:
    """One address. ``name``: where it stands and its scheme, which is all that may be said of it."""

    def __init__(self, name: str, url: str, sender: Any) -> None:
        self.name, self.url = name, url
        self._sender = sender

    def send(self, message: Message) -> str:
        """Send, in this thread, with the library's own time limits; "" where it went well, else why not."""
        import apprise

        try:
            capture: Any = apprise.LogCapture  # it has no types
            with capture(level=logging.WARNING, fmt="%(message)s") as said:
                text = apprise.NotifyFormat.TEXT
                if self._sender.notify(body=message.body, title=message.title, notify_type=message.mood, body_format=text):
                    return ""
                return self.clean(said.getvalue()) or "no reason was given"
        except Exception as fault:  # a library's fault stops no server
            return self.clean(f"{type(fault).__name__}: {fault}")

    def clean(self, text: str) -> str:
        """The text in one line without anything that stands in the address."""
        return cut(without(text, self.url), WHY)


def without(text: str, url: str) -> str:
    """The text with all pieces of an address hidden, but for its scheme.

    >>> without("cannot log in as ana at mail.example.org", "mailto://ana:pw%21@mail.example.org")
    'cannot log in as *** at ***'
    """
    rest = url.partition("://")[2]
    pieces = {rest, unquote_plus(rest)}
    pieces |= {each for known in list(pieces) for each in _PIECES.split(known)}
    pieces |= {unquote_plus(each) for each in list(pieces)}
    for piece in sorted((each for each in pieces if len(each) >= _LEAST), key=len, reverse=True):
        text = text.replace(piece, _HIDDEN)
    return text


class Destinations(NamedTuple):
    """``everybody``: for whom no owner's addresses are known. ``owners``: addresses by name of owner, or ``family:NAME``."""

    everybody: tuple[Destination, ...]
    owners: Mapping[str, tuple[Destination, ...]]

    def all(self) -> list[Destination]:
        """Each once."""
        every = [*self.everybody, *(each for those in self.owners.values() for each in those)]
        return list({each.name: each for each in every}.values())

    def of(self, owner: str) -> list[Destination]:
        """Who is told what concerns these owners (names with commas between); an address that stands twice is told once."""
        names = [name.strip() for name in owner.split(",")]
        found = [each for name in names for each in self.owners.get(name, ())] or self.everybody
        return list({each.url: each for each in found}.values())


def read(to: Sequence[str], owners: Mapping[str, Sequence[str]]) -> Destinations:
    """The addresses of the configuration. Raises ConfigError for one that cannot be used, UsageError without the library."""
    try:
        import apprise
    except ImportError as cause:
        raise UsageError("alerts need apprise, which is not installed", hint="pip install 'levada[notify]'") from cause
    for name in _TALKERS:  # they would tell addresses
        talker = logging.getLogger(name)
        talker.propagate = False
        if not talker.handlers:
            talker.addHandler(logging.NullHandler())
    asset = apprise.AppriseAsset(app_id="Levada", app_desc="Levada", app_url="", storage_mode="memory", image_url_mask="")

    def made(where: str, urls: Iterable[str]) -> tuple[Destination, ...]:
        return tuple(_destination(f"{where}, entry {number}", url, asset) for number, url in enumerate(urls, 1))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library knows how old the modules are that it loads
        return Destinations(made("[alerts] to", to), {name: made(f"[alerts.owners] {name}", urls) for name, urls in owners.items()})


def scheme_of(url: str) -> str:
    """The scheme; "" where there is none, for then what stands there may be anything.

    >>> scheme_of("slack://A/B/C"), scheme_of("hunter2")
    ('slack', '')
    """
    scheme, separator, _ = url.partition("://")
    return scheme.lower() if separator and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]{0,30}", scheme) else ""


def _destination(where: str, url: str, asset: Any) -> Destination:
    import apprise

    scheme = scheme_of(url)
    name = f"{where} ({scheme or 'no scheme'})"
    if not scheme:
        raise ConfigError(
            f"{name}: is no address", hint="Write it as mailto://USER:PASSWORD@HOST, slack://..., json://HOST/PATH; see docs/alerts.md."
        )
    try:
        sender = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    except Exception:  # what it says may tell the address
        sender = None
    if sender is None:
        raise ConfigError(f"{name}: is no address that can be used", hint=_expected(scheme))
    if sender.notify_format == apprise.NotifyFormat.HTML and "format=" not in url:
        sender.notify_format = apprise.NotifyFormat.TEXT  # lines of programs are to be read as they were; newer versions see to that
    all_of_it = apprise.Apprise(asset=asset)
    all_of_it.add(sender)
    return Destination(name, url, all_of_it)


def _expected(scheme: str) -> str:
    """What addresses of the scheme look like."""
    from apprise import manager_plugins

    manager: Any = manager_plugins.NotificationManager  # it has no types
    known = manager()
    if scheme not in known.schemas():
        return "There is no such scheme. json://HOST/PATH posts JSON to any web server; see docs/alerts.md for others."
    forms = [str(form).replace("{schema}", scheme) for form in known[scheme].templates][:3]
    return f"Expected like {' or '.join(forms)}; what is special in a password is written %XX."
