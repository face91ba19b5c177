"""A real HDFS on loopback: a name node and a data node, in Java processes of their own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.contrib.ports import free_port

JAVA_OPTIONS = [
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Djava.net.preferIPv4Stack=true",
    "-Dhadoop.root.logger=OFF",
    *(f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in ("java.lang", "java.util", "java.nio", "java.net", "java.lang.reflect")),
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-opens=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
]
NAME_NODE = "org.apache.hadoop.hdfs.server.namenode.NameNode"
DATA_NODE = "org.apache.hadoop.hdfs.server.datanode.DataNode"
ADMIN = "org.apache.hadoop.hdfs.tools.DFSAdmin"
HA_ADMIN = "org.apache.hadoop.hdfs.tools.DFSHAAdmin"
SERVICE = "levadans"


class Cluster:
    """A new, empty HDFS in a folder of its own. names: how many name nodes; two share a name service, and both begin as standby.

    host: the address of this machine that all of it is to be reached at. web: with WebHDFS, which Hadoop 3 has.
    """

    def __init__(self, jars: Path, names: int = 1, host: str = "127.0.0.1", *, web: bool = False) -> None:
        self.jars, self.host, self.web = jars, host, web
        self.folder = Path(tempfile.mkdtemp(prefix="levada-hdfs-"))
        self.ports = [free_port() for _ in range(names)]
        self._web = [free_port() for _ in range(names)]
        self.authority = f"{host}:{self.ports[0]}" if names == 1 else SERVICE
        self.url = f"hdfs://{self.authority}"
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        for at in range(names):
            self._configure(at)

    @property
    def webhdfs(self) -> str:
        """The URL of its root by WebHDFS."""
        return f"webhdfs://{self.host}:{self._web[0]}"

    @property
    def conf(self) -> str:
        """What HADOOP_CONF_DIR is to be."""
        return str(self.folder / "conf-0")

    def start(self) -> None:
        """Format and start; returns when files can be written (with one name node), or are about to be (with two)."""
        self.run(NAME_NODE, "-format", "-nonInteractive")
        self.start_name_node()
        if len(self.ports) > 1:
            wait_for(lambda: self.listens(0))
            self.run(NAME_NODE, "-bootstrapStandby", "-nonInteractive", at=1)
            self.start_name_node(1)
        self.start_data_node()
        if len(self.ports) == 1:
            wait_for(self.takes_files, 300)

    def start_data_node(self) -> None:
        self._start("data", DATA_NODE)

    def kill_data_node(self) -> None:
        self._end("data")

    def start_name_node(self, at: int = 0) -> None:
        self._start(f"name-{at}", NAME_NODE, at=at)

    def kill_name_node(self, at: int = 0) -> None:
        self._end(f"name-{at}")

    @contextmanager
    def hanging_name_node(self) -> Iterator[None]:
        """It does not answer meanwhile, and closes no connection either."""
        process = self._running["name-0"]
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        for name in list(self._running):
            self._end(name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def admin(self, *words: str) -> str:
        """``hdfs dfsadmin WORDS``."""
        return self.run(ADMIN, *words)

    def run(self, program: str, *words: str, at: int = 0) -> str:
        """One of Hadoop's programs to its end; what it says is shown when it fails."""
        done = subprocess.run(
            self._java(program, words, at), cwd=self.folder, env=self._environ(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=90,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        return done.stdout

    def listens(self, at: int) -> bool:
        """Whether a name node takes connections; fails with what it said when it has ended."""
        process, log = self._running[f"name-{at}"], self.folder / f"name-{at}.log"
        assert process.poll() is None, log.read_text(errors="replace")[-3000:]
        with closing(socket.socket()) as probe:
            return probe.connect_ex((self.host, self.ports[at])) == 0

    def takes_files(self) -> bool:
        """Whether a file can be written now."""
        import hdfs_native

        try:
            client = hdfs_native.Client(self.url, {"dfs.client.failover.max.attempts": "1"}, self.conf)
            name = f"/.ready-{os.urandom(4).hex()}"
            with client.create(name) as file:
                file.write(b"x")
            return client.delete(name)
        except Exception:
            return False

    def _start(self, name: str, program: str, at: int = 0) -> None:
        with open(self.folder / f"{name}.log", "ab") as log:
            self._running[name] = subprocess.Popen(
                self._java(program, (), at), cwd=self.folder, env=self._environ(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def _end(self, name: str) -> None:
        process = self._running.pop(name, None)
        if process is not None:
            process.kill()
            process.wait()

    def _java(self, program: str, words: tuple[str, ...], at: int) -> list[str]:
        java = os.path.join(os.environ["JAVA_HOME"], "bin", "java") if os.environ.get("JAVA_HOME") else "java"
        return [java, *JAVA_OPTIONS, "-cp", f"{self.folder}/conf-{at}:{self.folder}/class:{self.jars}/*", program, *words]

    def _environ(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if not name.startswith(("HADOOP_", "LEVADA"))}

    def _configure(self, at: int) -> None:
        for web in ("hdfs", "datanode"):  # Hadoop 2 asks for these folders
            (self.folder / "class" / "webapps" / web / "WEB-INF").mkdir(parents=True, exist_ok=True)
        settings = {
            "fs.defaultFS": self.url,
            "hadoop.tmp.dir": f"{self.folder}/tmp-{at}",
            "dfs.replication": "1",
            "dfs.namenode.name.dir": f"file://{self.folder}/name-{at}",
            "dfs.datanode.data.dir": f"file://{self.folder}/data",
            "dfs.datanode.address": f"{self.host}:0",
            "dfs.datanode.http.address": f"{self.host}:0",
            "dfs.datanode.ipc.address": f"{self.host}:0",
            "dfs.datanode.hostname": self.host,
            "dfs.namenode.datanode.registration.ip-hostname-check": "false",
            "dfs.namenode.edits.noeditlogchannelflush": "true",
            "dfs.namenode.safemode.extension": "0",
            "dfs.heartbeat.interval": "1",
            "dfs.webhdfs.enabled": "true" if self.web else "false",
        }
        if len(self.ports) == 1:
            settings |= {"dfs.namenode.rpc-address": self.authority, "dfs.namenode.http-address": f"{self.host}:{self._web[0]}"}
        else:
            settings |= {**self._two_name_nodes(), "dfs.ha.namenode.id": f"nn{at}"}
        conf = self.folder / f"conf-{at}"
        conf.mkdir()
        properties = "".join(f"<property><name>{name}</name><value>{value}</value></property>\n" for name, value in settings.items())
        for name in ("core-site.xml", "hdfs-site.xml"):
            (conf / name).write_text(f"<configuration>\n{properties}</configuration>\n")

    def _two_name_nodes(self) -> dict[str, str]:
        settings = {
            "dfs.nameservices": SERVICE,
            f"dfs.ha.namenodes.{SERVICE}": "nn0,nn1",
            f"dfs.client.failover.proxy.provider.{SERVICE}": "org.apache.hadoop.hdfs.server.namenode.ha.ConfiguredFailoverProxyProvider",
            "dfs.namenode.shared.edits.dir": f"file://{self.folder}/shared",
            "dfs.ha.fencing.methods": "shell(/bin/true)",
            "dfs.ha.tail-edits.period": "1",
        }
        for at, port in enumerate(self.ports):
            settings[f"dfs.namenode.rpc-address.{SERVICE}.nn{at}"] = f"{self.host}:{port}"
            settings[f"dfs.namenode.http-address.{SERVICE}.nn{at}"] = f"{self.host}:{self._web[at]}"
        return settings


def wait_for(condition: object, seconds: float = 180) -> None:
    assert callable(condition)
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(0.2)
