"""The error of HDFS clients."""

from __future__ import annotations

from collections.abc import Sequence

from levada.errors import TargetError


class HDFSCliError(TargetError):
    """What was asked of HDFS was not done; stderr says why."""

    code = "hdfs"

    def __init__(self, command: Sequence[str] | str, returncode: int, stdout: str, stderr: str) -> None:
        asked = command if isinstance(command, str) else " ".join(command)
        super().__init__(f"{asked}: exit code {returncode}: {stderr.strip() or stdout.strip() or 'it said nothing'}")
        self.returncode, self.stdout, self.stderr = returncode, stdout, stderr
