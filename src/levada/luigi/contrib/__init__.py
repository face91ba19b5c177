"""Luigi's modules for products, by their old names; what they do is done in ``levada.contrib`` and ``levada.handover``."""

from __future__ import annotations

from .. import task as _task  # noqa: F401 - tasks answer to Luigi's words from then on, whoever starts them
