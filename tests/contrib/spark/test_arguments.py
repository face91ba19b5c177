"""What a task says to spark-submit, and what is said to those who write one wrongly; no Spark is needed."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

import levada as lv
from levada import config
from levada.config.settings import load
from levada.contrib.spark import PySparkTask, SparkSubmitTask
from levada.contrib.spark.finding import spark_submit
from levada.errors import EngineError, JobRefused


class Report(SparkSubmitTask):
    day: str

    app = "report.jar"
    entry_class = "org.example.Report"
    master = "spark://one:7077,two:7077"
    deploy_mode = "cluster"
    jars = ["a b.jar", Path("ü.jar")]
    conf = {"spark.ui.enabled": False, "spark.x": 3}
    executor_cores = 2
    total_executor_cores = 8
    driver_memory = "2g"
    supervise = True
    hadoop_conf_dir = Path("/etc/hadoop")

    def app_options(self) -> list[object]:
        return [self.day, 7]


def test_attributes_are_options_of_spark_submit() -> None:
    task = Report(day="heute")
    assert task.command() == [
        *("--class", "org.example.Report", "--executor-cores", "2", "--total-executor-cores", "8"),
        *("--jars", "a b.jar,ü.jar", "report.jar", "heute", "7"),
    ]
    assert task.options() == {
        "conf": {"spark.ui.enabled": "false", "spark.x": "3"},
        "master": "spark://one:7077,two:7077",
        "deploy_mode": "cluster",
        "driver_memory": "2g",
        "supervise": True,
    }
    assert task.environment() == {"HADOOP_CONF_DIR": "/etc/hadoop"}


def test_a_standalone_master_is_an_engine_of_its_own() -> None:
    assert Report(day="heute").engine_address() == "spark://one:7077,two:7077"
    assert type("Local", (Report,), {"master": "local[2]"})(day="heute").engine_address() == "spark"


def wrong(**attributes: Any) -> SparkSubmitTask:
    task: SparkSubmitTask = type("Wrong", (SparkSubmitTask,), {"app": "a.jar", **attributes})()
    return task


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ({"app": None}, "names no application"),
        ({"jars": "a.jar"}, r"jars is 'a.jar', expected a list of texts\n  As jars = "),
        ({"files": ["a,b"]}, "files has 'a,b'\n  spark-submit separates them by commas"),
        ({"py_files": [""]}, "py_files has ''"),
        ({"executor_memory": ["2g"]}, "executor_memory is .*, expected a text or a number"),
        ({"conf": "spark.x=3"}, "conf is 'spark.x=3', expected a mapping"),
    ],
)
def test_a_task_that_is_written_wrongly_is_told(attributes: dict[str, Any], why: str) -> None:
    task = wrong(**attributes)
    with pytest.raises(EngineError, match=why):
        (task.command(), task.options())


class CountedBySpark(PySparkTask):
    day: str
    token: str = lv.param(default="", secret=True, significant=False)

    def app_options(self) -> list[str]:
        return ["more"]


def test_a_pyspark_task_sends_itself_as_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "_current", load({"LEVADA_SPARK__FOLDER": str(tmp_path)}, str(tmp_path)))
    monkeypatch.delenv("PYSPARK_PYTHON", raising=False)
    task = CountedBySpark(day="heute", token="geheim")
    option, archive, starter, entry, more = task.command()
    assert (option, more) == ("--py-files", "more")
    assert Path(archive).parent == Path(starter).parent == tmp_path
    assert json.loads(entry)["texts"] == {"day": "heute"}
    assert json.loads(task.environment()["LEVADA_SPARK_SECRETS"]) == {"token": "geheim"}
    assert task.environment()["PYSPARK_PYTHON"] == task.environment()["PYSPARK_DRIVER_PYTHON"] == sys.executable
    monkeypatch.setenv("PYSPARK_PYTHON", "/their/python")
    assert "PYSPARK_DRIVER_PYTHON" not in task.environment()


def test_secrets_do_not_go_to_a_cluster() -> None:
    task = type("Far", (CountedBySpark,), {"deploy_mode": "cluster"})(day="heute", token="geheim")
    with pytest.raises(EngineError, match="secret parameters") as refused:
        task.environment()
    assert "geheim" not in str(refused.value)


def program(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_spark_submit_is_found_in_this_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, named, home, on_path, wheel = (
        program(tmp_path / name)
        for name in ("given", "named", "home/bin/spark-submit", "path/spark-submit", "lib/pyspark/bin/spark-submit")
    )
    (tmp_path / "lib/pyspark/__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setenv("SPARK_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(config, "_current", load({"LEVADA_SPARK__SUBMIT": named}, str(tmp_path)))
    assert spark_submit(given) == given
    assert spark_submit() == named
    monkeypatch.setattr(config, "_current", None)
    assert spark_submit() == home
    monkeypatch.delenv("SPARK_HOME")
    assert spark_submit() == on_path
    monkeypatch.setenv("PATH", str(tmp_path))
    assert spark_submit() == wheel


def test_a_script_of_pip_leads_to_the_package(tmp_path: Path) -> None:
    script = program(tmp_path / "bin" / "spark-submit")
    (tmp_path / "bin" / "find_spark_home.py").write_text("")
    assert spark_submit(script) == script
    inside = program(tmp_path / "lib" / "python3.11" / "site-packages" / "pyspark" / "bin" / "spark-submit")
    assert spark_submit(script) == inside


def test_where_there_is_no_spark_submit_the_next_step_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("SPARK_HOME", raising=False)
    with pytest.raises(JobRefused, match=r"spark-submit was not found.*\n.*pip install pyspark"):
        spark_submit()
    with pytest.raises(JobRefused, match="there is no program /nowhere/spark-submit"):
        spark_submit(os.path.join("/nowhere", "spark-submit"))
