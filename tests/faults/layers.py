"""A small pipeline in layers, for runs that are killed: every output says by itself whether it is whole."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import levada as lv
from levada.targets.formats import Gzip, Text

LAYERS, WIDTH = 4, 5
PIECES = 6


def sealed(text: str) -> str:
    """The text, and behind it what makes every piece missing or doubled visible."""
    return f"{text}{hashlib.sha256(text.encode()).hexdigest()}\n"


def is_whole(path: Path) -> bool:
    """Whether a file, or each file of a folder, ends with the checksum of all before."""
    if path.is_dir():
        files = sorted(path.iterdir())
        return [file.name for file in files] == ["a", "b", "c"] and all(is_whole(file) for file in files)
    import gzip

    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    body = text[:-65]
    return len(text) > 65 and sealed(body) == text


class Piece(lv.Task):
    """One file of a layer, made of files of the layer below; how it is written depends on its number."""

    layer: int
    number: int
    retry = lv.Retry(attempts=3, first=0.01, longest=0.02)

    def requires(self) -> Any:
        return [Piece(self.layer - 1, (self.number + step) % WIDTH) for step in (0, 1)] if self.layer else []

    def output(self) -> Any:
        path = f"out/{self.layer}/{self.number}"
        if self.number == 0:
            return lv.FolderTarget(path)
        if self.number == 1:
            return lv.LocalTarget(path + ".gz", format=Text >> Gzip, mode="replace")
        return lv.LocalTarget(path, durable=self.number == 2)

    def run(self) -> None:
        text = "".join(f"{self.layer}.{self.number}.{line}\n" for line in range(40))
        target = self.output()
        if self.number == 0:
            self._folder(target, sealed(text))
        elif self.number == 3:
            with target.temporary_path() as path, open(path, "w") as out:
                slowly(out, sealed(text))
        else:
            with target.open("w") as out:
                slowly(out, sealed(text))

    def _folder(self, target: Any, text: str) -> None:
        with target.writing() as folder:
            for name in "abc":
                with open(f"{folder}/{name}", "w") as out:
                    slowly(out, text)


class Top(lv.WrapperTask):
    """All of the last layer."""

    def requires(self) -> Any:
        return [Piece(LAYERS - 1, number) for number in range(WIDTH)]


def slowly(out: Any, text: str) -> None:
    """Write in pieces, with moments between them in which the process may be killed."""
    size = -(-len(text) // PIECES)
    for start in range(0, len(text), size):
        out.write(text[start : start + size])
        out.flush()
        time.sleep(0.0005)
