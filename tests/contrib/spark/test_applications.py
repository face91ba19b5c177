"""Applications on the real Spark, in the driver's own process: their answers, their errors, and what becomes of them when a worker dies."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from urllib.request import urlopen

import pytest

from examples.flights import fetch
from examples.flights.delays import Sums, add_day
from levada.contrib.spark.engine import SparkEngine
from tests.faults.command import ROOT, Command, ended, soon

LAST, WINDOW = date(2013, 1, 31), 3
VERSE = (
    "Der Mond ist aufgegangen,\ndie goldnen Sternlein prangen\nam Himmel hell und klar;\nder Wald steht schwarz und schweiget 静か 静か\n"
)


@pytest.fixture
def jobs(program: Command) -> Command:
    shutil.copy(Path(__file__).with_name("jobs.py"), program.folder)
    return program


def test_word_count_and_join_give_the_local_answer(jobs: Command) -> None:
    name = "Abendlied – 1. Strophe für Ü.txt"
    (jobs.folder / name).write_text(VERSE)
    days = [LAST - timedelta(back) for back in range(WINDOW)]
    try:
        fetch.drop(fetch.fetch(ROOT / "demo-data"), jobs.folder / "demo-data" / "dump", days)
    except fetch.FetchError as error:
        pytest.skip(f"no flights: {error}")
    counted = jobs.start("run", "--module", "jobs", "WordCount", "--path", name)
    joined = jobs.start("run", "--module", "jobs", "DelaysByName", f"--day={LAST}", f"--window={WINDOW}", "--Places-out=elsewhere")
    for done in (ended(counted, 400), ended(joined, 400)):
        assert done.returncode == 0, done.stdout + done.stderr
    counts = Counter(VERSE.split())
    assert (jobs.folder / "out" / f"{name}.counts").read_text() == "".join(f"{word}\t{counts[word]}\n" for word in sorted(counts))
    assert (jobs.folder / "elsewhere" / f"{LAST}-{WINDOW}.csv").read_text() == local_join(jobs.folder / "demo-data" / "dump", days)


def local_join(dump: Path, days: list[date]) -> str:
    sums: dict[str, Sums] = {}
    for day in days:
        add_day((dump / f"{day}.csv").read_text().splitlines(), sums)
    names = {row["carrier"]: row["name"] for row in csv.DictReader((dump / "carriers.csv").read_text().splitlines())}
    lines = [f"{code}|{names[code]}|{of.flights}|{of.departure}|{of.arrival}\n" for code, of in sorted(sums.items())]
    return "".join(lines)


@pytest.mark.parametrize(
    ("where", "error"),
    [("driver", "LookupError: no flights in the drop"), ("executor", "ZeroDivisionError: integer division or modulo by zero")],
)
def test_an_application_that_raises_shows_its_traceback(jobs: Command, where: str, error: str) -> None:
    done = jobs.run("run", "--module", "jobs", "Fails", "--where", where, timeout=400)
    assert done.returncode != 0
    said = jobs.run("log", f"Fails(where={where})").stdout
    assert error in done.stdout + done.stderr
    assert "jobs.py" in said
    assert "Traceback (most recent call last)" in said
    assert jobs.alive() == []


def test_an_application_survives_its_worker_and_runs_once(jobs: Command) -> None:
    title = "zwei Wörter; and 'more'"
    here = {"SLOW_HERE": str(jobs.folder), "TOKEN": "geheim"}
    words = ["run", "--module", "jobs", "SlowShown", "--title", title, "--secret", "secret://env/TOKEN"]
    first = jobs.start(*words, environ=here)
    wait_until_it_ran(jobs, first)
    followed_by = fences(jobs)
    first.kill()
    ended(first)
    assert not any("geheim" in line for line in command_lines(jobs))
    second = jobs.start(*words, environ=here)
    assert soon(lambda: fences(jobs) != followed_by, 200)  # it goes on with the job of the first
    shown = page_of(jobs)
    assert shown.startswith("http://")
    with urlopen(shown, timeout=60) as page:
        assert page.status == 200
    (jobs.folder / "go").touch()
    done = ended(second, 300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (jobs.folder / f"{title}.done").read_text() == "45 ein Wort — und 'noch' eins geheim"
    assert (jobs.folder / "ran").read_text() == f"{title}\n"
    assert jobs.alive() == []


def wait_until_it_ran(jobs: Command, worker: subprocess.Popen[str]) -> None:
    soon(lambda: (jobs.folder / "ran").exists() or worker.poll() is not None, 300)
    assert (jobs.folder / "ran").exists(), ended(worker, 1)


def fences(jobs: Command) -> list[str]:
    """Of the attempts that follow a job, as the book of jobs has them."""
    return [json.loads(path.read_text())["fence"] for path in sorted((jobs.state / "jobs").glob("*.json"))]


def page_of(jobs: Command) -> str:
    (entry,) = [json.loads(path.read_text()) for path in (jobs.state / "jobs").glob("*.json")]
    return SparkEngine("", str(jobs.state / "spark")).poll([entry["handle"]])[0].url


def command_lines(jobs: Command) -> list[str]:
    return [Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode() for pid in jobs.alive()]


def test_a_plain_application_gets_its_words(jobs: Command) -> None:
    (jobs.folder / "echo.py").write_text(
        "import sys\nwith open(sys.argv[1], 'w', encoding='utf-8') as out:\n    out.write('|'.join(sys.argv[2:]))\n"
    )
    done = jobs.run("run", "--module", "jobs", "Echo", "--words", '["zwei Wörter", "$HOME", "--flag"]', timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (jobs.folder / "echoed").read_text() == "zwei Wörter|$HOME|--flag"
