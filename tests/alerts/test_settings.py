"""What the configuration says of alerts, and what is never shown of it; the command that tries it."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path

import pytest

from levada._server.alerts import grouping
from levada._server.alerts.settings import alerts_of
from levada.cli.alerts import alert_plan
from levada.cli.app import main
from levada.config.schema import ALARMS
from levada.config.settings import load
from levada.errors import ConfigError
from tests.alerts.sinks import mail_sink, web_sink

FULL = """
[alerts]
to = ["json://ops:hunter22@localhost/x", "secret://env/ALERT_URL"]
on = ["failed", "recovered"]
window = 5
most = 7
url = "https://levada.example.org"

[alerts.owners]
ana = ["json://localhost/hunter22"]
"family:Load" = ["secret://env/ALERT_URL"]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("LEVADA_STATE", str(tmp_path / "state"))
    return tmp_path


def write(folder: Path, text: str) -> None:
    (folder / "levada.toml").write_text(text)
    (folder / "levada.toml").chmod(0o600)


def test_the_list_of_alarms_is_that_of_the_server() -> None:
    assert ALARMS == grouping.KINDS


def test_a_plan_is_what_the_file_says(folder: Path) -> None:
    write(folder, FULL)
    plan = alert_plan(load({"ALERT_URL": "json://localhost/other"}, str(folder)))
    assert plan is not None
    assert plan.to == ("json://ops:hunter22@localhost/x", "json://localhost/other")
    assert plan.owners == {"ana": ("json://localhost/hunter22",), "family:Load": ("json://localhost/other",)}
    assert (plan.on, plan.window, plan.most, plan.url) == (("failed", "recovered"), 5, 7, "https://levada.example.org")
    assert "hunter22" not in repr(plan)
    assert len(alerts_of(plan).destinations.all()) == 4


def test_without_an_address_there_is_no_plan(folder: Path) -> None:
    write(folder, "[alerts]\nwindow = 5\n")
    assert alert_plan(load({}, str(folder))) is None


def test_a_reference_to_what_is_not_set_is_refused(folder: Path) -> None:
    write(folder, FULL)
    with pytest.raises(ConfigError, match="ALERT_URL, which is not set"):
        alert_plan(load({}, str(folder)))


def test_addresses_in_the_environment_have_spaces_between() -> None:
    plan = alert_plan(load({"LEVADA_ALERTS__TO": "mailto://a:b@c?to=d,e json://x/y"}, "/"))
    assert plan is not None
    assert plan.to == ("mailto://a:b@c?to=d,e", "json://x/y")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            '[alerts]\nto = "json://hunter22"',
            r"\[alerts\] to: got what is not shown, for it is secret, expected a list of addresses: put it in \[ \]",
        ),
        ('[alerts]\nto = ["json://hunter22", 7]', "expected a list of addresses"),
        ('[alerts]\nowners = ["json://hunter22"]', "expected a table in a file"),
        ('[alerts.owners]\nana = "json://hunter22"', "expected a table in a file"),
        ('[alerts]\non = ["failed", "sad"]', "expected a list out of failed, disabled, deadline, recovered"),
        ("[alerts]\nmost = 0", "expected a whole number of 1 or more"),
    ],
)
def test_what_is_no_setting_is_refused_without_its_secret(folder: Path, text: str, words: str) -> None:
    write(folder, text)
    with pytest.raises(ConfigError, match=words) as refused:
        load({}, str(folder))
    assert "hunter22" not in str(refused.value)


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_config_explain_shows_schemes_alone(folder: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    write(folder, FULL)
    assert main(["config", "explain", *words]) == 0
    out = capsys.readouterr().out
    assert "hunter22" not in out
    assert "json://***, secret://***" in out
    assert "ana: json://***; family:Load: secret://***" in out


def test_a_server_with_a_bad_address_does_not_start_and_says_which(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, '[alerts]\nto = ["json://localhost/x", "slack://hunter22/x"]\n')
    assert main(["server", "--bind", f"unix:{folder}/s"]) == 2
    said = capsys.readouterr()
    assert "[alerts] to, entry 2 (slack): is no address that can be used" in said.err
    assert "hunter22" not in said.err + said.out


def test_alerts_test_says_how_each_went(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stream, root = io.StringIO(), logging.getLogger()
    handler = logging.StreamHandler(stream)
    root.addHandler(handler)
    try:
        with mail_sink() as (mails, mail), web_sink() as (posts, post):
            write(folder, f'[alerts]\nto = ["{mail}", "{post}"]\nurl = "https://levada.example.org"\n')
            assert main(["alerts", "test"]) == 0
            posts.status = 500
            assert main(["alerts", "test", "--json"]) == 69
    finally:
        root.removeHandler(handler)
    said = capsys.readouterr()
    table, rows = said.out.split("[\n", 1) if "[\n" in said.out else (said.out, "")
    assert table.count("sent") == 2
    assert "[alerts] to, entry 2 (json)" in table
    first, second = json.loads("[" + rows)
    assert (first["sent"], second["sent"]) == (True, False)
    assert "500" in second["why"]
    assert [subject for _, subject, _ in mails.got] == ["[levada] a test of alerts"] * 2
    assert "https://levada.example.org" in mails.got[0][2]
    assert not [word for word in ("hunter22", "token0815") if word in said.out + said.err + stream.getvalue()]


@pytest.mark.parametrize("words", [["alerts"], ["alerts", "send"], ["alerts", "test", "ana"]])
def test_alerts_is_told_what_to_do(folder: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert "Write `levada alerts test`" in capsys.readouterr().err


def test_alerts_test_without_an_address_says_what_to_write(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["alerts", "test"]) == 2
    assert "below [alerts]" in capsys.readouterr().err


def test_alerts_without_the_library_say_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "apprise", None)
    write(folder, '[alerts]\nto = ["json://localhost/x"]\n')
    assert main(["alerts", "test"]) == 2
    assert "pip install 'levada[notify]'" in capsys.readouterr().err
