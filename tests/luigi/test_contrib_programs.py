"""Programs as tasks, as Luigi's users know them: ``luigi.contrib.external_program``, ``spark``, ``pig``, ``hive``."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

import pytest

import levada
from levada.errors import JobFailed
from levada.luigi.configuration import get_config
from levada.luigi.contrib import hive, opener, pig
from levada.luigi.contrib._settings import flag, whole
from levada.luigi.contrib.external_program import ExternalProgramRunError, ExternalProgramTask, ExternalPythonProgramTask
from levada.luigi.contrib.spark import PySparkTask, SparkSubmitTask
from levada.targets import LocalTarget


def program(path: Path, text: str) -> str:
    """A program for sh."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


class Sh(ExternalProgramTask):
    text: str

    def program_args(self) -> list[Any]:
        return ["sh", "-c", self.text]


class ShElsewhere(Sh):
    engine = "local"


class NamedProgram(ExternalPythonProgramTask):
    def program_args(self) -> list[Any]:
        return ["true"]


class JarOfSpark(SparkSubmitTask):
    app = "flights.jar"
    entry_class = "org.example.Flights"
    conf = {"spark.ui.enabled": "false"}

    def app_options(self) -> list[Any]:
        return ["2024-02-29"]


class CountedInDriver(PySparkTask):
    into: str

    def output(self) -> LocalTarget:
        return LocalTarget(self.into)

    def main(self, sc: Any, *args: Any) -> None:
        with self.output().open("w") as out:
            out.write(f"{sc.name} {self.into}")


class ScriptOfPig(pig.PigJobTask):
    def output(self) -> LocalTarget:
        return LocalTarget("never")

    def pig_script_path(self) -> str:
        return "flights.pig"

    def pig_parameters(self) -> dict[str, str]:
        return {"DAY": "2024-02-29"}


class QueryOfHive(hive.HiveQueryTask):
    def query(self) -> str:
        return "SELECT 1"

    def hivevars(self) -> dict[str, str]:
        return {"day": "2024-02-29"}


def test_a_failed_program_is_told_with_what_it_said_and_without_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD_OF_TEST", "open-sesame")
    with pytest.raises(ExternalProgramRunError) as caught:
        Sh("echo fine; echo broken >&2; exit 3").run()
    error = caught.value
    assert (error.out, error.err, error.env["PASSWORD_OF_TEST"]) == ("fine\n", "broken\n", "open-sesame")  # type: ignore[index]
    assert "broken" in str(error)
    assert "open-sesame" not in str(error)
    assert isinstance(error, JobFailed)
    assert isinstance(error, RuntimeError)


def test_what_a_program_says_is_logged_when_it_has_ended(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "luigi-interface"):
        Sh("echo fine").run()
    assert "Program stdout:\nfine\n" in caplog.messages


def test_the_page_of_a_program_is_found_in_what_it_says() -> None:
    task = Sh("echo page: http://here/1", stream_for_searching_tracking_url="stdout", tracking_url_pattern="page: (.*)")
    task.run()
    assert task._tracking_url == "http://here/1"
    whole = Sh("echo page: http://here/2", stream_for_searching_tracking_url="stdout", tracking_url_pattern="http://[a-z]+/2")
    whole.run()
    assert whole._tracking_url == "http://here/2"


def test_a_program_gets_the_environment_that_the_task_gives_and_no_other(tmp_path: Path) -> None:
    class Alone(Sh):
        def program_environment(self) -> dict[str, str]:
            return {"ONLY": "this"}

    Alone(f'echo "$ONLY:$HOME" > {tmp_path}/seen').run()
    assert (tmp_path / "seen").read_text() == "this:\n"


def test_a_virtual_environment_goes_before_the_path() -> None:
    env = NamedProgram(virtualenv="/venv", extra_pythonpath="/more").program_environment()
    assert env["PATH"].startswith("/venv/bin:")
    assert env["PYTHONPATH"].startswith("/more:")
    assert env["VIRTUAL_ENV"] == "/venv"


def test_a_class_that_names_an_engine_hands_its_program_over() -> None:
    assert not ShElsewhere("exit 3").is_local()
    with pytest.raises(JobFailed) as caught:
        ShElsewhere("echo broken >&2; exit 3").run()
    assert not isinstance(caught.value, ExternalProgramRunError)


def test_spark_submit_is_told_what_class_and_configuration_say() -> None:
    config = get_config()
    config.set("spark", "master", "yarn")
    config.set("spark", "executor_memory", "2g")
    try:
        assert JarOfSpark().program_args() == [
            "spark-submit", "--master", "yarn", "--class", "org.example.Flights", "--conf", "spark.ui.enabled=false",
            "--executor-memory", "2g", "flights.jar", "2024-02-29",
        ]  # fmt: skip
    finally:
        config.remove_section("spark")


def test_a_setting_of_spark_that_says_false_is_off() -> None:
    config = get_config()
    config.set("spark", "supervise", "false")
    config.set("pyspark_runner", "use_spark_session", "False")
    config.set("spark", "conf", "spark.ui.enabled=false|spark.speculation")
    try:
        assert "--supervise" not in JarOfSpark().spark_command()
        assert not flag("pyspark_runner", "use_spark_session")
        with pytest.raises(ValueError, match=r"'spark\.speculation' is no property"):
            SparkSubmitTask().conf  # noqa: B018
        config.set("spark", "supervise", "true")
        assert "--supervise" in JarOfSpark().spark_command()
    finally:
        config.remove_section("spark")
        config.remove_section("pyspark_runner")


def test_a_driver_of_pyspark_is_the_task_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """spark-submit, played by a shell that starts the driver's Python with a pyspark of three lines."""
    (tmp_path / "pyspark.py").write_text(
        "class SparkConf: pass\nclass SparkContext:\n    name = 'spark'\n    def __init__(self, conf): pass\n    def stop(self): pass\n"
    )
    paths = [str(tmp_path), str(Path(levada.__file__).parent.parent), str(Path(__file__).parents[2])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    submit = program(tmp_path / "submit", f'shift 2; exec {sys.executable} "$@"')
    get_config().set("spark", "spark_submit", submit)
    try:
        CountedInDriver(str(tmp_path / "made")).run()
    finally:
        get_config().remove_section("spark")
    assert (tmp_path / "made").read_text() == f"spark {tmp_path / 'made'}"


def test_a_script_of_pig_is_run_with_its_parameters(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    program(tmp_path / "bin" / "pig", f'echo "$1 $3 $4 $PIG_HOME" > {tmp_path}/seen; cat "$2" >> {tmp_path}/seen')
    get_config().set("pig", "home", str(tmp_path))
    try:
        ScriptOfPig().run()
        assert (tmp_path / "seen").read_text() == f"-param_file -f flights.pig {tmp_path}\nDAY=2024-02-29\n"
        program(tmp_path / "bin" / "pig", "echo no such field >&2; exit 2")
        with pytest.raises(pig.PigJobError, match="no such field"):
            ScriptOfPig().run()
    finally:
        get_config().remove_section("pig")


def test_a_query_of_hive_is_a_file_that_hive_reads(tmp_path: Path) -> None:
    get_config().set("hive", "command", program(tmp_path / "hive", f'cat "$2" > {tmp_path}/query; shift 2; echo "$@" > {tmp_path}/seen'))
    try:
        QueryOfHive().run()
    finally:
        get_config().remove_section("hive")
    assert (tmp_path / "query").read_text() == "SELECT 1"
    assert (tmp_path / "seen").read_text().endswith("--hivevar day=2024-02-29\n")


def test_a_partition_is_asked_for_in_hives_words(tmp_path: Path) -> None:
    get_config().set("hive", "command", program(tmp_path / "hive", f'echo "$2" >> {tmp_path}/asked; echo day=2024-02-29'))
    try:
        assert hive.HivePartitionTarget("delays", {"day": "2024-02-29"}, "flights").exists()
    finally:
        get_config().remove_section("hive")
    assert (tmp_path / "asked").read_text() == "use flights; show partitions delays partition (`day`='2024-02-29')\n"


def test_a_hive_that_is_not_there_and_a_port_that_is_none_are_named() -> None:
    get_config().set("hive", "command", "/no/such/hive")
    get_config().set("hive", "metastore_port", "many")
    try:
        with pytest.raises(hive.HiveCommandError, match=r"/no/such/hive: could not be started .*\[hive\] command"):
            hive.HiveTableTarget("flights").exists()
        with pytest.raises(ValueError, match=r"\[hive\] metastore_port of luigi\.cfg is 'many'; expected a whole number"):
            whole("hive", "metastore_port", 9083)
    finally:
        get_config().remove_section("hive")


def test_a_url_gives_a_target_its_options(tmp_path: Path) -> None:
    found = opener.OpenerTarget(f"file://{tmp_path}/a?is_tmp&unknown=1")
    assert (found.path, found.is_tmp) == (f"{tmp_path}/a", True)
    with pytest.raises(opener.InvalidQuery, match="is_tmp=True: is no JSON"):
        opener.OpenerTarget(f"file://{tmp_path}/a?is_tmp=True")
    with pytest.raises(opener.NoOpenerError, match="gopher"):
        opener.OpenerTarget("gopher://a/b")
