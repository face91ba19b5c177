"""How Luigi's clients of Google's services get their credentials."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from levada.errors import LevadaError

from ._clients import client as needed

log = logging.getLogger("luigi-interface")


def get_authenticate_kwargs(oauth_credentials: Any = None, http_: Any = None) -> dict[str, Any]:
    """What googleapiclient is told: these credentials, this connection, or the default credentials; without any, a plain connection."""
    if oauth_credentials:
        return {"credentials": oauth_credentials}
    if http_:
        return {"http": http_}
    auth = needed("google.auth", wanted="Google's services", install="google-auth google-auth-httplib2")
    try:
        return {"credentials": auth.default()[0]}
    except auth.exceptions.DefaultCredentialsError:
        return {"http": needed("googleapiclient.http", wanted="Google's services", install="google-api-python-client").build_http()}


def service(name: str, version: str, descriptor: Any = "", **options: Any) -> Any:
    """A client of one of Google's services, made of ``descriptor`` where it is given, and else of what is known of the service."""
    discovery = needed("googleapiclient.discovery", wanted=f"Google's service {name}", install="google-api-python-client")
    if descriptor:
        return discovery.build_from_document(descriptor, **options)
    options.setdefault("cache_discovery", False)
    return discovery.build(name, version, **options)


def is_error_5xx(err: BaseException) -> bool:
    """Whether an error of googleapiclient is a trouble of the service, so that another try may help."""
    return str(getattr(getattr(err, "resp", None), "status", "")).startswith("5")


def again(tries: int, renew: Callable[[Any], object] | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: call so many times, as long as the service is in trouble. renew: called with the first argument before."""

    def attach(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            for attempt in range(1, tries):
                try:
                    return function(*args, **kwargs)
                except Exception as error:
                    if not is_error_5xx(error) and (not isinstance(error, OSError) or isinstance(error, LevadaError)):
                        raise
                    log.warning("Google's service is asked again: %s", error)
                time.sleep(min(10, 2 ** (attempt - 1)))
                if renew is not None:
                    renew(args[0])
            return function(*args, **kwargs)

        return called

    return attach


def is_status(error: BaseException, status: int) -> bool:
    """Whether an error of googleapiclient is the answer of this status."""
    return str(getattr(getattr(error, "resp", None), "status", "")) == str(status)
