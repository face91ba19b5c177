"""Triggers: what makes tasks wanted by itself."""
