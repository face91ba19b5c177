"""The brain: decides who runs what, when and how often again. Pure; see ``brain.Brain``."""

from .brain import Brain
from .changes import Change

__all__ = ["Brain", "Change"]
