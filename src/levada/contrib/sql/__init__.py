"""Tables as targets, by SQLAlchemy: `SqlTarget`, `SqlTask`, `CopyToTable`, and `query` to read them.

The laws of the wing: rows and the marker that tells of them are one transaction, so an update is whole or absent; of two
writers one commits, which the marker's unique key judges; absent means that the database answered. Which of it a
product cannot keep is said in docs/sql.md. SQLAlchemy (extra ``levada[sql]``) is imported when a database is first asked.
"""

from __future__ import annotations

from .reading import query
from .target import SqlTarget
from .tasks import CopyToTable, SqlTask

__all__ = ["CopyToTable", "SqlTarget", "SqlTask", "query"]
