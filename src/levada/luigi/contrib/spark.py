"""``luigi.contrib.spark``: applications by ``spark-submit``, told by class attributes or the section ``[spark]`` of luigi.cfg.

``spark-submit`` is a child of the attempt, as in Luigi; a class with ``engine = "spark"`` hands it over as `levada.contrib.spark` does:
the driver outlives the worker, and runs once.
"""

# pyright: reportIncompatibleVariableOverride=false
# What the house has as values are properties here, as in Luigi: programs override them as such.

from __future__ import annotations

import inspect
import json
import logging
import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any, ClassVar

from levada.contrib import spark as house
from levada.handover.shipping import entry_of

from ._settings import configured, flag
from .external_program import ExternalProgramTask

logger = logging.getLogger("luigi-interface")

_TEXTS_BEFORE = (("master", "--master"), ("deploy_mode", "--deploy-mode"), ("name", "--name"), ("entry_class", "--class"))
_LISTS = (("jars", "--jars"), ("packages", "--packages"), ("py_files", "--py-files"), ("files", "--files"), ("archives", "--archives"))
_TEXTS_AFTER = (
    ("properties_file", "--properties-file"),
    ("driver_memory", "--driver-memory"),
    ("driver_java_options", "--driver-java-options"),
    ("driver_library_path", "--driver-library-path"),
    ("driver_class_path", "--driver-class-path"),
    ("executor_memory", "--executor-memory"),
    ("driver_cores", "--driver-cores"),
    ("supervise", "--supervise"),
    ("total_executor_cores", "--total-executor-cores"),
    ("executor_cores", "--executor-cores"),
    ("queue", "--queue"),
    ("num_executors", "--num-executors"),
)


def _text(name: str) -> Any:
    """A property that luigi.cfg gives, in the section that ``spark_version`` names."""
    key = name.replace("_", "-")
    return property(lambda self: configured(self.spark_version, key), doc=f"``{key}`` of luigi.cfg.")


def _list(name: str) -> Any:
    key = name.replace("_", "-")
    return property(lambda self: self._list_config(configured(self.spark_version, key)), doc=f"``{key}`` of luigi.cfg, commas between.")


class SparkSubmitTask(ExternalProgramTask, house.SparkSubmitTask):
    """An application that ``spark-submit`` starts: ``app``, with ``entry_class`` for a jar; `app_options` are its arguments."""

    engine: ClassVar[Any] = ""
    name: ClassVar[Any] = None
    entry_class: ClassVar[Any] = None
    app: ClassVar[Any] = None
    always_log_stderr: ClassVar[Any] = False
    stream_for_searching_tracking_url = "stderr"

    pyspark_python: ClassVar[Any] = None
    pyspark_driver_python: ClassVar[Any] = None
    hadoop_user_name: ClassVar[Any] = None
    spark_version: ClassVar[Any] = "spark"

    master: ClassVar[Any] = _text("master")
    deploy_mode: ClassVar[Any] = _text("deploy_mode")
    jars: ClassVar[Any] = _list("jars")
    packages: ClassVar[Any] = _list("packages")
    py_files: ClassVar[Any] = _list("py_files")
    files: ClassVar[Any] = _list("files")
    archives: ClassVar[Any] = _list("archives")
    properties_file: ClassVar[Any] = _text("properties_file")
    driver_memory: ClassVar[Any] = _text("driver_memory")
    driver_java_options: ClassVar[Any] = _text("driver_java_options")
    driver_library_path: ClassVar[Any] = _text("driver_library_path")
    driver_class_path: ClassVar[Any] = _text("driver_class_path")
    executor_memory: ClassVar[Any] = _text("executor_memory")
    driver_cores: ClassVar[Any] = _text("driver_cores")
    total_executor_cores: ClassVar[Any] = _text("total_executor_cores")
    executor_cores: ClassVar[Any] = _text("executor_cores")
    queue: ClassVar[Any] = _text("queue")
    num_executors: ClassVar[Any] = _text("num_executors")
    hadoop_conf_dir: ClassVar[Any] = _text("hadoop_conf_dir")

    @property
    def tracking_url_pattern(self) -> str:  # type: ignore[override]  # no parameter here
        """What tells the application's page."""
        if self.deploy_mode == "cluster":
            return r"tracking URL: (https?://.*)\s"
        return r"Bound (?:.*) to (?:.*), and started at (https?://.*)\s"

    @property
    def spark_submit(self) -> Any:
        """The program."""
        return configured(self.spark_version, "spark-submit", "spark-submit")

    @property
    def supervise(self) -> bool:
        """Whether a standalone cluster starts a failed driver again."""
        return flag(self.spark_version, "supervise")

    @property
    def conf(self) -> Any:
        """Properties: ``conf`` of luigi.cfg, as ``name=value|name=value``."""
        return self._dict_config(configured(self.spark_version, "conf"))

    # -- the command line

    def program_args(self) -> list[Any]:
        """All of it."""
        return [*self.spark_command(), *self.app_command()]

    def spark_command(self) -> list[Any]:
        """``spark-submit`` and its options."""
        command = [self.spark_submit]
        for name, option in _TEXTS_BEFORE:
            command += self._text_arg(option, getattr(self, name))
        for name, option in _LISTS:
            command += self._list_arg(option, getattr(self, name))
        command += self._dict_arg("--conf", self._conf)
        for name, option in _TEXTS_AFTER:
            value = getattr(self, name)
            command += self._flag_arg(option, value) if name == "supervise" else self._text_arg(option, value)
        return command

    def app_command(self) -> list[Any]:
        """The application and its arguments."""
        if not self.app:
            raise NotImplementedError(f"{type(self).__name__} has to define app: a jar or a Python file")
        return [self.app, *self.app_options()]

    def app_options(self) -> list[Any]:
        """Arguments of the application."""
        return []

    def get_environment(self) -> dict[str, str]:
        """The worker's variables, and those of Hadoop that the class or luigi.cfg names."""
        env = dict(os.environ)
        for name in ("hadoop_conf_dir", "hadoop_user_name"):
            if value := getattr(self, name, None):
                env[name.upper()] = value
        return env

    def program_environment(self) -> dict[str, str]:
        """The same."""
        return self.get_environment()

    # -- handed over: the words are the house's, which takes them from the same attributes

    def command(self) -> Sequence[str]:
        """Arguments of spark-submit, for the engine."""
        return house.SparkSubmitTask.command(self)

    def environment(self) -> Mapping[str, str]:
        """Variables, for the engine."""
        return {**ExternalProgramTask.environment(self), **house.SparkSubmitTask.environment(self)}

    def engine_address(self) -> str:
        """The engine, where one is named."""
        return house.SparkSubmitTask.engine_address(self)

    def _list(self, name: str) -> list[str]:
        return [os.fspath(each) for each in getattr(self, name) or ()]

    # -- pieces

    @property
    def _conf(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]  # a method in the house, for the engine; a property in Luigi
        return _Properties(
            {
                **(self.conf or {}),
                **({"spark.pyspark.python": self.pyspark_python} if self.pyspark_python else {}),
                **({"spark.pyspark.driver.python": self.pyspark_driver_python} if self.pyspark_driver_python else {}),
            }
        )

    def _list_config(self, config: Any) -> Any:
        return [each.strip() for each in config.split(",")] if config and isinstance(config, str) else None

    def _dict_config(self, config: Any) -> Any:
        if not config or not isinstance(config, str):
            return None
        if wrong := [each for each in config.split("|") if "=" not in each]:
            raise ValueError(f"[{self.spark_version}] of luigi.cfg: {wrong[0]!r} is no property; write name=value|name=value")
        return dict(each.split("=", 1) for each in config.split("|"))

    def _text_arg(self, name: str, value: Any) -> list[Any]:
        return [name, value] if value else []

    def _list_arg(self, name: str, value: Any) -> list[Any]:
        return [name, ",".join(value)] if value and isinstance(value, (list, tuple)) else []

    def _dict_arg(self, name: str, value: Any) -> list[Any]:
        return [word for key, each in value.items() for word in (name, f"{key}={each}")] if value and isinstance(value, dict) else []

    def _flag_arg(self, name: str, value: Any) -> list[Any]:
        return [name] if value else []


class _Properties(dict[str, Any]):
    """Properties, which the house asks for by a call."""

    def __call__(self) -> dict[str, str]:
        return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in self.items()}


class PySparkTask(SparkSubmitTask):
    """An application written as a method: ``main`` runs in Spark's driver.

    The task travels as texts in a file (never pickled, though its name ends as Luigi's), with a copy of its module beside it; Spark's
    Python finds Levada and what the module imports as it found Luigi. ``py_packages`` are sent to the executors.
    """

    app: ClassVar[Any] = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pyspark_runner.py")
    run_path = ""
    run_pickle = ""

    @property
    def name(self) -> str:
        """The name that Spark shows."""
        return type(self).__name__

    @property
    def py_packages(self) -> Iterable[str] | None:
        """Packages for the executors: ``py-packages`` of luigi.cfg."""
        packages = configured("spark", "py-packages")
        return [each.strip() for each in packages.split(",")] if packages else None

    @property
    def files(self) -> Any:
        """Of a driver in the cluster: the task itself."""
        return [self.run_pickle] if self.deploy_mode == "cluster" else None

    def is_local(self) -> bool:
        """Always: `levada.contrib.spark.PySparkTask` is the one that can be handed over."""
        return True

    def setup(self, conf: Any) -> None:
        """Called in the driver with the SparkConf, before the context is made."""

    def setup_remote(self, sc: Any) -> None:
        """Called in the driver with the SparkContext, before ``main``."""
        self._setup_packages(sc)

    def main(self, sc: Any, *args: Any) -> Any:
        """The work, in the driver."""
        raise NotImplementedError(f"{type(self).__name__} has to define main(sc)")

    def app_command(self) -> list[Any]:
        """The driver's program, the task, and the arguments."""
        where = os.path.basename(self.run_pickle) if self.deploy_mode == "cluster" else self.run_pickle
        return [self.app, where, *self.app_options()]

    def run(self) -> None:
        """Submit it, with the task in a folder of its own."""
        name = re.sub(r"[^\w]", "_", self.name)
        self.run_path = tempfile.mkdtemp(prefix=name)
        self.run_pickle = os.path.join(self.run_path, f"{name}.pickle")
        try:
            shutil.copy(os.path.abspath(inspect.getfile(type(self))), self.run_path)
            with open(self.run_pickle, "w", encoding="utf-8") as file:
                json.dump(entry_of(self), file)
            super().run()
        finally:
            shutil.rmtree(self.run_path, ignore_errors=True)

    def _setup_packages(self, sc: Any) -> None:
        for package in self.py_packages or ():
            module = import_module(package)
            source = module.__path__[0] if hasattr(module, "__path__") else module.__file__
            os.makedirs(self.run_path, exist_ok=True)
            path = os.path.join(self.run_path, f"{package}.tar.gz")
            with tarfile.open(path, "w:gz") as archive:
                archive.add(str(source), os.path.basename(str(source)))
            sc.addPyFile(path)
