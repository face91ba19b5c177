"""Luigi's small modules: notifications, locks, logging, metrics, archives, the tools."""

from __future__ import annotations

import io
import logging
import os
import smtplib
import tarfile
from email.message import Message
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import levada.luigi as luigi
from levada.luigi import batch_notifier, lock, metrics, notifications, process, safe_extractor, setup_logging
from levada.luigi.tools import deps, deps_tree, luigi_grep


class Load(luigi.Task):
    shop = luigi.Parameter()

    def complete(self) -> bool:
        return False


# -- e-mails -----------------------------------------------------------------------------------


class Server:
    """A mail server that keeps what it is given."""

    sent: list[tuple[Any, ...]] = []

    def __init__(self, **place: Any) -> None:
        self.place = place

    def ehlo_or_helo_if_needed(self) -> None: ...

    def has_extn(self, name: str) -> bool:
        return False

    def sendmail(self, sender: str, recipients: Any, text: str) -> None:
        Server.sent.append((self.place["host"], sender, list(recipients), text))


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sections of luigi.cfg for the length of a test."""
    parser = luigi.configuration.LuigiConfigParser()
    monkeypatch.setattr(luigi.configuration.LuigiConfigParser, "_instance", parser)
    monkeypatch.setattr(smtplib, "SMTP", Server)
    Server.sent.clear()

    def configure(**sections: dict[str, str]) -> None:
        for section, values in sections.items():
            for name, value in values.items():
                parser.set(section, name, value)

    return configure


def test_a_failure_is_told_to_the_receiver_and_to_more(configured: Any) -> None:
    configured(
        email={"receiver": "a@x.org, b@x.org", "prefix": "[x]", "sender": "me@x.org", "force_send": "true"}, smtp={"host": "mail.x.org"}
    )
    notifications.send_error_email("it failed", "because", "c@x.org")
    ((host, sender, recipients, text),) = Server.sent
    assert (host, sender, recipients) == ("mail.x.org", "me@x.org", ["a@x.org", "b@x.org", "c@x.org"])
    assert "Subject: [x] it failed" in text


def test_nothing_is_sent_without_a_receiver_or_where_e_mails_are_off(configured: Any) -> None:
    notifications.send_error_email("s", "m")
    configured(email={"receiver": "a@x.org", "format": "none"})
    notifications.send_error_email("s", "m")
    assert Server.sent == []


def test_the_body_tells_the_task_and_cuts_long_errors(configured: Any) -> None:
    configured(email={"traceback_max_length": "5"})
    body = notifications.format_task_error("Failed", Load("<n>"), "prog --x", "0123456789")
    assert "Name: Load\n" in body
    assert "shop: <n>\n" in body
    assert "01234...Traceback" in body
    configured(email={"format": "html"})
    assert "<th>shop</th><td>&lt;n&gt;</td>" in notifications.format_task_error("Failed", Load("<n>"), "prog --x", "x")


def test_pictures_go_with_an_e_mail(tmp_path: Path, configured: Any) -> None:
    (tmp_path / "plot.png").write_bytes(b"\x89PNG")
    whole: Message = notifications.generate_email("a@x.org", "s", "m", ["b@x.org"], images_png=str(tmp_path / "plot.png"))
    assert [part.get_filename() for part in whole.walk() if part.get_filename()] == ["plot.png"]


def test_many_failures_are_one_e_mail_of_an_hour(configured: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    configured(email={"receiver": "all@x.org"})
    sent: list[tuple[Any, ...]] = []
    monkeypatch.setattr(batch_notifier, "send_email", lambda *what: sent.append(what))
    now = [0.0]
    monkeypatch.setattr(batch_notifier, "time", SimpleNamespace(time=lambda: now[0]))
    notifier = batch_notifier.BatchNotifier()
    for number in range(3):
        notifier.add_failure(f"Load(shop={number})", "Load", {}, "no space", ["ana@x.org"])
    notifier.add_disable("Load(shop=0)", "Load", {}, [])
    notifier.update()
    assert sent == []
    now[0] = 3601
    notifier.update()
    by_receiver = {receivers: (subject, body) for subject, body, _, receivers in sent}
    assert by_receiver["all@x.org",] == (
        "Luigi: 3 failures, 1 disable in the last 60 minutes",
        "- Load() (3 failures, 1 disable)\n\n      no space",
    )
    assert by_receiver["ana@x.org",][0] == "Luigi: Your tasks have 3 failures in the last 60 minutes"
    sent.clear()
    notifier.send_email()
    assert sent == []


# -- processes ---------------------------------------------------------------------------------


def test_one_command_line_runs_once_at_a_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "locks")
    pid, command, path = lock.get_info(folder)
    assert (pid, command) == (os.getpid(), lock.getpcmd(os.getpid()))
    assert lock.acquire_for(folder)
    assert Path(path).read_text() == f"{pid}\n"
    assert not lock.acquire_for(folder)
    assert lock.acquire_for(folder, num_available=2)
    assert "already running" in capsys.readouterr().out


def test_a_server_runs_in_the_background_once(tmp_path: Path) -> None:
    pidfile, told, go = tmp_path / "run" / "pid", tmp_path / "told", tmp_path / "go"
    os.mkfifo(told)
    os.mkfifo(go)

    def serve(**where: Any) -> None:
        told.write_text(f"{os.getpid()} {where['api_port']}")
        go.read_text()

    process.daemonize(serve, str(pidfile), str(tmp_path / "log"), api_port=9)
    pid, port = told.read_text().split()
    assert (process.check_pid(str(pidfile)), port) == (int(pid), "9")
    assert int(pid) != os.getpid()
    go.write_text("")
    assert sorted(path.suffix for path in (tmp_path / "log").iterdir()) == [".err", ".log", ".out"]


def test_a_file_that_names_no_living_process_is_none(tmp_path: Path) -> None:
    assert process.check_pid(None) == process.check_pid(str(tmp_path / "absent")) == 0
    (tmp_path / "pid").write_text("nonsense")
    assert process.check_pid(str(tmp_path / "pid")) == 0


# -- the rest ----------------------------------------------------------------------------------


def test_the_first_setting_of_logging_that_is_there_counts(tmp_path: Path, configured: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup_logging.InterfaceLogging, "config", luigi.configuration.LuigiConfigParser.instance())
    monkeypatch.setattr(setup_logging.InterfaceLogging, "_configured", False)
    logger = logging.getLogger("luigi-interface")
    before, level = list(logger.handlers), logger.level
    options = SimpleNamespace(logging_conf_file="", log_level="WARNING")
    try:
        assert setup_logging.InterfaceLogging.setup(options)
        assert logger.level == logging.WARNING
        assert not setup_logging.InterfaceLogging.setup(options)  # once is enough
    finally:
        logger.handlers[:] = before
        logger.setLevel(level)
    monkeypatch.setattr(setup_logging.InterfaceLogging, "_configured", False)
    with pytest.raises(FileNotFoundError, match="logging_conf_file"):
        setup_logging.InterfaceLogging.setup(SimpleNamespace(logging_conf_file=str(tmp_path / "absent"), log_level="INFO"))


class Collector(metrics.NoMetricsCollector):
    pass


def test_a_collector_is_found_by_its_name() -> None:
    assert type(metrics.MetricsCollectors.get(metrics.MetricsCollectors.default)) is metrics.NoMetricsCollector
    assert type(metrics.MetricsCollectors.get(metrics.MetricsCollectors.custom, f"{__name__}.Collector")) is Collector
    with pytest.raises(ValueError, match="junk"):
        metrics.MetricsCollectors.get("junk")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not a subclass"):
        metrics.MetricsCollectors.get(metrics.MetricsCollectors.custom, f"{__name__}.Load")


def test_an_archive_that_would_leave_its_folder_is_refused_whole(tmp_path: Path) -> None:
    for name, fine in (("good.txt", True), ("../bad.txt", False)):
        with tarfile.open(tmp_path / "a.tar", "w") as archive:
            archive.addfile(tarfile.TarInfo("first.txt"), io.BytesIO(b""))
            archive.addfile(tarfile.TarInfo(name), io.BytesIO(b""))
        folder = tmp_path / str(fine)
        folder.mkdir()
        if fine:
            safe_extractor.SafeExtractor(str(folder)).safe_extract(str(tmp_path / "a.tar"))
        else:
            with pytest.raises(RuntimeError, match="bad"):
                safe_extractor.SafeExtractor(str(folder)).safe_extract(str(tmp_path / "a.tar"))
        assert len(list(folder.iterdir())) == 2 * fine


class Dump(luigi.Task):
    def complete(self) -> bool:
        return True


class Clean(luigi.Task):
    def requires(self) -> Any:
        return Dump()

    def complete(self) -> bool:
        return False


class Page(luigi.WrapperTask):
    def requires(self) -> Any:
        return [Clean(), Load("n")]


def test_the_tasks_on_the_ways_to_a_family() -> None:
    assert deps.find_deps(Page(), "Dump") == {Page(), Clean(), Dump()}
    assert deps.find_deps(Page(), "Nowhere") == set()
    assert len(deps.find_deps(Page(), None)) == 4


def test_a_tree_shows_who_is_complete() -> None:
    plain = deps_tree.print_tree(Page()).replace("\033[92m", "").replace("\033[94m", "").replace("\033[0m", "")
    assert plain.split("\n")[1:] == [
        "└─--[Page-{} (PENDING)]",
        "    |---[Clean-{} (PENDING)]",
        "    |   └─--[Dump-{} (COMPLETE)]",
        "    └─--[Load-{'shop': 'n'} (PENDING)]",
    ]


def test_a_scheduler_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = {
        "Page_1": {"status": "PENDING", "deps": ["Clean_2", "Gone_3"]},
        "Clean_2": {"status": "FAILED", "deps": []},
    }
    grep = luigi_grep.LuigiGrep("host", 8082)
    monkeypatch.setattr(grep, "_fetch_json", lambda: {"response": graph})
    assert grep.graph_url == "http://host:8082/api/graph"
    assert [found["name"] for found in grep.status_search("failed")] == ["Clean_2"]
    (page,) = grep.prefix_search("Pa")
    assert page["deps_by_status"] == {"FAILED": ["Clean_2"], "UNKNOWN": ["Gone_3"]}
