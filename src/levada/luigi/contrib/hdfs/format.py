"""Formats of HDFS by their old names.

``Plain`` and ``PlainDir`` are bytes as they are: a target that is a folder is read as its files, one after the other, and what a task
writes is a file, which Hadoop reads as it reads a folder.
"""

from __future__ import annotations

from levada.targets.formats import Format


class HdfsAtomicWriteError(OSError):
    """A write did not take its place. Levada raises TargetWriteError, which is an OSError, too."""


class PlainFormat(Format):
    """A file."""


class PlainDirFormat(PlainFormat):
    """A folder of files."""


Plain = PlainFormat()
PlainDir = PlainDirFormat()
