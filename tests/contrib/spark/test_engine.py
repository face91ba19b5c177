"""The engine with a stand-in for spark-submit, that says what it was told; the real one is in the other tests."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from levada import config
from levada.config.settings import load
from levada.contrib.spark.engine import SparkEngine, open_engine
from levada.errors import EngineError
from levada.handover import JobSpec, JobState, JobStatus

NAME = f"lv-{os.urandom(8).hex()}-1-1-aaaaaa"
ECHO = "#!/bin/sh\npwd\nprintf '<%s>' \"$@\"\n"


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    path = tmp_path / "spark-submit"
    path.write_text(ECHO)
    path.chmod(0o755)
    return path


def job(program: Path, *argv: str, **options: object) -> JobSpec:
    return JobSpec(NAME, "Täsk(a=1)", argv, options={"spark_submit": str(program), **options})


def until(engine: SparkEngine, handle: str, state: JobState) -> JobStatus:
    end = time.monotonic() + 30
    while (status := engine.poll([handle])[0]).state is not state:
        assert time.monotonic() < end, status
        time.sleep(0.02)
    return status


def test_what_the_job_says_and_what_is_set_reaches_spark_submit(stand_in: Path, tmp_path: Path, in_tmp: Path) -> None:
    engine = SparkEngine("spark://a:7077", str(tmp_path / "jobs"))
    wanted = job(stand_in, "--class", "A", "app.jar", "x y", conf={"spark.ui.enabled": "false"})
    handle = engine.submit(wanted._replace(memory=(3 << 30) + 1))
    until(engine, handle, JobState.SUCCEEDED)
    folder, _, words = engine.logs(handle, most=10_000).partition("\n")
    assert folder == str(in_tmp)
    assert words == "".join(
        f"<{word}>"
        for word in (
            *("--master", "spark://a:7077", "--deploy-mode", "client", "--driver-memory", "3073m", "--name", "Täsk(a=1)"),
            *("--conf", "spark.ui.enabled=false", "--conf", f"spark.levada.submission={NAME}", "--class", "A", "app.jar", "x y"),
        )
    )


def test_the_master_is_that_of_the_job_the_address_or_the_setting(stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def master(engine: SparkEngine, **options: object) -> str:
        handle = engine.submit(job(stand_in, "app.jar", **options))
        until(engine, handle, JobState.SUCCEEDED)
        said = engine.logs(handle, most=10_000)
        engine.forget(handle)
        return said.partition("<--master><")[2].partition(">")[0]

    engine = SparkEngine("spark://a:1", str(tmp_path / "jobs"))
    assert master(engine, master="yarn") == "yarn"
    assert master(engine) == "spark://a:1"
    assert master(SparkEngine("", str(tmp_path / "jobs"))) == ""
    monkeypatch.setattr(config, "_current", load({"LEVADA_SPARK__MASTER": "local[3]"}, str(tmp_path)))
    assert master(SparkEngine("", str(tmp_path / "jobs"))) == "local[3]"


@pytest.mark.parametrize(
    "line",
    [
        "levada: the application is shown at http://here:4040",
        "26/01/01 00:00:00 INFO SparkUI: Bound SparkUI to 0.0.0.0, and started at http://here:4040",
    ],
)
def test_where_it_is_shown_is_told_while_it_runs(tmp_path: Path, stand_in: Path, line: str) -> None:
    stand_in.write_text(f"#!/bin/sh\necho '{line}'\nwhile [ ! -e {tmp_path}/go ]; do sleep 0.02; done\n")
    engine = SparkEngine("", str(tmp_path / "jobs"))
    handle = engine.submit(job(stand_in))
    end = time.monotonic() + 30
    while engine.poll([handle])[0].url != "http://here:4040":
        assert time.monotonic() < end
        time.sleep(0.02)
    (tmp_path / "go").touch()
    assert until(engine, handle, JobState.SUCCEEDED).url == ""


def test_the_error_of_the_application_is_the_message(tmp_path: Path, stand_in: Path) -> None:
    said = 'Traceback (most recent call last):\n  File "a.py", line 3\nLookupError: no flights\nINFO ShutdownHookManager: called\n'
    stand_in.write_text(f"#!/bin/sh\ncat <<'END'\n{said}END\nexit 1\n")
    engine = SparkEngine("", str(tmp_path / "jobs"))
    status = until(engine, engine.submit(job(stand_in)), JobState.FAILED)
    assert (status.exit, status.message) == (1, "LookupError: no flights")


def test_an_application_of_another_host_is_not_taken_for_ours(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="started on the host 'elsewhere'"):
        SparkEngine("", str(tmp_path)).poll([f"program {NAME} elsewhere - -"])


def test_addresses_name_a_standalone_master() -> None:
    assert open_engine("one:7077,two:7077")._master == "spark://one:7077,two:7077"
    assert open_engine("")._master == ""
