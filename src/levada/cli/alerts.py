"""``levada alerts test``: whether the addresses of ``[alerts]`` can be reached. And what the configuration wishes of alerts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from .._model import exit_codes
from ..config.settings import Settings, Value
from ..errors import ConfigError, UsageError
from .app import DEBUG, HELP
from .options import Option
from .remote import JSON, understood
from .tasks import CONFIG, settings_for
from .text import json_text, table

if TYPE_CHECKING:
    from .._server.alerts.settings import AlertPlan

OPTIONS: tuple[Option, ...] = (JSON, CONFIG, DEBUG, HELP)


def main(command: str, arguments: list[str], environ: Mapping[str, str]) -> int:
    """Send a test message to each address, and say how it went."""
    parsed = understood(command, arguments, OPTIONS)
    if parsed is None:
        return exit_codes.OK
    if parsed.words != ["test"]:
        raise UsageError(f"levada alerts: got {' '.join(parsed.words) or 'nothing'!r}", hint="Write `levada alerts test`.")
    plan = alert_plan(settings_for(parsed, environ))
    if plan is None:
        raise ConfigError("no address is set for alerts", hint='Write to = ["mailto://..."] below [alerts]; see docs/alerts.md.')
    rows = list(_tried(plan))
    if parsed.flag("json"):
        print(json_text([{"to": name, "sent": not why, "why": why} for name, why in rows]))
    else:
        print("\n".join(table([(name, f"not sent: {why}" if why else "sent") for name, why in rows], ("address", "test message"))))
    return exit_codes.UNAVAILABLE if any(why for _, why in rows) else exit_codes.OK


def _tried(plan: AlertPlan) -> Any:
    from .._server.alerts.destinations import read
    from .._server.alerts.words import Message

    body = "This is a test of `levada alerts test`: whoever reads it is told of what goes wrong."
    if plan.url:
        body += f"\n\n{plan.url}"
    for destination in read(plan.to, plan.owners).all():
        yield destination.name, destination.send(Message("[levada] a test of alerts", body, "success"))


def alert_plan(settings: Settings) -> AlertPlan | None:
    """What ``[alerts]`` says; None where it names no address. Raises ConfigError for a reference to what is not set."""
    to, owners = settings.find("alerts", "to"), settings.find("alerts", "owners")

    def resolved(urls: object, where: str) -> tuple[str, ...]:
        return tuple(str(settings.resolve_secret(Value(url, where)).value) for url in cast("tuple[str, ...]", urls))

    everybody = () if to is None else resolved(to.value, to.where)
    named = {} if owners is None else {name: resolved(urls, owners.where) for name, urls in cast("dict[str, Any]", owners.value).items()}
    if not everybody and not any(named.values()):
        return None
    from .._server.alerts.settings import AlertPlan

    given = {key: value for key in ("on", "window", "url", "most") if (value := settings.get("alerts", key)) is not None}
    return AlertPlan(everybody, named, **cast("dict[str, Any]", given))
