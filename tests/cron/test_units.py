"""The units of the page are what systemd understands. Nothing is started: `systemd-analyze verify` reads files."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "cron.md"
UNIT = re.compile(r"^```ini\n# (\S+\.(?:service|timer))\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NAMES = ("levada-run.service", "levada-run.timer", "levada-server.service", "levada-worker.service")


def units(folder: Path) -> list[Path]:
    """The page's units as files; the program that they start is one that is there."""
    for name, text in UNIT.findall(PAGE.read_text()):
        (folder / name).write_text(text.replace("/srv/flights/.venv/bin/levada", str(shutil.which("true"))))
    return sorted(folder.iterdir())


def verify(*paths: Path) -> str:
    """What it has to say."""
    environ = {**os.environ, "SYSTEMD_UNIT_PATH": f"{paths[0].parent}:", "SYSTEMD_LOG_LEVEL": "warning"}
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--generators=no", *map(str, paths)],
        env=environ, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    return f"{done.stdout}{done.stderr}" + ("" if done.returncode == 0 else f"exit code {done.returncode}")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="by design: there is no systemd-analyze here")
def test_systemd_has_nothing_to_say_about_the_units_of_the_page(tmp_path: Path) -> None:
    found = units(tmp_path)
    assert tuple(path.name for path in found) == NAMES
    assert verify(*found) == ""
    wrong = tmp_path / "levada-wrong.timer"
    wrong.write_text(found[1].read_text().replace("AccuracySec", "Accuracy").replace("[Install]", "Unit=levada-run.service\n[Install]"))
    assert "Accuracy" in verify(wrong), "it does look"


def test_units_start_what_there_is(tmp_path: Path) -> None:
    """Each command of a unit is one of ours, with options that it has."""
    from levada.cli import agent, run, server, worker

    known = {"server": server.OPTIONS, "worker": worker.OPTIONS, "run": run.OPTIONS, "agent": agent.OPTIONS}
    commands = re.findall(r"^ExecStart=\S+/levada (\S+)(.*)$", PAGE.read_text(), re.MULTILINE)
    assert sorted(command for command, _ in commands) == ["run", "server", "worker"]
    for command, words in commands:
        names = {option.name for option in known[command]}
        assert {word for word in words.split() if word.startswith("--")} <= names
