"""``luigi.build``, ``luigi.run`` and the command line, under Luigi's contract and under Levada's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import levada.luigi as luigi
import levada.task
from levada._model import exit_codes
from levada._model.spec import Retry
from levada.cli import main as levada_main
from levada.luigi._command import _without_luigis_own
from levada.luigi._command import command as levada_luigi
from levada.luigi.configuration import get_config
from levada.luigi.execution_summary import LuigiStatusCode
from levada.luigi.interface import _WorkerSchedulerFactory, core
from levada.luigi.retcodes import run_with_retcodes
from levada.luigi.setup_logging import InterfaceLogging

QUIET: dict[str, Any] = {"local_scheduler": True, "log_level": "CRITICAL"}


class InterfacePiece(luigi.Task):
    path = luigi.Parameter()

    def output(self) -> Any:
        return luigi.LocalTarget(self.path)

    def run(self) -> None:
        Path(self.path).write_text("x")


starts: list[str] = []


class BuildsOn(InterfacePiece):
    def run(self) -> Any:
        starts.append(self.path)
        yield InterfacePiece(f"{self.path}.first")
        yield InterfacePiece(f"{self.path}.second")
        Path(self.path).write_text("x")


class Forgets(InterfacePiece):
    retry = None

    def run(self) -> None:
        pass


class Raises(luigi.Task):
    retry = None

    def run(self) -> None:
        raise ValueError("no good")


class Absent(luigi.ExternalTask):
    def output(self) -> Any:
        return luigi.LocalTarget("/no/such/file")


class Both(luigi.WrapperTask):
    def requires(self) -> Any:
        return [Raises(), Absent()]


class NoPriority(luigi.Task):
    @property
    def priority(self) -> int:
        raise RuntimeError("asked too early")


class Careless(luigi.Task):
    def requires(self) -> Any:
        return 3


def code_of(*words: str) -> Any:
    with pytest.raises(SystemExit) as end:
        run_with_retcodes([*words, "--local-scheduler", "--no-lock", "--log-level", "CRITICAL"])
    return end.value.code


def levada_code_of(*words: str) -> int:
    return levada_luigi([*words, "--no-lock", "--log-level", "CRITICAL"])


def test_build_says_whether_all_went_well(tmp_path: Path) -> None:
    assert luigi.build([InterfacePiece(str(tmp_path / "a"))], **QUIET) is True
    assert luigi.build([Raises()], **QUIET) is False
    assert luigi.build([Absent()], **QUIET) is True  # nothing failed; Luigi calls that a success


def test_the_detailed_summary_is_the_same_by_both_contracts(tmp_path: Path) -> None:
    class Top(luigi.WrapperTask):
        folder = luigi.Parameter()

        def requires(self) -> Any:
            return [Absent(), *(InterfacePiece(f"{self.folder}/{n}") for n in range(5))]

    texts = []
    for contract in ("luigi", "levada"):
        (tmp_path / contract).mkdir()
        result = luigi.build([Top(str(tmp_path / contract))], detailed_summary=True, contract=contract, **QUIET)
        assert result.status is LuigiStatusCode.MISSING_EXT
        texts.append(result.summary_text.replace(f"/{contract}", ""))
    assert texts[0] == texts[1]


def test_run_starts_again_after_a_yield_unless_levadas_contract_is_asked_for(tmp_path: Path) -> None:
    old, new = BuildsOn(str(tmp_path / "old")), BuildsOn(str(tmp_path / "new"))
    starts.clear()

    assert luigi.build([old], **QUIET)
    assert luigi.build([new], contract="levada", **QUIET)

    assert starts == [old.path] * 3 + [new.path]


def test_success_without_output_is_a_failure_under_levadas_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(levada.task, "default_retry", Retry(first=0.0))  # as often as else, without pauses
    assert luigi.build([Forgets(str(tmp_path / "a"))], **QUIET) is True

    result = luigi.build([Forgets(str(tmp_path / "a"))], contract="levada", detailed_summary=True, **QUIET)

    assert result.status is LuigiStatusCode.FAILED
    assert result.result.failures[0].exit == "no-output"


def test_a_factory_of_the_program_makes_scheduler_and_worker(tmp_path: Path) -> None:
    made: list[str] = []

    class Factory(_WorkerSchedulerFactory):
        def create_worker(self, scheduler: Any, worker_processes: int, assistant: bool = False) -> Any:
            made.append("worker")
            return super().create_worker(scheduler, worker_processes, assistant)

    assert luigi.build([InterfacePiece(str(tmp_path / "a"))], worker_scheduler_factory=Factory(), **QUIET)
    assert made == ["worker"]


def test_run_reads_a_command_line_and_returns(tmp_path: Path) -> None:
    words = ["--path", str(tmp_path / "a"), "--no-lock", "--log-level", "CRITICAL"]

    assert luigi.run(words, main_task_cls=InterfacePiece, local_scheduler=True) is True
    assert (tmp_path / "a").exists()
    with pytest.raises(TypeError, match="list or tuple"):
        luigi.run("InterfacePiece")


def test_exit_codes_of_luigi_are_those_of_the_section_retcode() -> None:
    assert code_of("Raises") == 0
    assert code_of("Raises", "--retcode-task-failed", "7") == 7
    assert code_of("Absent", "--retcode-missing-data", "5") == 5


def test_levada_luigi_ends_with_levadas_codes_where_none_are_set(tmp_path: Path) -> None:
    """Cron sees a failure; a code that somebody set counts."""
    assert levada_code_of("InterfacePiece", "--path", str(tmp_path / "a")) == exit_codes.OK
    assert levada_code_of("Raises") == exit_codes.FAILED
    assert levada_code_of("Absent") == exit_codes.WAITING
    assert levada_code_of("Both") == exit_codes.FAILED
    assert levada_code_of("Both", "--retcode-missing-data", "9") == 9
    assert levada_code_of("Raises", "--retcode-task-failed", "7") == 7


def test_requirements_that_are_no_tasks_are_the_authors_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("Careless") == 4
    words = ["luigi", "Careless", "--local-scheduler", "--no-lock", "--log-level", "CRITICAL"]
    assert levada_main(words) == exit_codes.PLAN_FAULT
    assert "Traceback" not in (err := capsys.readouterr().err)
    assert "levada: Careless(): requires() gave 3, a int; expected tasks" in err


@pytest.mark.parametrize(
    ("words", "told", "code"),
    [
        (("--no-lock", "--logging-conf-file", "nope.ini"), "logging_conf_file is nope.ini, which is not there", exit_codes.USAGE),
        (("--no-lock", "--worker-wait-interval", "0"), "wait_interval must be positive", exit_codes.USAGE),
        (("--no-lock", "--worker-task-process-context", "no.Such"), "task_process_context is no.Such", exit_codes.USAGE),
        (("--lock-pid-dir", "/dev/null/x"), "lock_pid_dir is /dev/null/x: ", exit_codes.BUSY),
    ],
)
def test_settings_that_cannot_be_followed_are_told_in_a_sentence(
    words: tuple[str, ...], told: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(InterfaceLogging, "_configured", False)
    monkeypatch.setattr(InterfaceLogging, "_default", classmethod(lambda cls, options: True))

    assert levada_main(["luigi", "Raises", "--local-scheduler", *words]) == code
    assert told in (err := capsys.readouterr().err)
    assert "Traceback" not in err


def test_what_a_program_raises_outside_of_its_tasks_is_no_fault_of_levada() -> None:
    assert levada_code_of("NoPriority") == exit_codes.PLAN_FAULT


def test_a_success_may_be_asked_for_by_the_configuration() -> None:
    config = get_config()
    config.set("retcode", "task_failed", "0")
    try:
        assert levada_code_of("Raises") == 0
    finally:
        config.remove_option("retcode", "task_failed")


def test_options_that_only_luigi_has_are_left_out_for_levada() -> None:
    words = ["Task", "--local-scheduler", "--scheduler-host", "x", "--contract=levada", "--n", "3"]

    assert _without_luigis_own(words) == ["Task", "--n", "3"]


def test_settings_of_core_have_luigis_defaults() -> None:
    env = core()

    assert (env.scheduler_host, env.scheduler_port, env.workers, env.no_lock, env.contract) == ("localhost", 8082, 1, False, "luigi")
