"""Tasks whose work is done in containers: run once, whatever becomes of their worker."""

from __future__ import annotations

from pathlib import Path

from levada.contrib.docker import DockerTask
from tests.faults.command import Command, ended, soon

from .podman import IMAGE, Podman

FLOW = f"""
import os
import levada as lv
from levada.contrib.docker import DockerTask

HERE = os.path.dirname(os.path.abspath(__file__))

class Made(DockerTask):
    name: str
    engine = os.environ["ENGINE"]
    image = "{IMAGE}"
    binds = [f"{{HERE}}:{{HERE}}"]
    def output(self):
        return lv.LocalTarget(f"{{HERE}}/{{self.name}}.txt")
    def command(self):
        line = f"echo began >> {{HERE}}/began; while [ ! -e {{HERE}}/go ]; do sleep 1; done; echo made > '{{self.partial(self.output())}}'"
        return ["sh", "-c", line]
"""


def test_a_container_outlives_its_worker_and_the_next_one_goes_on_with_it(service: Podman, tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text(FLOW)
    command = Command(tmp_path, ENGINE=service.address)
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


def test_a_task_says_what_its_container_is_made_of() -> None:
    class Counted(DockerTask):
        image = "counter:2"
        binds = ["/a:/b:ro"]
        network_mode = "none"
        memory = 1 << 30

        def command(self) -> list[str]:
            return ["--fast"]

    job = Counted().job("lv-1")
    assert (job.argv, job.memory) == (("--fast",), 1 << 30)
    assert job.options == {"image": "counter:2", "volumes": ["/a:/b:ro"], "network": "none"}
