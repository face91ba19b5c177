"""Tasks that are Spark applications: `SparkSubmitTask` submits a jar or a Python file, `PySparkTask` its own ``main``.

What an application is told are class attributes, or properties where they depend on parameters; each is an option of spark-submit.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from levada.config import setting
from levada.errors import EngineError
from levada.handover import JobTask
from levada.handover.book import state
from levada.handover.shipping import archive_of, entry_of, keep, secrets_of
from levada.task import repr_of

from .runner import SECRETS

# Attribute -> option: texts; lists of texts, with commas between them.
_TEXTS = {
    "name": "--name",
    "entry_class": "--class",
    "properties_file": "--properties-file",
    "driver_java_options": "--driver-java-options",
    "driver_library_path": "--driver-library-path",
    "driver_class_path": "--driver-class-path",
    "executor_memory": "--executor-memory",
    "executor_cores": "--executor-cores",
    "total_executor_cores": "--total-executor-cores",
    "num_executors": "--num-executors",
    "queue": "--queue",
    "principal": "--principal",
    "keytab": "--keytab",
    "proxy_user": "--proxy-user",
}
_LISTS = {
    "jars": "--jars",
    "packages": "--packages",
    "exclude_packages": "--exclude-packages",
    "repositories": "--repositories",
    "py_files": "--py-files",
    "files": "--files",
    "archives": "--archives",
}
_FOR_ENGINE = ("master", "deploy_mode", "spark_submit", "driver_memory", "driver_cores", "supervise")


class SparkSubmitTask(JobTask):
    """An application that ``spark-submit`` starts: a jar with ``entry_class``, or a Python file.

    app: its path or URL, required. master, deploy_mode ("client", "cluster"), name, conf, jars, py_files, files, archives, packages,
    driver_memory, executor_memory and their like: as the option of spark-submit of that name; None or empty leaves it to Spark.
    Memory is text as Spark writes it ("2g"). supervise: a standalone cluster starts a failed driver again. pyspark_python,
    pyspark_driver_python: the interpreters; hadoop_conf_dir, hadoop_user_name: of YARN and HDFS. spark_submit: the program itself.
    """

    engine: ClassVar[Any] = "spark"
    app: ClassVar[Any] = None
    name: ClassVar[Any] = None
    entry_class: ClassVar[Any] = None
    master: ClassVar[Any] = None
    deploy_mode: ClassVar[Any] = None
    conf: ClassVar[Any] = {}
    properties_file: ClassVar[Any] = None
    jars: ClassVar[Any] = ()
    packages: ClassVar[Any] = ()
    exclude_packages: ClassVar[Any] = ()
    repositories: ClassVar[Any] = ()
    py_files: ClassVar[Any] = ()
    files: ClassVar[Any] = ()
    archives: ClassVar[Any] = ()
    driver_memory: ClassVar[Any] = None
    driver_cores: ClassVar[Any] = None
    driver_java_options: ClassVar[Any] = None
    driver_library_path: ClassVar[Any] = None
    driver_class_path: ClassVar[Any] = None
    executor_memory: ClassVar[Any] = None
    executor_cores: ClassVar[Any] = None
    total_executor_cores: ClassVar[Any] = None
    num_executors: ClassVar[Any] = None
    queue: ClassVar[Any] = None
    principal: ClassVar[Any] = None
    keytab: ClassVar[Any] = None
    proxy_user: ClassVar[Any] = None
    supervise: ClassVar[Any] = False
    pyspark_python: ClassVar[Any] = None
    pyspark_driver_python: ClassVar[Any] = None
    hadoop_conf_dir: ClassVar[Any] = None
    hadoop_user_name: ClassVar[Any] = None
    spark_submit: ClassVar[Any] = None

    # -- what authors define

    def app_options(self) -> Sequence[object]:
        """Arguments of the application itself; each becomes text."""
        return ()

    # -- what the hand-over asks

    def command(self) -> Sequence[str]:
        """Arguments of spark-submit, but for what `options` has."""
        if not self.app:
            raise EngineError(f"{repr_of(self)}: names no application", hint="Set `app` to a jar or a Python file.")
        return [*self._spark_options(), os.fspath(self.app), *self._words()]

    def options(self) -> Mapping[str, object]:
        """What the engine has to know of the application, see `SparkEngine`."""
        given = {name: getattr(self, name) for name in _FOR_ENGINE}
        return {"conf": self._conf(), **{name: value for name, value in given.items() if value}}

    def environment(self) -> Mapping[str, str]:
        """Variables for spark-submit and the driver."""
        found = {
            "PYSPARK_PYTHON": self.pyspark_python,
            "PYSPARK_DRIVER_PYTHON": self.pyspark_driver_python,
            "HADOOP_CONF_DIR": self.hadoop_conf_dir,
            "HADOOP_USER_NAME": self.hadoop_user_name,
        }
        return {name: os.fspath(value) for name, value in found.items() if value}

    def engine_address(self) -> str:
        """A standalone master is an engine of its own, so that one that is away delays no other's jobs."""
        master = str(self.master or "")
        return master if self.engine == "spark" and master.startswith("spark://") else super().engine_address()

    def _spark_options(self) -> list[str]:
        words = [word for name, option in _TEXTS.items() if (text := self._text(name)) for word in (option, text)]
        lists = [word for name, option in _LISTS.items() if (texts := self._list(name)) for word in (option, ",".join(texts))]
        return words + lists

    def _words(self) -> list[str]:
        return [str(each) for each in self.app_options()]

    def _text(self, name: str) -> str:
        value = getattr(self, name)
        if value is None or isinstance(value, (str, int, os.PathLike)):
            return "" if value is None else os.fspath(value) if isinstance(value, os.PathLike) else str(value)
        raise EngineError(f"{repr_of(self)}: {name} is {value!r}, expected a text or a number")

    def _list(self, name: str) -> list[str]:
        value = getattr(self, name)
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise EngineError(f"{repr_of(self)}: {name} is {value!r}, expected a list of texts", hint=f'As {name} = ["first", "second"].')
        texts = [os.fspath(each) for each in value]
        wrong = [text for text in texts if "," in text or not text]
        if wrong:
            raise EngineError(
                f"{repr_of(self)}: {name} has {wrong[0]!r}", hint="spark-submit separates them by commas: none may hold one, or be empty."
            )
        return texts

    def _conf(self) -> dict[str, str]:
        if not isinstance(self.conf, Mapping):
            raise EngineError(
                f"{repr_of(self)}: conf is {self.conf!r}, expected a mapping", hint='As conf = {"spark.ui.enabled": "false"}.'
            )
        return {str(name): _as_property(value) for name, value in self.conf.items()}


def _as_property(value: object) -> str:
    """As Spark reads it: its truths are in small letters."""
    return str(value).lower() if isinstance(value, bool) else str(value)


class PySparkTask(SparkSubmitTask):
    """An application written as a method: ``main`` runs in Spark's driver, where this task is built again from its parameters.

    The module of the task, what was imported from the same folder, and Levada itself reach driver and executors as one archive;
    ``py_packages`` names further modules. session: whether ``main`` gets a SparkSession; False, as in Luigi: a SparkContext.
    ``self.input()`` and ``self.output()`` are there in the driver; with ``deploy_mode = "client"``, relative paths, too.
    """

    session: ClassVar[Any] = False
    py_packages: ClassVar[Any] = ()

    # -- what authors define

    def main(self, spark: Any, *args: Any) -> Any:
        """The work, in the driver. spark: a SparkContext, or a SparkSession; args: what `app_options` gives, as texts."""
        raise NotImplementedError(f"{type(self).__name__} has to define main(spark)")

    def setup(self, conf: Any) -> None:
        """Called in the driver before the session is made. conf: the SparkConf for it."""

    def setup_remote(self, sc: Any) -> None:
        """Called in the driver before ``main``, with the SparkContext."""

    # -- what the hand-over asks

    def command(self) -> Sequence[str]:
        """Arguments of spark-submit: the starter of the driver, and this task as texts."""
        entry = json.dumps(entry_of(self), ensure_ascii=False)
        return [*self._spark_options(), self._starter(), entry, *self._words()]

    def environment(self) -> Mapping[str, str]:
        """Interpreters, and parameters that no list of processes may show."""
        secrets = secrets_of(self)
        if any(secrets.values()) and self.deploy_mode == "cluster":
            raise EngineError(
                f"{repr_of(self)}: has secret parameters, which do not travel to the driver of a cluster",
                hint='Use deploy_mode = "client", or let main() fetch the secret itself.',
            )
        return {**self._interpreters(), **super().environment(), **({SECRETS: json.dumps(secrets)} if secrets else {})}

    def _interpreters(self) -> dict[str, str]:
        """The worker's own, where the driver runs beside it and nobody chose another; of executors elsewhere nothing is known."""
        if self.deploy_mode == "cluster" or self.pyspark_python or "PYSPARK_PYTHON" in os.environ:
            return {}
        local = str(self.master or setting("spark", "master") or "local").startswith("local")
        return {"PYSPARK_DRIVER_PYTHON": sys.executable, **({"PYSPARK_PYTHON": sys.executable} if local else {})}

    def _list(self, name: str) -> list[str]:
        found = super()._list(name)
        return [*found, archive_of(type(self), self._folder(), super()._list("py_packages"))] if name == "py_files" else found

    def _starter(self) -> str:
        """The file that spark-submit runs; all else is in the archive, beside which it lies."""
        path = os.path.join(self._folder(), _STARTER_NAME)
        keep(path, _STARTER)
        return path

    def _folder(self) -> str:
        return str(setting("spark", "folder") or os.path.join(state(), "spark"))


_STARTER = b"from levada.contrib.spark.runner import main\n\nmain()\n"
_STARTER_NAME = "levada-driver-1.py"
