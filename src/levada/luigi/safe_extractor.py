"""Luigi's ``luigi.safe_extractor``: archives whose files stay in their folder. The standard library sees to that."""

from __future__ import annotations

import tarfile
from typing import Any


class SafeExtractor:
    """Unpacks into one folder. path: the folder."""

    def __init__(self, path: str = ".") -> None:
        self.path = path

    def safe_extract(self, tar_path: str, members: Any = None, *, numeric_owner: bool = False) -> None:
        """Unpack, or raise RuntimeError before anything is unpacked that would leave the folder."""
        with tarfile.open(tar_path, "r") as archive:
            chosen = list(archive.getmembers() if members is None else members)
            try:
                for member in chosen:
                    tarfile.data_filter(member, self.path)
            except tarfile.FilterError as fault:
                raise RuntimeError(f"{tar_path}: {fault}") from fault
            archive.extractall(self.path, chosen, numeric_owner=numeric_owner, filter="data")
