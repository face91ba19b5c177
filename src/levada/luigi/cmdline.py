"""``luigi.cmdline``: the programs ``luigi`` and ``luigid``."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def luigi_run(argv: Sequence[str] | None = None) -> None:
    """Carry out a command line of ``luigi`` and end the process with its return code (section ``[retcode]``)."""
    from .retcodes import run_with_retcodes

    run_with_retcodes(list(sys.argv[1:] if argv is None else argv))


def luigid(argv: Sequence[str] | None = None) -> None:
    """Serve as the central scheduler that ``luigid`` was: Levada's server, with the paths of Luigi's workers open."""
    import argparse

    from . import configuration, process, server
    from .setup_logging import DaemonLogging

    parser = argparse.ArgumentParser(prog="luigid", description="The central scheduler, as luigid was started.")
    parser.add_argument("--background", action="store_true", help="go on in the background")
    parser.add_argument("--pidfile", help="file for the process id")
    parser.add_argument("--logdir", help="folder for logs")
    parser.add_argument("--state-path", help="where the state is kept")
    parser.add_argument("--address", help="address to listen at")
    parser.add_argument("--unix-socket", help="path of a socket to listen at")
    parser.add_argument("--port", default=8082, help="port to listen at")
    options = parser.parse_args(list(sys.argv[1:] if argv is None else argv))
    if options.state_path:
        configuration.get_config().set("scheduler", "state_path", options.state_path)
    DaemonLogging.setup(options)
    where = {"api_port": options.port, "address": options.address, "unix_socket": options.unix_socket}
    if options.background:
        process.daemonize(server.run, pidfile=options.pidfile, logdir=options.logdir, **where)
    else:
        server.run(**where)
