"""Object stores: ``s3://bucket/key``, ``gs://bucket/key``, ``az://container/key``, all through one client, obstore.

The laws of the wing: an object appears whole or not at all; of two writers of a write-once object one wins, which the
store itself judges, and where it does not (that is probed), the promise says so; absent means that the
store answered for a bucket that is there. The client is imported when the first store is opened.
"""

from __future__ import annotations

from .store import ObjectStore

__all__ = ["ObjectStore", "open_az", "open_gs", "open_s3"]


def open_s3(bucket: str) -> ObjectStore:
    """The store of a bucket of S3, or of what speaks like it. Raises TargetError where obstore is not installed."""
    return ObjectStore("s3", bucket)


def open_gs(bucket: str) -> ObjectStore:
    """The store of a bucket of Google Cloud Storage."""
    return ObjectStore("gs", bucket)


def open_az(container: str) -> ObjectStore:
    """The store of a container of Azure Blob Storage; the account is the environment's, or ``[az] account``."""
    return ObjectStore("az", container)
