"""The pages say what the code does."""

from __future__ import annotations

from pathlib import Path

from levada._model.exit_codes import MEANINGS
from levada.cli import run
from levada.cli.app import COMMANDS
from levada.config.schema import SECTIONS

DOCS = Path(__file__).parents[2] / "docs"


def test_every_command_option_and_exit_code_is_documented() -> None:
    page = (DOCS / "command-line.md").read_text()

    assert [code for code, meaning in MEANINGS if f"| {code} | {meaning} |" not in page] == []
    assert [name for name in COMMANDS if f"| `{name}" not in page] == []
    assert [option.name for option in run.OPTIONS if option.name not in ("--debug", "--help", "--config") and option.name not in page] == []


def test_every_setting_is_documented() -> None:
    page = (DOCS / "configuration.md").read_text()

    assert [(section, key) for section, keys in SECTIONS.items() for key in keys if f"| `{section}` | `{key}` |" not in page] == []
