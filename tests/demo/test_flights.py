"""The demo on the real data: its numbers, its pictures, and what is made again when something is lost.

The flights are downloaded once into the project's ``demo-data``, as ``make demo`` does. Without a way to
them these tests are skipped; where CI is set they fail then.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest

from examples.flights import fetch
from examples.flights.delays import read_table
from levada._store.history import attempts_of

ROOT = Path(__file__).parents[2]
WANTED = ["--module", "examples.flights.pipeline", "RunAll", "--last-day", "2013-01-31"]
LAST = date(2013, 1, 31)
SVG = "{http://www.w3.org/2000/svg}"

pytestmark = pytest.mark.xdist_group("flights")  # one process makes them, and once


@pytest.fixture(scope="module")
def package() -> Path:
    """The package's data files."""
    try:
        return fetch.fetch(ROOT / "demo-data")
    except fetch.FetchError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no flights: {error}")


@pytest.fixture(scope="module")
def made(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which the demo's pipeline ran."""
    folder = tmp_path_factory.mktemp("flights")
    fetch.drop(package, folder / "demo-data" / "dump", [LAST - timedelta(back) for back in range(fetch.DAYS)])
    assert levada(folder, "run", "--workers", "2") == 0
    yield folder
    shutil.rmtree(folder)


def levada(folder: Path, command: str, *options: str) -> int:
    """The exit code of the command line about the demo's tasks, started in that folder."""
    arguments = line(command, *options)
    done = subprocess.run(arguments, cwd=folder, env=environ(folder), capture_output=True, text=True, check=False, timeout=50)
    print(done.stdout, done.stderr)
    return done.returncode


def line(command: str = "run", *options: str) -> list[str]:
    """The command line."""
    return [sys.executable, "-m", "levada", command, *options, *WANTED]


def environ(folder: Path) -> dict[str, str]:
    """An environment with this tree's modules and a state folder in ``folder``."""
    return os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "LEVADA_STATE": str(folder / "state")}


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """What was made, with what changes when a file is written again."""
    made = [path for path in sorted((folder / "demo-out").rglob("*")) if path.is_file()]
    return {path.relative_to(folder / "demo-out").as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns) for path in made}


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of all that was made."""
    return {name: (folder / "demo-out" / name).read_bytes() for name in files(folder)}


DUCK = """
    select carrier, count(*), count(*) filter (dep_time is null),
           sum(dep_delay)::double / count(dep_delay), sum(arr_delay)::double / count(arr_delay)
    from flights
    where make_date(year, month, day) between cast($first as date) and cast($last as date)
    group by carrier order by carrier
"""


@pytest.mark.timeout(120)
def test_the_numbers_are_those_that_duckdb_finds_in_the_raw_data(package: Path, made: Path, tmp_path: Path) -> None:
    """DuckDB reads the package's whole table, not our daily drops."""
    duckdb = pytest.importorskip("duckdb")
    shutil.unpack_archive(package / "flights.csv.zip", tmp_path, "zip")
    with duckdb.connect() as db:
        db.execute(f"create table flights as from read_csv('{tmp_path / 'flights.csv'}', nullstr = ['', 'NA'])")
        assert db.sql("select count(*) from flights").fetchall() == [(336_776,)]
        for window in (3, 7, 14):
            for back in range(10):
                last = LAST - timedelta(back)
                expected = db.execute(DUCK, {"first": last - timedelta(window - 1), "last": last}).fetchall()
                ours = read_table((made / "demo-out" / "delays" / f"{last}-{window}.csv").read_text().splitlines())
                assert [row[:3] for row in ours] == [row[:3] for row in expected]
                for row, (*_, departure, arrival) in zip(ours, expected, strict=True):
                    assert row.departure == pytest.approx(departure, abs=0.00501)  # we keep two decimals
                    assert row.arrival == pytest.approx(arrival, abs=0.00501)


def test_all_aggregations_and_reports_are_there_and_nothing_else(made: Path) -> None:
    days = [LAST - timedelta(back) for back in range(10)]
    aggregations = {f"delays/{day}-{window}.csv" for day in days for window in (3, 7, 14)}
    reports = {f"reports/{LAST}-{window}/{name}" for window in (3, 7, 14) for name in ("report.md", "chart.svg")}
    assert set(files(made)) == aggregations | reports


@pytest.mark.parametrize("window", [3, 7, 14])
def test_a_chart_has_a_line_for_every_carrier_of_its_days(made: Path, window: int) -> None:
    days = [made / "demo-out" / "delays" / f"{LAST - timedelta(back)}-{window}.csv" for back in range(10)]
    carriers = {row.carrier for day in days for row in read_table(day.read_text().splitlines()) if row.arrival is not None}
    svg = ElementTree.fromstring((made / "demo-out" / "reports" / f"{LAST}-{window}" / "chart.svg").read_text())
    drawn = {group.attrib["data-series"] for group in svg.iter(f"{SVG}g") if group.find(f"{SVG}polyline") is not None}
    assert drawn == carriers
    labels = " ".join(element.text or "" for element in svg.iter(f"{SVG}text"))
    assert all(f"  {carrier}  " in labels for carrier in carriers)


def test_a_second_run_makes_nothing(made: Path) -> None:
    before = files(made)
    assert levada(made, "plan") == 0
    assert levada(made, "run") == 0
    assert files(made) == before


def test_what_is_lost_is_made_again_and_nothing_else(made: Path) -> None:
    before = files(made)
    bytes_before = contents(made)
    (made / "demo-out" / "delays" / "2013-01-31-7.csv").unlink()
    shutil.rmtree(made / "demo-out" / "reports" / "2013-01-31-7")
    assert levada(made, "plan") == 10
    assert levada(made, "run") == 0
    after = files(made)
    again = {name for name in after if after[name] != before.get(name)}
    assert again == {"delays/2013-01-31-7.csv", "reports/2013-01-31-7/report.md", "reports/2013-01-31-7/chart.svg"}
    assert contents(made) == bytes_before


def test_an_aggregation_alone_is_made_again_without_the_report_that_exists(made: Path) -> None:
    """Existing means complete: the demo says so, and this is it."""
    before = files(made)
    (made / "demo-out" / "delays" / "2013-01-30-3.csv").unlink()
    assert levada(made, "run") == 0
    after = files(made)
    assert {name for name in after if after[name] != before.get(name)} == {"delays/2013-01-30-3.csv"}


def test_a_day_that_was_not_dropped_yet_is_waited_for_and_the_rest_is_made(made: Path, tmp_path: Path) -> None:
    (tmp_path / "demo-data").mkdir()
    shutil.copytree(made / "demo-data" / "dump", tmp_path / "demo-data" / "dump")
    (tmp_path / "demo-data" / "dump" / "2013-01-31.csv").unlink()
    assert levada(tmp_path, "run") == 3
    assert len(files(tmp_path)) == 27  # all windows but the three that end on the 31st

    shutil.copy(made / "demo-data" / "dump" / "2013-01-31.csv", tmp_path / "demo-data" / "dump")
    assert levada(tmp_path, "run") == 0
    assert len(files(tmp_path)) == 36


@pytest.mark.timeout(120)
def test_four_processes_started_together_make_each_task_once_and_all_end_well(made: Path, tmp_path: Path) -> None:
    """No server: runs of one host exclude each other task by task, and each waits for what another makes."""
    (tmp_path / "demo-data").symlink_to(made / "demo-data")
    runs = [subprocess.Popen(line(), cwd=tmp_path, env=environ(tmp_path), stderr=subprocess.PIPE, text=True) for _ in range(4)]
    ended = [(run.communicate(timeout=100)[1], run.returncode) for run in runs]
    assert [code for _, code in ended] == [0, 0, 0, 0], "".join(said for said, _ in ended)
    attempts = Counter(attempt.task for attempt in attempts_of(str(tmp_path / "state" / "history.db")) if attempt.exit == "ok")
    assert len(attempts) == 33
    assert set(attempts.values()) == {1}
    assert contents(tmp_path) == contents(made)


@pytest.mark.timeout(120)
def test_the_demo_keeps_its_word(made: Path, package: Path, tmp_path: Path) -> None:
    """``demo`` checks each of its claims and ends with 1 at the first that is not true."""
    (tmp_path / "demo-data").mkdir()
    (tmp_path / "demo-data" / "package").symlink_to(package)
    arguments = [sys.executable, "-m", "examples.flights.demo"]
    done = subprocess.run(arguments, cwd=tmp_path, env=environ(tmp_path), capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    for headline in ("The data", "1. The plan", "2. The run", "3. The result", "4. The same", "5. Two outputs", "6. Where"):
        assert f"== {headline}" in done.stdout
