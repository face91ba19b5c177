"""The hooks of a spawned child, found by name: ``levada._worker.hooks:HOOKS``."""

from __future__ import annotations

from .._plan.complete import is_complete, missing
from ..task import handlers
from .executor import Hooks
from .marks import begin, end, event

HOOKS = Hooks(is_complete, missing, begin, end, event, handlers())
