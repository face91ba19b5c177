"""Who we are to a host: users and passwords from ``~/.netrc``, or from the file that ``NETRC`` names."""

from __future__ import annotations

import os

from levada.errors import TargetError


def login_to(host: str) -> tuple[str, str] | None:
    """User and password for a host, or None where the file says nothing of it. Raises TargetError for a file that cannot be read."""
    from netrc import NetrcParseError, netrc

    file = os.environ.get("NETRC") or os.path.expanduser("~/.netrc")
    try:
        found = netrc(file).authenticators(host)
    except FileNotFoundError:
        return None
    except (OSError, NetrcParseError, UnicodeError) as cause:
        raise TargetError(
            f"{file}: cannot be read: {cause}", hint="It has lines like: machine HOST login USER password PASSWORD"
        ) from cause
    return (found[0], found[2] or "") if found else None


def refuse_password(scheme: str, authority: str) -> None:
    """Raise TargetError for ``user:password@host``."""
    who, _, place = authority.rpartition("@")
    user, colon, _ = who.partition(":")
    if colon:
        raise TargetError(
            f"{scheme}://{user}:***@{place}: a password in a URL is shown wherever the URL is",
            hint="Leave it out, and write it to ~/.netrc: machine HOST login USER password PASSWORD",
        )
