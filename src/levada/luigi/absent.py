"""What of Luigi is not here, and what to use in its place: the only list; ``import`` says its sentences.

A module of Luigi that Levada leaves out on purpose fails when it is imported, with its line of this table.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Final

LEFT_OUT: Final[dict[str, str]] = {
    "contrib.scalding": "Start Scala jobs with luigi.contrib.hadoop_jar or luigi.contrib.spark.",
    "contrib.pai": "Submit to OpenPAI with luigi.contrib.external_program and its command line.",
    "contrib.salesforce": "Use the package simple-salesforce in run(), and a LocalTarget or S3Target for what it fetched.",
    "contrib.sparkey": "Write the file with the package sparkey-python in run(), to a path of LocalTarget's temporary_path().",
    "contrib.dropbox": "Use the package dropbox in run(), or mount the folder and use LocalTarget.",
}
"""Module below ``luigi.`` -> what to use."""


def sentence(name: str) -> str | None:
    """Why ``luigi.NAME`` cannot be imported and what to use; None for what is not on the list.

    >>> print(sentence("contrib.dropbox"))
    luigi.contrib.dropbox is left out of Levada. Use the package dropbox in run(), or mount the folder and use LocalTarget.
    """
    advice = LEFT_OUT.get(name)
    return None if advice is None else f"luigi.{name} is left out of Levada. {advice}"


def missing(name: str) -> ModuleNotFoundError:
    """The error for a module ``luigi.NAME`` that is not here; on the list or not."""
    return ModuleNotFoundError(sentence(name) or f"luigi.{name} is not there in Levada yet", name=f"luigi.{name}")


class _LastWord:
    """Asked when no other finder knew the module: the list's sentence in place of "No module named"."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Nothing is found here; ModuleNotFoundError with the sentence for what was left out."""
        for package in ("levada.luigi.", "luigi."):
            if name.startswith(package) and name[len(package) :] in LEFT_OUT:
                raise missing(name[len(package) :])
        return None


def have_the_last_word() -> None:
    """Let failing imports of what was left out say their sentence, in this process from now on."""
    if not any(isinstance(each, _LastWord) for each in sys.meta_path):
        sys.meta_path.append(_LastWord())
