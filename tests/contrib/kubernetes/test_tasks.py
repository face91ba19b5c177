"""Tasks whose work is done in a cluster: run once, whatever becomes of their worker."""

from __future__ import annotations

from pathlib import Path

import levada as lv
from levada.contrib.kubernetes import KubernetesJobTask
from levada.contrib.kubernetes.manifest import manifest
from tests.faults.command import Command, ended, soon

from .cluster import Cluster

FLOW = """
import os
import levada as lv

HERE = os.path.dirname(os.path.abspath(__file__))

class Made(lv.JobTask):
    name: str
    engine = "k8s://tests/default"
    def output(self):
        return lv.LocalTarget(f"{HERE}/{self.name}.txt")
    def command(self):
        line = f"echo began >> {HERE}/began; while [ ! -e {HERE}/go ]; do sleep 0.1; done; echo made > '{self.partial(self.output())}'"
        return ["sh", "-c", line]
    def options(self):
        return {"image": "busybox:1"}
"""


def test_a_job_outlives_its_worker_and_the_next_one_goes_on_with_it(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text(FLOW)
    command = Command(tmp_path, KUBECONFIG=str(cluster.config))
    first = command.start("run", "flow:Made", "--name", "a")
    assert soon((tmp_path / "began").exists, 90)
    first.kill()
    first.communicate()
    second = command.start("run", "flow:Made", "--name", "a")
    (tmp_path / "go").touch()
    told = ended(second, 150)
    assert told.returncode == 0, told.stderr
    assert (tmp_path / "a.txt").read_text() == "made\n"
    assert (tmp_path / "began").read_text() == "began\n"


def test_a_task_in_luigis_spelling_gives_the_spec_of_its_pod() -> None:
    class Pi(KubernetesJobTask):
        spec_schema = {"containers": [{"name": "pi", "image": "perl:5", "command": ["perl", "-e", "print 3"]}], "hostNetwork": True}
        labels = {"team": "data"}

        def output(self) -> lv.LocalTarget:
            return lv.LocalTarget("pi.txt")

    sent = manifest(Pi().job("lv-1"))
    pod = sent["spec"]["template"]
    assert (pod["spec"]["hostNetwork"], pod["metadata"]["labels"]["team"]) == (True, "data")
    (only,) = pod["spec"]["containers"]
    assert (only["name"], only["image"], only["command"]) == ("pi", "perl:5", ["perl", "-e", "print 3"])
    assert "args" not in only
