"""Questions to the interface of a cluster, as plain JSON: lightkube brings the configuration and the credentials.

Objects are sent as they are written, and the server refuses fields that it does not know (`fieldValidation=Strict`): lightkube's own
classes would drop them without a word.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

from levada.errors import EngineError, EngineUnreachable

if TYPE_CHECKING:
    import httpx2
    from lightkube.config.kubeconfig import KubeConfig, SingleConfig

ANSWER = 15.0  # seconds until a question is given up
PAGE = 500  # objects that one answer of a listing brings
_AWAY = (401, 408, 429)  # besides those from 500 on; credentials that ran out say nothing of a job


class Refusal(Exception):
    """The cluster answered, and said no. status: of HTTP; reason: the cluster's word for machines ("AlreadyExists")."""

    def __init__(self, status: int, reason: str, words: str) -> None:
        super().__init__(words)
        self.status, self.reason = status, reason


class Api:
    """One cluster and namespace. Safe for threads; a forked child makes connections of its own."""

    def __init__(self, address: str) -> None:
        """Raises EngineError: no lightkube, no configuration, or no such context in it."""
        self.address = f"k8s://{address}"
        self._config, self.namespace = _place(self.address, address)
        self._lock = Lock()
        self._client: httpx2.Client | None = None
        self._process = 0

    def ask(self, method: str, path: str, params: Mapping[str, Any] | None = None, body: object = None) -> Any:
        """The answer. Raises Refusal, or EngineUnreachable."""
        with self._translated():
            answer = self._connected().request(method, path, params=params, json=body)
            self._check(answer)
            return answer.json()

    def list(self, path: str, selector: str) -> Iterator[Mapping[str, Any]]:
        """All objects that a selector of labels fits, page by page."""
        params = {"labelSelector": selector, "limit": PAGE}
        while True:
            page = self.ask("GET", path, params)
            yield from page["items"]
            more = page["metadata"].get("continue")
            if not more:
                return
            params["continue"] = more

    def tail(self, path: str, params: Mapping[str, Any], most: int) -> bytes:
        """The last bytes of an answer that may be long."""
        kept = bytearray()
        with self._translated(), self._connected().stream("GET", path, params=params) as answer:
            if answer.is_error:
                answer.read()
            self._check(answer)
            for piece in answer.iter_bytes():
                kept.extend(piece)
                del kept[: max(0, len(kept) - most)]
        return bytes(kept)

    def unreachable(self, words: str) -> EngineUnreachable:
        """The error of a question that was not answered."""
        return EngineUnreachable(
            f"{self.address}: no answer: {' '.join(words.split())[:500]}",
            hint="Is the cluster up, and are the credentials good? `kubectl get jobs` tells.",
        )

    def _check(self, answer: httpx2.Response) -> None:
        if not answer.is_error:
            return
        reason, words = _said(answer)
        if answer.status_code in _AWAY or answer.status_code >= 500:
            raise self.unreachable(words)
        raise Refusal(answer.status_code, reason, words)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        import httpx2
        from lightkube.core.exceptions import ConfigError

        try:
            yield
        except ConfigError as cause:  # a program that gives the credentials failed, say
            raise self.unreachable(str(cause)) from cause
        except (httpx2.HTTPError, OSError, ValueError) as cause:  # ValueError: what came is no JSON
            raise self.unreachable(str(cause) or type(cause).__name__) from cause

    def _connected(self) -> httpx2.Client:
        import httpx2
        from lightkube.config.client_adapter import Client, ConnectionParams

        with self._lock:
            if self._client is None or self._process != os.getpid():
                self._client = Client(self._config, ConnectionParams(timeout=httpx2.Timeout(ANSWER)))
                self._process = os.getpid()
            return self._client


def _place(address: str, rest: str) -> tuple[SingleConfig, str]:
    """Configuration and namespace of an address. Names of contexts may have slashes in them."""
    try:
        from lightkube.config.kubeconfig import KubeConfig
        from lightkube.config.models import User
        from lightkube.core.exceptions import ConfigError
    except ImportError as cause:
        raise EngineError(f"{address}: needs lightkube, which is not installed", hint='pip install "levada[kubernetes]"') from cause
    try:
        known = KubeConfig.from_env()
        context, namespace = (rest, "") if rest in known.contexts else _split(address, rest, known)
        config = known.get(context or None)
        if config is None:
            raise ConfigError("no context is the current one")
    except (ConfigError, OSError, KeyError) as cause:
        raise EngineError(
            f"{address}: no configuration of a cluster: {cause}",
            hint="KUBECONFIG names its file, else it is ~/.kube/config; a pod has its own.",
        ) from cause
    return config._replace(user=config.user or User()), namespace or config.namespace


def _split(address: str, rest: str, known: KubeConfig) -> tuple[str, str]:
    context, _, namespace = rest.rpartition("/") if "/" in rest else (rest, "", "")
    if context and context not in known.contexts:
        raise EngineError(
            f"{address}: the configuration has no context {context!r}",
            hint=f"It has {', '.join(sorted(known.contexts)) or 'none'}. An address is k8s://CONTEXT/NAMESPACE, and may lack either.",
        )
    return context, namespace


def _said(answer: httpx2.Response) -> tuple[str, str]:
    try:
        said = answer.json()
        return str(said.get("reason") or ""), str(said.get("message") or answer.reason_phrase)
    except (ValueError, AttributeError):
        return "", f"{answer.status_code} {answer.reason_phrase}"
