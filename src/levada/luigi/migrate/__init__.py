"""How a project that was written for Luigi would fare on Levada: read, never run (``levada migrate check``).

sources.py and settings.py read the project's files, annex.py knows what there is here, knowledge.py what is
different, judge.py gives the verdicts.
"""

from __future__ import annotations

from .judge import AS_IS, DIFFERS, UNSUPPORTED, Place, Report, Verdict, check

__all__ = ["AS_IS", "DIFFERS", "UNSUPPORTED", "Place", "Report", "Verdict", "check"]
