"""``levada server``: the central scheduler of many workers."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from .._model import exit_codes
from ..errors import UsageError
from .options import Option, Scanner
from .tasks import COMMON, Request, override, prepare, state_of

if TYPE_CHECKING:
    from .._server.http.settings import Settings
    from .._server.process import Server

OPTIONS = (
    Option(
        "--bind",
        "ADDRESS",
        "HOST:PORT or unix:PATH to listen at; may be repeated (default 127.0.0.1:8782); a socket of the state folder is always there",
        many=True,
    ),
    Option(
        "--store", "URL", "a file, or postgresql://USER@HOST/DATABASE (default: a file in the state folder)", setting=("server", "store")
    ),
    Option("--synchronous", "LEVEL", "full (default): survives power cuts; normal: survives crashes", setting=("server", "synchronous")),
    Option("--lease", "SECONDS", "how long a task stays with a worker that is silent (default 60)", setting=("server", "lease")),
    Option(
        "--luigi",
        "",
        "let workers of Luigi in, too, at /api/ (docs/luigi-workers.md says what holds for them)",
        setting=("server", "luigi"),
    ),
    Option("--standby", "", "wait until the store is free, then take over"),
    Option("--tls-certificate", "FILE", "certificate for TLS (PEM)", setting=("server", "tls_certificate")),
    Option("--tls-key", "FILE", "its key (PEM)", setting=("server", "tls_key")),
    Option("--behind-proxy", "", "a proxy in front speaks TLS: allow addresses beyond this machine without our own"),
    Option("--host", "NAME", "a name, besides localhost, that clients call this server by; may be repeated", many=True),
    Option("--log-level", "LEVEL", "debug, info, warning (default) or error", setting=("run", "log_level")),
    Option("--log-json", "", "log lines as JSON"),
    Option("--state", "FOLDER", "the state folder (store, token, socket)", setting=("levada", "state")),
    *COMMON,
)


def main(command: str, arguments: list[str], environ: Mapping[str, str]) -> int:
    """Serve until a signal comes; the exit code."""
    if any(word in ("--help", "-h") for word in arguments):
        from .help import command_help

        sys.stdout.write(command_help(command, OPTIONS))
        return exit_codes.OK
    request = prepare(arguments, OPTIONS, environ)
    Scanner(request.parsed.rest, OPTIONS).parse(request.parsed)
    override(request, OPTIONS)
    if request.parsed.words:
        raise UsageError(f"levada server takes no {request.parsed.words[0]!r}", hint="See `levada server --help`.")
    from .logs import set_up
    from .text import say

    set_up(str(request.settings.get("run", "log_level", "warning")), as_json=request.parsed.flag("log_json"))
    server = server_of(request, environ)
    return server.serve(lambda: say(f"levada: serving at {', '.join(server.web.addresses)}"))


def server_of(request: Request, environ: Mapping[str, str]) -> Server:
    """The server that options and configuration describe, not started yet."""
    try:
        from .._server.process import Plan, Server
    except ImportError as cause:
        raise UsageError(f"the server needs {cause.name}, which is not installed", hint="pip install 'levada[server]'") from cause
    from .. import __version__
    from ..config.state import state_folder
    from .alerts import alert_plan

    settings = request.settings
    folder = state_folder(environ, state_of(settings))
    return Server(
        Plan(
            folder,
            __version__,
            settings=_http_settings(request, folder),
            store=cast(str, settings.get("server", "store", "")),
            synchronous=cast(str, settings.get("server", "synchronous", "full")),
            standby=request.parsed.flag("standby"),
            lease=cast(float, settings.get("server", "lease", 60.0)),
            alerts=alert_plan(settings),
            guests="luigi" if settings.get("server", "luigi", False) else "",
        )
    )


def _http_settings(request: Request, folder: str) -> Settings:

    from .._server.http.settings import DEFAULT_PORT, Bind, Settings, Tls

    parsed = request.parsed
    binds = tuple(Bind.parse(text) for text in parsed.texts("bind")) or (Bind("127.0.0.1", DEFAULT_PORT),)
    if not any(bind.path for bind in binds):  # commands of this machine come in by it, whatever name a certificate is for
        binds = (*binds, Bind("", path=os.path.join(folder, "server.sock"), spare=True))
    certificate = cast("str | None", request.settings.get("server", "tls_certificate"))
    key = cast("str | None", request.settings.get("server", "tls_key"))
    if (certificate is None) != (key is None):
        raise UsageError("--tls-certificate and --tls-key go together")
    return Settings(
        binds=binds,
        hosts=frozenset(parsed.texts("host")),
        behind_proxy=parsed.flag("behind_proxy"),
        tls=None if certificate is None or key is None else Tls(certificate, key),
        notices_secret=str(request.settings.get("server", "notices_secret", "") or "").encode(),
    )
