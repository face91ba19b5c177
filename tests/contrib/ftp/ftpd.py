"""pyftpdlib's server in a process of its own: `python ftpd.py FOLDER PORT [WITHOUT,COMMANDS]`. The user is ada, the password "secret"."""

from __future__ import annotations

import sys


def main(folder: str, port: str, without: str = "") -> None:
    from pyftpdlib.authorizers import DummyAuthorizer
    from pyftpdlib.handlers import FTPHandler
    from pyftpdlib.servers import FTPServer

    users = DummyAuthorizer()
    users.add_user("ada", "secret", folder, perm="elradfmwMT")

    class Handler(FTPHandler):  # type: ignore[misc]  # pyftpdlib has no types
        authorizer = users
        auth_failed_timeout = 0
        proto_cmds = {name: what for name, what in FTPHandler.proto_cmds.items() if name not in without.split(",")}

    FTPServer(("127.0.0.1", int(port)), Handler).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
