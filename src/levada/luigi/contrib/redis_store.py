"""Luigi's `RedisTarget`: the house's, made of host, port and database."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from levada.contrib import redis
from levada.errors import TargetExists

from ._clients import FromConfig


class RedisTarget(redis.RedisTarget):
    """An update of what is kept in Redis; it exists when its marker does. expire: seconds until the marker is gone again."""

    marker_prefix: Any = FromConfig("redis", "marker-prefix", "luigi")

    def __init__(
        self,
        host: str,
        port: int,
        db: int,
        update_id: str,
        password: str | None = None,
        socket_timeout: float | None = None,
        expire: int | None = None,
    ) -> None:
        login = f":{quote(password, safe='')}@" if password else ""
        name = f"[{host}]" if ":" in host else host
        patience = f"?socket_timeout={socket_timeout}" if socket_timeout else ""
        super().__init__(f"redis://{login}{name}:{port}/{db}{patience}", update_id, prefix=str(self.marker_prefix), expire=expire)
        self.host, self.port, self.db, self.password, self.socket_timeout = host, port, db, password, socket_timeout

    def __str__(self) -> str:
        return self.marker_key()

    @property
    def redis_client(self) -> Any:
        """redis's client, shared by all of the process."""
        return self.client

    def touch(self) -> None:
        """Set the marker; one that is there is renewed."""
        try:
            super().touch()
        except TargetExists:
            self.remove()
            super().touch()
