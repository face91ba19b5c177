"""How Luigi's clients of Google's services get their credentials."""

from __future__ import annotations

from typing import Any

from .reading import client as needed


def get_authenticate_kwargs(oauth_credentials: Any = None, http_: Any = None) -> dict[str, Any]:
    """What googleapiclient is told: these credentials, this connection, or the default credentials; without any, a plain connection."""
    if oauth_credentials:
        return {"credentials": oauth_credentials}
    if http_:
        return {"http": http_}
    auth = needed("google.auth", wanted="Google's services", install="google-auth google-auth-httplib2")
    from google.auth.exceptions import DefaultCredentialsError

    try:
        return {"credentials": auth.default()[0]}
    except DefaultCredentialsError:
        return {"http": needed("httplib2", wanted="Google's services", install="httplib2").Http()}


def service(name: str, version: str, descriptor: Any = "", **options: Any) -> Any:
    """A client of one of Google's services, made of ``descriptor`` where it is given, and else of what is known of the service."""
    discovery = needed("googleapiclient.discovery", wanted=f"Google's service {name}", install="google-api-python-client")
    if descriptor:
        return discovery.build_from_document(descriptor, **options)
    options.setdefault("cache_discovery", False)
    return discovery.build(name, version, **options)


def is_status(error: BaseException, status: int) -> bool:
    """Whether an error of googleapiclient is the answer of this status."""
    return str(getattr(getattr(error, "resp", None), "status", "")) == str(status)
