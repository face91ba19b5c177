"""``luigi.mypy``: a plug-in for mypy that has nothing to add, for configurations that name Luigi's.

For type checkers ``levada.luigi.Task`` takes any arguments, and a parameter's attribute has the type of its values without a
plug-in. New tasks, with annotated parameters, have a checked constructor.
"""

from __future__ import annotations

from mypy.plugin import Plugin


def plugin(version: str) -> type[Plugin]:
    """What mypy asks for: a plug-in that leaves everything as it is."""
    return Plugin
