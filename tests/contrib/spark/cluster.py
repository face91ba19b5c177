"""A real standalone cluster of Spark on loopback: a master and a worker, in Java processes of their own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tests.contrib.ports import free_port

QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto"
"""For Java programs that live for seconds."""

MASTER = "org.apache.spark.deploy.master.Master"
WORKER = "org.apache.spark.deploy.worker.Worker"


class Cluster:
    """A master with its REST interface, and one worker with room for a driver and an executor."""

    def __init__(self, spark: Path) -> None:
        self.spark = spark
        self.folder = Path(tempfile.mkdtemp(prefix="levada-spark-"))
        self.port, self.rest_port, self.page_port, self._worker_page = (free_port() for _ in range(4))
        self.url = f"spark://127.0.0.1:{self.port}"
        self.rest = f"http://127.0.0.1:{self.rest_port}"
        self.page = f"http://127.0.0.1:{self.page_port}"
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Returns when the worker is at work."""
        self.start_master()
        wait_for(lambda: listens(self.port) and listens(self.rest_port), 200)
        self._start("worker", WORKER, "--webui-port", str(self._worker_page), "-c", "2", "-m", "2g", "-d", f"{self.folder}/work", self.url)
        wait_for(lambda: self.state()["aliveworkers"] == 1, 200)

    def start_master(self) -> None:
        self._start("master", MASTER, "--port", str(self.port), "--webui-port", str(self.page_port))

    def kill_master(self) -> None:
        """Its worker goes on and waits for it; the master forgets all."""
        process = self._running.pop("master")
        process.kill()
        process.wait()

    def stop(self) -> None:
        """The worker ends its drivers and executors when it is asked to end."""
        for name in ("worker", "master"):
            process = self._running.pop(name, None)
            if process is not None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def state(self) -> dict[str, Any]:
        """What the master knows."""
        with urlopen(f"{self.page}/json/", timeout=20) as answer:
            return dict(json.loads(answer.read()))

    def applications(self, name: str) -> list[dict[str, Any]]:
        """All that ran or run under a name."""
        state = self.state()
        return [app for app in state["activeapps"] + state["completedapps"] if app["name"] == name]

    def drivers(self) -> list[dict[str, Any]]:
        """All that the master has started."""
        state = self.state()
        return list(state["activedrivers"] + state["completeddrivers"])

    def settings(self) -> dict[str, str]:
        """As environment of a worker of ours."""
        return {"LEVADA_SPARK__MASTER": self.url, "LEVADA_SPARK__REST": self.rest, "LEVADA_SPARK__UI": self.page}

    def _start(self, name: str, program: str, *words: str) -> None:
        environ = without_spark(os.environ) | {
            "SPARK_HOME": str(self.spark),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": f"{self.folder}/local",
            "SPARK_DAEMON_MEMORY": "256m",
            "SPARK_DAEMON_JAVA_OPTS": f"{QUICK} -Dspark.master.rest.enabled=true -Dspark.master.rest.port={self.rest_port}",
        }
        with open(self.folder / f"{name}.log", "ab") as log:
            self._running[name] = subprocess.Popen(
                [self.spark / "bin" / "spark-class", program, "--host", "127.0.0.1", *words],
                cwd=self.folder, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip


def without_spark(environ: Any) -> dict[str, str]:
    """None of the developer's Spark."""
    return {name: value for name, value in environ.items() if not name.startswith(("SPARK_", "PYSPARK_", "HADOOP_", "LEVADA"))}


def listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(0.1)
