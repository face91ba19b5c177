"""What the configuration wishes of alerts, as a plain value, and what is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .bounds import MOST
from .destinations import read
from .grouping import KINDS, WINDOW, Rules
from .sending import Alerts


@dataclass(frozen=True, slots=True)
class AlertPlan:
    """Section ``[alerts]``. to, owners: addresses, which are secrets. window: seconds. url: the page of the server. most: an hour."""

    to: tuple[str, ...] = field(default=(), repr=False)
    owners: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    on: tuple[str, ...] = KINDS
    window: float = WINDOW
    url: str = ""
    most: int = MOST


def alerts_of(plan: AlertPlan) -> Alerts:
    """Alerts that were not started. Raises ConfigError for an address that cannot be used, UsageError without the library."""
    return Alerts(read(plan.to, plan.owners), Rules(frozenset(plan.on), plan.window), url=plan.url, most=plan.most)
