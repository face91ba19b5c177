"""mypy --strict and pyright agree, with no plug-in, on what is a right task and what is a wrong one.

`accept_*.py`: no error. `reject_*.py`: an error in each line that ends with ``# E:``, and in no other.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
ACCEPTED = sorted(HERE.glob("accept_*.py"))
REJECTED = sorted(HERE.glob("reject_*.py"))

Findings = dict[str, dict[int, str]]
"""File name -> line -> what the checker says of it."""


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)


def mypy() -> Findings:
    found: Findings = {}
    files = [str(file) for file in (*ACCEPTED, *REJECTED)]
    result = run("mypy", "--strict", "--no-error-summary", "--hide-error-context", "--no-pretty", *files)
    assert result.returncode in (0, 1), result.stdout + result.stderr
    for line in result.stdout.splitlines():
        if match := re.match(r"(.+?):(\d+): error: (.*)", line):
            found.setdefault(Path(match[1]).name, {})[int(match[2])] = match[3]
    return found


def pyright() -> Findings:
    found: Findings = {}
    files = [str(file) for file in (*ACCEPTED, *REJECTED)]
    result = run("pyright", "--outputjson", "--pythonpath", sys.executable, *files)
    report = json.loads(result.stdout)
    assert report["summary"]["filesAnalyzed"] >= len(ACCEPTED) + len(REJECTED), result.stdout
    for item in report["generalDiagnostics"]:
        if item["severity"] == "error":
            found.setdefault(Path(item["file"]).name, {})[item["range"]["start"]["line"] + 1] = item["message"]
    return found


@pytest.fixture(scope="module", params=[mypy, pyright], ids=["mypy", "pyright"])
def findings(request: pytest.FixtureRequest) -> Findings:
    checker: Callable[[], Findings] = request.param
    return checker()


def show(found: dict[int, str]) -> str:
    return "\n".join(f"line {line}: {text}" for line, text in sorted(found.items()))


@pytest.mark.timeout(300)  # mypy's first run has no cache
@pytest.mark.xdist_group("typing")
@pytest.mark.parametrize("file", ACCEPTED, ids=lambda file: file.stem)
def test_right_tasks_are_accepted(file: Path, findings: Findings) -> None:
    errors = findings.get(file.name, {})
    assert not errors, show(errors)


@pytest.mark.timeout(300)
@pytest.mark.xdist_group("typing")
@pytest.mark.parametrize("file", REJECTED, ids=lambda file: file.stem)
def test_wrong_tasks_are_rejected_line_by_line(file: Path, findings: Findings) -> None:
    errors = findings.get(file.name, {})
    wrong = {number for number, line in enumerate(file.read_text().splitlines(), 1) if line.endswith("# E:")}
    assert wrong, "the file shows nothing"
    assert set(errors) == wrong, show(errors)
