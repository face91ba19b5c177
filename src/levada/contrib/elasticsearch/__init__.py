"""Elasticsearch and OpenSearch: `ElasticsearchTarget`, a marker document, and `CopyToIndex`. Needs no package."""

from __future__ import annotations

from .target import ElasticsearchTarget
from .tasks import CopyToIndex

__all__ = ["CopyToIndex", "ElasticsearchTarget"]
