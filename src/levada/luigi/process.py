"""Luigi's ``luigi.process``: what ``luigid --background`` is made of."""

from __future__ import annotations

import logging
import logging.handlers
import os
import sys
from collections.abc import Callable
from datetime import date
from typing import Any

from .setup_logging import DAEMON_LINE

DAYS_KEPT = 7


def check_pid(pidfile: str | None) -> int:
    """The process that the file names, if it lives; 0 otherwise."""
    try:
        with open(pidfile or "") as file:
            pid = int(file.read())
        os.kill(pid, 0)
    except (OSError, ValueError):
        return 0
    return pid


def write_pid(pidfile: str) -> None:
    """Name this process in the file."""
    os.makedirs(os.path.dirname(pidfile) or ".", exist_ok=True)
    with open(pidfile, "w") as file:
        file.write(str(os.getpid()))


def get_log_format() -> str:
    """How lines of the server's log look."""
    return DAEMON_LINE


def get_spool_handler(filename: str) -> logging.Handler:
    """Writes to a log file that is begun anew each day; a week of them is kept."""
    handler = logging.handlers.TimedRotatingFileHandler(filename, when="d", encoding="utf8", backupCount=DAYS_KEPT)
    handler.setFormatter(logging.Formatter(get_log_format()))
    return handler


def daemonize(
    cmd: Callable[..., Any],
    pidfile: str | None = None,
    logdir: str | None = None,
    api_port: int = 8082,
    address: str | None = None,
    unix_socket: str | None = None,
) -> None:
    """Call ``cmd(api_port=..., address=..., unix_socket=...)`` in a process that nobody waits for, unless the file names one that lives.

    logdir: for its log and what it prints, by default /var/log/luigi. Returns at once in the calling process.
    """
    folder = logdir or "/var/log/luigi"
    os.makedirs(folder, exist_ok=True)
    if child := os.fork():
        os.waitpid(child, 0)
        return
    os.setsid()
    if os.fork():  # the process that is left leads no session, so no terminal can become its own
        os._exit(0)
    status = 1
    try:
        _without_terminal(folder)
        logging.getLogger().addHandler(get_spool_handler(os.path.join(folder, "luigi-server.log")))
        if other := check_pid(pidfile):
            logging.getLogger("luigi.server").info("Server already running (pid=%s)", other)
        else:
            if pidfile:
                write_pid(pidfile)
            cmd(api_port=api_port, address=address, unix_socket=unix_socket)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        logging.getLogger("luigi.server").exception("the server ended")
    finally:
        logging.shutdown()
        os._exit(status)


def _without_terminal(folder: str) -> None:
    """Standard streams from nowhere, and to files of this day."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, ending in ((1, "out"), (2, "err")):
        path = os.path.join(folder, f"luigi-server-{date.today():%Y-%m-%d}.{ending}")
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), number)
