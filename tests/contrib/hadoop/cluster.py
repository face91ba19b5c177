"""A real Hadoop on loopback: HDFS, a resource manager, a node manager and a job history server, and the client's command.

All of it lives in a folder of its own and is small: two containers of work at a time. `Yarn.stop` ends the daemons, and then
what they have left: containers run in sessions of their own, and are known by the folder that they run in.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.contrib.hdfs.cluster import JAVA_OPTIONS, Cluster, wait_for
from tests.contrib.ports import free_port

OPENS = " ".join(option for option in JAVA_OPTIONS if option.startswith("--add-opens"))
SMALL = f"-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xss512k -Djava.net.preferIPv4Stack=true {OPENS}"
RESOURCE_MANAGER = "org.apache.hadoop.yarn.server.resourcemanager.ResourceManager"
NODE_MANAGER = "org.apache.hadoop.yarn.server.nodemanager.NodeManager"
HISTORY_SERVER = "org.apache.hadoop.mapreduce.v2.hs.JobHistoryServer"
START = 400  # seconds until a server must answer, on a machine that does much else
LOGGING = """\
log4j.rootLogger=WARN,console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.target=System.err
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d{ISO8601} %p %c: %m%n
"""
COMMAND = """\
#!/bin/sh
# What `hadoop` is on a real machine, as far as tests use it.
what=$1
shift
case $what in
  jar) main=org.apache.hadoop.util.RunJar ;;
  fs) main=org.apache.hadoop.fs.FsShell ;;
  application) main=org.apache.hadoop.yarn.client.cli.ApplicationCLI; set -- application "$@" ;;
  *) echo "unknown: $what" >&2; exit 64 ;;
esac
exec java {java} -Xmx256m -cp "${{HADOOP_CONF_DIR:-{conf}}}:{jars}/*" $main "$@"
"""


class Yarn:
    """HDFS and YARN with MapReduce, in a folder of their own. home, conf: what HADOOP_HOME and HADOOP_CONF_DIR are to be."""

    def __init__(self, jars: Path) -> None:
        self.hdfs = Cluster(jars)
        self.folder = self.hdfs.folder
        self.home = self.folder / "home"
        self.conf = self.hdfs.conf
        self._names = ("manager", "scheduler", "tracker", "admin", "web", "history", "history-web", "history-admin", "node", "node-web")
        self._ports = {name: free_port() for name in self._names}
        self.manager = f"http://127.0.0.1:{self._ports['web']}"
        self.history = f"http://127.0.0.1:{self._ports['history-web']}"
        self._configure(jars)

    def start(self) -> None:
        """Start all; returns when jobs are taken and a node is there to run them."""
        self.hdfs.start()
        for name, program in (("manager", RESOURCE_MANAGER), ("history", HISTORY_SERVER), ("node", NODE_MANAGER)):
            self.hdfs._start(name, program)
        wait_for(lambda: self._said("cluster/metrics", "clusterMetrics", "activeNodes") == 1, START)
        wait_for(self._keeps_history, START)

    def stop(self) -> None:
        self._end_node()
        try:
            self.hdfs.stop()
        finally:
            self._end_containers()

    def restart_manager(self) -> None:
        """It has no memory: it knows none of its applications afterwards."""
        self.hdfs._end("manager")
        self.hdfs._start("manager", RESOURCE_MANAGER)
        wait_for(lambda: self._said("cluster/metrics", "clusterMetrics", "activeNodes") == 1, START)

    def applications(self) -> list[dict[str, Any]]:
        """What the resource manager lists, its own account of what ran."""
        found: list[dict[str, Any]] = (self.ask("cluster/apps")["apps"] or {}).get("app", [])
        return found

    def ask(self, path: str) -> Any:
        """An answer of the resource manager's interface."""
        with urllib.request.urlopen(f"{self.manager}/ws/v1/{path}", timeout=30) as answer:
            return json.load(answer)

    def command(self, *words: str) -> str:
        """``hadoop WORDS``, to its end."""
        done = subprocess.run([str(self.home / "bin" / "hadoop"), *words], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _said(self, path: str, *names: str) -> Any:
        try:
            value = self.ask(path)
        except OSError:
            return None
        for name in names:
            value = value[name]
        return value

    def _keeps_history(self) -> bool:
        try:
            urllib.request.urlopen(f"{self.history}/ws/v1/history/info", timeout=5).close()
        except OSError:
            return False
        return True

    def _end_node(self) -> None:
        """With a chance to end its containers."""
        node = self.hdfs._running.get("node")
        if node is not None:
            node.terminate()
            with suppress(subprocess.TimeoutExpired):
                node.wait(15)

    def _end_containers(self) -> None:
        for process in containers(self.folder):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def _configure(self, jars: Path) -> None:
        at = {name: f"127.0.0.1:{port}" for name, port in self._ports.items()}
        common = {
            "hadoop.security.authentication": "simple",
            "fs.defaultFS": self.hdfs.url,
            "hadoop.tmp.dir": f"{self.folder}/tmp",
            "dfs.replication": "1",
        }
        yarn = {
            "yarn.resourcemanager.hostname": "127.0.0.1",
            "yarn.resourcemanager.address": at["manager"],
            "yarn.resourcemanager.scheduler.address": at["scheduler"],
            "yarn.resourcemanager.resource-tracker.address": at["tracker"],
            "yarn.resourcemanager.admin.address": at["admin"],
            "yarn.resourcemanager.webapp.address": at["web"],
            "yarn.resourcemanager.nodemanagers.heartbeat-interval-ms": "200",
            "yarn.resourcemanager.am.max-attempts": "1",
            "yarn.scheduler.minimum-allocation-mb": "64",
            "yarn.scheduler.maximum-allocation-mb": "2048",
            "yarn.nodemanager.hostname": "127.0.0.1",
            "yarn.nodemanager.address": at["node"],
            "yarn.nodemanager.localizer.address": "127.0.0.1:0",
            "yarn.nodemanager.webapp.address": at["node-web"],
            "yarn.nodemanager.collector-service.address": "127.0.0.1:0",
            "yarn.nodemanager.local-dirs": f"{self.folder}/containers",
            "yarn.nodemanager.log-dirs": f"{self.folder}/logs",
            "yarn.nodemanager.aux-services": "mapreduce_shuffle",
            "yarn.nodemanager.resource.memory-mb": "2048",
            "yarn.nodemanager.resource.cpu-vcores": "8",
            "yarn.nodemanager.vmem-check-enabled": "false",
            "yarn.nodemanager.pmem-check-enabled": "false",
            "yarn.nodemanager.disk-health-checker.enable": "false",
            "yarn.log-aggregation-enable": "true",
            "yarn.log.server.url": f"{self.history}/jobhistory/logs",
            "yarn.nodemanager.remote-app-log-dir": "/logs",
            "yarn.application.classpath": f"{self.conf},{jars}/*",
            "yarn.webapp.ui2.enable": "false",
        }
        mapred = {
            "mapreduce.framework.name": "yarn",
            "mapreduce.shuffle.port": "0",
            "mapreduce.jobhistory.address": at["history"],
            "mapreduce.jobhistory.webapp.address": at["history-web"],
            "mapreduce.jobhistory.admin.address": at["history-admin"],
            "mapreduce.jobhistory.move.interval-ms": "500",
            "yarn.app.mapreduce.am.staging-dir": "/staging",
            "yarn.app.mapreduce.am.resource.mb": "384",
            "yarn.app.mapreduce.am.command-opts": f"-Xmx192m {SMALL}",
            "yarn.app.mapreduce.am.scheduler.heartbeat.interval-ms": "200",
            "mapreduce.application.classpath": f"{jars}/*",
            "mapreduce.job.maps": "1",
            "mapreduce.map.memory.mb": "256",
            "mapreduce.reduce.memory.mb": "256",
            "mapred.child.java.opts": f"-Xmx96m {SMALL}",
            "mapreduce.task.io.sort.mb": "10",
            "mapreduce.job.reduce.slowstart.completedmaps": "0.9",
            "mapreduce.client.progressmonitor.pollinterval": "200",
            "mapreduce.client.completion.pollinterval": "200",
            "mapreduce.client.submit.file.replication": "1",
        }
        queue = {
            "yarn.scheduler.capacity.root.queues": "default",
            "yarn.scheduler.capacity.root.default.capacity": "100",
            "yarn.scheduler.capacity.maximum-am-resource-percent": "1.0",
        }
        conf = Path(self.conf)
        (conf / "log4j.properties").write_text(LOGGING)
        core = (conf / "core-site.xml").read_text().replace("</configuration>", f"{properties(common)}</configuration>")
        (conf / "core-site.xml").write_text(core)
        for name, settings in (("yarn-site", yarn), ("mapred-site", mapred), ("capacity-scheduler", queue)):
            (conf / f"{name}.xml").write_text(f"<configuration>\n{properties(settings)}</configuration>\n")
        command = self.home / "bin" / "hadoop"
        command.parent.mkdir(parents=True)
        command.write_text(COMMAND.format(java=" ".join(JAVA_OPTIONS), conf=self.conf, jars=jars))
        command.chmod(0o755)
        tools = self.home / "share" / "hadoop" / "tools" / "lib"
        tools.mkdir(parents=True)
        for jar in jars.glob("hadoop-streaming-*.jar"):
            (tools / jar.name).symlink_to(jar)


def properties(settings: dict[str, str]) -> str:
    return "".join(f"<property><name>{name}</name><value>{value}</value></property>\n" for name, value in settings.items())


def containers(folder: Path) -> list[int]:
    """Processes that run in a folder below this one: what is left of containers."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.readlink(process / "cwd").startswith(f"{folder}/containers/"):
                found.append(int(process.name))
    return found
