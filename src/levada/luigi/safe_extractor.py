"""Luigi's ``luigi.safe_extractor``: archives whose files stay in their folder. Later versions of Python see to that themselves."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from typing import Any


class SafeExtractor:
    """Unpacks into one folder. path: the folder."""

    def __init__(self, path: str = ".") -> None:
        self.path = path

    def safe_extract(self, tar_path: str, members: Any = None, *, numeric_owner: bool = False) -> None:
        """Unpack, or raise RuntimeError before anything is unpacked that would leave the folder."""
        with tarfile.open(tar_path, "r") as archive:
            chosen = list(archive.getmembers() if members is None else members)
            folder = os.path.realpath(self.path)
            for member in chosen:
                for place in _places(member):
                    if os.path.commonpath([folder, os.path.realpath(os.path.join(folder, place))]) != folder:
                        raise RuntimeError(f"{tar_path}: {member.name} would leave {folder}; nothing was unpacked")
            safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            archive.extractall(self.path, chosen, numeric_owner=numeric_owner, **safely)  # type: ignore[arg-type]  # noqa: S202 - looked at above


def _places(member: tarfile.TarInfo) -> Iterator[str]:
    """Where a member goes, and where it leads if it is a link."""
    yield member.name
    if member.issym():
        yield os.path.join(os.path.dirname(member.name), member.linkname)
    elif member.islnk():
        yield member.linkname
